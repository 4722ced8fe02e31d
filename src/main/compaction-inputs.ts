/**
 * Which tables go down together. Pure.
 *
 * Whatever is chosen here keeps the order of versions: of level 0 nothing goes without every older table that it overlaps,
 * and no level that holds something of the inputs' keys is passed.
 */
import type { TableDescription } from '../format/version-edit.ts';
import { isBoundedAt } from './compaction.ts';
import type { CompactionPolicy } from './compaction-policy.ts';
import { hullOf, type KeySpan, overlaps, type Places } from './key-span.ts';
import { bytesOfTables, LAST_LEVEL, type LevelSums } from './levels-view.ts';
import { droppableShare, overwrittenShare } from './table-garbage.ts';

/** More than this share of a table must be certain to go before it is rewritten for that alone. */
export const GARBAGE_SHARE_MIN = 0.1;
/** Tables of level 0 that are merged at once: each is read through two buffers of its own. */
export const LEVEL0_INPUTS_MAX = 48;
/** Range tombstones of the inputs together, unless one table alone has more: a compaction has all of them in memory. */
export const TOMBSTONES_MAX = 65_536;

export interface ChosenInputs {
  readonly inputs: readonly TableDescription[];
  readonly outputLevel: number;
  readonly isTrivialMove: boolean;
}

/**
 * The oldest tables of level 0 that are connected with the one at `seed`, itself and all older ones among them, as many as
 * `bytesMax` allows; where those are too many for one compaction, the oldest of them. Newest first. REQUIRES: newest first.
 *
 *     level 0, newest first     d [ m ──── z ]
 *                               c     [ h ─── p ]         the seed is a: with c both a and d are connected; but d is
 *                               b [ r ─ t ]               newer than c, so a and c may go without it, and with d, b must
 *                               a [ a ─── k ]
 */
export function level0Inputs(
  level0: readonly TableDescription[],
  seed: number,
  bytesMax: number,
): readonly TableDescription[] {
  let chosen = connectedWith(level0, seed, seed).slice(-LEVEL0_INPUTS_MAX);
  while (chosen.length > 1 && tombstonesOf(chosen) > TOMBSTONES_MAX) chosen = chosen.slice(1);
  for (let newest = seed - 1; newest >= 0; newest--) {
    const more = connectedWith(level0, seed, newest);
    if (more.length > LEVEL0_INPUTS_MAX || bytesOfTables(more) > bytesMax) break;
    if (tombstonesOf(more) > TOMBSTONES_MAX) break;
    chosen = more;
  }
  return chosen;
}

function tombstonesOf(tables: readonly TableDescription[]): number {
  return tables.reduce((sum, { rangeTombstones }) => sum + rangeTombstones, 0);
}

/** Of the tables from `newest` on, those that overlap the seed, or one that overlaps it, and so on. */
function connectedWith(
  level0: readonly TableDescription[],
  seed: number,
  newest: number,
): TableDescription[] {
  const rest = level0.slice(newest);
  let chosen: TableDescription[] = [level0[seed]];
  for (;;) {
    const hull = hullOf(chosen);
    const more = rest.filter((table) => overlaps(table, hull));
    if (more.length === chosen.length) return more;
    chosen = more;
  }
}

/** How far down tables of a level may go at once: to `limit`, but past no level that holds something between their keys. */
export function reachableLevel(sums: LevelSums, span: KeySpan, inputLevel: number, limit: number): number {
  let level = inputLevel + 1;
  while (level < limit && sums.bytesWithin(level, span) === 0) level++;
  return level;
}

/** Whether a table can be handed down as it is, overlapping nothing of the output level. */
export function isMovable(
  sums: LevelSums,
  table: TableDescription,
  outputLevel: number,
  policy: CompactionPolicy,
  oldestSnapshot: number,
): boolean {
  if (sums.bytesWithin(outputLevel, table) > 0) return false;
  if (!isBoundedAt(sums, table, outputLevel, policy)) return false;
  let share = droppableShare(table, oldestSnapshot);
  for (let level = outputLevel + 1; level <= LAST_LEVEL; level++) {
    if (sums.bytesWithin(level, table) > 0) share = overwrittenShare(table, oldestSnapshot);
  }
  return share <= GARBAGE_SHARE_MIN;
}

export interface SortedChoice {
  readonly level: number;
  /** Place of the table that goes in any case. */
  readonly seed: number;
  /** One that the seed reaches. */
  readonly outputLevel: number;
  readonly oldestSnapshot: number;
  /** Which neighbours may go with it; undefined: all that make nothing more be rewritten. */
  readonly isWelcome?: (table: TableDescription) => boolean;
}

/**
 * The table at `seed` of a sorted level with its neighbours: those that are overlapped only by what is rewritten anyway,
 * or, where the caller says which, all those, as long as the compaction is no larger than the policy allows.
 */
export function sortedInputs(sums: LevelSums, policy: CompactionPolicy, choice: SortedChoice): ChosenInputs {
  const { level, seed, outputLevel, oldestSnapshot, isWelcome } = choice;
  const tables = sums.levels[level];
  const isTrivialMove = isMovable(sums, tables[seed], outputLevel, policy, oldestSnapshot);
  const rewritten = sums.bytesWithin(outputLevel, tables[seed]);
  let from = seed;
  let to = seed + 1;
  const takes = (place: number): boolean => {
    const wider = { from: Math.min(from, place), to: Math.max(to, place + 1) };
    const hull = hullOf([tables[wider.from], tables[wider.to - 1]]);
    if (isWelcome !== undefined && !isWelcome(tables[place])) return false;
    if (tombstonesOf(tables.slice(wider.from, wider.to)) > TOMBSTONES_MAX) return false;
    if (isTrivialMove && !isMovable(sums, tables[place], outputLevel, policy, oldestSnapshot)) return false;
    if (reachableLevel(sums, hull, level, outputLevel) < outputLevel) return false;
    const bytes = sums.bytesWithin(outputLevel, hull);
    const mayGrow = isWelcome !== undefined && !isTrivialMove;
    if (bytes > rewritten && !mayGrow) return false;
    return sums.bytesIn(level, wider) + bytes <= policy.compactionBytesMax;
  };
  while (to < tables.length && takes(to)) to++;
  while (from > 0 && takes(from - 1)) from--;
  return { inputs: tables.slice(from, to), outputLevel, isTrivialMove };
}

/** The places around one that hold too, as far as their bytes together are no more than `bytesMax`. */
export function neighbours(
  tables: readonly TableDescription[],
  seed: number,
  bytesMax: number,
  isWelcome: (place: number) => boolean,
): Places {
  let from = seed;
  let to = seed + 1;
  let bytes = tables[seed].fileBytes;
  let tombstones = tables[seed].rangeTombstones;
  const takes = (place: number): boolean => {
    const { fileBytes, rangeTombstones } = tables[place];
    if (!isWelcome(place) || bytes + fileBytes > bytesMax) return false;
    if (tombstones + rangeTombstones > TOMBSTONES_MAX) return false;
    bytes += fileBytes;
    tombstones += rangeTombstones;
    return true;
  };
  while (to < tables.length && takes(to)) to++;
  while (from > 0 && takes(from - 1)) from--;
  return { from, to };
}
