/**
 * Which compaction comes next. Pure: the same view, policy and state give the same answer.
 *
 * In this order:
 *
 *   1. levels that are too large, the most urgent first (level-targets.ts): of level 0 what is connected with its oldest
 *      table, of others the table that makes the least be rewritten for its size
 *   2. tables of the lowest level of which much is certain to go
 *   3. when nothing was written for a while: level 0; then what lies above the lowest level, until it is little; then all
 *      tables of the lowest level of which anything can go
 *
 * Every compaction either brings tables down or takes garbage from the lowest level for good. So, without new writes, there
 * is a last one.
 */
import { type Compaction, type CompactionReason, completeCompaction } from './compaction.ts';
import {
  type ChosenInputs,
  GARBAGE_SHARE_MIN,
  isMovable,
  level0Inputs,
  neighbours,
  reachableLevel,
  sortedInputs,
} from './compaction-inputs.ts';
import type { CompactionPolicy } from './compaction-policy.ts';
import { firstWhere, hullOf, overlaps, reachesBehind } from './key-span.ts';
import { type LevelTargets, scoresOf, targetsOf } from './level-targets.ts';
import { bytesOfTables, LevelSums, type LevelsView } from './levels-view.ts';
import { CompensatedSizes, droppableShare } from './table-garbage.ts';

export interface PickerState {
  /** Of each level: behind which key its next compaction may begin. */
  readonly pointers: readonly (Uint8Array | undefined)[];
  /** Nobody reads at a smaller number; Infinity if nobody reads at any but the newest. */
  readonly oldestSnapshot: number;
  /** Nothing was written for a while: level 0 is emptied, the other levels are brought to rest. */
  readonly isIdle: boolean;
}

/** At rest, what lies above the lowest level is no larger than this part of it. */
const RESTING_SHARE_MAX = 0.05;
/** A level 0 that would make so many times its bytes be rewritten stays for now, even when there is nothing better to do. */
const IDLE_REWRITE_FACTOR_MAX = 50;

/** Everything that a pick looks at. */
interface Pick {
  readonly sums: LevelSums;
  readonly targets: LevelTargets;
  readonly policy: CompactionPolicy;
  readonly state: PickerState;
}

export function pickCompaction(
  view: LevelsView,
  policy: CompactionPolicy,
  state: PickerState,
): Compaction | undefined {
  const sums = new LevelSums(view);
  const pick: Pick = { sums, targets: targetsOf(sums, policy), policy, state };
  return (
    pickBySize(pick) ?? pickGarbage(pick, GARBAGE_SHARE_MIN) ?? (state.isIdle ? pickIdle(pick) : undefined)
  );
}

function pickBySize(pick: Pick): Compaction | undefined {
  const due = scoresOf(pick.sums, pick.targets, pick.policy).filter(({ score }) => score >= 1);
  if (due.length === 0) return undefined;
  const { level, score } = due.reduce((most, other) => (other.urgency > most.urgency ? other : most));
  if (level === 0) return compactionOf(pick, 'level-0', 0, inputsOfLevel0(pick), score);
  return compactionOf(pick, 'size', level, inputsOfLevel(pick, level, nextLevel(pick, level)), score);
}

function compactionOf(
  { sums }: Pick,
  reason: CompactionReason,
  inputLevel: number,
  chosen: ChosenInputs,
  score: number,
): Compaction {
  return completeCompaction(sums, { reason, inputLevel, ...chosen, score });
}

/** Where tables of a level go if nothing is in their way. */
function nextLevel({ targets: { baseLevel } }: Pick, level: number): number {
  return level < baseLevel ? baseLevel : level + 1;
}

/** What can be handed down as it is, all at once; or else what is connected with the oldest table. */
function inputsOfLevel0(pick: Pick): ChosenInputs {
  const { sums, policy, state } = pick;
  const level0 = sums.levels[0];
  const base = nextLevel(pick, 0);
  const movable = level0.filter(
    (table, i) =>
      reachableLevel(sums, table, 0, base) === base &&
      isMovable(sums, table, base, policy, state.oldestSnapshot) &&
      level0.every((other, j) => j === i || !overlaps(other, table)),
  );
  if (movable.length > 0) return { inputs: movable, outputLevel: base, isTrivialMove: true };
  const inputs = level0Inputs(level0, level0.length - 1, policy.compactionBytesMax);
  return { inputs, outputLevel: reachableLevel(sums, hullOf(inputs), 0, base), isTrivialMove: false };
}

/** The table that the policy chooses, with the neighbours that make nothing more be rewritten. */
function inputsOfLevel(pick: Pick, level: number, limit: number): ChosenInputs {
  const { sums, policy, state } = pick;
  const tables = sums.levels[level];
  const seed =
    policy.tableChoice === 'round-robin' ? nextInTurn(pick, level) : leastOverlap(pick, level, limit);
  const outputLevel = reachableLevel(sums, tables[seed], level, limit);
  return sortedInputs(sums, policy, { level, seed, outputLevel, oldestSnapshot: state.oldestSnapshot });
}

/** The table that makes the least be rewritten for its size; of several the first behind the pointer. */
function leastOverlap(pick: Pick, level: number, limit: number): number {
  const { sums } = pick;
  const tables = sums.levels[level];
  const sizes = new CompensatedSizes(sums);
  const first = nextInTurn(pick, level);
  let best = first;
  let least = Infinity;
  for (let step = 0; step < tables.length; step++) {
    const place = (first + step) % tables.length;
    const table = tables[place];
    const reached = reachableLevel(sums, table, level, limit);
    const ratio = sums.bytesWithin(reached, table) / sizes.of(table);
    if (ratio >= least) continue;
    least = ratio;
    best = place;
  }
  return best;
}

/** The first table that reaches behind the level's pointer, or the first of all. */
function nextInTurn({ sums, state }: Pick, level: number): number {
  const pointer = state.pointers[level];
  if (pointer === undefined) return 0;
  const tables = sums.levels[level];
  const place = firstWhere(tables, (table) => reachesBehind(table, pointer));
  return place === tables.length ? 0 : place;
}

/** Rewrites tables of the lowest level of which more than `shareMin` is certain to go, the worst and its neighbours. */
function pickGarbage(pick: Pick, shareMin: number): Compaction | undefined {
  const { sums, policy, state } = pick;
  const level = sums.lowestLevel;
  const tables = sums.levels[level];
  if (level === 0) return undefined;
  const shares = tables.map((table) => droppableShare(table, state.oldestSnapshot));
  const worst = shares.reduce((most, share, i) => (share > shares[most] ? i : most), 0);
  if (tables.length === 0 || shares[worst] <= shareMin) return undefined;
  const { from, to } = neighbours(
    tables,
    worst,
    policy.compactionBytesMax,
    (place) => shares[place] > shareMin,
  );
  const inputs = tables.slice(from, to);
  return compactionOf(
    pick,
    'garbage',
    level,
    { inputs, outputLevel: level, isTrivialMove: false },
    shares[worst],
  );
}

function pickIdle(pick: Pick): Compaction | undefined {
  return pickIdleLevel0(pick) ?? pickAboveLowest(pick) ?? pickGarbage(pick, 0);
}

function pickIdleLevel0(pick: Pick): Compaction | undefined {
  const { sums, policy } = pick;
  if (sums.levels[0].length === 0) return undefined;
  const compaction = compactionOf(pick, 'idle', 0, inputsOfLevel0(pick), 0);
  const bytes = bytesOfTables(compaction.inputs);
  const rewritten = bytesOfTables(compaction.outputInputs);
  const isWorthIt = rewritten <= Math.max(policy.tableBytes, IDLE_REWRITE_FACTOR_MAX * bytes);
  return isWorthIt ? compaction : undefined;
}

/** Brings down what lies directly above the lowest level, as long as too much lies above it. */
function pickAboveLowest(pick: Pick): Compaction | undefined {
  const { sums } = pick;
  const lowest = sums.lowestLevel;
  const sizes = new CompensatedSizes(sums);
  let above = 0;
  for (let level = 1; level < lowest; level++) above += sizes.ofLevel(level);
  if (above <= RESTING_SHARE_MAX * sums.bytesOf(lowest)) return undefined;
  let level = lowest - 1;
  while (sums.levels[level].length === 0) level--;
  return compactionOf(pick, 'idle', level, inputsOfLevel(pick, level, lowest), 0);
}
