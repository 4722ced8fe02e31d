/**
 * What a compaction was asked to do, decoded: who can see what, where older versions may be, where outputs end, which
 * range tombstones go on. Pure; ring threads only.
 */
import { assert } from '../assert.ts';
import { compareBytes } from '../format/compare.ts';
import {
  compareEnds,
  compareWithEnd,
  RangeTombstones,
  type TombstoneFragment,
} from '../format/range-tombstones.ts';
import type { CompactionParameters } from '../protocol/requests.ts';
import { KeyBoundaries, type KeyBoundary, type KeySpace } from './key-boundaries.ts';
import { Visibility } from './visibility.ts';

interface KeyRange {
  readonly smallest: Uint8Array;
  /** Undefined: to the end of all keys. */
  readonly largest: Uint8Array | undefined;
}

export class CompactionPlan {
  readonly parameters: CompactionParameters;
  readonly visibility: Visibility;
  /** Disjoint, ascending. */
  readonly #older: readonly KeyRange[];
  readonly #grandparents: readonly KeyBoundary[];
  /** Bytes of all grandparents before each, and of all of them. */
  readonly #bytesBefore: Float64Array;

  constructor(parameters: CompactionParameters) {
    this.parameters = parameters;
    this.visibility = new Visibility(parameters.snapshots, parameters.keepAbove);
    this.#older = joined(
      parameters.older.map(({ smallest, largest }) => ({
        smallest: keyOf(smallest),
        largest: largest === null ? undefined : keyOf(largest),
      })),
    );
    const { grandparents } = parameters;
    this.#grandparents = grandparents.map(({ largest }) => ({ key: keyOf(largest), isBehind: true }));
    this.#bytesBefore = new Float64Array(grandparents.length + 1);
    grandparents.forEach(({ bytes }, i) => (this.#bytesBefore[i + 1] = this.#bytesBefore[i] + bytes));
  }

  /** An odd number of these is passed where older tables may hold a key. */
  olderBoundaries(space: KeySpace): KeyBoundaries {
    const boundaries = this.#older.flatMap(({ smallest, largest }) => [
      { key: smallest, isBehind: false },
      { key: largest, isBehind: true },
    ]);
    return new KeyBoundaries(boundaries, space);
  }

  /** As many of these are passed as grandparents end before a key. */
  grandparentBoundaries(space: KeySpace): KeyBoundaries {
    return new KeyBoundaries(this.#grandparents, space);
  }

  /** Whether an output from within the first grandparent to within the last one overlaps more than it should. */
  overlapsTooMuch(first: number, last: number): boolean {
    // Behind the last of them nothing more is overlapped.
    const end = Math.min(last + 1, this.#grandparents.length);
    if (end - first <= 1) return false;
    return this.#bytesBefore[end] - this.#bytesBefore[first] > this.parameters.grandparentBytesMax;
  }

  /** Of the inputs' range tombstones those that still hide something from somebody, or may do so in older tables. */
  keptFragments(tombstones: RangeTombstones): RangeTombstones {
    const kept: TombstoneFragment[] = [];
    const hasOlder = this.#olderBetween();
    for (const { start, end, sequences } of tombstones.fragments) {
      const seen = this.visibility.keptSequences(sequences);
      const oldest = seen.at(-1);
      assert(oldest !== undefined, 'a fragment has a tombstone');
      if (this.visibility.isSeenByAll(oldest) && !hasOlder(start, end)) seen.pop();
      if (seen.length === 0) continue;
      const previous = kept.at(-1);
      if (previous !== undefined && continues(previous, start, seen)) {
        kept[kept.length - 1] = { ...previous, end };
      } else {
        kept.push({ start, end, sequences: seen });
      }
    }
    return new RangeTombstones(kept);
  }

  /** Whether older tables may hold a key from `start` on and before `end`; asked with starts that never go back. */
  #olderBetween(): (start: Uint8Array, end: Uint8Array) => boolean {
    const older = this.#older;
    let next = 0;
    return (start, end) => {
      while (next < older.length && compareLargest(older[next].largest, start) < 0) next++;
      if (next === older.length) return false;
      const { smallest } = older[next];
      return compareWithEnd(smallest, 0, smallest.length, end) < 0;
    };
  }
}

/** An odd number is passed by the keys that the fragments cover: of fragment i 2 × i + 1. */
export function fragmentBoundaries({ fragments }: RangeTombstones, space: KeySpace): KeyBoundaries {
  const boundaries = fragments.flatMap(({ start, end }) => [
    { key: start, isBehind: false },
    { key: end.length === 0 ? undefined : end, isBehind: false },
  ]);
  return new KeyBoundaries(boundaries, space);
}

function keyOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** The ranges in order, those that overlap as one. */
function joined(ranges: KeyRange[]): KeyRange[] {
  const sorted = ranges.sort((a, b) => compareKeys(a.smallest, b.smallest));
  const disjoint: KeyRange[] = [];
  for (const range of sorted) {
    const last = disjoint.at(-1);
    if (last === undefined || compareLargest(last.largest, range.smallest) < 0) disjoint.push(range);
    else if (range.largest === undefined || compareLargest(last.largest, range.largest) < 0) {
      disjoint[disjoint.length - 1] = { ...last, largest: range.largest };
    }
  }
  return disjoint;
}

/** The order of a range's largest key, which may be behind all keys, and a key. */
function compareLargest(largest: Uint8Array | undefined, key: Uint8Array): number {
  return largest === undefined ? 1 : compareKeys(largest, key);
}

function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return compareBytes(a, 0, a.length, b, 0, b.length);
}

/** Whether a fragment that begins at `start` with these numbers is only cut off from the one before. */
function continues(previous: TombstoneFragment, start: Uint8Array, sequences: readonly number[]): boolean {
  return (
    compareEnds(previous.end, start) === 0 &&
    previous.end.length > 0 &&
    previous.sequences.length === sequences.length &&
    previous.sequences.every((sequence, i) => sequence === sequences[i])
  );
}
