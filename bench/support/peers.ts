/**
 * quadring and the databases it is held against, behind one face: the same entries, the same reads, the same checks.
 * Benchmarks only.
 *
 * All have blocks (lmdb: pages) of the size given, filters of 10 bits where they have filters, and no compression.
 */
import { ClassicLevel } from 'classic-level';
import { open as openLmdb, type RootDatabase, type RootDatabaseOptions } from 'lmdb';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { drainEntries, drainKeys, drainRange } from './drain.ts';
import type { NumberedEntries, ScanCheck } from './numbered-entries.ts';

export const BLOCK_BYTES = 16_384;
const LOAD_BATCH = 20_000;
/** lmdb writes every page that a transaction touched, and in random order that is nearly every page there is. */
const LMDB_LOAD_BATCH = 250_000;
const MEBIBYTE = 1 << 20;
/** A memtable for some millions of entries. */
const ONE_TABLE_BYTES = 768 * MEBIBYTE;
/** classic-level hands out less than was asked for beyond this many bytes; its default of 16 KiB would be 141 entries. */
const CLASSIC_HIGH_WATER_BYTES = MEBIBYTE;

/** How a scan takes its entries: in batches, one by one in a `for await`, or by the peer's own synchronous iterator. */
export type ScanForm = 'nextv' | 'for await' | 'getRange';

export interface ScanRequest {
  readonly form: ScanForm;
  readonly content: 'entries' | 'keys';
  readonly reverse: boolean;
}

export interface Opening {
  readonly cacheBytes: number;
  /** The disk is meant: no read-ahead by the kernel where it can be told so. */
  readonly cold: boolean;
}

export interface OpenPeer {
  /** Everything there is; the check sees every entry. */
  scan(request: ScanRequest, check: ScanCheck): Promise<void>;
  /** The `count` entries from a key on. */
  range(from: Buffer, count: number, check: ScanCheck): Promise<void>;
  get(key: Buffer): Promise<Buffer | undefined>;
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>;
  /** Reads so far that the block cache could not answer; undefined where the peer does not count them. */
  cacheMisses(): number | undefined;
  describe(): object;
  close(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly forms: readonly ScanForm[];
  /** Whether several reads of one thread can be under way at once. */
  readonly concurrent: boolean;
  /** Peers with the same directory share what one of them has loaded. */
  readonly directory: string;
  load(entries: NumberedEntries): Promise<void>;
  open(opening: Opening): Promise<OpenPeer>;
}

/** The same operations for every peer that takes them as a list. */
function putsOf(
  entries: NumberedEntries,
  numbers: Uint32Array,
): { type: 'put'; key: Buffer; value: Buffer }[] {
  return Array.from(numbers, (number) => ({
    type: 'put',
    key: entries.key(number),
    value: entries.value(number),
  }));
}

class OpenQuadring implements OpenPeer {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async scan({ form, content, reverse }: ScanRequest, check: ScanCheck): Promise<void> {
    const database = this.#database;
    if (form === 'nextv') {
      if (content === 'keys') await drainKeys(database.keys({ reverse }), check);
      else await drainEntries(database.iterator({ reverse }), check);
    } else if (content === 'keys') {
      for await (const key of database.keys({ reverse })) check.key(key);
    } else {
      for await (const [key, value] of database.iterator({ reverse })) check.entry(key, value);
    }
  }

  range(from: Buffer, count: number, check: ScanCheck): Promise<void> {
    return drainRange(this.#database.iterator({ gte: from, limit: count }), count, check);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#database.get(key);
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#database.getMany(keys);
  }

  cacheMisses(): number {
    return this.#database.stats().cache.misses;
  }

  describe(): object {
    return describeQuadring(this.#database);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

export function describeQuadring(database: Database): object {
  const { backend, backendReason, directIo, checksum, rings, levels } = database.stats();
  const flags = rings.find(({ role }) => role === 'foreground')?.flags ?? [];
  return { backend, backendReason, directIo, checksum, flags, levels };
}

/** Fills a database in random order and leaves everything in tables. */
export async function loadQuadring(
  directory: string,
  entries: NumberedEntries,
  options: DatabaseOptions = {},
): Promise<void> {
  const database = await Database.open(directory, { ...options, blockBytes: BLOCK_BYTES });
  try {
    for (const numbers of entries.shuffled(LOAD_BATCH)) {
      await database.batch(putsOf(entries, numbers), { sync: false });
    }
    await database.flush();
  } finally {
    await database.close();
  }
}

export class QuadringPeer implements Peer {
  readonly name: string;
  readonly forms: readonly ScanForm[];
  readonly concurrent = true;
  readonly directory: string;
  readonly #backend: 'uring' | 'syscall';
  readonly #loadOptions: DatabaseOptions;

  /** With `isOneTable` everything is loaded through one memtable, and so into one table. */
  constructor(
    directory: string,
    backend: 'uring' | 'syscall',
    forms: readonly ScanForm[],
    isOneTable = false,
  ) {
    this.name = `quadring ${backend}${isOneTable ? ', one table' : ''}`;
    this.#loadOptions = isOneTable ? { writeBufferBytes: ONE_TABLE_BYTES } : {};
    this.forms = forms;
    this.directory = directory;
    this.#backend = backend;
  }

  load(entries: NumberedEntries): Promise<void> {
    return loadQuadring(this.directory, entries, this.#loadOptions);
  }

  async open({ cacheBytes }: Opening): Promise<OpenPeer> {
    const options = {
      blockBytes: BLOCK_BYTES,
      blockCacheBytes: cacheBytes,
      createIfMissing: false,
      io: { backend: this.#backend },
    };
    return new OpenQuadring(await Database.open(this.directory, options));
  }
}

class OpenClassicLevel implements OpenPeer {
  readonly #database: ClassicLevel<Buffer, Buffer>;
  readonly #fillCache: boolean;

  constructor(database: ClassicLevel<Buffer, Buffer>, fillCache: boolean) {
    this.#database = database;
    this.#fillCache = fillCache;
  }

  async scan({ content, reverse }: ScanRequest, check: ScanCheck): Promise<void> {
    const options = { reverse, fillCache: this.#fillCache, highWaterMarkBytes: CLASSIC_HIGH_WATER_BYTES };
    if (content === 'keys') await drainKeys(this.#database.keys(options), check);
    else await drainEntries(this.#database.iterator(options), check);
  }

  range(from: Buffer, count: number, check: ScanCheck): Promise<void> {
    const iterator = this.#database.iterator({
      gte: from,
      limit: count,
      fillCache: this.#fillCache,
      highWaterMarkBytes: CLASSIC_HIGH_WATER_BYTES,
    });
    return drainRange(iterator, count, check);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#database.get(key);
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#database.getMany(keys);
  }

  cacheMisses(): undefined {
    return undefined;
  }

  describe(): object {
    const tables = Array.from({ length: 7 }, (_, level) =>
      Number(this.#database.getProperty(`leveldb.num-files-at-level${level}`)),
    );
    return { tablesAtLevel: tables, reads: 'memory-mapped, by the thread pool' };
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

export class ClassicLevelPeer implements Peer {
  readonly name = 'classic-level';
  readonly forms: readonly ScanForm[] = ['nextv'];
  readonly concurrent = true;
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** LevelDB compacts in the background; compacting everything leaves it nothing to do, and the best shape to read. */
  async load(entries: NumberedEntries): Promise<void> {
    const database = await this.#open({ writeBufferSize: 32 * MEBIBYTE });
    try {
      for (const numbers of entries.shuffled(LOAD_BATCH)) {
        const operations = Array.from(numbers, (number) => ({
          type: 'put' as const,
          key: entries.key(number),
          value: entries.value(number),
        }));
        await database.batch(operations, { sync: false });
      }
      await database.compactRange(entries.key(0), entries.key(entries.count - 1));
    } finally {
      await database.close();
    }
  }

  async open({ cacheBytes, cold }: Opening): Promise<OpenPeer> {
    return new OpenClassicLevel(await this.#open({ cacheSize: cacheBytes }), !cold);
  }

  async #open(options: {
    cacheSize?: number;
    writeBufferSize?: number;
  }): Promise<ClassicLevel<Buffer, Buffer>> {
    const database = new ClassicLevel<Buffer, Buffer>(this.directory, {
      ...options,
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      blockSize: BLOCK_BYTES,
      compression: false,
    });
    await database.open();
    return database;
  }
}

/** A real option of lmdb's that its types leave out: MDB_NORDAHEAD. */
type LmdbOptions = RootDatabaseOptions & { readonly noReadAhead: boolean };

class OpenLmdb implements OpenPeer {
  readonly #database: RootDatabase<Buffer, Buffer>;

  constructor(database: RootDatabase<Buffer, Buffer>) {
    this.#database = database;
  }

  scan({ content, reverse }: ScanRequest, check: ScanCheck): Promise<void> {
    if (content === 'keys') for (const key of this.#database.getKeys({ reverse })) check.key(key);
    else for (const { key, value } of this.#database.getRange({ reverse })) check.entry(key, value);
    return Promise.resolve();
  }

  range(from: Buffer, count: number, check: ScanCheck): Promise<void> {
    for (const { key, value } of this.#database.getRange({ start: from, limit: count })) {
      check.entry(key, value);
    }
    return Promise.resolve();
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return Promise.resolve(this.#database.get(key));
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#database.getMany(keys);
  }

  cacheMisses(): undefined {
    return undefined;
  }

  describe(): object {
    const stats = this.#database.getStats() as { treeDepth: number; treeLeafPageCount: number };
    const { treeDepth, treeLeafPageCount } = stats;
    return {
      reads: 'memory-mapped pages of 4 KiB',
      treeDepth,
      treeLeafPageCount,
    };
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

export class LmdbPeer implements Peer {
  readonly name = 'lmdb';
  readonly forms: readonly ScanForm[] = ['getRange'];
  readonly concurrent = false;
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  async load(entries: NumberedEntries): Promise<void> {
    const database = this.#open(true);
    for (const numbers of entries.shuffled(LMDB_LOAD_BATCH)) {
      database.transactionSync(() => {
        for (const number of numbers) database.putSync(entries.key(number), entries.value(number));
      });
    }
    await database.flushed;
    await database.close();
  }

  /** Its only cache is the page cache. */
  open({ cold }: Opening): Promise<OpenPeer> {
    return Promise.resolve(new OpenLmdb(this.#open(!cold)));
  }

  #open(readAhead: boolean): RootDatabase<Buffer, Buffer> {
    const options: LmdbOptions = {
      keyEncoding: 'binary',
      encoding: 'binary',
      compression: false,
      noReadAhead: !readAhead,
    };
    return openLmdb<Buffer, Buffer>(this.directory, options);
  }
}
