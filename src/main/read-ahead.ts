/**
 * Blocks that scans will need next, read before they are asked for. Owner only.
 *
 * Each cursor over a table has a window of blocks ahead of it: two at first, twice as many each time the cursor has used
 * up half of it, up to a limit, and no further than a scan of so many entries will probably get. It is refilled in one go, so that its reads reach the kernel as one batch. A block that
 * is cached, or on its way for somebody else, is not read again.
 *
 *     passed │ current │◄─────────── window ───────────►│ not asked for
 *     ───────┴─────────┴── here ── on its way ── here ──┴──────────────► direction of the scan
 *
 * What was read is held in its cache slot until the cursor has taken it. The budget bounds the slots of all cursors
 * together; a cursor that finds it used up goes on with one block at a time, from the ordinary reads of the cache.
 * Blocks held for a cursor that has not moved for a while go to the cache and their slots back to the budget, so that
 * iterators which nobody uses do not slow down those in use.
 */
import { assert, must } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import type { BlockCache, BlockWaiter, PrefetchReader } from './block-cache.ts';
import type { Table } from './table.ts';

const WINDOW_BLOCKS_MIN = 2;
/** A scan that is expected to need no more blocks has them read on the owner's own ring. */
const SHORT_BLOCKS_MAX = 8;
/** A cursor is idle when others have moved so often since it moved. */
const IDLE_MOVES = 256;
/** As long as a scan has passed no more blocks than this, what it read stays in the cache. */
const SHORT_SCAN_BLOCKS = 64;

export interface ReadAheadStatistics {
  /** Blocks asked for ahead of a scan, and their bytes. */
  readonly reads: number;
  readonly bytes: number;
  /** Reads under way now. */
  readonly inFlight: number;
  /** Mean number of reads under way, over the time in which at least one was. */
  readonly meanInFlight: number;
  /** Slots that scans hold or have reads under way for, and how many they may. */
  readonly slots: number;
  readonly slotsMax: number;
}

export interface ReadAheadOptions {
  readonly cache: BlockCache;
  /** Most slots that all cursors together have. */
  readonly slotsMax: number;
  /** Most blocks that one cursor has ahead of it. */
  readonly windowMax: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/** What all cursors share: the budget and its figures. */
export class ReadAheadBudget {
  readonly cache: BlockCache;
  readonly windowMax: number;
  readonly #slotsMax: number;
  readonly #now: () => number;
  /** Windows with blocks in them, the one that has not moved for longest first. */
  readonly #windows = new Set<ReadAhead>();
  #slots = 0;
  #moves = 0;
  #reads = 0;
  #bytes = 0;
  #inFlight = 0;
  #since = 0;
  /** Milliseconds in which a read was under way, and those times the reads that were. */
  #busyMs = 0;
  #readMs = 0;

  constructor({ cache, slotsMax, windowMax, now }: ReadAheadOptions) {
    this.cache = cache;
    this.windowMax = windowMax;
    this.#slotsMax = slotsMax;
    this.#now = now;
  }

  /** Takes so many slots' worth; false if they are not to be had. */
  take(slots: number): boolean {
    if (this.#slots + slots > this.#slotsMax && !this.#reclaim(slots)) return false;
    this.#slots += slots;
    return true;
  }

  giveBack(slots: number): void {
    this.#slots -= slots;
  }

  /** A window moved; returns the number of that move. */
  moved(window: ReadAhead): number {
    this.#windows.delete(window);
    this.#windows.add(window);
    return ++this.#moves;
  }

  forget(window: ReadAhead): void {
    this.#windows.delete(window);
  }

  began(bytes: number): void {
    this.#tally();
    this.#inFlight++;
    this.#reads++;
    this.#bytes += bytes;
  }

  ended(): void {
    this.#tally();
    this.#inFlight--;
  }

  statistics(): ReadAheadStatistics {
    return {
      reads: this.#reads,
      bytes: this.#bytes,
      inFlight: this.#inFlight,
      meanInFlight: this.#busyMs === 0 ? 0 : this.#readMs / this.#busyMs,
      slots: this.#slots,
      slotsMax: this.#slotsMax,
    };
  }

  #tally(): void {
    const now = this.#now();
    if (this.#inFlight > 0) {
      this.#busyMs += now - this.#since;
      this.#readMs += (now - this.#since) * this.#inFlight;
    }
    this.#since = now;
  }

  /** Takes the blocks of the window that has been idle for longest; true if that made room. */
  #reclaim(slots: number): boolean {
    for (const window of this.#windows) {
      if (this.#moves - window.lastMove < IDLE_MOVES) return false;
      this.#windows.delete(window);
      window.letGo();
      if (this.#slots + slots <= this.#slotsMax) return true;
    }
    return false;
  }
}

interface AheadBlock {
  readonly block: number;
  /** −1 while it is on its way. */
  slot: number;
  /** Nobody waits for it any more. */
  isDropped: boolean;
}

/** Memory that holds a block and is the taker's own; or the taker will get it; or it was not read. */
export type LargeBlockPlace =
  { readonly bytes: Uint8Array; readonly words: Uint16Array } | 'coming' | 'absent';

/** A block that is larger than a slot: read into memory of its own, which is handed on to the cursor. */
class LargeBlock implements BlockWaiter {
  readonly slots: number;
  readonly #budget: ReadAheadBudget;
  #landed: { readonly bytes: Uint8Array; readonly words: Uint16Array } | undefined;
  #waiter: BlockWaiter | undefined;
  #isOver = false;
  #isFailed = false;

  /** `slots`: how many a block of this size counts for. */
  constructor(budget: ReadAheadBudget, slots: number) {
    this.#budget = budget;
    this.slots = slots;
  }

  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void {
    assert(isPrivate, 'who began a read gets its memory');
    this.#budget.ended();
    if (this.#isOver) this.#waiter?.onBlock(bytes, words, base, isPrivate);
    else this.#landed = { bytes, words };
  }

  onError(error: QuadringError): void {
    this.#budget.ended();
    // Unless it is waited for: whoever needs the block reads it again, and meets the error.
    this.#waiter?.onError(error);
    this.#isFailed = true;
  }

  /** The block, if it is there; otherwise `waiter` gets it. It does not count as read ahead any more. */
  handTo(waiter: BlockWaiter): LargeBlockPlace {
    this.drop();
    if (this.#isFailed) return 'absent';
    if (this.#landed !== undefined) return this.#landed;
    this.#waiter = waiter;
    return 'coming';
  }

  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#budget.giveBack(this.slots);
  }
}

/** The window of one cursor over one table, in one direction. */
export class ReadAhead implements PrefetchReader {
  readonly #budget: ReadAheadBudget;
  readonly #table: Table;
  /** +1 or −1. */
  readonly #step: number;
  /** The last block of the scan's range in this table. */
  readonly #last: number;
  readonly #fillCache: boolean;
  /** So few are needed that another thread would not have them sooner. */
  readonly #isShort: boolean;
  /** Blocks on their way or held, in the order of the scan. */
  #blocks: AheadBlock[] = [];
  /** Also those that were dropped. */
  readonly #onTheirWay: AheadBlock[] = [];
  readonly #large = new Map<number, LargeBlock>();
  #window: number;
  #hasBegun = false;
  /** The block behind those that are expected to be needed. */
  readonly #expectedEnd: number;
  /** The block behind the window: the next to be asked for. */
  #next: number;
  #passed = 0;
  lastMove = 0;

  constructor(
    budget: ReadAheadBudget,
    table: Table,
    range: {
      readonly first: number;
      readonly last: number;
      readonly fillCache: boolean;
      /** How many blocks the scan is expected to need; Infinity: all. */
      readonly expectedBlocks: number;
    },
  ) {
    this.#budget = budget;
    this.#table = table;
    this.#step = range.last < range.first ? -1 : 1;
    this.#last = range.last;
    this.#next = range.first;
    this.#fillCache = range.fillCache;
    this.#isShort = range.expectedBlocks <= SHORT_BLOCKS_MAX;
    this.#window = Math.min(WINDOW_BLOCKS_MIN, budget.windowMax);
    this.#expectedEnd = range.first + this.#step * range.expectedBlocks;
  }

  /** Whether nothing behind the window is left to be asked for. */
  get hasAskedForAll(): boolean {
    return (this.#last - this.#next) * this.#step < 0;
  }

  /** The cursor will soon go to the first block. */
  begin(): void {
    this.moveTo(this.#next - this.#step);
  }

  /** The cursor goes to a block, the first one or the next: sees to it that the blocks behind it are on their way. */
  moveTo(block: number): void {
    this.lastMove = this.#budget.moved(this);
    const step = this.#step;
    if (this.#hasBegun) {
      const ahead = (this.#next - block) * step - 1;
      if (ahead > this.#window >> 1) return;
      this.#window = Math.min(2 * this.#window, this.#budget.windowMax);
    }
    this.#hasBegun = true;
    let end = block + this.#window * step;
    // Once more is needed than was expected, nothing is known any more.
    if ((this.#expectedEnd - block) * step > 0 && (end - this.#expectedEnd) * step > 0)
      end = this.#expectedEnd;
    for (let wanted = this.#next; (end - wanted) * step > 0; wanted += step) {
      if ((this.#last - wanted) * step < 0 || !this.#fetch(wanted)) break;
      this.#next = wanted + step;
    }
    // What found no room is not made up for: the cursor reads it when it comes there.
    if ((this.#next - block) * step <= 0) this.#next = block + step;
  }

  /** The cursor has taken its copy of a block. */
  passed(block: number): void {
    this.#passed++;
    const first = this.#blocks[0];
    if (first === undefined || first.block !== block) return;
    this.#blocks.shift();
    this.#drop(first);
  }

  /** A block larger than a slot, for `waiter`. */
  takeLarge(block: number, waiter: BlockWaiter): LargeBlockPlace {
    const large = this.#large.get(block);
    if (large === undefined) return 'absent';
    this.#large.delete(block);
    return large.handTo(waiter);
  }

  /** Nothing is needed any more. */
  close(): void {
    this.letGo();
    this.#budget.forget(this);
  }

  /** Gives up what is held or on its way; the scan may go on. */
  letGo(): void {
    const blocks = this.#blocks;
    this.#blocks = [];
    for (const ahead of blocks) this.#drop(ahead);
    for (const large of this.#large.values()) large.drop();
    this.#large.clear();
  }

  onPrefetched(block: number, slot: number): void {
    this.#budget.ended();
    const ahead = must(
      this.#onTheirWay.find((each) => each.block === block),
      'a block that was read was asked for',
    );
    this.#onTheirWay.splice(this.#onTheirWay.indexOf(ahead), 1);
    if (slot < 0) {
      this.#budget.giveBack(1);
      this.#blocks = this.#blocks.filter((each) => each !== ahead);
      return;
    }
    ahead.slot = slot;
    if (ahead.isDropped) this.#release(slot);
  }

  /** False when no more can be asked for now. */
  #fetch(block: number): boolean {
    const { cache } = this.#budget;
    if (cache.isExpected(this.#table, block)) return true;
    if (cache.isOversize(this.#table, block)) return this.#fetchLarge(block);
    if (!this.#budget.take(1)) return false;
    // What others had to give back may have gone to a read that waited for a slot, and that may be of this block.
    if (cache.isExpected(this.#table, block)) {
      this.#budget.giveBack(1);
      return true;
    }
    if (!cache.prefetch(this.#table, block, this, this.#isShort)) {
      this.#budget.giveBack(1);
      return false;
    }
    this.#budget.began(cache.slotBytes);
    const ahead = { block, slot: -1, isDropped: false };
    this.#blocks.push(ahead);
    this.#onTheirWay.push(ahead);
    return true;
  }

  #fetchLarge(block: number): boolean {
    const { cache, windowMax } = this.#budget;
    const bytes = this.#table.index.memoryPagesOf(block) * PAGE_BYTES;
    const slots = Math.ceil(bytes / cache.slotBytes);
    let ahead = 0;
    for (const each of this.#large.values()) ahead += each.slots;
    if (ahead + slots > windowMax || !this.#budget.take(slots)) return false;
    if (cache.isExpected(this.#table, block)) {
      this.#budget.giveBack(slots);
      return true;
    }
    const large = new LargeBlock(this.#budget, slots);
    this.#large.set(block, large);
    this.#budget.began(bytes);
    cache.load(this.#table, block, large, false);
    return true;
  }

  #drop(ahead: AheadBlock): void {
    ahead.isDropped = true;
    if (ahead.slot >= 0) this.#release(ahead.slot);
  }

  #release(slot: number): void {
    const { cache } = this.#budget;
    // A long scan fills what is empty, and puts out nothing.
    const keep = this.#fillCache && (this.#passed <= SHORT_SCAN_BLOCKS || cache.hasFreeSlots);
    cache.release(slot, keep);
    this.#budget.giveBack(1);
  }
}
