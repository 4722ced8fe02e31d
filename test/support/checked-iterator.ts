/** An iterator beside the entries that it must give. */
import { QuadringError, type Bytes, type ErrorCode, type ScanIterator } from '../../src/index.ts';
import type { MoveHow } from './scan-steps.ts';
import type { ModelEntry } from './version-model.ts';

/** Buffers that were handed out, which must stay what they were; some are written to, which must disturb nothing. */
export class HandedOut {
  readonly #kept: { readonly buffer: Buffer; readonly expected: Buffer }[] = [];
  #count = 0;
  static readonly #KEPT_MAX = 600;

  add(buffer: Buffer, expected: Buffer): void {
    const count = ++this.#count;
    if (count % 3 === 0) buffer.fill(0xff);
    else if (this.#kept.length < HandedOut.#KEPT_MAX) this.#kept.push({ buffer, expected });
    else if (count % 7 === 0) this.#kept[count % HandedOut.#KEPT_MAX] = { buffer, expected };
  }

  check(): void {
    for (const { buffer, expected } of this.#kept) {
      expectBytes('a buffer that was handed out earlier', buffer, expected);
    }
  }
}

/** What is asked of an iterator, whatever it gives. */
export type AnyIterator = Pick<ScanIterator<unknown>, 'next' | 'nextv' | 'seek' | 'batches' | 'close'> &
  AsyncIterable<unknown, undefined, void>;

export interface CheckedIteratorOptions {
  readonly iterator: AnyIterator;
  readonly what: 'iterator' | 'keys' | 'values' | 'cursor';
  readonly encoding: 'buffer' | 'latin1';
  /** In the iterator's direction. */
  readonly entries: readonly ModelEntry[];
  readonly isReverse: boolean;
  readonly limit: number;
  readonly handedOut: HandedOut;
}

export class CheckedIterator {
  readonly #options: CheckedIteratorOptions;
  #position = 0;
  #remaining: number;
  isClosed = false;
  /** Entries that it gave. */
  given = 0;

  constructor(options: CheckedIteratorOptions) {
    this.#options = options;
    this.#remaining = options.limit < 0 ? Infinity : options.limit;
  }

  async move(how: MoveHow, count: number): Promise<void> {
    const { iterator } = this.#options;
    switch (how) {
      case 'next':
        for (let i = 0; i < count; i++) {
          const item = await iterator.next();
          this.#accept(item === undefined ? [] : [item], 1);
        }
        return;
      case 'nextv':
        return this.#accept(await iterator.nextv(count), count);
      case 'step':
        return this.#stepThrough(count);
      case 'loop':
        return this.#loop(count);
      case 'batches':
        return this.#batches(count);
    }
  }

  seek(target: Buffer): void {
    const { iterator, entries, isReverse } = this.#options;
    iterator.seek(target);
    const at = entries.findIndex(([key]) => {
      const order = Buffer.compare(key, target);
      return isReverse ? order <= 0 : order >= 0;
    });
    this.#position = at < 0 ? entries.length : at;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.#options.iterator.close();
    await this.expectRefusal('CLOSED');
  }

  async expectRefusal(code: ErrorCode): Promise<void> {
    const { iterator } = this.#options;
    await expectRefusal(code, () => iterator.next());
    await expectRefusal(code, () => iterator.nextv(3));
    await expectRefusal(code, () => iterator.seek('x'));
  }

  async #stepThrough(count: number): Promise<void> {
    const steps = this.#options.iterator[Symbol.asyncIterator]();
    for (let i = 0; i < count && !this.isClosed; i++) {
      const { done, value } = await steps.next();
      this.#accept(done === true ? [] : [value], 1);
      if (done === true) this.isClosed = true;
    }
    if (this.isClosed) await this.expectRefusal('CLOSED');
  }

  async #loop(count: number): Promise<void> {
    let taken = 0;
    for await (const item of this.#options.iterator) {
      this.#accept([item], 1);
      if (++taken === count) break;
    }
    if (taken < count) this.#accept([], 1);
    this.isClosed = true;
    await this.expectRefusal('CLOSED');
  }

  async #batches(count: number): Promise<void> {
    let taken = 0;
    for await (const items of this.#options.iterator.batches(count)) {
      if (items.length === 0) throw new Error('batches gave an empty one');
      this.#accept(items, count);
      taken += items.length;
      if (taken >= 2 * count) break;
    }
    if (taken < 2 * count) this.#accept([], 1);
    this.isClosed = true;
    await this.expectRefusal('CLOSED');
  }

  /** Items of a call that may give `most`. None: the end. */
  #accept(items: readonly unknown[], most: number): void {
    const { entries, what } = this.#options;
    const left = Math.min(this.#remaining, entries.length - this.#position);
    if (items.length > most) throw new Error(`${what} gave ${items.length} of at most ${most}`);
    if (items.length > left) throw new Error(`${what} gave ${items.length} where ${left} are left`);
    if (items.length === 0 && left > 0) throw new Error(`${what} ended where ${left} are left`);
    for (const item of items) this.#expectEntry(item, entries[this.#position++]);
    this.#remaining -= items.length;
    this.given += items.length;
  }

  #expectEntry(item: unknown, [key, value]: ModelEntry): void {
    const { what } = this.#options;
    const name = `${what} at ${this.#position - 1} (${key.toString('latin1').slice(-20)})`;
    if (what === 'keys') return this.#expectPart(`key of ${name}`, item, key);
    if (what === 'values') return this.#expectPart(`value of ${name}`, item, value);
    const [givenKey, givenValue] = item as [unknown, unknown];
    this.#expectPart(`key of ${name}`, givenKey, key);
    this.#expectPart(`value of ${name}`, givenValue, value);
  }

  #expectPart(name: string, part: unknown, expected: Buffer): void {
    if (this.#options.encoding === 'latin1') {
      if (typeof part !== 'string') throw new Error(`${name} is no string`);
      expectBytes(name, Buffer.from(part, 'latin1'), expected);
      return;
    }
    if (!Buffer.isBuffer(part)) throw new Error(`${name} is no Buffer`);
    expectBytes(name, part, expected);
    this.#options.handedOut.add(part, expected);
  }
}

export async function expectRefusal(code: ErrorCode, act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (error instanceof QuadringError && error.code === code) return;
    throw error;
  }
  throw new Error(`${code} was expected, but it succeeded`);
}

export function expectBytes(what: string, actual: Bytes | undefined, expected: Buffer | undefined): void {
  const bytes = typeof actual === 'string' ? Buffer.from(actual) : actual;
  if (bytes === undefined || expected === undefined ? bytes === expected : expected.equals(bytes)) return;
  throw new Error(`${what}: ${describe(bytes)} instead of ${describe(expected)}`);
}

function describe(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return 'nothing';
  return `${bytes.length} bytes ${Buffer.from(bytes.subarray(0, 8)).toString('hex')}`;
}
