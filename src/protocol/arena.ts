/**
 * A memtable arena's layout: what the owner writes and the flush thread reads in place. Pure; owner and ring threads.
 *
 * One SharedArrayBuffer holds nodes and, at its end, a hash table over them. A node is named by its byte offset, a multiple of
 * 4; 0 is no node:
 *
 *     ┌───────┬───────┬───────┬──────────────┬──────────────┬──────────────┬─────┬───────┐
 *     │ hash  │ older │ link  │ key length   │ value length │ sequence     │ key │ value │
 *     │       │       │       │ kind << 16   │              │ low, high    │     │       │
 *     └───────┴───────┴───────┴──────────────┴──────────────┴──────────────┴─────┴───────┘
 *      0       4       8       12             16             20      24     28
 *
 * `older` is the version of the same key before this one. The first version of a key, which has none before, stands for the key in
 * the order; its `link` is the newest version, that of the others is the first one.
 *
 * A range tombstone is a node that neither the order nor the hash table has: its key is the start, its value the end, and
 * `older` the range tombstone before it. The newest one is named by a word of the arena. When nothing is added any more, the
 * first versions of all keys, by key, are written behind the nodes; two words say where, and how many.
 */
import type { RangeTombstone } from '../format/range-tombstones.ts';

export const NODE_HASH = 0;
export const NODE_OLDER = 1;
export const NODE_LINK = 2;
export const NODE_KEY = 3;
export const NODE_VALUE_LENGTH = 4;
export const NODE_SEQUENCE_LOW = 5;
export const NODE_SEQUENCE_HIGH = 6;
/** Bytes from the node's offset to its key. */
export const NODE_HEADER_BYTES = 28;

/** Words of the arena itself, before all nodes. */
export const RANGE_TOMBSTONES_WORD = 1;
export const ORDER_WORD = 2;
export const KEYS_WORD = 3;
export const FIRST_NODE_AT = 16;

const TWO_32 = 0x1_0000_0000;

/** Walks an arena in the order of keys, versions of one key newest first. REQUIRES: nothing is added any more. */
export class ArenaCursor {
  readonly #words: Int32Array;
  /** Word of the next key's first version, and of the end. */
  #orderAt: number;
  readonly #orderEnd: number;
  #node = 0;
  keyStart = 0;
  keyLength = 0;
  valueStart = 0;
  valueLength = 0;
  kind = 0;
  hash = 0;
  sequence = 0;

  constructor(words: Int32Array) {
    this.#words = words;
    this.#orderAt = words[ORDER_WORD] >> 2;
    this.#orderEnd = this.#orderAt + words[KEYS_WORD];
  }

  /** Moves to the next node and reads its fields; false at the end. */
  next(): boolean {
    const words = this.#words;
    let node = this.#node === 0 ? 0 : words[(this.#node >> 2) + NODE_OLDER];
    if (node === 0) {
      if (this.#orderAt === this.#orderEnd) return false;
      node = newestVersion(words, words[this.#orderAt++]);
    }
    this.#node = node;
    const at = node >> 2;
    const keyWord = words[at + NODE_KEY];
    this.hash = words[at + NODE_HASH]!;
    this.keyLength = keyWord & 0xffff;
    this.kind = keyWord >>> 16;
    this.valueLength = words[at + NODE_VALUE_LENGTH]!;
    this.sequence = (words[at + NODE_SEQUENCE_LOW] >>> 0) + words[at + NODE_SEQUENCE_HIGH] * TWO_32;
    this.keyStart = node + NODE_HEADER_BYTES;
    this.valueStart = this.keyStart + this.keyLength;
    return true;
  }
}

/** HOT. How many bytes a node's key has. */
export function keyLengthOf(words: Int32Array, node: number): number {
  return words[(node >> 2) + NODE_KEY] & 0xffff;
}

/** HOT. The newest version of the key whose first version is `first`. */
export function newestVersion(words: Int32Array, first: number): number {
  return words[(first >> 2) + NODE_LINK];
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
  const end = start + keyLengthOf(words, node);
  return {
    start: bytes.slice(start, end),
    end: bytes.slice(end, end + words[at + NODE_VALUE_LENGTH]),
    sequence: (words[at + NODE_SEQUENCE_LOW] >>> 0) + words[at + NODE_SEQUENCE_HIGH] * TWO_32,
  };
}
