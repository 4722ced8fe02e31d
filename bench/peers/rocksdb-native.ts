/** rocksdb-native: RocksDB with an interface of its own, all of it asynchronous. Benchmarks only. */
import type { Opening } from '../workload/session.ts';
import { loadPeer } from './packages.ts';
import { BLOCK_BYTES, type OpenPeer, type Peer } from './peer.ts';
import { rocksDbOptions, SCAN_ENTRIES, syncLogs, untilRocksDbIsIdle, WRITE_BUFFER_BYTES } from './shared.ts';
import type { EntryCheck } from '../support/numbered-entries.ts';

const PACKAGE = 'rocksdb-native';

interface BatchOptions {
  readonly capacity: number;
  readonly autoDestroy: boolean;
}

interface ReadBatch {
  get(key: Buffer): Promise<Buffer | null>;
  tryFlush(): void;
}

interface WriteBatch {
  tryPut(key: Buffer, value: Buffer): void;
  flush(): Promise<void>;
}

interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A stream. */
interface EntryStream {
  on(event: 'data', listener: (entry: Entry) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'close', listener: () => void): void;
  destroy(error: Error): void;
}

interface Range {
  readonly gte?: Buffer;
  readonly limit?: number;
  /** Entries that are fetched at once. */
  readonly capacity: number;
}

interface RocksDb {
  ready(): Promise<void>;
  close(): Promise<void>;
  get(key: Buffer): Promise<Buffer | null>;
  put(key: Buffer, value: Buffer): Promise<void>;
  read(options: BatchOptions): ReadBatch;
  write(options: BatchOptions): WriteBatch;
  iterator(range: Range): EntryStream;
  compactRange(): Promise<void>;
  getProperty(name: string): Promise<string>;
}

interface RocksDbOptions {
  readonly tableBlockSize: number;
  readonly tableCacheIndexAndFilterBlocks: boolean;
  readonly blockCache: boolean;
  readonly writeBufferSize: number;
  readonly useDirectReads: boolean;
  readonly useDirectIOForFlushAndCompaction: boolean;
}

type RocksDbPackage = new (directory: string, options: RocksDbOptions) => RocksDb;

const CACHE_BYTES = 32 << 20;

class OpenRocksDbNative implements OpenPeer {
  readonly #database: RocksDb;
  readonly #directory: string;

  constructor(database: RocksDb, directory: string) {
    this.#database = database;
    this.#directory = directory;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.#database.get(key)) ?? undefined;
  }

  async getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    const batch = this.#database.read({ capacity: keys.length, autoDestroy: true });
    const found = keys.map((key) => batch.get(key));
    batch.tryFlush();
    return (await Promise.all(found)).map((value) => value ?? undefined);
  }

  put(key: Buffer, value: Buffer): Promise<void> {
    return this.#database.put(key, value);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<void> {
    const batch = this.#database.write({ capacity: keys.length, autoDestroy: true });
    for (let i = 0; i < keys.length; i++) batch.tryPut(keys[i], values[i]);
    return batch.flush();
  }

  scan(check: EntryCheck): Promise<void> {
    return this.#drain({ capacity: SCAN_ENTRIES }, check);
  }

  range(from: Buffer, count: number, check: EntryCheck): Promise<void> {
    // One more than can come: fewer than that tell it that the end was reached, without another read.
    return this.#drain({ gte: from, limit: count, capacity: count + 1 }, check);
  }

  makeDurable(): Promise<void> {
    return syncLogs(this.#directory);
  }

  compact(): Promise<void> {
    return this.#database.compactRange();
  }

  settle(): Promise<void> {
    return untilRocksDbIsIdle((name) => this.#database.getProperty(name));
  }

  describe(): Record<string, unknown> {
    return rocksDbOptions(this.#directory);
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  /** By events, since `for await` costs a promise an entry. */
  #drain(range: Range, check: EntryCheck): Promise<void> {
    const stream = this.#database.iterator(range);
    return new Promise((resolve, reject) => {
      stream.on('data', ({ key, value }) => {
        try {
          check.entry(key, value);
        } catch (error) {
          stream.destroy(error as Error);
        }
      });
      stream.on('error', reject);
      stream.on('close', resolve);
    });
  }
}

export const rocksDbNative: Peer = {
  packageName: PACKAGE,
  canBeDurable: false,

  /**
   * Of the block cache can only be said whether there is one, of 32 MiB; where more is meant, the page cache has to do, as it
   * would for whoever uses it. Filters have 10 bits a key unless told.
   */
  async open(directory: string, { cacheBytes, io, durable }: Opening): Promise<OpenPeer> {
    if (durable) throw new Error('rocksdb-native has no durable writes');
    const Database = await loadPeer<RocksDbPackage>(PACKAGE);
    const isDirect = io === 'direct' && cacheBytes <= CACHE_BYTES;
    const database = new Database(directory, {
      tableBlockSize: BLOCK_BYTES,
      // In memory with the tables, not in a cache that has no room for them.
      tableCacheIndexAndFilterBlocks: false,
      blockCache: cacheBytes > 0,
      writeBufferSize: WRITE_BUFFER_BYTES,
      useDirectReads: isDirect,
      useDirectIOForFlushAndCompaction: isDirect,
    });
    await database.ready();
    return new OpenRocksDbNative(database, directory);
  },
};
