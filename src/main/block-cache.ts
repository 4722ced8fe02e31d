/**
 * The block cache: a directory over slots of shared memory that the foreground thread reads blocks into. Owner only.
 *
 * A hit costs a look at the table's own slot array and at one reference byte, and crosses no thread. Replacement is
 * CLOCK: the hand passes slots, forgives those that were used since it last came by, and takes the first other one.
 *
 *     slot state   FREE      nothing in it
 *                  LENT      lent to a read: the foreground thread may be writing to it
 *                  CACHED    holds a verified block; table.slots names it
 *
 * Everything that reads from a table takes its memory from here, so the number of slots bounds the bytes in flight;
 * reads that find every slot lent wait in order. With a cache of 0 a slot is free again as soon as its block has been
 * searched.
 */
import { assert, must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { SLOTS_AT } from '../protocol/crew-layout.ts';
import { READ_PAGES, ROLE_FOREGROUND } from '../protocol/requests.ts';
import { Fifo } from './fifo.ts';
import type { IoScheduler } from './io-scheduler.ts';
import { NOT_CACHED, type Table } from './table.ts';

/** Somebody who waits for a block. Called while completions are drained: search, resolve, do not call users. */
export interface BlockWaiter {
  /** The block is at `base`; valid only during the call. */
  onBlock(bytes: Uint8Array, words: Uint16Array, base: number): void;
  onError(error: QuadringError): void;
}

export interface BlockCacheOptions {
  readonly pool: Uint8Array<SharedArrayBuffer>;
  readonly slotBytes: number;
  readonly slotCount: number;
  /** Whether blocks stay after they were searched. */
  readonly retain: boolean;
}

export interface CacheStatistics {
  /** Bytes of the slots. */
  readonly capacityBytes: number;
  /** Blocks that are cached now. */
  readonly blocks: number;
  readonly hits: number;
  readonly misses: number;
  /** Reads that joined one that was under way for the same block. */
  readonly sharedReads: number;
  readonly evictions: number;
}

const FREE = 0;
const LENT = 1;
const CACHED = 2;

/** Reads that may wait for a slot; beyond, a read is refused. */
const WAITING_READS_MAX = 1 << 20;

export class BlockCache {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly words: Uint16Array<SharedArrayBuffer>;
  readonly slotBytes: number;
  readonly #scheduler: IoScheduler;
  readonly #slotCount: number;
  readonly #retain: boolean;
  readonly #states: Uint8Array;
  readonly #referenced: Uint8Array;
  readonly #tables: (Table | undefined)[];
  readonly #blocks: Int32Array;
  readonly #waiters: (BlockWaiter[] | undefined)[];
  readonly #waitingForSlot = new Fifo<(slot: number) => void>();
  readonly #freeSlots: number[] = [];
  #serving = false;
  #lent = 0;
  #hand = 0;
  #hits = 0;
  #misses = 0;
  #sharedReads = 0;
  #evictions = 0;

  constructor(scheduler: IoScheduler, { pool, slotBytes, slotCount, retain }: BlockCacheOptions) {
    assert(SLOTS_AT + slotBytes * slotCount <= pool.length, 'the slots fit the pool');
    this.bytes = pool;
    this.words = new Uint16Array(pool.buffer);
    this.slotBytes = slotBytes;
    this.#scheduler = scheduler;
    this.#slotCount = slotCount;
    this.#retain = retain;
    this.#states = new Uint8Array(slotCount);
    this.#referenced = new Uint8Array(slotCount);
    this.#tables = new Array<Table | undefined>(slotCount).fill(undefined);
    this.#blocks = new Int32Array(slotCount);
    this.#waiters = new Array<BlockWaiter[] | undefined>(slotCount).fill(undefined);
    for (let slot = slotCount - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
  }

  /** HOT. Where in `bytes` a cached block begins, or −1. */
  find(table: Table, block: number): number {
    const slot = table.slots[block];
    if (slot === NOT_CACHED || this.#states[slot] !== CACHED) return -1;
    if (this.#referenced[slot] === 0) this.#referenced[slot] = 1;
    this.#hits++;
    return this.baseOf(slot);
  }

  baseOf(slot: number): number {
    return SLOTS_AT + slot * this.slotBytes;
  }

  /** Whether a block is larger than a slot: it is read by `ExtentReader`, past the cache. */
  isOversize(table: Table, block: number): boolean {
    return table.index.pageCountOf(block) * PAGE_BYTES > this.slotBytes;
  }

  /** Reads a block that `find` did not find. Reads of one block that overlap share one. */
  load(table: Table, block: number, waiter: BlockWaiter): void {
    this.#misses++;
    const slot = table.slots[block];
    if (slot !== NOT_CACHED) {
      this.#sharedReads++;
      must(this.#waiters[slot], 'a slot on its way has waiters').push(waiter);
      return;
    }
    const taken = this.takeSlot((late) => {
      // Somebody may have begun to read this block while this read waited for a slot.
      if (table.slots[block] === NOT_CACHED) {
        this.#readInto(late, table, block, waiter);
        return;
      }
      this.returnSlot(late);
      const base = this.find(table, block);
      if (base >= 0) waiter.onBlock(this.bytes, this.words, base);
      else this.load(table, block, waiter);
    });
    if (taken === 'refused') {
      waiter.onError(new QuadringError('OVERLOADED', `more than ${WAITING_READS_MAX} reads are waiting`));
    }
  }

  /** Lends a slot, now or as soon as one comes back. */
  takeSlot(use: (slot: number) => void): 'lent' | 'waiting' | 'refused' {
    const slot = this.#acquire();
    if (slot >= 0) {
      use(slot);
      return 'lent';
    }
    if (this.#waitingForSlot.length >= WAITING_READS_MAX) return 'refused';
    this.#waitingForSlot.push(use);
    return 'waiting';
  }

  /** Ends a loan. */
  returnSlot(slot: number): void {
    assert(this.#states[slot] === LENT, 'a slot that comes back was lent');
    this.#lent--;
    this.#states[slot] = FREE;
    this.#freeSlots.push(slot);
    this.#serveWaiting();
  }

  statistics(): CacheStatistics {
    let blocks = 0;
    for (const state of this.#states) if (state === CACHED) blocks++;
    return {
      capacityBytes: this.#retain ? this.#slotCount * this.slotBytes : 0,
      blocks,
      hits: this.#hits,
      misses: this.#misses,
      sharedReads: this.#sharedReads,
      evictions: this.#evictions,
    };
  }

  #readInto(slot: number, table: Table, block: number, waiter: BlockWaiter): void {
    table.slots[block] = slot;
    this.#tables[slot] = table;
    this.#blocks[slot] = block;
    this.#waiters[slot] = [waiter];
    const page = table.index.pageOf(block);
    const pageCount = table.index.pageCountOf(block);
    const poolPage = this.baseOf(slot) / PAGE_BYTES;
    this.#scheduler.request(
      ROLE_FOREGROUND,
      READ_PAGES,
      (result, detail0, detail1) => this.#onRead(slot, result, detail0, detail1),
      table.number,
      page,
      pageCount,
      poolPage,
      1,
    );
  }

  #onRead(slot: number, result: number, detail0: number, detail1: number): void {
    const table = must(this.#tables[slot], 'a slot that was read into belongs to a table');
    const block = this.#blocks[slot];
    const waiters = must(this.#waiters[slot], 'a slot that was read into has waiters');
    if (result < 0) {
      this.#waiters[slot] = undefined;
      this.#forget(slot, table, block);
      const offset = table.index.pageOf(block) * PAGE_BYTES;
      const answer = { result, detail0, detail1 };
      const error = this.#scheduler.errorOf('reading', table.fileName, answer, offset);
      for (const waiter of waiters) waiter.onError(error);
      return;
    }
    // The slot stays lent while its waiters search it: what they ask for next must not take it from under them. A
    // waiter that joins meanwhile is served by this same loop.
    const base = this.baseOf(slot);
    for (const waiter of waiters) waiter.onBlock(this.bytes, this.words, base);
    this.#waiters[slot] = undefined;
    if (!this.#retain) {
      this.#forget(slot, table, block);
      return;
    }
    this.#states[slot] = CACHED;
    this.#referenced[slot] = 0;
    this.#lent--;
    this.#serveWaiting();
  }

  #forget(slot: number, table: Table, block: number): void {
    table.slots[block] = NOT_CACHED;
    this.#tables[slot] = undefined;
    this.returnSlot(slot);
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

  /** A slot, lent; or −1 when all are. */
  #acquire(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) {
      this.#states[free] = LENT;
      this.#lent++;
      return free;
    }
    if (this.#lent === this.#slotCount) return -1;
    const states = this.#states;
    const referenced = this.#referenced;
    // The first round clears every reference, so the second ends at the latest.
    for (let step = 0; step < 2 * this.#slotCount; step++) {
      const slot = this.#hand;
      this.#hand = slot + 1 === this.#slotCount ? 0 : slot + 1;
      if (states[slot] !== CACHED) continue;
      if (referenced[slot] !== 0) {
        referenced[slot] = 0;
        continue;
      }
      must(this.#tables[slot], 'a cached slot belongs to a table').slots[this.#blocks[slot]] = NOT_CACHED;
      this.#tables[slot] = undefined;
      this.#evictions++;
      states[slot] = LENT;
      this.#lent++;
      return slot;
    }
    assert(false, 'two rounds of the hand find a slot when not all are lent');
  }
}
