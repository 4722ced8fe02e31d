/**
 * The wal role: seals frames and writes them durably, in order, one at a time. Ring threads only.
 *
 * Every frame is one write with RWF_DSYNC into a file that was written through before, whoever asked for durability
 * or not: a durable write behind an unsynced one would not protect it. What survives a crash is therefore a prefix of
 * the frames, and every acknowledged frame is in it.
 */
import { constants } from 'node:fs';
import { assert, must } from '../assert.ts';
import { logName } from '../format/file-names.ts';
import { sealFrame } from '../format/frame.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import {
  CLOSE_LOG,
  OPEN_LOG,
  RESULT_SHORT_WRITE,
  ROLE_WAL,
  STEP_OPEN,
  STEP_WRITE,
  WRITE_FRAME,
} from '../protocol/requests.ts';
import { FLAG_DSYNC } from './ring.ts';
import type { RequestArguments, Role, RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

/** A short write is written again whole, this often in all: resuming it in the middle could leave its head unsynced. */
const WRITE_ATTEMPTS_MAX = 2;

export class WalRole implements Role {
  readonly id = ROLE_WAL;
  readonly #basics: RoleBasics;
  #writing = false;

  constructor(basics: RoleBasics) {
    this.#basics = basics;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    switch (opcode) {
      case WRITE_FRAME:
        return this.#writeFrame(args[0] >>> 0, args[1] >>> 0, args[2] >>> 0);
      case OPEN_LOG:
        return this.#openLog(args[0] >>> 0);
      case CLOSE_LOG:
        return this.#basics.closeFile(args[0] >>> 0);
      default:
        return this.#basics.start(opcode, args);
    }
  }

  /** Before it is needed: that there is no descriptor left must not be met when a frame is to be written. */
  *#openLog(log: number): RoleTask {
    const { io, memory, files } = this.#basics;
    const direct = memory.directIo ? constants.O_DIRECT : 0;
    const opened = io.open(memory.directory, logName(log), constants.O_WRONLY | direct);
    yield 0;
    const handle = io.result(opened);
    if (handle < 0) return io.respond(handle, STEP_OPEN);
    files.set(log, handle);
    io.respond(0);
  }

  *#writeFrame(log: number, page: number, poolPage: number): RoleTask {
    const { io, memory, files } = this.#basics;
    assert(!this.#writing, 'a frame is issued when the one before it is durable');
    this.#writing = true;
    const at = poolPage * PAGE_BYTES;
    const offset = page * PAGE_BYTES;
    const length = sealFrame(memory.pool, at, memory.salt, offset);
    const handle = must(files.get(log), 'a log is opened before it is written to');
    let written = 0;
    for (let attempts = 0; attempts < WRITE_ATTEMPTS_MAX && written >= 0 && written < length;) {
      const flags = FLAG_DSYNC | memory.pollFlag(length);
      const write = io.write(handle, REGION_POOL, at, length, offset, flags);
      yield 0;
      const result = io.result(write);
      // Once at most: then nothing is polled for any more.
      if (memory.stopsPolling(result, flags)) continue;
      written = result;
      attempts++;
    }
    this.#writing = false;
    if (written < 0) return io.respond(written, STEP_WRITE);
    if (written < length) return io.respond(RESULT_SHORT_WRITE, written);
    io.respond(length / PAGE_BYTES);
  }
}
