/** An open table as the owner knows it: what the manifest says of it, its index and filter, and where its blocks are cached. Owner only. */
import { tableName } from '../format/file-names.ts';
import type { TableIndex } from '../format/table-index.ts';
import type { TableMeta } from '../format/table-meta.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { compareKeys, type KeyRange } from './range.ts';

export const NOT_CACHED = -1;

export class Table {
  readonly description: TableDescription;
  readonly number: number;
  readonly fileName: string;
  readonly index: TableIndex;
  readonly filter: Int32Array | null;
  /** For each block the cache slot it is in, or on its way to; NOT_CACHED otherwise. */
  readonly slots: Int32Array;

  constructor(description: TableDescription, meta: TableMeta) {
    this.description = description;
    this.number = description.number;
    this.fileName = tableName(description.number);
    this.index = meta.index;
    this.filter = meta.filter;
    this.slots = new Int32Array(meta.index.blockCount).fill(NOT_CACHED);
  }

  /** Whether some key of the range may be in the table, as far as its smallest and its largest key tell. */
  mayHold({ lower, upper }: KeyRange): boolean {
    const { smallestKey, largestKey } = this.description;
    if (lower !== undefined && compareKeys(largestKey, lower) < 0) return false;
    return upper === undefined || compareKeys(smallestKey, upper) < 0;
  }

  /** Bytes of index, filter and cache directory in memory. */
  get memoryBytes(): number {
    return this.index.memoryBytes + (this.filter?.byteLength ?? 0) + this.slots.byteLength;
  }
}
