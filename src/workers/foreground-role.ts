/**
 * The foreground role: opens tables and reads their pages into buffers that requests lend. Ring threads only.
 *
 * A read lands where the request says (a block-cache slot, by READ_FIXED). Off the owner's thread, here, its checksum is
 * verified and it is decompressed, within its slot, if it is compressed; the answer is a number. A read ahead lands in
 * whichever of the buffers lent for that purpose the kernel picks. Many reads are under way at once, one record each.
 */
import { constants } from 'node:fs';
import { assert, must } from '../assert.ts';
import { verifyBlock } from '../format/block-check.ts';
import { tableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { BlockOpener } from '../protocol/block-opener.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import {
  CLOSE_TABLE,
  OPEN_TABLE,
  READ_AHEAD,
  READ_PAGES,
  RESULT_CHECKSUM,
  RESULT_SHORT_READ,
  ROLE_FOREGROUND,
  STEP_OPEN,
  STEP_READ,
  VERIFY_NOTHING,
} from '../protocol/requests.ts';
import { NO_BUFFER } from './ring.ts';
import type { RequestArguments, Role, RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

/** Reads of one request until a read that makes no progress is taken for the end of the file. */
const READ_ATTEMPTS_MAX = 8;

export class ForegroundRole implements Role {
  readonly id = ROLE_FOREGROUND;
  readonly #basics: RoleBasics;
  readonly #opener = new BlockOpener();

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
        return this.#readPages(args[0] >>> 0, args[1] >>> 0, args[2], args[3] >>> 0, args[4]);
      case READ_AHEAD:
        return this.#readAhead(args[0] >>> 0, args[1] >>> 0, args[2], args[3] >>> 0, args[4]);
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

  *#readPages(table: number, page: number, pageCount: number, poolPage: number, verify: number): RoleTask {
    const { io, memory, files } = this.#basics;
    const handle = must(files.get(table), 'a table is opened before it is read');
    const length = pageCount * PAGE_BYTES;
    const target = poolPage * PAGE_BYTES;
    const offset = page * PAGE_BYTES;
    assert(target + length <= memory.pool.length, 'a read lands inside the pool');
    const { done, failure } = yield* this.#readRest(handle, target, offset, 0, length);
    if (failure < 0) return io.respond(failure, STEP_READ);
    if (done < length) return io.respond(RESULT_SHORT_READ, done);
    if (verify === VERIFY_NOTHING) return io.respond(0);
    const verdict = verifyBlock(memory.pool, target, length, table, offset);
    if (!verdict.ok) return io.respond(RESULT_CHECKSUM, verdict.expected | 0, verdict.actual | 0);
    const opened = this.#opener.open(memory.pool, target, length, verify, memory.slotBytes);
    if (opened < 0) return io.respond(opened);
    io.respond(0, opened);
  }

  *#readAhead(table: number, page: number, pageCount: number, poolPage: number, verify: number): RoleTask {
    const { io, memory, files } = this.#basics;
    const handle = must(files.get(table), 'a table is opened before it is read');
    const length = pageCount * PAGE_BYTES;
    const offset = page * PAGE_BYTES;
    const read = io.readSelect(handle, REGION_POOL, poolPage * PAGE_BYTES, length, offset);
    yield 0;
    const bytes = io.result(read);
    const target = io.buffer(read);
    if (target === NO_BUFFER) {
      memory.hasKeptBuffers = true;
      return io.respond(bytes, NO_BUFFER);
    }
    const landed = target / PAGE_BYTES;
    if (bytes < 0) return io.respond(bytes, landed);
    const { done, failure } = yield* this.#readRest(
      handle,
      target,
      offset,
      wholePages(bytes, length),
      length,
    );
    if (failure < 0) return io.respond(failure, landed);
    if (done < length) return io.respond(RESULT_SHORT_READ, landed);
    const verdict = verifyBlock(memory.pool, target, length, table, offset);
    if (!verdict.ok) return io.respond(RESULT_CHECKSUM, landed);
    const opened = this.#opener.open(memory.pool, target, length, verify, memory.slotBytes);
    if (opened < 0) return io.respond(opened, landed);
    io.respond(landed, opened);
  }

  /** Reads on until `length` bytes are there, a read fails, or reads make no progress. */
  *#readRest(
    handle: number,
    target: number,
    offset: number,
    begun: number,
    length: number,
  ): Generator<number, { done: number; failure: number }, void> {
    const { io, memory } = this.#basics;
    let done = begun;
    for (let attempt = 0; done < length && attempt < READ_ATTEMPTS_MAX; attempt++) {
      const flags = memory.pollFlag(length - done);
      const read = io.read(handle, REGION_POOL, target + done, length - done, offset + done, flags);
      yield 0;
      const bytes = io.result(read);
      if (memory.stopsPolling(bytes, flags)) continue;
      if (bytes < 0) return { done, failure: bytes };
      const progress = wholePages(bytes, length - done);
      if (progress === 0) break;
      done += progress;
    }
    return { done, failure: 0 };
  }
}

/** O_DIRECT goes on at a page: what came short of one is read again. */
function wholePages(bytes: number, wanted: number): number {
  return bytes === wanted ? bytes : bytes - (bytes % PAGE_BYTES);
}
