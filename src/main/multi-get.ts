/**
 * Many point reads as one: what memory has is answered at once; every table of every remaining key is asked through its
 * filter, and all blocks that may hold an answer are read together, each once, the first while keys are still looked for. Owner
 * only.
 *
 * A key can be in several tables; the newest one that has it counts. The older ones are read beside it rather than
 * after it: a filter that says maybe is right 99 times in 100, and one round of reads is what the caller waits for. Where a
 * table's range tombstone deletes the key, older tables are not asked.
 */
import type { QuadringError } from '../errors.ts';
import { BlockEntry, searchBlock } from '../format/block.ts';
import { filterMayContain } from '../format/filter.ts';
import { KIND_PUT } from '../format/limits.ts';
import { NOT_COVERED } from '../format/range-tombstones.ts';
import type { BlockCache, BlockWaiter } from './block-cache.ts';
import type { KeyScratch } from './bytes.ts';
import type { Table } from './table.ts';
import type { Version } from './version.ts';

const TWO_32 = 0x1_0000_0000;
/** Of a look into a table, where it does not end with a block that has to be read. */
const FOUND = -1;
const NOT_THERE = -2;
/** Blocks that are asked for before they are on their way. The first ones are half as many: the disk waits for them. */
const BLOCKS_AT_ONCE = 8;

export interface MultiGetHandler {
  /**
   * A version of the key at this place; one that comes later is newer. The memory is valid during the call, and with
   * `isPrivate` it may be kept. What it throws, for want of memory, is what `onDone` is told.
   */
  onFound(place: number, bytes: Uint8Array, start: number, length: number, isPrivate: boolean): void;
  /** The same, and it is a deletion. */
  onDeleted(place: number): void;
  /** Called once, when everything that was added is answered: by `end`, or while completions are drained. */
  onDone(error: Error | undefined): void;
}

export interface MultiGetGround {
  readonly cache: BlockCache;
  readonly version: Version;
  readonly visibleSequence: number;
  /** Whether blocks that are read stay in the cache. */
  readonly keep: boolean;
  readonly handler: MultiGetHandler;
  /** Puts what was asked for on its way at once. */
  readonly handOver: () => void;
}

interface WantedKey {
  readonly place: number;
  readonly key: Uint8Array;
  readonly hash: number;
  /** Ordinal of the newest table in which it was found so far. */
  foundIn: number;
}

export class MultiGet {
  readonly #ground: MultiGetGround;
  readonly #entry = new BlockEntry();
  /** By table and block: those that have not been answered. */
  readonly #wanted = new Map<number, WantedBlock>();
  /** Blocks that were asked for. */
  #asked = 0;
  /** Of these, how many have not been answered; and one for whoever still adds keys. */
  #pending = 1;
  #error: Error | undefined;

  /** Whoever makes one calls `end`, whatever happens in between: the version is held until then. */
  constructor(ground: MultiGetGround) {
    this.#ground = ground;
    ground.version.hold();
  }

  /** Looks a key up in the tables, as far as memory has them, and asks for the blocks that have to be read. */
  add(place: number, scratch: KeyScratch): void {
    const { bytes, length, hash } = scratch;
    const { version, cache } = this.#ground;
    const { tables, placeCount } = version;
    let wanted: WantedKey | undefined;
    let blocks: WantedBlock[] | undefined;
    for (let at = 0; at < placeCount; at++) {
      const ordinal = version.ordinalAt(at, bytes, length);
      if (ordinal < 0) continue;
      const table = tables[ordinal];
      const deletion = this.#deletionIn(table, bytes, length);
      // Nothing in the table is newer.
      if (deletion !== NOT_COVERED && deletion === table.description.largestSequence) break;
      const outcome = this.#look(ordinal, scratch, at === placeCount - 1);
      if (outcome === FOUND) {
        if (wanted !== undefined) wanted.foundIn = ordinal;
        this.#report(place, cache.bytes, false, deletion);
        break;
      }
      if (outcome !== NOT_THERE) {
        wanted ??= { place, key: scratch.copy(), hash, foundIn: tables.length };
        const block = this.#wantedBlock(ordinal, outcome);
        if (block.keys.push(wanted) === 1) (blocks ??= []).push(block);
      }
      if (deletion !== NOT_COVERED) break;
    }
    // Only now: an answer can come at once, and lead to others.
    if (blocks !== undefined) for (const block of blocks) this.#ask(block);
  }

  /**
   * Searches a table as far as memory has it: FOUND, NOT_THERE, or the block that has to be read. In the last place, which
   * most likely has the key, the filter is asked only about a block that would have to be read.
   */
  #look(ordinal: number, { bytes, length, hash }: KeyScratch, isLast: boolean): number {
    const { version, cache } = this.#ground;
    const table = version.tables[ordinal];
    const { filter, index } = table;
    if (!isLast && filter !== null && !filterMayContain(filter, hash)) return NOT_THERE;
    let block = index.locate(bytes, length);
    if (block < 0) return NOT_THERE;
    for (; ; block++) {
      if (index.sharesPrefix(block, bytes, length)) {
        const base = cache.find(table, block);
        if (base < 0) {
          return isLast && filter !== null && !filterMayContain(filter, hash) ? NOT_THERE : block;
        }
        if (this.#search(ordinal, block, cache.bytes, cache.words, base, bytes, length, hash)) return FOUND;
      }
      if (!index.isContinuedBy(block, bytes, length)) return NOT_THERE;
    }
  }

  /** No more keys are added. */
  end(): void {
    this.#settleOne();
  }

  #ask(wanted: WantedBlock): void {
    this.#asked++;
    this.#pending++;
    this.#load(wanted);
    if (this.#asked % BLOCKS_AT_ONCE === BLOCKS_AT_ONCE / 2) this.#ground.handOver();
  }

  onBlock(
    wanted: WantedBlock,
    bytes: Uint8Array,
    words: Uint16Array,
    base: number,
    isPrivate: boolean,
  ): void {
    const { ordinal, block, keys } = wanted;
    this.#wanted.delete(idOf(ordinal, block));
    const table = this.#ground.version.tables[ordinal];
    const { index } = table;
    let next: WantedBlock | undefined;
    for (const wantedKey of keys) {
      const { place, key, hash, foundIn } = wantedKey;
      if (foundIn <= ordinal) continue;
      if (this.#search(ordinal, block, bytes, words, base, key, key.length, hash)) {
        wantedKey.foundIn = ordinal;
        const deletion = this.#deletionIn(table, key, key.length);
        this.#report(place, bytes, isPrivate && keys.length === 1, deletion);
      } else if (index.isContinuedBy(block, key, key.length)) {
        next ??= new WantedBlock(this, ordinal, block + 1);
        next.keys.push(wantedKey);
      }
    }
    if (next !== undefined) {
      this.#pending++;
      this.#load(next);
    }
    this.#settleOne();
  }

  onError({ ordinal, block }: WantedBlock, error: QuadringError): void {
    this.#wanted.delete(idOf(ordinal, block));
    this.#error ??= error;
    this.#settleOne();
  }

  #settleOne(): void {
    if (--this.#pending > 0) return;
    this.#ground.handler.onDone(this.#error);
    this.#ground.version.letGo();
  }

  #load(wanted: WantedBlock): void {
    const { cache, version, keep } = this.#ground;
    cache.load(version.tables[wanted.ordinal], wanted.block, wanted, keep);
  }

  #wantedBlock(ordinal: number, block: number): WantedBlock {
    const id = idOf(ordinal, block);
    let wanted = this.#wanted.get(id);
    if (wanted === undefined) {
      wanted = new WantedBlock(this, ordinal, block);
      this.#wanted.set(id, wanted);
    }
    return wanted;
  }

  #search(
    ordinal: number,
    block: number,
    bytes: Uint8Array,
    words: Uint16Array,
    base: number,
    key: Uint8Array,
    keyLength: number,
    hash: number,
  ): boolean {
    const { index } = this.#ground.version.tables[ordinal];
    const visible = this.#ground.visibleSequence;
    const bucketBits = index.bucketBitsOf(block);
    const prefix = index.prefixLengthOf(block);
    return searchBlock(bytes, words, base, bucketBits, prefix, key, keyLength, hash, visible, this.#entry);
  }

  /** Number of the table's range tombstone that deletes the key, or NOT_COVERED. */
  #deletionIn({ rangeTombstones }: Table, key: Uint8Array, keyLength: number): number {
    if (rangeTombstones === null) return NOT_COVERED;
    return rangeTombstones.covering(key, 0, keyLength, this.#ground.visibleSequence);
  }

  /** Hands on the entry that was found in a table that deletes what is older than `deletion`. */
  #report(place: number, bytes: Uint8Array, isPrivate: boolean, deletion: number): void {
    const { handler } = this.#ground;
    const { kind, sequence, valueStart, valueLength } = this.#entry;
    if (kind !== KIND_PUT || sequence <= deletion) {
      handler.onDeleted(place);
      return;
    }
    try {
      handler.onFound(place, bytes, valueStart, valueLength, isPrivate);
    } catch (error) {
      this.#error ??= error as Error;
    }
  }
}

function idOf(ordinal: number, block: number): number {
  return ordinal * TWO_32 + block;
}

/** One block, and the keys that may be in it. */
class WantedBlock implements BlockWaiter {
  readonly keys: WantedKey[] = [];
  readonly ordinal: number;
  readonly block: number;
  readonly #owner: MultiGet;

  constructor(owner: MultiGet, ordinal: number, block: number) {
    this.#owner = owner;
    this.ordinal = ordinal;
    this.block = block;
  }

  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void {
    this.#owner.onBlock(this, bytes, words, base, isPrivate);
  }

  onError(error: QuadringError): void {
    this.#owner.onError(this, error);
  }
}
