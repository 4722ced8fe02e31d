/**
 * An open table as the owner knows it: what the manifest says of it, its index and filter, and where its blocks are
 * cached. Owner only.
 *
 * Whoever reads a table, or will, holds it: versions their tables, iterators and lookups the version that they began
 * with, the cache a table that it reads blocks of. What nobody holds any more was replaced by a compaction, and its file
 * goes (table-files.ts).
 */
import { assert } from '../assert.ts';
import { tableName } from '../format/file-names.ts';
import type { RangeTombstones } from '../format/range-tombstones.ts';
import type { TableIndex } from '../format/table-index.ts';
import type { TableMeta } from '../format/table-meta.ts';
import { isBehindTable } from '../format/table-range.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { compareKeys, type KeyRange } from './range.ts';

export const NOT_CACHED = -1;

export class Table {
  readonly number: number;
  readonly fileName: string;
  readonly index: TableIndex;
  readonly filter: Int32Array | null;
  /** Null when the table has none. */
  readonly rangeTombstones: RangeTombstones | null;
  /** For each block the cache slot it is in, or on its way to; NOT_CACHED otherwise. */
  readonly slots: Int32Array;
  readonly #onUnheld: (table: Table) => void;
  #description: TableDescription;
  #holders = 0;

  /** `onUnheld` is called once, when the last of its holders has let go. */
  constructor(description: TableDescription, meta: TableMeta, onUnheld: (table: Table) => void) {
    this.#description = description;
    this.number = description.number;
    this.fileName = tableName(description.number);
    this.index = meta.index;
    this.filter = meta.filter;
    this.rangeTombstones = meta.rangeTombstones;
    this.slots = new Int32Array(meta.index.blockCount).fill(NOT_CACHED);
    this.#onUnheld = onUnheld;
  }

  get description(): TableDescription {
    return this.#description;
  }

  /** It belongs to another level from now on. */
  moveTo(level: number): void {
    this.#description = { ...this.#description, level };
  }

  hold(): void {
    this.#holders++;
  }

  letGo(): void {
    assert(this.#holders > 0, 'a table that is let go was held');
    if (--this.#holders === 0) this.#onUnheld(this);
  }

  /** Whether the table may say something of a key of the range, as far as its smallest and its largest key tell. */
  mayHold({ lower, upper }: KeyRange): boolean {
    const { smallestKey } = this.#description;
    if (lower !== undefined && isBehindTable(lower, 0, lower.length, this.#description)) return false;
    return upper === undefined || compareKeys(smallestKey, upper) < 0;
  }

  /** Bytes of index, filter and cache directory in memory. */
  get memoryBytes(): number {
    return this.index.memoryBytes + (this.filter?.byteLength ?? 0) + this.slots.byteLength;
  }
}
