/**
 * Point reads: memtables, then the version's tables, newest first. Owner only.
 *
 * `search` answers from memory without allocating, or says which block it needs. `PointLookup` then carries the read
 * on: it is called with the block while completions are drained, searches it where it landed, and asks for the next one
 * if need be. Whoever made it learns the outcome through its handler, so an asynchronous read and one that blocks its
 * thread share it.
 */
import type { QuadringError } from '../errors.ts';
import { BlockEntry, searchBlock } from '../format/block.ts';
import { filterMayContain } from '../format/filter.ts';
import { KIND_PUT } from '../format/limits.ts';
import type { BlockCache, BlockWaiter } from './block-cache.ts';
import type { KeyScratch } from './bytes.ts';
import type { Memtable } from './memtable.ts';
import type { Table } from './table.ts';

export const ABSENT = 0;
export const FOUND = 1;
export const BLOCK_NEEDED = 2;
export type Outcome = typeof ABSENT | typeof FOUND | typeof BLOCK_NEEDED;

/** Filter statistics of all reads. */
export interface FilterStatistics {
  /** Tables that a filter spared a look at. */
  readonly negatives: number;
  /** Looks into a table whose filter said maybe and which had no such key. */
  readonly falsePositives: number;
}

export class PointReader {
  readonly cache: BlockCache;
  /** FOUND: the value is `bytes[entry.valueStart, + entry.valueLength)`, valid until anything else is read. */
  bytes: Uint8Array;
  readonly entry = new BlockEntry();
  /** BLOCK_NEEDED: this block of this table of the version. */
  neededTable = 0;
  neededBlock = 0;
  #filterNegatives = 0;
  #falsePositives = 0;

  constructor(cache: BlockCache) {
    this.cache = cache;
    this.bytes = cache.bytes;
  }

  /** HOT. */
  searchMemtable(memtable: Memtable, key: KeyScratch, visibleSequence: number): Outcome | undefined {
    if (!memtable.find(key.bytes, key.length, key.hash, visibleSequence, this.entry)) return undefined;
    this.bytes = memtable.bytes;
    return this.entry.kind === KIND_PUT ? FOUND : ABSENT;
  }

  /** HOT. Searches tables from index `from` on; `fromBlock` ≥ 0 goes on in the middle of the first one. */
  searchTables(
    tables: readonly Table[],
    from: number,
    fromBlock: number,
    key: Uint8Array,
    keyLength: number,
    hash: number,
    visibleSequence: number,
  ): Outcome {
    const cache = this.cache;
    const entry = this.entry;
    let block = fromBlock;
    for (let i = from; i < tables.length; i++) {
      const table = tables[i];
      const { filter, index } = table;
      if (block < 0) {
        if (filter !== null && !filterMayContain(filter, hash)) {
          this.#filterNegatives++;
          continue;
        }
        block = index.locate(key, keyLength);
        if (block < 0) continue;
      }
      for (;;) {
        if (index.sharesPrefix(block, key, keyLength)) {
          const base = cache.find(table, block);
          if (base < 0) {
            this.neededTable = i;
            this.neededBlock = block;
            return BLOCK_NEEDED;
          }
          const bucketBits = index.bucketBitsOf(block);
          const prefixLength = index.prefixLengthOf(block);
          const { bytes, words } = cache;
          if (
            searchBlock(
              bytes,
              words,
              base,
              bucketBits,
              prefixLength,
              key,
              keyLength,
              hash,
              visibleSequence,
              entry,
            )
          ) {
            this.bytes = bytes;
            return entry.kind === KIND_PUT ? FOUND : ABSENT;
          }
        }
        if (!index.isContinuedBy(block, key, keyLength)) break;
        block++;
      }
      if (filter !== null) this.#falsePositives++;
      block = -1;
    }
    return ABSENT;
  }

  statistics(): FilterStatistics {
    return { negatives: this.#filterNegatives, falsePositives: this.#falsePositives };
  }
}

/** What a lookup ends with: the value's place, absent, or an error. */
export interface LookupHandler {
  /** `isPrivate`: the memory may be kept and handed out; otherwise it is valid only during the call. */
  onFound(bytes: Uint8Array, start: number, length: number, isPrivate: boolean): void;
  onAbsent(): void;
  onError(error: QuadringError): void;
}

/** A point read that needs blocks from the disk. Keeps its own copy of the key and the tables it began with. */
export class PointLookup implements BlockWaiter {
  readonly #reader: PointReader;
  readonly #tables: readonly Table[];
  readonly #key: Uint8Array;
  readonly #hash: number;
  readonly #visibleSequence: number;
  readonly #keep: boolean;
  readonly #handler: LookupHandler;
  #table: number;
  #block: number;

  /** REQUIRES: `searchTables` of the reader has just answered BLOCK_NEEDED for this key. */
  constructor(
    reader: PointReader,
    tables: readonly Table[],
    key: KeyScratch,
    visibleSequence: number,
    keep: boolean,
    handler: LookupHandler,
  ) {
    this.#reader = reader;
    this.#tables = tables;
    this.#key = key.copy();
    this.#hash = key.hash;
    this.#visibleSequence = visibleSequence;
    this.#keep = keep;
    this.#handler = handler;
    this.#table = reader.neededTable;
    this.#block = reader.neededBlock;
  }

  begin(): void {
    this.#reader.cache.load(this.#tables[this.#table], this.#block, this, this.#keep);
  }

  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void {
    const { index } = this.#tables[this.#table];
    const block = this.#block;
    const key = this.#key;
    const entry = this.#reader.entry;
    const bucketBits = index.bucketBitsOf(block);
    const prefixLength = index.prefixLengthOf(block);
    const visible = this.#visibleSequence;
    if (
      searchBlock(bytes, words, base, bucketBits, prefixLength, key, key.length, this.#hash, visible, entry)
    ) {
      if (entry.kind === KIND_PUT)
        this.#handler.onFound(bytes, entry.valueStart, entry.valueLength, isPrivate);
      else this.#handler.onAbsent();
      return;
    }
    if (index.isContinuedBy(block, key, key.length)) this.#goOn(this.#table, block + 1);
    else this.#goOn(this.#table + 1, -1);
  }

  onError(error: QuadringError): void {
    this.#handler.onError(error);
  }

  #goOn(from: number, fromBlock: number): void {
    const reader = this.#reader;
    const key = this.#key;
    const outcome = reader.searchTables(
      this.#tables,
      from,
      fromBlock,
      key,
      key.length,
      this.#hash,
      this.#visibleSequence,
    );
    if (outcome === ABSENT) {
      this.#handler.onAbsent();
    } else if (outcome === FOUND) {
      this.#handler.onFound(reader.bytes, reader.entry.valueStart, reader.entry.valueLength, false);
    } else {
      this.#table = reader.neededTable;
      this.#block = reader.neededBlock;
      this.begin();
    }
  }
}
