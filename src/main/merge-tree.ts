/**
 * The next key of several cursors: a tree of losers (Knuth, The Art of Computer Programming, volume 3, 5.4.1). Owner only;
 * pure.
 *
 * The cursors are the leaves; each inner node holds the loser of the match below it, the winner of all is the next key.
 * When the winner has moved on, the matches on its way up are played again: one comparison a level, and mostly one of two
 * numbers, the keys' heads (format/key-head.ts), which lie together in an array.
 *
 *     cursors are numbered from the newest source to the oldest; at equal keys the newest wins, and hides the others
 */
import { compareBytes } from '../format/compare.ts';
import { HEAD_BYTES } from '../format/key-head.ts';
import { READY, type Cursor } from './cursor.ts';

/** The head of a cursor that has come to its end: behind all keys. */
const END = Infinity;
const NO_HEADS = new Float64Array(0);
const NO_LOSERS = new Int32Array(0);

export class MergeTree {
  /** In reverse heads are negated, so that the smaller one always wins. */
  readonly #sign: number;
  #cursors: readonly Cursor[] = [];
  #heads = NO_HEADS;
  /** Losers of the matches, by node from 1 on; cursor i is the leaf cursors.length + i. */
  #losers = NO_LOSERS;
  #winner = 0;
  /** A key that was given before a cursor had to wait: whoever still stands at it is passed over. */
  #passed: Uint8Array | undefined;

  constructor(isReverse: boolean) {
    this.#sign = isReverse ? -1 : 1;
  }

  /** Begins anew. False when that made a cursor wait or fail. REQUIRES: none of them does before. */
  build(cursors: readonly Cursor[]): boolean {
    const count = cursors.length;
    if (count !== this.#losers.length) {
      this.#heads = new Float64Array(count);
      this.#losers = new Int32Array(count);
    }
    this.#cursors = cursors;
    for (let i = 0; i < count; i++) this.#noteHead(i);
    if (count > 0) this.#winner = this.#play(1);
    const passed = this.#passed;
    this.#passed = undefined;
    return passed === undefined || this.#pass(passed, passed.length);
  }

  /** Nothing that was given before counts any more, and no cursor is known. */
  reset(): void {
    this.#passed = undefined;
    this.#cursors = [];
    this.#losers = NO_LOSERS;
    this.#heads = NO_HEADS;
  }

  /** HOT. The cursor at the next key; undefined when all have come to their ends. */
  get top(): Cursor | undefined {
    const winner = this.#winner;
    if (this.#losers.length === 0 || this.#heads[winner] === END) return undefined;
    return this.#cursors[winner];
  }

  /**
   * HOT. Moves the top cursor on, and with it all that stand at the same key. False when one of them has to wait or has
   * failed: build again when that is over. REQUIRES: there is a top.
   */
  advance(): boolean {
    const winner = this.#winner;
    const head = this.#heads[winner];
    const cursor = this.#cursors[winner];
    cursor.advance();
    if (cursor.isUnsettled) {
      this.#passed = new Uint8Array(cursor.previousKey.subarray(0, cursor.previousKeyLength));
      return false;
    }
    this.#noteHead(winner);
    this.#replay(winner);
    if (this.#heads[this.#winner] !== head) return true;
    return this.#pass(cursor.previousKey, cursor.previousKeyLength);
  }

  /** HOT. The cursor at the next key of those below the top; undefined when all others have come to their ends. */
  get runnerUp(): Cursor | undefined {
    const losers = this.#losers;
    const winner = this.#winner;
    let best = -1;
    // Whoever is second has lost to the first.
    for (let node = (losers.length + winner) >> 1; node > 0; node >>= 1) {
      if (best < 0 || this.#isBefore(losers[node], best)) best = losers[node];
    }
    return best < 0 || this.#heads[best] === END ? undefined : this.#cursors[best];
  }

  /** HOT. The top cursor has gone on by itself, over keys that no other has. False as `advance` is. */
  moved(): boolean {
    const winner = this.#winner;
    const cursor = this.#cursors[winner];
    if (cursor.isUnsettled) {
      this.#passed = new Uint8Array(cursor.previousKey.subarray(0, cursor.previousKeyLength));
      return false;
    }
    this.#noteHead(winner);
    this.#replay(winner);
    return true;
  }

  /** Moves on whoever stands at `key`. */
  #pass(key: Uint8Array, keyLength: number): boolean {
    for (;;) {
      const { top } = this;
      if (top === undefined || !areEqual(top.key, top.keyLength, key, keyLength)) return true;
      const at = this.#winner;
      top.advance();
      if (top.isUnsettled) {
        this.#passed = new Uint8Array(key.subarray(0, keyLength));
        return false;
      }
      this.#noteHead(at);
      this.#replay(at);
    }
  }

  #noteHead(at: number): void {
    const { state, head } = this.#cursors[at];
    this.#heads[at] = state === READY ? head * this.#sign : END;
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

  /** HOT. */
  #replay(from: number): void {
    const losers = this.#losers;
    const heads = this.#heads;
    let winner = from;
    for (let node = (losers.length + from) >> 1; node > 0; node >>= 1) {
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

  /** Whether cursor a comes before cursor b. */
  #isBefore(a: number, b: number): boolean {
    const difference = this.#heads[a] - this.#heads[b];
    if (difference < 0) return true;
    if (difference > 0) return false;
    if (this.#heads[a] === END) return a < b;
    const order = compareBehindHeads(this.#cursors[a], this.#cursors[b]) * this.#sign;
    return order === 0 ? a < b : order < 0;
  }
}

/** HOT. The order of two keys whose heads are equal. */
function compareBehindHeads(a: Cursor, b: Cursor): number {
  // A shorter key's head is filled up with zeros, which may be in the longer key.
  const behind = a.headSkip + HEAD_BYTES;
  const from = a.keyLength < behind || b.keyLength < behind ? a.headSkip : behind;
  return compareBytes(a.key, from, a.keyLength - from, b.key, from, b.keyLength - from);
}

/** HOT. From the end, where neighbours differ first. */
function areEqual(a: Uint8Array, aLength: number, b: Uint8Array, bLength: number): boolean {
  if (aLength !== bLength) return false;
  for (let i = aLength - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
