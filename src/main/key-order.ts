/**
 * The order of a memtable's keys: sorted blocks of nodes, one node for each key. Owner only.
 *
 * Gets go by the hash table; only scans and the flush need the order. So nodes wait until there is a lot of them, which is sorted and
 * then merged into the blocks, a block with each node that is added, so that no write waits for all. Heads (format/key-head.ts)
 * stand beside the nodes: merging reads them in sequence, and keys, which lie anywhere in the arena, only where two are equal.
 *
 *     add ─► waiting ─► (LOT_NODES_MAX) ─► a lot, by key ─► (with each that is added) ─► blocks
 *        └──────────── (behind all others, none waits) ─────────────────────────────────┘
 *
 *     blocks, by key:  nodes │ n₀ n₁ n₂ …      │ │ n₀ n₁ …   │ …
 *                      heads │ h₀ h₁ h₂ …      │ │ h₀ h₁ …   │     behind what the block's keys have in common (`skip`)
 *
 * Whoever asks for the order has all of them merged first.
 */
import { assert } from '../assert.ts';
import { commonPrefixLength, compareBytes } from '../format/compare.ts';
import { headOf } from '../format/key-head.ts';
import { NODE_HEADER_BYTES, NODE_KEY } from '../protocol/arena.ts';
import {
  commonPrefixOfNodes,
  compareNodes,
  headOfNode,
  SORTED_NODES_MAX,
  sortNodes,
  type NodeMemory,
} from './node-sort.ts';

/** Sorting so many takes a millisecond or two, which a write has to wait for once for as many. */
const LOT_NODES_MAX = SORTED_NODES_MAX;
/** Small arenas have small lots: merging one goes through all blocks, which is to be done some twenty times at most. */
const LOT_NODES_MIN = 32;
const BYTES_PER_LOT_NODE = 2048;
/** Of a lot's keys, which are compared to their ends where they begin alike. */
const LOT_KEY_BYTES_MAX = 1024 * 1024;
const BLOCK_NODES = 512;
/** What a block is split into has so many nodes, or somewhat fewer: with room for more. */
const SPLIT_NODES = 384;
/** With so many equal heads among a block's, or more, they begin too early: they are taken anew. */
const EQUAL_HEADS_MAX = BLOCK_NODES / 4;
const NO_HEADS = -1;

/** For one call each. */
const merged = {
  nodes: new Int32Array(SORTED_NODES_MAX + BLOCK_NODES),
  heads: new Float64Array(SORTED_NODES_MAX + BLOCK_NODES),
};

class Block {
  readonly nodes = new Int32Array(BLOCK_NODES);
  readonly heads = new Float64Array(BLOCK_NODES);
  count = 0;
  /** The heads are of what is behind so many bytes, which all keys have in common; NO_HEADS: they have not been taken. */
  skip = NO_HEADS;
}

/** Where a node stands, as it was when it was looked for; nodes that were added since may have moved it. */
export interface KeyPosition {
  /** 0: behind the last one, or before the first. */
  node: number;
  block: number;
  at: number;
}

export class KeyOrder {
  readonly #memory: NodeMemory;
  /** None is empty. */
  readonly #blocks: Block[] = [];
  /** To be used again. */
  readonly #spare: Block[] = [];
  readonly #waiting: Int32Array;
  #waitingCount = 0;
  #waitingKeyBytes = 0;
  /** By key; those before `lotAt` are merged, into blocks up to `lotBlock`. */
  readonly #lot: Int32Array;
  #lotCount = 0;
  #lotAt = 0;
  #lotBlock = 0;

  constructor(bytes: Uint8Array, words: Int32Array) {
    this.#memory = { bytes, words };
    const lotNodes = Math.ceil(bytes.length / BYTES_PER_LOT_NODE);
    this.#waiting = new Int32Array(Math.min(Math.max(lotNodes, LOT_NODES_MIN), LOT_NODES_MAX));
    this.#lot = new Int32Array(this.#waiting.length);
  }

  reset(): void {
    for (const block of this.#blocks.splice(0)) {
      block.count = 0;
      block.skip = NO_HEADS;
      this.#spare.push(block);
    }
    this.#waitingCount = this.#waitingKeyBytes = 0;
    this.#lotCount = this.#lotAt = this.#lotBlock = 0;
  }

  /** HOT. Adds a node that is filled in. REQUIRES: no other has its key. */
  add(node: number): void {
    if (this.#lotAt < this.#lotCount) this.#mergeIntoNextBlock();
    else if (this.#waitingCount === 0 && this.#isBehindAll(node)) return this.#append(node);
    this.#waiting[this.#waitingCount++] = node;
    this.#waitingKeyBytes += this.#keyLengthOf(node);
    if (this.#waitingCount === this.#waiting.length || this.#waitingKeyBytes >= LOT_KEY_BYTES_MAX) {
      // The lot before had as many, and more than there are blocks, unless these keys are the longer ones.
      this.#mergeLot();
      this.#makeLot();
    }
  }

  /** Puts a part of what is not in its place there, some milliseconds' worth at most, and says whether nothing is left. */
  settleSome(): boolean {
    if (this.#lotAt < this.#lotCount) this.#mergeLot();
    else if (this.#waitingCount > 0) this.#makeLot();
    return this.#lotAt === this.#lotCount && this.#waitingCount === 0;
  }

  /** Writes all nodes to `target` from `at` on, by key; how many. */
  writeTo(target: Int32Array, at: number): number {
    this.#settle();
    let end = at;
    for (const { nodes, count } of this.#blocks) {
      target.set(count === nodes.length ? nodes : nodes.subarray(0, count), end);
      end += count;
    }
    return end - at;
  }

  /** The node of the first key; 0 if there is none. */
  get first(): number {
    this.#settle();
    return this.#blocks.length === 0 ? 0 : this.#blocks[0].nodes[0];
  }

  /** The node of the last key; 0 if there is none. */
  get last(): number {
    this.#settle();
    const block = this.#blocks.at(-1);
    return block === undefined ? 0 : block.nodes[block.count - 1];
  }

  /** Goes to the first key. */
  toFirst(position: KeyPosition): void {
    this.#settle();
    this.#goTo(position, 0, 0);
  }

  /** Goes to the last key. */
  toLast(position: KeyPosition): void {
    this.#settle();
    this.#goTo(position, this.#blocks.length, -1);
  }

  /** Goes to the first key that is not before `key[keyStart, + keyLength)`. */
  toFirstFrom(position: KeyPosition, key: Uint8Array, keyStart: number, keyLength: number): void {
    this.#settle();
    this.#find(position, key, keyStart, keyLength);
  }

  /** Goes to the last key before `key[keyStart, + keyLength)`. */
  toLastBefore(position: KeyPosition, key: Uint8Array, keyStart: number, keyLength: number): void {
    this.#settle();
    this.#find(position, key, keyStart, keyLength);
    this.#goTo(position, position.block, position.at - 1);
  }

  /** HOT. Goes to the next key; of what was added since the order was asked for, some may be left out. */
  toNext(position: KeyPosition): void {
    this.#validate(position);
    this.#goTo(position, position.block, position.at + 1);
  }

  /** HOT. Goes to the key before; of what was added since the order was asked for, some may be left out. */
  toPrevious(position: KeyPosition): void {
    this.#validate(position);
    this.#goTo(position, position.block, position.at - 1);
  }

  /** HOT. To the place in the block, or, if that is beside it, to its neighbour's next one. */
  #goTo(position: KeyPosition, index: number, place: number): void {
    const blocks = this.#blocks;
    let block = index;
    let at = place;
    if (at < 0) {
      block--;
      at = block < 0 ? 0 : blocks[block].count - 1;
    } else if (block < blocks.length && at === blocks[block].count) {
      block++;
      at = 0;
    }
    position.block = block;
    position.at = at;
    position.node = block < 0 || block >= blocks.length ? 0 : blocks[block].nodes[at];
  }

  /** HOT. Looks for the position's node where it is not any more. */
  #validate(position: KeyPosition): void {
    const { node, block: index, at } = position;
    assert(node !== 0, 'there is no key behind the end');
    if (index < this.#blocks.length) {
      const block = this.#blocks[index];
      if (at < block.count && block.nodes[at] === node) return;
    }
    this.#find(position, this.#memory.bytes, node + NODE_HEADER_BYTES, this.#keyLengthOf(node));
    assert(position.node === node, 'nodes stay in the order');
  }

  /** Goes to the first key in the blocks that is not before `key[keyStart, + keyLength)`. */
  #find(position: KeyPosition, key: Uint8Array, keyStart: number, keyLength: number): void {
    const blocks = this.#blocks;
    // The last block whose first key is before, or the first of all.
    let index = 0;
    for (let beyond = blocks.length; index + 1 < beyond;) {
      const middle = (index + beyond) >>> 1;
      if (this.#compare(blocks[middle].nodes[0], key, keyStart, keyLength) < 0) index = middle;
      else beyond = middle;
    }
    const at = blocks.length === 0 ? 0 : this.#firstFrom(blocks[index], key, keyStart, keyLength);
    this.#goTo(position, index, at);
  }

  /** The place of the block's first key that is not before `key[keyStart, + keyLength)`; `count` if there is none. */
  #firstFrom(block: Block, key: Uint8Array, keyStart: number, keyLength: number): number {
    if (block.skip === NO_HEADS) this.#takeHeads(block, this.#commonPrefixIn(block));
    const { nodes, heads, count, skip } = block;
    const { bytes } = this.#memory;
    const common = commonPrefixLength(bytes, nodes[0] + NODE_HEADER_BYTES, skip, key, keyStart, keyLength);
    // Then it is before all of them, or behind all.
    if (common < skip) return this.#compare(nodes[0], key, keyStart, keyLength) < 0 ? count : 0;
    const head = headOf(key, keyStart + skip, keyStart + keyLength);
    let from = 0;
    for (let to = count; from < to;) {
      const middle = (from + to) >>> 1;
      const difference = heads[middle] - head;
      const isBefore =
        difference < 0 || (difference === 0 && this.#compare(nodes[middle], key, keyStart, keyLength) < 0);
      if (isBefore) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #settle(): void {
    while (!this.settleSome());
  }

  #isBehindAll(node: number): boolean {
    const last = this.#blocks.at(-1);
    return last === undefined || compareNodes(this.#memory, last.nodes[last.count - 1], node) < 0;
  }

  /** Without heads: keys that come in order are hardly ever merged with others. */
  #append(node: number): void {
    let block = this.#blocks.at(-1);
    if (block === undefined || block.count === BLOCK_NODES) {
      block = this.#emptyBlock();
      this.#blocks.push(block);
    }
    block.nodes[block.count++] = node;
    block.skip = NO_HEADS;
  }

  #makeLot(): void {
    assert(this.#lotAt === this.#lotCount, 'a lot is merged before the next is made');
    this.#lot.set(this.#waiting.subarray(0, this.#waitingCount));
    sortNodes(this.#memory, this.#lot, 0, this.#waitingCount);
    this.#lotCount = this.#waitingCount;
    this.#lotAt = this.#lotBlock = 0;
    this.#waitingCount = this.#waitingKeyBytes = 0;
  }

  #mergeLot(): void {
    while (this.#lotAt < this.#lotCount) this.#mergeIntoNextBlock();
  }

  /** Those of the lot that belong into the next block into which any do: keys before the one behind it. */
  #mergeIntoNextBlock(): void {
    const memory = this.#memory;
    const blocks = this.#blocks;
    const lot = this.#lot;
    if (blocks.length === 0) blocks.push(this.#emptyBlock());
    let index = this.#lotBlock;
    while (
      index + 1 < blocks.length &&
      compareNodes(memory, blocks[index + 1].nodes[0], lot[this.#lotAt]) < 0
    )
      index++;
    let end = this.#lotAt + 1;
    if (index + 1 === blocks.length) {
      end = this.#lotCount;
    } else {
      const beyond = blocks[index + 1].nodes[0];
      while (end < this.#lotCount && compareNodes(memory, lot[end], beyond) < 0) end++;
    }
    this.#lotBlock = this.#merge(index, this.#lotAt, end);
    this.#lotAt = end;
  }

  /** Merges `lot[from, end)` into a block; the index of it, or of the last one that it has become. */
  #merge(index: number, from: number, end: number): number {
    const block = this.#blocks[index];
    this.#makeHeadsHold(block, from, end);
    if (block.count + end - from > BLOCK_NODES) return this.#mergeAndSplit(index, from, end);
    const memory = this.#memory;
    const lot = this.#lot;
    const { nodes, heads, skip } = block;
    // From the last one on, so that nothing is written over that is still to be moved.
    let inBlock = block.count - 1;
    let to = block.count + end - from - 1;
    block.count = to + 1;
    for (let inLot = end - 1; inLot >= from; inLot--, to--) {
      const node = lot[inLot];
      const head = headOfNode(memory, node, skip);
      for (; inBlock >= 0 && this.#isBehind(nodes[inBlock], heads[inBlock], node, head); inBlock--, to--) {
        nodes[to] = nodes[inBlock];
        heads[to] = heads[inBlock];
      }
      nodes[to] = node;
      heads[to] = head;
    }
    return index;
  }

  /** The same where there is no room. */
  #mergeAndSplit(index: number, from: number, end: number): number {
    const memory = this.#memory;
    const lot = this.#lot;
    const { nodes, heads, count, skip } = this.#blocks[index];
    let to = 0;
    let inBlock = 0;
    for (let inLot = from; inLot < end; inLot++, to++) {
      const node = lot[inLot];
      const head = headOfNode(memory, node, skip);
      for (
        ;
        inBlock < count && !this.#isBehind(nodes[inBlock], heads[inBlock], node, head);
        inBlock++, to++
      ) {
        merged.nodes[to] = nodes[inBlock];
        merged.heads[to] = heads[inBlock];
      }
      merged.nodes[to] = node;
      merged.heads[to] = head;
    }
    for (; inBlock < count; inBlock++, to++) {
      merged.nodes[to] = nodes[inBlock];
      merged.heads[to] = heads[inBlock];
    }
    return this.#split(index, to);
  }

  /** Puts what has been merged, `count` nodes, in place of a block; the index of the last one. */
  #split(index: number, count: number): number {
    const first = this.#blocks[index];
    const { skip } = first;
    const parts = Math.ceil(count / SPLIT_NODES);
    const blocks = Array.from({ length: parts }, (_, part) => (part === 0 ? first : this.#emptyBlock()));
    blocks.forEach((block, part) => {
      const from = Math.floor((count * part) / parts);
      const end = Math.floor((count * (part + 1)) / parts);
      block.nodes.set(merged.nodes.subarray(from, end));
      block.heads.set(merged.heads.subarray(from, end));
      block.count = end - from;
      block.skip = skip;
      if (equalHeadsIn(block) >= EQUAL_HEADS_MAX) this.#takeHeads(block, this.#commonPrefixIn(block));
    });
    this.#blocks.splice(index, 1, ...blocks);
    return index + parts - 1;
  }

  /** Has the block's heads be such that they hold with `lot[from, end)` as well. */
  #makeHeadsHold(block: Block, from: number, end: number): void {
    const memory = this.#memory;
    const first = this.#lot[from];
    const last = this.#lot[end - 1];
    if (block.count === 0) {
      block.skip = commonPrefixOfNodes(memory, first, last);
      return;
    }
    const before = block.skip === NO_HEADS ? this.#commonPrefixIn(block) : block.skip;
    const ofBlock = block.nodes[0];
    const common = Math.min(
      before,
      commonPrefixOfNodes(memory, ofBlock, first),
      commonPrefixOfNodes(memory, ofBlock, last),
    );
    if (common !== block.skip) this.#takeHeads(block, common);
  }

  #takeHeads(block: Block, skip: number): void {
    const { nodes, heads, count } = block;
    for (let i = 0; i < count; i++) heads[i] = headOfNode(this.#memory, nodes[i], skip);
    block.skip = skip;
  }

  #commonPrefixIn({ nodes, count }: Block): number {
    return commonPrefixOfNodes(this.#memory, nodes[0], nodes[count - 1]);
  }

  /** HOT. Whether the key of node a is behind that of node b. REQUIRES: heads of the same skip. */
  #isBehind(a: number, aHead: number, b: number, bHead: number): boolean {
    return aHead === bHead ? compareNodes(this.#memory, a, b) > 0 : aHead > bHead;
  }

  #emptyBlock(): Block {
    return this.#spare.pop() ?? new Block();
  }

  #keyLengthOf(node: number): number {
    return this.#memory.words[(node >> 2) + NODE_KEY] & 0xffff;
  }

  #compare(node: number, key: Uint8Array, keyStart: number, keyLength: number): number {
    const start = node + NODE_HEADER_BYTES;
    return compareBytes(this.#memory.bytes, start, this.#keyLengthOf(node), key, keyStart, keyLength);
  }
}

/** How many of a block's heads are the same as the one before. */
function equalHeadsIn({ heads, count }: Block): number {
  let equal = 0;
  for (let i = 1; i < count; i++) if (heads[i] === heads[i - 1]) equal++;
  return equal;
}
