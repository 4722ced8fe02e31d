/**
 * A version: which tables are at which level. Never changed once it is made; a read holds the one it began with. Owner
 * only.
 *
 *     level 0      newest first; their keys overlap
 *     levels 1–6   sorted; no two tables of one level have a key in common
 *
 * What is newer stands above what is older: of one key, everything in a table of level 0 is newer than what older tables
 * of level 0 and all levels below have of it.
 *
 * Lookups go through *places*: first each table of level 0, then each sorted level that has tables. A table's *ordinal* is
 * its index in `tables`, which has them in the order of places.
 */
import { assert, must } from '../assert.ts';
import { commonPrefixLength, compareBytes } from '../format/compare.ts';
import { headOf } from '../format/key-head.ts';
import { LEVEL_COUNT } from '../format/limits.ts';
import type { KeyRange } from './range.ts';
import type { Table } from './table.ts';

export class Version {
  /** LEVEL_COUNT of them. */
  readonly levels: readonly (readonly Table[])[];
  /** Level 0, newest first. */
  readonly overlapping: readonly Table[];
  /** The sorted levels that have tables, upper ones first. */
  readonly sorted: readonly SortedLevel[];
  /** All of them, newer places first. */
  readonly tables: readonly Table[];
  #holders = 0;

  /** REQUIRES: levels in their order. Holds the tables as soon as it is held itself. */
  constructor(levels: readonly (readonly Table[])[]) {
    assert(levels.length === LEVEL_COUNT, 'a version has all levels');
    this.levels = levels;
    this.overlapping = must(levels[0], 'a version has a level 0');
    this.tables = levels.flat();
    const sorted: SortedLevel[] = [];
    let ordinal = this.overlapping.length;
    for (let level = 1; level < LEVEL_COUNT; level++) {
      const tables = levels[level];
      if (tables.length > 0) sorted.push(new SortedLevel(tables, ordinal));
      ordinal += tables.length;
    }
    this.sorted = sorted;
  }

  /** How many places a lookup looks at. */
  get placeCount(): number {
    return this.overlapping.length + this.sorted.length;
  }

  /** HOT. Ordinal of the table at that place that the key may be in, −1 if there is none. */
  ordinalAt(place: number, key: Uint8Array, keyLength: number): number {
    const overlapping = this.overlapping.length;
    return place < overlapping ? place : this.sorted[place - overlapping].locate(key, keyLength);
  }

  hold(): this {
    if (this.#holders++ === 0) for (const table of this.tables) table.hold();
    return this;
  }

  letGo(): void {
    assert(this.#holders > 0, 'a version that is let go was held');
    if (--this.#holders === 0) for (const table of this.tables) table.letGo();
  }

  /** Whether somebody holds it. */
  get isHeld(): boolean {
    return this.#holders > 0;
  }
}

/** Tables of which no two have a key in common, in the order of their keys: those from `first` to `last` of `tables`. */
export interface TableRun {
  readonly tables: readonly Table[];
  readonly first: number;
  readonly last: number;
  /** Of all of `tables`; 0 where they have no entries. */
  readonly blocksPerEntry: number;
  /** Whether any of `tables` has some. */
  readonly hasRangeTombstones: boolean;
}

export function runOfTable(table: Table): TableRun {
  const tables = [table];
  const hasRangeTombstones = table.rangeTombstones !== null;
  return { tables, first: 0, last: 0, blocksPerEntry: blocksPerEntryOf(tables), hasRangeTombstones };
}

/** Tables may have range tombstones and no entry. */
function blocksPerEntryOf(tables: readonly Table[]): number {
  let blocks = 0;
  let entries = 0;
  for (const { index, description } of tables) {
    blocks += index.blockCount;
    entries += description.entries;
  }
  return entries === 0 ? 0 : blocks / entries;
}

/** Tables of one level in the order of their keys. */
export class SortedLevel {
  readonly tables: readonly Table[];
  readonly blocksPerEntry: number;
  readonly hasRangeTombstones: boolean;
  /** Ordinal of the first one. */
  readonly #firstOrdinal: number;
  /** How many bytes all smallest keys have in common, and the next 52 bits of each as a number. */
  readonly #commonLength: number;
  readonly #heads: Float64Array;

  constructor(tables: readonly Table[], firstOrdinal: number) {
    this.tables = tables;
    this.blocksPerEntry = blocksPerEntryOf(tables);
    this.hasRangeTombstones = tables.some(({ rangeTombstones }) => rangeTombstones !== null);
    this.#firstOrdinal = firstOrdinal;
    const first = smallestKeyOf(must(tables[0], 'a level has tables'));
    const last = smallestKeyOf(must(tables.at(-1), 'a level has tables'));
    const common = commonPrefixLength(first, 0, first.length, last, 0, last.length);
    this.#commonLength = common;
    this.#heads = Float64Array.from(tables, (table) => {
      const key = smallestKeyOf(table);
      return headOf(key, common, key.length);
    });
  }

  /** HOT. Ordinal of the last table whose smallest key is not behind the key, −1 if there is none. */
  locate(key: Uint8Array, keyLength: number): number {
    const at = this.#lastFrom(key, keyLength);
    return at < 0 ? -1 : this.#firstOrdinal + at;
  }

  /** Tables that may have keys of the range; undefined where there are none. */
  runOf(range: KeyRange): TableRun | undefined {
    const { tables, blocksPerEntry, hasRangeTombstones } = this;
    const { lower, upper } = range;
    let first = lower === undefined ? 0 : Math.max(this.#lastFrom(lower, lower.length), 0);
    let last = upper === undefined ? tables.length - 1 : this.#lastFrom(upper, upper.length);
    if (first <= last && !tables[first].mayHold(range)) first++;
    if (first <= last && !tables[last].mayHold(range)) last--;
    return first > last ? undefined : { tables, first, last, blocksPerEntry, hasRangeTombstones };
  }

  #lastFrom(key: Uint8Array, keyLength: number): number {
    const common = this.#commonLength;
    const { tables } = this;
    const first = smallestKeyOf(tables[0]);
    const shorter = keyLength < common ? keyLength : common;
    for (let i = 0; i < shorter; i++) {
      const difference = key[i] - first[i];
      if (difference !== 0) return difference < 0 ? -1 : tables.length - 1;
    }
    if (keyLength < common) return -1;
    const head = headOf(key, common, keyLength);
    const heads = this.#heads;
    // As `TableIndex.locate` does it.
    let at = 0;
    let count = heads.length;
    while (count > 1) {
      const half = count >>> 1;
      at += half & -Number(heads[at + half] <= head);
      count -= half;
    }
    const found = heads[at];
    if (found === head) return this.#lastByKey(key, keyLength, head);
    return found < head ? at : -1;
  }

  /** The same where heads do not tell all tables apart. */
  #lastByKey(key: Uint8Array, keyLength: number, head: number): number {
    const { tables } = this;
    const heads = this.#heads;
    let low = 0;
    let high = heads.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = heads[middle];
      const isNotBehind =
        other < head || (other === head && compareSmallest(tables[middle], key, keyLength) <= 0);
      if (isNotBehind) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function smallestKeyOf(table: Table): Uint8Array {
  return table.description.smallestKey;
}

function compareSmallest(table: Table, key: Uint8Array, keyLength: number): number {
  const smallest = smallestKeyOf(table);
  return compareBytes(smallest, 0, smallest.length, key, 0, keyLength);
}
