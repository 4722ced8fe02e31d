/**
 * The engine's scheduler with stamps around it: when a request was published, how its ring thread slept then, and when its
 * handler ran. Owner of benchmarks only.
 */
import { assert, must } from '../../src/assert.ts';
import { AWAKE } from '../../src/atomics-sync/doorbell.ts';
import { IoScheduler, type CompletionHandler } from '../../src/main/io-scheduler.ts';
import { QUEUE_CAPACITY } from '../../src/protocol/crew-layout.ts';
import { ROLE_IDS, type RoleId } from '../../src/protocol/requests.ts';
import type { BenchCrew } from './bench-crew.ts';
import { STAMP_HANDLED, STAMP_PUBLISHED } from './stages.ts';
import { STAMP_SLOTS, stampsAt, type Clock, type Stamps } from './stamps.ts';

export class StampedScheduler extends IoScheduler {
  readonly #crew: BenchCrew;
  readonly #clock: Clock;
  /** By role: requests made so far, and published. */
  readonly #made = new Int32Array(ROLE_IDS.length);
  readonly #published = new Int32Array(ROLE_IDS.length);
  /** By role and slot of the request: how its thread slept when it was published. */
  readonly #slept = ROLE_IDS.map(() => new Int8Array(STAMP_SLOTS));

  constructor(crew: BenchCrew, directory: string, spinMicroseconds: number, clock: Clock) {
    super(crew, directory, { spinMicroseconds, now: () => performance.now() });
    this.#crew = crew;
    this.#clock = clock;
  }

  /** The number that the role's next request will have. */
  nextOrdinal(role: RoleId): number {
    return this.#made[role];
  }

  stampsOf(role: RoleId): Stamps {
    return must(this.#crew.stamps[role], 'each role has stamps');
  }

  /** AWAKE, PARKED_IN_WAIT or PARKED_IN_KERNEL: how the thread slept that the publishing of the request woke. */
  sleptAt(role: RoleId, ordinal: number): number {
    return must(this.#slept[role], 'each role has slots')[ordinal & (STAMP_SLOTS - 1)];
  }

  /** The request's handler runs. */
  handled(role: RoleId, ordinal: number): void {
    this.stampsOf(role)[stampsAt(ordinal) + STAMP_HANDLED] = this.#clock();
  }

  override request(
    role: RoleId,
    opcode: number,
    handler: CompletionHandler,
    ...args: [number?, number?, number?, number?, number?]
  ): void {
    assert(this.outstanding < QUEUE_CAPACITY, 'no request of a benchmark waits for room');
    this.#made[role]++;
    super.request(role, opcode, handler, ...args);
  }

  override publishToRoles(): void {
    let now = 0;
    for (const role of ROLE_IDS) {
      if (this.#made[role] === this.#published[role]) continue;
      if (now === 0) now = this.#clock();
      const stamps = this.stampsOf(role);
      for (let request = this.#published[role]; request < this.#made[role]; request++) {
        stamps[stampsAt(request) + STAMP_PUBLISHED] = now;
      }
    }
    // Rings those whose requests are new.
    super.publishToRoles();
    if (now > 0) this.#noteSleepers();
  }

  #noteSleepers(): void {
    const { wokenFrom } = this.#crew;
    for (const role of ROLE_IDS) {
      const slept = must(this.#slept[role], 'each role has slots');
      for (; this.#published[role] < this.#made[role]; this.#published[role]++) {
        slept[this.#published[role] & (STAMP_SLOTS - 1)] = wokenFrom[role];
      }
      wokenFrom[role] = AWAKE;
    }
  }
}
