/**
 * Point reads: memtables, then a version's tables, newer places first. Owner only.
 *
 * `search` answers from memory without allocating, or says which block it needs. `PointLookup` then carries the read
 * on: it is called with the block while completions are drained, searches it where it landed, and asks for the next one
 * if need be. Whoever made it learns the outcome through its handler, so an asynchronous read and one that blocks its
 * thread share it.
 *
 * A range tombstone deletes what is older than itself: of the memtable or table that it is in the versions with smaller
 * numbers, and everything of older ones, which are not looked at.
 */
import type { QuadringError } from '../errors.ts';
import { BlockEntry, searchBlock } from '../format/block.ts';
import { filterMayContain } from '../format/filter.ts';
import { KIND_PUT } from '../format/limits.ts';
import { NOT_COVERED } from '../format/range-tombstones.ts';
import type { BlockCache, BlockWaiter } from './block-cache.ts';
import type { KeyScratch } from './bytes.ts';
import type { Memtable } from './memtable.ts';
import type { Table } from './table.ts';
import type { Version } from './version.ts';

export const ABSENT = 0;
export const FOUND = 1;
export const BLOCK_NEEDED = 2;
export type Outcome = typeof ABSENT | typeof FOUND | typeof BLOCK_NEEDED;

/** Filter statistics of all reads. The filter of the last place is asked only about blocks that would have to be read. */
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
  /** BLOCK_NEEDED: this block of the table of this ordinal, at this place of the version. */
  neededPlace = 0;
  neededOrdinal = 0;
  neededBlock = 0;
  #filterNegatives = 0;
  #falsePositives = 0;

  constructor(cache: BlockCache) {
    this.cache = cache;
    this.bytes = cache.bytes;
  }

  /** HOT. */
  searchMemtable(memtable: Memtable, key: KeyScratch, visibleSequence: number): Outcome | undefined {
    const { entry } = this;
    const isFound = memtable.find(key.bytes, key.length, key.hash, visibleSequence, entry);
    if (memtable.rangeTombstones !== null) {
      const deletion = memtable.rangeTombstones.covering(key.bytes, 0, key.length, visibleSequence);
      if (deletion !== NOT_COVERED && !(isFound && entry.sequence > deletion)) return ABSENT;
    }
    if (!isFound) return undefined;
    this.bytes = memtable.bytes;
    return entry.kind === KIND_PUT ? FOUND : ABSENT;
  }

  /** HOT. Searches the version from place `from` on; `fromBlock` ≥ 0 goes on in the middle of the first table. */
  searchTables(
    version: Version,
    from: number,
    fromBlock: number,
    key: Uint8Array,
    keyLength: number,
    hash: number,
    visibleSequence: number,
  ): Outcome {
    const cache = this.cache;
    const entry = this.entry;
    const { tables, placeCount } = version;
    let block = fromBlock;
    for (let place = from; place < placeCount; place++) {
      const ordinal = version.ordinalAt(place, key, keyLength);
      if (ordinal < 0) continue;
      const table = tables[ordinal];
      const { filter, index } = table;
      let deletion = NOT_COVERED;
      if (table.rangeTombstones !== null) {
        deletion = table.rangeTombstones.covering(key, 0, keyLength, visibleSequence);
        // Nothing in the table is newer.
        if (deletion !== NOT_COVERED && deletion === table.description.largestSequence) return ABSENT;
      }
      // The oldest place most likely has the key, and what its block says costs no more than what its filter does. So
      // there the filter is asked only about a block that would have to be read.
      let unasked: Int32Array | null = null;
      let isPositive = filter !== null;
      if (block < 0) {
        if (place === placeCount - 1) {
          unasked = filter;
          isPositive = false;
        } else if (filter !== null && !filterMayContain(filter, hash)) {
          this.#filterNegatives++;
          if (deletion !== NOT_COVERED) return ABSENT;
          continue;
        }
        block = index.locate(key, keyLength);
        if (block < 0) {
          if (deletion !== NOT_COVERED) return ABSENT;
          continue;
        }
      }
      for (;;) {
        if (index.sharesPrefix(block, key, keyLength)) {
          const base = cache.find(table, block);
          if (base < 0) {
            if (unasked !== null && !filterMayContain(unasked, hash)) {
              this.#filterNegatives++;
              return ABSENT;
            }
            this.neededPlace = place;
            this.neededOrdinal = ordinal;
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
            return entry.kind === KIND_PUT && entry.sequence > deletion ? FOUND : ABSENT;
          }
        }
        if (!index.isContinuedBy(block, key, keyLength)) break;
        block++;
      }
      if (isPositive) this.#falsePositives++;
      if (deletion !== NOT_COVERED) return ABSENT;
      block = -1;
    }
    return ABSENT;
  }

  /** A block was read for a key that its filter said it might have, and it has no such key. */
  noteFalsePositive(): void {
    this.#falsePositives++;
  }

  statistics(): FilterStatistics {
    return { negatives: this.#filterNegatives, falsePositives: this.#falsePositives };
  }
}

/** What a lookup ends with: the value's place, absent, or an error. */
export interface LookupHandler {
  /**
   * `isPrivate`: the memory may be kept and handed out; otherwise it is valid only during the call. What it throws, for want of
   * memory, comes back as the lookup's error: whoever drains completions has others to serve.
   */
  onFound(bytes: Uint8Array, start: number, length: number, isPrivate: boolean): void;
  onAbsent(): void;
  onError(error: Error): void;
}

/** A point read that needs blocks from the disk. Keeps its own copy of the key, and holds the version it began with. */
export class PointLookup implements BlockWaiter {
  readonly #reader: PointReader;
  readonly #version: Version;
  readonly #key: Uint8Array;
  readonly #hash: number;
  readonly #visibleSequence: number;
  readonly #keep: boolean;
  readonly #handler: LookupHandler;
  #place: number;
  #table: Table;
  #block: number;

  /** REQUIRES: `searchTables` of the reader has just answered BLOCK_NEEDED for this key. */
  constructor(
    reader: PointReader,
    version: Version,
    key: KeyScratch,
    visibleSequence: number,
    keep: boolean,
    handler: LookupHandler,
  ) {
    this.#reader = reader;
    this.#version = version.hold();
    this.#key = key.copy();
    this.#hash = key.hash;
    this.#visibleSequence = visibleSequence;
    this.#keep = keep;
    this.#handler = handler;
    this.#place = reader.neededPlace;
    this.#table = version.tables[reader.neededOrdinal];
    this.#block = reader.neededBlock;
  }

  begin(): void {
    this.#reader.cache.load(this.#table, this.#block, this, this.#keep);
  }

  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void {
    const { index } = this.#table;
    const block = this.#block;
    const key = this.#key;
    const entry = this.#reader.entry;
    const bucketBits = index.bucketBitsOf(block);
    const prefixLength = index.prefixLengthOf(block);
    const visible = this.#visibleSequence;
    if (
      searchBlock(bytes, words, base, bucketBits, prefixLength, key, key.length, this.#hash, visible, entry)
    ) {
      if (entry.kind === KIND_PUT && entry.sequence > this.#deletion)
        this.#report(bytes, entry.valueStart, entry.valueLength, isPrivate);
      else this.#handler.onAbsent();
      this.#version.letGo();
    } else if (index.isContinuedBy(block, key, key.length)) {
      this.#goOn(this.#place, block + 1);
    } else {
      if (this.#table.filter !== null) this.#reader.noteFalsePositive();
      if (this.#deletion === NOT_COVERED) {
        this.#goOn(this.#place + 1, -1);
        return;
      }
      this.#handler.onAbsent();
      this.#version.letGo();
    }
  }

  /** Number of the table's range tombstone that deletes the key, or NOT_COVERED. */
  get #deletion(): number {
    const { rangeTombstones } = this.#table;
    const key = this.#key;
    return rangeTombstones?.covering(key, 0, key.length, this.#visibleSequence) ?? NOT_COVERED;
  }

  onError(error: QuadringError): void {
    this.#handler.onError(error);
    this.#version.letGo();
  }

  #goOn(from: number, fromBlock: number): void {
    const reader = this.#reader;
    const key = this.#key;
    const outcome = reader.searchTables(
      this.#version,
      from,
      fromBlock,
      key,
      key.length,
      this.#hash,
      this.#visibleSequence,
    );
    if (outcome === BLOCK_NEEDED) {
      this.#place = reader.neededPlace;
      this.#table = this.#version.tables[reader.neededOrdinal];
      this.#block = reader.neededBlock;
      this.begin();
      return;
    }
    if (outcome === ABSENT) this.#handler.onAbsent();
    else this.#report(reader.bytes, reader.entry.valueStart, reader.entry.valueLength, false);
    this.#version.letGo();
  }

  #report(bytes: Uint8Array, start: number, length: number, isPrivate: boolean): void {
    try {
      this.#handler.onFound(bytes, start, length, isPrivate);
    } catch (error) {
      this.#handler.onError(error as Error);
    }
  }
}
