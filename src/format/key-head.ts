/** The beginning of a key as a number, so that most comparisons of keys are one of numbers. Pure; any thread. */

/** Whole bytes that a head holds; of one more it holds the upper half. */
export const HEAD_BYTES = 6;
export const HEAD_BITS = 52;

/** HOT. The first 52 bits from `at` as a number that sorts like them; what lies beyond `end` counts as zero. */
export function headOf(bytes: Uint8Array, at: number, end: number): number {
  if (at + 7 <= end) {
    const high = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    const low = (bytes[at + 4] << 12) | (bytes[at + 5] << 4) | (bytes[at + 6] >>> 4);
    return (high >>> 0) * 0x10_0000 + low;
  }
  let head = 0;
  for (let i = at; i < at + 6; i++) head = head * 256 + (i < end ? bytes[i] : 0);
  return head * 16;
}
