/**
 * The database as abstract-level wants one: each of its private methods handed to the core. Owner only.
 *
 * abstract-level encodes, decodes, defers what comes before the database is open, runs hooks and emits events. Whatever
 * arrives here is a string, a Buffer or another Uint8Array, and every option that is not ours is ignored.
 */
import {
  AbstractLevel,
  type AbstractIterator,
  type AbstractKeyIterator,
  type AbstractSnapshot,
  type AbstractValueIterator,
  type Transcoder,
} from 'abstract-level';
import { dirname, resolve } from 'node:path';
import { Database, QuadringError, type BatchOperation, type DatabaseStats } from '../index.ts';
import { LevelChainedBatch } from './chained-batch.ts';
import { clearRange } from './clear.ts';
import { LevelError, levelError, rethrow } from './errors.ts';
import { LevelIterator, LevelKeyIterator, LevelValueIterator } from './iterators.ts';
import {
  databaseOptions,
  readOptions,
  writeOptions,
  type PrivateClearOptions,
  type PrivateIteratorOptions,
  type PrivateReadOptions,
  type PrivateWriteOptions,
} from './options.ts';
import { makeFolders } from './parents.ts';
import { LevelSnapshot, type SnapshotOptions } from './snapshot.ts';
import type { Format, LevelOptions, OpenOptions, SizeOptions, TypedLevel } from './types.ts';

/** The declarations do not know `getSync` yet. */
type Manifest = ConstructorParameters<typeof AbstractLevel>[0] & { readonly getSync: boolean };

/** abstract-level's class, with our options in the types of its methods. */
const LevelBase = AbstractLevel as unknown as new <K, V>(
  manifest: Manifest,
  options: LevelOptions<K, V> | undefined,
) => TypedLevel<K, V>;

type KeyEncoding<K> = Transcoder.MixedEncoding<K, Format, K>;

function manifest(): Manifest {
  return {
    encodings: { buffer: true, utf8: true, view: true },
    implicitSnapshots: true,
    explicitSnapshots: true,
    permanence: true,
    seek: true,
    has: true,
    getSync: true,
    createIfMissing: true,
    errorIfExists: true,
    signals: { iterators: true },
    additionalMethods: { approximateSize: true, flush: true, stats: true },
  };
}

/**
 * An abstract-level database in a directory of its own.
 *
 * Differs from classic-level in that writes are durable when they resolve, unless `{ sync: false }` is given, and in the
 * options of `open()`, which are those of `Database.open`. An error keeps the code that quadring gives it, unless
 * abstract-level has one for it (`LEVEL_LOCKED`, `LEVEL_CORRUPTION`, `LEVEL_IO_ERROR`, `LEVEL_ABORTED`): that is used
 * then, and quadring's error is its `cause`.
 */
export class QuadringLevel<KDefault = string, VDefault = string> extends LevelBase<KDefault, VDefault> {
  readonly #location: string;
  #database: Database | undefined;

  /**
   * Opens the database in the next turn; what is asked of it before waits for that.
   *
   * @param location The directory. It and the folders above it are created, unless `createIfMissing` is false.
   * @param options Encodings of keys and values, and what `Database.open` takes.
   */
  constructor(location: string, options?: LevelOptions<KDefault, VDefault>) {
    if (typeof location !== 'string' || location === '') {
      throw new TypeError("The first argument 'location' must be a non-empty string");
    }
    super(manifest(), options);
    this.#location = location;
  }

  /** The directory, as it was given. */
  get location(): string {
    return this.#location;
  }

  /**
   * About how many bytes of table files the keys from `start` up to, but without, `end` take. What has not been flushed
   * to tables yet does not count.
   */
  approximateSize(start: KDefault, end: KDefault): Promise<number>;
  approximateSize<K = KDefault>(start: K, end: K, options: SizeOptions<K>): Promise<number>;
  async approximateSize<K>(start: K, end: K, options: SizeOptions<K> = {}): Promise<number> {
    if (this.status === 'opening') return this.deferAsync(() => this.approximateSize(start, end, options));
    const database = this.#core();
    const encoding = this.keyEncoding((options.keyEncoding ?? this.keyEncoding()) as KeyEncoding<K>);
    for (const key of [start, end]) {
      if (key === undefined || key === null) {
        throw new LevelError('LEVEL_INVALID_KEY', "'start' and 'end' must be keys");
      }
    }
    return database.approximateSize({ gte: encoding.encode(start), lt: encoding.encode(end) });
  }

  /** Puts everything written so far into tables. */
  async flush(): Promise<void> {
    if (this.status === 'opening') return this.deferAsync(() => this.flush());
    return this.#core().flush();
  }

  /** Figures of this moment: threads and rings, levels, cache, log. Throws while the database is not open. */
  stats(): DatabaseStats {
    return this.#core().stats();
  }

  /** @internal */
  async _open(options: OpenOptions): Promise<void> {
    try {
      this.#database = await this.#openCore(options);
    } catch (error) {
      throw openError(error, this.#location);
    }
  }

  /** @internal */
  async _close(): Promise<void> {
    await this.#core().close();
    this.#database = undefined;
  }

  /** @internal */
  _get(key: Format, options: PrivateReadOptions): Promise<Format | undefined> {
    const value = this.#core().get(key, readOptions(options));
    return options.valueEncoding === 'utf8' ? value.then(decoded, rethrow) : value.catch(rethrow);
  }

  /** @internal */
  _getSync(key: Format, options: PrivateReadOptions): Format | undefined {
    const given = readOptions(options);
    try {
      if (options.valueEncoding !== 'utf8') return this.#core().getSync(key, given);
      return given === undefined ? this.#core().getString(key) : decoded(this.#core().getSync(key, given));
    } catch (error) {
      throw levelError(error);
    }
  }

  /** @internal */
  _getMany(keys: Format[], options: PrivateReadOptions): Promise<(Format | undefined)[]> {
    const values = this.#core().getMany(keys, readOptions(options));
    return options.valueEncoding === 'utf8'
      ? values.then((found) => found.map(decoded), rethrow)
      : values.catch(rethrow);
  }

  /** @internal */
  _has(key: Format, options: PrivateReadOptions): Promise<boolean> {
    return this.#core().has(key, readOptions(options)).catch(rethrow);
  }

  /** @internal */
  _hasMany(keys: Format[], options: PrivateReadOptions): Promise<boolean[]> {
    return this.#core().hasMany(keys, readOptions(options)).catch(rethrow);
  }

  /** @internal */
  _put(key: Format, value: Format, options: PrivateWriteOptions): Promise<void> {
    return this.#core().put(key, value, writeOptions(options));
  }

  /** @internal */
  _del(key: Format, options: PrivateWriteOptions): Promise<void> {
    return this.#core().del(key, writeOptions(options));
  }

  /** @internal The core takes of an operation what it knows. */
  _batch(operations: readonly BatchOperation[], options: PrivateWriteOptions): Promise<void> {
    return this.#core().batch(operations, writeOptions(options));
  }

  /** @internal */
  _chainedBatch(): LevelChainedBatch<this, KDefault, VDefault> {
    return new LevelChainedBatch(this, this.#core().batch());
  }

  /** @internal */
  _clear(options: PrivateClearOptions): Promise<void> {
    return clearRange(this.#core(), options).catch(rethrow);
  }

  /** @internal */
  _iterator(options: PrivateIteratorOptions): AbstractIterator<this, KDefault, VDefault> {
    return new LevelIterator(this, this.#core(), options);
  }

  /** @internal */
  _keys(options: PrivateIteratorOptions): AbstractKeyIterator<this, KDefault> {
    return new LevelKeyIterator(this, this.#core(), options);
  }

  /** @internal */
  _values(options: PrivateIteratorOptions): AbstractValueIterator<this, KDefault, VDefault> {
    return new LevelValueIterator(this, this.#core(), options);
  }

  /** @internal */
  _snapshot(options: SnapshotOptions): AbstractSnapshot {
    return new LevelSnapshot(this.#core().snapshot(), options);
  }

  async #openCore(options: OpenOptions): Promise<Database> {
    const given = databaseOptions(options);
    try {
      return await Database.open(this.#location, given);
    } catch (error) {
      const isMissing = error instanceof QuadringError && error.code === 'PARENT_MISSING';
      if (!isMissing || given.createIfMissing === false) throw error;
      try {
        await makeFolders(dirname(resolve(this.#location)));
      } catch (cause) {
        throw new QuadringError(error.code, error.message, { path: this.#location, cause });
      }
      return await Database.open(this.#location, given);
    }
  }

  /** HOT. The core, which abstract-level lets nobody near while it is not open. */
  #core(): Database {
    if (this.#database === undefined)
      throw new LevelError('LEVEL_DATABASE_NOT_OPEN', 'the database is not open');
    return this.#database;
  }
}

function decoded(value: Buffer | undefined): string | undefined {
  return value?.toString();
}

/** abstract-level's own words for the two that its options are about, and its code for those that it has one for. */
function openError(error: unknown, location: string): Error {
  if (error instanceof QuadringError) {
    const { code } = error;
    const fields = { path: location, cause: error };
    if (code === 'NOT_FOUND')
      return new QuadringError(code, `the database ${location} does not exist`, fields);
    if (code === 'EXISTS') return new QuadringError(code, `the database ${location} exists already`, fields);
  }
  return levelError(error);
}
