/**
 * The memory that this room works in: 32-bit words shared between threads. Pure; any thread.
 *
 * The caller owns the buffer and decides what stands where. Everything here takes the array and the index of its first
 * word, so that the queues and doorbells of one group of threads share one allocation.
 */

export type SharedWords = Int32Array<SharedArrayBuffer>;

/**
 * A 64-byte cache line. Words that different threads write stand on lines of their own: otherwise each store by one
 * thread would take the line away from the other.
 */
export const LINE_WORDS = 16;

/** `count` words, rounded up to whole cache lines. */
export function wholeLines(count: number): number {
  return Math.ceil(count / LINE_WORDS) * LINE_WORDS;
}
