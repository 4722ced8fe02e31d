/**
 * Spinning before parking, bounded, and off where it does not pay. Any thread; no shared state of its own.
 *
 * Waking a thread that sleeps on a halted core costs 10–50 µs; finding the work by looking again and again costs 1 µs,
 * but takes a core which, when cores are few, is the very one that the work needs. So what a spin may cost follows what
 * spins have brought:
 *
 * - a spin that succeeds doubles the current budget, and makes it at least twice the time that it took;
 * - one that fails halves it; below `BUDGET_FLOOR_MICROSECONDS` spinning is off;
 * - while it is off, one call in `PROBE_INTERVAL_MIN` spins for the whole budget to see whether times have changed. A
 *   probe that fails doubles the interval, up to `PROBE_INTERVAL_MAX`.
 *
 * So where spinning never pays, its cost falls to one budget in `PROBE_INTERVAL_MAX` parks.
 */
import { assert } from '../assert.ts';

/** A shorter spin ends before another thread could have answered. */
const BUDGET_FLOOR_MICROSECONDS = 2;
const PROBE_INTERVAL_MIN = 64;
const PROBE_INTERVAL_MAX = 4096;
/** Reading the clock costs more than looking at a word. */
const CHECKS_PER_CLOCK_READING = 16;
/** Ends a spin whose clock stands still: no check takes less than 5 ns. */
const CHECKS_PER_MICROSECOND_MAX = 200;

export interface AdaptiveSpinOptions {
  /** The longest spin; 0 turns spinning off for good. */
  readonly budgetMicroseconds: number;
  /** A monotonic clock in milliseconds, with fractions. */
  readonly now: () => number;
}

export class AdaptiveSpin {
  readonly #budgetMicroseconds: number;
  readonly #now: () => number;
  #currentMicroseconds: number;
  #probeInterval = PROBE_INTERVAL_MIN;
  /** Calls left until the next probe, while spinning is off. */
  #untilProbe = 0;
  #isProbe = false;

  constructor(options: AdaptiveSpinOptions) {
    assert(
      Number.isFinite(options.budgetMicroseconds) && options.budgetMicroseconds >= 0,
      'a spin needs a finite budget',
    );
    this.#budgetMicroseconds = options.budgetMicroseconds;
    this.#now = options.now;
    this.#currentMicroseconds = options.budgetMicroseconds;
  }

  /** What the next spin may take; 0 while spinning is off. */
  get currentMicroseconds(): number {
    return this.#currentMicroseconds;
  }

  /**
   * Calls `isReady` until it says true, up to the current budget. False: not ready, or not worth trying, in which case
   * `isReady` may not have been called at all; the caller parks, and looks for itself as it does.
   */
  spin(isReady: () => boolean): boolean {
    const budget = this.begin();
    if (budget === 0) return false;
    const taken = this.#look(isReady, budget);
    this.end(taken);
    return taken >= 0;
  }

  /**
   * For a spin that the caller does itself, in turns of its event loop for example: how many microseconds it may take; 0: it is
   * not worth trying. Otherwise `end` is to be called.
   */
  begin(): number {
    if (this.#budgetMicroseconds === 0) return 0;
    this.#isProbe = this.#currentMicroseconds === 0;
    if (this.#isProbe && --this.#untilProbe > 0) return 0;
    return this.#isProbe ? this.#budgetMicroseconds : this.#currentMicroseconds;
  }

  /** What became of it: after how many microseconds it was ready, or −1. */
  end(takenMicroseconds: number): void {
    if (takenMicroseconds >= 0) this.#succeeded(takenMicroseconds);
    else this.#failed(this.#isProbe);
  }

  /** Microseconds until it was ready, or −1. */
  #look(isReady: () => boolean, budgetMicroseconds: number): number {
    const began = this.#now();
    const checksMax = Math.ceil(budgetMicroseconds * CHECKS_PER_MICROSECOND_MAX);
    for (let checks = 1; checks <= checksMax; checks++) {
      if (isReady()) return Math.max(0, (this.#now() - began) * 1000);
      if (checks % CHECKS_PER_CLOCK_READING === 0 && (this.#now() - began) * 1000 >= budgetMicroseconds)
        break;
    }
    return -1;
  }

  #succeeded(takenMicroseconds: number): void {
    const grown = Math.max(2 * this.#currentMicroseconds, 2 * takenMicroseconds, BUDGET_FLOOR_MICROSECONDS);
    this.#currentMicroseconds = Math.min(this.#budgetMicroseconds, grown);
    this.#probeInterval = PROBE_INTERVAL_MIN;
  }

  #failed(probing: boolean): void {
    if (probing) this.#probeInterval = Math.min(PROBE_INTERVAL_MAX, 2 * this.#probeInterval);
    const halved = this.#currentMicroseconds / 2;
    this.#currentMicroseconds = halved >= BUDGET_FLOOR_MICROSECONDS ? halved : 0;
    if (this.#currentMicroseconds === 0) this.#untilProbe = this.#probeInterval;
  }
}
