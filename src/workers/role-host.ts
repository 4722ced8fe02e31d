/**
 * Runs one role over one ring: takes requests, steps tasks, hands their records to the ring, publishes answers. Ring
 * threads only (in tests also a single thread that plays all of them). It never sleeps by itself: whoever drives it
 * decides how long a turn may wait.
 *
 *     request queue ─► task (generator) ─► records ─► ring.turn ─► completions ─► task … ─► completion queue
 *
 * Bounds: `tasksMax` requests at once, each with `recordsPerTask` records; their product fits the ring, so a turn never
 * meets a full submission queue. The completion queue holds as many answers as the owner may have requests outstanding.
 */
import { assert, must } from '../assert.ts';
import { SpscConsumer, SpscProducer } from '../atomics-sync/spsc-queue.ts';
import type { RoleWords } from '../protocol/crew-layout.ts';
import { REQUEST_ARGUMENTS, REQUEST_ID, REQUEST_OPCODE } from '../protocol/requests.ts';
import {
  recordLatency,
  STATISTIC_BYTES_READ,
  STATISTIC_BYTES_WRITTEN,
  STATISTIC_RECORDS,
  STATISTIC_REQUESTS,
  STATISTIC_SUBMITTING_TURNS,
  STATISTIC_TURNS,
} from '../protocol/ring-statistics.ts';
import type { RoleIo, RoleLimits, RoleTask } from './role-io.ts';
import {
  COMPLETION_BUFFER,
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  OPCODE_TIMEOUT,
  RECORD_WORDS,
  WORD_OPCODE,
  WORD_USER_DATA,
  type Ring,
} from './ring.ts';
import type { Role } from './role.ts';

/** In place of the moment of submission: how long it takes says nothing about the disk. */
const NOT_TIMED = -1;

export interface RoleHostOptions {
  readonly ring: Ring;
  readonly io: RoleIo;
  readonly role: Role;
  readonly limits: RoleLimits;
  readonly words: RoleWords;
  readonly statistics: Float64Array;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

export class RoleHost {
  readonly #ring: Ring;
  readonly #io: RoleIo;
  readonly #role: Role;
  readonly #requests: SpscConsumer;
  readonly #requestWords: Int32Array;
  readonly #completions: SpscProducer;
  readonly #completionWords: Int32Array;
  readonly #statistics: Float64Array;
  readonly #now: () => number;
  readonly #tasks: (RoleTask | undefined)[];
  readonly #requestIds: Int32Array;
  /** How many records each task lets be outstanding when it is resumed. */
  readonly #allowances: Int32Array;
  readonly #freeSlots: number[] = [];
  /** Tasks that can go on, oldest first. */
  #ready: number[] = [];
  #resuming: number[] = [];
  readonly #submittedAt: Float64Array;
  #inFlight = 0;

  constructor(options: RoleHostOptions) {
    const { ring, role, words } = options;
    const { tasksMax, recordsPerTask } = options.limits;
    assert(tasksMax * recordsPerTask <= ring.entries, 'all records of all tasks fit the ring');
    this.#ring = ring;
    this.#io = options.io;
    this.#role = role;
    this.#requests = new SpscConsumer(words.requests);
    this.#requestWords = words.requests.words;
    this.#completions = new SpscProducer(words.completions);
    this.#completionWords = words.completions.words;
    this.#statistics = options.statistics;
    this.#now = options.now;
    this.#tasks = new Array<RoleTask | undefined>(tasksMax).fill(undefined);
    this.#requestIds = new Int32Array(tasksMax);
    this.#allowances = new Int32Array(tasksMax);
    for (let slot = tasksMax - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
    this.#submittedAt = new Float64Array(tasksMax * recordsPerTask);
  }

  /** Records that the kernel has and has not completed. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether a turn would do something without waiting: a task can go on or records wait to be submitted. */
  get hasWork(): boolean {
    return this.#ready.length > 0 || this.#io.batchLength > 0;
  }

  /** Whether a task can go on as soon as a turn has submitted what it pushed. */
  get hasReadyTask(): boolean {
    return this.#ready.length > 0;
  }

  /** Whether a request in the queue could be taken now. */
  get canTakeRequest(): boolean {
    return this.#freeSlots.length > 0 && this.#requests.hasMore();
  }

  /** Whether the queue has a request, taken or not. */
  get hasRequest(): boolean {
    return this.#requests.hasMore();
  }

  /** Starts the tasks of as many requests as may run at once, and resumes those that can go on. */
  advance(): void {
    while (this.#freeSlots.length > 0) {
      const at = this.#requests.next();
      if (at < 0) break;
      this.#start(at);
    }
    this.#requests.release();
    if (this.#ready.length > 0) {
      const resuming = this.#ready;
      this.#ready = this.#resuming;
      this.#resuming = resuming;
      for (const slot of resuming) this.#resume(slot);
      resuming.length = 0;
    }
  }

  /** Makes the answers that are ready visible to the owner; true if there were any. */
  publish(): boolean {
    return this.#completions.publish();
  }

  /** Submits what tasks have pushed and takes completions, waiting up to `waitMicroseconds` for one. */
  turn(waitMicroseconds: number): void {
    const io = this.#io;
    const count = io.batchLength;
    if (count === 0 && this.#inFlight === 0) return;
    if (count > 0) this.#noteSubmission(count);
    io.batchLength = 0;
    this.#inFlight += count;
    const completed = this.#ring.turn(count, waitMicroseconds);
    this.#statistics[STATISTIC_TURNS] += 1;
    if (completed > 0) this.#settle(completed);
  }

  #noteSubmission(count: number): void {
    const now = this.#now();
    const records = this.#ring.records;
    for (let i = 0; i < count; i++) {
      const at = i * RECORD_WORDS;
      const isTimeout = records[at + WORD_OPCODE] === OPCODE_TIMEOUT;
      this.#submittedAt[records[at + WORD_USER_DATA]] = isTimeout ? NOT_TIMED : now;
    }
    const statistics = this.#statistics;
    statistics[STATISTIC_RECORDS] += count;
    statistics[STATISTIC_SUBMITTING_TURNS] += 1;
    statistics[STATISTIC_BYTES_READ] = this.#io.bytesRead;
    statistics[STATISTIC_BYTES_WRITTEN] = this.#io.bytesWritten;
  }

  #settle(completed: number): void {
    const now = this.#now();
    const completions = this.#ring.completions;
    this.#inFlight -= completed;
    assert(this.#inFlight >= 0, 'no more completions than submissions');
    for (let i = 0; i < completed; i++) {
      const at = i * COMPLETION_WORDS;
      const userData = completions[at + COMPLETION_USER_DATA];
      const submittedAt = this.#submittedAt[userData];
      if (submittedAt !== NOT_TIMED) recordLatency(this.#statistics, (now - submittedAt) * 1000);
      const slot = this.#io.settle(
        userData,
        completions[at + COMPLETION_RESULT],
        completions[at + COMPLETION_BUFFER],
      );
      if (this.#io.outstandingOf(slot) === this.#allowances[slot]) this.#resume(slot);
    }
  }

  #start(at: number): void {
    const words = this.#requestWords;
    const slot = must(this.#freeSlots.pop(), 'a slot is free');
    this.#requestIds[slot] = words[at + REQUEST_ID]!;
    this.#tasks[slot] = this.#role.start(words[at + REQUEST_OPCODE], [
      words[at + REQUEST_ARGUMENTS],
      words[at + REQUEST_ARGUMENTS + 1],
      words[at + REQUEST_ARGUMENTS + 2],
      words[at + REQUEST_ARGUMENTS + 3],
      words[at + REQUEST_ARGUMENTS + 4],
    ]);
    this.#statistics[STATISTIC_REQUESTS] += 1;
    this.#resume(slot);
  }

  #resume(slot: number): void {
    const io = this.#io;
    io.enter(slot);
    const step = must(this.#tasks[slot], 'a slot that is resumed has a task').next();
    const outstanding = io.outstandingOf(slot);
    if (step.done === true) {
      assert(outstanding === 0, 'a task ends with nothing outstanding');
      this.#tasks[slot] = undefined;
      this.#freeSlots.push(slot);
      this.#answer(this.#requestIds[slot]);
      return;
    }
    const allowance = step.value;
    this.#allowances[slot] = allowance;
    if (outstanding <= allowance) {
      // Resumed in the next round, after a turn has submitted what it pushed; no completion must resume it as well.
      this.#allowances[slot] = -1;
      this.#ready.push(slot);
    }
  }

  #answer(requestId: number): void {
    const at = this.#completions.reserve();
    assert(at >= 0, 'the completion queue holds an answer for every request outstanding');
    const words = this.#completionWords;
    words[at] = requestId;
    words[at + 1] = this.#io.responseResult;
    words[at + 2] = this.#io.responseDetail0;
    words[at + 3] = this.#io.responseDetail1;
  }
}
