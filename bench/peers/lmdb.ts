/**
 * lmdb: LMDB, a B+tree in a memory-mapped file. Benchmarks only.
 *
 * There are no blocks, filters or caches to configure: it has pages of 4 KiB, and its cache is the operating system's.
 */
import type { Opening } from '../workload/session.ts';
import { loadPeer } from './packages.ts';
import type { OpenPeer, Peer } from './peer.ts';
import type { EntryCheck } from '../support/numbered-entries.ts';

const PACKAGE = 'lmdb';

interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
}

interface RootDatabase {
  getBinaryFast(key: Buffer): Buffer | undefined;
  getBinary(key: Buffer): Buffer | undefined;
  put(key: Buffer, value: Buffer): Promise<void>;
  batch(write: () => void): Promise<void>;
  getRange(options?: { readonly start: Buffer; readonly limit: number }): Iterable<Entry>;
  getStats(): { readonly pageSize: number; readonly treeDepth: number; readonly treeLeafPageCount: number };
  /** Of all that was written before. */
  readonly flushed: PromiseLike<unknown>;
  close(): Promise<void>;
}

interface LmdbOptions {
  readonly path: string;
  readonly noSubdir: boolean;
  readonly keyEncoding: 'binary';
  readonly encoding: 'binary';
  readonly compression: boolean;
  readonly overlappingSync: boolean;
  readonly noReadAhead: boolean;
}

interface LmdbPackage {
  readonly open: (options: LmdbOptions) => RootDatabase;
}

class OpenLmdb implements OpenPeer {
  readonly #database: RootDatabase;

  constructor(database: RootDatabase) {
    this.#database = database;
  }

  getBorrowed(key: Buffer): Buffer | undefined {
    return this.#database.getBinaryFast(key);
  }

  getSync(key: Buffer): Buffer | undefined {
    return this.#database.getBinary(key);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return Promise.resolve(this.getSync(key));
  }

  /** Its own getMany does the same after another thread has touched the pages: nearly twice the cost if they are cached. */
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.getSync(key)));
  }

  /** It puts all writes of a turn of the event loop into one transaction. */
  put(key: Buffer, value: Buffer): Promise<void> {
    return this.#database.put(key, value);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<void> {
    return this.#database.batch(() => {
      for (let i = 0; i < keys.length; i++) void this.#database.put(keys[i], values[i]);
    });
  }

  scan(check: EntryCheck): Promise<void> {
    for (const { key, value } of this.#database.getRange()) check.entry(key, value);
    return Promise.resolve();
  }

  range(from: Buffer, count: number, check: EntryCheck): Promise<void> {
    for (const { key, value } of this.#database.getRange({ start: from, limit: count })) {
      check.entry(key, value);
    }
    return Promise.resolve();
  }

  async makeDurable(): Promise<void> {
    await this.#database.flushed;
  }

  /** There is nothing to compact in place. */
  compact(): Promise<void> {
    return this.settle();
  }

  settle(): Promise<void> {
    return this.makeDurable();
  }

  describe(): Record<string, unknown> {
    const { pageSize, treeDepth, treeLeafPageCount } = this.#database.getStats();
    return { reads: 'mapped into memory', pageSize, treeDepth, treeLeafPageCount };
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

export const lmdb: Peer = {
  packageName: PACKAGE,
  canBeDurable: true,

  async open(directory: string, { io, durable }: Opening): Promise<OpenPeer> {
    const { open } = await loadPeer<LmdbPackage>(PACKAGE);
    const database = open({
      path: directory,
      noSubdir: false,
      keyEncoding: 'binary',
      encoding: 'binary',
      compression: false,
      // Without it a write is there when it is on the disk; with it, which is the default, that may be a moment later. With
      // `noSync` writes would be several times faster, but a power failure could take the whole database and not only the
      // last of them, as it does of the other engines.
      overlappingSync: !durable,
      // The nearest to direct reads: the disk reads the page that is wanted and none around it.
      noReadAhead: io === 'direct',
    });
    return new OpenLmdb(database);
  },
};
