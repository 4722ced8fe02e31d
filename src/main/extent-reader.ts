/**
 * Reads a run of a table's pages into memory of its own: a table's index and filter, and blocks that are larger than a
 * cache slot. Owner only.
 *
 * The pages travel through cache slots that are lent for the purpose, CHUNKS_MAX at a time, and are copied out as they
 * land. Callbacks, not promises, so that a synchronous read can wait for it.
 */
import { QuadringError } from '../errors.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { READ_PAGES, ROLE_FOREGROUND } from '../protocol/requests.ts';
import type { BlockCache } from './block-cache.ts';
import type { IoScheduler } from './io-scheduler.ts';

/** Chunks of one extent that are under way at once. */
const CHUNKS_MAX = 8;

export type ExtentHandler = (error: QuadringError | undefined, bytes: Uint8Array) => void;

export interface ExtentPlace {
  readonly table: number;
  readonly fileName: string;
  readonly page: number;
  readonly pageCount: number;
}

/** `handler` is called once, while completions are drained. Nothing is verified here: the caller knows what it read. */
export function readExtent(
  scheduler: IoScheduler,
  cache: BlockCache,
  place: ExtentPlace,
  handler: ExtentHandler,
): void {
  new ExtentRead(scheduler, cache, place, handler).begin();
}

class ExtentRead {
  readonly #scheduler: IoScheduler;
  readonly #cache: BlockCache;
  readonly #place: ExtentPlace;
  readonly #handler: ExtentHandler;
  readonly #bytes: Uint8Array;
  readonly #chunkPages: number;
  /** Pages asked for, and chunks that have not come. */
  #asked = 0;
  #pending = 0;
  #error: QuadringError | undefined;

  constructor(scheduler: IoScheduler, cache: BlockCache, place: ExtentPlace, handler: ExtentHandler) {
    this.#scheduler = scheduler;
    this.#cache = cache;
    this.#place = place;
    this.#handler = handler;
    this.#bytes = new Uint8Array(place.pageCount * PAGE_BYTES);
    this.#chunkPages = cache.slotBytes / PAGE_BYTES;
  }

  begin(): void {
    while (this.#pending < CHUNKS_MAX && this.#asked < this.#place.pageCount) this.#ask();
  }

  #ask(): void {
    const first = this.#asked;
    const count = Math.min(this.#chunkPages, this.#place.pageCount - first);
    this.#asked += count;
    this.#pending++;
    const taken = this.#cache.takeSlot((slot) => {
      const base = this.#cache.baseOf(slot);
      this.#scheduler.request(
        ROLE_FOREGROUND,
        READ_PAGES,
        (result, detail0, detail1) => this.#onRead(slot, first, count, result, detail0, detail1),
        this.#place.table,
        this.#place.page + first,
        count,
        base / PAGE_BYTES,
        0,
      );
    });
    if (taken !== 'refused') return;
    this.#pending--;
    this.#error ??= new QuadringError('OVERLOADED', 'too many reads are waiting');
    this.#asked = this.#place.pageCount;
    if (this.#pending === 0) this.#handler(this.#error, this.#bytes);
  }

  #onRead(
    slot: number,
    first: number,
    count: number,
    result: number,
    detail0: number,
    detail1: number,
  ): void {
    this.#pending--;
    if (result < 0) {
      const { fileName, page } = this.#place;
      const offset = (page + first) * PAGE_BYTES;
      this.#error ??= this.#scheduler.errorOf('reading', fileName, { result, detail0, detail1 }, offset);
      this.#asked = this.#place.pageCount;
    } else {
      const base = this.#cache.baseOf(slot);
      this.#bytes.set(this.#cache.bytes.subarray(base, base + count * PAGE_BYTES), first * PAGE_BYTES);
    }
    this.#cache.returnSlot(slot);
    if (this.#asked < this.#place.pageCount) this.#ask();
    else if (this.#pending === 0) this.#handler(this.#error, this.#bytes);
  }
}
