/**
 * A table that a compaction reads: what it knows of it once the tail has been read. Ring threads only.
 *
 * A merge goes through a table from its first block to its last, so of the index it keeps where blocks end, two bytes a
 * block, and the keys of those that are too large to be read ahead.
 */
import { commonPrefixLength, compareBytes } from '../format/compare.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import type { TableMeta } from '../format/table-meta.ts';

export interface InputTable {
  readonly number: number;
  readonly handle: number;
  readonly pageCounts: Uint16Array;
  /** User keys of the blocks that are larger than a read buffer. */
  readonly largeKeys: ReadonlyMap<number, Uint8Array>;
}

export function inputTableOf(
  number: number,
  handle: number,
  meta: TableMeta,
  chunkBytes: number,
): InputTable {
  const { index } = meta;
  const pageCounts = new Uint16Array(index.blockCount);
  const largeKeys = new Map<number, Uint8Array>();
  for (let block = 0; block < index.blockCount; block++) {
    const pages = index.pageCountOf(block);
    pageCounts[block] = pages;
    if (pages * PAGE_BYTES > chunkBytes) largeKeys.set(block, index.firstKeyOf(block).slice());
  }
  return { number, handle, pageCounts, largeKeys };
}

/** What the keys of all entries of a compaction's tables begin with. */
export class CommonBeginning {
  #smallest: Uint8Array | undefined;
  /** A key, or an end behind all keys. */
  #largest: Uint8Array | undefined;
  #hasEnd = true;

  note({ index, properties }: TableMeta): void {
    if (index.blockCount === 0) return;
    const smallest = index.firstKeyOf(0);
    const { largestKey, largestKeyIsExclusive } = properties;
    if (largestKeyIsExclusive && largestKey.length === 0) this.#hasEnd = false;
    if (this.#smallest === undefined || compareKeys(smallest, this.#smallest) < 0) this.#smallest = smallest;
    if (this.#largest === undefined || compareKeys(largestKey, this.#largest) > 0) this.#largest = largestKey;
  }

  bytes(): Uint8Array {
    const smallest = this.#smallest;
    const largest = this.#largest;
    if (smallest === undefined || largest === undefined || !this.#hasEnd) return new Uint8Array(0);
    const length = commonPrefixLength(smallest, 0, smallest.length, largest, 0, largest.length);
    return smallest.slice(0, length);
  }
}

function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return compareBytes(a, 0, a.length, b, 0, b.length);
}
