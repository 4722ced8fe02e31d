/** What must hold of every compaction, said without halving and sums. */
import { assert } from '../../src/assert.ts';
import { LEVEL_COUNT } from '../../src/format/limits.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import type { Compaction } from '../../src/main/compaction.ts';
import { hullOf, type KeySpan, overlaps } from '../../src/main/key-span.ts';
import type { LevelsView } from '../../src/main/levels-view.ts';

/** Throws if the compaction would bring a version below an older one, or make tables of a sorted level overlap. */
export function checkCompaction({ levels }: LevelsView, compaction: Compaction): void {
  const { inputs, outputInputs, inputLevel, outputLevel, isTrivialMove, older, grandparents } = compaction;
  assert(inputs.length > 0, 'something is compacted');
  assert(new Set(inputs).size === inputs.length, 'nothing is compacted twice');
  for (const table of inputs) assert(levels[inputLevel].includes(table), 'inputs are of the input level');
  const spans = isTrivialMove ? inputs : [hullOf(inputs)];
  const within = (level: number, around: readonly KeySpan[]): TableDescription[] =>
    level < LEVEL_COUNT ? levels[level].filter((table) => around.some((span) => overlaps(table, span))) : [];
  for (let level = inputLevel + 1; level < outputLevel; level++) {
    assert(within(level, spans).length === 0, 'no level is passed that holds something of the inputs’ keys');
  }
  if (inputLevel === 0) checkLevel0(levels[0], inputs);
  else checkNeighbours(levels[inputLevel], inputs);
  if (inputLevel === outputLevel) {
    assert(outputInputs.length === 0, 'a level that is rewritten has one kind of inputs');
  } else {
    assertSame(outputInputs, within(outputLevel, spans), 'all that overlaps in the output level is merged');
  }
  if (isTrivialMove) return;
  const hull = [hullOf([...inputs, ...outputInputs])];
  assertSame(grandparents, within(outputLevel + 1, hull), 'grandparents are what overlaps below the output');
  const below = levels.flatMap((_, level) => (level > outputLevel ? within(level, hull) : []));
  assertSame(older, below, 'older is all that overlaps below the output');
}

function checkLevel0(level0: readonly TableDescription[], inputs: readonly TableDescription[]): void {
  for (const table of inputs) {
    for (const other of level0.slice(level0.indexOf(table) + 1)) {
      assert(inputs.includes(other) || !overlaps(other, table), 'nothing goes without what is older');
    }
  }
  assertSame(
    inputs,
    level0.filter((table) => inputs.includes(table)),
    'inputs of level 0 are newest first',
  );
}

function checkNeighbours(level: readonly TableDescription[], inputs: readonly TableDescription[]): void {
  const first = level.indexOf(inputs[0]);
  assertSame(inputs, level.slice(first, first + inputs.length), 'inputs of a sorted level are neighbours');
}

function assertSame(
  actual: readonly TableDescription[],
  expected: readonly TableDescription[],
  message: string,
): void {
  assert(actual.length === expected.length && actual.every((table, i) => table === expected[i]), message);
}
