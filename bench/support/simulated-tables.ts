/**
 * Tables that are lists of numbered keys, for the compaction simulator: merged, cut and searched like real ones, but
 * without values or files. Benchmarks only.
 *
 * An entry is a word: twice its key, and one more for a deletion. Keys are numbers below 2^31, spelt as eight hexadecimal
 * digits where the picker sees them. There are no snapshots: of each key the newest entry of a source is the only one.
 */
import { assert } from '../../src/assert.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';

export interface SimulatedTable {
  readonly description: TableDescription;
  /** In order, each key once. */
  readonly words: Uint32Array;
}

export interface EntrySizes {
  readonly putBytes: number;
  readonly deletionBytes: number;
}

const encoder = new TextEncoder();

export function keyBytesOf(key: number): Uint8Array {
  return encoder.encode(key.toString(16).padStart(8, '0'));
}

export function keyOf(bytes: Uint8Array): number {
  return parseInt(Buffer.from(bytes).toString('latin1'), 16);
}

export function makeTable(
  words: Uint32Array,
  { number, level, sequence }: { readonly number: number; readonly level: number; readonly sequence: number },
  { putBytes, deletionBytes }: EntrySizes,
): SimulatedTable {
  assert(words.length > 0, 'a table has entries');
  let deletions = 0;
  for (const word of words) deletions += word & 1;
  const fileBytes = (words.length - deletions) * putBytes + deletions * deletionBytes;
  const description: TableDescription = {
    number,
    level,
    fileBytes,
    metaOffset: 0,
    entries: words.length,
    deletions,
    overwritten: 0,
    rangeTombstones: 0,
    smallestKey: keyBytesOf(words[0] >>> 1),
    largestKey: keyBytesOf(words[words.length - 1] >>> 1),
    largestKeyIsExclusive: false,
    smallestSequence: sequence,
    largestSequence: sequence,
    rawBytes: fileBytes,
    createdAtSeconds: 0,
    createdAtSequence: sequence,
  };
  return { description, words };
}

/** Of words in the order of their writing, the last of each key, in order. */
export function sortedLatest(written: Uint32Array, count: number): Uint32Array {
  // Key and place in one number that sorts as both: 31 and 22 bits.
  assert(count <= 2 ** 22, 'a memtable has no more than 2^22 entries');
  const order = new Float64Array(count);
  for (let i = 0; i < count; i++) order[i] = (written[i] >>> 1) * 2 ** 22 + i;
  order.sort();
  const words = new Uint32Array(count);
  let length = 0;
  for (let i = 0; i < count; i++) {
    const word = written[order[i] % 2 ** 22];
    if (length > 0 && words[length - 1] >>> 1 === word >>> 1) length--;
    words[length++] = word;
  }
  return words.slice(0, length);
}

/** Both in order; of a key that is in both, the newer entry. */
export function mergeWords(newer: Uint32Array, older: Uint32Array): Uint32Array {
  const merged = new Uint32Array(newer.length + older.length);
  let length = 0;
  let i = 0;
  let j = 0;
  while (i < newer.length && j < older.length) {
    const a = newer[i] >>> 1;
    const b = older[j] >>> 1;
    if (a <= b) {
      merged[length++] = newer[i++];
      if (a === b) j++;
    } else merged[length++] = older[j++];
  }
  while (i < newer.length) merged[length++] = newer[i++];
  while (j < older.length) merged[length++] = older[j++];
  return merged.slice(0, length);
}

export function concatenated(tables: readonly SimulatedTable[]): Uint32Array {
  const all = new Uint32Array(tables.reduce((count, { words }) => count + words.length, 0));
  let at = 0;
  for (const { words } of tables) {
    all.set(words, at);
    at += words.length;
  }
  return all;
}

/** Without the deletions of keys that none of the older tables reaches. */
export function withoutDeadDeletions(words: Uint32Array, older: readonly TableDescription[]): Uint32Array {
  const spans = older
    .map(({ smallestKey, largestKey }) => ({ first: keyOf(smallestKey), last: keyOf(largestKey) }))
    .sort((a, b) => a.first - b.first);
  let next = 0;
  let reach = -1;
  return words.filter((word) => {
    const key = word >>> 1;
    while (next < spans.length && spans[next].first <= key) reach = Math.max(reach, spans[next++].last);
    return (word & 1) === 0 || key <= reach;
  });
}

export interface CutRules extends EntrySizes {
  readonly tableBytes: number;
  readonly grandparentBytesMax: number;
  /** An output that has so large a part of `tableBytes` ends where a grandparent does. 1: none does for that alone. */
  readonly alignedShare: number;
}

/** The words of each output table. */
export function cutWords(
  words: Uint32Array,
  grandparents: readonly TableDescription[],
  rules: CutRules,
): Uint32Array[] {
  const ends = grandparents.map(({ largestKey }) => keyOf(largestKey));
  const outputs: Uint32Array[] = [];
  let begin = 0;
  let bytes = 0;
  let overlapped = 0;
  let next = 0;
  for (let i = 0; i < words.length; i++) {
    const key = words[i] >>> 1;
    let isBehindEnd = false;
    while (next < ends.length && ends[next] < key) {
      overlapped += grandparents[next++].fileBytes;
      isBehindEnd = true;
    }
    const isFull = bytes >= rules.tableBytes;
    const isWide = isBehindEnd && overlapped > rules.grandparentBytesMax;
    const isAligned = isBehindEnd && bytes >= rules.alignedShare * rules.tableBytes;
    if (i > begin && (isFull || isWide || isAligned)) {
      outputs.push(words.slice(begin, i));
      begin = i;
      bytes = 0;
      overlapped = 0;
    }
    bytes += (words[i] & 1) === 1 ? rules.deletionBytes : rules.putBytes;
  }
  if (begin < words.length) outputs.push(words.slice(begin));
  return outputs;
}

/** The word of a key, or −1. */
export function findWord(words: Uint32Array, key: number): number {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[middle] >>> 1 < key) low = middle + 1;
    else high = middle;
  }
  return low < words.length && words[low] >>> 1 === key ? words[low] : -1;
}
