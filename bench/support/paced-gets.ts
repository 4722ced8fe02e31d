/**
 * Single gets at an even pace beside whatever else the process does, and how long they take. Benchmarks only.
 *
 * A database has one owner thread, so the gets share it with the writer whose load they meet: each is called when a timer
 * of this thread says so. Two times are taken of each: from the call to the value in the caller's hands, which contains the
 * turns of the event loop that others take meanwhile; and from the moment at which it was due, which also contains how long
 * the timer was late. The first is also given without the gets during which the machine itself stood still.
 */
import type { Database } from '../../src/index.ts';
import { pseudoRandom } from './measure.ts';
import { monotonicMs, StallMonitor, touchesStall } from './machine-stalls.ts';
import type { Overwrites } from './overwrites.ts';

/** Gets that may be under way at once; those that are due beyond it are called later, and their delay counts. */
const IN_FLIGHT_MAX = 256;
/** A timer has no finer steps. */
const TICK_MS = 1;
/** So many keys are read again and again: they stay in the cache. */
const HOT_KEYS = 100;

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface GetTimes {
  /** Any key, half of the gets: the block is hardly ever cached. In microseconds, as all are. */
  readonly uniform: Percentiles;
  /** One of few keys, the other half: the block is cached, unless it has just been rewritten. */
  readonly hot: Percentiles;
  /** Uniform ones, from when they were due. */
  readonly uniformFromDue: Percentiles;
  /** Uniform ones during which the machine ran; null where that could not be seen. */
  readonly uniformUndisturbed: Percentiles | null;
  /** Milliseconds that the machine stood still; null where that could not be seen. */
  readonly stalledMs: number | null;
  /** Blocks that were read for a get. */
  readonly blockReadsPerGet: number;
}

export class PacedGets {
  readonly #database: Database;
  readonly #overwrites: Overwrites;
  readonly #perSecond: number;
  readonly #random: (limit: number) => number;
  readonly #timer: NodeJS.Timeout;
  readonly #begun = performance.now();
  readonly #missesBefore: number;
  readonly #monitor = new StallMonitor();
  /** When each uniform one was called, by the clock that stalls are told in. */
  readonly #uniformAt: number[] = [];
  readonly #uniform: number[] = [];
  readonly #uniformFromDue: number[] = [];
  readonly #hot: number[] = [];
  #called = 0;
  #inFlight = 0;
  #onDone: () => void = () => undefined;
  #failure: Error | undefined;

  /** Begins. */
  constructor(database: Database, overwrites: Overwrites, perSecond: number, seed: number) {
    this.#database = database;
    this.#overwrites = overwrites;
    this.#perSecond = perSecond;
    this.#random = pseudoRandom(seed);
    this.#missesBefore = database.stats().cache.misses;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Ends; resolves when the last get has. Rejects when one failed, or found what it must not. */
  async stop(): Promise<GetTimes> {
    clearInterval(this.#timer);
    while (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onDone = resolve));
    const stalls = await this.#monitor.stop();
    if (this.#failure !== undefined) throw this.#failure;
    const undisturbed =
      stalls === undefined
        ? null
        : this.#uniform.filter((ms, i) => !touchesStall(stalls, this.#uniformAt[i], this.#uniformAt[i] + ms));
    return {
      uniform: percentilesOf(this.#uniform),
      hot: percentilesOf(this.#hot),
      uniformFromDue: percentilesOf(this.#uniformFromDue),
      uniformUndisturbed: undisturbed === null ? null : percentilesOf(undisturbed),
      stalledMs: stalls === undefined ? null : stalls.reduce((sum, { from, to }) => sum + to - from, 0),
      blockReadsPerGet: (this.#database.stats().cache.misses - this.#missesBefore) / this.#called,
    };
  }

  #tick(): void {
    const now = performance.now();
    for (;;) {
      const dueAt = this.#begun + (this.#called * 1000) / this.#perSecond;
      if (dueAt > now || this.#inFlight >= IN_FLIGHT_MAX) return;
      this.#call(dueAt);
    }
  }

  #call(dueAt: number): void {
    const isHot = this.#called % 2 === 1;
    this.#called++;
    this.#inFlight++;
    const { entries } = this.#overwrites;
    const number = this.#random(isHot ? Math.min(HOT_KEYS, entries.count) : entries.count);
    const leastVersion = this.#overwrites.versionOf(number);
    const key = entries.key(number);
    const calledAt = performance.now();
    const calledAtMonotonic = monotonicMs();
    this.#database
      .get(key)
      .then((value) => {
        const now = performance.now();
        this.#overwrites.checkRead(number, leastVersion, value);
        if (isHot) {
          this.#hot.push(now - calledAt);
        } else {
          this.#uniformAt.push(calledAtMonotonic);
          this.#uniform.push(now - calledAt);
          this.#uniformFromDue.push(now - dueAt);
        }
      })
      .catch((error: unknown) => {
        this.#failure ??= error as Error;
      })
      .finally(() => {
        this.#inFlight--;
        this.#onDone();
      });
  }
}

/** Of times in milliseconds; given in microseconds. */
export function percentilesOf(milliseconds: readonly number[]): Percentiles {
  const sorted = Float64Array.from(milliseconds).sort();
  const at = (share: number): number =>
    (sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0) * 1000;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}
