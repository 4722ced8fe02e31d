/**
 * A memtable arena's layout: what the owner writes and the flush thread reads in place. Pure; owner and ring threads.
 *
 * One SharedArrayBuffer holds skiplist nodes and, at its end, a hash table over them. A node is named by its byte
 * offset, a multiple of 4; 0 is no node. Towers grow downwards from the node, so that the fields have fixed places:
 *
 *     ┌───────────┬─────┬───────────┬───────┬───────┬──────────┬──────────┬──────────┬──────────┬─────┬───────┐
 *     │ next[h−1] │  …  │  next[0]  │ hash  │ older │ prefix   │ key len  │ value    │ sequence │ key │ value │
 *     │           │     │           │       │       │ hi, lo   │ kind h   │ length   │ lo, hi   │     │       │
 *     └───────────┴─────┴───────────┴───────┴───────┴──────────┴──────────┴──────────┴──────────┴─────┴───────┘
 *      −4h               −4          0       4       8   12     16         20         24   28    32
 *
 * `older` is the previous version of the same key. The prefix is the key's first 8 bytes, big-endian and padded with
 * zeros, compared as two unsigned words before any byte. Word 16 is key length | kind << 16 | height << 24.
 *
 * A range tombstone is a node without a tower, in neither the list nor the hash table: its key is the start, its value
 * the end, and `older` the range tombstone before it. The newest one is named by a word before the head.
 */
import type { RangeTombstone } from '../format/range-tombstones.ts';

export const NODE_HASH = 0;
export const NODE_OLDER = 1;
export const NODE_PREFIX_HIGH = 2;
export const NODE_PREFIX_LOW = 3;
export const NODE_KEY = 4;
export const NODE_VALUE_LENGTH = 5;
export const NODE_SEQUENCE_LOW = 6;
export const NODE_SEQUENCE_HIGH = 7;
/** Bytes from the node's offset to its key. */
export const NODE_HEADER_BYTES = 32;

/** Levels of the skiplist; with a quarter of the nodes promoted, enough for 4^12 nodes. */
export const HEIGHT_MAX = 12;

/** Byte offset of the head node, whose tower has HEIGHT_MAX levels and which has no key. */
export const HEAD_OFFSET = 64;

/** Word that names the newest range tombstone; before the head's tower. */
export const RANGE_TOMBSTONES_WORD = 1;

const TWO_32 = 0x1_0000_0000;

/** Walks an arena in order. The views must not change while it does. */
export class ArenaCursor {
  readonly #words: Int32Array;
  #node = HEAD_OFFSET;
  keyStart = 0;
  keyLength = 0;
  valueStart = 0;
  valueLength = 0;
  kind = 0;
  hash = 0;
  sequence = 0;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** Moves to the next node and reads its fields; false at the end. */
  next(): boolean {
    const words = this.#words;
    const node = words[(this.#node >> 2) - 1];
    if (node === 0) return false;
    this.#node = node;
    const at = node >> 2;
    const keyWord = words[at + NODE_KEY];
    this.hash = words[at + NODE_HASH]!;
    this.keyLength = keyWord & 0xffff;
    this.kind = (keyWord >>> 16) & 0xff;
    this.valueLength = words[at + NODE_VALUE_LENGTH]!;
    this.sequence = (words[at + NODE_SEQUENCE_LOW] >>> 0) + words[at + NODE_SEQUENCE_HIGH] * TWO_32;
    this.keyStart = node + NODE_HEADER_BYTES;
    this.valueStart = this.keyStart + this.keyLength;
    return true;
  }
}

/** Copies of the arena's range tombstones, oldest first. */
export function rangeTombstonesIn(bytes: Uint8Array, words: Int32Array): RangeTombstone[] {
  const newestFirst: RangeTombstone[] = [];
  for (let node = words[RANGE_TOMBSTONES_WORD]; node !== 0; node = words[(node >> 2) + NODE_OLDER]) {
    newestFirst.push(rangeTombstoneAt(node, bytes, words));
  }
  return newestFirst.reverse();
}

/** A copy of the range tombstone that a node holds. */
export function rangeTombstoneAt(node: number, bytes: Uint8Array, words: Int32Array): RangeTombstone {
  const at = node >> 2;
  const start = node + NODE_HEADER_BYTES;
  const end = start + (words[at + NODE_KEY] & 0xffff);
  return {
    start: bytes.slice(start, end),
    end: bytes.slice(end, end + words[at + NODE_VALUE_LENGTH]),
    sequence: (words[at + NODE_SEQUENCE_LOW] >>> 0) + words[at + NODE_SEQUENCE_HIGH] * TWO_32,
  };
}
