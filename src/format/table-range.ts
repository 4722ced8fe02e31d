/**
 * Which keys may be a table's, as far as its description says. Pure; any thread.
 *
 *     [smallest key ──────── largest key]     the last entry's key; range tombstones end at it or before
 *     [smallest key ──────── largest key)     exclusive: the end of a range tombstone, behind all entries
 *     [smallest key ───────────────────►      the same without bytes: the range tombstone has no end
 */
import { compareBytes } from './compare.ts';
import { compareEnds, compareWithEnd } from './range-tombstones.ts';
import type { TableDescription } from './version-edit.ts';

export type TableRange = Pick<TableDescription, 'smallestKey' | 'largestKey' | 'largestKeyIsExclusive'>;

/** HOT. Whether a key is before all keys of the table. */
export function isBeforeTable(
  key: Uint8Array,
  keyStart: number,
  keyLength: number,
  { smallestKey }: TableRange,
): boolean {
  return compareBytes(key, keyStart, keyLength, smallestKey, 0, smallestKey.length) < 0;
}

/** HOT. Whether a key is behind all keys of the table. */
export function isBehindTable(
  key: Uint8Array,
  keyStart: number,
  keyLength: number,
  { largestKey, largestKeyIsExclusive }: TableRange,
): boolean {
  if (largestKeyIsExclusive) return compareWithEnd(key, keyStart, keyLength, largestKey) >= 0;
  return compareBytes(key, keyStart, keyLength, largestKey, 0, largestKey.length) > 0;
}

/** Whether some key may be in both. */
export function overlaps(a: TableRange, b: TableRange): boolean {
  return (
    !isBehindTable(a.smallestKey, 0, a.smallestKey.length, b) &&
    !isBehindTable(b.smallestKey, 0, b.smallestKey.length, a)
  );
}

/** Negative, zero or positive as the keys of `a` end before, with or behind those of `b`. */
export function compareLargest(a: TableRange, b: TableRange): number {
  if (a.largestKeyIsExclusive && b.largestKeyIsExclusive) return compareEnds(a.largestKey, b.largestKey);
  // An end, of which one of no bytes is behind all keys, against a key: where both have the same bytes the key is behind.
  if (a.largestKeyIsExclusive)
    return -compareWithEnd(b.largestKey, 0, b.largestKey.length, a.largestKey) || -1;
  if (b.largestKeyIsExclusive) return compareWithEnd(a.largestKey, 0, a.largestKey.length, b.largestKey) || 1;
  return compareBytes(a.largestKey, 0, a.largestKey.length, b.largestKey, 0, b.largestKey.length);
}
