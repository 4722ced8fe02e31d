/**
 * A block of a memtable's key order (key-order.ts): nodes by key, and beside each the key's head (format/key-head.ts), behind what
 * the block's keys have in common. Owner only.
 *
 *     nodes │ n₀ n₁ n₂ … │      searching and merging look at the heads, which lie side by side, and at keys, which lie
 *     heads │ h₀ h₁ h₂ … │      anywhere in the arena, only where two heads are equal
 */
import { commonPrefixLength } from '../format/compare.ts';
import { headOf } from '../format/key-head.ts';
import { keyLengthOf, NODE_HEADER_BYTES } from '../protocol/arena.ts';
import { commonPrefixOfNodes, compareToKey, headOfNode, type NodeMemory } from './node-sort.ts';

export const BLOCK_NODES = 512;
/** What has no room in a block is split into some that have so many nodes, or somewhat fewer: with room for more. */
const SPLIT_NODES = 384;
/** With so many equal heads among a block's, or more, they begin too early: they are taken anew. */
const EQUAL_HEADS_MAX = BLOCK_NODES / 4;
const NO_HEADS = -1;

/** For one call each. */
const merged = { nodes: new Int32Array(2 * BLOCK_NODES), heads: new Float64Array(2 * BLOCK_NODES) };

export class KeyBlock {
  readonly nodes = new Int32Array(BLOCK_NODES);
  readonly #heads = new Float64Array(BLOCK_NODES);
  count = 0;
  /** The heads are of what is behind so many bytes, which all keys have in common; NO_HEADS: they have not been taken. */
  #skip = NO_HEADS;

  clear(): void {
    this.count = 0;
    this.#skip = NO_HEADS;
  }

  /** Without heads: as long as keys come in order there is nothing to be merged. REQUIRES: room; a key behind all others. */
  append(node: number): void {
    this.nodes[this.count++] = node;
    this.#skip = NO_HEADS;
  }

  /** The place of the first key that is not before `key[keyStart, + keyLength)`; `count` if there is none. */
  firstFrom(memory: NodeMemory, key: Uint8Array, keyStart: number, keyLength: number): number {
    const { nodes, count } = this;
    if (this.#skip === NO_HEADS) {
      // Where keys are being appended heads would have to be taken again and again.
      if (count < BLOCK_NODES) return this.#firstByKey(memory, key, keyStart, keyLength);
      this.#takeHeads(memory, this.#commonPrefix(memory));
    }
    const skip = this.#skip;
    const first = nodes[0] + NODE_HEADER_BYTES;
    const common = commonPrefixLength(memory.bytes, first, skip, key, keyStart, keyLength);
    // Then it is before all of them, or behind all.
    if (common < skip) return compareToKey(memory, nodes[0], key, keyStart, keyLength) < 0 ? count : 0;
    const head = headOf(key, keyStart + skip, keyStart + keyLength);
    return this.#firstByHead(memory, 0, count, head, key, keyStart, keyLength);
  }

  /**
   * Merges `lot[from, end)` into this block; what has no room is put into new ones, which are returned, by key. REQUIRES: no more
   * than BLOCK_NODES, by key, none of which is here.
   */
  merge(
    memory: NodeMemory,
    lot: Int32Array,
    from: number,
    end: number,
    makeBlock: () => KeyBlock,
  ): KeyBlock[] {
    this.#makeHeadsHold(memory, lot[from], lot[end - 1]);
    if (this.count + end - from <= BLOCK_NODES) {
      this.#mergeHere(memory, lot, from, end);
      return [];
    }
    return this.#split(memory, this.#mergeAside(memory, lot, from, end), makeBlock);
  }

  #mergeHere(memory: NodeMemory, lot: Int32Array, from: number, end: number): void {
    const { nodes } = this;
    const heads = this.#heads;
    // From the last one on, so that nothing is written over that is still to be moved.
    let left = this.count;
    let to = left + end - from;
    this.count = to;
    for (let inLot = end - 1; inLot >= from; inLot--) {
      const node = lot[inLot];
      const head = headOfNode(memory, node, this.#skip);
      // Step by step: those that are passed over are moved anyway.
      let place = left;
      while (place > 0 && heads[place - 1] > head) place--;
      if (place > 0 && heads[place - 1] === head) place = this.#placeOf(memory, node, head, 0, place);
      while (left > place) {
        left--;
        to--;
        nodes[to] = nodes[left];
        heads[to] = heads[left];
      }
      to--;
      nodes[to] = node;
      heads[to] = head;
    }
  }

  /** Into `merged`; how many. */
  #mergeAside(memory: NodeMemory, lot: Int32Array, from: number, end: number): number {
    let to = 0;
    let taken = 0;
    for (let inLot = from; inLot < end; inLot++, to++) {
      const node = lot[inLot];
      const head = headOfNode(memory, node, this.#skip);
      const place = this.#placeOf(memory, node, head, taken, this.count);
      this.#copyAside(taken, place, to);
      to += place - taken;
      taken = place;
      merged.nodes[to] = node;
      merged.heads[to] = head;
    }
    this.#copyAside(taken, this.count, to);
    return to + this.count - taken;
  }

  /** Into `merged` from `to` on what this block has in [from, end). */
  #copyAside(from: number, end: number, to: number): void {
    for (let i = from; i < end; i++) {
      merged.nodes[to + i - from] = this.nodes[i];
      merged.heads[to + i - from] = this.#heads[i];
    }
  }

  /** Puts what has been merged, `count` nodes, into this block and new ones, which are returned. */
  #split(memory: NodeMemory, count: number, makeBlock: () => KeyBlock): KeyBlock[] {
    const parts = Math.ceil(count / SPLIT_NODES);
    const added = Array.from({ length: parts - 1 }, makeBlock);
    const skip = this.#skip;
    [this, ...added].forEach((block, part) => {
      const from = Math.floor((count * part) / parts);
      const end = Math.floor((count * (part + 1)) / parts);
      block.#takeMerged(memory, from, end, skip);
    });
    return added;
  }

  #takeMerged(memory: NodeMemory, from: number, end: number, skip: number): void {
    this.nodes.set(merged.nodes.subarray(from, end));
    this.#heads.set(merged.heads.subarray(from, end));
    this.count = end - from;
    this.#skip = skip;
    if (this.#equalHeads >= EQUAL_HEADS_MAX) this.#takeHeads(memory, this.#commonPrefix(memory));
  }

  /** Has the heads be such that they hold with keys from that of `first` to that of `last` as well. */
  #makeHeadsHold(memory: NodeMemory, first: number, last: number): void {
    if (this.count === 0) {
      this.#skip = commonPrefixOfNodes(memory, first, last);
      return;
    }
    const ofBlock = this.nodes[0];
    const common = Math.min(
      this.#skip === NO_HEADS ? this.#commonPrefix(memory) : this.#skip,
      commonPrefixOfNodes(memory, ofBlock, first),
      commonPrefixOfNodes(memory, ofBlock, last),
    );
    if (common !== this.#skip) this.#takeHeads(memory, common);
  }

  #takeHeads(memory: NodeMemory, skip: number): void {
    const { nodes, count } = this;
    const heads = this.#heads;
    for (let i = 0; i < count; i++) heads[i] = headOfNode(memory, nodes[i], skip);
    this.#skip = skip;
  }

  /** How many heads are the same as the one before. */
  get #equalHeads(): number {
    const heads = this.#heads;
    let equal = 0;
    for (let i = 1; i < this.count; i++) if (heads[i] === heads[i - 1]) equal++;
    return equal;
  }

  #commonPrefix(memory: NodeMemory): number {
    return commonPrefixOfNodes(memory, this.nodes[0], this.nodes[this.count - 1]);
  }

  /** HOT. The place in [begin, end) before which a node belongs. */
  #placeOf(memory: NodeMemory, node: number, head: number, begin: number, end: number): number {
    const keyStart = node + NODE_HEADER_BYTES;
    const keyLength = keyLengthOf(memory.words, node);
    return this.#firstByHead(memory, begin, end, head, memory.bytes, keyStart, keyLength);
  }

  /** HOT. As `firstFrom` in [begin, end): by heads, and by keys where they are equal; `end` if there is none. */
  #firstByHead(
    memory: NodeMemory,
    begin: number,
    end: number,
    head: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
  ): number {
    const { nodes } = this;
    const heads = this.#heads;
    let from = begin;
    for (let to = end; from < to;) {
      const middle = (from + to) >>> 1;
      const other = heads[middle];
      const isBefore =
        other < head || (other === head && compareToKey(memory, nodes[middle], key, keyStart, keyLength) < 0);
      if (isBefore) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #firstByKey(memory: NodeMemory, key: Uint8Array, keyStart: number, keyLength: number): number {
    let from = 0;
    for (let to = this.count; from < to;) {
      const middle = (from + to) >>> 1;
      if (compareToKey(memory, this.nodes[middle], key, keyStart, keyLength) < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
