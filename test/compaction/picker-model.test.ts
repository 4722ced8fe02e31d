/**
 * Picked compactions, applied to a model: whatever is written, deleted, read at and asked for, every key reads as if nothing
 * was ever merged, and there is a last compaction. fast-check prints seed and path of a failure; `QUADRING_TEST_SEED=<seed>`
 * repeats a run.
 */
import test from 'ava';
import fc from 'fast-check';
import { LEVEL_COUNT } from '../../src/format/limits.ts';
import { type Compaction, compactionBytes } from '../../src/main/compaction.ts';
import { pickCompaction } from '../../src/main/compaction-picker.ts';
import type { CompactionPolicy } from '../../src/main/compaction-policy.ts';
import { overlaps, spanBetween } from '../../src/main/key-span.ts';
import { levelScores } from '../../src/main/level-targets.ts';
import { bytesOfTables } from '../../src/main/levels-view.ts';
import { pickRange, type RangeRequest } from '../../src/main/range-picker.ts';
import { droppableShare } from '../../src/main/table-garbage.ts';
import { testSeed } from '../support/random.ts';
import { CompactionModel, KEYS } from './compaction-model.ts';

const LAST_LEVEL = LEVEL_COUNT - 1;
const RUNS = 200;
/** More than the tables that there ever are, times the levels. */
const PICKS_MAX = 1000;

type Step =
  | { readonly do: 'put' | 'delete'; readonly key: number }
  | { readonly do: 'delete-range' | 'compact-range'; readonly start: number; readonly end: number }
  | { readonly do: 'flush' | 'pick' | 'pick-idle' | 'step-range' | 'snapshot' | 'release' };

const key = fc.nat(KEYS - 1);
const span = fc
  .tuple(fc.nat(KEYS), fc.nat(KEYS))
  .filter(([start, end]) => start < end)
  .map(([start, end]) => ({ start, end }));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 40, arbitrary: key.map((key) => ({ do: 'put' as const, key })) },
  { weight: 10, arbitrary: key.map((key) => ({ do: 'delete' as const, key })) },
  { weight: 4, arbitrary: span.map((span) => ({ do: 'delete-range' as const, ...span })) },
  { weight: 20, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 20, arbitrary: fc.constant({ do: 'pick' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'pick-idle' as const }) },
  { weight: 2, arbitrary: span.map((span) => ({ do: 'compact-range' as const, ...span })) },
  { weight: 6, arbitrary: fc.constant({ do: 'step-range' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'snapshot' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'release' as const }) },
);

const policy: fc.Arbitrary<CompactionPolicy> = fc
  .record({
    l0Trigger: fc.integer({ min: 1, max: 4 }),
    baseBytes: fc.constantFrom(20, 60, 200, 1000),
    multiplier: fc.constantFrom(2, 3, 10),
    tableBytes: fc.constantFrom(10, 20, 50),
    grandparents: fc.constantFrom(1, 3, 10),
    compaction: fc.constantFrom(1, 4, 25),
    tableChoice: fc.constantFrom('least-overlap' as const, 'round-robin' as const),
  })
  .map(({ grandparents, compaction, ...rest }) => ({
    ...rest,
    grandparentBytesMax: grandparents * rest.tableBytes,
    compactionBytesMax: compaction * rest.tableBytes,
  }));

/** A model, its policy and the range that is being compacted. */
class Run {
  readonly model: CompactionModel;
  readonly #policy: CompactionPolicy;
  #range: RangeRequest | undefined;

  constructor(policy: CompactionPolicy) {
    this.#policy = policy;
    this.model = new CompactionModel(policy);
  }

  take(step: Step): void {
    const { model } = this;
    switch (step.do) {
      case 'put':
      case 'delete':
        return model.write(step.key, step.do === 'delete');
      case 'delete-range':
        return model.deleteRange(step.start, step.end);
      case 'flush':
        return model.flush();
      case 'pick':
        return void this.pick(false);
      case 'pick-idle':
        return void this.pick(true);
      case 'compact-range':
        return this.beginRange(
          Uint8Array.of(step.start),
          step.end < KEYS ? Uint8Array.of(step.end) : undefined,
        );
      case 'step-range':
        return void this.stepRange();
      case 'snapshot':
        return model.takeSnapshot();
      case 'release':
        model.snapshots.shift();
    }
  }

  pick(isIdle: boolean): boolean {
    const { pointers, oldestSnapshot, view } = this.model;
    return this.#apply(pickCompaction(view, this.#policy, { pointers, oldestSnapshot, isIdle }));
  }

  #apply(compaction: Compaction | undefined): boolean {
    if (compaction === undefined) return false;
    const { inputs, inputLevel, isTrivialMove } = compaction;
    const bytes = isTrivialMove ? bytesOfTables(inputs) : compactionBytes(compaction);
    const isSmall = inputs.length === 1 || bytes <= this.#policy.compactionBytesMax;
    if (inputLevel > 0 && !isSmall) throw new Error('a compaction is larger than it need be');
    this.model.apply(compaction);
    return true;
  }

  beginRange(lower: Uint8Array | undefined, upper: Uint8Array | undefined): void {
    this.model.flush();
    const { sequence, nextNumber } = this.model;
    this.#range = { lower, upper, sequence, createdBefore: nextNumber };
  }

  /** Whether there was a step to take. Throws if there was none and something of the range is not where it should be. */
  stepRange(): boolean {
    const range = this.#range;
    if (range === undefined) return false;
    if (this.#apply(pickRange(this.model.view, this.#policy, range))) return true;
    this.#range = undefined;
    const asked = spanBetween(range.lower, range.upper);
    this.model.view.levels.forEach((tables, level) => {
      for (const table of tables) {
        if (!overlaps(table, asked)) continue;
        const { smallestSequence, number, deletions, overwritten, rangeTombstones } = table;
        if (level < LAST_LEVEL && smallestSequence <= range.sequence)
          throw new Error('something stayed above');
        const isClean = deletions + overwritten + rangeTombstones === 0;
        if (level === LAST_LEVEL && number < range.createdBefore && !isClean) {
          throw new Error('a table of the last level was not rewritten');
        }
      }
    });
    return false;
  }
}

/** How often `step` did something before it did nothing. */
function untilDone(step: () => boolean): number {
  for (let steps = 0; steps <= PICKS_MAX; steps++) if (!step()) return steps;
  throw new Error('there is no end of compactions');
}

const parameters = { numRuns: RUNS, seed: testSeed() };
const steps = fc.array(step, { minLength: 20, maxLength: 150, size: 'max' });

test('every key reads as if nothing was merged, whatever is picked', (t) => {
  fc.assert(
    fc.property(policy, steps, (policy, steps) => {
      const run = new Run(policy);
      for (const step of steps) {
        run.take(step);
        run.model.check();
      }
    }),
    parameters,
  );
  t.pass();
});

test('there is a last compaction, after which no level is too large; and one when idle', (t) => {
  fc.assert(
    fc.property(policy, steps, (policy, steps) => {
      const run = new Run(policy);
      for (const step of steps) run.take(step);
      run.model.flush();
      untilDone(() => run.pick(false));
      t.true(levelScores(run.model.view, policy).every(({ score }) => score < 1));
      untilDone(() => run.pick(true));
      run.model.check();
      const { levels } = run.model.view;
      const lowest = levels.findLastIndex((tables) => tables.length > 0);
      const above = levels
        .slice(1, Math.max(lowest, 1))
        .reduce((bytes, tables) => bytes + bytesOfTables(tables), 0);
      t.true(lowest < 1 || above <= 0.05 * bytesOfTables(levels[lowest]));
      const { oldestSnapshot } = run.model;
      t.true(lowest < 1 || levels[lowest].every((table) => droppableShare(table, oldestSnapshot) === 0));
    }),
    parameters,
  );
});

test('compacting everything ends with everything in the last level, while other compactions go on', (t) => {
  fc.assert(
    fc.property(policy, steps, fc.array(step, { maxLength: 40 }), (policy, steps, meanwhile) => {
      const run = new Run(policy);
      for (const step of steps) run.take(step);
      run.beginRange(undefined, undefined);
      for (const step of meanwhile) {
        if (step.do === 'compact-range') continue;
        run.take(step);
        if (!run.stepRange()) break;
      }
      untilDone(() => run.stepRange());
      run.model.check();
      run.model.snapshots.length = 0;
      run.beginRange(undefined, undefined);
      untilDone(() => run.stepRange());
      run.model.check();
      const { levels } = run.model.view;
      t.true(levels.slice(0, LAST_LEVEL).every((tables) => tables.length === 0));
      const clean = levels[LAST_LEVEL].every((table) => droppableShare(table, Infinity) === 0);
      t.true(clean);
    }),
    parameters,
  );
});
