/**
 * The memtables of an open database: one active, some frozen that wait for their flush, and the arenas they live in.
 * Owner only.
 *
 * A crew has a fixed set of arenas. A batch that fits none gets an arena of its own, attached to the flush thread for
 * as long as its flush takes. An arena is used again only after the version that replaces it is installed.
 */
import { assert, must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { REGION_FIRST_ARENA } from '../protocol/crew-layout.ts';
import { forgetCopied } from './copy-words.ts';
import { Memtable } from './memtable.ts';

/** Arenas that belong to one oversize batch each; more than this and the next such batch waits. */
const OVERSIZE_ARENAS_MAX = 4;
const REGION_FIRST_OVERSIZE = 8;

/** Whether it was made for one batch that fits none of the crew's arenas. */
export function hasOwnArena({ region }: Memtable): boolean {
  return region >= REGION_FIRST_OVERSIZE;
}

export class Memtables {
  #active: Memtable;
  /** Frozen, oldest first. */
  #frozen: Memtable[] = [];
  readonly #free: Memtable[];
  readonly #arenaBytes: number;
  readonly #freeRegions: number[] = [];
  /** Makes an arena known to the flush thread under its region. */
  readonly #attach: (region: number, buffer: SharedArrayBuffer) => void;

  constructor(
    arenas: readonly SharedArrayBuffer[],
    attach: (region: number, buffer: SharedArrayBuffer) => void,
  ) {
    this.#arenaBytes = must(arenas[0], 'a crew has arenas').byteLength;
    this.#free = arenas.map((arena, i) => new Memtable(arena, REGION_FIRST_ARENA + i));
    this.#active = must(this.#free.pop(), 'a crew has arenas');
    this.#attach = attach;
    for (let i = OVERSIZE_ARENAS_MAX - 1; i >= 0; i--) this.#freeRegions.push(REGION_FIRST_OVERSIZE + i);
  }

  get active(): Memtable {
    return this.#active;
  }

  /** Frozen memtables, oldest first. */
  get frozen(): readonly Memtable[] {
    return this.#frozen;
  }

  /** Whether writes can go on when the active memtable is full. */
  get hasFreeArena(): boolean {
    return this.#free.length > 0;
  }

  /** All that hold entries or will, newest first. */
  newestFirst(): Memtable[] {
    return [this.#active, ...this.#frozen.toReversed()];
  }

  /** Whether such a batch could ever fit one of the crew's arenas. */
  fitsArena(entries: number, rawBytes: number): boolean {
    return Memtable.arenaBytesFor(entries, rawBytes) <= this.#arenaBytes;
  }

  /** Makes an active memtable with room for such a batch; false when it has to wait for a flush. Throws OVERLOADED. */
  makeRoom(entries: number, rawBytes: number): boolean {
    if (this.#active.hasRoom(entries, rawBytes)) return true;
    if (this.fitsArena(entries, rawBytes)) return this.rotate();
    const region = this.#freeRegions.at(-1);
    if (region === undefined) return false;
    const buffer = allocate(Memtable.arenaBytesFor(entries, rawBytes));
    this.#freeRegions.pop();
    this.#attach(region, buffer);
    const oversize = new Memtable(buffer, region);
    assert(oversize.hasRoom(entries, rawBytes), 'an arena made for a batch has room for it');
    if (this.#active.entries > 0) this.#frozen.push(this.#active);
    else this.#free.push(this.#active);
    this.#active = oversize;
    return true;
  }

  /** Freezes the active memtable; false when no arena is free. An empty one stays. */
  rotate(): boolean {
    if (this.#active.entries === 0) return true;
    const next = this.#free.pop();
    if (next === undefined) return false;
    this.#frozen.push(this.#active);
    this.#active = next;
    return true;
  }

  /** The oldest frozen memtable is in a table that reads can see: its arena is free again. */
  releaseOldest(): void {
    const memtable = must(this.#frozen.shift(), 'a frozen memtable');
    if (!hasOwnArena(memtable)) {
      memtable.reset();
      this.#free.push(memtable);
      return;
    }
    this.#letGo(memtable);
    this.#freeRegions.push(memtable.region);
  }

  /** Has nobody hold on to an arena of its own any more. */
  #letGo({ region }: Memtable): void {
    this.#attach(region, new SharedArrayBuffer(0));
    forgetCopied();
  }

  /** Leaves the arenas as the next database may find them. REQUIRES: nothing is being flushed. */
  resetAll(): void {
    for (const memtable of this.newestFirst()) {
      if (hasOwnArena(memtable)) this.#letGo(memtable);
      else memtable.reset();
    }
  }

  /** The lowest number of a log that some memtable still needs, or `otherwise` when all are empty. */
  oldestLog(otherwise: number, except?: Memtable): number {
    let oldest = otherwise;
    for (const memtable of this.newestFirst()) {
      if (memtable !== except && memtable.entries > 0) oldest = Math.min(oldest, memtable.firstLog);
    }
    return oldest;
  }
}

function allocate(bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes);
  } catch (error) {
    throw new QuadringError('OVERLOADED', `there is no memory for a batch that takes ${bytes} bytes`, {
      cause: error,
    });
  }
}
