/** Ranges of keys as the caller gives them, checked and made half-open. Owner only; pure. */
import { QuadringError } from '../errors.ts';
import { compareBytes } from '../format/compare.ts';
import { KEY_BYTES_MAX } from '../format/limits.ts';
import type { KeyScratch } from './bytes.ts';
import { type Bytes } from './bytes.ts';

/** Which keys, in which order, and how many. `gte` and `lte` give way to `gt` and `lt` where both are given. */
export interface Range {
  /** Greater than. */
  readonly gt?: Bytes;
  /** Greater than or equal to. */
  readonly gte?: Bytes;
  /** Less than. */
  readonly lt?: Bytes;
  /** Less than or equal to. */
  readonly lte?: Bytes;
  /** From the last key to the first. Default false. */
  readonly reverse?: boolean;
  /** At most so many entries; −1 or Infinity: all. Default −1. */
  readonly limit?: number;
}

/** Keys from `lower` on and before `upper`; undefined is no bound. Both are copies. */
export interface KeyRange {
  readonly lower: Uint8Array | undefined;
  readonly upper: Uint8Array | undefined;
}

/** The keys of a range, without an order or a limit. */
export type RangeBounds = Pick<Range, 'gt' | 'gte' | 'lt' | 'lte'>;

/** Keys from `start` on and before `end`, which may be of no bytes: no end. Both fit into a record. */
export interface DeletedKeys {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);
export const RANGE_OPTION_NAMES = ['gt', 'gte', 'lt', 'lte', 'reverse', 'limit'] as const;

/** Throws INVALID_ARGUMENT or KEY_TOO_LARGE. */
export function keyRangeOf({ gt, gte, lt, lte }: RangeBounds, scratch: KeyScratch): KeyRange {
  const lower = gt !== undefined ? successorOf(gt, scratch) : boundOf(gte, scratch);
  const upper =
    lt !== undefined ? boundOf(lt, scratch) : lte === undefined ? undefined : successorOf(lte, scratch);
  return { lower, upper };
}

/** The same keys as a record has them that deletes them; undefined where there are none. */
export function deletedKeysOf({ lower, upper }: KeyRange): DeletedKeys | undefined {
  const start = lower === undefined ? NO_BYTES : firstThatFits(lower);
  if (start === undefined) return undefined;
  const end = upper === undefined ? undefined : firstThatFits(upper);
  if (end === undefined) return { start, end: NO_BYTES };
  return compareKeys(start, end) < 0 ? { start, end } : undefined;
}

/** The first key from `bound` on that is not too long; undefined where all from there on are. */
export function firstThatFits(bound: Uint8Array): Uint8Array | undefined {
  if (bound.length <= KEY_BYTES_MAX) return bound;
  // What begins with these bytes and goes on is too long: it takes a greater byte among them, as far behind as it can be.
  let last = KEY_BYTES_MAX - 1;
  while (last >= 0 && bound[last] === 0xff) last--;
  if (last < 0) return undefined;
  const next = new Uint8Array(bound.subarray(0, last + 1));
  next[last]++;
  return next;
}

/** The part of a range from `target` on, in its direction; `target` belongs to it. */
export function narrowed(range: KeyRange, target: Bytes, isReverse: boolean, scratch: KeyScratch): KeyRange {
  if (isReverse) {
    const upper = successorOf(target, scratch);
    return range.upper !== undefined && compareKeys(range.upper, upper) < 0 ? range : { ...range, upper };
  }
  const lower = keyOf(target, scratch);
  return range.lower !== undefined && compareKeys(range.lower, lower) > 0 ? range : { ...range, lower };
}

/** Infinity where there is no limit. Throws INVALID_ARGUMENT. */
export function limitOf({ limit }: Range): number {
  if (limit === undefined || limit === -1 || limit === Infinity) return Infinity;
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new QuadringError('INVALID_ARGUMENT', 'limit must be a whole number, or −1 for none');
  }
  return limit;
}

/** Throws INVALID_ARGUMENT. */
export function isReverseOf({ reverse }: Range): boolean {
  if (reverse !== undefined && typeof reverse !== 'boolean') {
    throw new QuadringError('INVALID_ARGUMENT', 'reverse must be true or false');
  }
  return reverse === true;
}

export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return compareBytes(a, 0, a.length, b, 0, b.length);
}

function boundOf(key: Bytes | undefined, scratch: KeyScratch): Uint8Array | undefined {
  return key === undefined ? undefined : keyOf(key, scratch);
}

function keyOf(key: Bytes, scratch: KeyScratch): Uint8Array {
  scratch.load(key);
  return scratch.copy();
}

/** The first key behind `key`: the same with a zero byte more. */
function successorOf(key: Bytes, scratch: KeyScratch): Uint8Array {
  scratch.load(key);
  const successor = new Uint8Array(scratch.length + 1);
  successor.set(scratch.bytes.subarray(0, scratch.length));
  return successor;
}
