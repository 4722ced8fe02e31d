/**
 * The order of user keys: by bytes, unsigned, a prefix before what it is a prefix of. Pure; any thread.
 */

/** HOT. Negative, zero or positive as a sorts before, with or after b. */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aLength: number,
  b: Uint8Array,
  bStart: number,
  bLength: number,
): number {
  const shorter = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < shorter; i++) {
    const difference = a[aStart + i] - b[bStart + i];
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** HOT. How many bytes a and b have in common at their beginning. */
export function commonPrefixLength(
  a: Uint8Array,
  aStart: number,
  aLength: number,
  b: Uint8Array,
  bStart: number,
  bLength: number,
): number {
  const shorter = aLength < bLength ? aLength : bLength;
  let i = 0;
  while (i < shorter && a[aStart + i] === b[bStart + i]) i++;
  return i;
}
