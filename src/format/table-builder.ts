/**
 * Makes a table file from entries in internal-key order (user key ascending, sequence descending). Pure; any thread.
 *
 *   ┌─────────┬─────────┬─────┬─────────────────┬─────┬──────────────────────────────────┐
 *   │ block 0 │ block 1 │  …  │ a large entry's │  …  │ index, filter, properties, …     │
 *   └─────────┴─────────┴─────┴─────────────────┴─────┴──────────────────────────────────┘
 *
 * It writes no file. Bytes come out as *pending pieces* which the caller drains, in file order, into buffers of any
 * size: so one builder serves a role that writes 1 MiB at a time, a benchmark, and a repair.
 *
 *   add(), add(), …  until pendingBytes > 0     then drain() until it is 0, and on
 *   finish()                                    then drain() until it is 0, and description()
 *
 * An entry that does not fit an ordinary block gets a block of its own. Its value is neither compressed nor copied: the
 * piece refers to the caller's memory, which therefore must stay as it is until it is drained. Other entries are copied
 * by add().
 *
 * Range tombstones are not entries: finish() takes them, and they become a section of the tail. A table may have no
 * entries but those.
 *
 * Invariants:
 *   1. A block is complete, checksum included, before its first byte is pending.
 *   2. Nothing is added while bytes are pending, so at most one ordinary block and one large entry wait at a time.
 *   3. Every block begins on a page, and the blocks and the tail follow each other without gaps.
 */
import { assert, must } from '../assert.ts';
import { BLOCK_TRAILER_BYTES, writeBlockTrailer } from './block-check.ts';
import { BlockBuilder, loneEntryHead } from './block-builder.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { compareBytes } from './compare.ts';
import { compressionOf, isCompressionAvailable, type CompressionName } from './compression.ts';
import { FilterBuilder } from './filter.ts';
import { writeU32 } from './integers.ts';
import {
  FILE_NUMBER_MAX,
  KEY_BYTES_MAX,
  KIND_PUT,
  KIND_TOMBSTONE,
  LEVEL_MAX,
  PAGE_BYTES,
  SEQUENCE_MAX,
  VALUE_BYTES_MAX,
  pagesOf,
  roundUpToPage,
} from './limits.ts';
import { compareWithEnd, encodeRangeTombstones, type TombstoneFragment } from './range-tombstones.ts';
import { TableIndexBuilder } from './table-index.ts';
import { encodeTableMeta, sectionLength } from './table-meta.ts';
import { encodeTableProperties } from './table-properties.ts';
import type { TableRange } from './table-range.ts';
import type { TableDescription } from './version-edit.ts';

export interface TableBuilderOptions {
  readonly fileNumber: number;
  /** Level that the table is meant for; it only goes into the properties and the description. */
  readonly level: number;
  /** Size of an ordinary data block, a multiple of 4096 from 4096 to 65,536. */
  readonly blockBytes: number;
  /** 0 for no filter. */
  readonly filterBitsPerKey: number;
  /** Of ordinary data blocks that take at least a page less with it. */
  readonly compression: CompressionName;
  readonly createdAtSeconds: number;
  /** See TableDescription. */
  readonly createdAtSequence: number;
  /** Where blocks are made, at least `blockBuilderBytes`; see BlockBuilder. Memory of its own by itself. */
  readonly memory?: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Bytes that wait to be drained: `bytes[start, end)`. */
interface Piece {
  readonly bytes: Uint8Array;
  start: number;
  readonly end: number;
}

export class TableBuilder {
  readonly #options: TableBuilderOptions;
  readonly #block: BlockBuilder;
  readonly #index = new TableIndexBuilder();
  readonly #filter: FilterBuilder;
  readonly #pieces: Piece[] = [];
  #pendingBytes = 0;
  /** Bytes of the file that are drained or pending. */
  #fileBytes = 0;
  #blocks = 0;
  #entries = 0;
  #deletions = 0;
  #overwritten = 0;
  #rawBytes = 0;
  #smallestSequence = SEQUENCE_MAX;
  #largestSequence = 0;
  #smallestKey: Uint8Array | null = null;
  /** Whether the block under construction begins with the user key that the one before ends with. */
  #continues = false;
  #description: TableDescription | null = null;

  constructor(options: TableBuilderOptions) {
    assert(
      options.fileNumber >= 0 && options.fileNumber <= FILE_NUMBER_MAX,
      'a file number must be below 2^32',
    );
    assert(options.level >= 0 && options.level <= LEVEL_MAX, 'a level must be within its limits');
    this.#options = options;
    assert(isCompressionAvailable(options.compression), 'a table is compressed with what this Node has');
    this.#block = new BlockBuilder(options.blockBytes, compressionOf(options.compression), options.memory);
    this.#filter = new FilterBuilder(options.filterBitsPerKey);
  }

  /** Bytes that wait to be drained. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Length of the file so far, without the entries that still gather and without the tail. */
  get fileBytes(): number {
    return this.#fileBytes;
  }

  /**
   * Adds an entry; `hash` is `hashBytes` of the key. REQUIRES: nothing pending; the entry comes behind the last one.
   * Key and value may be reused afterwards unless bytes are pending: then the value not before they are drained.
   */
  add(
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    hash: number,
    sequence: number,
    kind: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): void {
    assert(
      this.#pendingBytes === 0 && this.#description === null,
      'pending bytes must be drained before the next entry',
    );
    assert(
      keyLength <= KEY_BYTES_MAX && valueLength <= VALUE_BYTES_MAX,
      'key and value must be within their limits',
    );
    assert(sequence >= 0 && sequence <= SEQUENCE_MAX, 'a sequence number must be below 2^48');
    assert(
      kind === KIND_PUT || (kind === KIND_TOMBSTONE && valueLength === 0),
      'an entry must be a put or a bare tombstone',
    );
    const block = this.#block;
    let shared = 0;
    let isNewKey = true;
    if (this.#entries > 0) {
      shared = block.sharedWithLast(key, keyStart, keyLength);
      isNewKey = this.#checkOrder(key, keyStart, keyLength, shared, sequence);
    } else {
      this.#smallestKey = copyOf(key, keyStart, keyLength);
    }

    if (!block.fitsAlone(keyLength, valueLength)) {
      if (block.count > 0) this.#finishBlock();
      this.#continues = !isNewKey;
      this.#addLarge(key, keyStart, keyLength, hash, sequence, kind, value, valueStart, valueLength);
    } else {
      if (block.count > 0 && !block.fits(keyLength, valueLength, shared, isNewKey, sequence))
        this.#finishBlock();
      if (block.count === 0) this.#continues = !isNewKey;
      block.add(
        key,
        keyStart,
        keyLength,
        shared,
        isNewKey,
        hash,
        sequence,
        kind,
        value,
        valueStart,
        valueLength,
      );
    }
    if (isNewKey) this.#filter.add(hash);
    else this.#overwritten++;
    this.#entries++;
    if (kind === KIND_TOMBSTONE) this.#deletions++;
    this.#rawBytes += keyLength + valueLength;
    if (sequence < this.#smallestSequence) this.#smallestSequence = sequence;
    if (sequence > this.#largestSequence) this.#largestSequence = sequence;
  }

  /** Makes the rest of the file pending. REQUIRES: nothing pending; an entry or a range tombstone; those in order. */
  finish(rangeTombstones: readonly TombstoneFragment[] = []): void {
    assert(
      this.#pendingBytes === 0 && this.#description === null,
      'pending bytes must be drained before the end',
    );
    assert(
      this.#entries > 0 || rangeTombstones.length > 0,
      'a table must have an entry or a range tombstone',
    );
    if (this.#block.count > 0) this.#finishBlock();
    const { fileNumber, level, blockBytes, filterBitsPerKey, createdAtSeconds, createdAtSequence } =
      this.#options;
    const metaOffset = this.#fileBytes;
    const section = rangeTombstones.length === 0 ? NOTHING : encodeRangeTombstones(rangeTombstones);
    const counts = {
      level,
      entries: this.#entries,
      deletions: this.#deletions,
      overwritten: this.#overwritten,
      rangeTombstones: this.#count(rangeTombstones),
      ...this.#range(rangeTombstones),
      smallestSequence: this.#smallestSequence,
      largestSequence: this.#largestSequence,
      rawBytes: this.#rawBytes,
      createdAtSeconds,
      createdAtSequence,
    };
    const properties = {
      ...counts,
      blockBytes,
      compression: compressionOf(this.#options.compression),
      filterBitsPerKey,
      blocks: this.#blocks,
      dataBytes: metaOffset,
      rangeTombstoneBytes: sectionLength(section),
    };
    const sections = {
      index: this.#index.finish(),
      filter: this.#filter.finish(),
      properties: encodeTableProperties(properties),
      rangeTombstones: section,
    };
    const tail = encodeTableMeta(sections, fileNumber, metaOffset);
    this.#push(tail, 0, tail.length);
    this.#description = { ...counts, number: fileNumber, fileBytes: this.#fileBytes, metaOffset };
  }

  /** Moves up to end − start pending bytes to `target[start, end)`, in file order, and returns how many. */
  drain(target: Uint8Array, start: number, end: number): number {
    let at = start;
    let done = 0;
    while (at < end && done < this.#pieces.length) {
      const piece = this.#pieces[done];
      const length = Math.min(end - at, piece.end - piece.start);
      target.set(piece.bytes.subarray(piece.start, piece.start + length), at);
      piece.start += length;
      at += length;
      if (piece.start === piece.end) done++;
    }
    if (done > 0) this.#pieces.splice(0, done);
    this.#pendingBytes -= at - start;
    return at - start;
  }

  /** What the manifest needs to know. REQUIRES: finished and fully drained. */
  description(): TableDescription {
    assert(
      this.#description !== null && this.#pendingBytes === 0,
      'a table must be finished and drained to be described',
    );
    return this.#description;
  }

  /** Whether the user key differs from the last one. The order is the caller's duty, and a wrong one a wrong table. */
  #checkOrder(
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    shared: number,
    sequence: number,
  ): boolean {
    const block = this.#block;
    const lastLength = block.lastKeyLength;
    if (shared === lastLength && shared === keyLength) {
      assert(sequence < block.lastSequence, 'versions of a key must be added newest first');
      return false;
    }
    const order = compareBytes(
      block.bytes,
      block.lastKeyStart + shared,
      lastLength - shared,
      key,
      keyStart + shared,
      keyLength - shared,
    );
    assert(order < 0, 'keys must be added in ascending order');
    return true;
  }

  /** Counts range tombstones in; returns how many there are: a tombstone counts once in each of its fragments. */
  #count(rangeTombstones: readonly TombstoneFragment[]): number {
    let count = 0;
    for (const { start, end, sequences } of rangeTombstones) {
      count += sequences.length;
      this.#rawBytes += start.length + end.length;
      this.#smallestSequence = Math.min(this.#smallestSequence, sequences[sequences.length - 1]);
      this.#largestSequence = Math.max(this.#largestSequence, sequences[0]);
    }
    return count;
  }

  /** The keys of entries and range tombstones. */
  #range(rangeTombstones: readonly TombstoneFragment[]): TableRange {
    const { bytes, lastKeyStart, lastKeyLength } = this.#block;
    const first = rangeTombstones.at(0);
    const last = rangeTombstones.at(-1);
    const smallest = this.#smallestKey;
    const startsFirst =
      first !== undefined &&
      (smallest === null ||
        compareBytes(first.start, 0, first.start.length, smallest, 0, smallest.length) < 0);
    const endsLast =
      last !== undefined &&
      (smallest === null || compareWithEnd(bytes, lastKeyStart, lastKeyLength, last.end) < 0);
    return {
      smallestKey: startsFirst
        ? copyOf(first.start, 0, first.start.length)
        : must(smallest, 'a table has a smallest key'),
      largestKey: endsLast
        ? copyOf(last.end, 0, last.end.length)
        : copyOf(bytes, lastKeyStart, lastKeyLength),
      largestKeyIsExclusive: endsLast,
    };
  }

  #finishBlock(): void {
    const block = this.#block;
    const firstKey = block.firstKey();
    const length = block.finish(this.#options.fileNumber, this.#fileBytes);
    this.#index.add(
      firstKey,
      length / PAGE_BYTES,
      block.prefixLength,
      block.bucketBits,
      this.#continues,
      block.isCompressed,
      block.checksum,
    );
    this.#blocks++;
    this.#push(block.output, 0, length);
  }

  /** A block for one entry: its head, the caller's value, and the tail with the trailer, as three pieces. */
  #addLarge(
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    hash: number,
    sequence: number,
    kind: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): void {
    const head = loneEntryHead(key, keyStart, keyLength, hash, sequence, kind, valueLength);
    const rawLength = head.bytes.length + valueLength;
    const length = roundUpToPage(rawLength + BLOCK_TRAILER_BYTES);
    const tail = new Uint8Array(length - rawLength);
    writeBlockTrailer(tail, tail.length - BLOCK_TRAILER_BYTES, rawLength);
    let sum = checksumSeed(0, this.#options.fileNumber, this.#fileBytes);
    sum = checksum(head.bytes, 0, head.bytes.length, sum);
    sum = checksum(value, valueStart, valueStart + valueLength, sum);
    sum = checksum(tail, 0, tail.length - 4, sum);
    writeU32(tail, tail.length - 4, sum);

    const firstKey = copyOf(key, keyStart, keyLength);
    const isCompressed = false;
    this.#index.add(
      firstKey,
      pagesOf(length),
      head.prefixLength,
      head.bucketBits,
      this.#continues,
      isCompressed,
      sum,
    );
    this.#block.rememberKey(key, keyStart, keyLength, sequence);
    this.#blocks++;
    this.#push(head.bytes, 0, head.bytes.length);
    this.#push(value, valueStart, valueStart + valueLength);
    this.#push(tail, 0, tail.length);
  }

  #push(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.#pieces.push({ bytes, start, end });
    this.#pendingBytes += end - start;
    this.#fileBytes += end - start;
  }
}

/** A copy in memory of its own, also when the array is a Buffer, whose `slice` copies nothing. */
function copyOf(bytes: Uint8Array, start: number, length: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, start + length));
}
