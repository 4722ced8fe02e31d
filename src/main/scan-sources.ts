/**
 * Where a scan finds its keys: memtables and runs of tables that may hold some of its range. Owner only; pure.
 *
 * Nothing here looks at every table of a level: a range without an upper bound would take as long as the level is large.
 */
import { commonPrefixLength } from '../format/compare.ts';
import type { RangeTombstones } from '../format/range-tombstones.ts';
import type { Memtable } from './memtable.ts';
import { compareKeys, type KeyRange } from './range.ts';
import { ScanDeletions, type DeletionSource } from './scan-deletions.ts';
import type { ScanGround } from './scan.ts';
import { runOfTable, type TableRun } from './version.ts';

export interface ScanSources {
  /** Newest first; all of them are newer than all tables. */
  readonly memtables: readonly Memtable[];
  readonly runs: readonly TableRun[];
  /** How many bytes all their keys in the range have in common, where several of them are compared. */
  readonly headSkip: number;
  /** Undefined where none has range tombstones. */
  readonly deletions: ScanDeletions | undefined;
}

/** REQUIRES: the caller holds the current version. */
export function findSources(
  { memtables, versions }: Pick<ScanGround, 'memtables' | 'versions'>,
  range: KeyRange,
  sequence: number,
  isReverse: boolean,
): ScanSources {
  const read: Memtable[] = [];
  const runs: TableRun[] = [];
  for (const memtable of memtables.newestFirst()) {
    if (memtable.entries > 0 && memtable.firstSequence <= sequence) read.push(memtable);
  }
  const { overlapping, sorted } = versions.current;
  for (const table of overlapping) {
    if (table.description.smallestSequence <= sequence && table.mayHold(range)) runs.push(runOfTable(table));
  }
  for (const level of sorted) {
    const run = level.runOf(range);
    if (run !== undefined) runs.push(run);
  }
  const headSkip = read.length + runs.length > 1 ? commonPrefixOf(read, runs, range) : 0;
  return { memtables: read, runs, headSkip, deletions: deletionsOf(read, runs, sequence, isReverse) };
}

/** Ranks are those of the cursors: memtables first. */
function deletionsOf(
  memtables: readonly Memtable[],
  runs: readonly TableRun[],
  sequence: number,
  isReverse: boolean,
): ScanDeletions | undefined {
  const sources: DeletionSource[] = [];
  for (const [rank, { rangeTombstones }] of memtables.entries()) {
    if (rangeTombstones !== null) sources.push({ rank, tombstones: [rangeTombstones] });
  }
  for (const [at, run] of runs.entries()) {
    if (!run.hasRangeTombstones) continue;
    const tombstones: RangeTombstones[] = [];
    for (const { rangeTombstones } of run.tables.slice(run.first, run.last + 1)) {
      if (rangeTombstones !== null) tombstones.push(rangeTombstones);
    }
    if (tombstones.length > 0) sources.push({ rank: memtables.length + at, tombstones });
  }
  return sources.length === 0 ? undefined : new ScanDeletions(sources, sequence, isReverse);
}

function commonPrefixOf(
  memtables: readonly Memtable[],
  runs: readonly TableRun[],
  { lower, upper }: KeyRange,
): number {
  let smallest: Uint8Array | undefined;
  let largest: Uint8Array | undefined;
  const widen = (first: Uint8Array, last: Uint8Array): void => {
    if (smallest === undefined || compareKeys(first, smallest) < 0) smallest = first;
    if (largest === undefined || compareKeys(last, largest) > 0) largest = last;
  };
  for (const memtable of memtables) {
    const { first, last } = memtable.order;
    if (first !== 0) widen(memtable.keyOf(first), memtable.keyOf(last));
  }
  for (const { tables, first, last } of runs) {
    const { largestKey, largestKeyIsExclusive } = tables[last].description;
    // Range tombstones without an end: no key is known that is behind all.
    const isEndless = largestKeyIsExclusive && largestKey.length === 0;
    if (isEndless && upper === undefined) return 0;
    widen(tables[first].description.smallestKey, isEndless ? upper! : largestKey);
  }
  if (smallest === undefined || largest === undefined) return 0;
  if (lower !== undefined && compareKeys(lower, smallest) > 0) smallest = lower;
  if (upper !== undefined && compareKeys(upper, largest) < 0) largest = upper;
  return commonPrefixLength(smallest, 0, smallest.length, largest, 0, largest.length);
}
