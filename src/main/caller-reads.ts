/**
 * Single blocks read on a ring of the owner's own. Owner only.
 *
 * A block that the foreground thread reads costs two wake-ups, of that thread and of this one, and on an idle machine they
 * take half as long as the disk does (see docs/benchmarks.md). So what has few others beside it is submitted here, and its
 * completion wakes the event loop or the call that waits for it. With many under way the foreground thread is as fast, and
 * takes submitting and checksums off this thread: it has all that comes beyond a few, all reads ahead, and all that goes
 * wrong here. It reads again what came short, failed or does not verify, and says what is the matter.
 *
 *     read ─► record ─► (microtask, or a wait) ─► ring ─► readable ─► verified ─► onBlock
 *                                                            └─► else `onRefused`: the foreground thread's
 *
 * Bounds: `ring.entries` operations at once; READS_MAX of them reads for whom nobody sits waiting; FILES_MAX open tables.
 */
import { constants } from 'node:fs';
import { assert, must } from '../assert.ts';
import { verifyBlock } from '../format/block-check.ts';
import { tableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { BlockOpener } from '../protocol/block-opener.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import {
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  NAME_STRIDE_BYTES,
  OPCODE_CLOSE,
  OPCODE_OPEN,
  OPCODE_READ,
  RECORD_WORDS,
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
  STATISTIC_BYTES_READ,
  STATISTIC_RECORDS,
  STATISTIC_REQUESTS,
  STATISTIC_SUBMITTING_TURNS,
  STATISTIC_TURNS,
} from '../protocol/ring-statistics.ts';
import { ROLE_FOREGROUND } from '../protocol/requests.ts';
import type { CallerRing, Crew } from './crew.ts';
import type { AttachedPlace } from './crew-attachment.ts';
import type { IoScheduler } from './io-scheduler.ts';

/** Reads at once that nobody sits waiting for: with more the foreground thread is as fast, and this one has other things to do. */
const READS_MAX = 64;
/** Tables open at once; the blocks of others are the foreground thread's. */
const FILES_MAX = 1024;
/** The same where each takes a descriptor of the process. */
const DESCRIPTORS_MAX = 64;
const TWO_32 = 0x1_0000_0000;

/** A block, and where it is to be read to. */
export interface BlockRead {
  readonly table: number;
  readonly page: number;
  readonly pageCount: number;
  /** Page of the pool. */
  readonly poolPage: number;
  /** A VERIFY_. */
  readonly verify: number;
  /** It is there, and has so many pages in memory. */
  onBlock(pages: number): void;
  /** It is to be read by the foreground thread. */
  onRefused(): void;
}

export interface CallerReadsOptions {
  readonly ring: CallerRing;
  readonly pool: Uint8Array<SharedArrayBuffer>;
  /** Handle of the directory. */
  readonly directory: number;
  readonly directIo: boolean;
  readonly slotBytes: number;
  readonly now: () => number;
  /** An operation has begun that is awaited, or has ended. */
  readonly onBegun: () => void;
  readonly onEnded: () => void;
  /** The ring cannot be used any more. */
  readonly onFailure: (error: Error) => void;
}

type Handler = (result: number) => void;

export class CallerReads {
  /** Whether the caller sits waiting for what is read now. */
  isWaiting = false;
  readonly #options: CallerReadsOptions;
  readonly #opener = new BlockOpener();
  /** Handles of tables that were wanted; undefined while one is being opened. */
  readonly #handles = new Map<number, number | undefined>();
  readonly #handlers: (Handler | undefined)[];
  readonly #submittedAt: Float64Array;
  readonly #free: number[] = [];
  /** Handles that wait to be closed. */
  readonly #closing: number[] = [];
  readonly #filesMax: number;
  /** Places that reads nobody sits waiting for leave free. */
  readonly #reserved: number;
  /** Records that are filled in, and operations that the ring has. */
  #queued = 0;
  #inFlight = 0;
  #failed = false;
  #isStopped = false;

  constructor(options: CallerReadsOptions) {
    const { entries, fixedFiles } = options.ring;
    this.#options = options;
    options.ring.statistics.fill(0);
    this.#handlers = new Array<Handler | undefined>(entries).fill(undefined);
    this.#submittedAt = new Float64Array(entries);
    for (let slot = entries - 1; slot >= 0; slot--) this.#free.push(slot);
    this.#reserved = Math.max(entries - READS_MAX, 1);
    this.#filesMax = fixedFiles > 0 ? Math.min(fixedFiles, FILES_MAX) : DESCRIPTORS_MAX;
  }

  /** Undefined where the crew has no ring for them. */
  static of(
    { callerRing, memory }: Crew,
    scheduler: IoScheduler,
    { directories, directIo, slotBytes }: AttachedPlace,
    now: () => number,
    onFailure: (error: Error) => void,
  ): CallerReads | undefined {
    if (callerRing === undefined) return undefined;
    return new CallerReads({
      ring: callerRing,
      pool: memory.pool,
      directory: must(directories[ROLE_FOREGROUND], 'each role has a handle of the directory'),
      directIo,
      slotBytes,
      now,
      onBegun: () => scheduler.noteCallerBegun(),
      onEnded: () => scheduler.noteCallerEnded(),
      onFailure,
    });
  }

  /** Whether anything is to be handed over, or under way. */
  get isBusy(): boolean {
    return this.#inFlight > 0 || this.#queued > 0;
  }

  /** REQUIRES: nothing of the table is being read. */
  closeTable(table: number): void {
    const handle = this.#handles.get(table);
    this.#handles.delete(table);
    if (handle === undefined || this.#failed) return;
    this.#closing.push(handle);
    this.#closeNext();
  }

  /** Closes what is open. The owner then waits until all that has begun has ended. */
  closeAll(): void {
    for (const table of [...this.#handles.keys()]) this.closeTable(table);
  }

  /** What finds no room waits for something to complete. */
  #closeNext(): void {
    while (this.#closing.length > 0 && this.#free.length > 0) {
      const handle = must(this.#closing.pop(), 'a file that waits');
      this.#push(OPCODE_CLOSE, handle, 0, 0, 0, () => undefined);
    }
  }

  /** Begins to open a table; where it cannot be opened it is tried again. */
  #openTable(table: number): void {
    const { directory, directIo, ring } = this.#options;
    if (this.#free.length === 0 || this.#handles.size >= this.#filesMax) return;
    const flags = constants.O_RDONLY | (directIo ? constants.O_DIRECT : 0);
    const name = tableName(table);
    let at = this.#queued * NAME_STRIDE_BYTES;
    for (let i = 0; i < name.length; i++) ring.names[at++] = name.charCodeAt(i);
    ring.names[at] = 0;
    this.#handles.set(table, undefined);
    this.#push(OPCODE_OPEN, directory, 0, flags, 0, (handle) => {
      if (!this.#handles.has(table)) {
        // It was closed meanwhile.
        if (handle >= 0) this.#closing.push(handle);
      } else if (handle >= 0) {
        this.#handles.set(table, handle);
      } else {
        this.#handles.delete(table);
      }
    });
  }

  /** Nothing is read from here any more: a thread has ended, and what it says counts. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Begins to read a block; false: the foreground thread has to. */
  read(read: BlockRead): boolean {
    const room = this.#free.length - (this.isWaiting ? 0 : this.#reserved);
    if (this.#failed || this.#isStopped || room <= 0) return false;
    const handle = this.#handles.get(read.table);
    if (handle === undefined) {
      if (!this.#handles.has(read.table)) this.#openTable(read.table);
      return false;
    }
    const length = read.pageCount * PAGE_BYTES;
    const target = read.poolPage * PAGE_BYTES;
    const offset = read.page * PAGE_BYTES;
    assert(target + length <= this.#options.pool.length, 'a read lands inside the pool');
    this.#options.ring.statistics[STATISTIC_REQUESTS] += 1;
    this.#push(OPCODE_READ, handle, target, length, offset, (result) => {
      const pages = result === length ? this.#open(read, target, length, offset) : -1;
      if (pages >= 0) read.onBlock(pages);
      else read.onRefused();
    });
    return true;
  }

  /** Pages that the block has in memory, or a negative number. */
  #open(read: BlockRead, target: number, length: number, offset: number): number {
    const { pool, slotBytes, ring } = this.#options;
    ring.statistics[STATISTIC_BYTES_READ] += length;
    if (!verifyBlock(pool, target, length, read.table, offset).ok) return -1;
    return this.#opener.open(pool, target, length, read.verify, slotBytes);
  }

  #push(
    opcode: number,
    file: number,
    bufferOffset: number,
    length: number,
    offset: number,
    handler: Handler,
  ): void {
    const slot = must(this.#free.pop(), 'a place for the operation');
    const { records } = this.#options.ring;
    const at = this.#queued++ * RECORD_WORDS;
    records[at + WORD_OPCODE] = opcode;
    records[at + WORD_FILE] = file;
    records[at + WORD_BUFFER_OFFSET] = bufferOffset;
    records[at + WORD_LENGTH] = length;
    records[at + WORD_OFFSET_LOW] = offset;
    records[at + WORD_OFFSET_HIGH] = offset / TWO_32;
    records[at + WORD_USER_DATA] = slot;
    records[at + WORD_FLAGS] = REGION_POOL;
    this.#handlers[slot] = handler;
    this.#options.onBegun();
  }

  /** Hands over what has gathered, and runs the handlers of what could be answered at once, as from the page cache. */
  submit(): number {
    return this.#queued > 0 ? this.#turn(0) : 0;
  }

  /** Runs the handlers of what has completed; how many there were. */
  drain(): number {
    return this.isBusy ? this.#turn(0) : 0;
  }

  /** The same, asleep until something completes or the time is over. */
  wait(microseconds: number): number {
    return this.#turn(microseconds);
  }

  #turn(waitMicroseconds: number): number {
    const { ring } = this.#options;
    const count = this.#queued;
    if (count > 0) this.#noteSubmission(count);
    this.#queued = 0;
    this.#inFlight += count;
    let completed: number;
    try {
      completed = ring.turn(count, waitMicroseconds);
    } catch (error) {
      this.#fail(error as Error);
      return 0;
    }
    ring.statistics[STATISTIC_TURNS] += 1;
    if (completed > 0) this.#settle(completed);
    return completed;
  }

  #noteSubmission(count: number): void {
    const { ring, now } = this.#options;
    const { records, statistics } = ring;
    const submittedAt = now();
    for (let i = 0; i < count; i++) {
      this.#submittedAt[records[i * RECORD_WORDS + WORD_USER_DATA]] = submittedAt;
    }
    statistics[STATISTIC_RECORDS] += count;
    statistics[STATISTIC_SUBMITTING_TURNS] += 1;
  }

  #settle(completed: number): void {
    const { ring, now, onEnded } = this.#options;
    const { completions, statistics } = ring;
    const endedAt = now();
    for (let i = 0; i < completed; i++) {
      const at = i * COMPLETION_WORDS;
      const slot = completions[at + COMPLETION_USER_DATA];
      const handler = must(this.#handlers[slot], 'a completion belongs to an operation');
      recordLatency(statistics, (endedAt - this.#submittedAt[slot]) * 1000);
      this.#handlers[slot] = undefined;
      this.#free.push(slot);
      this.#inFlight--;
      onEnded();
      handler(completions[at + COMPLETION_RESULT]);
    }
    this.#closeNext();
  }

  /** What the ring still has is the kernel's: nobody is answered from here any more. */
  #fail(error: Error): void {
    this.#failed = true;
    this.#options.onFailure(error);
    this.#inFlight = 0;
    for (let slot = 0; slot < this.#handlers.length; slot++) {
      const handler = this.#handlers[slot];
      if (handler === undefined) continue;
      this.#handlers[slot] = undefined;
      this.#options.onEnded();
      handler(-1);
    }
  }
}
