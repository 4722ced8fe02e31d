/**
 * The order of an arena's nodes: a skiplist (Pugh, "Skip lists: a probabilistic alternative to balanced trees", 1990) whose
 * nodes are linked in lots. Owner only; the flush thread follows its lowest level (protocol/arena.ts).
 *
 * Finding the place of one random key among some hundred thousand takes 1.2 µs, most of it memory that is in no cache, and
 * nobody needs it but scans and the flush: gets go by the hash table. So nodes wait until there is a lot of them, which is sorted
 * and then linked in one pass, each node from where the one before was put: less than half as long a node. The pass takes a step
 * with each node that is added, so that none has to wait for all. A key behind all others is linked at once, as long as none waits.
 *
 *     add ─► waiting, oldest first ─► (LOT_NODES_MAX) ─► a lot, by key ─► (with each that is added) ─► linked
 *        └─────────────── (behind all others, none waits) ──────────────────────────────────────────┘
 *
 * Whoever asks for the order has all of them linked first. Of one key a lot has the newest version: the others are behind it, along
 * `older`, as far as they are not older than the lot, so a key that is written again and again is looked for once.
 */
import { assert } from '../assert.ts';
import { commonPrefixLength, compareBytes } from '../format/compare.ts';
import {
  HEAD_OFFSET,
  HEIGHT_MAX,
  NODE_HEADER_BYTES,
  NODE_KEY,
  NODE_OLDER,
  NODE_PREFIX_HIGH,
  NODE_PREFIX_LOW,
} from '../protocol/arena.ts';

/** Flips the sign bit, so that signed comparison orders unsigned words. */
const SIGN = 0x8000_0000 | 0;
/**
 * Who asks for the order waits for two lots at most, some milliseconds. Their numbers fit beside HEAD_BYTES in the 53 bits of an
 * exact number.
 */
const LOT_NODES_MAX = 4096;
/** Of a lot's keys, which are compared to their ends where they begin alike. */
const LOT_KEY_BYTES_MAX = 262_144;
/** Small arenas have small lots. */
const LOT_NODES_MIN = 32;
const BYTES_PER_LOT_NODE = 2048;
/** Bytes of a key, behind what all that are sorted have in common, that are sorted by first. */
const HEAD_BYTES = 5;
/** Where heads are equal it is done again with what comes behind them, but no more often; then whole keys are compared. */
const HEAD_SORTS_MAX = 2;
/** So few nodes are sorted by insertion. */
const INSERTION_MAX = 12;

/** In place of the next node: it waits, and a newer version of its key does as well. */
const SUPERSEDED = -1;

/** For one call each. */
const headSorts = Array.from({ length: HEAD_SORTS_MAX }, () => ({
  heads: new Float64Array(LOT_NODES_MAX),
  nodes: new Int32Array(LOT_NODES_MAX),
}));
const versions = new Int32Array(LOT_NODES_MAX);

export class ArenaList {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** For each level the last node before the one of the lot that was linked last, or before what was looked for. */
  readonly #previous = new Int32Array(HEIGHT_MAX);
  /** For each level the last node of all. */
  readonly #last = new Int32Array(HEIGHT_MAX);
  /** Nodes that no lot has yet, oldest first. */
  readonly #waiting: Int32Array;
  #waitingCount = 0;
  #waitingKeyBytes = 0;
  /** By key, one of each; those before `lotAt` are linked. */
  readonly #lot: Int32Array;
  /** Nodes before this one are older than the lot. */
  #lotFrom = 0;
  #lotCount = 0;
  #lotAt = 0;
  #height = 1;

  constructor(bytes: Uint8Array, words: Int32Array) {
    this.#bytes = bytes;
    this.#words = words;
    const lotNodes = Math.ceil(bytes.length / BYTES_PER_LOT_NODE);
    this.#waiting = new Int32Array(Math.min(Math.max(lotNodes, LOT_NODES_MIN), LOT_NODES_MAX));
    this.#lot = new Int32Array(this.#waiting.length);
    this.#last.fill(HEAD_OFFSET);
  }

  reset(): void {
    this.#last.fill(HEAD_OFFSET);
    this.#waitingCount = this.#waitingKeyBytes = 0;
    this.#lotCount = this.#lotAt = 0;
    this.#height = 1;
  }

  /** HOT. Adds a node that is filled in. REQUIRES: it is newer than all others. */
  add(node: number, height: number): void {
    const isLotLinked = this.#lotAt === this.#lotCount;
    if (isLotLinked && this.#waitingCount === 0 && this.#isBehindAll(node)) {
      this.#insert(node, height, this.#last);
      return;
    }
    if (!isLotLinked) this.#linkNext();
    const words = this.#words;
    const older = words[(node >> 2) + NODE_OLDER];
    if (this.#waitingCount > 0 && older >= this.#waiting[0]) words[(older >> 2) - 1] = SUPERSEDED;
    words[(node >> 2) - 1] = 0;
    this.#waiting[this.#waitingCount++] = node;
    this.#waitingKeyBytes += this.#keyLengthOf(node);
    if (this.#waitingCount < this.#waiting.length && this.#waitingKeyBytes < LOT_KEY_BYTES_MAX) return;
    // The lot before had as many, and is linked by now, unless these keys are the longer ones.
    this.#linkLot(LOT_NODES_MAX);
    this.#makeLot();
  }

  /** Links whatever is not. */
  link(): void {
    while (!this.linkSome(LOT_NODES_MAX));
  }

  /** Links about as many keys, and says whether all are linked. */
  linkSome(count: number): boolean {
    for (let left = count; left > 0;) {
      if (this.#lotAt === this.#lotCount) {
        if (this.#waitingCount === 0) return true;
        this.#makeLot();
      }
      const before = this.#lotAt;
      this.#linkLot(left);
      left -= this.#lotAt - before;
    }
    return this.#lotAt === this.#lotCount && this.#waitingCount === 0;
  }

  #linkLot(count: number): void {
    const to = Math.min(this.#lotAt + count, this.#lotCount);
    while (this.#lotAt < to) this.#linkNext();
  }

  #makeLot(): void {
    assert(this.#lotAt === this.#lotCount, 'a lot is linked before the next is made');
    this.#lotFrom = this.#waiting[0];
    this.#lotCount = this.#keepNewest();
    this.#lot.set(this.#waiting.subarray(0, this.#lotCount));
    this.#sort(0, this.#lotCount, 0);
    this.#lotAt = 0;
    this.#waitingCount = this.#waitingKeyBytes = 0;
    this.#previous.fill(HEAD_OFFSET);
  }

  /** Of what waits the newest version of each key, the others taken out; how many there are. */
  #keepNewest(): number {
    const waiting = this.#waiting;
    let kept = 0;
    for (let i = 0; i < this.#waitingCount; i++) {
      const node = waiting[i];
      if (this.#words[(node >> 2) - 1] !== SUPERSEDED) waiting[kept++] = node;
    }
    return kept;
  }

  /** HOT. With all versions of the key that the lot has. */
  #linkNext(): void {
    const words = this.#words;
    const newest = this.#lot[this.#lotAt++];
    this.#goOnTo(newest);
    let count = 0;
    for (let node = newest; node >= this.#lotFrom; node = words[(node >> 2) + NODE_OLDER])
      versions[count++] = node;
    // Each is put before those of its key.
    while (count > 0) {
      const node = versions[--count];
      this.#insert(node, words[(node >> 2) + NODE_KEY] >>> 24, this.#previous);
    }
  }

  /** The first node, 0 if there is none. Nodes are in the order of keys, versions of one key newest first. */
  get first(): number {
    this.link();
    return this.#words[(HEAD_OFFSET >> 2) - 1];
  }

  /** The last node, 0 if there is none. */
  get last(): number {
    this.link();
    const last = this.#last[0];
    return last === HEAD_OFFSET ? 0 : last;
  }

  /** The last node whose key is before `key[keyStart, + keyLength)`; HEAD_OFFSET if there is none. */
  lastBefore(key: Uint8Array, keyStart: number, keyLength: number): number {
    this.link();
    const high = keyWord(key, keyStart, keyLength, 0);
    const low = keyWord(key, keyStart, keyLength, 4);
    return this.#descend(HEAD_OFFSET, this.#height - 1, 0, high, low, key, keyStart, keyLength);
  }

  #isBehindAll(node: number): boolean {
    const tail = this.#last[0];
    return tail === HEAD_OFFSET || this.#compareNodes(tail, node) < 0;
  }

  /**
   * HOT. Moves `previous` on to the node's key, which is not before the one that it was at: up from the lowest level as long as
   * the next node is before the key, then down again (a finger search).
   */
  #goOnTo(node: number): void {
    const words = this.#words;
    const previous = this.#previous;
    const at = node >> 2;
    const high = words[at + NODE_PREFIX_HIGH];
    const low = words[at + NODE_PREFIX_LOW];
    const keyLength = words[at + NODE_KEY] & 0xffff;
    const keyStart = node + NODE_HEADER_BYTES;
    const bytes = this.#bytes;
    const height = this.#height;
    let level = 0;
    let rejected = 0;
    for (; level < height; level++) {
      const next = words[(previous[level] >> 2) - 1 - level];
      if (next === 0) break;
      if (this.#compare(next, high, low, bytes, keyStart, keyLength) >= 0) {
        rejected = next;
        break;
      }
      previous[level] = next;
    }
    // Above, nothing lies between. On this level and below the place is at or behind what was found highest.
    if (level > 0)
      this.#descend(previous[level - 1], level - 1, rejected, high, low, bytes, keyStart, keyLength);
  }

  /**
   * HOT. From a node before the key on to the last one before it, level by level, and notes it of each as `previous`; that of
   * the lowest. `rejected` is not before the key.
   */
  #descend(
    from: number,
    fromLevel: number,
    rejected: number,
    high: number,
    low: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
  ): number {
    const words = this.#words;
    let node = from;
    let tooFar = rejected;
    for (let level = fromLevel; level >= 0; level--) {
      for (;;) {
        const next = words[(node >> 2) - 1 - level];
        // A node that was too far on a higher level is not compared again.
        if (next === 0 || next === tooFar) break;
        if (this.#compare(next, high, low, key, keyStart, keyLength) >= 0) {
          tooFar = next;
          break;
        }
        node = next;
      }
      this.#previous[level] = node;
    }
    return node;
  }

  /** Behind `previous`, and so before older versions of its key. */
  #insert(node: number, height: number, previous: Int32Array): void {
    const words = this.#words;
    const last = this.#last;
    for (; this.#height < height; this.#height++) previous[this.#height] = HEAD_OFFSET;
    for (let level = 0; level < height; level++) {
      const before = (previous[level] >> 2) - 1 - level;
      const after = words[before];
      words[(node >> 2) - 1 - level] = after;
      words[before] = node;
      if (after === 0) last[level] = node;
    }
  }

  /** Sorts [begin, end) of the lot by key. No two nodes there have the same key. */
  #sort(begin: number, end: number, headSortsBefore: number): void {
    const lot = this.#lot;
    if (end - begin <= INSERTION_MAX) {
      this.#sortByInsertion(begin, end);
    } else if (headSortsBefore === HEAD_SORTS_MAX) {
      lot.subarray(begin, end).sort((a, b) => this.#compareNodes(a, b));
    } else {
      this.#sortByHeads(begin, end, headSortsBefore);
    }
  }

  #sortByHeads(begin: number, end: number, headSortsBefore: number): void {
    const { heads, nodes } = headSorts[headSortsBefore];
    const lot = this.#lot;
    const count = end - begin;
    const skip = this.#commonLength(begin, end);
    for (let i = 0; i < count; i++) {
      nodes[i] = lot[begin + i];
      heads[i] = this.#headOf(nodes[i], skip) * LOT_NODES_MAX + i;
    }
    heads.subarray(0, count).sort();
    let group = begin;
    let head = -1;
    for (let i = 0; i < count; i++) {
      const ofThis = Math.floor(heads[i] / LOT_NODES_MAX);
      lot[begin + i] = nodes[heads[i] - ofThis * LOT_NODES_MAX];
      if (ofThis === head) continue;
      this.#sort(group, begin + i, headSortsBefore + 1);
      group = begin + i;
      head = ofThis;
    }
    this.#sort(group, end, headSortsBefore + 1);
  }

  #sortByInsertion(begin: number, end: number): void {
    const lot = this.#lot;
    for (let i = begin + 1; i < end; i++) {
      const node = lot[i];
      let at = i;
      for (; at > begin && this.#compareNodes(lot[at - 1], node) > 0; at--) lot[at] = lot[at - 1];
      lot[at] = node;
    }
  }

  /** How many bytes the keys of [begin, end) of the lot have in common. */
  #commonLength(begin: number, end: number): number {
    const first = this.#lot[begin];
    let common = this.#keyLengthOf(first);
    for (let i = begin + 1; i < end && common > 0; i++) {
      const node = this.#lot[i];
      const [a, b] = [first + NODE_HEADER_BYTES, node + NODE_HEADER_BYTES];
      common = commonPrefixLength(this.#bytes, a, common, this.#bytes, b, this.#keyLengthOf(node));
    }
    return common;
  }

  /** HEAD_BYTES of the key as a number that sorts like them. */
  #headOf(node: number, skip: number): number {
    const bytes = this.#bytes;
    const start = node + NODE_HEADER_BYTES;
    const end = start + this.#keyLengthOf(node);
    let head = 0;
    for (let i = start + skip, to = i + HEAD_BYTES; i < to; i++) head = head * 256 + (i < end ? bytes[i] : 0);
    return head;
  }

  #keyLengthOf(node: number): number {
    return this.#words[(node >> 2) + NODE_KEY] & 0xffff;
  }

  #compareNodes(a: number, b: number): number {
    const words = this.#words;
    const at = b >> 2;
    const high = words[at + NODE_PREFIX_HIGH];
    const low = words[at + NODE_PREFIX_LOW];
    return this.#compare(a, high, low, this.#bytes, b + NODE_HEADER_BYTES, this.#keyLengthOf(b));
  }

  /** A node's key against another: negative, zero or positive. */
  #compare(
    node: number,
    high: number,
    low: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
  ): number {
    const words = this.#words;
    const at = node >> 2;
    const nodeHigh = words[at + NODE_PREFIX_HIGH];
    if (nodeHigh !== high) return nodeHigh < high ? -1 : 1;
    const nodeLow = words[at + NODE_PREFIX_LOW];
    if (nodeLow !== low) return nodeLow < low ? -1 : 1;
    const nodeKeyLength = words[at + NODE_KEY] & 0xffff;
    if (nodeKeyLength <= 8 || keyLength <= 8) return nodeKeyLength - keyLength;
    const nodeKeyStart = node + NODE_HEADER_BYTES;
    return compareBytes(this.#bytes, nodeKeyStart + 8, nodeKeyLength - 8, key, keyStart + 8, keyLength - 8);
  }
}

/** Four bytes of a key from `from` on, big-endian, padded with zeros, so that signed comparison orders them. */
export function keyWord(key: Uint8Array, keyStart: number, keyLength: number, from: number): number {
  let word = 0;
  const end = keyLength < from + 4 ? keyLength : from + 4;
  for (let i = from; i < end; i++) word |= key[keyStart + i] << (24 - 8 * (i - from));
  return word ^ SIGN;
}
