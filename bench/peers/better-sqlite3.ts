/** better-sqlite3: SQLite, as a table of keys and values. All of it is synchronous. Benchmarks only. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Opening } from '../workload/session.ts';
import { loadPeer } from './packages.ts';
import type { OpenPeer, Peer } from './peer.ts';
import { SCAN_ENTRIES, syncFile } from './shared.ts';
import type { EntryCheck } from '../support/numbered-entries.ts';

const PACKAGE = 'better-sqlite3';
/** With less, a transaction of some pages would write each of them several times. */
const CACHE_KIBIBYTES_MIN = 256;

type Row = readonly [key: Buffer, value: Buffer];

interface Statement {
  run(...values: readonly unknown[]): unknown;
  get(...values: readonly unknown[]): unknown;
  all(...values: readonly unknown[]): unknown[];
  /** Rows as their first column. */
  pluck(): Statement;
  /** Rows as arrays. */
  raw(): Statement;
}

interface SqliteDatabase {
  prepare(sql: string): Statement;
  exec(sql: string): unknown;
  pragma(source: string, options?: { readonly simple: boolean }): unknown;
  transaction<Arguments extends readonly unknown[]>(
    run: (...values: Arguments) => void,
  ): (...values: Arguments) => void;
  close(): unknown;
}

type SqlitePackage = new (path: string) => SqliteDatabase;

class OpenBetterSqlite implements OpenPeer {
  readonly #database: SqliteDatabase;
  readonly #path: string;
  readonly #value: Statement;
  readonly #upsert: Statement;
  readonly #entriesFrom: Statement;
  readonly #entriesAfter: Statement;
  readonly #upsertAll: (keys: Buffer[], values: Buffer[]) => void;

  constructor(database: SqliteDatabase, path: string) {
    this.#database = database;
    this.#path = path;
    this.#value = database.prepare('SELECT value FROM entries WHERE key = ?').pluck();
    this.#upsert = database.prepare(
      'INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    );
    const entries = (condition: string): Statement =>
      database.prepare(`SELECT key, value FROM entries WHERE ${condition} ORDER BY key LIMIT ?`).raw();
    this.#entriesFrom = entries('key >= ?');
    this.#entriesAfter = entries('key > ?');
    this.#upsertAll = database.transaction((keys: Buffer[], values: Buffer[]) => {
      for (let i = 0; i < keys.length; i++) this.#upsert.run(keys[i], values[i]);
    });
  }

  getSync(key: Buffer): Buffer | undefined {
    return this.#value.get(key) as Buffer | undefined;
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return Promise.resolve(this.getSync(key));
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.getSync(key)));
  }

  put(key: Buffer, value: Buffer): Promise<void> {
    this.#upsert.run(key, value);
    return Promise.resolve();
  }

  putTogether(keys: Buffer[], values: Buffer[]): void {
    this.#upsertAll(keys, values);
  }

  batch(keys: Buffer[], values: Buffer[]): Promise<void> {
    this.#upsertAll(keys, values);
    return Promise.resolve();
  }

  /** By many rows at once: `iterate` costs a call into SQLite a row. */
  scan(check: EntryCheck): Promise<void> {
    let last: Buffer = Buffer.alloc(0);
    for (;;) {
      const rows = this.#entriesAfter.all(last, SCAN_ENTRIES) as Row[];
      if (rows.length === 0) return Promise.resolve();
      for (const row of rows) check.entry(row[0], row[1]);
      last = rows[rows.length - 1][0];
    }
  }

  range(from: Buffer, count: number, check: EntryCheck): Promise<void> {
    for (const row of this.#entriesFrom.all(from, count) as Row[]) check.entry(row[0], row[1]);
    return Promise.resolve();
  }

  /** What `synchronous = FULL` does after a transaction. */
  makeDurable(): Promise<void> {
    return syncFile(`${this.#path}-wal`);
  }

  compact(): Promise<void> {
    this.#database.exec('VACUUM');
    this.#database.pragma('wal_checkpoint(TRUNCATE)');
    return Promise.resolve();
  }

  /** It does nothing in the background. */
  settle(): Promise<void> {
    return Promise.resolve();
  }

  describe(): Record<string, unknown> {
    const read = (name: string): unknown => this.#database.pragma(name, { simple: true });
    const pragmas = ['journal_mode', 'synchronous', 'locking_mode', 'page_size', 'cache_size', 'mmap_size'];
    return {
      sqlite: this.#database.prepare('SELECT sqlite_version()').pluck().get(),
      ...Object.fromEntries(pragmas.map((name) => [name, read(name)])),
    };
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}

export const betterSqlite: Peer = {
  packageName: PACKAGE,
  canBeDurable: true,

  /** Pages have SQLite's usual 4 KiB: larger ones would be written whole for an entry that changes. No direct I/O. */
  async open(directory: string, { cacheBytes, durable }: Opening): Promise<OpenPeer> {
    const Database = await loadPeer<SqlitePackage>(PACKAGE);
    mkdirSync(directory, { recursive: true });
    const path = join(directory, 'entries.sqlite');
    const database = new Database(path);
    // One process has the database, as it is with LevelDB and RocksDB; it saves the locks of every statement.
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = WAL');
    // Without FULL a commit is not synced; with OFF a power failure could take more than the last commits.
    database.pragma(`synchronous = ${durable ? 'FULL' : 'NORMAL'}`);
    database.pragma(`cache_size = -${Math.max(CACHE_KIBIBYTES_MIN, Math.floor(cacheBytes / 1024))}`);
    database.exec('CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID');
    return new OpenBetterSqlite(database, path);
  },
};
