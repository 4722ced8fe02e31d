/**
 * Which keys of a scan range tombstones delete: those of its memtables and tables, as one. Owner only; pure.
 *
 * A source has the rank of its cursor: newer ones first. Of one key everything in a newer source is newer than what older
 * ones have of it, so the newest source with a tombstone over a key decides, and deletes all that older sources have.
 * An answer holds until a fragment of that source, or of a newer one, begins or ends: a run of keys costs one comparison
 * each.
 *
 *     rank 0              [m ── p)                            keys asked for, in order
 *     rank 1      [c ──────────────── z)             b: none, until c   d, e: rank 1, until m   m: rank 0, until p
 */
import { assert } from '../assert.ts';
import { compareBytes } from '../format/compare.ts';
import {
  compareEnds,
  compareWithEnd,
  newestVisible,
  NOT_COVERED,
  type RangeTombstones,
} from '../format/range-tombstones.ts';

const NO_BYTES = new Uint8Array(0);

/** The range tombstones of a memtable, of a table, or of the tables of one level. */
export interface DeletionSource {
  readonly rank: number;
  /** In the order of their keys, which do not overlap; none is empty. */
  readonly tombstones: readonly RangeTombstones[];
}

export class ScanDeletions {
  readonly #sources: readonly DeletionSource[];
  readonly #visibleSequence: number;
  readonly #isReverse: boolean;
  /** The number of the tombstone that deletes the key that was asked for last, or NOT_COVERED. */
  sequence = NOT_COVERED;
  /** The rank of its source. */
  rank = 0;
  /**
   * Where the answer ends. Forward: it is for the keys before it; no bytes: for all. In reverse: for those that are not before
   * it.
   */
  bound: Uint8Array = NO_BYTES;
  #hasAnswer = false;

  /** `sources`: newer ones first. REQUIRES: one. */
  constructor(sources: readonly DeletionSource[], visibleSequence: number, isReverse: boolean) {
    assert(sources.length > 0, 'without range tombstones nobody asks for them');
    this.#sources = sources;
    this.#visibleSequence = visibleSequence;
    this.#isReverse = isReverse;
  }

  /** HOT. Whether the version of the key with that number is deleted. REQUIRES: keys come in the scan's order. */
  isDeleted(key: Uint8Array, keyLength: number, sequence: number): boolean {
    if (!this.#hasAnswer || !this.holdsFor(key, keyLength)) this.#ask(key, keyLength);
    return sequence < this.sequence;
  }

  /** HOT. Whether the answer is also for this key. REQUIRES: it comes behind the one that was asked for. */
  holdsFor(key: Uint8Array, keyLength: number): boolean {
    const bound = this.bound;
    if (this.#isReverse) return compareBytes(key, 0, keyLength, bound, 0, bound.length) >= 0;
    return compareWithEnd(key, 0, keyLength, bound) < 0;
  }

  #ask(key: Uint8Array, keyLength: number): void {
    this.#hasAnswer = true;
    this.sequence = NOT_COVERED;
    this.bound = NO_BYTES;
    for (const { rank, tombstones } of this.#sources) {
      this.sequence = this.#askSource(tombstones, key, keyLength);
      if (this.sequence === NOT_COVERED) continue;
      this.rank = rank;
      return;
    }
  }

  /** The number of the source's tombstone over the key. Brings the bound nearer. */
  #askSource(tombstones: readonly RangeTombstones[], key: Uint8Array, keyLength: number): number {
    const at = lastNotBehind(tombstones, key, keyLength);
    const { fragments } = tombstones[at];
    const next = tombstones[at].firstEndingBehind(key, 0, keyLength);
    const fragment = next < fragments.length ? fragments[next] : undefined;
    if (fragment !== undefined) {
      const { start, end } = fragment;
      if (compareBytes(start, 0, start.length, key, 0, keyLength) <= 0) {
        this.#endAt(this.#isReverse ? start : end);
        return newestVisible(fragment, this.#visibleSequence);
      }
    }
    if (this.#isReverse) this.#endAt(next > 0 ? fragments[next - 1].end : NO_BYTES);
    else this.#endAt((fragment ?? tombstones[at + 1]?.fragments[0])?.start ?? NO_BYTES);
    return NOT_COVERED;
  }

  /** The answer ends there, if it did not end before. */
  #endAt(bound: Uint8Array): void {
    const before = this.bound;
    const isNearer = this.#isReverse
      ? compareBytes(before, 0, before.length, bound, 0, bound.length) < 0
      : compareEnds(bound, before) < 0;
    if (isNearer) this.bound = bound;
  }
}

/** Index of the last one that does not begin behind the key; 0 if all do. */
function lastNotBehind(tombstones: readonly RangeTombstones[], key: Uint8Array, keyLength: number): number {
  let low = 1;
  let high = tombstones.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { start } = tombstones[middle].fragments[0];
    if (compareBytes(start, 0, start.length, key, 0, keyLength) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
