/**
 * The public face: checks what the caller gives, and hands it to the engine. Owner only.
 *
 * Reads that memory can answer cross no thread and allocate only the result. A read sees every write that has taken
 * effect: at once, in the call, unless the write has to wait for room (see write-path.ts). It need not be durable yet; a
 * failure of the log freezes what is seen at what is.
 */
import { QuadringError, rejected } from '../errors.ts';
import { Engine } from './engine.ts';
import { copyWords, forgetCopied } from './copy-words.ts';
import { KeyScratch, valueBytes, type Bytes } from './bytes.ts';
import {
  checkCursorOptions,
  checkIteratorOptions,
  checkRange,
  checkReadOptions,
  checkStringEncoding,
  checkTarget,
  checkWriteOptions,
  type CursorOptions,
  type IteratorOptions,
  type ReadOptions,
} from './call-options.ts';
import { EntryBatches } from './entry-batch.ts';
import { EntryCursor } from './entry-cursor.ts';
import type { Environment } from './environment.ts';
import { ScanIterator, type EntryIterator, type KeyIterator, type ValueIterator } from './iterator.ts';
import {
  decode,
  entryMaterializer,
  keyMaterializer,
  valueMaterializer,
  type Encoding,
  type Materializer,
} from './materialize.ts';
import { openEngine } from './open.ts';
import { openScan } from './open-scan.ts';
import { compactionRate, resolveOptions, type DatabaseOptions } from './options.ts';
import { BLOCK_NEEDED, FOUND } from './point-reader.ts';
import { productionEnvironment } from './production-environment.ts';
import { keyRangeOf, type Range } from './range.ts';
import { bufferOf, Reads } from './reads.ts';
import { Snapshot } from './snapshots.ts';
import { collectStats, type DatabaseStats } from './statistics.ts';
import { repairDatabase, type RepairOptions } from './repair.ts';
import { nodeRepairFiles } from './repair-files.ts';
import type { RepairReport } from './repair-report.ts';
import { byteLengthOf } from './typed-arrays.ts';
import { verifyDatabase, type VerifyOptions } from './verify.ts';
import type { VerifyReport } from './verify-report.ts';
import {
  BatchEncoder,
  WriteBatch,
  type BatchOperation,
  type EncodedWrites,
  type WriteOptions,
} from './write-batch.ts';

const ABSENT_VALUE = Promise.resolve(undefined);
/** What `Encoding` makes of a key or a value. */
type Encoded<E extends Encoding> = E extends 'buffer' ? Buffer : string;

export class Database implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #key = new KeyScratch();
  readonly #reads: Reads;
  readonly #batches = new EntryBatches();
  /** Undefined while a call, or a batch that is filled, uses it. */
  #idleEncoder: BatchEncoder | undefined;
  #closing: Promise<void> | undefined;

  private constructor(engine: Engine) {
    // JavaScript knows nothing of `private`.
    if (!(engine instanceof Engine))
      throw new QuadringError('INVALID_ARGUMENT', 'a database is opened by Database.open');
    this.#engine = engine;
    this.#reads = new Reads(engine, this.#key);
    openDatabases.add(this);
  }

  /**
   * Opens, and if need be creates, the database in `directory`. Rejects with a `QuadringError`; its code says which of
   * the arguments, the directory, its files, the kernel or the file system refuses, before anything is changed.
   */
  static async open(directory: string, options?: DatabaseOptions): Promise<Database> {
    return Database.openIn(productionEnvironment, directory, options);
  }

  /** @internal The same over another environment; tests use it. */
  static async openIn(
    environment: Environment,
    directory: string,
    options?: DatabaseOptions,
  ): Promise<Database> {
    if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
      throw new QuadringError('INVALID_ARGUMENT', 'the directory must be a path');
    }
    return new Database(await openEngine(directory, resolveOptions(options), environment));
  }

  /**
   * Looks at every byte of every file of a database that nobody has open, and changes nothing. Goes on after what it finds:
   * `report.isSound`, `report.findings`. Rejects where nothing can be said: INVALID_ARGUMENT, PARENT_MISSING, NOT_FOUND,
   * NOT_A_DATABASE, LOCKED, READ_ONLY (the lock cannot be taken), ABORTED or IO_ERROR.
   */
  static async verify(directory: string, options?: VerifyOptions): Promise<VerifyReport> {
    return verifyDatabase(productionEnvironment, directory, options);
  }

  /**
   * Makes what still verifies of a damaged database, which nobody has open, into one that opens. Nothing is deleted: what is
   * replaced is put aside, in a directory `lost-NNNNNN`. The report says what was lost. Rejects with INVALID_ARGUMENT,
   * PARENT_MISSING, NOT_FOUND, NOT_A_DATABASE, LOCKED, READ_ONLY, UNKNOWN_FORMAT, NO_SPACE, TOO_MANY_FILES, ABORTED or
   * IO_ERROR; whenever it does, it can be called again, and nothing more is lost.
   */
  static async repair(directory: string, options?: RepairOptions): Promise<RepairReport> {
    return repairDatabase({ ...productionEnvironment, files: nodeRepairFiles }, directory, options);
  }

  /**
   * The value of a key, or undefined. Rejects with INVALID_ARGUMENT, KEY_TOO_LARGE, CLOSED, ABORTED, TABLE_CORRUPT,
   * IO_ERROR or WORKER_FAILED.
   */
  get(key: Bytes, options?: ReadOptions): Promise<Buffer | undefined> {
    try {
      const sequence = this.#sequenceOf(options);
      const keep = options?.fillCache !== false;
      const outcome = this.#reads.search(key, sequence);
      if (outcome === FOUND) return Promise.resolve(this.#reads.takeValue());
      if (outcome !== BLOCK_NEEDED) return ABSENT_VALUE;
      return new Promise((resolve, reject) => {
        this.#reads.lookup(sequence, keep, {
          onFound: (bytes, start, length, isPrivate) => resolve(bufferOf(bytes, start, length, isPrivate)),
          onAbsent: () => resolve(undefined),
          onError: reject,
        });
      });
    } catch (error) {
      return rejected(error);
    }
  }

  /** The same at once. A block that is not cached is read while this thread waits. Throws what `get` rejects with. */
  getSync(key: Bytes, options?: ReadOptions): Buffer | undefined {
    const sequence = this.#sequenceOf(options);
    const keep = options?.fillCache !== false;
    const outcome = this.#reads.search(key, sequence);
    if (outcome === FOUND) return this.#reads.takeValue();
    if (outcome !== BLOCK_NEEDED) return undefined;
    let value: Buffer | undefined;
    this.#reads.lookupSync(sequence, keep, (bytes, start, length, isPrivate) => {
      value = bufferOf(bytes, start, length, isPrivate);
    });
    return value;
  }

  /**
   * Copies the value to the beginning of `target`, as much of it as fits, and returns the value's whole length; −1 if
   * there is none. Allocates nothing where the value is in memory and the target is that of the call before. Throws what
   * `get` rejects with.
   */
  getInto(key: Bytes, target: Uint8Array, options?: ReadOptions): number {
    checkTarget(target);
    const sequence = this.#sequenceOf(options);
    const keep = options?.fillCache !== false;
    const outcome = this.#reads.search(key, sequence);
    const room = byteLengthOf(target);
    if (outcome === FOUND) {
      const { bytes, entry } = this.#engine.reader;
      const length = entry.valueLength;
      copyWords(bytes, entry.valueStart, length < room ? length : room, target, 0);
      return length;
    }
    if (outcome !== BLOCK_NEEDED) return -1;
    let found = -1;
    this.#reads.lookupSync(sequence, keep, (bytes, start, length) => {
      copyWords(bytes, start, Math.min(length, room), target, 0);
      found = length;
    });
    return found;
  }

  /** The value as a string, or undefined. Throws what `get` rejects with. */
  getString(key: Bytes, encoding: 'utf8' | 'latin1' = 'utf8', options?: ReadOptions): string | undefined {
    checkStringEncoding(encoding);
    const sequence = this.#sequenceOf(options);
    const keep = options?.fillCache !== false;
    const outcome = this.#reads.search(key, sequence);
    if (outcome === FOUND) {
      const { bytes, entry } = this.#engine.reader;
      return decode(bytes, entry.valueStart, entry.valueLength, encoding);
    }
    if (outcome !== BLOCK_NEEDED) return undefined;
    let value: string | undefined;
    this.#reads.lookupSync(sequence, keep, (bytes, start, length) => {
      value = decode(bytes, start, length, encoding);
    });
    return value;
  }

  /**
   * The values of many keys, in their order, all as they were at one moment. Blocks that are not cached are read
   * together, each once. Rejects as `get` does.
   */
  getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Buffer | undefined)[]> {
    return this.#many<Buffer | undefined>(keys, options, undefined, bufferOf);
  }

  /** Whether there is a value. Rejects as `get` does. */
  has(key: Bytes, options?: ReadOptions): Promise<boolean> {
    try {
      const sequence = this.#sequenceOf(options);
      const keep = options?.fillCache !== false;
      const outcome = this.#reads.search(key, sequence);
      if (outcome !== BLOCK_NEEDED) return Promise.resolve(outcome === FOUND);
      return new Promise((resolve, reject) => {
        this.#reads.lookup(sequence, keep, {
          onFound: () => resolve(true),
          onAbsent: () => resolve(false),
          onError: reject,
        });
      });
    } catch (error) {
      return rejected(error);
    }
  }

  /** Whether there are values, in the order of the keys. Rejects as `get` does. */
  hasMany(keys: readonly Bytes[], options?: ReadOptions): Promise<boolean[]> {
    return this.#many(keys, options, false, () => true);
  }

  /**
   * The entries of a range, in order, as the database is now, or was at the snapshot. Throws INVALID_ARGUMENT,
   * KEY_TOO_LARGE, CLOSED or ABORTED.
   */
  iterator<K extends Encoding = 'buffer', V extends Encoding = 'buffer'>(
    options: IteratorOptions<K, V> = {},
  ): EntryIterator<Encoded<K>, Encoded<V>> {
    const { keyEncoding, valueEncoding } = checkIteratorOptions(options);
    const materialize = entryMaterializer(keyEncoding, valueEncoding) as Materializer<
      [Encoded<K>, Encoded<V>]
    >;
    return this.#iterate(options, materialize, true);
  }

  /** The keys of a range. Throws as `iterator` does. */
  keys<K extends Encoding = 'buffer'>(options: IteratorOptions<K, Encoding> = {}): KeyIterator<Encoded<K>> {
    const { keyEncoding } = checkIteratorOptions(options);
    return this.#iterate(options, keyMaterializer(keyEncoding) as Materializer<Encoded<K>>, false);
  }

  /** The values of a range, in the order of their keys. Throws as `iterator` does. */
  values<V extends Encoding = 'buffer'>(
    options: IteratorOptions<Encoding, V> = {},
  ): ValueIterator<Encoded<V>> {
    const { valueEncoding } = checkIteratorOptions(options);
    return this.#iterate(options, valueMaterializer(valueEncoding) as Materializer<Encoded<V>>, true);
  }

  /**
   * The entries of a range, one after another, in the call: no promise, and no object for an entry that none is asked for.
   * What is not cached is read while this thread waits. Close it when done. Throws as `iterator` does.
   */
  cursor(options: CursorOptions = {}): EntryCursor {
    checkCursorOptions(options);
    this.#checkOpen();
    const scan = openScan(this.#engine, options, this.#key, false);
    return new EntryCursor(scan, this.#reads, this.#batches);
  }

  /** The database as it is now, for reads to come. Close it when done. Throws CLOSED. */
  snapshot(): Snapshot {
    this.#checkOpen();
    return new Snapshot(this.#engine.snapshots, this.#engine.readableSequence);
  }

  /**
   * Bytes that a range takes in tables, by whole blocks; what is in memory only does not count. Rejects with
   * INVALID_ARGUMENT, KEY_TOO_LARGE or CLOSED.
   */
  approximateSize(range: Range): Promise<number> {
    try {
      this.#checkOpen();
      checkRange(range);
      const keys = keyRangeOf(range, this.#key);
      let bytes = 0;
      for (const table of this.#engine.versions.current.tables) {
        if (table.mayHold(keys)) bytes += table.index.bytesBetween(keys.lower, keys.upper);
      }
      return Promise.resolve(bytes);
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Stores a value, copying it and the key in the call. Durable when it resolves, unless `{ sync: false }`. Rejects with
   * INVALID_ARGUMENT, KEY_TOO_LARGE, VALUE_TOO_LARGE, CLOSED, ABORTED, NO_SPACE, TOO_MANY_FILES, OVERLOADED or FAILED.
   */
  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#checkWritable(options);
      // Before the key is loaded: a getter of the caller's may call the database.
      const sync = options?.sync !== false;
      const signal = options?.signal;
      this.#key.load(key);
      return this.#engine.writes.write(this.#key, valueBytes(value), sync, signal);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Removes a key, whether it is there or not. Rejects as `put` does. */
  del(key: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#checkWritable(options);
      const sync = options?.sync !== false;
      const signal = options?.signal;
      this.#key.load(key);
      return this.#engine.writes.write(this.#key, null, sync, signal);
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Removes all keys of a range; `{}` is all there are. However many they are, it is one record in the log. Rejects as
   * `put` does; with INVALID_ARGUMENT also where `reverse` or `limit` is given.
   */
  deleteRange(range: Range, options?: WriteOptions): Promise<void> {
    try {
      return this.#encodeAndWrite((encoder) => encoder.deleteRange(range), options);
    } catch (error) {
      return rejected(error);
    }
  }

  /** All operations or none, at any instant of a crash. Rejects as `put` does, or with BATCH_TOO_LARGE. */
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void>;
  /** A batch to be filled by `put`, `del` and `deleteRange`, and written by `write`. */
  batch(): WriteBatch;
  batch(operations?: readonly BatchOperation[], options?: WriteOptions): WriteBatch | Promise<void> {
    if (arguments.length === 0) {
      this.#checkOpen();
      return new WriteBatch(this.#takeEncoder(), (encoder, writeOptions) => {
        try {
          return this.#writeBatch(encoder, writeOptions);
        } finally {
          this.#giveBack(encoder);
        }
      });
    }
    try {
      return this.#encodeAndWrite(
        (encoder) => encoder.addAll(operations as readonly BatchOperation[]),
        options,
      );
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Puts everything that reads see by now into tables; a write that still waits for room comes after it. Rejects with
   * NO_SPACE, TOO_MANY_FILES, FAILED or CLOSED.
   */
  async flush(): Promise<void> {
    this.#checkWritable(undefined);
    await this.#engine.flush();
  }

  /**
   * Rewrites what the range has in tables, after a flush, into the lowest level: without anything deleted or overwritten
   * that no snapshot and no iterator sees. Rejects with INVALID_ARGUMENT, KEY_TOO_LARGE, NO_SPACE,
   * TOO_MANY_FILES, IO_ERROR, TABLE_CORRUPT, FAILED or CLOSED.
   */
  async compactRange(range: Range = {}): Promise<void> {
    this.#checkWritable(undefined);
    checkRange(range);
    await this.#engine.compactRange(keyRangeOf(range, this.#key));
  }

  /**
   * Bytes a second that compactions read and write at most, from 1 MiB on; 0: no limit; 'auto': as writes ask for, and
   * no limit while `compactRange` is awaited. Takes effect within a tenth of a second. Throws INVALID_ARGUMENT or CLOSED.
   */
  setCompactionRate(bytesPerSecond: number | 'auto'): void {
    this.#checkOpen();
    this.#engine.compactor.rate.setting = compactionRate(bytesPerSecond, 'bytesPerSecond');
  }

  /** Figures of this moment. Throws CLOSED. */
  stats(): DatabaseStats {
    this.#checkOpen();
    return collectStats(this.#engine);
  }

  /**
   * Settles what is under way and closes. What was written without `sync` is durable as well when it resolves, unless the
   * database has failed (`stats().failure`). Closing twice is one.
   */
  close(): Promise<void> {
    this.#closing ??= this.#engine.close().finally(() => {
      openDatabases.delete(this);
      forgetCopied();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #many<Result>(
    keys: readonly Bytes[],
    options: ReadOptions | undefined,
    absent: Result,
    resultOf: (bytes: Uint8Array, start: number, length: number, isPrivate: boolean) => Result,
  ): Promise<Result[]> {
    try {
      const sequence = this.#sequenceOf(options);
      if (!Array.isArray(keys)) throw new QuadringError('INVALID_ARGUMENT', 'the keys must be an array');
      return this.#reads.many(keys, sequence, options?.fillCache !== false, absent, resultOf);
    } catch (error) {
      return rejected(error);
    }
  }

  #iterate<Item>(
    options: IteratorOptions<Encoding, Encoding>,
    materialize: Materializer<Item>,
    keepsBlocks: boolean,
  ): ScanIterator<Item> {
    this.#checkOpen();
    const scan = openScan(this.#engine, options, this.#key, keepsBlocks);
    return new ScanIterator({ scan, materialize, signal: options.signal });
  }

  /** HOT. Checks that the database is open, and the options; gives the number to read at. */
  #sequenceOf(options: ReadOptions | undefined): number {
    if (this.#closing !== undefined) this.#checkOpen();
    if (options === undefined) return this.#engine.visibleSequence;
    checkReadOptions(options);
    return options.snapshot === undefined
      ? this.#engine.visibleSequence
      : this.#engine.readableSequenceOf(options.snapshot);
  }

  /** A call from within this one, by a getter of an argument, has an encoder of its own. */
  #encodeAndWrite(encode: (encoder: BatchEncoder) => void, options: WriteOptions | undefined): Promise<void> {
    this.#checkWritable(options);
    const encoder = this.#takeEncoder();
    try {
      encode(encoder);
      return this.#writeBatch(encoder, options);
    } finally {
      this.#giveBack(encoder);
    }
  }

  #takeEncoder(): BatchEncoder {
    const encoder = this.#idleEncoder ?? new BatchEncoder(this.#key);
    this.#idleEncoder = undefined;
    return encoder;
  }

  /** A large batch's memory is not held on to. */
  #giveBack(encoder: BatchEncoder): void {
    encoder.clear();
    this.#idleEncoder = encoder;
  }

  #writeBatch(batch: EncodedWrites, options: WriteOptions | undefined): Promise<void> {
    try {
      this.#checkWritable(options);
      return this.#engine.writes.writeBatch(batch, options?.sync !== false, options?.signal);
    } catch (error) {
      return rejected(error);
    }
  }

  #checkWritable(options: WriteOptions | undefined): void {
    this.#checkOpen();
    if (this.#engine.failure !== undefined) throw this.#engine.failure;
    if (options !== undefined) checkWriteOptions(options);
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new QuadringError('CLOSED', 'the database is closed');
  }
}

/** A process that has nothing else to do closes what is open, so that the next open has nothing to recover. */
const openDatabases = new Set<Database>();
process.on('beforeExit', () => {
  for (const database of openDatabases) {
    database.close().catch((error: unknown) => process.emitWarning(error as Error));
  }
});
