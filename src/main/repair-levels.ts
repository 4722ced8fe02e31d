/**
 * Where tables go of which no manifest says it: so that what is newer stands above what is older, key by key. Owner only;
 * pure.
 *
 * Of tables that overlap, numbers decide, where they can: if none of them has a sequence number that lies among those of
 * another they are what flushes made, and go to level 0 as they are. Otherwise nothing but their entries says which is
 * newer, since a compaction mixes old and new, and a table's level may have changed after it was written. Then they are
 * merged, entry by entry, into one run of the last level. What overlaps with nothing goes there as it is.
 */
import { must } from '../assert.ts';
import { compareSpanEnds, endsBefore, hullOf, type KeySpan } from './key-span.ts';
import { LAST_LEVEL } from './levels-view.ts';
import { compareKeys } from './range.ts';
import type { TableExamination } from './table-examination.ts';

/** A table of which something is left. */
export interface UsableTable {
  readonly table: TableExamination;
  readonly span: KeySpan;
  readonly smallestSequence: number;
  readonly largestSequence: number;
}

/** Tables that overlap, with each other or by way of others. */
export interface TableGroup {
  readonly tables: readonly UsableTable[];
  /** At which level they stay as they are; undefined: they are merged. */
  readonly level: number | undefined;
}

/** Undefined where nothing is left of a table. */
export function usable(table: TableExamination): UsableTable | undefined {
  const { tally, firstKey, lastKey, tail } = table;
  const fragments = tail?.rangeTombstones?.fragments ?? [];
  const spans: KeySpan[] = fragments.map(({ start, end }) => ({
    smallestKey: start,
    largestKey: end,
    largestKeyIsExclusive: true,
  }));
  if (firstKey !== undefined && lastKey !== undefined)
    spans.push({ smallestKey: firstKey, largestKey: lastKey, largestKeyIsExclusive: false });
  if (spans.length === 0) return undefined;
  const sequences = fragments.flatMap((fragment) => fragment.sequences);
  return {
    table,
    span: hullOf(spans),
    smallestSequence: Math.min(tally.smallestSequence, leastOf(sequences)),
    largestSequence: Math.max(tally.largestSequence, mostOf(sequences)),
  };
}

export function groupTables(tables: readonly UsableTable[]): TableGroup[] {
  const sorted = [...tables].sort((a, b) => compareKeys(a.span.smallestKey, b.span.smallestKey));
  const groups: UsableTable[][] = [];
  let end: KeySpan | undefined;
  for (const table of sorted) {
    const isNext = end === undefined || endsBefore(end, table.span.smallestKey);
    if (isNext) groups.push([]);
    must(groups.at(-1), 'a group was begun').push(table);
    if (isNext || end === undefined || compareSpanEnds(table.span, end) > 0) end = table.span;
  }
  return groups.map((group) => ({ tables: group, level: levelOf(group) }));
}

function levelOf(tables: readonly UsableTable[]): number | undefined {
  // One that is damaged is rewritten, wherever it goes.
  if (tables.length === 1) return LAST_LEVEL;
  const sorted = [...tables].sort((a, b) => a.smallestSequence - b.smallestSequence);
  const areApart = sorted.every(
    (table, i) => i === 0 || table.smallestSequence > sorted[i - 1].largestSequence,
  );
  return areApart ? 0 : undefined;
}

function leastOf(numbers: readonly number[]): number {
  return numbers.reduce((least, number) => Math.min(least, number), Infinity);
}

function mostOf(numbers: readonly number[]): number {
  return numbers.reduce((most, number) => Math.max(most, number), 0);
}
