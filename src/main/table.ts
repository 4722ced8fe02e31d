/**
 * An open table as the owner knows it: what the manifest says of it, its index and filter, and where its blocks are
 * cached. Owner only.
 *
 * Whoever reads a table, or will, holds it: versions their tables, iterators and lookups the version that they began
 * with, the cache a table that it reads blocks of. What nobody holds any more was replaced by a compaction, and its file
 * goes (table-files.ts).
 */
import { assert } from '../assert.ts';
import { blockShape } from '../format/block.ts';
import { tableName } from '../format/file-names.ts';
import type { RangeTombstones } from '../format/range-tombstones.ts';
import type { TableIndex } from '../format/table-index.ts';
import type { TableMeta } from '../format/table-meta.ts';
import { isBehindTable } from '../format/table-range.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { VERIFY_BOUNDS, VERIFY_CHECKSUM } from '../protocol/requests.ts';
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
  /** Of each block: 1 until it was seen that it can be searched. Null where this process wrote the table. */
  readonly #unknown: Uint8Array | null;
  #description: TableDescription;
  #holders = 0;

  /**
   * `isOwn`: this process wrote it. `onUnheld` is called once, when the last of its holders has let go.
   */
  constructor(
    description: TableDescription,
    meta: TableMeta,
    isOwn: boolean,
    onUnheld: (table: Table) => void,
  ) {
    this.#description = description;
    this.number = description.number;
    this.fileName = tableName(description.number);
    this.index = meta.index;
    this.filter = meta.filter;
    this.rangeTombstones = meta.rangeTombstones;
    this.slots = new Int32Array(meta.index.blockCount).fill(NOT_CACHED);
    this.#unknown = isOwn ? null : new Uint8Array(meta.index.blockCount).fill(1);
    this.#onUnheld = onUnheld;
  }

  get description(): TableDescription {
    return this.#description;
  }

  /** What is to be looked at when a block is read: a VERIFY_. */
  verificationOf(block: number): number {
    return this.#unknown?.[block] === 1 ? VERIFY_BOUNDS : VERIFY_CHECKSUM;
  }

  /** Whether a block that was read, and has so many pages in memory, is the one that the index speaks of. */
  admits(block: number, words: Uint16Array, base: number, pages: number): boolean {
    const unknown = this.#unknown;
    if (unknown?.[block] !== 1) return true;
    const { bucketBits, prefixLength } = blockShape(words, base);
    const { index } = this;
    const agrees =
      bucketBits === index.bucketBitsOf(block) &&
      prefixLength === index.prefixLengthOf(block) &&
      pages <= index.memoryPagesOf(block);
    if (agrees) unknown[block] = 0;
    return agrees;
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
    const blocks = this.slots.byteLength + (this.#unknown?.byteLength ?? 0);
    return this.index.memoryBytes + (this.filter?.byteLength ?? 0) + blocks;
  }
}
