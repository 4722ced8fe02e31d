/**
 * The foreground role: opens tables and reads their pages into buffers that requests lend. Ring threads only.
 *
 * A read lands where the request says (a block-cache slot, by READ_FIXED), its checksum is verified here, off the
 * owner's thread, and the answer is a number. Many reads are under way at once, one record each.
 */
import { constants } from 'node:fs';
import { assert, must } from '../assert.ts';
import { verifyBlock } from '../format/block-check.ts';
import { tableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import {
  CLOSE_TABLE,
  OPEN_TABLE,
  READ_PAGES,
  RESULT_CHECKSUM,
  RESULT_SHORT_READ,
  ROLE_FOREGROUND,
  STEP_OPEN,
  STEP_READ,
} from '../protocol/requests.ts';
import type { RequestArguments, Role, RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

/** Reads of one request until a read that makes no progress is taken for the end of the file. */
const READ_ATTEMPTS_MAX = 8;

export class ForegroundRole implements Role {
  readonly id = ROLE_FOREGROUND;
  readonly #basics: RoleBasics;

  constructor(basics: RoleBasics) {
    this.#basics = basics;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    switch (opcode) {
      case OPEN_TABLE:
        return this.#openTable(args[0] >>> 0);
      case CLOSE_TABLE:
        return this.#basics.closeFile(args[0] >>> 0);
      case READ_PAGES:
        return this.#readPages(args[0] >>> 0, args[1] >>> 0, args[2], args[3] >>> 0, args[4] !== 0);
      default:
        return this.#basics.start(opcode, args);
    }
  }

  *#openTable(table: number): RoleTask {
    const { io, memory, files } = this.#basics;
    const direct = memory.directIo ? constants.O_DIRECT : 0;
    const opened = io.open(memory.directory, tableName(table), constants.O_RDONLY | direct);
    yield 0;
    const handle = io.result(opened);
    if (handle < 0) return io.respond(handle, STEP_OPEN);
    files.set(table, handle);
    io.respond(0);
  }

  *#readPages(table: number, page: number, pageCount: number, poolPage: number, verify: boolean): RoleTask {
    const { io, memory, files } = this.#basics;
    const handle = must(files.get(table), 'a table is opened before it is read');
    const length = pageCount * PAGE_BYTES;
    const target = poolPage * PAGE_BYTES;
    const offset = page * PAGE_BYTES;
    assert(target + length <= memory.pool.length, 'a read lands inside the pool');
    let done = 0;
    for (let attempt = 0; done < length; attempt++) {
      const read = io.read(handle, REGION_POOL, target + done, length - done, offset + done);
      yield 0;
      const bytes = io.result(read);
      if (bytes < 0) return io.respond(bytes, STEP_READ);
      // O_DIRECT goes on at a page: what came short of one is read again.
      const progress = bytes === length - done ? bytes : bytes - (bytes % PAGE_BYTES);
      done += progress;
      if (progress === 0 || attempt === READ_ATTEMPTS_MAX) {
        if (done < length) return io.respond(RESULT_SHORT_READ, done);
      }
    }
    if (verify) {
      const verdict = verifyBlock(memory.pool, target, length, table, offset);
      if (!verdict.ok) return io.respond(RESULT_CHECKSUM, verdict.expected | 0, verdict.actual | 0);
    }
    io.respond(0);
  }
}
