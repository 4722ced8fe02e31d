/**
 * Which cache slot to use again: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023),
 * over slot numbers. Knows no blocks and no tables. Pure.
 *
 *     insert ────────────► small ─── used at most once ───► out, remembered for a while (GhostStamps)
 *                            │ used more than once
 *     insert, remembered ──► main ─── not used ───► out
 *                            ▲ │ used: back to the end, with one use fewer
 *                            └─┘
 *
 * Small is a tenth of the slots: what a scan reads once passes through it, and main keeps what is read again. A use
 * is counted in one byte and moves nothing.
 *
 * Invariants:
 *   - a slot is in small, in main or in neither, as `queueOf` says; `next` and `previous` agree;
 *   - each queue is a ring through a link of its own, behind those of the slots: `next` of that link is the oldest
 *     slot, `previous` the newest, and an empty queue's link points to itself both ways;
 *   - a slot's count is 0 when it enters either queue and at most COUNT_MAX;
 *   - nothing is allocated after construction.
 */
import { assert } from '../assert.ts';

/** Uses are counted up to here. */
const COUNT_MAX = 3;
/** With more uses than this a slot goes from small to main. */
const SMALL_COUNT_MAX = 1;
/** Small has one slot in as many. */
const SMALL_ONE_IN = 10;

const NEITHER = 0;
const SMALL = 1;
const MAIN = 2;

/** Stamps count evictions modulo this power of two. Words from −2 down must hold them all. */
const STAMPS = 2 ** 30;
/** The word of stamp 0; those of the others lie below. −1 is left to mean "never cached, or forgotten". */
const FIRST_GHOST_WORD = -2;
const SLOTS_MAX = STAMPS / 2;

export class CacheQueues {
  /** From this length on, small is where slots are taken from. */
  readonly smallTarget: number;
  /** The other slots: main's share, and how many ghosts are worth remembering. */
  readonly mainTarget: number;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #queueOf: Uint8Array;
  readonly #counts: Uint8Array;
  readonly #smallLink: number;
  readonly #mainLink: number;
  #smallLength = 0;
  #mainLength = 0;
  #lastEvictionWasSmall = false;

  constructor(slotCount: number) {
    assert(Number.isInteger(slotCount) && slotCount >= 1 && slotCount <= SLOTS_MAX, 'a cache has slots');
    this.smallTarget = Math.max(1, Math.floor(slotCount / SMALL_ONE_IN));
    this.mainTarget = slotCount - this.smallTarget;
    this.#next = new Int32Array(slotCount + 2);
    this.#previous = new Int32Array(slotCount + 2);
    this.#queueOf = new Uint8Array(slotCount);
    this.#counts = new Uint8Array(slotCount);
    this.#smallLink = slotCount;
    this.#mainLink = slotCount + 1;
    for (const link of [this.#smallLink, this.#mainLink]) this.#next[link] = this.#previous[link] = link;
  }

  get length(): number {
    return this.#smallLength + this.#mainLength;
  }

  get smallLength(): number {
    return this.#smallLength;
  }

  get mainLength(): number {
    return this.#mainLength;
  }

  /** Whether the slot that `evict` chose last came from small, so that its block is to be remembered. */
  get lastEvictionWasSmall(): boolean {
    return this.#lastEvictionWasSmall;
  }

  has(slot: number): boolean {
    return this.#queueOf[slot] > NEITHER;
  }

  /** HOT. A cached slot was used. Writes one byte, or none once the count is full. */
  touch(slot: number): void {
    const count = this.#counts[slot];
    if (count < COUNT_MAX) this.#counts[slot] = count + 1;
  }

  /**
   * A block now sits in this slot. With `remembered`, the block left small recently, so that it goes to main. The use
   * that brought it in does not count.
   */
  insert(slot: number, remembered: boolean): void {
    assert(this.#queueOf[slot] === NEITHER, 'a slot that comes in exists and is in no queue');
    this.#counts[slot] = 0;
    if (remembered) this.#appendToMain(slot);
    else this.#appendToSmall(slot);
  }

  /** Takes a slot out, whichever queue it is in: its block is gone. */
  remove(slot: number): void {
    assert(this.has(slot), 'a slot that is taken out is in a queue');
    this.#unlink(slot);
  }

  /** Chooses the slot to use again and takes it out; −1 when no slot is queued. */
  evict(): number {
    if (this.length === 0) return -1;
    const next = this.#next;
    const counts = this.#counts;
    // Each step but the last moves a slot from small to main with count 0, which nothing reverses, or lowers a count
    // in main, which nothing raises. That is one step at most for a slot of small and COUNT_MAX for one of main.
    const stepsMax = this.#smallLength + COUNT_MAX * this.#mainLength + 1;
    for (let step = 0; step < stepsMax; step++) {
      if (this.#smallLength >= this.smallTarget || this.#mainLength === 0) {
        const slot = next[this.#smallLink];
        this.#unlink(slot);
        if (counts[slot] <= SMALL_COUNT_MAX) {
          this.#lastEvictionWasSmall = true;
          return slot;
        }
        counts[slot] = 0;
        this.#appendToMain(slot);
      } else {
        const slot = next[this.#mainLink];
        this.#unlink(slot);
        if (counts[slot] === 0) {
          this.#lastEvictionWasSmall = false;
          return slot;
        }
        counts[slot]--;
        this.#appendToMain(slot);
      }
    }
    assert(false, 'counts run out before the steps do');
  }

  #appendToSmall(slot: number): void {
    this.#queueOf[slot] = SMALL;
    this.#smallLength++;
    this.#linkBefore(this.#smallLink, slot);
  }

  #appendToMain(slot: number): void {
    this.#queueOf[slot] = MAIN;
    this.#mainLength++;
    this.#linkBefore(this.#mainLink, slot);
  }

  /** Makes a slot the newest of the ring that `link` belongs to. */
  #linkBefore(link: number, slot: number): void {
    const newest = this.#previous[link];
    this.#next[newest] = slot;
    this.#previous[slot] = newest;
    this.#next[slot] = link;
    this.#previous[link] = slot;
  }

  #unlink(slot: number): void {
    if (this.#queueOf[slot] === SMALL) this.#smallLength--;
    else this.#mainLength--;
    this.#queueOf[slot] = NEITHER;
    const newer = this.#next[slot];
    const older = this.#previous[slot];
    this.#next[older] = newer;
    this.#previous[newer] = older;
  }
}

/**
 * The ghost queue without a queue. A table keeps one word for each block: the slot that it is in, or −1. A block that
 * leaves small gets a stamp there instead, the number of such evictions so far; it is remembered while fewer than
 * `capacity` others have followed.
 *
 *     word ≥ 0      a slot
 *     word = −1     not cached and not remembered
 *     word ≤ −2     a ghost: −2 − (evictions from small so far, modulo 2^30)
 *
 * Stamps wrap. A ghost's answer is exact for 2^30 evictions from small after its own. A word that nothing has written
 * for longer is taken for a fresh one during the first `capacity` of every further 2^30: its block then enters main
 * with count 0, without having earned it, and leaves by main's rules. Nothing else depends on a stamp.
 */
export class GhostStamps {
  readonly #capacity: number;
  #last: number;

  /** `evictionsBefore` is where counting begins: a test begins just before the wrap. */
  constructor(capacity: number, evictionsBefore = 0) {
    assert(
      Number.isInteger(capacity) && capacity >= 0 && capacity <= SLOTS_MAX,
      'ghosts fit half the stamps',
    );
    assert(Number.isSafeInteger(evictionsBefore) && evictionsBefore >= 0, 'evictions are counted from 0');
    this.#capacity = capacity;
    this.#last = evictionsBefore % STAMPS;
  }

  /** Counts an eviction from small, and returns the word for the block that was put out. */
  remember(): number {
    this.#last = (this.#last + 1) & (STAMPS - 1);
    return FIRST_GHOST_WORD - this.#last;
  }

  /** Whether a block's word is the stamp of a recent eviction. False for a slot and for −1. */
  isRemembered(word: number): boolean {
    if (word > FIRST_GHOST_WORD) return false;
    const evictionsSince = (this.#last - (FIRST_GHOST_WORD - word)) & (STAMPS - 1);
    return evictionsSince < this.#capacity;
  }
}
