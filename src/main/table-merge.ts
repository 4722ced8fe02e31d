/**
 * The entries of many tables as one sequence, without a ring: by key, versions of a key newest first. Owner only.
 *
 * A heap of tables, by the entry that each stands at. A table is not opened before its smallest key's turn has come, and is
 * closed behind its last entry: as many are open as overlap there, however many there are.
 */
import { assert } from '../assert.ts';
import { compareBytes } from '../format/compare.ts';
import { SEQUENCE_MAX } from '../format/limits.ts';
import type { FileSystem } from './file-system.ts';
import type { BlockPlace } from './table-blocks.ts';
import { TableWalk } from './table-walk.ts';

export interface MergeSource {
  readonly number: number;
  /** Not behind any of its keys. */
  readonly smallestKey: Uint8Array;
  /** Of two versions with the same key and number, that of the source with the lower rank comes first. */
  readonly rank: number;
  /** Called once, when the table's turn has come. */
  readonly places: () => readonly BlockPlace[];
}

/** Before every version of a key. */
const NOT_OPEN = SEQUENCE_MAX + 1;

class Runner {
  readonly source: MergeSource;
  walk: TableWalk | undefined;

  constructor(source: MergeSource) {
    this.source = source;
  }

  get sequence(): number {
    return this.walk?.sequence ?? NOT_OPEN;
  }

  isBefore(other: Runner): boolean {
    const key = this.walk?.key ?? this.source.smallestKey;
    const keyLength = this.walk?.keyLength ?? key.length;
    const otherKey = other.walk?.key ?? other.source.smallestKey;
    const otherLength = other.walk?.keyLength ?? otherKey.length;
    const order = compareBytes(key, 0, keyLength, otherKey, 0, otherLength);
    if (order !== 0) return order < 0;
    if (this.sequence !== other.sequence) return this.sequence > other.sequence;
    return this.source.rank < other.source.rank;
  }
}

export class TableMerge {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** A heap: each is not behind the two at 2i + 1 and 2i + 2. */
  readonly #heap: Runner[] = [];
  #isAtEntry = false;

  constructor(fileSystem: FileSystem, directory: string, sources: readonly MergeSource[]) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    for (const source of sources) {
      this.#heap.push(new Runner(source));
      this.#up(this.#heap.length - 1);
    }
  }

  /** The entry that `next` has gone to. */
  get entry(): TableWalk {
    const walk = this.#heap[0]?.walk;
    assert(this.#isAtEntry && walk !== undefined, 'a merge stands at an entry');
    return walk;
  }

  /** Where the entry is from. */
  get source(): MergeSource {
    return this.#heap[0].source;
  }

  /** Goes to the next entry; false behind the last one. Throws what `TableWalk` throws. */
  next(): boolean {
    if (this.#isAtEntry) this.#advance();
    this.#isAtEntry = false;
    for (let top = this.#heap.at(0); top !== undefined; top = this.#heap.at(0)) {
      if (top.walk !== undefined) {
        this.#isAtEntry = true;
        return true;
      }
      const { number, places } = top.source;
      top.walk = new TableWalk(this.#fileSystem, this.#directory, number, places());
      this.#advance();
    }
    return false;
  }

  /** Closes what is open. */
  close(): void {
    for (const { walk } of this.#heap.splice(0)) walk?.close();
    this.#isAtEntry = false;
  }

  #advance(): void {
    const top = this.#heap[0];
    if (top.walk?.next() === true) {
      this.#down();
      return;
    }
    top.walk?.close();
    const last = this.#heap.pop();
    if (last === undefined || last === top) return;
    this.#heap[0] = last;
    this.#down();
  }

  #up(from: number): void {
    const heap = this.#heap;
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!heap[at].isBefore(heap[parent])) return;
      [heap[at], heap[parent]] = [heap[parent], heap[at]];
      at = parent;
    }
  }

  #down(): void {
    const heap = this.#heap;
    for (let at = 0; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && heap[child].isBefore(heap[least])) least = child;
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least], heap[at]];
      at = least;
    }
  }
}
