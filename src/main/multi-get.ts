/**
 * Many point reads as one: what memory has is answered at once; then every table of every remaining key is asked through
 * its filter, and all blocks that may hold an answer are read together, each once. Owner only.
 *
 * A key can be in several tables; the newest one that has it counts. The older ones are read beside it rather than
 * after it: a filter that says maybe is right 99 times in 100, and one round of reads is what the caller waits for.
 */
import type { QuadringError } from '../errors.ts';
import { BlockEntry, searchBlock } from '../format/block.ts';
import { filterMayContain } from '../format/filter.ts';
import { KIND_PUT } from '../format/limits.ts';
import type { BlockCache, BlockWaiter } from './block-cache.ts';
import type { KeyScratch } from './bytes.ts';
import type { Table } from './table.ts';

const TWO_32 = 0x1_0000_0000;

export interface MultiGetHandler {
  /**
   * A version of the key at this place; one that comes later is newer. The memory is valid during the call, and with
   * `isPrivate` it may be kept.
   */
  onFound(place: number, bytes: Uint8Array, start: number, length: number, isPrivate: boolean): void;
  /** The same, and it is a deletion. */
  onDeleted(place: number): void;
  /** Called once, when everything that was added is answered; while completions are drained. */
  onDone(error: QuadringError | undefined): void;
}

export interface MultiGetGround {
  readonly cache: BlockCache;
  /** Newest first. */
  readonly tables: readonly Table[];
  readonly visibleSequence: number;
  /** Whether blocks that are read stay in the cache. */
  readonly keep: boolean;
  readonly handler: MultiGetHandler;
}

interface WantedKey {
  readonly place: number;
  readonly key: Uint8Array;
  readonly hash: number;
  /** Index of the newest table in which it was found so far. */
  foundIn: number;
}

export class MultiGet {
  readonly #ground: MultiGetGround;
  readonly #entry = new BlockEntry();
  /** By table and block. */
  readonly #wanted = new Map<number, WantedBlock>();
  #pending = 0;
  #error: QuadringError | undefined;

  constructor(ground: MultiGetGround) {
    this.#ground = ground;
  }

  /** Whether every key that was added is answered. */
  get isDone(): boolean {
    return this.#wanted.size === 0;
  }

  /** Looks a key up in the tables, as far as memory has them, and notes the blocks that have to be read. */
  add(place: number, scratch: KeyScratch): void {
    const { bytes, length, hash } = scratch;
    const { tables, cache } = this.#ground;
    let wanted: WantedKey | undefined;
    for (let i = 0; i < tables.length; i++) {
      const { filter, index } = tables[i];
      if (filter !== null && !filterMayContain(filter, hash)) continue;
      let block = index.locate(bytes, length);
      if (block < 0) continue;
      for (; ; block++) {
        if (index.sharesPrefix(block, bytes, length)) {
          const base = cache.find(tables[i], block);
          if (base < 0) {
            wanted ??= { place, key: scratch.copy(), hash, foundIn: tables.length };
            this.#wantedBlock(i, block).keys.push(wanted);
            break;
          }
          if (this.#search(i, block, cache.bytes, cache.words, base, bytes, length, hash)) {
            if (wanted !== undefined) wanted.foundIn = i;
            this.#report(place, cache.bytes, false);
            return;
          }
        }
        if (!index.isContinuedBy(block, bytes, length)) break;
      }
    }
  }

  /** Asks for all blocks. REQUIRES: not `isDone`. */
  begin(): void {
    const blocks = [...this.#wanted.values()];
    this.#pending = blocks.length;
    for (const wanted of blocks) this.#load(wanted);
  }

  onBlock(
    wanted: WantedBlock,
    bytes: Uint8Array,
    words: Uint16Array,
    base: number,
    isPrivate: boolean,
  ): void {
    const { tableIndex, block, keys } = wanted;
    const { index } = this.#ground.tables[tableIndex];
    let next: WantedBlock | undefined;
    for (const wantedKey of keys) {
      const { place, key, hash, foundIn } = wantedKey;
      if (foundIn <= tableIndex) continue;
      if (this.#search(tableIndex, block, bytes, words, base, key, key.length, hash)) {
        wantedKey.foundIn = tableIndex;
        this.#report(place, bytes, isPrivate && keys.length === 1);
      } else if (index.isContinuedBy(block, key, key.length)) {
        next ??= new WantedBlock(this, tableIndex, block + 1);
        next.keys.push(wantedKey);
      }
    }
    if (next !== undefined) {
      this.#pending++;
      this.#load(next);
    }
    this.#settleOne();
  }

  onError(error: QuadringError): void {
    this.#error ??= error;
    this.#settleOne();
  }

  #settleOne(): void {
    if (--this.#pending === 0) this.#ground.handler.onDone(this.#error);
  }

  #load(wanted: WantedBlock): void {
    const { cache, tables, keep } = this.#ground;
    cache.load(tables[wanted.tableIndex], wanted.block, wanted, keep);
  }

  #wantedBlock(tableIndex: number, block: number): WantedBlock {
    const id = tableIndex * TWO_32 + block;
    let wanted = this.#wanted.get(id);
    if (wanted === undefined) {
      wanted = new WantedBlock(this, tableIndex, block);
      this.#wanted.set(id, wanted);
    }
    return wanted;
  }

  #search(
    tableIndex: number,
    block: number,
    bytes: Uint8Array,
    words: Uint16Array,
    base: number,
    key: Uint8Array,
    keyLength: number,
    hash: number,
  ): boolean {
    const { index } = this.#ground.tables[tableIndex];
    const visible = this.#ground.visibleSequence;
    const bucketBits = index.bucketBitsOf(block);
    const prefix = index.prefixLengthOf(block);
    return searchBlock(bytes, words, base, bucketBits, prefix, key, keyLength, hash, visible, this.#entry);
  }

  #report(place: number, bytes: Uint8Array, isPrivate: boolean): void {
    const { handler } = this.#ground;
    const { kind, valueStart, valueLength } = this.#entry;
    if (kind === KIND_PUT) handler.onFound(place, bytes, valueStart, valueLength, isPrivate);
    else handler.onDeleted(place);
  }
}

/** One block, and the keys that may be in it. */
class WantedBlock implements BlockWaiter {
  readonly keys: WantedKey[] = [];
  readonly tableIndex: number;
  readonly block: number;
  readonly #owner: MultiGet;

  constructor(owner: MultiGet, tableIndex: number, block: number) {
    this.#owner = owner;
    this.tableIndex = tableIndex;
    this.block = block;
  }

  onBlock(bytes: Uint8Array, words: Uint16Array, base: number, isPrivate: boolean): void {
    this.#owner.onBlock(this, bytes, words, base, isPrivate);
  }

  onError(error: QuadringError): void {
    this.#owner.onError(error);
  }
}
