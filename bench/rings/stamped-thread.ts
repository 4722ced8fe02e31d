/**
 * A ring thread's parts with stamps around them: its ring, its role, its host. Ring threads of benchmarks only.
 *
 *     StampedRole.start   taken                   StampedRing.turn   submitted, completed
 *     StampedHost.publish answered
 *
 * They change nothing but this: a turn that submits and waits is two, one that submits and one that waits, because the moment
 * in between is what separates the ring from the disk. That is one entry to the kernel more.
 */
import { assert } from '../../src/assert.ts';
import { QUEUE_CAPACITY } from '../../src/protocol/crew-layout.ts';
import type { RingDescription } from '../../src/protocol/ring-thread-task.ts';
import {
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  RECORD_WORDS,
  WORD_USER_DATA,
  type Ring,
} from '../../src/workers/ring.ts';
import type { RoleIo, RoleTask } from '../../src/workers/role-io.ts';
import { RoleHost, type RoleHostOptions } from '../../src/workers/role-host.ts';
import type { RequestArguments, Role } from '../../src/workers/role.ts';
import { STAMP_ANSWERED, STAMP_COMPLETED, STAMP_SUBMITTED, STAMP_TAKEN } from './stages.ts';
import { stampsAt, type Clock, type Stamps } from './stamps.ts';

/** The ring thread's side of the stamps: which request a record belongs to, and which answers are not published yet. */
export class ThreadStamps {
  readonly #stamps: Stamps;
  readonly #clock: Clock;
  /** By user data. */
  readonly #requests: Int32Array;
  readonly #answered = new Int32Array(QUEUE_CAPACITY);
  #answeredCount = 0;
  #takenCount = 0;

  constructor(stamps: Stamps, clock: Clock, entries: number) {
    this.#stamps = stamps;
    this.#clock = clock;
    this.#requests = new Int32Array(entries);
  }

  /** The number of the request that is taken now. */
  taken(): number {
    const request = this.#takenCount++;
    this.#stamps[stampsAt(request) + STAMP_TAKEN] = this.#clock();
    return request;
  }

  /** Records `from` to `to` of the batch are the request's. */
  pushed(request: number, records: Int32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) this.#requests[records[i * RECORD_WORDS + WORD_USER_DATA]] = request;
  }

  /** All records of the batch have been submitted, and so many completions came with that. */
  submitted(records: Int32Array, count: number, completions: Int32Array, completed: number): void {
    const now = this.#clock();
    for (let i = 0; i < count; i++)
      this.#stamp(records[i * RECORD_WORDS + WORD_USER_DATA], STAMP_SUBMITTED, now);
    this.#completed(completions, completed, now);
  }

  completed(completions: Int32Array, completed: number): void {
    this.#completed(completions, completed, this.#clock());
  }

  answered(request: number): void {
    assert(this.#answeredCount < this.#answered.length, 'no more answers than requests');
    this.#answered[this.#answeredCount++] = request;
  }

  published(): void {
    if (this.#answeredCount === 0) return;
    const now = this.#clock();
    for (let i = 0; i < this.#answeredCount; i++) {
      this.#stamps[stampsAt(this.#answered[i]) + STAMP_ANSWERED] = now;
    }
    this.#answeredCount = 0;
  }

  #completed(completions: Int32Array, completed: number, now: number): void {
    for (let i = 0; i < completed; i++) {
      this.#stamp(completions[i * COMPLETION_WORDS + COMPLETION_USER_DATA], STAMP_COMPLETED, now);
    }
  }

  #stamp(userData: number, stamp: number, now: number): void {
    this.#stamps[stampsAt(this.#requests[userData]) + stamp] = now;
  }
}

export class StampedRing implements Ring {
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  readonly asynchronous: boolean;
  readonly polls: boolean;
  readonly #ring: Ring;
  readonly #stamps: ThreadStamps;
  readonly #isRung: () => boolean;

  /** `isRung`: whether somebody has rung this thread's doorbell since it announced that it would sleep. */
  constructor(ring: Ring, stamps: ThreadStamps, isRung: () => boolean) {
    this.entries = ring.entries;
    this.records = ring.records;
    this.names = ring.names;
    this.completions = ring.completions;
    this.asynchronous = ring.asynchronous;
    this.polls = ring.polls;
    this.#ring = ring;
    this.#stamps = stamps;
    this.#isRung = isRung;
  }

  attach(...of: Parameters<Ring['attach']>): void {
    this.#ring.attach(...of);
  }

  turn(count: number, waitMicroseconds: number): number {
    if (count > 0) {
      const completed = this.#ring.turn(count, 0);
      this.#stamps.submitted(this.records, count, this.completions, completed);
      // The first turn may have taken the wake-up that was meant to end the second one. Then the doorbell says so; if it
      // does not, who rings it writes to the eventfd after this, and that keeps.
      if (completed > 0 || waitMicroseconds === 0 || this.#isRung()) return completed;
    }
    const completed = this.#ring.turn(0, waitMicroseconds);
    if (completed > 0) this.#stamps.completed(this.completions, completed);
    return completed;
  }

  describe(): RingDescription {
    return this.#ring.describe();
  }

  close(): void {
    this.#ring.close();
  }
}

export class StampedRole implements Role {
  readonly id: Role['id'];
  readonly #role: Role;
  readonly #io: RoleIo;
  readonly #ring: Ring;
  readonly #stamps: ThreadStamps;

  constructor(role: Role, io: RoleIo, ring: Ring, stamps: ThreadStamps) {
    this.id = role.id;
    this.#role = role;
    this.#io = io;
    this.#ring = ring;
    this.#stamps = stamps;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    const request = this.#stamps.taken();
    return this.#follow(request, this.#role.start(opcode, args));
  }

  *#follow(request: number, task: RoleTask): RoleTask {
    for (;;) {
      const from = this.#io.batchLength;
      const step = task.next();
      this.#stamps.pushed(request, this.#ring.records, from, this.#io.batchLength);
      if (step.done === true) break;
      yield step.value;
    }
    this.#stamps.answered(request);
  }
}

export class StampedHost extends RoleHost {
  readonly #stamps: ThreadStamps;

  constructor(options: RoleHostOptions, stamps: ThreadStamps) {
    super(options);
    this.#stamps = stamps;
  }

  override publish(): boolean {
    this.#stamps.published();
    return super.publish();
  }
}
