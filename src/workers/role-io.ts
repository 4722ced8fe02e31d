/**
 * What a role's tasks see of the ring: they push records, yield, and read results. Ring threads only.
 *
 * A task is a generator. It pushes records, then yields how many of its records may still be outstanding when it is
 * resumed: `yield 0` waits for all of them, `yield io.outstanding - 1` for any one, `yield io.outstanding` only lets
 * the ring submit. Results are read by the index that the push returned, before the next push: a completed record's
 * place is taken again. Tasks never use promises: a ring thread that
 * sleeps in Atomics.wait runs no microtasks.
 */
import { constants } from 'node:fs';
import { assert } from '../assert.ts';
import {
  FLAG_KEEP_SIZE,
  FLAG_SELECT,
  NAME_STRIDE_BYTES,
  OPCODE_CLOSE,
  OPCODE_FALLOCATE,
  OPCODE_FSYNC,
  OPCODE_OPEN,
  OPCODE_READ,
  OPCODE_RENAME,
  OPCODE_TIMEOUT,
  OPCODE_TRUNCATE,
  OPCODE_UNLINK,
  OPCODE_WRITE,
  RECORD_WORDS,
  SECOND_NAME_BYTES,
  TIMEOUT_MICROSECONDS_MAX,
  WORD_BUFFER_OFFSET,
  WORD_FILE,
  WORD_FLAGS,
  WORD_LENGTH,
  WORD_OFFSET_HIGH,
  WORD_OFFSET_LOW,
  WORD_OPCODE,
  WORD_USER_DATA,
  type Ring,
} from './ring.ts';

export type RoleTask = Generator<number, void, void>;

export interface RoleLimits {
  /** Requests that a role works on at once. */
  readonly tasksMax: number;
  /** Records that one task has outstanding at most; the product of the two is at most the ring's entries. */
  readonly recordsPerTask: number;
}

const PENDING = -0x8000_0000;
const TWO_32 = 0x1_0000_0000;

export class RoleIo {
  readonly recordsPerTask: number;
  /** Records pushed since the last turn. */
  batchLength = 0;
  bytesRead = 0;
  bytesWritten = 0;
  /** What the task that ran last answered. */
  responseResult = 0;
  responseDetail0 = 0;
  responseDetail1 = 0;
  readonly #ring: Ring;
  readonly #records: Int32Array;
  /** Result of each record a task may have: task slot × recordsPerTask + index. */
  readonly #results: Int32Array;
  /** Likewise; the buffer that its completion named, or NO_BUFFER. */
  readonly #buffers: Int32Array;
  readonly #outstanding: Int32Array;
  #slot = 0;

  constructor(ring: Ring, { tasksMax, recordsPerTask }: RoleLimits) {
    assert(tasksMax * recordsPerTask <= ring.entries, 'all records of all tasks fit the ring');
    this.recordsPerTask = recordsPerTask;
    this.#ring = ring;
    this.#records = ring.records;
    this.#results = new Int32Array(tasksMax * recordsPerTask);
    this.#buffers = new Int32Array(tasksMax * recordsPerTask);
    this.#outstanding = new Int32Array(tasksMax);
  }

  /** The host says which task runs now. */
  enter(slot: number): void {
    this.#slot = slot;
  }

  /** The host says that a record has completed; returns the slot of its task. */
  settle(userData: number, result: number, buffer: number): number {
    assert(this.#results[userData] === PENDING, 'a completion belongs to a record in flight');
    this.#results[userData] = result;
    this.#buffers[userData] = buffer;
    const slot = Math.floor(userData / this.recordsPerTask);
    this.#outstanding[slot] -= 1;
    return slot;
  }

  outstandingOf(slot: number): number {
    return this.#outstanding[slot];
  }

  /** Records of the running task that have not completed. */
  get outstanding(): number {
    return this.#outstanding[this.#slot];
  }

  isPending(index: number): boolean {
    return this.#results[this.#slot * this.recordsPerTask + index] === PENDING;
  }

  /** Result of a completed record, by the index that its push returned. */
  result(index: number): number {
    const result = this.#results[this.#slot * this.recordsPerTask + index];
    assert(result !== PENDING, 'a result is read after its completion');
    return result;
  }

  /** The buffer that a completed `readSelect` read into, by the index that its push returned; −1: none is named. */
  buffer(index: number): number {
    const place = this.#slot * this.recordsPerTask + index;
    assert(this.#results[place] !== PENDING, 'a buffer is asked for after its completion');
    return this.#buffers[place];
  }

  /** The task's answer to the owner; the task ends right after. */
  respond(result: number, detail0 = 0, detail1 = 0): void {
    this.responseResult = result;
    this.responseDetail0 = detail0;
    this.responseDetail1 = detail1;
  }

  read(
    file: number,
    region: number,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    flags = 0,
  ): number {
    this.bytesRead += length;
    return this.#push(OPCODE_READ, file, bufferOffset, length, fileOffset, region, flags);
  }

  /** Lends the buffer to the ring and reads into any one that was lent; `buffer` says which. See FLAG_SELECT. */
  readSelect(file: number, region: number, bufferOffset: number, length: number, fileOffset: number): number {
    this.bytesRead += length;
    return this.#push(OPCODE_READ, file, bufferOffset, length, fileOffset, region, FLAG_SELECT);
  }

  write(
    file: number,
    region: number,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    flags = 0,
  ): number {
    this.bytesWritten += length;
    return this.#push(OPCODE_WRITE, file, bufferOffset, length, fileOffset, region, flags);
  }

  fsync(file: number, flags = 0): number {
    return this.#push(OPCODE_FSYNC, file, 0, 0, 0, 0, flags);
  }

  /** Result: a handle. No file of a database is a symbolic link: one that has come into its place is not followed. */
  open(directory: number, name: string, flags: number, mode = 0): number {
    this.#writeName(name, 0);
    return this.#push(OPCODE_OPEN, directory, 0, flags | constants.O_NOFOLLOW, mode, 0, 0);
  }

  close(file: number): number {
    return this.#push(OPCODE_CLOSE, file, 0, 0, 0, 0, 0);
  }

  /** Reserves space without changing the file's size. */
  reserve(file: number, offset: number, length: number): number {
    return this.#push(OPCODE_FALLOCATE, file, 0, length, offset, 0, FLAG_KEEP_SIZE);
  }

  /** Completes when the time has passed. REQUIRES: at most TIMEOUT_MICROSECONDS_MAX. */
  timeout(microseconds: number): number {
    assert(microseconds >= 0 && microseconds <= TIMEOUT_MICROSECONDS_MAX, 'a timeout is short');
    return this.#push(OPCODE_TIMEOUT, -1, 0, microseconds, 0, 0, 0);
  }

  /** Makes the file end there. */
  truncate(file: number, size: number): number {
    return this.#push(OPCODE_TRUNCATE, file, 0, 0, size, 0, 0);
  }

  rename(directory: number, from: string, to: string, flags = 0): number {
    this.#writeName(from, 0);
    this.#writeName(to, SECOND_NAME_BYTES);
    return this.#push(OPCODE_RENAME, directory, 0, 0, 0, 0, flags);
  }

  unlink(directory: number, name: string): number {
    this.#writeName(name, 0);
    return this.#push(OPCODE_UNLINK, directory, 0, 0, 0, 0, 0);
  }

  #writeName(name: string, at: number): void {
    assert(name.length < SECOND_NAME_BYTES, 'file names fit their field');
    const names = this.#ring.names;
    let target = this.batchLength * NAME_STRIDE_BYTES + at;
    for (let i = 0; i < name.length; i++) names[target++] = name.charCodeAt(i);
    names[target] = 0;
  }

  #push(
    opcode: number,
    file: number,
    bufferOffset: number,
    length: number,
    offset: number,
    region: number,
    flags: number,
  ): number {
    const first = this.#slot * this.recordsPerTask;
    let index = 0;
    while (index < this.recordsPerTask && this.#results[first + index] === PENDING) index++;
    assert(index < this.recordsPerTask, 'a task pushes no more records than it may');
    this.#results[first + index] = PENDING;
    this.#outstanding[this.#slot] += 1;
    const records = this.#records;
    const at = this.batchLength * RECORD_WORDS;
    records[at + WORD_OPCODE] = opcode;
    records[at + WORD_FILE] = file;
    records[at + WORD_BUFFER_OFFSET] = bufferOffset;
    records[at + WORD_LENGTH] = length;
    records[at + WORD_OFFSET_LOW] = offset % TWO_32;
    records[at + WORD_OFFSET_HIGH] = Math.floor(offset / TWO_32);
    records[at + WORD_USER_DATA] = first + index;
    records[at + WORD_FLAGS] = flags | region;
    this.batchLength++;
    return index;
  }
}
