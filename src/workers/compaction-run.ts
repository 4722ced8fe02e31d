/**
 * One sorted run of a compaction's input: tables one after another, read ahead in chunks, walked entry by entry. Ring
 * threads only.
 *
 *     blocks     │ 0 │ 1 │ 2 │ 3 │ 4 │ 5 │ 6 │ …             a chunk: as many whole blocks of one table as fit a buffer
 *     chunks     └─────┬─────┘└─────┬────┘
 *     buffers     walked now    being read                  two of the pool, used in turns
 *
 * A block that is larger than a buffer is a chunk of its own and not read ahead: its key is in the index, and its bytes
 * are fetched, into memory of their own, when its turn has come. So a merge holds one of them, however many runs it has.
 *
 * An ordinary block is copied out of the pool when it is entered, into the memory in which the output's blocks are made:
 * within one memory, which is not shared, a value is copied in a quarter of the time that it takes across two.
 *
 * Keys are put together in two buffers in turns, so that the key before stays what it was while the next one is looked
 * at. Both get the block's prefix once a block, and of an entry only the suffix.
 */
import { assert, must } from '../assert.ts';
import { decompressBlock, verifyBlock } from '../format/block-check.ts';
import type { BlockBounds } from '../format/block-bounds.ts';
import { BlockCursor } from '../format/block-cursor.ts';
import { FormatError } from '../format/format-error.ts';
import { headOf } from '../format/key-head.ts';
import { BLOCK_BYTES_MAX, KEY_BYTES_MAX, PAGE_BYTES } from '../format/limits.ts';
import { faultOfBlock, faultOfChecksum } from './compaction-fault.ts';
import type { InputTable } from './compaction-input.ts';

/** At an entry. */
export const RUN_READY = 0;
/** The next chunk is not there yet. */
export const RUN_WAITS = 1;
/** At a block of one large entry, of which only the key is known. */
export const RUN_AT_LARGE = 2;
/** Behind the last entry. */
export const RUN_ENDED = 3;

const NOT_READING = -1;

/** One of a run's two buffers, and the chunk that it is to hold. */
export class ReadBuffer {
  /** Byte of the pool. */
  readonly at: number;
  table: InputTable | undefined;
  firstBlock = 0;
  /** Behind the last block; equal to the first one where there is no chunk. */
  blockEnd = 0;
  fileOffset = 0;
  length = 0;
  /** Whether the chunk is a block larger than the buffer. */
  isLarge = false;
  /** Bytes that are there. */
  done = 0;
  /** The read under way. */
  record = NOT_READING;
  attempts = 0;

  constructor(at: number) {
    this.at = at;
  }

  get isFree(): boolean {
    return this.firstBlock === this.blockEnd;
  }

  get isReading(): boolean {
    return this.record !== NOT_READING;
  }

  /** Whether a read is to be begun. */
  get wantsRead(): boolean {
    return !this.isFree && !this.isLarge && this.done < this.length && !this.isReading;
  }

  get isFull(): boolean {
    return !this.isFree && !this.isLarge && this.done === this.length;
  }

  release(): void {
    assert(!this.isReading, 'a buffer is released when nothing reads into it');
    this.firstBlock = this.blockEnd;
    this.isLarge = false;
  }

  noReading(): void {
    this.record = NOT_READING;
  }
}

export interface CompactionRunOptions {
  readonly pool: Uint8Array;
  /** Byte of the pool from which on the two buffers lie, one behind the other. */
  readonly poolAt: number;
  readonly chunkBytes: number;
  readonly memory: Uint8Array;
  /** Byte of the memory from which on BLOCK_BYTES_MAX are for the block that is walked. */
  readonly memoryAt: number;
  /** BLOCK_BYTES_MAX to decompress by way of. */
  readonly scratch: Uint8Array;
  readonly bounds: BlockBounds;
}

export class CompactionRun {
  state = RUN_WAITS;
  /** The user key, behind what all keys of the merge begin with, as a number. */
  head = 0;
  key = new Uint8Array(KEY_BYTES_MAX);
  keyLength = 0;
  /** Of the entry before; unspecified before the second one. */
  previousKey = new Uint8Array(KEY_BYTES_MAX);
  previousKeyLength = 0;
  /** Sequence number, kind and value, where the run is ready. */
  readonly entry = new BlockCursor();
  readonly #pool: Uint8Array;
  readonly #chunkBytes: number;
  readonly #memory: Uint8Array;
  readonly #memoryAt: number;
  readonly #scratch: Uint8Array;
  readonly #bounds: BlockBounds;
  readonly #buffers: readonly [ReadBuffer, ReadBuffer];
  #tables: readonly InputTable[] = [];
  #headSkip = 0;
  /** The next block that no chunk has. */
  #plannedTable = 0;
  #plannedBlock = 0;
  #plannedPage = 0;
  /** Which buffer is walked, or is walked next. */
  #current = 0;
  #block = 0;
  #blockAt = 0;
  #blockOffset = 0;
  #ordinal = 0;
  #keyHasPrefix = false;
  #previousHasPrefix = false;

  constructor({ pool, poolAt, chunkBytes, memory, memoryAt, scratch, bounds }: CompactionRunOptions) {
    this.#pool = pool;
    this.#chunkBytes = chunkBytes;
    this.#memory = memory;
    this.#memoryAt = memoryAt;
    this.#scratch = scratch;
    this.#bounds = bounds;
    this.#buffers = [new ReadBuffer(poolAt), new ReadBuffer(poolAt + chunkBytes)];
  }

  /** Sets what is walked. `headSkip`: bytes that all keys of the merge begin with. */
  begin(tables: readonly InputTable[], headSkip: number): void {
    this.#tables = tables;
    this.#headSkip = headSkip;
  }

  /** The buffer that is walked, or the one behind it. */
  buffer(distance: 0 | 1): ReadBuffer {
    return this.#buffers[this.#current ^ distance];
  }

  /** Settles which chunk a free buffer gets; false when there is none left. REQUIRES: chunks are planned in their order. */
  plan(buffer: ReadBuffer): boolean {
    let table = this.#tables[this.#plannedTable] as InputTable | undefined;
    while (table !== undefined && this.#plannedBlock === table.pageCounts.length) {
      this.#plannedBlock = 0;
      this.#plannedPage = 0;
      table = this.#tables[++this.#plannedTable];
    }
    if (table === undefined) return false;
    const { pageCounts } = table;
    const pagesMax = this.#chunkBytes / PAGE_BYTES;
    let block = this.#plannedBlock;
    let pages = pageCounts[block++];
    buffer.isLarge = pages > pagesMax;
    if (!buffer.isLarge) {
      while (block < pageCounts.length && pages + pageCounts[block] <= pagesMax) pages += pageCounts[block++];
    }
    buffer.table = table;
    buffer.firstBlock = this.#plannedBlock;
    buffer.blockEnd = block;
    buffer.fileOffset = this.#plannedPage * PAGE_BYTES;
    buffer.length = pages * PAGE_BYTES;
    buffer.done = 0;
    buffer.attempts = 0;
    this.#plannedBlock = block;
    this.#plannedPage += pages;
    return true;
  }

  /** Goes on where the run waits, if it can now. REQUIRES: free buffers are planned, where there is something to plan. */
  resume(): void {
    assert(this.state === RUN_WAITS, 'only a run that waits is resumed');
    const buffer = this.buffer(0);
    if (buffer.isFree) {
      this.#turnKeys();
      this.state = RUN_ENDED;
    } else if (buffer.isLarge) {
      const key = must(
        buffer.table?.largeKeys.get(buffer.firstBlock),
        'the index knows the key of a large block',
      );
      this.#turnKeys();
      this.key.set(key);
      this.#keyHasPrefix = false;
      this.keyLength = key.length;
      this.head = headOf(key, this.#headSkip, key.length);
      this.state = RUN_AT_LARGE;
    } else if (buffer.isFull) {
      this.#block = buffer.firstBlock;
      this.#blockAt = buffer.at;
      this.#blockOffset = buffer.fileOffset;
      this.#enterBlock(this.#pool, buffer.at);
      this.#turnKeys();
      this.#readEntry();
      this.state = RUN_READY;
    }
  }

  /** The large block that the run stands at has been fetched to the beginning of `memory`. */
  enterLarge(memory: Uint8Array): void {
    assert(this.state === RUN_AT_LARGE, 'a large block is fetched when it is waited for');
    const { fileOffset, firstBlock } = this.buffer(0);
    this.#block = firstBlock;
    this.#blockOffset = fileOffset;
    this.#enterBlock(memory, 0);
    this.entry.read(0);
    if (this.entry.count !== 1 || !this.entry.hasKey(this.key, this.keyLength)) {
      const { number } = must(this.buffer(0).table, 'a buffer that is walked has a table');
      const error = new FormatError('a large block does not have the one entry that the index says', 0);
      throw faultOfBlock(number, this.#blockOffset, error);
    }
    this.#ordinal = 0;
    this.state = RUN_READY;
  }

  /** HOT. Moves to the next entry, or says in `state` why it cannot. REQUIRES: ready. */
  advance(): void {
    if (++this.#ordinal < this.entry.count) {
      this.#turnKeys();
      this.#readEntry();
    } else {
      this.#nextBlock();
    }
  }

  /** HOT. */
  #turnKeys(): void {
    const { key, keyLength } = this;
    this.key = this.previousKey;
    this.previousKey = key;
    this.previousKeyLength = keyLength;
    const hasPrefix = this.#keyHasPrefix;
    this.#keyHasPrefix = this.#previousHasPrefix;
    this.#previousHasPrefix = hasPrefix;
  }

  /** HOT. */
  #readEntry(): void {
    const { entry, key } = this;
    entry.read(this.#ordinal);
    const { bytes, prefixStart, prefixLength, suffixStart, suffixLength } = entry;
    if (!this.#keyHasPrefix) {
      for (let i = 0; i < prefixLength; i++) key[i] = bytes[prefixStart + i];
      this.#keyHasPrefix = true;
    }
    for (let i = 0; i < suffixLength; i++) key[prefixLength + i] = bytes[suffixStart + i];
    const keyLength = prefixLength + suffixLength;
    this.keyLength = keyLength;
    this.head = headOf(key, this.#headSkip, keyLength);
  }

  #nextBlock(): void {
    const buffer = this.buffer(0);
    const { table, blockEnd } = buffer;
    const { pageCounts } = must(table, 'a buffer that is walked has a table');
    const length = pageCounts[this.#block] * PAGE_BYTES;
    if (++this.#block < blockEnd) {
      this.#blockAt += length;
      this.#blockOffset += length;
      this.#enterBlock(this.#pool, this.#blockAt);
      this.#turnKeys();
      this.#readEntry();
      return;
    }
    buffer.release();
    this.#current ^= 1;
    this.state = RUN_WAITS;
  }

  /** Verifies a block and enters it. */
  #enterBlock(bytes: Uint8Array, at: number): void {
    const { number, pageCounts } = must(this.buffer(0).table, 'a buffer that is walked has a table');
    const length = pageCounts[this.#block] * PAGE_BYTES;
    const { ok, expected, actual } = verifyBlock(bytes, at, length, number, this.#blockOffset);
    if (!ok) throw faultOfChecksum(number, this.#blockOffset, expected, actual);
    if (length <= BLOCK_BYTES_MAX) {
      this.#memory.set(bytes.subarray(at, at + length), this.#memoryAt);
      this.#checkBounds(number, this.#memory, this.#memoryAt, this.#decompress(number, length));
      this.entry.enter(this.#memory, this.#memoryAt);
    } else {
      // A large entry's, which is never compressed.
      this.#checkBounds(number, bytes, at, length);
      this.entry.enter(bytes, at);
    }
    this.#ordinal = 0;
    this.#keyHasPrefix = false;
    this.#previousHasPrefix = false;
  }

  /** A block that somebody else made must not have as an entry what lies behind it. */
  #checkBounds(table: number, bytes: Uint8Array, at: number, length: number): void {
    if (this.#bounds.hold(bytes, at, length)) return;
    throw faultOfBlock(table, this.#blockOffset, new FormatError('the block is none', 0));
  }

  /** Makes the block that was copied out what it was before it was compressed, if it is; its length then. */
  #decompress(table: number, length: number): number {
    try {
      return decompressBlock(this.#memory, this.#memoryAt, length, this.#scratch, BLOCK_BYTES_MAX);
    } catch (error) {
      throw faultOfBlock(table, this.#blockOffset, error);
    }
  }
}
