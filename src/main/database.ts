/**
 * The public face: checks what the caller gives, and hands it to the engine. Owner only.
 *
 * Reads that memory can answer cross no thread and allocate only the result. A read sees every write that has taken
 * effect: at once, in the call, unless the write has to wait for room (see write-path.ts). It need not be durable yet; a
 * failure of the log freezes what is seen at what is.
 */
import { QuadringError } from '../errors.ts';
import type { Engine } from './engine.ts';
import { copyBytes, KeyScratch, valueBytes, type Bytes } from './bytes.ts';
import type { Environment } from './environment.ts';
import { openEngine } from './open.ts';
import { resolveOptions, type DatabaseOptions } from './options.ts';
import { BLOCK_NEEDED, FOUND, PointLookup, type LookupHandler, type Outcome } from './point-reader.ts';
import { productionEnvironment } from './production-environment.ts';
import { collectStats, type DatabaseStats } from './statistics.ts';
import {
  BatchEncoder,
  WriteBatch,
  type BatchOperation,
  type EncodedWrites,
  type WriteOptions,
} from './write-batch.ts';
import { abortError } from './write-path.ts';

export interface ReadOptions {
  /** Aborted before the read begins: it is not begun. */
  readonly signal?: AbortSignal;
}

const ABSENT_VALUE = Promise.resolve(undefined);

export class Database implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #key = new KeyScratch();
  readonly #batch = new BatchEncoder(this.#key);
  #closing: Promise<void> | undefined;

  private constructor(engine: Engine) {
    this.#engine = engine;
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
   * The value of a key, or undefined. Rejects with INVALID_ARGUMENT, KEY_TOO_LARGE, CLOSED, ABORTED, TABLE_CORRUPT,
   * IO_ERROR or WORKER_FAILED.
   */
  get(key: Bytes, options?: ReadOptions): Promise<Buffer | undefined> {
    try {
      if (options !== undefined) checkOptions(options, false);
      const outcome = this.#search(key);
      if (outcome === FOUND) return Promise.resolve(this.#takeValue());
      if (outcome !== BLOCK_NEEDED) return ABSENT_VALUE;
    } catch (error) {
      return rejected(error);
    }
    return new Promise((resolve, reject) => {
      this.#lookup({
        onFound: (bytes, start, length) => resolve(copyOf(bytes, start, length)),
        onAbsent: () => resolve(undefined),
        onError: reject,
      });
    });
  }

  /** The same at once. A block that is not cached is read while this thread waits. Throws what `get` rejects with. */
  getSync(key: Bytes): Buffer | undefined {
    const outcome = this.#search(key);
    if (outcome === FOUND) return this.#takeValue();
    if (outcome !== BLOCK_NEEDED) return undefined;
    let value: Buffer | undefined;
    this.#lookupSync((bytes, start, length) => {
      value = copyOf(bytes, start, length);
    });
    return value;
  }

  /**
   * Copies the value to the beginning of `target`, as much of it as fits, and returns the value's whole length; −1 if
   * there is none. Allocates nothing when the value is in memory. Throws what `get` rejects with.
   */
  getInto(key: Bytes, target: Uint8Array): number {
    if (!(target instanceof Uint8Array))
      throw new QuadringError('INVALID_ARGUMENT', 'the target must be a Uint8Array');
    const outcome = this.#search(key);
    if (outcome === FOUND) {
      const { bytes, entry } = this.#engine.reader;
      const length = entry.valueLength;
      copyBytes(bytes, entry.valueStart, length < target.length ? length : target.length, target, 0);
      return length;
    }
    if (outcome !== BLOCK_NEEDED) return -1;
    let found = -1;
    this.#lookupSync((bytes, start, length) => {
      copyBytes(bytes, start, Math.min(length, target.length), target, 0);
      found = length;
    });
    return found;
  }

  /** The value as a string, or undefined. Throws what `get` rejects with. */
  getString(key: Bytes, encoding: 'utf8' | 'latin1' = 'utf8'): string | undefined {
    if (encoding !== 'utf8' && encoding !== 'latin1') {
      throw new QuadringError('INVALID_ARGUMENT', "the encoding must be 'utf8' or 'latin1'");
    }
    const outcome = this.#search(key);
    if (outcome === FOUND) {
      const { bytes, entry } = this.#engine.reader;
      return decode(bytes, entry.valueStart, entry.valueLength, encoding);
    }
    if (outcome !== BLOCK_NEEDED) return undefined;
    let value: string | undefined;
    this.#lookupSync((bytes, start, length) => {
      value = decode(bytes, start, length, encoding);
    });
    return value;
  }

  /**
   * Stores a value. Durable when it resolves, unless `{ sync: false }`. Rejects with INVALID_ARGUMENT, KEY_TOO_LARGE,
   * VALUE_TOO_LARGE, CLOSED, ABORTED, NO_SPACE, OVERLOADED or FAILED. Key and value are copied before it returns.
   */
  put(key: Bytes, value: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#checkWritable(options);
      this.#key.load(key);
      return this.#engine.writes.write(
        this.#key,
        valueBytes(value),
        options?.sync !== false,
        options?.signal,
      );
    } catch (error) {
      return rejected(error);
    }
  }

  /** Removes a key, whether it is there or not. Rejects as `put` does. */
  del(key: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#checkWritable(options);
      this.#key.load(key);
      return this.#engine.writes.write(this.#key, null, options?.sync !== false, options?.signal);
    } catch (error) {
      return rejected(error);
    }
  }

  /** All operations or none, at any instant of a crash. Rejects as `put` does, or with BATCH_TOO_LARGE. */
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void>;
  /** A batch to be filled by `put` and `del` and written by `write`. */
  batch(): WriteBatch;
  batch(operations?: readonly BatchOperation[], options?: WriteOptions): WriteBatch | Promise<void> {
    if (arguments.length === 0) {
      this.#checkOpen();
      return new WriteBatch(new BatchEncoder(this.#key), (batch, writeOptions) =>
        this.#writeBatch(batch, writeOptions),
      );
    }
    try {
      this.#checkWritable(options);
      this.#batch.clear();
      this.#batch.addAll(operations as readonly BatchOperation[]);
      return this.#writeBatch(this.#batch, options);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Puts everything written so far into tables. Rejects with NO_SPACE, FAILED or CLOSED. */
  async flush(): Promise<void> {
    this.#checkWritable(undefined);
    await this.#engine.flush();
  }

  /** Figures of this moment. Throws CLOSED. */
  stats(): DatabaseStats {
    this.#checkOpen();
    return collectStats(this.#engine);
  }

  /** Settles what is under way and closes. Everything acknowledged is durable when it resolves. Closing twice is one. */
  close(): Promise<void> {
    this.#closing ??= this.#engine.close().finally(() => openDatabases.delete(this));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** HOT. Looks in memory; the reader then holds the value's place, or the block that is needed. */
  #search(key: Bytes): Outcome {
    if (this.#closing !== undefined) this.#checkOpen();
    const scratch = this.#key;
    scratch.load(key);
    const { reader, memtables, versions, visibleSequence } = this.#engine;
    const inActive = reader.searchMemtable(memtables.active, scratch, visibleSequence);
    if (inActive !== undefined) return inActive;
    const { frozen } = memtables;
    for (let i = frozen.length - 1; i >= 0; i--) {
      const inFrozen = reader.searchMemtable(frozen[i], scratch, visibleSequence);
      if (inFrozen !== undefined) return inFrozen;
    }
    const { bytes, length, hash } = scratch;
    return reader.searchTables(versions.tables, 0, -1, bytes, length, hash, visibleSequence);
  }

  #takeValue(): Buffer {
    const { bytes, entry } = this.#engine.reader;
    return copyOf(bytes, entry.valueStart, entry.valueLength);
  }

  #lookup(handler: LookupHandler): void {
    const { reader, versions, visibleSequence } = this.#engine;
    new PointLookup(reader, versions.tables, this.#key, visibleSequence, handler).begin();
  }

  #lookupSync(onFound: LookupHandler['onFound']): void {
    let done = false;
    let failure: QuadringError | undefined;
    const settle = (error?: QuadringError): void => {
      failure = error;
      done = true;
    };
    this.#lookup({
      onFound: (bytes, start, length) => {
        onFound(bytes, start, length);
        settle();
      },
      onAbsent: () => settle(),
      onError: settle,
    });
    this.#engine.scheduler.waitUntil(() => done);
    if (failure !== undefined) throw failure;
    if (!done) throw this.#engine.failure ?? new QuadringError('WORKER_FAILED', 'the read was not answered');
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
    if (options !== undefined) checkOptions(options, true);
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

/** Throws INVALID_ARGUMENT for options that are none, and ABORTED for a signal that has been. */
function checkOptions(options: WriteOptions, isWrite: boolean): void {
  if (typeof options !== 'object' || options === null) {
    throw new QuadringError('INVALID_ARGUMENT', 'options must be an object');
  }
  for (const name in options) {
    if (name === 'signal' || (name === 'sync' && isWrite)) continue;
    throw new QuadringError('INVALID_ARGUMENT', `option ${name} does not exist`);
  }
  const { sync, signal } = options;
  if (sync !== undefined && typeof sync !== 'boolean') {
    throw new QuadringError('INVALID_ARGUMENT', 'sync must be true or false');
  }
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal))
    throw new QuadringError('INVALID_ARGUMENT', 'signal must be an AbortSignal');
  if (signal.aborted) throw abortError(signal);
}

/** A refusal of a promise-returning method. */
function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new Error(String(error)));
}

function copyOf(bytes: Uint8Array, start: number, length: number): Buffer {
  const value = Buffer.allocUnsafe(length);
  copyBytes(bytes, start, length, value, 0);
  return value;
}

function decode(bytes: Uint8Array, start: number, length: number, encoding: 'utf8' | 'latin1'): string {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + start, length).toString(encoding);
}
