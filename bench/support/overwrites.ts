/**
 * Random overwrites of a key set, and the oracle that knows the last version of each key. Benchmarks and tests only.
 *
 * One batch is under way at a time. A get that is asked meanwhile may find what had been acknowledged when it was asked,
 * or anything newer that has been submitted; once nothing is under way, exactly the last version.
 */
import type { Database } from '../../src/index.ts';
import { pseudoRandom } from './measure.ts';
import type { OverwrittenEntries } from './overwritten-entries.ts';

/** Entries that one call of `nextv` asks for. */
const SCAN_ENTRIES = 1000;
const NO_VERSION = -1;

export class Overwrites {
  readonly entries: OverwrittenEntries;
  readonly #database: Database;
  readonly #random: (limit: number) => number;
  /** Of each key: what has been acknowledged, and what may be on its way. */
  readonly #acknowledged: Int32Array;
  readonly #submitted: Int32Array;
  readonly #loadOrder: Generator<number, void>;
  #operations = 0;

  constructor(database: Database, entries: OverwrittenEntries, seed: number) {
    this.entries = entries;
    this.#database = database;
    this.#random = pseudoRandom(seed);
    this.#acknowledged = new Int32Array(entries.count).fill(NO_VERSION);
    this.#submitted = new Int32Array(entries.count).fill(NO_VERSION);
    this.#loadOrder = entries.order(0);
  }

  /** Writes that have been acknowledged. */
  get operations(): number {
    return this.#operations;
  }

  /** Writes the next keys of the key set, each for the first time, in random order; false: all have been. */
  async loadBatch(size: number): Promise<boolean> {
    const numbers: number[] = [];
    while (numbers.length < size) {
      const next = this.#loadOrder.next();
      if (next.done === true) break;
      numbers.push(next.value);
    }
    if (numbers.length > 0) await this.#write(numbers);
    return numbers.length === size;
  }

  /** Writes random keys, as one batch that need not be durable. */
  async overwriteBatch(size: number): Promise<void> {
    const numbers = new Int32Array(size);
    for (let i = 0; i < size; i++) numbers[i] = this.#random(this.entries.count);
    await this.#write(numbers);
  }

  async #write(numbers: Iterable<number>): Promise<void> {
    const batch = this.#database.batch();
    for (const number of numbers) {
      const version = ++this.#submitted[number];
      batch.put(this.entries.key(number), this.entries.value(number, version));
    }
    await batch.write({ sync: false });
    for (const number of numbers) {
      this.#acknowledged[number]++;
      this.#operations++;
    }
  }

  /** The version that a read which is asked now must find, or a newer one. */
  versionOf(number: number): number {
    return this.#acknowledged[number];
  }

  /** Throws unless the value is one that a read of the key may have found, where it had to find this version at least. */
  checkRead(number: number, leastVersion: number, value: Buffer | undefined): void {
    if (value === undefined && leastVersion === NO_VERSION) return;
    const version = value === undefined ? NO_VERSION : this.entries.versionIn(value);
    if (
      value === undefined ||
      version < leastVersion ||
      version > this.#submitted[number] ||
      !value.equals(this.entries.value(number, version))
    ) {
      throw new Error(
        `key ${number} was read as version ${version} (${value?.length} bytes), expected ` +
          `${leastVersion} to ${this.#submitted[number]}`,
      );
    }
  }

  /** Reads everything by one scan. Throws unless each key is there once, in order, in its last version, and no other. */
  async verifyAll(): Promise<void> {
    const iterator = this.#database.iterator();
    let count = 0;
    let last: Buffer | undefined;
    for (;;) {
      const batch = await iterator.nextv(SCAN_ENTRIES);
      if (batch.length === 0) break;
      for (const [key, value] of batch) {
        if (last !== undefined && Buffer.compare(last, key) >= 0) {
          throw new Error(`key ${key.toString('hex')} came behind ${last.toString('hex')}`);
        }
        last = key;
        this.#checkEntry(key, value);
      }
      count += batch.length;
    }
    await iterator.close();
    // No key came twice and each was one of the set, so only the number is left to be wrong.
    const expected = this.#acknowledged.reduce((sum, version) => sum + (version === NO_VERSION ? 0 : 1), 0);
    if (count !== expected) throw new Error(`${count} keys are there, expected ${expected}`);
  }

  #checkEntry(key: Buffer, value: Buffer): void {
    const number = this.entries.numberIn(value);
    if (number < 0 || number >= this.entries.count || !this.entries.key(number).equals(key)) {
      throw new Error(`key ${key.toString('hex')} has the value of key ${number}`);
    }
    this.checkRead(number, this.#acknowledged[number], value);
  }
}
