/**
 * Holds a stream of bytes to a rate. Pure: the clock and the rate are the caller's, and the rate may change at any time.
 *
 * Bytes are taken when they are moved, whether there are enough or not; what is owed is waited for afterwards. So no
 * piece is too large for a slow rate, and a rate that has become faster shortens the wait for what is owed already.
 */

/** What an idle stream may save up, in milliseconds of its rate. */
const SAVED_MS_MAX = 100;

export class TokenBucket {
  /** Negative: owed. */
  #bytes = 0;
  #filledAt: number;

  /** `nowMs`: milliseconds, of the clock that later calls use too. */
  constructor(nowMs: number) {
    this.#filledAt = nowMs;
  }

  take(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Microseconds until what was taken is paid for, at this rate; 0: go on. A rate of 0 is no limit, and forgives debts. */
  waitMicroseconds(nowMs: number, bytesPerSecond: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#filledAt);
    this.#filledAt = nowMs;
    if (bytesPerSecond === 0) {
      this.#bytes = 0;
      return 0;
    }
    const filled = this.#bytes + (elapsedMs * bytesPerSecond) / 1000;
    this.#bytes = Math.min(filled, (SAVED_MS_MAX * bytesPerSecond) / 1000);
    return this.#bytes >= 0 ? 0 : Math.ceil((-this.#bytes / bytesPerSecond) * 1_000_000);
  }
}
