/**
 * A version's tables by level, as the compaction picker sees them, and sums over neighbours. Pure.
 *
 *     level 0        newest first; tables overlap
 *     levels 1 to 6  in the order of their keys; tables of one level do not overlap
 *
 * Of any key, what stands in level 0 is newer the earlier its table comes, and newer than what stands in level 1, which
 * is newer than what stands in level 2, and so on: no compaction may ever bring a version below an older one.
 */
import { assert } from '../assert.ts';
import { LEVEL_COUNT } from '../format/limits.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { type KeySpan, type Places, placesWithin } from './key-span.ts';

/** The level that nothing is below. */
export const LAST_LEVEL = LEVEL_COUNT - 1;

export interface LevelsView {
  readonly levels: readonly (readonly TableDescription[])[];
}

/** A view with the sums that a pick asks for again and again. Made anew for each pick: it costs a step for each table. */
export class LevelSums {
  readonly levels: readonly (readonly TableDescription[])[];
  /** Of each level, bytes of all tables before a place. */
  readonly #bytesBefore: readonly Float64Array[];
  /** The deepest level that holds tables; 0 if none does. */
  readonly lowestLevel: number;

  constructor({ levels }: LevelsView) {
    assert(levels.length === LEVEL_COUNT, 'a view has all levels');
    this.levels = levels;
    this.#bytesBefore = levels.map((tables) => {
      const sums = new Float64Array(tables.length + 1);
      for (let i = 0; i < tables.length; i++) sums[i + 1] = sums[i] + tables[i].fileBytes;
      return sums;
    });
    this.lowestLevel = Math.max(
      levels.findLastIndex((tables) => tables.length > 0),
      0,
    );
  }

  bytesOf(level: number): number {
    return this.#bytesBefore[level][this.levels[level].length];
  }

  bytesIn(level: number, { from, to }: Places): number {
    return this.#bytesBefore[level][to] - this.#bytesBefore[level][from];
  }

  /** Bytes of the tables that overlap the span; none beyond the last level. REQUIRES: a level below 0. */
  bytesWithin(level: number, span: KeySpan): number {
    return level > LAST_LEVEL ? 0 : this.bytesIn(level, placesWithin(this.levels[level], span));
  }

  tablesWithin(level: number, span: KeySpan): readonly TableDescription[] {
    if (level > LAST_LEVEL) return [];
    const { from, to } = placesWithin(this.levels[level], span);
    return this.levels[level].slice(from, to);
  }
}

export function bytesOfTables(tables: readonly TableDescription[]): number {
  return tables.reduce((bytes, { fileBytes }) => bytes + fileBytes, 0);
}
