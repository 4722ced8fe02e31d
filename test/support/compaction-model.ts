/**
 * What a compaction must do, said naively: histories of writes cut into sources, what a reader sees in sources, and which
 * entries and range tombstones may be left.
 */
import fc from 'fast-check';
import { KIND_PUT, KIND_TOMBSTONE } from '../../src/format/limits.ts';
import type { RangeTombstones, RangeTombstone } from '../../src/format/range-tombstones.ts';
import type { CompactionParameters } from '../../src/protocol/requests.ts';
import { compareEntries, crowdedKey, isWithin, type Entry } from '../format/tables.ts';
import { valueOf } from './values.ts';

/** Entries in order, and range tombstones: one table's, or those of several whose keys do not overlap. */
export interface Source {
  readonly entries: readonly Entry[];
  readonly tombstones: readonly RangeTombstone[];
}

/** Who reads: at these numbers, and at any number from `keepAbove` on. */
export type Readers = Pick<CompactionParameters, 'snapshots' | 'keepAbove'>;

export interface History {
  /** Newest first; what is merged. */
  readonly runs: readonly Source[];
  /** Older than all of them. */
  readonly older: Source;
  readonly readers: Readers;
  /** All keys that were written, and their neighbours. */
  readonly probes: readonly Uint8Array[];
  /** Above all sequence numbers. */
  readonly end: number;
}

type Operation =
  | { readonly type: 'put' | 'del'; readonly key: Uint8Array; readonly valueBytes: number }
  | { readonly type: 'range'; readonly key: Uint8Array; readonly end: Uint8Array };

export interface HistoryOptions {
  readonly operationsMax: number;
  readonly runsMax: number;
  readonly valueBytesMax: number;
  readonly keyBytesMax: number;
}

/** Histories of writes to few keys. */
export function histories(options: HistoryOptions): fc.Arbitrary<History> {
  const key = crowdedKey(options.keyBytesMax);
  const point = fc.record({
    type: fc.constantFrom('put' as const, 'put' as const, 'put' as const, 'del' as const),
    key,
    valueBytes: fc.oneof(fc.nat(20), fc.nat(options.valueBytesMax)),
  });
  const range = fc.tuple(key, key).map(([a, b]): Operation => {
    const order = Buffer.compare(a, b);
    if (order === 0) return { type: 'range', key: a, end: Uint8Array.from([...a, 0]) };
    return { type: 'range', key: order < 0 ? a : b, end: order < 0 ? b : a };
  });
  const operation = fc.oneof({ weight: 8, arbitrary: point }, { weight: 1, arbitrary: range });
  const fractions = (maxLength: number): fc.Arbitrary<number[]> =>
    fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength, size: 'max' });
  return fc
    .record({
      operations: fc.array(operation, { minLength: 1, maxLength: options.operationsMax, size: 'max' }),
      cuts: fractions(options.runsMax - 1),
      snapshots: fractions(4),
      keepAbove: fc.double({ min: 0, max: 1, noNaN: true }),
      olderShare: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.5, noNaN: true })),
      isEndless: fc.boolean(),
    })
    .map(({ operations, cuts, snapshots, keepAbove, olderShare, isEndless }): History => {
      const end = operations.length + 1;
      const place = (fraction: number): number => Math.floor(fraction * end);
      const olderEnd = Math.floor(olderShare * operations.length);
      const marks = cuts.map((cut) => olderEnd + Math.floor(cut * (operations.length - olderEnd)));
      const edges = [olderEnd, ...marks.sort((a, b) => a - b), operations.length];
      const runs: Source[] = [];
      for (let i = edges.length - 1; i > 0; i--)
        runs.push(sourceOf(operations, edges[i - 1], edges[i], isEndless));
      const numbers = [...new Set(snapshots.map(place))].sort((a, b) => a - b);
      const above = place(keepAbove);
      const keys = operations.flatMap((one) => (one.type === 'range' ? [one.key, one.end] : [one.key]));
      return {
        runs,
        older: sourceOf(operations, 0, olderEnd, false),
        readers: { snapshots: numbers.filter((number) => number <= above), keepAbove: above },
        probes: keys.flatMap((one) => [one, Uint8Array.from([...one, 0])]),
        end,
      };
    });
}

/** Operations [first, last) as entries; the sequence number is the place in the history, from 1 on. */
function sourceOf(operations: readonly Operation[], first: number, last: number, isEndless: boolean): Source {
  const entries: Entry[] = [];
  const tombstones: RangeTombstone[] = [];
  for (let i = first; i < last; i++) {
    const operation = operations[i];
    const sequence = i + 1;
    if (operation.type === 'range') {
      const end = isEndless && i % 3 === 0 ? new Uint8Array(0) : operation.end;
      tombstones.push({ start: operation.key, end, sequence });
      continue;
    }
    const isPut = operation.type === 'put';
    entries.push({
      key: operation.key,
      sequence,
      kind: isPut ? KIND_PUT : KIND_TOMBSTONE,
      value: valueFor(isPut ? operation.valueBytes : 0, i),
    });
  }
  return { entries: entries.sort(compareEntries), tombstones };
}

/** Some can be compressed. */
function valueFor(bytes: number, i: number): Uint8Array {
  return i % 3 === 0 ? new Uint8Array(valueOf(bytes, i)) : new Uint8Array(bytes).fill(i);
}

/** What a reader at `sequence` finds in sources, newest first; undefined is nothing. */
export function readAt(
  sources: readonly Source[],
  key: Uint8Array,
  sequence: number,
): Uint8Array | undefined {
  for (const { entries, tombstones } of sources) {
    const version = entries.find(
      (entry) => Buffer.compare(entry.key, key) === 0 && entry.sequence <= sequence,
    );
    const deleted = tombstones.reduce(
      (newest, one) =>
        one.sequence <= sequence && isWithin(one, key) ? Math.max(newest, one.sequence) : newest,
      -1,
    );
    if (version !== undefined && version.sequence >= deleted) {
      return version.kind === KIND_PUT ? version.value : undefined;
    }
    if (deleted >= 0) return undefined;
  }
  return undefined;
}

/** Every number that somebody reads at, up to `end`. */
export function readingNumbers({ snapshots, keepAbove }: Readers, end: number): number[] {
  const above = Array.from({ length: Math.max(0, end - keepAbove + 1) }, (_, i) => keepAbove + i);
  return [...snapshots, ...above];
}

/** Of the numbers of a key's versions, or of what covers it, newest first, those that somebody sees. */
export function seenNumbers(
  numbers: readonly number[],
  newer: readonly number[],
  reading: readonly number[],
): number[] {
  return numbers.filter((number) =>
    reading.some((at) => at >= number && !newer.some((other) => other > number && other <= at)),
  );
}

/** The entries that must be left, in order, given the range tombstones that are. */
export function expectedEntries(
  { runs, readers, end }: History,
  mayBeOlder: (key: Uint8Array) => boolean,
  left: readonly RangeTombstone[],
): Entry[] {
  const reading = readingNumbers(readers, end);
  const all = runs.flatMap(({ entries }) => entries).sort(compareEntries);
  const tombstones = runs.flatMap((run) => run.tombstones);
  const expected: Entry[] = [];
  for (const entry of all) {
    const versions = all.filter(({ key }) => Buffer.compare(key, entry.key) === 0);
    const newer = [...versions, ...tombstones.filter((one) => isWithin(one, entry.key))];
    const newerNumbers = newer.map(({ sequence }) => sequence).filter((number) => number > entry.sequence);
    if (seenNumbers([entry.sequence], newerNumbers, reading).length === 0) continue;
    const isSeenByAll = reading.every((at) => at >= entry.sequence);
    if (!isSeenByAll || mayBeOlder(entry.key)) expected.push(entry);
    else if (entry.kind === KIND_PUT) {
      const isCovered = left.some((one) => isWithin(one, entry.key));
      expected.push(isCovered ? entry : { ...entry, sequence: 0 });
    }
  }
  return expected;
}

/** The range tombstones of fragments, one for each of their numbers. */
export function tombstonesOf(all: RangeTombstones | null): RangeTombstone[] {
  return (all?.fragments ?? []).flatMap(({ start, end, sequences }) =>
    sequences.map((sequence) => ({ start, end, sequence })),
  );
}
