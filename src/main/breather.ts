/**
 * Lets the event loop have its turns while something long is done on this thread. Owner only.
 *
 *     if (breather.isDue) await breather.breathe();
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { QuadringError } from '../errors.ts';

/** So long others wait at most, beside what one step takes. */
const WORK_MS_MAX = 8;
/** The clock is looked at once in so many times. */
const LOOKS_MAX = 64;

export class Breather {
  readonly #signal: AbortSignal | undefined;
  #begun = performance.now();
  #looks = 0;

  /** Whoever has the signal can end the work, at its next breath. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether others have waited long enough. For steps that take microseconds; `breathe` itself may be called at any time. */
  get isDue(): boolean {
    if (++this.#looks < LOOKS_MAX) return false;
    this.#looks = 0;
    return performance.now() - this.#begun > WORK_MS_MAX;
  }

  /** The same for steps that take a millisecond or so. */
  async afterLongStep(): Promise<void> {
    if (performance.now() - this.#begun > WORK_MS_MAX) await this.breathe();
  }

  /** Rejects with ABORTED. */
  async breathe(): Promise<void> {
    await nextTurn();
    this.#begun = performance.now();
    if (this.#signal?.aborted !== true) return;
    throw new QuadringError('ABORTED', 'it was aborted by its signal', { cause: this.#signal.reason });
  }
}
