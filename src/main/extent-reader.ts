/**
 * Reads a run of a table's pages into memory of its own: a table's index and filter, and blocks that are larger than a
 * cache slot. Owner only.
 *
 * The kernel reads into the pool's transfer buffers; each is copied out as it lands, which is the only copy. The
 * buffers bound what is in flight: chunks of all extents that are being read take them in order. Callbacks, not
 * promises, so that a synchronous read can wait for it.
 */
import type { QuadringError } from '../errors.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import {
  TRANSFER_BUFFER_BYTES,
  TRANSFER_BUFFER_COUNT,
  TRANSFER_BUFFERS_AT,
} from '../protocol/crew-layout.ts';
import { READ_PAGES, ROLE_FOREGROUND } from '../protocol/requests.ts';
import { Fifo } from './fifo.ts';
import { copyBytes } from './bytes.ts';
import type { IoScheduler } from './io-scheduler.ts';

const CHUNK_PAGES = TRANSFER_BUFFER_BYTES / PAGE_BYTES;

/** `bytes` are the caller's own; nothing in them is verified. */
export type ExtentHandler = (error: QuadringError | undefined, bytes: Uint8Array) => void;

export interface ExtentPlace {
  readonly table: number;
  readonly fileName: string;
  readonly page: number;
  readonly pageCount: number;
}

interface ExtentRead {
  readonly place: ExtentPlace;
  readonly bytes: Uint8Array;
  readonly handler: ExtentHandler;
  /** Pages asked for, and chunks that have not come. */
  asked: number;
  pending: number;
  error: QuadringError | undefined;
}

export class ExtentReader {
  readonly #scheduler: IoScheduler;
  readonly #pool: Uint8Array;
  readonly #freeBuffers = Array.from({ length: TRANSFER_BUFFER_COUNT }, (_, i) => i);
  /** Extents of which not all pages have been asked for, oldest first. */
  readonly #unfinished = new Fifo<ExtentRead>();

  constructor(scheduler: IoScheduler, pool: Uint8Array) {
    this.#scheduler = scheduler;
    this.#pool = pool;
  }

  /** `handler` is called once, while completions are drained. */
  read(place: ExtentPlace, handler: ExtentHandler): void {
    const bytes = Buffer.allocUnsafeSlow(place.pageCount * PAGE_BYTES);
    this.#unfinished.push({ place, bytes, handler, asked: 0, pending: 0, error: undefined });
    this.#ask();
  }

  #ask(): void {
    while (this.#freeBuffers.length > 0) {
      const read = this.#unfinished.peek();
      if (read === undefined) return;
      const first = read.asked;
      const count = Math.min(CHUNK_PAGES, read.place.pageCount - first);
      const buffer = this.#freeBuffers.pop() as number;
      read.asked += count;
      read.pending++;
      if (read.asked === read.place.pageCount) this.#unfinished.shift();
      const at = TRANSFER_BUFFERS_AT + buffer * TRANSFER_BUFFER_BYTES;
      this.#scheduler.request(
        ROLE_FOREGROUND,
        READ_PAGES,
        (result, detail0, detail1) => {
          if (result < 0) {
            const offset = (read.place.page + first) * PAGE_BYTES;
            const answer = { result, detail0, detail1 };
            read.error ??= this.#scheduler.errorOf('reading', read.place.fileName, answer, offset);
          } else {
            copyBytes(this.#pool, at, count * PAGE_BYTES, read.bytes, first * PAGE_BYTES);
          }
          read.pending--;
          this.#freeBuffers.push(buffer);
          this.#ask();
          if (read.pending === 0 && read.asked === read.place.pageCount) read.handler(read.error, read.bytes);
        },
        read.place.table,
        read.place.page + first,
        count,
        at / PAGE_BYTES,
        0,
      );
    }
  }
}
