/**
 * Hides what may have been deleted or overwritten by something that is lost. Owner only.
 *
 * Where blocks of a table are lost, older versions of the keys that were in them show, and keys come back that had been
 * deleted there. Which keys those are the table's filter knows: a key that only older tables have now, and that the filter
 * says the table had, is deleted anew. (One key in a hundred that was not there is taken for one that was.) What is hidden so
 * is written into a table of its own, among what the repair puts aside.
 */
import { must } from '../assert.ts';
import { compareBytes } from '../format/compare.ts';
import { filterMayContain } from '../format/filter.ts';
import { hashBytes } from '../format/hash.ts';
import { KIND_TOMBSTONE } from '../format/limits.ts';
import type { TableTail } from '../format/table-tail.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { overlaps, type KeySpan } from './key-span.ts';
import type { RewrittenTable } from './repair.ts';
import { lostTombstones } from './repair-losses.ts';
import type { LostPart } from './repair-report.ts';
import { LastVersion, type TableRepair } from './repair-tables.ts';
import { placesByIndex } from './table-blocks.ts';
import type { ExaminationGround, TableExamination, TableGap } from './table-examination.ts';
import { shapeOf, type TableFileWriter } from './table-file-writer.ts';
import { TableMerge } from './table-merge.ts';
import { readMeta } from './table-tails.ts';

/** Keys of which a table's part is lost. */
interface LostRange {
  /** What the manifest said of the table. */
  readonly table: TableDescription;
  /** The number of what it was rewritten as; 0: nothing is left. */
  readonly rewrittenAs: number;
  readonly gap: TableGap;
  /** Of the table; null: any key of the range may have been in what is lost. */
  readonly filter: Int32Array | null;
}

export interface HideOptions {
  readonly ground: ExaminationGround;
  readonly repair: TableRepair;
  /** All that there are now. */
  readonly tables: readonly TableDescription[];
  /** Those of which parts may be lost, as they were. */
  readonly rewritten: readonly RewrittenTable[];
  /** Only keys that the filter of the table says it had. */
  readonly onlyLikely: boolean;
  /** The number that deletions get: newer than everything. */
  readonly sequence: number;
  /** Where what is hidden is written. */
  readonly lostDirectory: string;
}

export interface Hidden {
  readonly keys: number;
  /** Of level 0; undefined where nothing had to be hidden. */
  readonly table: TableDescription | undefined;
  /** Whether older versions of what is lost of the table were looked for. */
  readonly covers: (table: TableExamination, what: LostPart['what']) => boolean;
}

const NOTHING = new Uint8Array(0);

/** Whether what one table has of a key is newer than what the other had, or the same table's. */
type Relation = 'newer' | 'same' | 'older';

export async function hideLost(options: HideOptions): Promise<Hidden> {
  const { ground, tables, rewritten, onlyLikely } = options;
  const ranges = rewritten.flatMap((table) => rangesOf(table, onlyLikely));
  const covers: Hidden['covers'] = ({ tail }, what) =>
    !onlyLikely || (what !== 'range tombstones' && hasFilter(tail));
  const { fileSystem, directory, breather } = ground;
  const concerned = tables.filter((table) => ranges.some(({ gap }) => overlaps(spanOf(gap), table)));
  const byNumber = new Map(concerned.map((table) => [table.number, table]));
  const sources = concerned.map((table) => ({
    number: table.number,
    smallestKey: table.smallestKey,
    rank: -table.largestSequence,
    places: () => placesByIndex(readMeta(fileSystem, directory, table).index),
  }));
  const merge = new TableMerge(fileSystem, directory, sources);
  const hiding = new Hiding(options);
  const last = new LastVersion();
  try {
    let isHidden = false;
    while (merge.next()) {
      if (breather.isDue) await breather.breathe();
      const { entry, source } = merge;
      const { key, keyLength, kind } = entry;
      if (!last.hasKey(key, keyLength)) {
        const table = byNumber.get(source.number);
        // The newest version of a key is that of the newest place that has one.
        isHidden =
          kind !== KIND_TOMBSTONE &&
          table !== undefined &&
          ranges.some((range) => mayBeOutdated(range, table, key, keyLength));
        if (isHidden) hiding.hide(key, keyLength);
        last.set(key, keyLength, 0);
      }
      if (isHidden) hiding.keep(entry);
    }
    return { ...hiding.finish(), covers };
  } finally {
    merge.close();
    hiding.abandon();
  }
}

/** What deletes, and what keeps what is deleted. */
class Hiding {
  readonly #options: HideOptions;
  #deletions: TableFileWriter | undefined;
  #kept: TableFileWriter | undefined;
  #keys = 0;

  constructor(options: HideOptions) {
    this.#options = options;
  }

  hide(key: Uint8Array, keyLength: number): void {
    const { repair, sequence } = this.#options;
    this.#keys++;
    this.#deletions ??= repair.begin(0, shapeOf(undefined), sequence);
    this.#deletions.add({
      key,
      keyLength,
      sequence,
      kind: KIND_TOMBSTONE,
      bytes: NOTHING,
      valueStart: 0,
      valueLength: 0,
    });
  }

  keep(entry: Parameters<TableFileWriter['add']>[0]): void {
    const { repair, sequence, lostDirectory } = this.#options;
    this.#kept ??= repair.begin(0, shapeOf(undefined), sequence, lostDirectory);
    this.#kept.add(entry);
  }

  /** What is hidden is durable before it is hidden. */
  finish(): Omit<Hidden, 'covers'> {
    this.#kept?.publish([]);
    return { keys: this.#keys, table: this.#deletions?.publish([]) };
  }

  abandon(): void {
    this.#kept?.abandon();
    this.#deletions?.abandon();
  }
}

function rangesOf({ from, to }: RewrittenTable, onlyLikely: boolean): LostRange[] {
  const table = must(from.description, 'a trusted table is described');
  const rewrittenAs = to?.number ?? 0;
  const filter = from.tail?.filter ?? null;
  const tombstones = onlyLikely ? undefined : lostTombstones(from);
  const ranges: LostRange[] = [];
  if (!onlyLikely || filter !== null)
    ranges.push(...from.gaps.map((gap) => ({ table, rewrittenAs, gap, filter })));
  // A filter knows nothing of range tombstones.
  if (tombstones !== undefined) ranges.push({ table, rewrittenAs, gap: tombstones, filter: null });
  return ranges;
}

function hasFilter(tail: TableTail | undefined): boolean {
  return tail?.filter !== undefined && tail.filter !== null;
}

/** Whether the newest version of a key that is left, that of `table`, may be older than one that is lost. */
function mayBeOutdated(
  { table: lost, rewrittenAs, gap, filter }: LostRange,
  table: TableDescription,
  key: Uint8Array,
  keyLength: number,
): boolean {
  if (!isWithin(gap, key, keyLength)) return false;
  switch (relationOf(table, lost, rewrittenAs)) {
    case 'newer':
      return false;
    case 'same':
      // Of the key that the next block goes on with, or may go on with, the newer versions were in the one before.
      return gap.upper !== undefined && !gap.upperIsExclusive && compare(key, keyLength, gap.upper) === 0;
    case 'older':
      return filter === null || filterMayContain(filter, hashBytes(key, 0, keyLength));
  }
}

/** Whether what the table has of a key is older than what the other has. */
export function isOlder(table: TableDescription, than: TableDescription): boolean {
  return relationOf(table, than, 0) === 'older';
}

function relationOf(table: TableDescription, lost: TableDescription, rewrittenAs: number): Relation {
  if (table.number === rewrittenAs) return 'same';
  if (table.level !== lost.level) return table.level < lost.level ? 'newer' : 'older';
  return table.largestSequence > lost.largestSequence ? 'newer' : 'older';
}

function isWithin({ lower, upper, upperIsExclusive }: TableGap, key: Uint8Array, keyLength: number): boolean {
  if (lower !== undefined && compare(key, keyLength, lower) < 0) return false;
  if (upper === undefined) return true;
  const order = compare(key, keyLength, upper);
  return upperIsExclusive ? order < 0 : order <= 0;
}

function compare(key: Uint8Array, keyLength: number, other: Uint8Array): number {
  return compareBytes(key, 0, keyLength, other, 0, other.length);
}

export function spanOf({ lower, upper, upperIsExclusive }: TableGap): KeySpan {
  return {
    smallestKey: lower ?? NOTHING,
    largestKey: upper ?? NOTHING,
    largestKeyIsExclusive: upper === undefined || upperIsExclusive,
  };
}
