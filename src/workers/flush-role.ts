/**
 * The flush role: prepares log files, appends to the manifest, installs CURRENT, removes files, and writes tables (see
 * table-writer.ts). Ring threads only.
 *
 * Several requests run at once, so that a log file is prepared while a table is being written. Each step's result is
 * looked at before the next is issued, except rename → fsync(directory), which is linked (see file-steps.ts). Nothing here
 * commits anything but the manifest append.
 */
import { constants } from 'node:fs';
import { assert, must, unreachable } from '../assert.ts';
import { encodeCurrent } from '../format/current.ts';
import {
  CURRENT_NAME,
  CURRENT_TEMPORARY_NAME,
  logName,
  manifestName,
  tableName,
} from '../format/file-names.ts';
import { sealFrame } from '../format/frame.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { REGION_POOL, SCRATCH_AT, WRITE_BUFFER_BYTES, ZEROS_AT } from '../protocol/crew-layout.ts';
import {
  APPEND_MANIFEST,
  FILE_LOG,
  FILE_MANIFEST,
  FILE_TABLE,
  INSTALL_CURRENT,
  PREPARE_LOG,
  REMOVE_FILE,
  RESULT_SHORT_WRITE,
  ROLE_FLUSH,
  STEP_DIRECTORY_FSYNC,
  STEP_FALLOCATE,
  STEP_FSYNC,
  STEP_OPEN,
  STEP_UNLINK,
  STEP_WRITE,
  WRITE_TABLE,
} from '../protocol/requests.ts';
import { renameDurably, reserveSpace, syncAndClose } from './file-steps.ts';
import { FLAG_DSYNC } from './ring.ts';
import type { RequestArguments, Role, RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';
import { writeTable } from './table-writer.ts';

/** Space is reserved for the manifest in such pieces, so that a full disk is met before an edit is written. */
const MANIFEST_RESERVE_BYTES = 256 * 1024;
/** Writes under way while a log file is written through. */
const PREPARE_DEPTH = 2;
const FILE_MODE = 0o600;
const ENOENT = 2;
const EOPNOTSUPP = 95;

export class FlushRole implements Role {
  readonly id = ROLE_FLUSH;
  readonly #basics: RoleBasics;
  /** Space reserved for the manifest that was appended to last. */
  #manifestReservedBytes = 0;
  #manifestReserved = 0;
  #appending = false;

  constructor(basics: RoleBasics) {
    this.#basics = basics;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    switch (opcode) {
      case PREPARE_LOG:
        return args[2] === 0
          ? this.#createLog(args[0] >>> 0, args[1] * PAGE_BYTES)
          : this.#recycleLog(args[0] >>> 0, args[2] >>> 0);
      case WRITE_TABLE:
        return writeTable(this.#basics, args[0] >>> 0, args[1], args[2] >>> 0, args[3] >>> 0);
      case APPEND_MANIFEST:
        return this.#appendManifest(args[0] >>> 0, args[1] >>> 0, args[2] >>> 0, args[3] !== 0);
      case INSTALL_CURRENT:
        return this.#installCurrent(args[0] >>> 0);
      case REMOVE_FILE:
        return this.#removeFile(args[0] >>> 0, args[1] as 1 | 2 | 3, args[2] !== 0);
      default:
        return this.#basics.start(opcode, args);
    }
  }

  /** A file of zeros, written through: an append into it later needs no journal commit. */
  *#createLog(number: number, length: number): RoleTask {
    const { io, memory } = this.#basics;
    const name = logName(number);
    const direct = memory.directIo ? constants.O_DIRECT : 0;
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | direct;
    const opened = io.open(memory.directory, name, flags, FILE_MODE);
    yield 0;
    const handle = io.result(opened);
    if (handle < 0) return io.respond(handle, STEP_OPEN);

    let failure = 0;
    let step = STEP_FALLOCATE;
    const reserved = yield* reserveSpace(io, handle, 0, length);
    if (reserved !== -EOPNOTSUPP) failure = reserved;

    // Whole groups: all writes of one are looked at before the next begins.
    for (let offset = 0; offset < length && failure === 0;) {
      step = STEP_WRITE;
      const first = offset;
      const sizes: number[] = [];
      for (let depth = 0; depth < PREPARE_DEPTH && offset < length; depth++) {
        const size = Math.min(WRITE_BUFFER_BYTES, length - offset);
        io.write(handle, REGION_POOL, ZEROS_AT, size, offset);
        sizes.push(size);
        offset += size;
      }
      yield 0;
      const results = sizes.map((_, i) => io.result(i));
      for (let i = 0; i < sizes.length && failure === 0; i++) {
        let result = results[i];
        if (result >= 0 && result < sizes[i]) {
          // It met the end of the space, or was interrupted: writing the rest says which.
          const whole = result - (result % PAGE_BYTES);
          const at = first + i * WRITE_BUFFER_BYTES + whole;
          const again = io.write(handle, REGION_POOL, ZEROS_AT, sizes[i] - whole, at);
          yield 0;
          result = io.result(again) < 0 ? io.result(again) : whole + io.result(again);
        }
        if (result !== sizes[i]) failure = result < 0 ? result : RESULT_SHORT_WRITE;
      }
    }
    ({ failure, step } = yield* syncAndClose(io, handle, { failure, step }));
    if (failure !== 0) {
      // Give the space back. If even that fails the next open removes the file: no version names it.
      io.unlink(memory.directory, name);
      yield 0;
      return io.respond(failure, step);
    }
    // A directory that is not synced is final, and told at once.
    const synced = io.fsync(memory.directory);
    yield 0;
    io.respond(io.result(synced), STEP_DIRECTORY_FSYNC);
  }

  /** An obsolete log takes a new name; its frames carry the old number and never replay. */
  *#recycleLog(number: number, old: number): RoleTask {
    const { io, memory } = this.#basics;
    const { failure, step } = yield* renameDurably(io, memory.directory, logName(old), logName(number));
    io.respond(failure, step);
  }

  *#appendManifest(number: number, page: number, poolPage: number, create: boolean): RoleTask {
    const { io, memory, files } = this.#basics;
    assert(!this.#appending, 'edits are appended one at a time');
    this.#appending = true;
    const at = poolPage * PAGE_BYTES;
    const offset = page * PAGE_BYTES;
    const length = sealFrame(memory.pool, at, 0, offset);
    if (create) {
      const direct = memory.directIo ? constants.O_DIRECT : 0;
      const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | direct;
      const opened = io.open(memory.directory, manifestName(number), flags, FILE_MODE);
      yield 0;
      const handle = io.result(opened);
      if (handle < 0) {
        this.#appending = false;
        return io.respond(handle, STEP_OPEN);
      }
      files.set(number, handle);
    }
    // After a manifest that found no space the one before goes on. Another database's first one has the same number.
    if (create || number !== this.#manifestReserved) this.#manifestReservedBytes = 0;
    this.#manifestReserved = number;
    const handle = must(files.get(number), 'a manifest is created before it is appended to');
    while (this.#manifestReservedBytes < offset + length) {
      const result = yield* reserveSpace(io, handle, this.#manifestReservedBytes, MANIFEST_RESERVE_BYTES);
      if (result < 0 && result !== -EOPNOTSUPP) {
        this.#appending = false;
        return io.respond(result, STEP_FALLOCATE);
      }
      this.#manifestReservedBytes += MANIFEST_RESERVE_BYTES;
    }
    const written = io.write(handle, REGION_POOL, at, length, offset, FLAG_DSYNC);
    yield 0;
    this.#appending = false;
    const result = io.result(written);
    if (result < 0) return io.respond(result, STEP_WRITE);
    if (result < length) return io.respond(RESULT_SHORT_WRITE, result);
    io.respond(length / PAGE_BYTES);
  }

  /** Manifest and its name first, then CURRENT's new text and its name, then the switch, then the switch's name. */
  *#installCurrent(number: number): RoleTask {
    const { io, memory, files } = this.#basics;
    const { directory, pool } = memory;
    const manifest = must(files.get(number), 'CURRENT names a manifest that is open');
    const syncedManifest = io.fsync(manifest);
    yield 0;
    if (io.result(syncedManifest) < 0) return io.respond(io.result(syncedManifest), STEP_FSYNC);

    const text = encodeCurrent(number);
    pool.set(text, SCRATCH_AT);
    // What a crash has left of one goes: it may be another file's name as well, which must not be written over.
    const unlinked = io.unlink(directory, CURRENT_TEMPORARY_NAME);
    yield 0;
    const removed = io.result(unlinked);
    if (removed < 0 && removed !== -ENOENT) return io.respond(removed, STEP_UNLINK);
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
    const opened = io.open(directory, CURRENT_TEMPORARY_NAME, flags, FILE_MODE);
    yield 0;
    const handle = io.result(opened);
    if (handle < 0) return io.respond(handle, STEP_OPEN);
    const written = io.write(handle, REGION_POOL, SCRATCH_AT, text.length, 0);
    yield 0;
    const bytes = io.result(written);
    const before = bytes === text.length ? 0 : bytes < 0 ? bytes : RESULT_SHORT_WRITE;
    const { failure, step } = yield* syncAndClose(io, handle, { failure: before, step: STEP_WRITE });
    if (failure !== 0) return io.respond(failure, step);

    const syncedName = io.fsync(directory);
    yield 0;
    if (io.result(syncedName) < 0) return io.respond(io.result(syncedName), STEP_DIRECTORY_FSYNC);
    const switched = yield* renameDurably(io, directory, CURRENT_TEMPORARY_NAME, CURRENT_NAME);
    io.respond(switched.failure, switched.step);
  }

  /** With `sync` its space is given back now, and not together with that of others when the file system next commits. */
  *#removeFile(number: number, kind: 1 | 2 | 3, sync: boolean): RoleTask {
    const { io, memory, files } = this.#basics;
    if (kind === FILE_MANIFEST) {
      const handle = files.take(number);
      if (handle !== undefined) {
        io.close(handle);
        yield 0;
      }
    }
    const unlinked = io.unlink(memory.directory, nameOf(kind, number));
    yield 0;
    const result = io.result(unlinked);
    if (sync && result >= 0) {
      const synced = io.fsync(memory.directory);
      yield 0;
      if (io.result(synced) < 0) return io.respond(io.result(synced), STEP_DIRECTORY_FSYNC);
    }
    io.respond(result, STEP_UNLINK);
  }
}

function nameOf(kind: 1 | 2 | 3, number: number): string {
  switch (kind) {
    case FILE_LOG:
      return logName(number);
    case FILE_TABLE:
      return tableName(number);
    case FILE_MANIFEST:
      return manifestName(number);
    default:
      return unreachable(kind);
  }
}
