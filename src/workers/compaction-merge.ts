/**
 * The entries of all runs in order, without those that nobody can see. Ring threads only; pure but for what runs read.
 *
 * A tree of losers (Knuth, The Art of Computer Programming, volume 3, 5.4.1) over the runs, newest first: of equal keys
 * the newest run's comes first, so that all versions of a key come newest first. Then, version by version:
 *
 *     newer    the next newer version of the key, or a range tombstone that covers it and lies between
 *     hidden   somebody newer is seen by everybody who could see this one: left out
 *     deletion that everybody sees, where no older table may hold the key: left out
 *     put      that everybody sees, likewise, under no range tombstone: it is the oldest there will ever be, and gets the
 *              sequence number 0, so that blocks of such entries need no bytes for their differences
 */
import { assert } from '../assert.ts';
import { compareBytes } from '../format/compare.ts';
import { HEAD_BYTES } from '../format/key-head.ts';
import { KIND_TOMBSTONE, SEQUENCE_MAX } from '../format/limits.ts';
import type { TombstoneFragment } from '../format/range-tombstones.ts';
import { RUN_AT_LARGE, RUN_ENDED, RUN_READY, RUN_WAITS, type CompactionRun } from './compaction-run.ts';
import type { KeyBoundaries } from './key-boundaries.ts';
import type { Visibility } from './visibility.ts';

/** `run` stands at an entry that is kept. */
export const MERGE_AT_ENTRY = 0;
/** `run` waits for its next chunk. */
export const MERGE_WAITS = 1;
/** `run` stands at a large block, which is to be fetched. */
export const MERGE_AT_LARGE = 2;
export const MERGE_ENDED = 3;

/** The winner is the next entry, and nothing has been said about it. */
const STAGE_FRESH = 0;
/** It is kept, and waits to be passed. */
const STAGE_KEPT = 1;
/** It has been dealt with. */
const STAGE_PASSED = 2;
/** Its run has moved on, and the matches on its way up are to be played again. */
const STAGE_MOVED = 3;

/** The head of a run that has ended: behind all keys. */
const END = Infinity;
/** Newer than every version. */
const NOTHING_NEWER = SEQUENCE_MAX + 1;

export interface CompactionMergeOptions {
  /** Newest first. None of them waits. */
  readonly runs: readonly CompactionRun[];
  /** Bytes that all keys begin with. */
  readonly headSkip: number;
  readonly visibility: Visibility;
  /** The inputs' range tombstones, and their boundaries; see fragmentBoundaries. */
  readonly fragments: readonly TombstoneFragment[];
  readonly covered: KeyBoundaries;
  /** Likewise, of those that go on in the outputs. */
  readonly coveredInOutput: KeyBoundaries;
  /** An odd number is passed where older tables may hold a key. */
  readonly older: KeyBoundaries;
}

export class CompactionMerge {
  /** What the status is about. */
  run: CompactionRun;
  /** Of the entry, as it is to be written. */
  sequence: number = SEQUENCE_MAX;
  /** Whether no newer version of the entry's key is kept. */
  isFirstOfKey = false;
  readonly #headSkip: number;
  readonly #visibility: Visibility;
  readonly #fragments: readonly TombstoneFragment[];
  readonly #covered: KeyBoundaries;
  readonly #coveredInOutput: KeyBoundaries;
  readonly #older: KeyBoundaries;
  readonly #runs: readonly CompactionRun[];
  readonly #heads: Float64Array;
  /** Losers of the matches, by node from 1 on; run i is the leaf runs.length + i. */
  readonly #losers: Int32Array;
  #winner: number;
  #stage = STAGE_FRESH;
  /** The run that the version before came from, which now has its key as the previous one. Undefined before the first. */
  #previous: CompactionRun | undefined;
  #previousHead = 0.5;
  #previousSequence: number = SEQUENCE_MAX;
  #fragment: TombstoneFragment | undefined;
  #hasKept = false;

  constructor(options: CompactionMergeOptions) {
    const { runs } = options;
    assert(runs.length > 0, 'a merge has a run');
    this.#headSkip = options.headSkip;
    this.#visibility = options.visibility;
    this.#fragments = options.fragments;
    this.#covered = options.covered;
    this.#coveredInOutput = options.coveredInOutput;
    this.#older = options.older;
    this.#runs = runs;
    this.#heads = new Float64Array(runs.length);
    this.#losers = new Int32Array(runs.length);
    for (let i = 0; i < runs.length; i++) this.#noteHead(i);
    this.#winner = this.#play(1);
    this.run = runs[this.#winner];
  }

  /** HOT. Goes to the next entry that is kept, or says what that needs. Stays at an entry until it is passed. */
  next(): number {
    if (this.#stage === STAGE_KEPT) return MERGE_AT_ENTRY;
    for (;;) {
      if (this.#stage === STAGE_PASSED) {
        const { run } = this;
        this.#previous = run;
        this.#previousHead = run.head;
        this.#previousSequence = run.entry.sequence;
        run.advance();
        this.#stage = STAGE_MOVED;
      }
      if (this.#stage === STAGE_MOVED) {
        if (this.run.state === RUN_WAITS) return MERGE_WAITS;
        this.#noteHead(this.#winner);
        this.#replay();
        this.run = this.#runs[this.#winner];
        this.#stage = STAGE_FRESH;
      }
      const { run } = this;
      if (run.state !== RUN_READY) return run.state === RUN_AT_LARGE ? MERGE_AT_LARGE : MERGE_ENDED;
      if (this.#isKept(run)) {
        this.#stage = STAGE_KEPT;
        return MERGE_AT_ENTRY;
      }
      this.#stage = STAGE_PASSED;
    }
  }

  /** The entry has been dealt with. REQUIRES: at an entry. */
  pass(): void {
    this.#stage = STAGE_PASSED;
  }

  /** HOT. Whether the run's entry goes on, and if so as what. */
  #isKept(run: CompactionRun): boolean {
    const { key, keyLength, head } = run;
    const { sequence } = run.entry;
    let newer = NOTHING_NEWER;
    if (this.#isSameKeyAsPrevious(run)) {
      newer = this.#previousSequence;
      assert(sequence < newer, 'a key has its versions newest first');
    } else {
      this.#hasKept = false;
      const passed = this.#covered.passedBy(key, keyLength, head);
      this.#fragment = (passed & 1) === 0 ? undefined : this.#fragments[passed >> 1];
    }
    if (this.#fragment !== undefined) newer = Math.min(newer, oldestAbove(this.#fragment, sequence));
    if (newer !== NOTHING_NEWER && !this.#visibility.isSeen(sequence, newer)) return false;

    let written = sequence;
    if (this.#visibility.isSeenByAll(sequence) && (this.#older.passedBy(key, keyLength, head) & 1) === 0) {
      if (run.entry.kind === KIND_TOMBSTONE) return false;
      if ((this.#coveredInOutput.passedBy(key, keyLength, head) & 1) === 0) written = 0;
    }
    this.sequence = written;
    this.isFirstOfKey = !this.#hasKept;
    this.#hasKept = true;
    return true;
  }

  /** HOT. */
  #isSameKeyAsPrevious(run: CompactionRun): boolean {
    const previous = this.#previous;
    if (previous === undefined || run.head !== this.#previousHead) return false;
    const { key, keyLength } = run;
    if (keyLength !== previous.previousKeyLength) return false;
    const { previousKey } = previous;
    // From the end: neighbours differ there first.
    for (let i = keyLength - 1; i >= 0; i--) if (key[i] !== previousKey[i]) return false;
    return true;
  }

  #noteHead(at: number): void {
    const { state, head } = this.#runs[at];
    assert(state !== RUN_WAITS, 'a run that is merged knows its next key');
    this.#heads[at] = state === RUN_ENDED ? END : head;
  }

  /** Plays all matches below a node, notes the losers and returns the winner. Deep as the tree is. */
  #play(node: number): number {
    const count = this.#losers.length;
    if (node >= count) return node - count;
    const left = this.#play(2 * node);
    const right = this.#play(2 * node + 1);
    const isLeft = this.#isBefore(left, right);
    this.#losers[node] = isLeft ? right : left;
    return isLeft ? left : right;
  }

  /** HOT. Plays the matches on the winner's way up. */
  #replay(): void {
    const losers = this.#losers;
    const heads = this.#heads;
    let winner = this.#winner;
    for (let node = (losers.length + winner) >> 1; node > 0; node >>= 1) {
      const other = losers[node];
      const difference = heads[other] - heads[winner];
      if (difference > 0) continue;
      if (difference < 0 || this.#isBefore(other, winner)) {
        losers[node] = winner;
        winner = other;
      }
    }
    this.#winner = winner;
  }

  /** Whether run a comes before run b. */
  #isBefore(a: number, b: number): boolean {
    const difference = this.#heads[a] - this.#heads[b];
    if (difference < 0) return true;
    if (difference > 0) return false;
    if (this.#heads[a] === END) return a < b;
    const order = this.#compareBehindHeads(this.#runs[a], this.#runs[b]);
    return order === 0 ? a < b : order < 0;
  }

  /** HOT. The order of two keys whose heads are equal. */
  #compareBehindHeads(a: CompactionRun, b: CompactionRun): number {
    // A shorter key's head is filled up with zeros, which may be in the longer key.
    const behind = this.#headSkip + HEAD_BYTES;
    const from = a.keyLength < behind || b.keyLength < behind ? this.#headSkip : behind;
    return compareBytes(a.key, from, a.keyLength - from, b.key, from, b.keyLength - from);
  }
}

/** The oldest of the fragment's tombstones that is newer than `sequence`; NOTHING_NEWER where there is none. */
function oldestAbove({ sequences }: TombstoneFragment, sequence: number): number {
  for (let i = sequences.length - 1; i >= 0; i--) if (sequences[i] > sequence) return sequences[i];
  return NOTHING_NEWER;
}
