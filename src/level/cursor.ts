/**
 * One of the core's iterators, with what abstract-level asks for beyond it: a seek to a target outside of the range
 * reaches the end, and an aborted signal rejects the read that is under way. Owner only.
 */
import type { Bytes } from '../index.ts';
import { abortError, levelError } from './errors.ts';
import { bytesOf, isInRange, type PrivateIteratorOptions } from './options.ts';

/** What the core's iterators of entries, keys and values have in common. */
export interface Source<Item> {
  next(): Promise<Item | undefined>;
  nextv(count: number): Promise<Item[]>;
  seek(target: Bytes): void;
  close(): Promise<void>;
}

/** One call is not to hold up the event loop for long. */
const NEXTV_ITEMS_MAX = 1000;

export class Cursor<Item> {
  readonly #source: Source<Item>;
  readonly #options: PrivateIteratorOptions;
  readonly #signal: AbortSignal | null | undefined;
  /** Whether the last seek led out of the range. */
  #outside = false;

  /** `source` has been made with `options`. */
  constructor(source: Source<Item>, options: PrivateIteratorOptions) {
    this.#source = source;
    this.#options = options;
    this.#signal = options.signal;
  }

  /** HOT. */
  async next(): Promise<Item | undefined> {
    if (this.#outside) return undefined;
    try {
      const item = await this.#source.next();
      if (this.#signal?.aborted === true) throw abortError();
      return item;
    } catch (error) {
      throw levelError(error);
    }
  }

  /** Empty only at the end. */
  async nextv(count: number): Promise<Item[]> {
    if (this.#outside) return [];
    try {
      const items = await this.#source.nextv(count);
      if (this.#signal?.aborted === true) throw abortError();
      return items;
    } catch (error) {
      throw levelError(error);
    }
  }

  /** What is left, `limit` at most. */
  async all(limit: number): Promise<Item[]> {
    let all: Item[] = [];
    for (let left = limit; left > 0; left = limit - all.length) {
      const items = await this.nextv(Math.min(left, NEXTV_ITEMS_MAX));
      if (items.length === 0) break;
      if (all.length === 0) all = items;
      else for (const item of items) all.push(item);
    }
    return all;
  }

  seek(target: Bytes): void {
    const bytes = bytesOf(target);
    const isOutside = !isInRange(bytes, this.#options);
    try {
      if (!isOutside) this.#source.seek(bytes);
    } catch (error) {
      throw levelError(error);
    }
    this.#outside = isOutside;
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
