/**
 * The writers and readers of a soak: lanes that write at a pace, with bursts, and reads at an even pace beside them, each
 * held against the model. One thread, the owner's.
 *
 * `pause` lets what is under way end and begins nothing new, so that for a moment the model and the database must be
 * equal; `resume` goes on. The first thing that is wrong ends the load.
 */
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../src/index.ts';
import { Random } from './random.ts';
import type { SoakModel } from './soak-model.ts';

export interface SoakLoadOptions {
  readonly database: Database;
  readonly model: SoakModel;
  readonly seed: number;
  /** Write operations (of one key, or batches) and reads a second, outside of bursts. */
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
}

const LANES = 16;
/** So long at the given pace, then so long as fast as the database admits writes. */
const CALM_MS = 27_000;
const BURST_MS = 3000;
/** Reads that may be under way at once; those that are due beyond it are called later. */
const READS_IN_FLIGHT_MAX = 64;
const TICK_MS = 2;
const BATCH_MAX = 50;
const RANGE_MAX = 100;
const SCAN_MAX = 50;
/** Keys that a scan of so many entries may pass. */
const SCAN_KEYS = 8 * SCAN_MAX;
/** Tries to find a key that nobody writes. */
const PICKS_MAX = 20;

/** A write: keys that are put or deleted. */
interface Change {
  readonly number: number;
  readonly value: Buffer | undefined;
}

export class SoakLoad {
  /** Set by whoever reopens, while paused. */
  database: Database;
  /** Milliseconds that gets and durable single puts took, since they were last taken. */
  getTimes: number[] = [];
  putTimes: number[] = [];
  writeOperations = 0;
  writtenKeys = 0;
  reads = 0;
  readonly #model: SoakModel;
  readonly #random: Random;
  readonly #options: SoakLoadOptions;
  readonly #lanes: Promise<void>[];
  readonly #timer: NodeJS.Timeout;
  #isStopped = false;
  #isPaused = false;
  #failure: Error | undefined;
  #underWay = 0;
  #readsUnderWay = 0;
  #calmSince = performance.now();
  #dueFrom = performance.now();
  #begunWrites = 0;
  #begunReads = 0;
  #waiting: (() => void)[] = [];

  /** Begins. */
  constructor(options: SoakLoadOptions) {
    this.#options = options;
    this.database = options.database;
    this.#model = options.model;
    this.#random = new Random(options.seed);
    this.#lanes = Array.from({ length: LANES }, () => this.#lane());
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** What was wrong first. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when nothing is under way. Rejects with what was wrong. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    while (this.#underWay + this.#readsUnderWay > 0) await this.#whenChanged();
    if (this.#failure !== undefined) throw this.#failure;
  }

  resume(): void {
    this.#isPaused = false;
    this.#dueFrom = performance.now();
    this.#begunWrites = 0;
    this.#begunReads = 0;
    this.#changed();
  }

  /** Ends; resolves when nothing is under way. Rejects with what was wrong. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#changed();
    await Promise.all(this.#lanes);
    while (this.#readsUnderWay > 0) await this.#whenChanged();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #whenChanged(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.#isStopped = true;
    this.#changed();
  }

  // ---- writes

  async #lane(): Promise<void> {
    while (!this.#isStopped) {
      if (this.#isPaused) {
        await this.#whenChanged();
        continue;
      }
      if (!this.#isDue()) {
        await delay(TICK_MS);
        continue;
      }
      this.#begunWrites++;
      this.#underWay++;
      try {
        await this.#write();
        this.writeOperations++;
      } catch (error) {
        this.#fail(error);
      }
      this.#underWay--;
      this.#changed();
      // Writes that need not be durable resolve at once: timers and completions have their turn all the same.
      await turn();
    }
  }

  #isDue(): boolean {
    const now = performance.now();
    const since = now - this.#calmSince;
    if (since > CALM_MS + BURST_MS) {
      this.#calmSince = now;
      this.#dueFrom = now;
      this.#begunWrites = 0;
      this.#begunReads = 0;
    } else if (since > CALM_MS) {
      return true;
    }
    return this.#begunWrites * 1000 < (now - this.#dueFrom) * this.#options.writesPerSecond;
  }

  #write(): Promise<void> {
    const random = this.#random;
    const choice = random.below(1000);
    if (choice < 600) return this.#single(true, true);
    if (choice < 700) return this.#single(true, false);
    if (choice < 780) return this.#single(false, random.oneIn(2));
    if (choice < 970) return this.#batch();
    return this.#range();
  }

  async #single(isPut: boolean, sync: boolean): Promise<void> {
    const change = this.#pick(isPut);
    if (change === undefined) return;
    const { number, value } = change;
    const key = this.#model.keyOf(number);
    const begun = performance.now();
    if (value === undefined) await this.database.del(key, { sync });
    else await this.database.put(key, value, { sync });
    if (isPut && sync) this.putTimes.push(performance.now() - begun);
    this.#acknowledge([change]);
  }

  async #batch(): Promise<void> {
    const random = this.#random;
    const batch = this.database.batch();
    const changes: Change[] = [];
    // A range first: what the batch writes behind it must stay.
    if (random.oneIn(10)) {
      const { from, to, deleted } = this.#pickRange(10);
      if (deleted.length > 0) {
        batch.deleteRange({ gte: this.#model.boundaryOf(from), lt: this.#model.boundaryOf(to) });
      }
      changes.push(...deleted);
    }
    for (let i = random.between(2, BATCH_MAX); i > 0; i--) {
      const change = this.#pick(!random.oneIn(6));
      if (change === undefined) continue;
      const key = this.#model.keyOf(change.number);
      if (change.value === undefined) batch.del(key);
      else batch.put(key, change.value);
      changes.push(change);
    }
    await batch.write({ sync: !random.oneIn(4) });
    this.#acknowledge(changes);
  }

  async #range(): Promise<void> {
    const { from, to, deleted } = this.#pickRange(RANGE_MAX);
    if (deleted.length === 0) return;
    const range = { gte: this.#model.boundaryOf(from), lt: this.#model.boundaryOf(to) };
    await this.database.deleteRange(range, { sync: this.#random.oneIn(2) });
    this.#acknowledge(deleted);
  }

  #acknowledge(changes: readonly Change[]): void {
    for (const { number } of changes) this.#model.acknowledge(number);
    this.writtenKeys += changes.length;
  }

  #pick(isPut: boolean): Change | undefined {
    for (let tries = 0; tries < PICKS_MAX; tries++) {
      const number = this.#random.below(this.#model.keyCount);
      if (this.#model.isBusy(number)) continue;
      return { number, value: this.#model.begin(number, isPut) };
    }
    return undefined;
  }

  /** Some keys in a row that nobody writes, maybe none, which are deleted from now on. */
  #pickRange(lengthMax: number): { from: number; to: number; deleted: Change[] } {
    const from = this.#random.below(this.#model.keyCount);
    const most = Math.min(from + this.#random.between(1, lengthMax), this.#model.keyCount);
    const deleted: Change[] = [];
    let to = from;
    for (; to < most && !this.#model.isBusy(to); to++) {
      deleted.push({ number: to, value: this.#model.begin(to, false) });
    }
    return { from, to, deleted };
  }

  // ---- reads

  #tick(): void {
    if (this.#isPaused || this.#isStopped) return;
    const due = ((performance.now() - this.#dueFrom) * this.#options.readsPerSecond) / 1000;
    // What bursts have kept from being called in time is not made up for.
    this.#begunReads = Math.max(this.#begunReads, Math.floor(due) - READS_IN_FLIGHT_MAX);
    while (this.#begunReads < due && this.#readsUnderWay < READS_IN_FLIGHT_MAX) {
      this.#begunReads++;
      this.#readsUnderWay++;
      void this.#read()
        .catch((error: unknown) => this.#fail(error))
        .finally(() => {
          this.#readsUnderWay--;
          this.reads++;
          this.#changed();
        });
    }
  }

  async #read(): Promise<void> {
    const choice = this.#random.below(100);
    if (choice < 70) return this.#get();
    if (choice < 80) return this.#getMany();
    if (choice < 90) return this.#getNow();
    if (choice < 98) return this.#has();
    return this.#scan();
  }

  async #get(): Promise<void> {
    const number = this.#random.below(this.#model.keyCount);
    const least = this.#model.acknowledged(number);
    const begun = performance.now();
    const value = await this.database.get(this.#model.keyOf(number));
    this.getTimes.push(performance.now() - begun);
    this.#model.checkRead(number, least, value, 'get');
  }

  async #getMany(): Promise<void> {
    const numbers = Array.from({ length: 10 }, () => this.#random.below(this.#model.keyCount));
    const least = numbers.map((number) => this.#model.acknowledged(number));
    const values = await this.database.getMany(numbers.map((number) => this.#model.keyOf(number)));
    numbers.forEach((number, i) => this.#model.checkRead(number, least[i], values[i], 'getMany'));
  }

  #getNow(): Promise<void> {
    const number = this.#random.below(this.#model.keyCount);
    const least = this.#model.acknowledged(number);
    const key = this.#model.keyOf(number);
    const value = this.database.getSync(key);
    this.#model.checkRead(number, least, value, 'getSync');
    const text = this.database.getString(key, 'latin1');
    const again = text === undefined ? undefined : Buffer.from(text, 'latin1');
    this.#model.checkRead(number, least, again, 'getString');
    return Promise.resolve();
  }

  async #has(): Promise<void> {
    const number = this.#random.below(this.#model.keyCount);
    const isSettled = !this.#model.isBusy(number);
    const word = this.#model.acknowledged(number);
    const has = await this.database.has(this.#model.keyOf(number));
    // One that was written meanwhile may have been there or not.
    if (!isSettled || this.#model.isBusy(number) || this.#model.acknowledged(number) !== word) return;
    if (has !== ((word & 1) === 1))
      throw new Error(`has says ${has} of key ${number}, whose word is ${word}`);
  }

  /** Entries from somewhere on, while others write. */
  async #scan(): Promise<void> {
    const first = this.#random.below(this.#model.keyCount);
    const end = Math.min(first + SCAN_KEYS, this.#model.keyCount);
    const range = { gte: this.#model.boundaryOf(first), lt: this.#model.boundaryOf(end), limit: SCAN_MAX };
    const least = Array.from({ length: end - first }, (_, i) => this.#model.acknowledged(first + i));
    const iterator = this.database.iterator(range);
    // A batch may be shorter than asked for; only an empty one is the end.
    const entries = await iterator.nextv(SCAN_MAX);
    const isAtEnd = entries.length === 0 || (await iterator.next()) === undefined;
    await iterator.close();
    let next = first;
    const absentUpTo = (limit: number): void => {
      for (; next < limit; next++)
        this.#model.checkRead(next, least[next - first], undefined, 'a short scan');
    };
    for (const [key, value] of entries) {
      const number = this.#model.numberOf(key);
      if (number < next || number >= end) throw new Error(`a scan gives key ${number} out of place`);
      absentUpTo(number);
      this.#model.checkRead(number, least[number - first], value, 'a short scan');
      next = number + 1;
    }
    if (isAtEnd && entries.length < SCAN_MAX) absentUpTo(end);
  }
}
