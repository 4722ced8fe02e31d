/**
 * Iterators as callers hold them, over a scan. Owner only.
 *
 * Entries are made in batches out of what memory has; `next` and `for await` take them one by one from the batch at
 * hand, `nextv` and `batches` hand out whole ones. An iterator that is dropped without being closed is closed when it is
 * collected: nothing that lives longer refers to it.
 */
import { QuadringError, rejected } from '../errors.ts';
import type { Bytes } from './bytes.ts';
import type { Cursor } from './cursor.ts';
import { LeakWatch } from './leaks.ts';
import type { Materializer } from './materialize.ts';
import type { EntrySink, FillOutcome, Scan } from './scan.ts';

/** Entries that `next` and `for await` have made at once: few for one who wants few. */
const BATCH_MIN = 8;
const BATCH_MAX = 512;
/** Entries of a batch of `batches`. */
const BATCH_DEFAULT = 1000;

export interface ScanIteratorOptions<Item> {
  readonly scan: Scan;
  readonly materialize: Materializer<Item>;
  readonly signal: AbortSignal | undefined;
}

/** Keys, values or entries of a range, in order, as the database was when the iterator was made. */
export class ScanIterator<Item> implements AsyncIterable<Item>, AsyncDisposable {
  readonly #scan: Scan;
  readonly #materialize: Materializer<Item>;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  readonly #leakWatch: LeakWatch;
  /** Made and not handed out: from `at` on. */
  #batch: Item[] = [];
  #at = 0;
  #batchSize = BATCH_MIN;
  #isBusy = false;
  #isClosed = false;

  /** @internal Made by `Database`. */
  constructor(options: ScanIteratorOptions<Item>) {
    const { scan, signal } = options;
    this.#scan = scan;
    this.#materialize = options.materialize;
    this.#signal = signal;
    this.#onAbort = () => scan.close();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#leakWatch = new LeakWatch(this, 'an iterator', () => scan.close());
  }

  /**
   * The next item; undefined at the end. Rejects with CLOSED, ABORTED, BUSY, TABLE_CORRUPT, IO_ERROR or WORKER_FAILED.
   */
  next(): Promise<Item | undefined> {
    if (this.#hasItem) return Promise.resolve(this.#batch[this.#at++]);
    return this.#make([], this.#batchSize, (items) => this.#takeFirst(items));
  }

  /**
   * At most `count` items, and fewer where more would have to wait for the disk; none only at the end. Rejects as `next`
   * does, or with INVALID_ARGUMENT.
   */
  nextv(count: number): Promise<Item[]> {
    if (!Number.isSafeInteger(count) || count < 1) {
      return Promise.reject(new QuadringError('INVALID_ARGUMENT', 'count must be a whole number from 1 on'));
    }
    const begun = this.#batch.slice(this.#at, this.#at + count);
    if (begun.length === count && this.#hasItem) {
      this.#at += count;
      return Promise.resolve(begun);
    }
    return this.#make(begun, count, (items) => this.#takeAll(items));
  }

  /** Whole batches as memory has them, of at most `count` items, to the end. Closes the iterator. */
  async *batches(count = BATCH_DEFAULT): AsyncGenerator<Item[], void, void> {
    try {
      for (let items = await this.nextv(count); items.length > 0; items = await this.nextv(count))
        yield items;
    } finally {
      await this.close();
    }
  }

  /**
   * Goes to the first key at or behind `target`, or in reverse to the last one at or before it, inside the iterator's
   * range. Throws INVALID_ARGUMENT, KEY_TOO_LARGE, CLOSED or BUSY.
   */
  seek(target: Bytes): void {
    this.#check();
    this.#scan.seek(target, this.#batch.length - this.#at);
    this.#batch = [];
    this.#at = 0;
    this.#batchSize = BATCH_MIN;
  }

  /** Lets go what the iterator holds. Closing twice is one. A call that waits rejects with CLOSED. */
  close(): Promise<void> {
    this.#end();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes the iterator when the loop ends. */
  [Symbol.asyncIterator](): AsyncIterator<Item, undefined, void> {
    return {
      next: () => {
        if (this.#hasItem) return Promise.resolve({ done: false, value: this.#batch[this.#at++] });
        if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
        return this.#make([], this.#batchSize, (items) => this.#takeStep(items)).catch(
          async (error: unknown) => {
            // A loop that ends with an error does not say so.
            await this.close();
            throw error;
          },
        );
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** Whether an item is at hand that may be given. */
  get #hasItem(): boolean {
    return this.#at < this.#batch.length && !this.#isBusy && !this.#scan.isClosed;
  }

  /** Keeps a batch for calls to come, and gives its first item. */
  #takeFirst(items: Item[]): Item | undefined {
    this.#batchSize = Math.min(2 * this.#batchSize, BATCH_MAX);
    this.#batch = items;
    this.#at = 0;
    return items.length === 0 ? undefined : items[this.#at++];
  }

  #takeStep(items: Item[]): IteratorResult<Item, undefined> {
    if (items.length > 0) return { done: false, value: this.#takeFirst(items) as Item };
    this.#end();
    return { done: true, value: undefined };
  }

  #takeAll(items: Item[]): Item[] {
    this.#batch = [];
    this.#at = 0;
    return items;
  }

  /**
   * Adds to `items` until there are `count`, or some and more would have to wait, or all; gives what `take` makes of
   * them. What `take` changes is changed in the same turn as the scan, or before another call is let in.
   */
  #make<Result>(items: Item[], count: number, take: (items: Item[]) => Result): Promise<Result> {
    try {
      this.#check();
    } catch (error) {
      return rejected(error);
    }
    try {
      const outcome = this.#scan.fill(new ItemSink(items, this.#materialize), count);
      if (items.length > 0 || outcome === 'ended') return Promise.resolve(take(items));
      this.#isBusy = true;
      return this.#makeLater(items, count, take, outcome);
    } catch (error) {
      // What was made before counts first; the next call meets the error again.
      return items.length > 0 ? Promise.resolve(take(items)) : rejected(error);
    }
  }

  async #makeLater<Result>(
    items: Item[],
    count: number,
    take: (items: Item[]) => Result,
    first: FillOutcome,
  ): Promise<Result> {
    try {
      for (let outcome = first; ;) {
        await this.#moreToCome(outcome === 'waiting');
        this.#checkOpen();
        outcome = this.#scan.fill(new ItemSink(items, this.#materialize), count);
        if (items.length > 0 || outcome === 'ended') return take(items);
      }
    } finally {
      this.#isBusy = false;
    }
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#leakWatch.end();
    this.#scan.close();
    this.#batch = [];
    this.#scan.lastClosed.iterator = this;
  }

  #moreToCome(isWaiting: boolean): Promise<void> {
    // A long run of deleted keys: the event loop gets its turn.
    if (!isWaiting) return new Promise((resolve) => setImmediate(resolve));
    return new Promise((resolve) => this.#scan.whenSettled(resolve));
  }

  #check(): void {
    this.#checkOpen();
    if (this.#isBusy) throw new QuadringError('BUSY', 'an earlier call of this iterator has not ended');
  }

  #checkOpen(): void {
    if (this.#signal?.aborted === true) {
      throw new QuadringError('ABORTED', 'the iterator was given up', { cause: this.#signal.reason });
    }
    if (this.#scan.isClosed) throw new QuadringError('CLOSED', 'the iterator is closed');
  }
}

/** Makes items of entries. */
class ItemSink<Item> implements EntrySink {
  readonly batch = undefined;
  readonly #items: Item[];
  readonly #materialize: Materializer<Item>;

  constructor(items: Item[], materialize: Materializer<Item>) {
    this.#items = items;
    this.#materialize = materialize;
  }

  get length(): number {
    return this.#items.length;
  }

  take(cursor: Cursor): void {
    this.#items.push(this.#materialize(cursor));
  }
}

/** What `Database.iterator`, `keys` and `values` give. */
export type EntryIterator<K = Buffer, V = Buffer> = ScanIterator<[K, V]>;
export type KeyIterator<K = Buffer> = ScanIterator<K>;
export type ValueIterator<V = Buffer> = ScanIterator<V>;
