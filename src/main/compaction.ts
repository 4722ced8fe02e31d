/**
 * A compaction: which tables are merged, and where to. Pure.
 *
 *     inputs          [ b ─── f ][ g ── k ]              of the input level
 *     outputInputs  [ a ─ c ][ d ── h ][ i ─── m ]       of the output level: all that overlap the inputs' hull
 *     grandparents  [ a ──────────────── j ][ k ── p ]   one level below the output: outputs are cut by them
 *     older         …                                    all levels below the output: deletions must stay above these
 */
import { assert } from '../assert.ts';
import type { TableDescription } from '../format/version-edit.ts';
import type { CompactionPolicy } from './compaction-policy.ts';
import { hullOf } from './key-span.ts';
import { bytesOfTables, LAST_LEVEL, type LevelSums } from './levels-view.ts';

/** Why: level 0 is too large; another level is; much of the lowest level can go; nothing better to do; somebody asked. */
export type CompactionReason = 'level-0' | 'size' | 'garbage' | 'idle' | 'range';

export interface Compaction {
  readonly reason: CompactionReason;
  readonly inputLevel: number;
  /** That of the inputs where the lowest level is rewritten to be rid of garbage. */
  readonly outputLevel: number;
  /** Of the input level; level 0 newest first. */
  readonly inputs: readonly TableDescription[];
  /** Of the output level, those that overlap. */
  readonly outputInputs: readonly TableDescription[];
  /** Of the level below the output level, those that overlap. None for a trivial move. */
  readonly grandparents: readonly TableDescription[];
  /** Of all levels below the output level, those that overlap: deletions of what they hold must stay. None for a trivial move. */
  readonly older: readonly TableDescription[];
  /** The inputs, as they are, become tables of the output level: nothing overlaps there, and little below. */
  readonly isTrivialMove: boolean;
  /** Behind which key the input level's next compaction may begin; undefined: at its first table. */
  readonly pointer: Uint8Array | undefined;
  /** Of the input level when this was picked; for garbage the share of the worst table; 0 for what nothing asked for. */
  readonly score: number;
}

/** What is decided; the rest follows. */
export interface CompactionPlan {
  readonly reason: CompactionReason;
  readonly inputLevel: number;
  readonly outputLevel: number;
  readonly inputs: readonly TableDescription[];
  readonly isTrivialMove: boolean;
  readonly score: number;
}

/** REQUIRES: between the levels of the plan nothing overlaps the inputs; a trivial move's inputs overlap nothing there. */
export function completeCompaction(sums: LevelSums, plan: CompactionPlan): Compaction {
  const { inputs, inputLevel, outputLevel, isTrivialMove } = plan;
  assert(inputs.length > 0, 'a compaction has inputs');
  assert(outputLevel >= inputLevel && outputLevel <= LAST_LEVEL, 'a compaction goes down');
  const { largestKey } = inputs[inputs.length - 1];
  const isSorted = inputLevel > 0 && inputLevel < outputLevel;
  const pointer = isSorted && largestKey.length > 0 ? largestKey : undefined;
  if (isTrivialMove) return { ...plan, outputInputs: [], grandparents: [], older: [], pointer };
  const outputInputs = outputLevel === inputLevel ? [] : sums.tablesWithin(outputLevel, hullOf(inputs));
  const hull = hullOf([...inputs, ...outputInputs]);
  const older: TableDescription[] = [];
  for (let level = outputLevel + 1; level <= LAST_LEVEL; level++)
    older.push(...sums.tablesWithin(level, hull));
  return { ...plan, outputInputs, grandparents: sums.tablesWithin(outputLevel + 1, hull), older, pointer };
}

/** Bytes that are read and, at most, written. */
export function compactionBytes({ inputs, outputInputs, isTrivialMove }: Compaction): number {
  return isTrivialMove ? 0 : bytesOfTables(inputs) + bytesOfTables(outputInputs);
}

/** Whether a table can be handed to the output level without making a later compaction there too large. */
export function isBoundedAt(
  sums: LevelSums,
  table: TableDescription,
  outputLevel: number,
  { grandparentBytesMax }: CompactionPolicy,
): boolean {
  return sums.bytesWithin(outputLevel + 1, table) <= grandparentBytesMax;
}

/** One line, for logs and for tests that are data. */
export function describeCompaction(compaction: Compaction): string {
  const { reason, inputLevel, outputLevel, inputs, outputInputs, isTrivialMove, score } = compaction;
  const into = outputInputs.length === 0 ? '' : ` + ${numbersOf(outputInputs)}`;
  const how = isTrivialMove ? 'moved' : `${compactionBytes(compaction)} bytes`;
  return `${reason}: L${inputLevel} ${numbersOf(inputs)}${into} → L${outputLevel}, ${how}, score ${score.toFixed(2)}`;
}

function numbersOf(tables: readonly TableDescription[]): string {
  return tables.map(({ number }) => String(number).padStart(6, '0')).join(' ');
}
