/**
 * Spans of keys, as tables have them: from a smallest key to a largest one, which may lie just outside. Pure.
 *
 *     [smallest, largest]     the largest key is an entry's
 *     [smallest, largest)     it is the end of a range tombstone: a table that begins there is a neighbour
 *     [smallest, …            the same with a largest key of no bytes: no end
 */
import { must } from '../assert.ts';
import { compareKeys } from './range.ts';

/** A table's description is one. */
export interface KeySpan {
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
  readonly largestKeyIsExclusive: boolean;
}

/** Places in a level: from `from` on and before `to`. */
export interface Places {
  readonly from: number;
  readonly to: number;
}

const NO_BYTES = new Uint8Array(0);

/** Keys from `lower` on and before `upper`; undefined is no bound. REQUIRES: there is a key between them. */
export function spanBetween(lower: Uint8Array | undefined, upper: Uint8Array | undefined): KeySpan {
  return { smallestKey: lower ?? NO_BYTES, largestKey: upper ?? NO_BYTES, largestKeyIsExclusive: true };
}

/** Whether the whole span is before `key`. */
export function endsBefore(span: KeySpan, key: Uint8Array): boolean {
  const { largestKey } = span;
  if (!span.largestKeyIsExclusive) return compareKeys(largestKey, key) < 0;
  return largestKey.length > 0 && compareKeys(largestKey, key) <= 0;
}

/** Whether the span ends behind `key`. */
export function reachesBehind({ largestKey, largestKeyIsExclusive }: KeySpan, key: Uint8Array): boolean {
  return (largestKeyIsExclusive && largestKey.length === 0) || compareKeys(largestKey, key) > 0;
}

export function overlaps(a: KeySpan, b: KeySpan): boolean {
  return !endsBefore(a, b.smallestKey) && !endsBefore(b, a.smallestKey);
}

/** Negative, zero or positive as a ends before, with or after b. */
export function compareSpanEnds(a: KeySpan, b: KeySpan): number {
  const aIsOpen = a.largestKeyIsExclusive && a.largestKey.length === 0;
  const bIsOpen = b.largestKeyIsExclusive && b.largestKey.length === 0;
  if (aIsOpen || bIsOpen) return Number(aIsOpen) - Number(bIsOpen);
  const order = compareKeys(a.largestKey, b.largestKey);
  return order !== 0 ? order : Number(b.largestKeyIsExclusive) - Number(a.largestKeyIsExclusive);
}

/** Whether everything that `inner` holds is in `outer`. */
export function contains(outer: KeySpan, inner: KeySpan): boolean {
  return compareKeys(outer.smallestKey, inner.smallestKey) <= 0 && compareSpanEnds(inner, outer) <= 0;
}

/** From the smallest of the smallest keys to the last of the ends. REQUIRES: at least one span. */
export function hullOf(spans: readonly KeySpan[]): KeySpan {
  let first = must(spans[0], 'a hull is around something');
  let last = first;
  for (const span of spans) {
    if (compareKeys(span.smallestKey, first.smallestKey) < 0) first = span;
    if (compareSpanEnds(span, last) > 0) last = span;
  }
  return {
    smallestKey: first.smallestKey,
    largestKey: last.largestKey,
    largestKeyIsExclusive: last.largestKeyIsExclusive,
  };
}

/** Places of what overlaps the span. REQUIRES: a level of which no two overlap, in order. */
export function placesWithin(level: readonly KeySpan[], span: KeySpan): Places {
  const from = firstWhere(level, (other) => !endsBefore(other, span.smallestKey));
  const to = firstWhere(level, (other) => endsBefore(span, other.smallestKey));
  return { from, to: Math.max(from, to) };
}

/** The place of the first span that `isBehind` holds for, and so for all that follow. */
export function firstWhere(level: readonly KeySpan[], isBehind: (span: KeySpan) => boolean): number {
  let low = 0;
  let high = level.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBehind(level[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}
