/**
 * Range tombstones: deletions of all keys from a start and before an end. Pure; any thread.
 *
 * Tombstones may overlap. They are kept as *fragments*: disjoint pieces, in order, each with the sequence numbers of the
 * tombstones that cover it, so that what covers a key is found by halving.
 *
 *     tombstones    [a ───────── m)@7          fragments   [a ── c)  7
 *                        [c ─────────── p)@9               [c ── m)  9 7
 *                                                          [m ── p)  9
 *
 * An end of no bytes is no end: nothing comes before the empty key, so it cannot be meant otherwise. What stands here
 * deletes what is older than itself: a key's version with a smaller sequence number.
 *
 * Where whoever adds tombstones knows at which numbers is read, a fragment does without those that nobody sees, because
 * everybody sees a newer one, and neighbours that are alike become one. So ranges that are deleted again and again, or
 * that grow, stay few fragments.
 *
 * In a table (table-meta.ts says where):
 *
 *     section   := varint(fragments) fragment*
 *     fragment  := varint(length) start · varint(length) end · varint(sequences) · varint(newest) · varint(difference)*
 *
 * A difference is between a sequence number and the next older one.
 */
import { assert } from '../assert.ts';
import { ByteReader } from './byte-reader.ts';
import { compareBytes } from './compare.ts';
import { FormatError } from './format-error.ts';
import { KEY_BYTES_MAX, SEQUENCE_MAX } from './limits.ts';
import { ByteWriter } from './varint.ts';

/** Deletes the keys from `start` on and before `end`, which may be of no bytes: no end. */
export interface RangeTombstone {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly sequence: number;
}

/** A piece that the same tombstones cover from its start to its end. Never changed once it is made. */
export interface TombstoneFragment {
  readonly start: Uint8Array;
  /** Of no bytes: no end. */
  readonly end: Uint8Array;
  /** Descending. */
  readonly sequences: readonly number[];
}

/** Whether somebody reads at a number from that of a tombstone on and below that of the next newer one. */
export type IsSeen = (sequence: number, newerSequence: number) => boolean;

/** What `covering` answers where nothing covers. */
export const NOT_COVERED = -1;

/** Pieces from which on an array is put together anew instead of spliced: a call has only so many arguments. */
const SPLICED_MAX = 1024;

/** The order of ends, of which one of no bytes is behind all keys. */
export function compareEnds(a: Uint8Array, b: Uint8Array): number {
  if (a.length === 0 || b.length === 0) return Number(a.length === 0) - Number(b.length === 0);
  return compareBytes(a, 0, a.length, b, 0, b.length);
}

/** Negative, zero or positive as `key` is before, at or behind `end`, which may be of no bytes. */
export function compareWithEnd(
  key: Uint8Array,
  keyStart: number,
  keyLength: number,
  end: Uint8Array,
): number {
  return end.length === 0 ? -1 : compareBytes(key, keyStart, keyLength, end, 0, end.length);
}

export class RangeTombstones {
  #fragments: TombstoneFragment[];
  #tombstoneCount: number;

  /** REQUIRES: fragments in order, disjoint. Takes the array over. */
  constructor(fragments: TombstoneFragment[] = []) {
    this.#fragments = fragments;
    this.#tombstoneCount = countIn(fragments);
  }

  static of(tombstones: Iterable<RangeTombstone>): RangeTombstones {
    const all = new RangeTombstones();
    for (const tombstone of tombstones) all.add(tombstone);
    return all;
  }

  /** Those of all together; takes as many steps as there are fragments, times the binary logarithm of how many sets. */
  static merged(sets: readonly RangeTombstones[]): RangeTombstones {
    let rest = sets.map(({ fragments }) => fragments);
    while (rest.length > 1) {
      const halves: (readonly TombstoneFragment[])[] = [];
      for (let i = 0; i < rest.length; i += 2) {
        halves.push(i + 1 < rest.length ? mergeFragments(rest[i], rest[i + 1]) : rest[i]);
      }
      rest = halves;
    }
    return new RangeTombstones([...(rest[0] ?? [])]);
  }

  get isEmpty(): boolean {
    return this.#fragments.length === 0;
  }

  /** In order. */
  get fragments(): readonly TombstoneFragment[] {
    return this.#fragments;
  }

  /** Sequence numbers of all fragments together. */
  get tombstoneCount(): number {
    return this.#tombstoneCount;
  }

  /**
   * Adds a tombstone; costs as many steps as fragments that it covers. The keys are kept, not copied. With `isSeen`, what
   * it covers keeps only those that are seen.
   */
  add({ start, end, sequence }: RangeTombstone, isSeen?: IsSeen): void {
    assert(compareWithEnd(start, 0, start.length, end) < 0, 'a range that is deleted has keys');
    assert(
      start.length <= KEY_BYTES_MAX && end.length <= KEY_BYTES_MAX,
      'both ends are within the limit of keys',
    );
    const fragments = this.#fragments;
    const first = this.firstEndingBehind(start, 0, start.length);
    const pieces = new Pieces(isSeen !== undefined);
    let from = start;
    let next = first;
    for (; next < fragments.length; next++) {
      const fragment = fragments[next];
      if (compareWithEnd(fragment.start, 0, fragment.start.length, end) >= 0) break;
      const order = compareBytes(fragment.start, 0, fragment.start.length, from, 0, from.length);
      if (order < 0) pieces.add(fragment.start, from, fragment.sequences);
      if (order > 0) pieces.add(from, fragment.start, [sequence]);
      const begin = order > 0 ? fragment.start : from;
      const isCut = compareEnds(fragment.end, end) > 0;
      from = isCut ? end : fragment.end;
      pieces.add(begin, from, withSequence(fragment.sequences, sequence, isSeen));
      if (isCut) pieces.add(end, fragment.end, fragment.sequences);
    }
    const isCovered = next > first && compareEnds(from, end) === 0;
    // After the first piece `from` is an end, and one of no bytes is behind everything.
    if (!isCovered) pieces.add(from, end, [sequence]);
    const { all } = pieces;
    this.#tombstoneCount += countIn(all) - countIn(fragments.slice(first, next));
    if (all.length <= SPLICED_MAX) fragments.splice(first, next - first, ...all);
    else this.#fragments = [...fragments.slice(0, first), ...all, ...fragments.slice(next)];
  }

  /** The newest tombstone at or below `visibleSequence` that covers the key, or NOT_COVERED. */
  covering(key: Uint8Array, keyStart: number, keyLength: number, visibleSequence: number): number {
    const fragment = this.fragmentAt(key, keyStart, keyLength);
    return fragment === undefined ? NOT_COVERED : newestVisible(fragment, visibleSequence);
  }

  /** The fragment that the key is in. */
  fragmentAt(key: Uint8Array, keyStart: number, keyLength: number): TombstoneFragment | undefined {
    const fragment = this.#fragments[this.firstEndingBehind(key, keyStart, keyLength)];
    if (fragment === undefined) return undefined;
    const { start } = fragment;
    return compareBytes(start, 0, start.length, key, keyStart, keyLength) <= 0 ? fragment : undefined;
  }

  /** What lies from `lower` on and before `upper`, two keys; undefined is no bound. */
  within(lower: Uint8Array | undefined, upper: Uint8Array | undefined): RangeTombstones {
    if (lower !== undefined && upper !== undefined) {
      // A fragment that covers both bounds would be clipped to one that ends before it begins.
      if (compareBytes(lower, 0, lower.length, upper, 0, upper.length) >= 0) return new RangeTombstones();
    }
    const first = lower === undefined ? 0 : this.firstEndingBehind(lower, 0, lower.length);
    const clipped: TombstoneFragment[] = [];
    for (let i = first; i < this.#fragments.length; i++) {
      let fragment = this.#fragments[i];
      const { start, end } = fragment;
      if (upper !== undefined && compareBytes(start, 0, start.length, upper, 0, upper.length) >= 0) break;
      if (lower !== undefined && compareBytes(start, 0, start.length, lower, 0, lower.length) < 0) {
        fragment = { ...fragment, start: lower };
      }
      if (upper !== undefined && compareWithEnd(upper, 0, upper.length, end) < 0) {
        fragment = { ...fragment, end: upper };
      }
      clipped.push(fragment);
    }
    return new RangeTombstones(clipped);
  }

  /** Index of the first fragment that ends behind the key; that behind all where there is none. */
  firstEndingBehind(key: Uint8Array, keyStart: number, keyLength: number): number {
    const fragments = this.#fragments;
    let low = 0;
    let high = fragments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareWithEnd(key, keyStart, keyLength, fragments[middle].end) < 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Two lists of disjoint fragments in order, as one. */
function mergeFragments(
  left: readonly TombstoneFragment[],
  right: readonly TombstoneFragment[],
): TombstoneFragment[] {
  const merged: TombstoneFragment[] = [];
  let i = 0;
  let j = 0;
  // What is left of the fragments that come next.
  let a = left[i];
  let b = right[j];
  while (a !== undefined && b !== undefined) {
    const order = compareBytes(a.start, 0, a.start.length, b.start, 0, b.start.length);
    if (order !== 0) {
      const first = order < 0 ? a : b;
      const other = order < 0 ? b : a;
      const isCut = compareWithEnd(other.start, 0, other.start.length, first.end) < 0;
      merged.push(isCut ? { ...first, end: other.start } : first);
      const rest = isCut ? { ...first, start: other.start } : undefined;
      if (order < 0) a = rest ?? left[++i];
      else b = rest ?? right[++j];
      continue;
    }
    const ends = compareEnds(a.end, b.end);
    const end = ends <= 0 ? a.end : b.end;
    merged.push({ start: a.start, end, sequences: mergeSequences(a.sequences, b.sequences) });
    a = ends <= 0 ? left[++i] : { ...a, start: end };
    b = ends >= 0 ? right[++j] : { ...b, start: end };
  }
  for (; a !== undefined; a = left[++i]) merged.push(a);
  for (; b !== undefined; b = right[++j]) merged.push(b);
  return merged;
}

/** Both descending; a number that both have once. */
function mergeSequences(left: readonly number[], right: readonly number[]): readonly number[] {
  const merged: number[] = [];
  for (let i = 0, j = 0; i < left.length || j < right.length;) {
    const a = left[i] ?? -1;
    const b = right[j] ?? -1;
    merged.push(Math.max(a, b));
    if (a >= b) i++;
    if (b >= a) j++;
  }
  return merged;
}

/** The newest of the fragment's tombstones at or below `visibleSequence`, or NOT_COVERED. */
export function newestVisible({ sequences }: TombstoneFragment, visibleSequence: number): number {
  for (const sequence of sequences) if (sequence <= visibleSequence) return sequence;
  return NOT_COVERED;
}

/** The section of a table, without its checksum. REQUIRES: fragments in order, disjoint. */
export function encodeRangeTombstones(fragments: readonly TombstoneFragment[]): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(fragments.length);
  let previous: TombstoneFragment | undefined;
  for (const fragment of fragments) {
    const { start, end, sequences } = fragment;
    assert(follows(fragment, previous), 'fragments are disjoint and in order');
    assert(
      start.length <= KEY_BYTES_MAX && end.length <= KEY_BYTES_MAX,
      'both ends are within the limit of keys',
    );
    assert(sequences.length > 0 && sequences[0] <= SEQUENCE_MAX, 'a fragment has sequence numbers');
    previous = fragment;
    writer.sized(start);
    writer.sized(end);
    writer.varint(sequences.length);
    for (let i = 0; i < sequences.length; i++) {
      assert(i === 0 || sequences[i] < sequences[i - 1], 'sequence numbers are descending');
      writer.varint(i === 0 ? sequences[0] : sequences[i - 1] - sequences[i]);
    }
  }
  return writer.written();
}

/** Throws a `FormatError` unless `bytes[start, end)` is exactly one section, without its checksum. Copies the keys. */
export function decodeRangeTombstones(bytes: Uint8Array, start: number, end: number): RangeTombstones {
  const reader = new ByteReader(bytes, start, end);
  const count = reader.varint();
  const fragments: TombstoneFragment[] = [];
  for (let i = 0; i < count; i++) {
    const at = reader.at;
    const fragment = {
      start: reader.sized(KEY_BYTES_MAX),
      end: reader.sized(KEY_BYTES_MAX),
      sequences: readSequences(reader),
    };
    if (!follows(fragment, fragments.at(-1))) throw new FormatError('range tombstones out of order', at);
    fragments.push(fragment);
  }
  reader.expectEnd('the range tombstones of a table');
  return new RangeTombstones(fragments);
}

/** Whether a fragment has keys, all of them behind the one before it. */
function follows({ start, end }: TombstoneFragment, previous: TombstoneFragment | undefined): boolean {
  if (compareWithEnd(start, 0, start.length, end) >= 0) return false;
  return previous === undefined || compareWithEnd(start, 0, start.length, previous.end) >= 0;
}

function readSequences(reader: ByteReader): number[] {
  const at = reader.at;
  const count = reader.varint();
  if (count === 0) throw new FormatError('a fragment that nothing covers', at);
  const sequences: number[] = [];
  for (let i = 0; i < count; i++) {
    const number = reader.varint(SEQUENCE_MAX);
    const sequence = i === 0 ? number : sequences[i - 1] - number;
    if (sequence < 0 || (i > 0 && number === 0)) throw new FormatError('sequence numbers out of order', at);
    sequences.push(sequence);
  }
  return sequences;
}

/** Contiguous pieces in the making; if it joins, a piece with the tombstones of the one before becomes one with it. */
class Pieces {
  readonly all: TombstoneFragment[] = [];
  readonly #joins: boolean;

  constructor(joins: boolean) {
    this.#joins = joins;
  }

  add(start: Uint8Array, end: Uint8Array, sequences: readonly number[]): void {
    const last = this.#joins ? this.all.at(-1) : undefined;
    if (last === undefined || !areEqual(last.sequences, sequences)) this.all.push({ start, end, sequences });
    else this.all[this.all.length - 1] = { ...last, end };
  }
}

function areEqual(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((sequence, i) => sequence === b[i]);
}

function countIn(fragments: readonly TombstoneFragment[]): number {
  return fragments.reduce((count, { sequences }) => count + sequences.length, 0);
}

/** With one more, in its place; without those that nobody sees. */
function withSequence(sequences: readonly number[], sequence: number, isSeen?: IsSeen): readonly number[] {
  const at = sequences.findIndex((other) => other <= sequence);
  if (at >= 0 && sequences[at] === sequence) return sequences;
  const all = at < 0 ? [...sequences, sequence] : sequences.toSpliced(at, 0, sequence);
  return isSeen === undefined ? all : all.filter((older, i) => i === 0 || isSeen(older, all[i - 1]));
}
