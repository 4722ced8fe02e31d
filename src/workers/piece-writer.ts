/**
 * Writes a table's pieces while the next ones are built. Ring threads only.
 */
import { PAGE_BYTES } from '../format/limits.ts';
import type { TableBuilder } from '../format/table-builder.ts';
import { REGION_POOL, WRITE_BUFFER_BYTES, WRITE_BUFFER_COUNT } from '../protocol/crew-layout.ts';
import { RESULT_SHORT_WRITE, STEP_FSYNC, STEP_WRITE } from '../protocol/requests.ts';
import type { Outcome } from './file-steps.ts';
import { FLAG_DATASYNC } from './ring.ts';
import type { RoleIo, RoleTask } from './role-io.ts';

const NOT_WRITING = -1;
/** The rest of the piece waits to be written. */
const REST_WAITS = -2;
/** Writes of one piece, each of which came back short, until that is an error of its own. */
const WRITE_ATTEMPTS_MAX = 8;
/**
 * After so many bytes the file is synced while it is written. Nothing needs it: but what a disk's cache has gathered by
 * the final sync holds up everybody's reads and the log's writes for as long as it takes to be written (see
 * docs/benchmarks.md).
 */
const SYNC_BYTES = 1024 * 1024;

export interface PieceWriterOptions {
  readonly io: RoleIo;
  readonly pool: Uint8Array;
  readonly handle: number;
  /** Byte of the pool from which on the buffers lie. */
  readonly buffersAt: number;
  /** Of the ring's writes. */
  readonly flags?: number;
  /** Takes the results of other records of the task that have completed: a push takes their place. */
  readonly beforePush?: () => void;
  /** What is done after each piece; by itself the ring submits, and other tasks run, before the next one is built. */
  readonly afterPiece?: () => RoleTask;
}

/**
 * Gathers a builder's output in WRITE_BUFFER_COUNT write buffers of the pool and keeps several of them under way.
 *
 * A write that comes back short met the end of the space, or was interrupted: its rest is written again, from the last
 * whole page on, and says which. Nothing is durable before the fsync, so a piece may be written in parts.
 *
 * Beside the writes at most one sync is under way. Its result counts like theirs: an error of the disk is told to one
 * sync only, and the final one may know nothing of it.
 */
export class PieceWriter {
  /** 0, a negative errno, or RESULT_SHORT_WRITE: of the first write or sync that went wrong. */
  failure = 0;
  /** Bytes handed to the ring so far. */
  bytesWritten = 0;
  readonly #options: PieceWriterOptions;
  readonly #io: RoleIo;
  /** For each buffer that is lent: index of its record; length, place and written part of its piece; writes so far. */
  readonly #records = new Array<number>(WRITE_BUFFER_COUNT).fill(NOT_WRITING);
  readonly #lengths = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  readonly #offsets = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  readonly #written = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  readonly #attempts = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  #buffer = 0;
  #filled = 0;
  #failedStep = STEP_WRITE;
  /** Index of the sync's record, or NOT_WRITING. */
  #sync = NOT_WRITING;
  #unsyncedBytes = 0;

  constructor(options: PieceWriterOptions) {
    this.#options = options;
    this.#io = options.io;
  }

  /** What went wrong, if anything did, with the step that it belongs to. */
  get outcome(): Outcome {
    return { failure: this.failure, step: this.#failedStep };
  }

  /** Takes all that the builder has ready. */
  *takeFrom(builder: TableBuilder): RoleTask {
    while (builder.pendingBytes > 0 && this.failure === 0) {
      yield* this.#awaitBuffer(this.#buffer);
      const at = this.#options.buffersAt + this.#buffer * WRITE_BUFFER_BYTES;
      this.#filled += builder.drain(this.#options.pool, at + this.#filled, at + WRITE_BUFFER_BYTES);
      if (this.#filled === WRITE_BUFFER_BYTES) {
        this.#writeNext();
        if (this.#options.afterPiece === undefined) yield this.#io.outstanding;
        else yield* this.#options.afterPiece();
      }
    }
  }

  /** Writes what is left and waits for everything. */
  *finish(): RoleTask {
    if (this.#filled > 0 && this.failure === 0) this.#writeNext();
    yield* this.settle();
  }

  /** Waits for everything under way. */
  *settle(): RoleTask {
    for (let buffer = 0; buffer < WRITE_BUFFER_COUNT; buffer++) yield* this.#awaitBuffer(buffer);
    while (this.#sync !== NOT_WRITING) {
      yield this.#io.outstanding - 1;
      this.#harvest();
    }
  }

  #writeNext(): void {
    const buffer = this.#buffer;
    this.#lengths[buffer] = this.#filled;
    this.#offsets[buffer] = this.bytesWritten;
    this.#written[buffer] = 0;
    this.#attempts[buffer] = 0;
    this.#harvest();
    this.#write(buffer);
    this.bytesWritten += this.#filled;
    this.#unsyncedBytes += this.#filled;
    this.#filled = 0;
    this.#buffer = (buffer + 1) % WRITE_BUFFER_COUNT;
    if (this.#unsyncedBytes < SYNC_BYTES || this.#sync !== NOT_WRITING) return;
    this.#unsyncedBytes = 0;
    this.#sync = this.#io.fsync(this.#options.handle, FLAG_DATASYNC);
  }

  #write(buffer: number): void {
    const { handle, buffersAt, flags } = this.#options;
    const written = this.#written[buffer];
    const at = buffersAt + buffer * WRITE_BUFFER_BYTES + written;
    const length = this.#lengths[buffer] - written;
    const offset = this.#offsets[buffer] + written;
    this.#records[buffer] = this.#io.write(handle, REGION_POOL, at, length, offset, flags);
    this.#attempts[buffer] += 1;
  }

  *#awaitBuffer(buffer: number): RoleTask {
    this.#harvest();
    while (this.#records[buffer] !== NOT_WRITING) {
      yield this.#io.outstanding - 1;
      this.#harvest();
    }
  }

  /** Looks at the results of everything that has completed; pushes nothing. */
  collect(): void {
    this.#collectSync();
    for (let buffer = 0; buffer < WRITE_BUFFER_COUNT; buffer++) {
      const record = this.#records[buffer];
      if (record < 0 || this.#io.isPending(record)) continue;
      this.#records[buffer] = NOT_WRITING;
      const result = this.#io.result(record);
      if (result === this.#lengths[buffer] - this.#written[buffer] || this.failure !== 0) continue;
      if (result < 0) {
        this.#fail(result, STEP_WRITE);
      } else if (this.#attempts[buffer] < WRITE_ATTEMPTS_MAX) {
        this.#written[buffer] += result - (result % PAGE_BYTES);
        this.#records[buffer] = REST_WAITS;
      } else {
        this.#fail(RESULT_SHORT_WRITE, STEP_WRITE);
      }
    }
  }

  #collectSync(): void {
    if (this.#sync === NOT_WRITING || this.#io.isPending(this.#sync)) return;
    const result = this.#io.result(this.#sync);
    this.#sync = NOT_WRITING;
    if (result < 0 && this.failure === 0) this.#fail(result, STEP_FSYNC);
  }

  #fail(failure: number, step: number): void {
    this.failure = failure;
    this.#failedStep = step;
  }

  /** Collects, and only then pushes what came back short again. */
  #harvest(): void {
    this.#options.beforePush?.();
    this.collect();
    for (let buffer = 0; buffer < WRITE_BUFFER_COUNT; buffer++) {
      if (this.#records[buffer] === REST_WAITS) this.#write(buffer);
    }
  }
}
