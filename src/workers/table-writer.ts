/**
 * Writes a frozen memtable as a table file: form B of a safe publish. Ring threads only.
 *
 *     1. walk the arena in order, drop versions that nobody can see, build blocks
 *     2. write in 256 KiB pieces, several under way while the next are built, each result looked at
 *     3. all written: fsync, its result looked at
 *     4. rename to the table's name, linked to the directory's fsync, both looked at
 *
 * The name commits nothing: only the manifest edit that the owner then asks for does.
 */
import { constants } from 'node:fs';
import { assert } from '../assert.ts';
import { tableName, temporaryTableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { TableBuilder } from '../format/table-builder.ts';
import { encodeVersionEdit } from '../format/version-edit.ts';
import { ArenaCursor } from '../protocol/arena.ts';
import {
  MAILBOX_BYTES,
  REGION_POOL,
  WRITE_BUFFER_BYTES,
  WRITE_BUFFER_COUNT,
  WRITE_BUFFERS_AT,
} from '../protocol/crew-layout.ts';
import {
  RESULT_SHORT_WRITE,
  STEP_DIRECTORY_FSYNC,
  STEP_OPEN,
  STEP_RENAME,
  STEP_WRITE,
  type WriteTableParameters,
} from '../protocol/requests.ts';
import { syncAndClose } from './file-steps.ts';
import { FLAG_LINK } from './ring.ts';
import type { RoleBasics } from './role.ts';
import type { RoleIo, RoleTask } from './role-io.ts';

const FILE_MODE = 0o600;
const NOT_WRITING = -1;
/** Writes of one piece, each of which came back short, until that is an error of its own. */
const WRITE_ATTEMPTS_MAX = 8;

export function* writeTable(
  basics: RoleBasics,
  table: number,
  region: number,
  mailboxPage: number,
): RoleTask {
  const { io, memory } = basics;
  const arena = memory.region(region);
  const parameters = readParameters(memory.pool, mailboxPage * PAGE_BYTES);
  const temporary = temporaryTableName(table);
  const direct = memory.directIo ? constants.O_DIRECT : 0;
  const flags = constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY | direct;
  const opened = io.open(memory.directory, temporary, flags, FILE_MODE);
  yield 0;
  const handle = io.result(opened);
  if (handle < 0) return io.respond(handle, STEP_OPEN);

  const builder = new TableBuilder({
    fileNumber: table,
    level: 0,
    blockBytes: parameters.blockBytes,
    filterBitsPerKey: parameters.filterBitsPerKey,
    createdAtSeconds: parameters.createdAtSeconds,
  });
  const writer = new PieceWriter(io, memory.pool, handle);
  const cursor = new VisibleCursor(arena, parameters);
  while (writer.failure === 0 && cursor.next()) {
    const entry = cursor.entry;
    builder.add(
      arena,
      entry.keyStart,
      entry.keyLength,
      entry.hash,
      entry.sequence,
      entry.kind,
      arena,
      entry.valueStart,
      entry.valueLength,
    );
    if (builder.pendingBytes > 0) yield* writer.takeFrom(builder);
  }
  if (writer.failure === 0) {
    builder.finish();
    yield* writer.takeFrom(builder);
    yield* writer.finish();
  } else {
    yield* writer.settle();
  }

  const before = { failure: writer.failure, step: STEP_WRITE };
  const { failure, step } = yield* syncAndClose(io, handle, before);
  if (failure !== 0) {
    // Give the space back. If even that fails the next open removes the file: no version names it.
    io.unlink(memory.directory, temporary);
    yield 0;
    return io.respond(failure, step);
  }
  const renamed = io.rename(memory.directory, temporary, tableName(table), FLAG_LINK);
  const synced = io.fsync(memory.directory);
  yield 0;
  if (io.result(renamed) < 0) return io.respond(io.result(renamed), STEP_RENAME);
  if (io.result(synced) < 0) return io.respond(io.result(synced), STEP_DIRECTORY_FSYNC);

  const description = builder.description();
  assert(description.fileBytes === writer.bytesWritten, 'the builder and the file agree on the length');
  const answer = encodeVersionEdit({
    added: [description],
    deleted: [],
    logEnds: [],
    compactionPointers: [],
  });
  assert(answer.length <= MAILBOX_BYTES, 'a table description fits the mailbox');
  memory.pool.set(answer, mailboxPage * PAGE_BYTES);
  io.respond(answer.length);
}

function readParameters(pool: Uint8Array, at: number): WriteTableParameters {
  const end = pool.indexOf(0, at);
  return JSON.parse(Buffer.from(pool.subarray(at, end)).toString()) as WriteTableParameters;
}

/**
 * Walks an arena and leaves out what no read can see: a version is hidden when everybody who could see it, by the
 * sequence number they read at, sees a newer version of its key instead.
 */
class VisibleCursor {
  readonly entry: ArenaCursor;
  readonly #bytes: Uint8Array;
  readonly #snapshots: readonly number[];
  readonly #keepAbove: number;
  #previousKeyStart = 0;
  #previousKeyLength = -1;
  #previousSequence = 0;

  constructor(arena: Uint8Array<SharedArrayBuffer>, { snapshots, keepAbove }: WriteTableParameters) {
    this.#bytes = arena;
    this.entry = new ArenaCursor(new Int32Array(arena.buffer));
    this.#snapshots = snapshots;
    this.#keepAbove = keepAbove;
  }

  next(): boolean {
    const entry = this.entry;
    while (entry.next()) {
      const hidden = this.#sameKeyAsPrevious() && !this.#isSeen(entry.sequence, this.#previousSequence);
      this.#previousKeyStart = entry.keyStart;
      this.#previousKeyLength = entry.keyLength;
      this.#previousSequence = entry.sequence;
      if (!hidden) return true;
    }
    return false;
  }

  /** Whether somebody reads at a sequence number from that of a version on and below that of the next newer one. */
  #isSeen(sequence: number, newerSequence: number): boolean {
    if (newerSequence > this.#keepAbove) return true;
    const snapshots = this.#snapshots;
    let low = 0;
    let high = snapshots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (snapshots[middle] < sequence) low = middle + 1;
      else high = middle;
    }
    return low < snapshots.length && snapshots[low] < newerSequence;
  }

  #sameKeyAsPrevious(): boolean {
    const { keyStart, keyLength } = this.entry;
    if (keyLength !== this.#previousKeyLength) return false;
    const bytes = this.#bytes;
    const previous = this.#previousKeyStart;
    for (let i = 0; i < keyLength; i++) if (bytes[keyStart + i] !== bytes[previous + i]) return false;
    return true;
  }
}

/**
 * Gathers a builder's output in the pool's write buffers and keeps several of them under way.
 *
 * A write that comes back short met the end of the space, or was interrupted: its rest is written again, from the last
 * whole page on, and says which. Nothing is durable before the fsync, so a piece may be written in parts.
 */
class PieceWriter {
  /** 0, a negative errno, or RESULT_SHORT_WRITE: of the first write that went wrong. */
  failure = 0;
  /** Bytes handed to the ring so far. */
  bytesWritten = 0;
  readonly #io: RoleIo;
  readonly #pool: Uint8Array;
  readonly #handle: number;
  /** For each buffer that is lent: index of its record; length, place and written part of its piece; writes so far. */
  readonly #records = new Array<number>(WRITE_BUFFER_COUNT).fill(NOT_WRITING);
  readonly #lengths = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  readonly #offsets = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  readonly #written = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  readonly #attempts = new Array<number>(WRITE_BUFFER_COUNT).fill(0);
  #buffer = 0;
  #filled = 0;

  constructor(io: RoleIo, pool: Uint8Array, handle: number) {
    this.#io = io;
    this.#pool = pool;
    this.#handle = handle;
  }

  /** Takes all that the builder has ready. */
  *takeFrom(builder: TableBuilder): RoleTask {
    while (builder.pendingBytes > 0 && this.failure === 0) {
      yield* this.#awaitBuffer(this.#buffer);
      const at = WRITE_BUFFERS_AT + this.#buffer * WRITE_BUFFER_BYTES;
      this.#filled += builder.drain(this.#pool, at + this.#filled, at + WRITE_BUFFER_BYTES);
      if (this.#filled === WRITE_BUFFER_BYTES) {
        this.#writeNext();
        // Let the ring submit, and other tasks run, before the next piece is built.
        yield this.#io.outstanding;
      }
    }
  }

  /** Writes what is left and waits for everything. */
  *finish(): RoleTask {
    if (this.#filled > 0 && this.failure === 0) this.#writeNext();
    yield* this.settle();
  }

  /** Waits for every write under way. */
  *settle(): RoleTask {
    for (let buffer = 0; buffer < WRITE_BUFFER_COUNT; buffer++) yield* this.#awaitBuffer(buffer);
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
    this.#filled = 0;
    this.#buffer = (buffer + 1) % WRITE_BUFFER_COUNT;
  }

  #write(buffer: number): void {
    const written = this.#written[buffer];
    const at = WRITE_BUFFERS_AT + buffer * WRITE_BUFFER_BYTES + written;
    const length = this.#lengths[buffer] - written;
    const offset = this.#offsets[buffer] + written;
    this.#records[buffer] = this.#io.write(this.#handle, REGION_POOL, at, length, offset);
    this.#attempts[buffer] += 1;
  }

  *#awaitBuffer(buffer: number): RoleTask {
    this.#harvest();
    while (this.#records[buffer] !== NOT_WRITING) {
      yield this.#io.outstanding - 1;
      this.#harvest();
    }
  }

  /**
   * Looks at the results of all writes that have completed; only then are short ones pushed again, since a push takes
   * the place of a completed record.
   */
  #harvest(): void {
    const again: number[] = [];
    for (let buffer = 0; buffer < WRITE_BUFFER_COUNT; buffer++) {
      const record = this.#records[buffer];
      if (record === NOT_WRITING || this.#io.isPending(record)) continue;
      this.#records[buffer] = NOT_WRITING;
      const result = this.#io.result(record);
      if (result === this.#lengths[buffer] - this.#written[buffer] || this.failure !== 0) continue;
      if (result < 0) {
        this.failure = result;
      } else if (this.#attempts[buffer] < WRITE_ATTEMPTS_MAX) {
        this.#written[buffer] += result - (result % PAGE_BYTES);
        again.push(buffer);
      } else {
        this.failure = RESULT_SHORT_WRITE;
      }
    }
    for (const buffer of again) this.#write(buffer);
  }
}
