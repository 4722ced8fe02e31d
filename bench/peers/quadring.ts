/** quadring itself, on each of its backends. Benchmarks only. */
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { drainCursor, drainEntries, drainRange } from '../support/drain.ts';
import type { EntryCheck, ScanCheck } from '../support/numbered-entries.ts';
import { describeQuadring } from '../support/quadring.ts';
import { settle } from '../support/settled-tree.ts';
import type { Opening } from '../workload/session.ts';
import { BLOCK_BYTES, type OpenPeer, type Peer } from './peer.ts';

/** Longer than the database waits before it brings its levels to rest. */
const SETTLED = { quietMs: 1500, limitMs: 600_000 };

class OpenQuadring implements OpenPeer {
  readonly #database: Database;
  readonly #writeOptions: { readonly sync: boolean };

  constructor(database: Database, isDurable: boolean) {
    this.#database = database;
    this.#writeOptions = { sync: isDurable };
  }

  getInto(key: Buffer, target: Buffer): number {
    return this.#database.getInto(key, target);
  }

  getSync(key: Buffer): Buffer | undefined {
    return this.#database.getSync(key);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#database.get(key);
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#database.getMany(keys);
  }

  put(key: Buffer, value: Buffer): Promise<void> {
    return this.#database.put(key, value, this.#writeOptions);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<void> {
    const batch = this.#database.batch();
    for (let i = 0; i < keys.length; i++) batch.put(keys[i], values[i]);
    return batch.write(this.#writeOptions);
  }

  scan(check: ScanCheck): Promise<void> {
    return drainEntries(this.#database.iterator(), check);
  }

  range(from: Buffer, count: number, check: EntryCheck): Promise<void> {
    return drainRange(this.#database.iterator({ gte: from, limit: count }), count, check);
  }

  scanBorrowed(check: ScanCheck): void {
    drainCursor(this.#database.cursor(), check);
  }

  rangeBorrowed(from: Buffer, count: number, check: EntryCheck): void {
    drainCursor(this.#database.cursor({ gte: from, limit: count }), check);
  }

  async makeDurable(): Promise<void> {
    // Frames of the log are written in order: what came before one that is durable is so too.
    await this.#database.del('~', { sync: true });
  }

  async compact(): Promise<void> {
    await this.#database.flush();
    await this.#database.compactRange();
  }

  settle(): Promise<void> {
    return settle(this.#database, SETTLED);
  }

  describe(): Record<string, unknown> {
    return describeQuadring(this.#database);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

export interface QuadringVariant {
  readonly backend: 'auto' | 'syscall';
  /** Both sides of a queue poll so long before they sleep. */
  readonly spinMicroseconds?: number;
}

export class QuadringPeer implements Peer {
  readonly packageName = 'quadring';
  readonly canBeDurable = true;
  readonly #variant: QuadringVariant;

  constructor(variant: QuadringVariant) {
    this.#variant = variant;
  }

  async open(directory: string, { cacheBytes, io, durable }: Opening): Promise<OpenPeer> {
    const options: DatabaseOptions = {
      blockBytes: BLOCK_BYTES,
      blockCacheBytes: cacheBytes,
      io: { ...this.#variant, direct: io === 'direct' },
    };
    return new OpenQuadring(await Database.open(directory, options), durable);
  }
}
