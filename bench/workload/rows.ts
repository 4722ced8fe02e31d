/**
 * What the rows of the comparison are called, how their figures are shown, and what is wanted of quadring in each. Pure;
 * benchmarks only.
 */
import type { CurvePoint, FigureKind, Goal, RowDescription } from '../report/rows.ts';
import { DEPTHS } from './groups.ts';

const QUADRING = 'quadring';
const BINDINGS = ['lmdb', 'classic-level', 'rocksdb-native', '@nxtedition/rocksdb', 'better-sqlite3'];

/** quadring at least so many times as fast as another arm. */
function times(against: string, timesFaster: number): Goal {
  return { of: QUADRING, against: [against], timesFaster, text: timesText(timesFaster, against) };
}

/** The same of the fastest one of all bindings for Node. */
function timesBinding(timesFaster: number): Goal {
  return { of: QUADRING, against: BINDINGS, timesFaster, text: timesText(timesFaster, 'the best binding') };
}

function timesText(factor: number, of: string): string {
  return factor === 1 ? `ahead of ${of}` : `${Number(factor.toFixed(2))} × ${of}`;
}

function atLeastPerSecond(rate: number): Goal {
  return { of: QUADRING, against: [], timesFaster: rate, text: `≥ ${rate.toLocaleString('en')}/s` };
}

/** At most so many milliseconds. */
function atMost(milliseconds: number): Goal {
  return { of: QUADRING, against: [], timesFaster: milliseconds, text: `≤ ${milliseconds} ms` };
}

/** Half a page for each operation: who had more of them in memory was not cold. */
const FROM_DISK = { diskBytesMin: 2048 };

function byDepth(panel: string, depth: number): CurvePoint {
  return { across: 'in flight', panel, at: depth };
}

function row(
  id: string,
  title: string,
  figure: FigureKind,
  goals: readonly Goal[] = [],
  more: Partial<RowDescription> = {},
): RowDescription {
  return { row: id, title, figure, goals, ...more };
}

export const ROWS: readonly RowDescription[] = [
  row('hot-get-borrowed', 'cached get, 1000 hot keys, borrowed', 'ns', [times('RocksDB', 5)]),
  row('hot-get-owned', 'cached get, 1000 hot keys, own value', 'ns', [times('RocksDB', 1 / 0.35)]),
  row('hot-get-promise', 'cached get, 1000 hot keys, awaited', '/s', [
    atLeastPerSecond(2_000_000),
    timesBinding(1),
  ]),
  row('uniform-get-borrowed', 'cached get, any key, borrowed', 'ns', [
    times('RocksDB', 1 / 0.3),
    times('lmdb', 2),
  ]),
  row('uniform-get-owned', 'cached get, any key, own value', 'ns', [
    times('RocksDB', 1 / 0.3),
    times('lmdb', 2),
  ]),
  row('uniform-get-promise', 'cached get, any key, awaited', '/s', [timesBinding(1)]),
  row('page-cache-get', 'get from the page cache, block cache of 8 MiB', 'ns', [times('RocksDB', 1)]),
  row('cold-get-sync', 'cold get, one at a time', '/s', [times('RocksDB', 1.24)], FROM_DISK),
  ...[...DEPTHS, 32]
    .toSorted((a, b) => a - b)
    .map((depth) =>
      row(
        `cold-get-${depth}`,
        depth === 1 ? 'cold get, one at a time, awaited' : `cold gets, ${depth} in flight`,
        '/s',
        depth === 32 ? [times('RocksDB', 1), times('fio', 0.9)] : [],
        { curve: byDepth('cold gets', depth), ...FROM_DISK },
      ),
    ),
  row('many-32-cold', 'cold getMany of 32', '/s', [times('RocksDB', 3.5)], FROM_DISK),
  row('many-100-cold', 'cold getMany of 100', '/s', [times('RocksDB', 3.5)], FROM_DISK),
  row('many-100-cached', 'cached getMany of 100', '/s', [times('RocksDB', 2.5)]),
  ...[...DEPTHS, 1000].map((depth) =>
    row(
      `durable-put-${depth}`,
      depth === 1 ? 'durable put, one at a time' : `durable puts, ${depth} in flight`,
      '/s',
      durablePutGoals(depth),
      { curve: byDepth('durable puts', depth) },
    ),
  ),
  row('durable-batch', 'durable batches of 1000, entries', '/s', [times('RocksDB', 1), timesBinding(1)]),
  row('quick-put-ordered-1', 'put, not durable, one at a time, in key order', '/s', [timesBinding(5)]),
  row('quick-put-random-1', 'put, not durable, one at a time, random keys', '/s', [
    timesBinding(5),
    times('RocksDB', 2),
  ]),
  row('quick-put-random-1000', 'puts, not durable, 1000 in flight, random keys', '/s', [timesBinding(5)]),
  row('load-random', 'load in batches of 1000, random keys', '/s', [times('RocksDB', 2), timesBinding(2)]),
  row('load-ordered', 'load in batches of 1000, in key order', '/s', [timesBinding(1)]),
  row('compaction', 'compaction of everything, written four times', 'MB/s', [times('RocksDB', 1.5)], {
    operationBytes: 116,
  }),
  row('compaction-cpu', 'CPU of that compaction, an entry', 'CPU ns', [times('RocksDB', 1)]),
  row('scan-cached', 'full scan, cached, borrowed', '/s', [times('lmdb', 3)]),
  row('scan-cached-owned', 'full scan, cached, own entries', '/s', [times('lmdb', 3)]),
  row('scan-cold', 'full scan, cold, borrowed', '/s', [times('RocksDB', 1)], { diskBytesMin: 50 }),
  row('range-100-cached', 'ranges of 100 entries, cached, borrowed', '/s', [times('lmdb', 3)]),
  row('range-100-cached-owned', 'ranges of 100 entries, cached, own entries', '/s', [times('lmdb', 3)]),
  row('range-100-cold', 'ranges of 100 entries, cold, borrowed', '/s', [times('RocksDB', 2)], FROM_DISK),
  row('open-first', 'first open in a process and first get', 'ms', [atMost(200)]),
  row('open-again', 'later opens in a process and first get', 'ms', [atMost(10)]),
  row('memory', 'resident memory, cache of 32 MiB, everything read once', 'MiB'),
  ...['a', 'b', 'c', 'd', 'e', 'f'].map((mix) =>
    row(
      `ycsb-${mix}`,
      `YCSB ${mix.toUpperCase()}, cached`,
      '/s',
      ['a', 'b', 'c', 'e'].includes(mix) ? [times('RocksDB', 2)] : [times('RocksDB', 1)],
    ),
  ),
  ...[1000, 16_000].flatMap((bytes) => [
    row(`get-${bytes}-borrowed`, `cached get of ${bytes} bytes, borrowed`, 'ns', [
      times('RocksDB', 1),
      times('lmdb', 1),
    ]),
    row(`get-${bytes}-owned`, `cached get of ${bytes} bytes, own value`, 'ns', [
      times('RocksDB', 1),
      times('lmdb', 1),
    ]),
    row(`durable-put-of-${bytes}`, `durable put of ${bytes} bytes, one at a time`, '/s', [
      times('RocksDB', 1),
      timesBinding(1),
    ]),
  ]),
];

/** What a row is called when the database has so many entries. */
export function rowAtEntries(row: string, entries: number): string {
  return `${row}@${entries}`;
}

/** All rows at each size, drawn over the sizes. */
export function growthRows(sizes: readonly number[]): RowDescription[] {
  return sizes.flatMap((entries) =>
    ROWS.map(({ row: id, title, figure, goals: _, ...more }) =>
      row(rowAtEntries(id, entries), `${title}, ${entries.toLocaleString('en')} entries`, figure, [], {
        ...more,
        curve: { across: 'entries', panel: title, at: entries },
      }),
    ),
  );
}

function durablePutGoals(depth: number): readonly Goal[] {
  if (depth === 1) return [times('bare pwritev2', 0.85), times('RocksDB', 1), timesBinding(1)];
  if (depth === 1000) return [times('RocksDB', 1), timesBinding(5)];
  return [];
}
