/**
 * A smoke of the simulation: some hundred seeds. `npm run simulate -- --seeds N` is the long one. A seed that failed once
 * stays here for ever.
 */
import test from 'ava';
import { testSeed } from '../support/random.ts';
import { runSeed } from './run-seed.ts';

const SEEDS = 100;
/** Crash points of each run. */
const POINTS_MAX = 4;

// Iterators of databases that a power cut stopped are collected like any others.
test.before(() => void process.removeAllListeners('warning'));

test.serial('no power cut, at whatever step, loses what was acknowledged', async (t) => {
  t.timeout(600_000);
  const first = testSeed();
  t.log(`QUADRING_TEST_SEED=${first}`);
  const totals = { crashPoints: 0, steps: 0, faults: 0 };
  for (let seed = first; seed < first + SEEDS; seed++) {
    const { crashPoints, steps, faults } = await runSeed(seed, { pointsMax: POINTS_MAX });
    totals.crashPoints += crashPoints;
    totals.steps += steps;
    totals.faults += faults;
  }
  t.log(
    `${SEEDS} seeds, ${totals.crashPoints} crash points, ${totals.steps} I/O steps, ${totals.faults} faults`,
  );
  t.true(totals.crashPoints > POINTS_MAX * SEEDS);
  t.true(totals.faults > 0);
});

/**
 * What each of these found is said in docs/reliability.md, and has a test of its own where the engine was at fault: a seed
 * stands for another case once what cases are made of has changed.
 */
const SEEDS_THAT_FAILED = [13, 23, 100_044, 2_000_954, 2_001_078, 2_001_137, 3_002_819, 159_641_438];

test.serial('seeds that failed once', async (t) => {
  for (const seed of SEEDS_THAT_FAILED) {
    const { crashPoints } = await runSeed(seed);
    t.true(crashPoints > 0);
  }
});
