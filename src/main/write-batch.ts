/**
 * Batches: operations gathered as log records, applied as one. Owner only.
 *
 * A batch is the very run of records that its log frame will hold, so writing it copies bytes and encodes nothing
 * again. Keys and values are copied when they are added: what the caller does to its buffers later changes nothing.
 */
import { QuadringError } from '../errors.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_OPERATIONS_MAX,
  BATCH_RANGE_DELETIONS_MAX,
  KIND_PUT,
  KIND_RANGE_TOMBSTONE,
  KIND_TOMBSTONE,
} from '../format/limits.ts';
import { logRecordLength, writeLogRecord } from '../format/log-record.ts';
import type { KeyScratch } from './bytes.ts';
import { valueBytes, valueLengthOf, type Bytes } from './bytes.ts';
import { checkDeletedRange } from './call-options.ts';
import { deletedKeysOf, keyRangeOf, type Range } from './range.ts';

export type BatchOperation =
  | { readonly type: 'put'; readonly key: Bytes; readonly value: Bytes }
  | { readonly type: 'del'; readonly key: Bytes }
  | ({ readonly type: 'deleteRange' } & Pick<Range, 'gt' | 'gte' | 'lt' | 'lte'>);

/** Records ready to be logged and inserted. */
export interface EncodedWrites {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly count: number;
  /** Bytes of keys and values. */
  readonly rawBytes: number;
}

const INITIAL_BYTES = 4096;
/** An encoder that is used again keeps its memory up to this size. */
const KEPT_BYTES_MAX = 1024 * 1024;
const NO_VALUE = new Uint8Array(0);

/** Gathers operations. Throws INVALID_ARGUMENT, KEY_TOO_LARGE, VALUE_TOO_LARGE or BATCH_TOO_LARGE as they are added. */
export class BatchEncoder implements EncodedWrites {
  bytes: Uint8Array = new Uint8Array(INITIAL_BYTES);
  length = 0;
  count = 0;
  rawBytes = 0;
  #rangeDeletions = 0;
  readonly #key: KeyScratch;

  constructor(key: KeyScratch) {
    this.#key = key;
  }

  clear(): void {
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = new Uint8Array(INITIAL_BYTES);
    this.length = 0;
    this.count = 0;
    this.rawBytes = 0;
    this.#rangeDeletions = 0;
  }

  put(key: Bytes, value: Bytes): void {
    this.#key.load(key);
    const bytes = valueBytes(value);
    this.#add(KIND_PUT, this.#key.bytes, this.#key.length, bytes, valueLengthOf(bytes));
  }

  del(key: Bytes): void {
    this.#key.load(key);
    this.#add(KIND_TOMBSTONE, this.#key.bytes, this.#key.length, NO_VALUE, 0);
  }

  /** A range without keys adds nothing. */
  deleteRange(range: Range): void {
    checkDeletedRange(range);
    const keys = deletedKeysOf(keyRangeOf(range, this.#key));
    if (keys === undefined) return;
    if (this.#rangeDeletions === BATCH_RANGE_DELETIONS_MAX) {
      throw new QuadringError(
        'BATCH_TOO_LARGE',
        `a batch deletes at most ${BATCH_RANGE_DELETIONS_MAX} ranges`,
      );
    }
    this.#add(KIND_RANGE_TOMBSTONE, keys.start, keys.start.length, keys.end, keys.end.length);
    this.#rangeDeletions++;
  }

  addAll(operations: readonly BatchOperation[]): void {
    if (!Array.isArray(operations))
      throw new QuadringError('INVALID_ARGUMENT', 'a batch must be an array of operations');
    for (const operation of operations as readonly BatchOperation[]) {
      if (operation?.type === 'put') this.put(operation.key, operation.value);
      else if (operation?.type === 'del') this.del(operation.key);
      else if (operation?.type === 'deleteRange') this.#deleteRangeOf(operation);
      else
        throw new QuadringError(
          'INVALID_ARGUMENT',
          "an operation's type must be 'put', 'del' or 'deleteRange'",
        );
    }
  }

  #deleteRangeOf({ type: _, ...range }: BatchOperation & { readonly type: 'deleteRange' }): void {
    this.deleteRange(range);
  }

  #add(kind: number, key: Uint8Array, keyLength: number, value: Uint8Array, valueLength: number): void {
    const end = this.length + logRecordLength(kind, keyLength, valueLength);
    if (end > BATCH_BYTES_MAX) {
      throw new QuadringError(
        'BATCH_TOO_LARGE',
        `the batch would have ${end} bytes, at most ${BATCH_BYTES_MAX} are allowed`,
      );
    }
    if (this.count === BATCH_OPERATIONS_MAX) {
      throw new QuadringError('BATCH_TOO_LARGE', `a batch has at most ${BATCH_OPERATIONS_MAX} operations`);
    }
    if (end > this.bytes.length) this.#grow(end);
    this.length = writeLogRecord(this.bytes, this.length, kind, key, 0, keyLength, value, 0, valueLength);
    this.count++;
    this.rawBytes += keyLength + valueLength;
  }

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.min(Math.max(needed, this.bytes.length * 2), BATCH_BYTES_MAX));
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }
}

export interface WriteOptions {
  /** Durable when the promise resolves. Default true; false resolves when the write is visible and on its way. */
  readonly sync?: boolean;
  /** Gives up on a write that still waits for its turn. */
  readonly signal?: AbortSignal;
}

/** A chained batch: `database.batch().put(…).del(…).deleteRange(…).write()`. Atomic; can be written once. */
export class WriteBatch {
  /** Undefined once it has been written: others use it. */
  #encoder: BatchEncoder | undefined;
  readonly #write: (encoder: BatchEncoder, options: WriteOptions | undefined) => Promise<void>;
  #writtenLength = 0;

  /** `write` has the encoder from then on. */
  constructor(
    encoder: BatchEncoder,
    write: (encoder: BatchEncoder, options: WriteOptions | undefined) => Promise<void>,
  ) {
    this.#encoder = encoder;
    this.#write = write;
  }

  /** How many operations it has. */
  get length(): number {
    return this.#encoder?.count ?? this.#writtenLength;
  }

  put(key: Bytes, value: Bytes): this {
    this.#checked().put(key, value);
    return this;
  }

  del(key: Bytes): this {
    this.#checked().del(key);
    return this;
  }

  /** As `Database.deleteRange`. */
  deleteRange(range: Range): this {
    this.#checked().deleteRange(range);
    return this;
  }

  /** Forgets all operations. */
  clear(): this {
    this.#checked().clear();
    return this;
  }

  /** Rejects as `Database.put` does. */
  write(options?: WriteOptions): Promise<void> {
    const encoder = this.#encoder;
    if (encoder === undefined)
      return Promise.reject(new QuadringError('CLOSED', 'the batch has been written'));
    this.#writtenLength = encoder.count;
    this.#encoder = undefined;
    return this.#write(encoder, options);
  }

  #checked(): BatchEncoder {
    if (this.#encoder !== undefined) return this.#encoder;
    throw new QuadringError('CLOSED', 'the batch has been written');
  }
}
