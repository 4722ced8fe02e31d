/**
 * What each ring is asked for, one request after another: blocks, pieces of tables, frames of the log. Owner of benchmarks
 * only. A lane is one of those that may be in flight, with a buffer of its own.
 */
import type { Answer, CompletionHandler, IoScheduler } from '../../src/main/io-scheduler.ts';
import { FRAME_FULL, FRAME_HEADER_BYTES, writeFrameHeader } from '../../src/format/frame.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import {
  COMPACTION_READ_BUFFERS_AT,
  COMPACTION_READ_BYTES,
  COMPACTION_WRITE_BUFFERS_AT,
  LOG_STAGING_AT,
  SLOTS_AT,
  STAGING_BYTES,
  WRITE_BUFFER_BYTES,
  WRITE_BUFFER_COUNT,
  WRITE_BUFFERS_AT,
} from '../../src/protocol/crew-layout.ts';
import {
  READ_PAGES,
  ROLE_COMPACTION,
  ROLE_FOREGROUND,
  ROLE_WAL,
  VERIFY_CHECKSUM,
  WRITE_FRAME,
  type RoleId,
} from '../../src/protocol/requests.ts';
import { pseudoRandom } from '../support/measure.ts';
import { TRANSFER_READ, TRANSFER_SYNC, TRANSFER_WRITE } from './transfer-role.ts';

export const BLOCK_BYTES = 16 * 1024;
export const PIECE_BYTES = WRITE_BUFFER_BYTES;
/** A piece's writer has the file synced after each MiB, beside the writes. */
const PIECES_PER_SYNC = (1024 * 1024) / PIECE_BYTES;
/** Buffers that pieces are read into. */
const READ_BUFFERS = COMPACTION_READ_BYTES / PIECE_BYTES;

/** A file that is there in full length. */
export interface TrafficFile {
  readonly number: number;
  readonly bytes: number;
}

export interface Traffic {
  readonly role: RoleId;
  /** Of one request. */
  readonly bytes: number;
  /** Asks for the next one. The handler is called with its answer, which `failureOf` looks at. */
  request(lane: number, handler: CompletionHandler): void;
  /** What went wrong, or undefined. */
  failureOf(answer: Answer): Error | undefined;
}

/** Blocks at random places into slots of the cache, their checksums verified, as gets ask for them. */
export class BlockReads implements Traffic {
  readonly role = ROLE_FOREGROUND;
  readonly bytes = BLOCK_BYTES;
  readonly #scheduler: IoScheduler;
  readonly #file: TrafficFile;
  readonly #random = pseudoRandom(1);

  constructor(scheduler: IoScheduler, file: TrafficFile) {
    this.#scheduler = scheduler;
    this.#file = file;
  }

  request(lane: number, handler: CompletionHandler): void {
    const { number, bytes } = this.#file;
    const page = (this.#random(bytes / BLOCK_BYTES) * BLOCK_BYTES) / PAGE_BYTES;
    const poolPage = (SLOTS_AT + lane * BLOCK_BYTES) / PAGE_BYTES;
    const pageCount = BLOCK_BYTES / PAGE_BYTES;
    this.#scheduler.request(
      this.role,
      READ_PAGES,
      handler,
      number,
      page,
      pageCount,
      poolPage,
      VERIFY_CHECKSUM,
    );
  }

  failureOf(answer: Answer): Error | undefined {
    return failureOf(this.#scheduler, 'reading a block', this.#file, answer);
  }
}

/** Durable frames of the log, one behind the other in a file that was written before. REQUIRES: one lane. */
export class FrameWrites implements Traffic {
  readonly role = ROLE_WAL;
  readonly bytes: number;
  readonly #scheduler: IoScheduler;
  readonly #pool: Uint8Array;
  readonly #file: TrafficFile;
  #end = 0;
  #frames = 0;

  /** `bytes`: whole pages. */
  constructor(scheduler: IoScheduler, pool: Uint8Array, file: TrafficFile, bytes: number) {
    this.#scheduler = scheduler;
    this.#pool = pool;
    this.#file = file;
    this.bytes = bytes;
  }

  request(_lane: number, handler: CompletionHandler): void {
    const { number: fileNumber, bytes } = this.#file;
    const at = LOG_STAGING_AT + (this.#frames % 2) * STAGING_BYTES;
    const payloadLength = this.bytes - FRAME_HEADER_BYTES;
    const firstSequence = ++this.#frames;
    writeFrameHeader(this.#pool, at, {
      kind: FRAME_FULL,
      fileNumber,
      firstSequence,
      count: 1,
      payloadLength,
    });
    if (this.#end + this.bytes > bytes) this.#end = 0;
    const page = this.#end / PAGE_BYTES;
    this.#end += this.bytes;
    this.#scheduler.request(this.role, WRITE_FRAME, handler, fileNumber, page, at / PAGE_BYTES);
  }

  failureOf(answer: Answer): Error | undefined {
    return failureOf(this.#scheduler, 'writing a frame', this.#file, answer);
  }
}

/** A compaction's input, in order and from the beginning again. */
export class PieceReads implements Traffic {
  readonly role = ROLE_COMPACTION;
  readonly bytes = PIECE_BYTES;
  readonly #scheduler: IoScheduler;
  readonly #file: TrafficFile;
  #at = 0;

  constructor(scheduler: IoScheduler, file: TrafficFile) {
    this.#scheduler = scheduler;
    this.#file = file;
  }

  request(lane: number, handler: CompletionHandler): void {
    const { number, bytes } = this.#file;
    const page = this.#at / PAGE_BYTES;
    this.#at = (this.#at + PIECE_BYTES) % bytes;
    const poolPage = (COMPACTION_READ_BUFFERS_AT + (lane % READ_BUFFERS) * PIECE_BYTES) / PAGE_BYTES;
    const pageCount = PIECE_BYTES / PAGE_BYTES;
    this.#scheduler.request(this.role, TRANSFER_READ, handler, number, page, pageCount, poolPage);
  }

  failureOf(answer: Answer): Error | undefined {
    return failureOf(this.#scheduler, 'reading a piece', this.#file, answer);
  }
}

/**
 * A table's pieces, written over an old table's, and a sync beside them for each MiB. More lanes than the roles have buffers
 * share these: what is written does not matter here.
 */
export class PieceWrites implements Traffic {
  readonly role: RoleId;
  readonly bytes = PIECE_BYTES;
  readonly #scheduler: IoScheduler;
  readonly #file: TrafficFile;
  readonly #buffersAt: number;
  #at = 0;
  #unsynced = 0;
  #isSyncing = false;
  readonly #onSynced: CompletionHandler = (result, detail0, detail1) => {
    this.#isSyncing = false;
    const failure = failureOf(this.#scheduler, 'syncing', this.#file, { result, detail0, detail1 });
    if (failure !== undefined) throw failure;
  };

  constructor(scheduler: IoScheduler, role: RoleId, file: TrafficFile) {
    this.#scheduler = scheduler;
    this.role = role;
    this.#file = file;
    this.#buffersAt = role === ROLE_COMPACTION ? COMPACTION_WRITE_BUFFERS_AT : WRITE_BUFFERS_AT;
  }

  request(lane: number, handler: CompletionHandler): void {
    const { number, bytes } = this.#file;
    const page = this.#at / PAGE_BYTES;
    this.#at = (this.#at + PIECE_BYTES) % bytes;
    const poolPage = (this.#buffersAt + (lane % WRITE_BUFFER_COUNT) * PIECE_BYTES) / PAGE_BYTES;
    const pageCount = PIECE_BYTES / PAGE_BYTES;
    this.#scheduler.request(this.role, TRANSFER_WRITE, handler, number, page, pageCount, poolPage);
    if (++this.#unsynced < PIECES_PER_SYNC || this.#isSyncing) return;
    this.#unsynced = 0;
    this.#isSyncing = true;
    this.#scheduler.request(this.role, TRANSFER_SYNC, this.#onSynced, number);
  }

  failureOf(answer: Answer): Error | undefined {
    return failureOf(this.#scheduler, 'writing a piece', this.#file, answer);
  }
}

function failureOf(
  scheduler: IoScheduler,
  act: string,
  file: TrafficFile,
  answer: Answer,
): Error | undefined {
  return answer.result < 0 ? scheduler.errorOf(act, `of file ${file.number}`, answer) : undefined;
}
