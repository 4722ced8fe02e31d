/**
 * What of a table could go, and what a table could make go elsewhere. Pure.
 */
import { LAST_LEVEL, type LevelSums } from './levels-view.ts';
import type { TableDescription } from '../format/version-edit.ts';

/** Whether there is anything but newest versions in a table. */
export function holdsGarbage({ deletions, overwritten, rangeTombstones }: TableDescription): boolean {
  return deletions + overwritten + rangeTombstones > 0;
}

/**
 * The share of a table, 0 to 1, that a compaction to a place with nothing older below would leave out, as far as that is
 * certain: all that is in the table must be seen by all. What a range tombstone still hides is not known, and so taken
 * for all of the table.
 */
export function droppableShare(table: TableDescription, oldestSnapshot: number): number {
  if (table.largestSequence > oldestSnapshot) return 0;
  if (table.rangeTombstones > 0) return 1;
  return table.entries === 0 ? 0 : (table.deletions + table.overwritten) / table.entries;
}

/** The same where something older may be below: deletions have to stay. */
export function overwrittenShare(table: TableDescription, oldestSnapshot: number): number {
  if (table.largestSequence > oldestSnapshot || table.entries === 0) return 0;
  return table.overwritten / table.entries;
}

/**
 * Sizes of tables with what their deletions hide below added, so that levels and tables with many of them are compacted
 * sooner: for a deletion an entry of the lowest level; for range tombstones, whose widths are not known, the part of what
 * the table overlaps there that is their part of the table's entries.
 */
export class CompensatedSizes {
  readonly #sums: LevelSums;
  readonly #averageEntryBytes: number;

  constructor(sums: LevelSums) {
    this.#sums = sums;
    const entries = sums.levels[sums.lowestLevel].reduce((count, table) => count + table.entries, 0);
    this.#averageEntryBytes = entries === 0 ? 0 : sums.bytesOf(sums.lowestLevel) / entries;
  }

  of(table: TableDescription): number {
    const { fileBytes, deletions, entries, rangeTombstones } = table;
    const hidden = deletions * this.#averageEntryBytes;
    if (rangeTombstones === 0) return fileBytes + hidden;
    const overlapped = this.#sums.bytesWithin(LAST_LEVEL, table);
    return fileBytes + hidden + (overlapped * rangeTombstones) / (rangeTombstones + entries);
  }

  ofLevel(level: number): number {
    return this.#sums.levels[level].reduce((bytes, table) => bytes + this.of(table), 0);
  }
}
