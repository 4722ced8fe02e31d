/**
 * Frames of the log written on the owner's own ring (caller-io.ts). Owner only.
 *
 * As the wal role writes them: sealed, and one durable write each, one at a time. The wal thread has large ones, whose
 * checksums would hold this thread up, and those that came short, which it writes again whole. What failed is final here as
 * well as there.
 *
 * Bound: one frame at a time.
 */
import { constants } from 'node:fs';
import { assert } from '../assert.ts';
import { logName } from '../format/file-names.ts';
import { FRAME_HEADER_BYTES, sealFrame } from '../format/frame.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { STEP_WRITE } from '../protocol/requests.ts';
import { FLAG_DSYNC, OPCODE_WRITE } from '../protocol/ring-records.ts';
import { STATISTIC_BYTES_WRITTEN, STATISTIC_REQUESTS } from '../protocol/ring-statistics.ts';
import { CallerFiles } from './caller-files.ts';
import type { CallerIo } from './caller-io.ts';
import type { CompletionHandler } from './io-scheduler.ts';

/** Its checksum takes some 10 µs. */
const PAYLOAD_BYTES_MAX = 256 * 1024;

/** A frame, whose header and payload are written. */
export interface Frame {
  readonly log: number;
  /** Byte of the file that it will stand at. */
  readonly offset: number;
  /** Byte of the pool. */
  readonly at: number;
  readonly payloadLength: number;
}

export class CallerFrames {
  readonly #io: CallerIo;
  readonly #pool: Uint8Array;
  readonly #salt: number;
  readonly logs: CallerFiles;
  #isWriting = false;

  constructor(io: CallerIo, pool: Uint8Array, salt: number) {
    this.#io = io;
    this.logs = new CallerFiles(io, logName, constants.O_WRONLY);
    this.#pool = pool;
    this.#salt = salt;
  }

  /** Begins to open a log that has been prepared; until it is open its frames are the wal thread's. */
  openLog(log: number): void {
    if (this.#io.room === 0) return;
    this.logs.open(log);
  }

  /**
   * Begins to write a frame; false: the wal thread has to, as it has with `onRefused` later. `onDone` is given what that
   * thread would answer.
   */
  write(frame: Frame, onDone: CompletionHandler, onRefused: () => void): boolean {
    const handle = this.logs.handleOf(frame.log);
    if (handle === undefined || frame.payloadLength > PAYLOAD_BYTES_MAX || this.#io.room === 0) return false;
    assert(!this.#isWriting, 'a frame is issued when the one before it is durable');
    this.#isWriting = true;
    const length = sealFrame(this.#pool, frame.at, this.#salt, frame.offset);
    assert(length >= FRAME_HEADER_BYTES, 'a frame has a header');
    const { statistics } = this.#io;
    statistics[STATISTIC_REQUESTS] += 1;
    this.#io.push(OPCODE_WRITE, handle, frame.at, length, frame.offset, FLAG_DSYNC, (result) => {
      this.#isWriting = false;
      if (result === length) {
        statistics[STATISTIC_BYTES_WRITTEN] += length;
        onDone(length / PAGE_BYTES, 0, 0);
      } else if (result < 0) {
        onDone(result, STEP_WRITE, 0);
      } else {
        onRefused();
      }
    });
    return true;
  }
}
