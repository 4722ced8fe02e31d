/**
 * Sorts nodes of an arena by their keys. Owner only.
 *
 * What keys begin with, behind what all of them have in common, is put into one number with the node's place, and the numbers are
 * sorted. Those that begin alike that far are sorted again by what comes behind, but no more often than HEAD_SORTS_MAX times; then
 * whole keys are compared.
 */
import { assert } from '../assert.ts';
import { commonPrefixLength, compareBytes } from '../format/compare.ts';
import { HEAD_BITS, headOf } from '../format/key-head.ts';
import { keyLengthOf, NODE_HEADER_BYTES } from '../protocol/arena.ts';

/** More are not sorted at a time: it takes up to two milliseconds. */
export const SORTED_NODES_MAX = 16_384;
/** Of a number that is exact. */
const EXACT_BITS = 53;
/** Keys of many parts, of which each is shared by some, take one for each. */
const HEAD_SORTS_MAX = 6;
/** So few nodes are sorted by insertion. */
const INSERTION_MAX = 12;

/** For one call each, made when it is needed first. */
const scratches: { readonly heads: Float64Array; readonly nodes: Int32Array }[] = [];

/** An arena, as bytes and as words. */
export interface NodeMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

/** HOT. Negative, zero or positive as a node's key sorts before, with or after `key[keyStart, + keyLength)`. */
export function compareToKey(
  memory: NodeMemory,
  node: number,
  key: Uint8Array,
  keyStart: number,
  keyLength: number,
): number {
  const length = keyLengthOf(memory.words, node);
  return compareBytes(memory.bytes, node + NODE_HEADER_BYTES, length, key, keyStart, keyLength);
}

/** HOT. Negative, zero or positive as the key of node a sorts before, with or after that of node b. */
export function compareNodes(memory: NodeMemory, a: number, b: number): number {
  return compareToKey(memory, a, memory.bytes, b + NODE_HEADER_BYTES, keyLengthOf(memory.words, b));
}

/** HOT. How many bytes the keys of two nodes have in common at their beginning. */
export function commonPrefixOfNodes(memory: NodeMemory, a: number, b: number): number {
  const { bytes, words } = memory;
  const aLength = keyLengthOf(words, a);
  const bLength = keyLengthOf(words, b);
  return commonPrefixLength(bytes, a + NODE_HEADER_BYTES, aLength, bytes, b + NODE_HEADER_BYTES, bLength);
}

/** HOT. The head of a node's key behind its first `skip` bytes, of which it has at least as many. */
export function headOfNode(memory: NodeMemory, node: number, skip: number): number {
  const start = node + NODE_HEADER_BYTES;
  return headOf(memory.bytes, start + skip, start + keyLengthOf(memory.words, node));
}

/** Sorts `nodes[begin, end)`, SORTED_NODES_MAX at most. REQUIRES: no two have the same key. */
export function sortNodes(memory: NodeMemory, nodes: Int32Array, begin: number, end: number): void {
  assert(end - begin <= SORTED_NODES_MAX, 'as many as can be sorted at a time');
  sortBehind(memory, nodes, begin, end, 0);
}

function sortBehind(
  memory: NodeMemory,
  nodes: Int32Array,
  begin: number,
  end: number,
  headSortsBefore: number,
): void {
  if (end - begin <= INSERTION_MAX) {
    sortByInsertion(memory, nodes, begin, end);
  } else if (headSortsBefore === HEAD_SORTS_MAX) {
    nodes.subarray(begin, end).sort((a, b) => compareNodes(memory, a, b));
  } else {
    sortByHeads(memory, nodes, begin, end, headSortsBefore);
  }
}

function sortByHeads(
  memory: NodeMemory,
  nodes: Int32Array,
  begin: number,
  end: number,
  headSortsBefore: number,
): void {
  const scratch = (scratches[headSortsBefore] ??= {
    heads: new Float64Array(SORTED_NODES_MAX),
    nodes: new Int32Array(SORTED_NODES_MAX),
  });
  const count = end - begin;
  const placeBits = 32 - Math.clz32(count - 1);
  const places = 2 ** placeBits;
  const dropped = 2 ** (HEAD_BITS + placeBits - EXACT_BITS);
  const skip = commonLength(memory, nodes, begin, end);
  for (let i = 0; i < count; i++) {
    const node = nodes[begin + i];
    scratch.nodes[i] = node;
    scratch.heads[i] = Math.floor(headOfNode(memory, node, skip) / dropped) * places + i;
  }
  const heads = scratch.heads.subarray(0, count).sort();
  let group = begin;
  let head = -1;
  for (let i = 0; i < count; i++) {
    const ofThis = Math.floor(heads[i] / places);
    nodes[begin + i] = scratch.nodes[heads[i] - ofThis * places];
    if (ofThis === head) continue;
    if (begin + i - group > 1) sortBehind(memory, nodes, group, begin + i, headSortsBefore + 1);
    group = begin + i;
    head = ofThis;
  }
  sortBehind(memory, nodes, group, end, headSortsBefore + 1);
}

function sortByInsertion(memory: NodeMemory, nodes: Int32Array, begin: number, end: number): void {
  for (let i = begin + 1; i < end; i++) {
    const node = nodes[i];
    let at = i;
    for (; at > begin && compareNodes(memory, nodes[at - 1], node) > 0; at--) nodes[at] = nodes[at - 1];
    nodes[at] = node;
  }
}

/** How many bytes the keys of `nodes[begin, end)` have in common. */
function commonLength(memory: NodeMemory, nodes: Int32Array, begin: number, end: number): number {
  const { bytes, words } = memory;
  const first = nodes[begin] + NODE_HEADER_BYTES;
  let common = keyLengthOf(words, nodes[begin]);
  for (let i = begin + 1; i < end && common > 0; i++) {
    const node = nodes[i];
    const start = node + NODE_HEADER_BYTES;
    common = commonPrefixLength(bytes, first, common, bytes, start, keyLengthOf(words, node));
  }
  return common;
}
