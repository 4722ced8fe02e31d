/** Says what of tables is lost, for the report. Owner only; pure. */
import type { TableDescription } from '../format/version-edit.ts';
import type { RangeBounds } from './range.ts';
import type { LostPart } from './repair-report.ts';
import type { TableExamination, TableGap } from './table-examination.ts';

/** What of a table is lost; `olderMayShow` says it of keys between two others. */
export function lostPartsOf(
  table: TableExamination,
  isMissing: boolean,
  olderMayShow: (gap: TableGap, what: LostPart['what']) => boolean,
): LostPart[] {
  const { file, gaps, tail, tally, description } = table;
  const known = tail?.properties ?? description;
  const level = description?.level ?? null;
  const parts: LostPart[] = [];
  const common = { file, level, firstSequence: null, lastSequence: null };
  if (gaps.length > 0) {
    const what = isMissing ? 'table' : 'blocks';
    parts.push({
      ...common,
      what,
      count: known === undefined ? null : known.entries - tally.entries,
      bytes: gaps.reduce((sum, { length }) => sum + length, 0),
      ranges: gaps.map(boundsOf),
      olderMayShow: gaps.some((gap) => olderMayShow(gap, what)),
    });
  }
  const tombstones = lostTombstones(table);
  if (tombstones !== undefined) {
    parts.push({
      ...common,
      what: 'range tombstones',
      count: known?.rangeTombstones ?? null,
      bytes: 0,
      ranges: [boundsOf(tombstones)],
      olderMayShow: olderMayShow(tombstones, 'range tombstones'),
    });
  }
  return parts;
}

/** The keys that range tombstones of the table may have deleted, if those are lost: anything between its ends. */
export function lostTombstones({ tail, description }: TableExamination): TableGap | undefined {
  const known = tail?.properties ?? description;
  const isThere = tail?.rangeTombstones !== undefined && tail.rangeTombstones !== null;
  const hasNone = tail?.rangeTombstones === null && (known?.rangeTombstones ?? 0) === 0;
  if (isThere || hasNone) return undefined;
  if (known === undefined)
    return { offset: 0, length: 0, lower: undefined, upper: undefined, upperIsExclusive: false };
  return known.rangeTombstones === 0 ? undefined : gapOver(known);
}

function gapOver({
  smallestKey,
  largestKey,
  largestKeyIsExclusive,
}: Pick<TableDescription, 'smallestKey' | 'largestKey' | 'largestKeyIsExclusive'>): TableGap {
  const isUnbounded = largestKeyIsExclusive && largestKey.length === 0;
  const upper = isUnbounded ? undefined : largestKey;
  return { offset: 0, length: 0, lower: smallestKey, upper, upperIsExclusive: largestKeyIsExclusive };
}

function boundsOf({ lower, upper, upperIsExclusive }: TableGap): RangeBounds {
  return {
    ...(lower === undefined ? {} : { gte: Buffer.from(lower) }),
    ...(upper === undefined
      ? {}
      : upperIsExclusive
        ? { lt: Buffer.from(upper) }
        : { lte: Buffer.from(upper) }),
  };
}
