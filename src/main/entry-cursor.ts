/**
 * Entries one after another, in the call: a cursor as callers hold it, over a scan. Owner only.
 *
 * An iterator makes a Buffer of each key and each value, which costs more than finding them does. A cursor copies entries,
 * some hundred at a time, into memory that it uses again, and makes only what it is asked for: lengths and single bytes are
 * read where they lie. Blocks that are not cached are read while the caller's thread waits, those behind them meanwhile.
 */
import { QuadringError } from '../errors.ts';
import type { Bytes } from './bytes.ts';
import { checkStringEncoding, checkTarget } from './call-options.ts';
import { copyWords } from './copy-words.ts';
import { BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, type EntryBatch, type EntryBatches } from './entry-batch.ts';
import { LeakWatch } from './leaks.ts';
import { copyOf } from './materialize.ts';
import type { Reads } from './reads.ts';
import type { Scan } from './scan.ts';

/** Entries of the first batch where no limit says how many are wanted. */
const BATCH_ENTRIES_FIRST = 8;

/**
 * The entries of a range, in order, as the database was when the cursor was made. `next` goes to the first entry, and to the
 * next. What is said of the entry that the cursor stands at throws NO_ENTRY where there is none, and CLOSED once the cursor is
 * closed, or the database is and the cursor stands nowhere.
 */
export class EntryCursor implements Disposable {
  readonly #scan: Scan;
  readonly #reads: Reads;
  readonly #batches: EntryBatches;
  readonly #leakWatch: LeakWatch;
  #batch: EntryBatch;
  /** Index of the entry, −1 before the first; and how many the batch has. */
  #at = -1;
  #length = 0;
  #wanted: number;
  #isClosed = false;

  /** @internal Made by `Database`. */
  constructor(scan: Scan, reads: Reads, batches: EntryBatches) {
    this.#scan = scan;
    this.#reads = reads;
    this.#batches = batches;
    this.#batch = batches.take();
    this.#wanted = firstWanted(scan);
    this.#leakWatch = new LeakWatch(this, 'a cursor', () => scan.close());
  }

  /**
   * Goes to the next entry; false at the end. A block that is not cached is read while this thread waits. Throws CLOSED,
   * TABLE_CORRUPT, IO_ERROR, WORKER_FAILED or OVERLOADED.
   */
  next(): boolean {
    const at = this.#at + 1;
    if (at < this.#length && !this.#scan.isClosed) {
      this.#at = at;
      return true;
    }
    return this.#load();
  }

  /**
   * The next entry will be the first one at or behind `target`, in reverse the last one at or before it, inside the cursor's
   * range. Throws INVALID_ARGUMENT, KEY_TOO_LARGE or CLOSED.
   */
  seek(target: Bytes): void {
    this.#checkOpen();
    this.#scan.seek(target, Math.max(this.#length - this.#at - 1, 0));
    this.#clear();
    this.#wanted = firstWanted(this.#scan);
  }

  /** The key, in memory of its own. */
  get key(): Buffer {
    return copyOf(this.memory, this.keyStart, this.keyLength);
  }

  /** The value, in memory of its own. */
  get value(): Buffer {
    return copyOf(this.memory, this.valueStart, this.valueLength);
  }

  /**
   * The memory that the entry's bytes are in, valid until the cursor moves or is closed, and only to be read: the key is
   * `memory[keyStart, + keyLength)`, the value `memory[valueStart, + valueLength)`.
   */
  get memory(): Buffer {
    this.#checkEntry();
    return this.#batch.memory;
  }

  get keyStart(): number {
    this.#checkEntry();
    return this.#batch.places[4 * this.#at];
  }

  get keyLength(): number {
    this.#checkEntry();
    return this.#batch.places[4 * this.#at + 1];
  }

  get valueStart(): number {
    this.#checkEntry();
    return this.#batch.places[4 * this.#at + 2];
  }

  get valueLength(): number {
    this.#checkEntry();
    return this.#batch.places[4 * this.#at + 3];
  }

  /** Copies the key to the beginning of `target`, as much of it as fits; its whole length. Or throws INVALID_ARGUMENT. */
  keyInto(target: Uint8Array): number {
    return this.#copyInto(target, this.keyStart, this.keyLength);
  }

  /** The same of the value. */
  valueInto(target: Uint8Array): number {
    return this.#copyInto(target, this.valueStart, this.valueLength);
  }

  /** Or throws INVALID_ARGUMENT. */
  keyString(encoding: 'utf8' | 'latin1' = 'utf8'): string {
    return this.#stringOf(encoding, this.keyStart, this.keyLength);
  }

  /** Or throws INVALID_ARGUMENT. */
  valueString(encoding: 'utf8' | 'latin1' = 'utf8'): string {
    return this.#stringOf(encoding, this.valueStart, this.valueLength);
  }

  /** Lets go what the cursor holds. Closing twice is one. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leakWatch.end();
    this.#scan.close();
    this.#clear();
    this.#batches.giveBack(this.#batch);
    this.#scan.lastClosed.entryCursor = this;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes the next batch, and goes to its first entry; false at the end. */
  #load(): boolean {
    this.#checkOpen();
    this.#clear();
    const batch = this.#batch;
    const wanted = this.#wanted;
    this.#wanted = Math.min(2 * wanted, BATCH_ENTRIES_MAX);
    for (;;) {
      const outcome = this.#fill(wanted);
      this.#reads.handOver();
      if (batch.length > 0) break;
      if (outcome === 'ended') return false;
      if (outcome === 'waiting') this.#reads.awaitBlocks(this.#scan);
    }
    this.#length = batch.length;
    this.#at = 0;
    return true;
  }

  #fill(wanted: number): 'more' | 'waiting' | 'ended' {
    try {
      return this.#scan.fill(this.#batch, wanted, BATCH_BYTES_MAX);
    } catch (error) {
      // What was taken before counts first; the next call meets the error again.
      if (this.#batch.length > 0) return 'more';
      throw error;
    }
  }

  #clear(): void {
    this.#batch.clear();
    this.#at = -1;
    this.#length = 0;
  }

  #copyInto(target: Uint8Array, start: number, length: number): number {
    checkTarget(target);
    copyWords(this.#batch.memory, start, length < target.length ? length : target.length, target, 0);
    return length;
  }

  #stringOf(encoding: 'utf8' | 'latin1', start: number, length: number): string {
    checkStringEncoding(encoding);
    return this.#batch.memory.toString(encoding, start, start + length);
  }

  #checkOpen(): void {
    if (this.#scan.isClosed) throw new QuadringError('CLOSED', 'the cursor is closed');
  }

  #checkEntry(): void {
    if (this.#at >= 0) return;
    this.#checkOpen();
    throw new QuadringError('NO_ENTRY', 'the cursor stands at no entry');
  }
}

function firstWanted({ limit }: Scan): number {
  return limit <= BATCH_ENTRIES_MAX ? Math.max(limit, 1) : BATCH_ENTRIES_FIRST;
}
