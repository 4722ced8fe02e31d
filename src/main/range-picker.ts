/**
 * Which compaction comes next of those that bring a range of keys down to the last level. Pure.
 *
 * A table of the levels above is *old* if it holds anything that was written when the range was asked for, and reaches
 * into the range. From the lowest level up, old tables go to the last level, or as far as nothing is in their way and not
 * too much has to be rewritten at once: then they stop one level above, where their outputs are cut by what lies below.
 * Then tables of the last level that were there already, and hold anything but newest versions, are rewritten.
 *
 * It ends, whatever else is compacted or flushed meanwhile. Count the old tables of each level: a step takes some from a
 * level and adds to levels below it only; nothing else makes more of them in a level without taking some from one above.
 * And outputs have new numbers, so no table of the last level is rewritten twice.
 */
import type { TableDescription } from '../format/version-edit.ts';
import { type Compaction, completeCompaction } from './compaction.ts';
import {
  type ChosenInputs,
  isMovable,
  level0Inputs,
  neighbours,
  reachableLevel,
  sortedInputs,
} from './compaction-inputs.ts';
import type { CompactionPolicy } from './compaction-policy.ts';
import { hullOf, type KeySpan, overlaps, placesWithin, spanBetween } from './key-span.ts';
import { bytesOfTables, LAST_LEVEL, LevelSums, type LevelsView } from './levels-view.ts';
import { compareKeys } from './range.ts';
import { holdsGarbage } from './table-garbage.ts';

export interface RangeRequest {
  /** Keys from it on; undefined: from the first. */
  readonly lower: Uint8Array | undefined;
  /** Keys before it; undefined: to the last. */
  readonly upper: Uint8Array | undefined;
  /** The last sequence number when the range was asked for; what was written later need not go down. */
  readonly sequence: number;
  /** The next file number then: what has a smaller one in the last level may have to be rewritten. */
  readonly createdBefore: number;
}

/** The next step, or undefined: done. REQUIRES: what the request is about is in tables. */
export function pickRange(
  view: LevelsView,
  policy: CompactionPolicy,
  { lower, upper, sequence, createdBefore }: RangeRequest,
): Compaction | undefined {
  if (upper !== undefined && compareKeys(lower ?? new Uint8Array(0), upper) >= 0) return undefined;
  const sums = new LevelSums(view);
  const range = spanBetween(lower, upper);
  const isOld = (table: TableDescription): boolean =>
    table.smallestSequence <= sequence && overlaps(table, range);
  for (let level = LAST_LEVEL - 1; level > 0; level--) {
    const { from, to } = placesWithin(sums.levels[level], range);
    for (let place = from; place < to; place++) {
      if (isOld(sums.levels[level][place])) return bringDown(sums, policy, level, place, isOld);
    }
  }
  const seed = sums.levels[0].findLastIndex(isOld);
  if (seed >= 0) return bringDownLevel0(sums, policy, seed);
  return rewriteLast(sums, policy, range, createdBefore);
}

function stepOf(sums: LevelSums, inputLevel: number, chosen: ChosenInputs): Compaction {
  return completeCompaction(sums, { reason: 'range', inputLevel, ...chosen, score: 0 });
}

function bringDown(
  sums: LevelSums,
  policy: CompactionPolicy,
  level: number,
  seed: number,
  isOld: (table: TableDescription) => boolean,
): Compaction {
  const table = sums.levels[level][seed];
  const outputLevel = boundedLevel(sums, policy, table, table.fileBytes, level);
  const choice = { level, seed, outputLevel, oldestSnapshot: Infinity, isWelcome: isOld };
  return stepOf(sums, level, sortedInputs(sums, policy, choice));
}

function bringDownLevel0(sums: LevelSums, policy: CompactionPolicy, seed: number): Compaction {
  const inputs = level0Inputs(sums.levels[0], seed, policy.compactionBytesMax);
  const outputLevel = boundedLevel(sums, policy, hullOf(inputs), bytesOfTables(inputs), 0);
  const isTrivialMove = inputs.length === 1 && isMovable(sums, inputs[0], outputLevel, policy, Infinity);
  return stepOf(sums, 0, { inputs, outputLevel, isTrivialMove });
}

/** The deepest level that can be reached, or the one above it if too much is in that. */
function boundedLevel(
  sums: LevelSums,
  { compactionBytesMax }: CompactionPolicy,
  span: KeySpan,
  bytes: number,
  inputLevel: number,
): number {
  const deepest = reachableLevel(sums, span, inputLevel, LAST_LEVEL);
  const isTooMuch = bytes + sums.bytesWithin(deepest, span) > compactionBytesMax;
  return isTooMuch && deepest > inputLevel + 1 ? deepest - 1 : deepest;
}

function rewriteLast(
  sums: LevelSums,
  policy: CompactionPolicy,
  range: KeySpan,
  createdBefore: number,
): Compaction | undefined {
  const tables = sums.levels[LAST_LEVEL];
  const { from, to } = placesWithin(tables, range);
  const isDue = (place: number): boolean =>
    place >= from && place < to && tables[place].number < createdBefore && holdsGarbage(tables[place]);
  let seed = from;
  while (seed < to && !isDue(seed)) seed++;
  if (seed === to) return undefined;
  const places = neighbours(tables, seed, policy.compactionBytesMax, isDue);
  const inputs = tables.slice(places.from, places.to);
  return stepOf(sums, LAST_LEVEL, { inputs, outputLevel: LAST_LEVEL, isTrivialMove: false });
}
