/**
 * The order of a memtable's keys: sorted blocks of nodes (key-block.ts), one node for each key. Owner only.
 *
 * Gets go by the hash table; only scans and the flush need the order. So nodes wait until there is a lot of them, which is sorted and
 * then merged into the blocks, one block with each node that is added, so that no write waits for all.
 *
 *     add ─► waiting ─► (LOT_NODES_MAX) ─► a lot, by key ─► (with each that is added) ─► blocks, by key
 *        └──────────── (behind all others, none waits) ─────────────────────────────────┘
 *
 * Whoever asks for the order has all of them merged first. Beside the arena a key takes 12 to 24 bytes.
 */
import { assert } from '../assert.ts';
import { keyLengthOf, NODE_HEADER_BYTES } from '../protocol/arena.ts';
import { copyBytes } from './bytes.ts';
import { BLOCK_NODES, KeyBlock } from './key-block.ts';
import { compareNodes, compareToKey, SORTED_NODES_MAX, sortNodes, type NodeMemory } from './node-sort.ts';

/** A write has to wait until they are sorted, once for as many. */
const LOT_NODES_MAX = SORTED_NODES_MAX;
/** Small arenas have small lots: merging one goes through all blocks. Some twenty fill an arena of 32 MiB or less. */
const LOT_NODES_MIN = 32;
const BYTES_PER_LOT_NODE = 2048;
/** Of a lot's keys, which are compared to their ends where they begin alike. */
const LOT_KEY_BYTES_MAX = 1024 * 1024;
const WORD_BYTES = 4;
/** So many blocks' worth is merged before the event loop has its turn, where nobody waits for it: a third of a millisecond. */
const MERGED_AT_ONCE = 64;

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
  readonly #blocks: KeyBlock[] = [];
  /** To be used again. */
  readonly #spare: KeyBlock[] = [];
  readonly #waiting: Int32Array;
  #waitingCount = 0;
  #waitingKeyBytes = 0;
  /** By key; those before `lotAt` are merged, and no other belongs before the block `lotBlock`. */
  readonly #lot: Int32Array;
  #lotCount = 0;
  #lotAt = 0;
  #lotBlock = 0;
  readonly #makeBlock = (): KeyBlock => this.#spare.pop() ?? new KeyBlock();

  constructor(bytes: Uint8Array, words: Int32Array) {
    this.#memory = { bytes, words };
    const lotNodes = Math.ceil(bytes.length / BYTES_PER_LOT_NODE);
    this.#waiting = new Int32Array(Math.min(Math.max(lotNodes, LOT_NODES_MIN), LOT_NODES_MAX));
    this.#lot = new Int32Array(this.#waiting.length);
  }

  reset(): void {
    for (const block of this.#blocks.splice(0)) {
      block.clear();
      this.#spare.push(block);
    }
    this.#waitingCount = this.#waitingKeyBytes = 0;
    this.#lotCount = this.#lotAt = this.#lotBlock = 0;
  }

  /** HOT. Adds a node that is filled in. REQUIRES: no other has its key. */
  add(node: number): void {
    const isMerging = this.#lotAt < this.#lotCount;
    if (!isMerging && this.#waitingCount === 0 && this.#isBehindAll(node)) return this.#append(node);
    this.#waiting[this.#waitingCount++] = node;
    this.#waitingKeyBytes += keyLengthOf(this.#memory.words, node);
    if (this.#waitingCount === this.#waiting.length || this.#waitingKeyBytes >= LOT_KEY_BYTES_MAX) {
      // The lot before had as many, and more than there are blocks, unless these keys are the longer ones.
      while (this.#lotAt < this.#lotCount) this.#mergeIntoNextBlock();
      this.#makeLot();
    } else if (isMerging) {
      this.#mergeIntoNextBlock();
    }
  }

  /** Puts a part of what is not in its place there, and says whether nothing is left: two milliseconds if a lot is to be sorted. */
  settleSome(): boolean {
    if (this.#lotAt === this.#lotCount && this.#waitingCount > 0) this.#makeLot();
    for (let left = MERGED_AT_ONCE; left > 0 && this.#lotAt < this.#lotCount; left--)
      this.#mergeIntoNextBlock();
    return this.#lotAt === this.#lotCount && this.#waitingCount === 0;
  }

  /** Writes all nodes to `target` from `at` on, by key, as words; how many. */
  writeTo(target: Uint8Array, at: number): number {
    this.#settle();
    let written = 0;
    for (const { nodes, count } of this.#blocks) {
      // By the addon: `set` copies to shared memory in small steps.
      copyBytes(new Uint8Array(nodes.buffer), 0, count * WORD_BYTES, target, at + written * WORD_BYTES);
      written += count;
    }
    return written;
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
    this.#find(position, this.#memory.bytes, node + NODE_HEADER_BYTES, keyLengthOf(this.#memory.words, node));
    assert(position.node === node, 'nodes stay in the order');
  }

  /** Goes to the first key in the blocks that is not before `key[keyStart, + keyLength)`. */
  #find(position: KeyPosition, key: Uint8Array, keyStart: number, keyLength: number): void {
    const blocks = this.#blocks;
    const index = this.#lastBlockBefore(0, blocks.length, key, keyStart, keyLength);
    const at = blocks.length === 0 ? 0 : blocks[index].firstFrom(this.#memory, key, keyStart, keyLength);
    this.#goTo(position, index, at);
  }

  /** Of the blocks from `first` on and before `beyond` the last one whose first key is before the key, or `first`. */
  #lastBlockBefore(
    first: number,
    beyond: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
  ): number {
    let index = first;
    for (let end = beyond; index + 1 < end;) {
      const middle = (index + end) >>> 1;
      const node = this.#blocks[middle].nodes[0];
      if (compareToKey(this.#memory, node, key, keyStart, keyLength) < 0) index = middle;
      else end = middle;
    }
    return index;
  }

  #settle(): void {
    while (!this.settleSome());
  }

  #isBehindAll(node: number): boolean {
    const blocks = this.#blocks;
    if (blocks.length === 0) return true;
    const last = blocks[blocks.length - 1];
    return compareNodes(this.#memory, last.nodes[last.count - 1], node) < 0;
  }

  #append(node: number): void {
    const blocks = this.#blocks;
    if (blocks.length === 0 || blocks[blocks.length - 1].count === BLOCK_NODES)
      blocks.push(this.#makeBlock());
    blocks[blocks.length - 1].append(node);
  }

  #makeLot(): void {
    assert(this.#lotAt === this.#lotCount, 'a lot is merged before the next is made');
    this.#lot.set(this.#waiting.subarray(0, this.#waitingCount));
    sortNodes(this.#memory, this.#lot, 0, this.#waitingCount);
    this.#lotCount = this.#waitingCount;
    this.#lotAt = this.#lotBlock = 0;
    this.#waitingCount = this.#waitingKeyBytes = 0;
  }

  /** Of the lot what belongs into the next block into which any does, before the one behind it: BLOCK_NODES at most. */
  #mergeIntoNextBlock(): void {
    const memory = this.#memory;
    const blocks = this.#blocks;
    const lot = this.#lot;
    if (blocks.length === 0) blocks.push(this.#makeBlock());
    const index = this.#nextBlockFor(lot[this.#lotAt]);
    const most = Math.min(this.#lotAt + BLOCK_NODES, this.#lotCount);
    let end = this.#lotAt + 1;
    if (index + 1 === blocks.length) {
      end = most;
    } else {
      const beyond = blocks[index + 1].nodes[0];
      while (end < most && compareNodes(memory, lot[end], beyond) < 0) end++;
    }
    const added = blocks[index].merge(memory, lot, this.#lotAt, end, this.#makeBlock);
    if (added.length > 0) blocks.splice(index + 1, 0, ...added);
    // Not the last of those that it has become: what is left of the lot may belong before it.
    this.#lotBlock = index;
    this.#lotAt = end;
  }

  /** The block that a node of the lot belongs into: most often the next one, otherwise it is looked for in growing steps. */
  #nextBlockFor(node: number): number {
    const blocks = this.#blocks;
    let index = this.#lotBlock;
    let step = 1;
    for (; index + step < blocks.length; step *= 2) {
      if (compareNodes(this.#memory, blocks[index + step].nodes[0], node) >= 0) break;
      index += step;
    }
    const { bytes, words } = this.#memory;
    const beyond = Math.min(index + step, blocks.length);
    return this.#lastBlockBefore(index, beyond, bytes, node + NODE_HEADER_BYTES, keyLengthOf(words, node));
  }
}
