/**
 * How large each level should be, and how far it is from that. Pure.
 *
 * The largest level sets the measure: the last level may be as large as that, each level above it a `multiplier`-th of
 * the one below, up to the *base level*, the first whose target is not above `baseBytes`. Level 0 is compacted to the
 * base level, past the levels above it, which should be empty. So what lies above the last level stays near a ninth of
 * it however large the database is, and a small one lives in levels 0 and 6.
 *
 *     baseBytes 128 MiB, 30 GiB in level 6      level 6  30 GiB    5  3 GiB    4  307 MiB    3  31 MiB: the base
 *
 * The base level moves as the database grows and shrinks. When it moves down, levels above it are left with tables: their
 * target is 0, and they drain like a level that is too large.
 */
import type { CompactionPolicy } from './compaction-policy.ts';
import { LAST_LEVEL, LevelSums, type LevelsView } from './levels-view.ts';
import { CompensatedSizes } from './table-garbage.ts';

export interface LevelTargets {
  readonly baseLevel: number;
  /** In bytes. 0: above the base level. Level 0's is that of all levels: `baseBytes`. */
  readonly targets: readonly number[];
}

export interface LevelScore {
  readonly level: number;
  /** From 1 on the level is too large. */
  readonly score: number;
  /** Of levels that are too large, the one with the greatest urgency comes first. */
  readonly urgency: number;
}

export function levelTargets(view: LevelsView, policy: CompactionPolicy): LevelTargets {
  return targetsOf(new LevelSums(view), policy);
}

/** Levels 0 to 5; nothing is below the last. */
export function levelScores(view: LevelsView, policy: CompactionPolicy): LevelScore[] {
  const sums = new LevelSums(view);
  return scoresOf(sums, targetsOf(sums, policy), policy);
}

export function targetsOf(sums: LevelSums, { baseBytes, multiplier }: CompactionPolicy): LevelTargets {
  const targets = new Array<number>(LAST_LEVEL + 1).fill(0);
  let target = 0;
  for (let level = 1; level <= LAST_LEVEL; level++) target = Math.max(target, sums.bytesOf(level));
  let baseLevel = LAST_LEVEL;
  targets[baseLevel] = target;
  while (target > baseBytes && baseLevel > 1) {
    target /= multiplier;
    targets[--baseLevel] = target;
  }
  targets[0] = baseBytes;
  return { baseLevel, targets };
}

/**
 * The score is size by target; level 0's also tables by trigger, since every read looks at each of them. Where much is
 * about to come down from above, a level is not urgent: it will be rewritten with that anyway.
 */
export function scoresOf(
  sums: LevelSums,
  { baseLevel, targets }: LevelTargets,
  { l0Trigger, baseBytes }: CompactionPolicy,
): LevelScore[] {
  const sizes = new CompensatedSizes(sums);
  const scores: LevelScore[] = [];
  let incoming = 0;
  for (let level = 0; level < LAST_LEVEL; level++) {
    const bytes = level === 0 ? sums.bytesOf(0) : sizes.ofLevel(level);
    let score = bytes / targets[level];
    let urgency = score;
    if (level === 0) {
      score = Math.max(sums.levels[0].length / l0Trigger, bytes / baseBytes);
      urgency = score;
      if (score >= 1) incoming = bytes;
    } else if (level < baseLevel) {
      score = bytes === 0 ? 0 : 1 + bytes / targets[baseLevel];
      urgency = score;
      incoming += bytes;
    } else if (score >= 1) {
      urgency = bytes / (targets[level] + incoming);
      incoming += bytes - targets[level];
    }
    scores.push({ level, score, urgency });
  }
  return scores;
}

/** An estimate of the bytes that have to be rewritten until no level is too large: what writes are held back by. */
export function pendingCompactionBytes(view: LevelsView, policy: CompactionPolicy): number {
  const sums = new LevelSums(view);
  const { baseLevel, targets } = targetsOf(sums, policy);
  const level0Bytes = sums.bytesOf(0);
  let pending = 0;
  let incoming = 0;
  if (sums.levels[0].length >= policy.l0Trigger || level0Bytes >= policy.baseBytes) {
    pending = level0Bytes + sums.bytesOf(baseLevel);
    incoming = level0Bytes;
  }
  for (let level = 1; level < LAST_LEVEL; level++) {
    const bytes = sums.bytesOf(level) + (level < baseLevel ? 0 : incoming);
    const excess = bytes - targets[level];
    if (excess <= 0) {
      if (level >= baseLevel) incoming = 0;
      continue;
    }
    // What comes down is spread over the level below as the level's own tables are.
    const below = sums.bytesOf(level < baseLevel ? baseLevel : level + 1);
    if (below > 0) pending += excess * (1 + below / bytes);
    incoming = level < baseLevel ? incoming + excess : excess;
  }
  return pending;
}
