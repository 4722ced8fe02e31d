/**
 * In place of the roles of flushes and compactions: large reads and writes, each a request of its own. Ring threads of
 * benchmarks only.
 *
 * A request of these roles is a whole table, whose records cannot be told apart from outside. So this role pushes the same
 * records one by one: 256 KiB from and to the roles' own buffers, with their flags, and the syncs that they put between.
 */
import { constants } from 'node:fs';
import { must } from '../../src/assert.ts';
import { tableName } from '../../src/format/file-names.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { REGION_POOL } from '../../src/protocol/crew-layout.ts';
import {
  OPEN_TABLE,
  RESULT_SHORT_READ,
  RESULT_SHORT_WRITE,
  ROLE_COMPACTION,
  STEP_FSYNC,
  STEP_OPEN,
  STEP_READ,
  STEP_WRITE,
  type RoleId,
} from '../../src/protocol/requests.ts';
import { FLAG_ASYNC, FLAG_DATASYNC, FLAG_IDLE } from '../../src/workers/ring.ts';
import type { RoleTask } from '../../src/workers/role-io.ts';
import type { RequestArguments, Role, RoleBasics } from '../../src/workers/role.ts';

/** Table, page in file, pages, page in pool; no role's own requests have these numbers. */
export const TRANSFER_READ = 1000;
export const TRANSFER_WRITE = 1001;
/** Table. */
export const TRANSFER_SYNC = 1002;

export class TransferRole implements Role {
  readonly id: RoleId;
  readonly #basics: RoleBasics;

  constructor(id: RoleId, basics: RoleBasics) {
    this.id = id;
    this.#basics = basics;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    switch (opcode) {
      case OPEN_TABLE:
        return this.#open(args[0] >>> 0);
      case TRANSFER_READ:
        return this.#read(args);
      case TRANSFER_WRITE:
        return this.#write(args);
      case TRANSFER_SYNC:
        return this.#sync(args[0] >>> 0);
      default:
        return this.#basics.start(opcode, args);
    }
  }

  *#open(table: number): RoleTask {
    const { io, memory, files } = this.#basics;
    const direct = memory.directIo ? constants.O_DIRECT : 0;
    const opened = io.open(memory.directory, tableName(table), constants.O_RDWR | direct);
    yield 0;
    const handle = io.result(opened);
    if (handle < 0) return io.respond(handle, STEP_OPEN);
    files.set(table, handle);
    io.respond(0);
  }

  *#read([table, page, pageCount, poolPage]: RequestArguments): RoleTask {
    const { io, memory } = this.#basics;
    const length = pageCount * PAGE_BYTES;
    const flags = memory.directIo ? this.#flags : this.#flags | FLAG_ASYNC;
    const handle = this.#handle(table);
    const read = io.read(handle, REGION_POOL, poolPage * PAGE_BYTES, length, page * PAGE_BYTES, flags);
    yield 0;
    const bytes = io.result(read);
    if (bytes < 0) return io.respond(bytes, STEP_READ);
    io.respond(bytes === length ? 0 : RESULT_SHORT_READ, bytes);
  }

  *#write([table, page, pageCount, poolPage]: RequestArguments): RoleTask {
    const { io } = this.#basics;
    const length = pageCount * PAGE_BYTES;
    const handle = this.#handle(table);
    const write = io.write(
      handle,
      REGION_POOL,
      poolPage * PAGE_BYTES,
      length,
      page * PAGE_BYTES,
      this.#flags,
    );
    yield 0;
    const bytes = io.result(write);
    if (bytes < 0) return io.respond(bytes, STEP_WRITE);
    io.respond(bytes === length ? 0 : RESULT_SHORT_WRITE, bytes);
  }

  *#sync(table: number): RoleTask {
    const { io } = this.#basics;
    const synced = io.fsync(this.#handle(table), FLAG_DATASYNC);
    yield 0;
    io.respond(io.result(synced), STEP_FSYNC);
  }

  #handle(table: number): number {
    return must(this.#basics.files.get(table), 'a file is opened before it is used');
  }

  /** A compaction's reads and writes stand behind everybody else's. */
  get #flags(): number {
    return this.id === ROLE_COMPACTION ? FLAG_IDLE : 0;
  }
}
