/** A cursor as if it were an iterator, so that what is expected of one is asked of the other. */
import type { EntryCursor } from '../../src/index.ts';
import type { AnyIterator } from './checked-iterator.ts';

const WAYS = 3;

export class CursorIterator implements AnyIterator {
  readonly #cursor: EntryCursor;
  readonly #encoding: 'buffer' | 'latin1';
  #count = 0;

  constructor(cursor: EntryCursor, encoding: 'buffer' | 'latin1') {
    this.#cursor = cursor;
    this.#encoding = encoding;
  }

  async next(): Promise<unknown> {
    return Promise.resolve(this.#cursor.next() ? this.#entry() : undefined);
  }

  async nextv(count: number): Promise<unknown[]> {
    const entries: unknown[] = [];
    while (entries.length < count && this.#cursor.next()) entries.push(this.#entry());
    return Promise.resolve(entries);
  }

  async *batches(count = 100): AsyncGenerator<unknown[], void, void> {
    try {
      for (let items = await this.nextv(count); items.length > 0; items = await this.nextv(count))
        yield items;
    } finally {
      this.#cursor.close();
    }
  }

  seek(target: Buffer): void {
    this.#cursor.seek(target);
  }

  close(): Promise<void> {
    this.#cursor.close();
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined, void> {
    return {
      next: async () => {
        const item = await this.next();
        if (item !== undefined) return { done: false, value: item };
        this.#cursor.close();
        return { done: true, value: undefined };
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** In each of the ways in which a cursor gives it. */
  #entry(): [unknown, unknown] {
    const cursor = this.#cursor;
    if (this.#encoding === 'latin1') return [cursor.keyString('latin1'), cursor.valueString('latin1')];
    const way = this.#count++ % WAYS;
    if (way === 0) return [cursor.key, cursor.value];
    if (way === 1) {
      const { memory, keyStart, keyLength, valueStart, valueLength } = cursor;
      return [
        Buffer.from(memory.subarray(keyStart, keyStart + keyLength)),
        Buffer.from(memory.subarray(valueStart, valueStart + valueLength)),
      ];
    }
    const [key, value] = [Buffer.alloc(cursor.keyLength), Buffer.alloc(cursor.valueLength)];
    if (cursor.keyInto(key) !== key.length || cursor.valueInto(value) !== value.length)
      throw new Error('a cursor says two things about a length');
    return [key, value];
  }
}
