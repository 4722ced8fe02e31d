/**
 * Operations on the owner's own ring, each with a handler for its result. Owner only.
 *
 * What the owner asks of another thread costs two wake-ups, of that thread and of this one, and on an idle machine they take
 * half as long as a disk does (see docs/benchmarks.md). What is short and has few others beside it is therefore submitted
 * here: reads of single blocks (caller-reads.ts) and frames of the log (caller-frames.ts). Its completion wakes the event
 * loop, or the call that waits for it.
 *
 *     push ─► record ─► (microtask, or a wait) ─► ring ─► readable ─► results ─► (some at a time) ─► handler
 *
 * Many complete together. What the first of their results lead to is handed over before the last ones are told of, so that the
 * disk has something to do meanwhile: some handlers run, then the microtasks that wait for them, then some more.
 *
 * Bound: `ring.entries` operations at once, those whose results have not been told among them.
 */
import { constants } from 'node:fs';
import { assert, must } from '../assert.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import { RESULT_WORKER_FAILED } from '../protocol/requests.ts';
import {
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  NAME_STRIDE_BYTES,
  OPCODE_CLOSE,
  OPCODE_OPEN,
  RECORD_WORDS,
  SECOND_NAME_BYTES,
  WORD_BUFFER_OFFSET,
  WORD_FILE,
  WORD_FLAGS,
  WORD_LENGTH,
  WORD_OFFSET_HIGH,
  WORD_OFFSET_LOW,
  WORD_OPCODE,
  WORD_USER_DATA,
} from '../protocol/ring-records.ts';
import {
  recordLatency,
  STATISTIC_RECORDS,
  STATISTIC_SUBMITTING_TURNS,
  STATISTIC_TURNS,
} from '../protocol/ring-statistics.ts';
import type { CallerRing } from './crew.ts';
import { Fifo } from './fifo.ts';

export interface CallerIoOptions {
  readonly ring: CallerRing;
  /** Handle of the database's directory. */
  readonly directory: number;
  readonly directIo: boolean;
  readonly now: () => number;
  /** An operation has begun that is awaited, or has ended. */
  readonly onBegun: () => void;
  readonly onEnded: () => void;
  /** The ring cannot be used any more. */
  readonly onFailure: (error: Error) => void;
}

/**
 * Called once, while completions are drained or in a step of the scheduler, with what the system call would return; or
 * RESULT_WORKER_FAILED: the ring was given up, and what the operation does to its memory or its file may be still to come.
 */
export type OperationHandler = (result: number) => void;

interface Answer {
  readonly slot: number;
  readonly handler: OperationHandler;
  readonly result: number;
}

/** So many results are told before what they have led to is handed over, where nobody sits waiting. */
const ANSWERS_AT_ONCE = 4;
const TWO_32 = 0x1_0000_0000;

export class CallerIo {
  readonly statistics: Float64Array;
  readonly #options: CallerIoOptions;
  readonly #handlers: (OperationHandler | undefined)[];
  readonly #submittedAt: Float64Array;
  readonly #free: number[] = [];
  /** Handles that wait for room to be closed. */
  readonly #closing: number[] = [];
  /** Results that have come and have not been told. */
  readonly #answers = new Fifo<Answer>();
  /** Records that are filled in, and operations that the ring has. */
  #queued = 0;
  #inFlight = 0;
  #isStopped = false;

  constructor(options: CallerIoOptions) {
    const { entries, statistics } = options.ring;
    this.#options = options;
    this.statistics = statistics;
    statistics.fill(0);
    this.#handlers = new Array<OperationHandler | undefined>(entries).fill(undefined);
    this.#submittedAt = new Float64Array(entries);
    for (let slot = entries - 1; slot >= 0; slot--) this.#free.push(slot);
  }

  get entries(): number {
    return this.#handlers.length;
  }

  /** Operations that could begin now. */
  get room(): number {
    return this.#isStopped ? 0 : this.#free.length;
  }

  /** Files that may be open in the ring's own table; 0: each takes a descriptor. */
  get fixedFiles(): number {
    return this.#options.ring.fixedFiles;
  }

  /** Whether anything is to be handed over, under way, or to be told. */
  get isBusy(): boolean {
    return this.#inFlight > 0 || this.#queued > 0 || this.hasAnswers;
  }

  /** Whether results wait for `answer`. */
  get hasAnswers(): boolean {
    return this.#answers.length > 0;
  }

  /** Opens a file of the directory, and no link, with O_DIRECT where the database does; the result is a handle. REQUIRES: room. */
  open(name: string, flags: number, handler: OperationHandler): void {
    assert(name.length < SECOND_NAME_BYTES, 'file names fit their field');
    const { ring, directory, directIo } = this.#options;
    let at = this.#queued * NAME_STRIDE_BYTES;
    for (let i = 0; i < name.length; i++) ring.names[at++] = name.charCodeAt(i);
    ring.names[at] = 0;
    const more = constants.O_NOFOLLOW | (directIo ? constants.O_DIRECT : 0);
    this.push(OPCODE_OPEN, directory, 0, flags | more, 0, 0, handler);
  }

  /** Closes a file that is not used any more, as soon as there is room. */
  close(handle: number): void {
    if (this.#isStopped) return;
    this.#closing.push(handle);
    this.#closeNext();
  }

  #closeNext(): void {
    while (this.#closing.length > 0 && this.room > 0) {
      const handle = must(this.#closing.pop(), 'a file that waits');
      this.push(OPCODE_CLOSE, handle, 0, 0, 0, 0, () => undefined);
    }
  }

  /** Begins an operation on the pool; see protocol/ring-records.ts. REQUIRES: room. */
  push(
    opcode: number,
    file: number,
    bufferOffset: number,
    length: number,
    offset: number,
    flags: number,
    handler: OperationHandler,
  ): void {
    const slot = must(this.#free.pop(), 'there is room for an operation that begins');
    const { records } = this.#options.ring;
    const at = this.#queued++ * RECORD_WORDS;
    records[at + WORD_OPCODE] = opcode;
    records[at + WORD_FILE] = file;
    records[at + WORD_BUFFER_OFFSET] = bufferOffset;
    records[at + WORD_LENGTH] = length;
    records[at + WORD_OFFSET_LOW] = offset;
    records[at + WORD_OFFSET_HIGH] = offset / TWO_32;
    records[at + WORD_USER_DATA] = slot;
    records[at + WORD_FLAGS] = REGION_POOL | flags;
    this.#handlers[slot] = handler;
    this.#options.onBegun();
  }

  /** Hands over what has gathered. */
  submit(): void {
    if (this.#queued > 0) this.#turn(0);
  }

  /** The same, and takes everything that has completed, of which it tells some; how much has completed. */
  drain(): number {
    const completed = this.#inFlight > 0 || this.#queued > 0 ? this.#turn(0) : 0;
    this.answer();
    return completed;
  }

  /** Tells some results: their handlers run. How many. */
  answer(): number {
    return this.#answer(ANSWERS_AT_ONCE);
  }

  /**
   * Hands over what has gathered, and tells all results there are; without one, asleep until something completes or the time is
   * over. How many there were.
   */
  wait(microseconds: number): number {
    if (this.hasAnswers) this.submit();
    else this.#turn(microseconds);
    return this.#answer(this.#answers.length);
  }

  #answer(most: number): number {
    const handlers: (() => void)[] = [];
    while (handlers.length < most && this.hasAnswers) {
      const { slot, handler, result } = this.#answers.shift();
      this.#free.push(slot);
      this.#options.onEnded();
      handlers.push(() => handler(result));
    }
    try {
      runAll(handlers);
    } finally {
      this.#closeNext();
    }
    return handlers.length;
  }

  /** Nothing is done here any more, and whatever is under way is given up; how many operations that were. */
  stop(): number {
    this.#isStopped = true;
    this.#queued = 0;
    this.#inFlight = 0;
    this.#closing.length = 0;
    let givenUp = 0;
    for (const [slot, handler] of this.#handlers.entries()) {
      if (handler === undefined) continue;
      this.#answers.push({ slot, handler, result: RESULT_WORKER_FAILED });
      givenUp++;
    }
    this.#handlers.fill(undefined);
    this.#answer(this.#answers.length);
    return givenUp;
  }

  #turn(waitMicroseconds: number): number {
    if (this.#isStopped) return 0;
    const { ring, onFailure } = this.#options;
    const count = this.#queued;
    if (count > 0) this.#noteSubmission(count);
    this.#queued = 0;
    this.#inFlight += count;
    let completed: number;
    try {
      completed = ring.turn(count, waitMicroseconds);
    } catch (error) {
      // First: whoever is told may come here again.
      this.#isStopped = true;
      this.#inFlight = 0;
      onFailure(error as Error);
      return this.stop();
    }
    this.statistics[STATISTIC_TURNS] += 1;
    this.#take(completed);
    return completed;
  }

  #noteSubmission(count: number): void {
    const { ring, now } = this.#options;
    const submittedAt = now();
    for (let i = 0; i < count; i++) {
      this.#submittedAt[ring.records[i * RECORD_WORDS + WORD_USER_DATA]] = submittedAt;
    }
    this.statistics[STATISTIC_RECORDS] += count;
    this.statistics[STATISTIC_SUBMITTING_TURNS] += 1;
  }

  #take(completed: number): void {
    if (completed === 0) return;
    const { ring, now } = this.#options;
    const { completions } = ring;
    const endedAt = now();
    for (let i = 0; i < completed; i++) {
      const at = i * COMPLETION_WORDS;
      const slot = completions[at + COMPLETION_USER_DATA];
      const result = completions[at + COMPLETION_RESULT];
      const handler = must(this.#handlers[slot], 'a completion belongs to an operation');
      recordLatency(this.statistics, (endedAt - this.#submittedAt[slot]) * 1000);
      this.#handlers[slot] = undefined;
      this.#inFlight--;
      this.#answers.push({ slot, handler, result });
    }
  }
}

/** Each, whatever becomes of the others; then throws what the first of them threw. */
function runAll(handlers: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const run of handlers) {
    try {
      run();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
