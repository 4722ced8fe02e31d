/**
 * A scan: the keys of a range, in order, as the database was at one sequence number. Owner only.
 *
 * It merges a cursor for each memtable, each table of level 0 and each sorted level that may hold keys of the range. What it stands on:
 *
 *     tables      the scan holds the version that it began with
 *     memtables   until their flush; then the table that takes a memtable's place takes its cursor's place, at the same key
 *     versions    the sequence number is held in the snapshot list, so no flush leaves out what the scan sees
 *     deletions   range tombstones of all these, as they were when it began: what is added later is newer than what it sees
 *
 * Where many keys in a row are deleted by a range tombstone, cursors that have nothing newer in its range leave it at once.
 *
 * `fill` gives what memory has and says whether more has to be waited for. It never waits itself, and runs at most
 * STEPS_MAX keys at a time, deleted ones included, so that the event loop gets its turn.
 */
import { assert, must } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { KIND_PUT } from '../format/limits.ts';
import { KeyScratch, type Bytes } from './bytes.ts';
import { FAILED, PAUSED, READY, WAITING, type Cursor } from './cursor.ts';
import type { EntryBatch } from './entry-batch.ts';
import type { Memtable } from './memtable.ts';
import { hasOwnArena, type Memtables } from './memtables.ts';
import { MemtableCursor } from './memtable-cursor.ts';
import { MergeTree } from './merge-tree.ts';
import { narrowed, type KeyRange } from './range.ts';
import type { ReadAheadBudget } from './read-ahead.ts';
import type { ScanDeletions } from './scan-deletions.ts';
import { findSources } from './scan-sources.ts';
import type { SnapshotList } from './snapshots.ts';
import type { Table } from './table.ts';
import { TableCursor, type TableCursorOptions } from './table-cursor.ts';
import { runOfTable, type TableRun } from './version.ts';
import type { VersionSet } from './version-set.ts';

const STEPS_MAX = 16_384;
/** Keys in a row that a range tombstone deletes, before it is worth while to leave its range. */
const DELETED_MAX = 64;
/** Bytes of keys and values that one call gives unless it asks for fewer, at most one entry more. */
const FILL_BYTES_MAX = 1 << 20;

/** For `seek`: a scratch is large, and used within one call. */
const seekKey = new KeyScratch();

/** Entries that are taken one by one after a run was short. */
const SINGLY_AFTER_SHORT_RUN = 16;
const SHORT_RUN_ENTRIES_MAX = 7;

/** What a scan gives its entries to. */
export interface EntrySink {
  /** Itself, if it takes many at a time. */
  readonly batch: EntryBatch | undefined;
  /** Entries that it has. */
  readonly length: number;
  /** Takes the entry that the cursor stands at: what it says is valid during the call only, but for private memory. */
  take(cursor: Cursor): void;
}

/**
 * Of what a scan consists the last that was closed: kept alive, never looked at. A collection of all garbage that finds no
 * object of a class takes what V8 knows of the class's shape along, and the code that was compiled for it. After some of these
 * it compiles code for any shape: ranges of 100 entries took 24 µs in place of 14, and of entries of one's own 98 in place of 44.
 */
class LastClosed {
  tableCursor: Cursor | undefined;
  memtableCursor: Cursor | undefined;
  iterator: object | undefined;
  entryCursor: object | undefined;
}

/** Open scans, for whoever changes what they stand on. */
export class ScanList {
  readonly #scans = new Set<Scan>();
  readonly lastClosed = new LastClosed();

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
  /** See `TableCursorOptions`. */
  readonly keepsBlocks: boolean;
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
  /** Undefined where no source has range tombstones. */
  #deletions: ScanDeletions | undefined;
  /** Of all cursors, as long as they are open. */
  #cursorOptions: TableCursorOptions | undefined;
  /** How many cursors the scan was opened with. */
  #sourceCount = 1;
  /** What the cursors read: the version they were opened with, and tables that took a memtable's place since. */
  #held: { letGo(): void }[] = [];
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

  /** Entries that it gives at most; Infinity: all. */
  get limit(): number {
    return this.#options.limit;
  }

  /** For whoever reads the scan. */
  get lastClosed(): LastClosed {
    return this.#ground.scans.lastClosed;
  }

  /** Gives entries until the sink has `count`, or `bytesMax` bytes have been given. Throws a cursor's error. */
  fill(sink: EntrySink, count: number, bytesMax = FILL_BYTES_MAX): FillOutcome {
    assert(!this.#isClosed, 'a scan that is closed gives nothing');
    if (this.#remaining <= 0) return 'ended';
    const cursors = (this.#cursors ??= this.#open());
    const before = sink.length;
    let outcome: FillOutcome;
    try {
      outcome = this.#fill(sink, count, bytesMax, cursors);
    } catch (error) {
      // What was given before counts; and blocks that are read in place may be others in the next turn.
      this.#remaining -= sink.length - before;
      for (const cursor of cursors) cursor.detach();
      throw error;
    }
    this.#remaining -= sink.length - before;
    if (this.#remaining <= 0) return 'ended';
    for (const cursor of cursors) cursor.detach();
    return outcome;
  }

  #fill(sink: EntrySink, count: number, bytesMax: number, cursors: readonly Cursor[]): FillOutcome {
    let outcome: FillOutcome = 'more';
    if (this.#isTreeBuilt || this.#buildTree(cursors)) {
      const wanted = Math.min(count, sink.length + this.#remaining);
      const deletions = this.#deletions;
      outcome =
        deletions === undefined
          ? this.#merge(sink, wanted, bytesMax)
          : this.#mergeUndeleted(sink, wanted, bytesMax, cursors, deletions);
    }
    return !this.#isTreeBuilt && cursors.some(({ state }) => state === WAITING) ? 'waiting' : outcome;
  }

  /** HOT. */
  #merge(sink: EntrySink, wanted: number, bytesMax: number): 'more' | 'ended' {
    const tree = this.#tree;
    const { batch } = sink;
    let bytes = 0;
    let singly = 0;
    for (let step = 0; step < STEPS_MAX && sink.length < wanted && bytes < bytesMax; step++) {
      const { top } = tree;
      if (top === undefined) return 'ended';
      if (batch !== undefined && singly-- <= 0) {
        const before = batch.used;
        const { length } = batch;
        if (top.takeRun(batch, tree.runnerUp, wanted - length)) {
          bytes += batch.used - before;
          if (batch.length - length <= SHORT_RUN_ENTRIES_MAX) singly = SINGLY_AFTER_SHORT_RUN;
          if (tree.moved()) continue;
          this.#isTreeBuilt = false;
          break;
        }
        singly = SINGLY_AFTER_SHORT_RUN;
      }
      if (top.kind === KIND_PUT) {
        sink.take(top);
        bytes += top.keyLength + top.valueLength;
      }
      if (tree.advance()) continue;
      this.#isTreeBuilt = false;
      break;
    }
    return 'more';
  }

  /** HOT. The same where range tombstones delete some of the keys. */
  #mergeUndeleted(
    sink: EntrySink,
    wanted: number,
    bytesMax: number,
    cursors: readonly Cursor[],
    deletions: ScanDeletions,
  ): 'more' | 'ended' {
    const tree = this.#tree;
    let bytes = 0;
    let deleted = 0;
    for (let step = 0; step < STEPS_MAX && sink.length < wanted && bytes < bytesMax; step++) {
      const { top } = tree;
      if (top === undefined) return 'ended';
      if (deletions.isDeleted(top.key, top.keyLength, top.sequence)) {
        deleted++;
      } else if (top.kind === KIND_PUT) {
        sink.take(top);
        bytes += top.keyLength + top.valueLength;
        deleted = 0;
      }
      if (deleted === DELETED_MAX) {
        deleted = 0;
        skipDeleted(cursors, deletions);
        this.#isTreeBuilt = false;
        if (!this.#buildTree(cursors)) break;
        continue;
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

  /**
   * Begins anew at the first key at or behind `target`, in reverse at the last one at or before it, inside the range that it was
   * made for; `givenBack` entries that were given do not count. Throws INVALID_ARGUMENT or KEY_TOO_LARGE.
   */
  seek(target: Bytes, givenBack: number): void {
    const { range, isReverse } = this.#options;
    this.#range = narrowed(range, target, isReverse, seekKey);
    this.#closeCursors();
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
    table.hold();
    this.#held.push(table);
    const options = must(this.#cursorOptions, 'a scan with cursors has been opened');
    this.#cursors[at] = this.#tableCursor(runOfTable(table), rest, options);
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
    const { readAhead, versions } = this.#ground;
    const { isReverse, sequence, fillCache, keepsBlocks } = this.#options;
    this.#held.push(versions.current.hold());
    const { memtables, runs, headSkip, deletions } = findSources(
      this.#ground,
      this.#range,
      sequence,
      isReverse,
    );
    this.#deletions = deletions;
    this.#sourceCount = memtables.length + runs.length;
    const options = {
      budget: readAhead,
      isReverse,
      visibleSequence: sequence,
      headSkip,
      fillCache,
      keepsBlocks,
      onSettled: () => this.#noteSettled(),
    };
    this.#cursorOptions = options;
    const cursors: Cursor[] = [];
    for (const memtable of memtables) cursors.push(new MemtableCursor(memtable, this.#range, options));
    for (const run of runs) cursors.push(this.#tableCursor(run, this.#range, options));
    return cursors;
  }

  #tableCursor(run: TableRun, range: KeyRange, options: TableCursorOptions): TableCursor {
    return new TableCursor(run, range, this.#remaining / this.#sourceCount, options);
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
    const { lastClosed } = this.#ground.scans;
    for (const cursor of this.#cursors ?? []) {
      cursor.close();
      if (cursor instanceof TableCursor) lastClosed.tableCursor = cursor;
      // An arena of its own is to go with its memtable.
      else if (cursor instanceof MemtableCursor && !hasOwnArena(cursor.memtable))
        lastClosed.memtableCursor = cursor;
    }
    this.#cursors = undefined;
    this.#tree.reset();
    this.#deletions = undefined;
    this.#isTreeBuilt = false;
    for (const held of this.#held.splice(0)) held.letGo();
  }
}

/** Moves out of the range of the tombstone that deletes what is at hand whoever has nothing newer there. */
function skipDeleted(cursors: readonly Cursor[], deletions: ScanDeletions): void {
  const { rank, sequence, bound } = deletions;
  for (const [at, cursor] of cursors.entries()) {
    const isOlder = at > rank || (at === rank && cursor.newestSequence <= sequence);
    if (!isOlder || cursor.state !== READY || !deletions.holdsFor(cursor.key, cursor.keyLength)) continue;
    cursor.skipTo(bound);
  }
}
