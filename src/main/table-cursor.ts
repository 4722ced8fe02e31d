/**
 * A scan's way through one table, or through tables of one level, one after another. Owner only.
 *
 * Each block is copied to memory of the cursor's own when it is entered, and searched there: the slot it was read into is
 * free for others at once, however long the scan takes, and values can be handed out as views of the copy. A scan that
 * expects few entries of each block, or hands out no views, reads cached blocks in place and copies one only if it has not
 * left it when its turn ends (`detach`): with many tables, half of what a hundred entries cost would be copies of blocks.
 * Until then nothing that was asked for is handed over, so nothing is read into a slot that has come to be another's. A block
 * that is not here is waited for; `onSettled` then says that the cursor stands somewhere again, or has ended, or failed.
 *
 *     forward   versions of a key come newest first: the first visible one counts, the others are passed over
 *     reverse   they come oldest first: the last visible one before another key counts; it may be in the block before
 */
import { must } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { BlockCursor } from '../format/block-cursor.ts';
import { lowerBoundInBlock } from '../format/block.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import type { BlockCache, BlockWaiter } from './block-cache.ts';
import { BlockCopies } from './block-copies.ts';
import { copyBytes } from './bytes.ts';
import { Cursor, ENDED, FAILED, PAUSED, WAITING } from './cursor.ts';
import { BATCH_BYTES_MAX, type EntryBatch } from './entry-batch.ts';
import type { KeyRange } from './range.ts';
import { ReadAhead, type ReadAheadBudget } from './read-ahead.ts';
import type { Table } from './table.ts';
import type { TableRun } from './version.ts';

const NO_RUN: TableRun = {
  tables: [],
  first: 0,
  last: -1,
  blocksPerEntry: 0,
  hasRangeTombstones: false,
};
const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint16Array(0);
/** Of a block or two much is copied that nobody asked for, and the memory for it costs more than the copying. */
const IN_PLACE_BLOCKS_MAX = 2;
/** Entries of one block that are worth being given at one go. */
const RUN_ENTRIES_MIN = 8;
/** Blocks of nothing visible that are passed over at a time. */
const PASSED_BLOCKS_MAX = 16;

export interface TableCursorOptions {
  readonly budget: ReadAheadBudget;
  readonly isReverse: boolean;
  readonly visibleSequence: number;
  readonly headSkip: number;
  readonly fillCache: boolean;
  /** Values are handed out as views of the cursor's memory: each block has its own. Otherwise it is used again for the next. */
  readonly keepsBlocks: boolean;
  /** A cursor that waited does so no longer. Called while completions are drained. */
  readonly onSettled: () => void;
}

export class TableCursor extends Cursor implements BlockWaiter {
  isPrivate = true;
  #run: TableRun;
  /** From one table of the run to the next, in the scan's direction. */
  readonly #tableStep: 1 | -1;
  /** Index of the one that the cursor is in. */
  #at: number;
  table: Table;
  readonly #options: TableCursorOptions;
  readonly #cache: BlockCache;
  /** Its beginning, in the scan's direction, moves when the cursor skips. */
  #range: KeyRange;
  /** How many blocks' worth of entries are expected to be needed. */
  readonly #expectedBlocks: number;
  /** Less than half a block is expected to be needed: none is read ahead of it. */
  readonly #isShort: boolean;
  /** Values are copied out of their blocks, because few are expected to be needed or because nobody wants views. */
  readonly #readsInPlace: boolean;
  /** Begins with the first block that is not here. */
  #readAhead: ReadAhead | undefined;
  /** Of the next table, once nothing more is to be read ahead in this one, and its index. */
  #nextReadAhead: ReadAhead | undefined;
  #nextAt = -1;
  readonly #entry = new BlockCursor();
  /** Blocks of the range; the scan goes from one end to the other. */
  #lowest = 0;
  #highest = 0;
  #lastBlock = 0;
  /** The same of the table that was looked at last. */
  #foundLowest = 0;
  #foundHighest = 0;
  #block = 0;
  /** Ordinal of the entry that was read last; the next one in the scan's direction is looked at next. */
  #ordinal = 0;
  /** Ordinals of the range in the block that was entered: [begin, end). */
  #begin = 0;
  #end = 0;
  /** Suffix of the key that was taken last, if it is of the block that was entered; a length of −1: it is not. */
  #takenStart = 0;
  #takenLength = -1;
  #takenOrdinal = 0;
  /** Whether the block that was entered is read where the cache has it, and where that is. */
  #isInPlace = false;
  #base = 0;
  /** Forward: `key` is a key that was given, older versions of which are passed over. Reverse: a candidate. */
  #hasTaken = false;
  #isClosed = false;
  #words: Uint16Array = NO_WORDS;
  readonly #copies: BlockCopies;

  /**
   * `expectedEntries`: from these tables; Infinity: no limit is known. REQUIRES: a table; the caller holds them.
   */
  constructor(run: TableRun, range: KeyRange, expectedEntries: number, options: TableCursorOptions) {
    super();
    const { tables, first, last, blocksPerEntry } = run;
    const { isReverse, budget } = options;
    this.#run = run;
    this.#tableStep = isReverse ? -1 : 1;
    this.#at = isReverse ? last : first;
    this.table = must(tables[this.#at], 'a cursor has a table');
    this.headSkip = options.headSkip;
    this.#options = options;
    this.#cache = budget.cache;
    this.#copies = new BlockCopies(options.keepsBlocks);
    this.#expectedBlocks = blocksPerEntry === 0 ? 0 : expectedEntries * blocksPerEntry;
    this.#isShort = this.#expectedBlocks < 0.5;
    this.#readsInPlace = !options.keepsBlocks || this.#expectedBlocks < IN_PLACE_BLOCKS_MAX;
    this.#range = range;
    this.#goTo(this.#at);
  }

  get newestSequence(): number {
    return this.table.description.largestSequence;
  }

  skipTo(bound: Uint8Array): void {
    const { lower, upper } = this.#range;
    this.#hasTaken = false;
    this.#nextReadAhead?.close();
    this.#nextReadAhead = undefined;
    if (this.#options.isReverse) this.#range = { lower, upper: bound };
    else if (bound.length === 0) return this.close();
    else this.#range = { lower: bound, upper };
    this.#goTo(this.#at);
  }

  /** Goes to the first key of the range in the tables from `at` on. */
  #goTo(at: number): void {
    if (!this.#enterTable(at)) {
      this.state = ENDED;
      return;
    }
    this.state = WAITING;
    if (this.#enter()) this.#settle();
  }

  protected step(): void {
    if (this.#options.isReverse) this.#hasTaken = false;
    else this.#ordinal++;
    this.#settle();
  }

  override takeRun(batch: EntryBatch, bound: Cursor | undefined, count: number): boolean {
    const { isReverse, keepsBlocks, visibleSequence } = this.#options;
    if (isReverse || keepsBlocks) return false;
    if (this.table.index.memoryPagesOf(this.#block) * PAGE_BYTES > BATCH_BYTES_MAX) return false;
    const entry = this.#entry;
    const begin = this.#ordinal;
    // Keys are put together: a long prefix is there as often as there are keys.
    const most = Math.min(count, Math.floor(BATCH_BYTES_MAX / (entry.prefixLength + 1)));
    let end = Math.min(this.#end, begin + most);
    if (bound !== undefined && end - begin >= RUN_ENTRIES_MIN) {
      const { key, keyLength } = bound;
      end = Math.min(end, lowerBoundInBlock(entry.bytes, this.#words, this.#base, key, keyLength));
    }
    if (end - begin < RUN_ENTRIES_MIN) return false;
    const last = batch.takeRun(entry, begin, end, visibleSequence);
    entry.read(last);
    entry.copyKey(this.reservePreviousKey(entry.prefixLength + entry.suffixLength));
    this.#takenOrdinal = last;
    this.#takenStart = entry.suffixStart;
    this.#takenLength = entry.suffixLength;
    this.#ordinal = end;
    this.#settleForward();
    return true;
  }

  resume(): void {
    this.#settle();
  }

  close(): void {
    this.#isClosed = true;
    this.state = ENDED;
    this.#run = NO_RUN;
    this.#copies.forget();
    this.#words = NO_WORDS;
    this.bytes = this.#entry.bytes = NO_BYTES;
    this.#readAhead?.close();
    this.#nextReadAhead?.close();
  }

  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void {
    if (this.#isClosed) return;
    this.#take(bytes, words, base, isPrivate, false);
    this.#settle();
    this.detach();
    if (this.state !== WAITING) this.#options.onSettled();
  }

  onError(error: QuadringError): void {
    if (this.#isClosed) return;
    this.error = error;
    this.state = FAILED;
    this.#options.onSettled();
  }

  #settle(): void {
    if (this.#options.isReverse) this.#settleBackward();
    else this.#settleForward();
  }

  /** HOT. From `ordinal` on to the newest visible version of another key than the one that was given last. */
  #settleForward(): void {
    const entry = this.#entry;
    const visibleSequence = this.#options.visibleSequence;
    let passed = 0;
    for (;;) {
      while (this.#ordinal < this.#end) {
        entry.read(this.#ordinal);
        if (entry.sequence <= visibleSequence && !this.#isTaken()) {
          this.#present();
          this.ready();
          return;
        }
        this.#ordinal++;
      }
      if (this.#block !== this.#lastBlock) {
        this.#block++;
      } else if (!this.#enterTable(this.#at + this.#tableStep)) {
        this.state = ENDED;
        return;
      }
      if (!this.#enter()) return;
      if (++passed === PASSED_BLOCKS_MAX) {
        this.state = PAUSED;
        return;
      }
    }
  }

  /** From before `ordinal` back to the newest visible version of the next lower key. */
  #settleBackward(): void {
    const entry = this.#entry;
    const visibleSequence = this.#options.visibleSequence;
    let passed = 0;
    for (;;) {
      while (this.#ordinal > this.#begin) {
        entry.read(this.#ordinal - 1);
        const isSame = this.#hasTaken && this.#isTaken();
        if (this.#hasTaken && !isSame) {
          this.ready();
          return;
        }
        this.#ordinal--;
        if (entry.sequence <= visibleSequence) this.#present();
      }
      const isLast = this.#block === this.#lastBlock;
      if (this.#hasTaken && (isLast || !this.table.index.continues(this.#block))) {
        this.ready();
        return;
      }
      if (this.#hasTaken) this.detach();
      if (!isLast) {
        this.#block--;
      } else if (!this.#enterTable(this.#at + this.#tableStep)) {
        this.state = ENDED;
        return;
      }
      if (!this.#enter()) return;
      if (++passed === PASSED_BLOCKS_MAX) {
        this.state = PAUSED;
        return;
      }
    }
  }

  /** Whether the entry has the key that was taken last. */
  #isTaken(): boolean {
    if (this.#takenLength >= 0) return this.#entry.hasSuffix(this.#takenStart, this.#takenLength);
    if (this.#options.isReverse) return this.#hasTaken && this.#entry.hasKey(this.key, this.keyLength);
    return this.#hasTaken && this.#entry.hasKey(this.previousKey, this.previousKeyLength);
  }

  #present(): void {
    const entry = this.#entry;
    this.#takenOrdinal = this.#ordinal;
    entry.copyKey(this.reserveKey(entry.prefixLength + entry.suffixLength));
    this.kind = entry.kind;
    this.sequence = entry.sequence;
    this.bytes = entry.bytes;
    this.valueStart = entry.valueStart;
    this.valueLength = entry.valueLength;
    this.#takenStart = entry.suffixStart;
    this.#takenLength = entry.suffixLength;
    this.#hasTaken = true;
  }

  /** Goes to the first of the tables from `at` on that the scan may find something in; false when there is none. */
  #enterTable(from: number): boolean {
    const at = this.#tableFrom(from);
    if (at < 0) return false;
    const { isReverse } = this.#options;
    this.#readAhead?.close();
    if (at !== this.#nextAt) this.#nextReadAhead?.close();
    this.#readAhead = at === this.#nextAt ? this.#nextReadAhead : undefined;
    this.#nextReadAhead = undefined;
    this.#nextAt = -1;
    this.#at = at;
    this.table = this.#run.tables[at];
    this.#lowest = this.#foundLowest;
    this.#highest = this.#foundHighest;
    this.#block = isReverse ? this.#highest : this.#lowest;
    this.#lastBlock = isReverse ? this.#lowest : this.#highest;
    return true;
  }

  /** Index of the first of the tables from `at` on, in the scan's direction, that has blocks of the range; −1: none has. */
  #tableFrom(at: number): number {
    const { tables, first, last } = this.#run;
    for (; at >= first && at <= last; at += this.#tableStep) {
      const table = tables[at];
      // All of it may be newer than what the scan sees.
      if (table.description.smallestSequence > this.#options.visibleSequence) continue;
      if (!table.mayHold(this.#range)) continue;
      if (this.#findBlocks(table)) return at;
    }
    return -1;
  }

  /** Finds the first and the last block of the range in a table; false where there is none. */
  #findBlocks({ index }: Table): boolean {
    const { lower, upper } = this.#range;
    this.#foundLowest = lower === undefined ? 0 : Math.max(index.locate(lower, lower.length), 0);
    // A key before all blocks is located at −1: then nothing is before it.
    this.#foundHighest = upper === undefined ? index.blockCount - 1 : index.locate(upper, upper.length);
    return this.#foundLowest <= this.#foundHighest;
  }

  /** Goes into `block`; false if it has to be waited for. */
  #enter(): boolean {
    const { table } = this;
    const block = this.#block;
    this.#readAhead?.moveTo(block);
    if (this.#readAhead?.hasAskedForAll === true) this.#readAheadOfNext();
    const base = this.#cache.find(table, block);
    if (base >= 0) {
      this.#take(this.#cache.bytes, this.#cache.words, base, false, this.#readsInPlace);
      return true;
    }
    this.#isInPlace = false;
    const large = this.#ahead().takeLarge(block, this);
    if (typeof large === 'object') {
      this.#take(large.bytes, large.words, 0, true, false);
      return true;
    }
    this.state = WAITING;
    if (large === 'absent') this.#cache.load(table, block, this, this.#options.fillCache);
    return false;
  }

  #ahead(): ReadAhead {
    if (this.#readAhead === undefined) {
      const { budget, fillCache } = this.#options;
      const expectedBlocks = this.#isShort ? 1 : 1 + Math.ceil(this.#expectedBlocks);
      const range = { first: this.#block, last: this.#lastBlock, fillCache, expectedBlocks };
      this.#readAhead = new ReadAhead(budget, this.table, range);
      this.#readAhead.moveTo(this.#block);
    }
    return this.#readAhead;
  }

  /** The end of this table is on its way: a scan without a limit has the beginning of the next one read too. */
  #readAheadOfNext(): void {
    if (this.#nextReadAhead !== undefined || this.#expectedBlocks !== Infinity) return;
    const at = this.#tableFrom(this.#at + this.#tableStep);
    if (at < 0) return;
    const { budget, fillCache, isReverse } = this.#options;
    const [lowest, highest] = [this.#foundLowest, this.#foundHighest];
    const [first, last] = isReverse ? [highest, lowest] : [lowest, highest];
    const range = { first, last, fillCache, expectedBlocks: Infinity };
    this.#nextReadAhead = new ReadAhead(budget, this.#run.tables[at], range);
    this.#nextReadAhead.begin();
    this.#nextAt = at;
  }

  /** Copies the block that was entered, and finds the part of it that belongs to the range. */
  #take(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean, isInPlace: boolean): void {
    const { lower, upper } = this.#range;
    const block = this.#block;
    const entry = this.#entry;
    const isLowest = lower !== undefined && block === this.#lowest;
    const isHighest = upper !== undefined && block === this.#highest;
    this.#begin = isLowest ? lowerBoundInBlock(bytes, words, base, lower, lower.length) : 0;
    const end = isHighest ? lowerBoundInBlock(bytes, words, base, upper, upper.length) : -1;
    entry.enter(bytes, base);
    this.isPrivate = isPrivate;
    this.#isInPlace = isInPlace;
    this.#base = base;
    this.#words = words;
    if (!isPrivate && !isInPlace) this.#copyBlock(base);
    this.#end = end < 0 ? entry.count : end;
    this.#ordinal = this.#options.isReverse ? this.#end : this.#begin;
    this.#takenLength = -1;
    this.#readAhead?.passed(block);
  }

  /** Copies the block that is read in place, if one is: from now on its slot may come to hold another. */
  detach(): void {
    if (!this.#isInPlace || this.state === ENDED) return;
    this.#copyBlock(this.#base);
    if (!this.#hasTaken || this.#takenLength < 0) return;
    const entry = this.#entry;
    entry.read(this.#takenOrdinal);
    this.bytes = entry.bytes;
    this.valueStart = entry.valueStart;
    this.#takenStart = entry.suffixStart;
  }

  #copyBlock(base: number): void {
    const length = this.table.index.memoryPagesOf(this.#block) * PAGE_BYTES;
    // In reverse the entry that was taken last may be the one that counts although others of its key are in this block.
    const copy = this.#copies.take(length, this.#options.isReverse ? this.bytes : undefined);
    copyBytes(this.#entry.bytes, base, length, copy, 0);
    this.#entry.enter(copy, 0);
    this.#base = 0;
    this.#words = this.#copies.words;
    this.#isInPlace = false;
    this.isPrivate = true;
  }
}
