/** What classic-level and @nxtedition/rocksdb share: both are an abstract-level, of different versions. Benchmarks only. */
import type { OpenPeer } from './peer.ts';
import { SCAN_ENTRIES, syncLogs } from './shared.ts';
import type { EntryCheck } from '../support/numbered-entries.ts';

/** classic-level hands out fewer entries than were asked for beyond this; its default would be 141 of 116 bytes. */
const HIGH_WATER_BYTES = 1 << 20;

interface PutOperation {
  readonly type: 'put';
  readonly key: Buffer;
  readonly value: Buffer;
}

interface IteratorOptions {
  readonly gte?: Buffer;
  readonly limit?: number;
  readonly fillCache: boolean;
  readonly highWaterMarkBytes: number;
}

interface Iterator {
  /** At most `count`, and none only at the end. */
  nextv(count: number): Promise<[Buffer, Buffer][]>;
  close(): Promise<void>;
}

export interface LevelDatabase {
  open(): Promise<void>;
  close(): Promise<void>;
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>;
  batch(operations: PutOperation[], options: { readonly sync: boolean }): Promise<void>;
  iterator(options: IteratorOptions): Iterator;
  getProperty(name: string): string;
}

export abstract class OpenLevel<Database extends LevelDatabase> implements OpenPeer {
  protected readonly database: Database;
  protected readonly directory: string;
  protected readonly writeOptions: { readonly sync: boolean };

  /** REQUIRES: `database` is open. */
  constructor(database: Database, directory: string, durable: boolean) {
    this.database = database;
    this.directory = directory;
    this.writeOptions = { sync: durable };
  }

  abstract get(key: Buffer): Promise<Buffer | undefined>;
  abstract put(key: Buffer, value: Buffer): Promise<void>;
  abstract compact(): Promise<void>;
  abstract settle(): Promise<void>;
  abstract describe(): Record<string, unknown>;

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.database.getMany(keys);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<void> {
    const operations = keys.map((key, i): PutOperation => ({ type: 'put', key, value: values[i] }));
    return this.database.batch(operations, this.writeOptions);
  }

  scan(check: EntryCheck): Promise<void> {
    return this.#drain({}, Infinity, check);
  }

  range(from: Buffer, count: number, check: EntryCheck): Promise<void> {
    return this.#drain({ gte: from, limit: count }, count, check);
  }

  makeDurable(): Promise<void> {
    return syncLogs(this.directory);
  }

  close(): Promise<void> {
    return this.database.close();
  }

  async #drain(part: { gte?: Buffer; limit?: number }, count: number, check: EntryCheck): Promise<void> {
    const iterator = this.database.iterator({
      ...part,
      // As gets do; of iterators it is not the default.
      fillCache: true,
      highWaterMarkBytes: HIGH_WATER_BYTES,
    });
    for (let left = count; left > 0;) {
      const entries = await iterator.nextv(Math.min(left, SCAN_ENTRIES));
      if (entries.length === 0) break;
      for (const entry of entries) check.entry(entry[0], entry[1]);
      left -= entries.length;
    }
    await iterator.close();
  }
}
