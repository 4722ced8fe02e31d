/**
 * The block cache: a directory over slots of shared memory that the foreground thread reads blocks into. Owner only.
 *
 * A hit costs a look at the table's own array of slots and at one byte of use, and crosses no thread. Which slot is used
 * again is S3-FIFO's choice (cache-queues.ts): a hit moves nothing, and what is used once, as by a long scan, leaves
 * through a small queue without touching what is hot.
 *
 *     slot state   FREE      nothing in it
 *                  LENT      lent to a read: the foreground thread may be writing to it
 *                  CACHED    holds a verified block; table.slots names it
 *                  HELD      the same, and kept for whoever had it read ahead, until that one releases it
 *
 *     table.slots[block]     ≥ slot count   on its way, under this ticket
 *                            0 …            in this slot, or on its way to it
 *                            −1             not here
 *                            ≤ −2           not here, and when it was put out (a ghost)
 *
 * Every block-sized read takes its memory from here, so the number of slots bounds the bytes in flight; reads that find
 * every slot lent wait in order. A block larger than a slot never comes here: it is read into memory of its own, and
 * only a ticket says that it is on its way. With a cache of 0 a slot is free again as soon as its block was searched.
 */
import { markAsUntransferable } from 'node:worker_threads';
import { assert, must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { blockEntryCount } from '../format/block.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { SLOTS_AT } from '../protocol/crew-layout.ts';
import { READ_AHEAD, READ_PAGES, RESULT_MALFORMED, ROLE_FOREGROUND } from '../protocol/requests.ts';
import type { CallerReads } from './caller-reads.ts';
import { CacheQueues, GhostStamps } from './cache-queues.ts';
import type { ExtentReader } from './extent-reader.ts';
import { Fifo } from './fifo.ts';
import type { IoScheduler } from './io-scheduler.ts';
import { openOversizeBlock } from './oversize-block.ts';
import { NOT_CACHED, type Table } from './table.ts';

/** Somebody who waits for a block. Called while completions are drained: search, resolve, do not call users. */
export interface BlockWaiter {
  /**
   * The block is at `base`; `words` is a view of the same memory. `isPrivate`: the memory belongs to this waiter alone
   * from now on. Otherwise it is valid only during the call.
   */
  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void;
  onError(error: QuadringError): void;
}

/** Somebody who has blocks read before they are asked for. */
export interface PrefetchReader {
  /** The block is held in `slot` until `release`; −1: it could not be read. Called while completions are drained. */
  onPrefetched(block: number, slot: number): void;
}

export interface BlockCacheOptions {
  readonly scheduler: IoScheduler;
  /** Undefined: the foreground thread reads everything. */
  readonly callerReads: CallerReads | undefined;
  /** Reads what is larger than a slot. */
  readonly extents: ExtentReader;
  readonly pool: Uint8Array<SharedArrayBuffer>;
  readonly slotBytes: number;
  readonly slotCount: number;
  /** Whether blocks stay after they were searched. */
  readonly retain: boolean;
}

export interface CacheStatistics {
  /** Bytes that may be cached. */
  readonly capacityBytes: number;
  /** Bytes and blocks that are cached now. */
  readonly bytes: number;
  readonly blocks: number;
  /** Looks at a block that was cached, and at one that was not. */
  readonly hits: number;
  readonly misses: number;
  /** Reads that joined one that was under way for the same block. */
  readonly sharedReads: number;
  /** Blocks put out to make room. */
  readonly evictions: number;
}

const FREE = 0;
const LENT = 1;
const CACHED = 2;
const HELD = 3;

/** Reads that may wait for a slot; beyond, a read is refused. */
const WAITING_READS_MAX = 1 << 20;

/** Reads ahead and reads of large blocks that others can join while they are under way. */
const TICKET_COUNT = 1024;

export class BlockCache {
  /** A Buffer, as copies of blocks are: code that sees both then sees one kind of array. */
  readonly bytes: Buffer<SharedArrayBuffer>;
  readonly words: Uint16Array<SharedArrayBuffer>;
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly #scheduler: IoScheduler;
  readonly #callerReads: CallerReads | undefined;
  readonly #extents: ExtentReader;
  readonly #retain: boolean;
  readonly #queues: CacheQueues;
  readonly #ghosts: GhostStamps;
  /** Of slots and, behind them, of tickets, which are LENT or FREE. */
  readonly #states: Uint8Array;
  readonly #tables: (Table | undefined)[];
  readonly #blocks: Int32Array;
  readonly #waiters: (BlockWaiter[] | undefined)[];
  /** Of a slot that is read into: its block was put out a short while ago. */
  readonly #remembered: Uint8Array;
  /** Of a slot that is read into: somebody wants its block to stay. */
  readonly #kept: Uint8Array;
  readonly #waitingForSlot = new Fifo<(slot: number) => void>();
  readonly #freeSlots: number[] = [];
  readonly #freeTickets: number[] = [];
  /** Slots that reads ahead lent and that did not come back. */
  #keptSlots = 0;
  readonly #keptSlotsMax: number;
  #serving = false;
  #hits = 0;
  #misses = 0;
  #sharedReads = 0;
  #evictions = 0;

  constructor({ scheduler, callerReads, extents, pool, slotBytes, slotCount, retain }: BlockCacheOptions) {
    assert(SLOTS_AT + slotBytes * slotCount <= pool.length, 'the slots fit the pool');
    this.bytes = Buffer.from(pool.buffer);
    this.words = new Uint16Array(pool.buffer);
    this.slotBytes = slotBytes;
    this.slotCount = slotCount;
    this.#scheduler = scheduler;
    this.#callerReads = callerReads;
    this.#extents = extents;
    this.#retain = retain;
    this.#queues = new CacheQueues(slotCount);
    this.#ghosts = new GhostStamps(this.#queues.mainTarget);
    const places = slotCount + TICKET_COUNT;
    this.#states = new Uint8Array(places);
    this.#tables = new Array<Table | undefined>(places).fill(undefined);
    this.#blocks = new Int32Array(places);
    this.#waiters = new Array<BlockWaiter[] | undefined>(places).fill(undefined);
    this.#remembered = new Uint8Array(places);
    this.#kept = new Uint8Array(places);
    this.#keptSlotsMax = slotCount >> 2;
    for (let slot = slotCount - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
    for (let ticket = places - 1; ticket >= slotCount; ticket--) this.#freeTickets.push(ticket);
  }

  /** HOT. Where in `bytes` a block begins, or −1 when it is not here. */
  find(table: Table, block: number): number {
    const slot = table.slots[block];
    if (slot < 0) return -1;
    const state = this.#states[slot];
    if (state < CACHED) return -1;
    if (state === CACHED) {
      this.#queues.touch(slot);
      this.#hits++;
    }
    return SLOTS_AT + slot * this.slotBytes;
  }

  /** Whether a block is here or on its way. */
  isExpected(table: Table, block: number): boolean {
    return table.slots[block] >= 0;
  }

  /** Whether a block that is read now would put out no other. */
  get hasFreeSlots(): boolean {
    return this.#freeSlots.length > 0;
  }

  /** Whether a block is larger than a slot, or becomes so when it is decompressed. */
  isOversize(table: Table, block: number): boolean {
    return table.index.memoryPagesOf(block) * PAGE_BYTES > this.slotBytes;
  }

  /** Reads a block that `find` did not find; with `keep` it stays. Reads of one block that overlap share one. */
  load(table: Table, block: number, waiter: BlockWaiter, keep: boolean): void {
    this.#misses++;
    const place = table.slots[block];
    if (place >= 0) {
      if (this.#states[place] !== LENT) {
        waiter.onBlock(this.bytes, this.words, this.#baseOf(place), false);
        return;
      }
      this.#sharedReads++;
      if (keep) this.#kept[place] = 1;
      must(this.#waiters[place], 'a block on its way has waiters').push(waiter);
      return;
    }
    if (this.isOversize(table, block)) {
      this.#loadOversize(table, block, waiter);
      return;
    }
    const slot = this.#acquire();
    if (slot >= 0) {
      this.#readInto(slot, table, block, waiter, keep);
    } else if (this.#waitingForSlot.length < WAITING_READS_MAX) {
      table.hold();
      this.#waitingForSlot.push((late) => {
        // Somebody may have begun to read this block while this read waited for a slot.
        if (table.slots[block] < 0) {
          this.#readInto(late, table, block, waiter, keep);
        } else {
          this.#free(late);
          this.load(table, block, waiter, keep);
        }
        table.letGo();
      });
    } else {
      waiter.onError(new QuadringError('OVERLOADED', `more than ${WAITING_READS_MAX} reads are waiting`));
    }
  }

  /**
   * Begins to read a block that is not expected, for `reader`. False where that would have to wait for a slot, or where
   * the kernel has kept too many. A read that fails is not reported: whoever needs the block reads it again, and meets
   * the error. `isSoon`: it is one of a few, and wanted at once.
   */
  prefetch(table: Table, block: number, reader: PrefetchReader, isSoon: boolean): boolean {
    assert(!this.isExpected(table, block) && !this.isOversize(table, block), 'a block that has to be read');
    if (this.#keptSlots >= this.#keptSlotsMax) return false;
    const ticket = this.#freeTickets.pop();
    if (ticket === undefined) return false;
    const slot = this.#acquire();
    if (slot < 0) {
      this.#freeTickets.push(ticket);
      return false;
    }
    this.#expect(ticket, table, block);
    const poolPage = this.#baseOf(slot) / PAGE_BYTES;
    const ask = (): void =>
      this.#scheduler.request(
        ROLE_FOREGROUND,
        READ_AHEAD,
        (result, detail0) => this.#onPrefetched(ticket, result, detail0, reader),
        table.number,
        table.index.pageOf(block),
        table.index.pageCountOf(block),
        poolPage,
        table.verificationOf(block),
      );
    const onBlock = (pages: number): void => this.#onPrefetched(ticket, poolPage, pages, reader);
    if (!isSoon || !this.#readHere(slot, table, block, onBlock, ask)) ask();
    return true;
  }

  /** The end of a hold. With `keep` the block stays for others, or if somebody who joined the read wanted that. */
  release(slot: number, keep: boolean): void {
    assert(this.#states[slot] === HELD, 'a block that is released was held');
    if (this.#retain && (keep || this.#kept[slot] === 1)) this.#enqueue(slot);
    else this.#forget(slot);
  }

  /** Forgets a table's blocks. REQUIRES: nobody holds the table. */
  drop(table: Table): void {
    for (let block = 0; block < table.slots.length; block++) {
      const slot = table.slots[block];
      if (slot < 0) continue;
      assert(this.#states[slot] === CACHED, 'a table that nobody holds is not being read');
      this.#queues.remove(slot);
      this.#forget(slot);
    }
  }

  statistics(): CacheStatistics {
    const blocks = this.#queues.length;
    return {
      capacityBytes: this.#retain ? this.slotCount * this.slotBytes : 0,
      bytes: blocks * this.slotBytes,
      blocks,
      hits: this.#hits,
      misses: this.#misses,
      sharedReads: this.#sharedReads,
      evictions: this.#evictions,
    };
  }

  #baseOf(slot: number): number {
    return SLOTS_AT + slot * this.slotBytes;
  }

  /** A slot or a ticket stands for a block that is being read; the table is held meanwhile. */
  #expect(place: number, table: Table, block: number): void {
    table.hold();
    this.#remembered[place] = this.#ghosts.isRemembered(table.slots[block]) ? 1 : 0;
    this.#kept[place] = 0;
    this.#states[place] = LENT;
    this.#tables[place] = table;
    this.#blocks[place] = block;
    this.#waiters[place] = [];
    table.slots[block] = place;
  }

  /** What `expect` noted, when the read has come; nobody is expected here any more. The caller lets the table go. */
  #settle(ticket: number): { table: Table; block: number; waiters: BlockWaiter[] } {
    const table = must(this.#tables[ticket], 'a ticket stands for a block');
    const waiters = must(this.#waiters[ticket], 'a block on its way has waiters');
    this.#states[ticket] = FREE;
    this.#tables[ticket] = undefined;
    this.#waiters[ticket] = undefined;
    this.#freeTickets.push(ticket);
    return { table, block: this.#blocks[ticket], waiters };
  }

  #readInto(slot: number, table: Table, block: number, waiter: BlockWaiter, keep: boolean): void {
    this.#expect(slot, table, block);
    this.#kept[slot] = keep ? 1 : 0;
    must(this.#waiters[slot], 'a block on its way has waiters').push(waiter);
    const ask = (): void => this.#askForegroundThread(slot, table, block);
    if (!this.#readHere(slot, table, block, (pages) => this.#onRead(slot, 0, pages, 0), ask)) ask();
  }

  /** On the owner's own ring; false: it is to be asked of the foreground thread, as it is with `onRefused` later. */
  #readHere(
    slot: number,
    table: Table,
    block: number,
    onBlock: (pages: number) => void,
    onRefused: () => void,
  ): boolean {
    if (this.#callerReads === undefined) return false;
    const { index } = table;
    return this.#callerReads.read({
      table: table.number,
      page: index.pageOf(block),
      pageCount: index.pageCountOf(block),
      poolPage: this.#baseOf(slot) / PAGE_BYTES,
      verify: table.verificationOf(block),
      onBlock,
      onRefused,
    });
  }

  #askForegroundThread(slot: number, table: Table, block: number): void {
    this.#scheduler.request(
      ROLE_FOREGROUND,
      READ_PAGES,
      (result, detail0, detail1) => this.#onRead(slot, result, detail0, detail1),
      table.number,
      table.index.pageOf(block),
      table.index.pageCountOf(block),
      this.#baseOf(slot) / PAGE_BYTES,
      table.verificationOf(block),
    );
  }

  #onRead(slot: number, result: number, detail0: number, detail1: number): void {
    const table = must(this.#tables[slot], 'a slot that was read into belongs to a table');
    const block = this.#blocks[slot];
    const waiters = must(this.#waiters[slot], 'a slot that was read into has waiters');
    const base = this.#baseOf(slot);
    if (result < 0 || !table.admits(block, this.words, base, detail0)) {
      this.#waiters[slot] = undefined;
      this.#forget(slot);
      const offset = table.index.pageOf(block) * PAGE_BYTES;
      const answer = { result: Math.min(result, 0) || RESULT_MALFORMED, detail0, detail1 };
      const error = this.#scheduler.errorOf('reading', table.fileName, answer, offset);
      for (const waiter of waiters) waiter.onError(error);
      table.letGo();
      return;
    }
    // The slot stays lent while its waiters search it: what they ask for next must not take it from under them. A
    // waiter that joins meanwhile is served by this same loop.
    for (const waiter of waiters) waiter.onBlock(this.bytes, this.words, base, false);
    this.#waiters[slot] = undefined;
    if (this.#retain && this.#kept[slot] === 1) this.#enqueue(slot);
    else this.#forget(slot);
    table.letGo();
  }

  /** `detail0`: after a failure the page of the buffer that came back, otherwise how many pages the block has. */
  #onPrefetched(ticket: number, result: number, detail0: number, reader: PrefetchReader): void {
    const { table, block, waiters } = this.#settle(ticket);
    const page = result < 0 ? detail0 : result;
    const slot = page < 0 ? -1 : (page * PAGE_BYTES - SLOTS_AT) / this.slotBytes;
    assert(slot < 0 || this.#states[slot] === LENT, 'a buffer that comes back was lent');
    table.slots[block] = NOT_CACHED;
    if (result < 0 || !table.admits(block, this.words, this.#baseOf(slot), detail0)) {
      // What the kernel kept stays lent until the database is closed.
      if (slot >= 0) this.#free(slot);
      else this.#keptSlots++;
      reader.onPrefetched(block, -1);
      for (const waiter of waiters) this.load(table, block, waiter, this.#kept[ticket] === 1);
      table.letGo();
      return;
    }
    this.#states[slot] = HELD;
    this.#tables[slot] = table;
    this.#blocks[slot] = block;
    this.#remembered[slot] = this.#remembered[ticket];
    this.#kept[slot] = this.#kept[ticket];
    table.slots[block] = slot;
    const base = this.#baseOf(slot);
    for (const waiter of waiters) waiter.onBlock(this.bytes, this.words, base, false);
    reader.onPrefetched(block, slot);
    table.letGo();
  }

  #loadOversize(table: Table, block: number, waiter: BlockWaiter): void {
    const ticket = this.#freeTickets.pop();
    const waiters = [waiter];
    if (ticket !== undefined) {
      this.#expect(ticket, table, block);
      this.#waiters[ticket] = waiters;
    }
    table.hold();
    const page = table.index.pageOf(block);
    const pageCount = table.index.pageCountOf(block);
    const place = { table: table.number, fileName: table.fileName, page, pageCount };
    this.#extents.read(place, (readError, stored) => {
      if (ticket !== undefined) {
        this.#settle(ticket);
        table.slots[block] = NOT_CACHED;
        table.letGo();
      }
      const read = readError ?? openOversizeBlock(table, block, stored, this.#scheduler.directory);
      if (read instanceof QuadringError) {
        for (const each of waiters) each.onError(read);
        table.letGo();
        return;
      }
      // Values are views of it: where there are several nobody may send it away with one of them.
      if (blockEntryCount(read, 0) > 1) markAsUntransferable(read.buffer);
      // The memory can be given away once: to the first, after all others have taken from it what they need.
      const words = new Uint16Array(read.buffer, read.byteOffset, read.length >> 1);
      for (let i = waiters.length - 1; i >= 0; i--) waiters[i].onBlock(read, words, 0, i === 0);
      table.letGo();
    });
  }

  /** The block in this slot is cached from now on. */
  #enqueue(slot: number): void {
    this.#states[slot] = CACHED;
    this.#queues.insert(slot, this.#remembered[slot] === 1);
    this.#serveWaiting();
  }

  #forget(slot: number): void {
    const table = must(this.#tables[slot], 'a slot with a block belongs to a table');
    table.slots[this.#blocks[slot]] = NOT_CACHED;
    this.#tables[slot] = undefined;
    this.#free(slot);
  }

  #free(slot: number): void {
    this.#states[slot] = FREE;
    this.#freeSlots.push(slot);
    this.#serveWaiting();
  }

  /** One loop, however deep the calls that bring slots back: a read that needs none after all returns its own in here. */
  #serveWaiting(): void {
    if (this.#serving) return;
    this.#serving = true;
    while (this.#waitingForSlot.length > 0) {
      const slot = this.#acquire();
      if (slot < 0) break;
      const use = this.#waitingForSlot.shift();
      use(slot);
    }
    this.#serving = false;
  }

  /** A slot, lent; or −1 when all are lent or held. */
  #acquire(): number {
    let slot = this.#freeSlots.pop() ?? -1;
    if (slot < 0) {
      slot = this.#queues.evict();
      if (slot < 0) return -1;
      const table = must(this.#tables[slot], 'a cached slot belongs to a table');
      const word = this.#queues.lastEvictionWasSmall ? this.#ghosts.remember() : NOT_CACHED;
      table.slots[this.#blocks[slot]] = word;
      this.#tables[slot] = undefined;
      this.#evictions++;
    }
    this.#states[slot] = LENT;
    return slot;
  }
}
