/**
 * A scan: the keys of a range, in order, as the database was at one sequence number. Owner only.
 *
 * It merges a cursor for each memtable and each table that may hold keys of the range. What it stands on:
 *
 *     tables      immutable; the scan keeps the ones it began with
 *     memtables   until their flush; then the table that takes a memtable's place takes its cursor's place, at the same key
 *     versions    the sequence number is held in the snapshot list, so no flush leaves out what the scan sees
 *
 * `fill` gives what memory has and says whether more has to be waited for. It never waits itself, and runs at most
 * STEPS_MAX keys at a time, deleted ones included, so that the event loop gets its turn.
 */
import { assert } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { commonPrefixLength } from '../format/compare.ts';
import { KIND_PUT } from '../format/limits.ts';
import { FAILED, PAUSED, WAITING, type Cursor } from './cursor.ts';
import type { Memtable } from './memtable.ts';
import type { Memtables } from './memtables.ts';
import { MemtableCursor } from './memtable-cursor.ts';
import { MergeTree } from './merge-tree.ts';
import { compareKeys, type KeyRange } from './range.ts';
import type { ReadAheadBudget } from './read-ahead.ts';
import type { SnapshotList } from './snapshots.ts';
import type { Table } from './table.ts';
import { TableCursor } from './table-cursor.ts';
import type { VersionSet } from './version-set.ts';

const STEPS_MAX = 16_384;
/** Bytes of keys and values that one call gives, at most one entry more. */
const FILL_BYTES_MAX = 1 << 20;

/** Open scans, for whoever changes what they stand on. */
export class ScanList {
  readonly #scans = new Set<Scan>();

  get size(): number {
    return this.#scans.size;
  }

  add(scan: Scan): void {
    this.#scans.add(scan);
  }

  delete(scan: Scan): void {
    this.#scans.delete(scan);
  }

  /** A memtable's arena will be used again: the table has the same keys. */
  replace(memtable: Memtable, table: Table): void {
    for (const scan of this.#scans) scan.replace(memtable, table);
  }

  closeAll(): void {
    for (const scan of this.#scans) scan.close();
  }
}

/** What scans read from. */
export interface ScanGround {
  readonly memtables: Memtables;
  readonly versions: VersionSet;
  readonly readAhead: ReadAheadBudget;
  readonly snapshots: SnapshotList;
  readonly scans: ScanList;
}

export interface ScanOptions {
  readonly range: KeyRange;
  readonly isReverse: boolean;
  /** Entries to give; Infinity: all. */
  readonly limit: number;
  readonly sequence: number;
  readonly fillCache: boolean;
  readonly keysOnly: boolean;
}

/** What became of a call of `fill`. */
export type FillOutcome =
  /** As much as was asked for, or as one call gives. */
  | 'more'
  /** The next key needs a block that is not here. */
  | 'waiting'
  /** That was all. */
  | 'ended';

export class Scan {
  readonly #ground: ScanGround;
  readonly #options: ScanOptions;
  readonly #tree: MergeTree;
  #range: KeyRange;
  /** Entries that may still be given. */
  #remaining: number;
  /** Newest source first; undefined: not opened, or to be opened again. */
  #cursors: Cursor[] | undefined;
  #headSkip = 0;
  /** How many cursors the scan was opened with. */
  #sourceCount = 1;
  #isTreeBuilt = false;
  #isClosed = false;
  #onSettled: (() => void) | undefined;

  constructor(ground: ScanGround, options: ScanOptions) {
    this.#ground = ground;
    this.#options = options;
    this.#tree = new MergeTree(options.isReverse);
    this.#range = options.range;
    this.#remaining = options.limit;
    ground.snapshots.hold(options.sequence);
    ground.scans.add(this);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Pushes up to `count` entries, as `materialize` makes them of the cursor that stands at each. Throws a cursor's error. */
  fill<Item>(items: Item[], count: number, materialize: (cursor: Cursor) => Item): FillOutcome {
    assert(!this.#isClosed, 'a scan that is closed gives nothing');
    if (this.#remaining <= 0) return 'ended';
    const cursors = (this.#cursors ??= this.#open());
    const before = items.length;
    let outcome: FillOutcome = 'more';
    if (this.#isTreeBuilt || this.#buildTree(cursors)) {
      outcome = this.#merge(items, Math.min(count, before + this.#remaining), materialize);
    }
    if (!this.#isTreeBuilt && cursors.some(({ state }) => state === WAITING)) outcome = 'waiting';
    this.#remaining -= items.length - before;
    if (this.#remaining <= 0) return 'ended';
    for (const cursor of cursors) cursor.detach();
    return outcome;
  }

  /** HOT. */
  #merge<Item>(items: Item[], wanted: number, materialize: (cursor: Cursor) => Item): 'more' | 'ended' {
    const tree = this.#tree;
    let bytes = 0;
    for (let step = 0; step < STEPS_MAX && items.length < wanted && bytes < FILL_BYTES_MAX; step++) {
      const { top } = tree;
      if (top === undefined) return 'ended';
      if (top.kind === KIND_PUT) {
        items.push(materialize(top));
        bytes += top.keyLength + top.valueLength;
      }
      if (tree.advance()) continue;
      this.#isTreeBuilt = false;
      break;
    }
    return 'more';
  }

  /** Calls back, once, when nothing is waited for any more; at once if nothing is. */
  whenSettled(onSettled: () => void): void {
    this.#onSettled = onSettled;
    this.#noteSettled();
  }

  /** Begins anew with another range; `givenBack` entries that were given do not count. */
  restart(range: KeyRange, givenBack: number): void {
    this.#closeCursors();
    this.#tree.reset();
    this.#range = range;
    this.#remaining += givenBack;
  }

  /** See `ScanList.replace`. */
  replace(memtable: Memtable, table: Table): void {
    for (const [at, cursor] of this.#cursors?.entries() ?? []) {
      if (cursor instanceof MemtableCursor && cursor.memtable === memtable)
        this.#replaceCursor(at, cursor, table);
    }
  }

  #replaceCursor(at: number, { position }: MemtableCursor, table: Table): void {
    // One that has come to its end would come to its end in the table.
    if (this.#cursors === undefined || position === undefined) return;
    // The key, and a zero byte behind it: the first key behind the key.
    const successor = new Uint8Array(position.length + 1);
    successor.set(position);
    const { lower, upper } = this.#range;
    const rest = this.#options.isReverse
      ? { lower, upper: successor }
      : { lower: successor.subarray(0, -1), upper };
    this.#cursors[at] = this.#tableCursor(table, rest);
    this.#cursors[at].detach();
    this.#isTreeBuilt = false;
  }

  /** Lets go everything; false if that was done before. */
  close(): boolean {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    this.#closeCursors();
    this.#ground.scans.delete(this);
    this.#ground.snapshots.release(this.#options.sequence);
    this.#noteSettled();
    return true;
  }

  #open(): Cursor[] {
    const { memtables, versions } = this.#ground;
    const { sequence } = this.#options;
    const read = memtables
      .newestFirst()
      .filter(({ entries, firstSequence }) => entries > 0 && firstSequence <= sequence);
    const tables = versions.tables.filter(
      (table) => table.description.smallestSequence <= sequence && table.mayHold(this.#range),
    );
    this.#headSkip = commonPrefixOf([
      ...read.map(firstAndLastKey),
      ...tables.map(({ description: { smallestKey, largestKey } }) => [smallestKey, largestKey] as const),
    ]);
    this.#sourceCount = read.length + tables.length;
    const { isReverse } = this.#options;
    const visible = { isReverse, visibleSequence: sequence, headSkip: this.#headSkip };
    return [
      ...read.map((memtable) => new MemtableCursor(memtable, this.#range, visible)),
      ...tables.map((table) => this.#tableCursor(table, this.#range)),
    ];
  }

  #tableCursor(table: Table, range: KeyRange): TableCursor {
    const { isReverse, sequence, fillCache, keysOnly } = this.#options;
    return new TableCursor(table, range, {
      budget: this.#ground.readAhead,
      isReverse,
      visibleSequence: sequence,
      headSkip: this.#headSkip,
      fillCache,
      keysOnly,
      expectedEntries: this.#remaining / this.#sourceCount,
      onSettled: () => this.#noteSettled(),
    });
  }

  /** False when a cursor waits, or pauses. */
  #buildTree(cursors: readonly Cursor[]): boolean {
    for (const cursor of cursors) {
      if (cursor.state === FAILED) throw cursor.error as QuadringError;
      if (cursor.state === PAUSED) cursor.resume();
    }
    if (cursors.some(({ isUnsettled }) => isUnsettled)) return false;
    this.#isTreeBuilt = this.#tree.build(cursors);
    return this.#isTreeBuilt;
  }

  #noteSettled(): void {
    const onSettled = this.#onSettled;
    if (onSettled === undefined) return;
    if (this.#cursors?.some(({ state }) => state === WAITING) === true) return;
    this.#onSettled = undefined;
    onSettled();
  }

  #closeCursors(): void {
    for (const cursor of this.#cursors ?? []) cursor.close();
    this.#cursors = undefined;
    this.#isTreeBuilt = false;
  }
}

function firstAndLastKey(memtable: Memtable): readonly [Uint8Array, Uint8Array] {
  return [memtable.keyOf(memtable.firstNode), memtable.keyOf(memtable.lastNode)];
}

/** How many bytes all keys between the smallest and the largest have in common. */
function commonPrefixOf(bounds: readonly (readonly [Uint8Array, Uint8Array])[]): number {
  if (bounds.length === 0) return 0;
  let [smallest, largest] = bounds[0];
  for (const [first, last] of bounds) {
    if (compareKeys(first, smallest) < 0) smallest = first;
    if (compareKeys(last, largest) > 0) largest = last;
  }
  return commonPrefixLength(smallest, 0, smallest.length, largest, 0, largest.length);
}
