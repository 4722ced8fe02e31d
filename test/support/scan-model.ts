/** The scan model's property: whatever the steps, the database answers as the sorted map with versions. */
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { testSeed } from './random.ts';
import { ScanDriver } from './scan-driver.ts';
import { step, tinyOptions } from './scan-steps.ts';

/** `QUADRING_MODEL_RUNS`, or the usual number. */
export function modelRuns(usual: number): number {
  const asked = process.env['QUADRING_MODEL_RUNS'];
  if (asked === undefined || asked === '') return usual;
  const runs = Number(asked);
  if (!Number.isSafeInteger(runs) || runs < 1)
    throw new Error(`QUADRING_MODEL_RUNS must be a number of runs, not "${asked}"`);
  return runs;
}

/** Makes, for one run, what opens its database again and again. `seed` is the run's own. */
export type Opener = (settings: DatabaseOptions, seed: number) => () => Promise<Database>;

/** What one database may take, and what a run of the test may beyond that. */
const MODEL_MS_MAX = 20_000;
const REST_MS_MAX = 120_000;
/** Shrinking a failure is worth no more than this. */
const SHRINKING_MS_MIN = 90_000;

/** Tries so many databases, and expects so many operations in all. */
export async function expectModelHolds(
  t: ExecutionContext,
  openerOf: Opener,
  { runs, operationsMin }: { readonly runs: number; readonly operationsMin: number },
): Promise<void> {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const total = { operations: 0, evictions: 0, readsAhead: 0, compactions: 0 };
  const holds = fc.asyncProperty(
    tinyOptions,
    fc.nat(1 << 30),
    fc.array(step, { minLength: 150, maxLength: 300, size: 'max' }),
    async (settings, runSeed, steps) => {
      const driver = new ScanDriver(openerOf(settings, runSeed));
      await driver.open();
      try {
        for (const one of steps) await driver.run(one);
        await driver.readAll();
        await driver.run({ kind: 'reopen' });
        await driver.readAll();
      } finally {
        await driver.close();
        total.operations += driver.operations;
        total.evictions += driver.evictions;
        total.readsAhead += driver.readsAhead;
        total.compactions += driver.compactions;
      }
    },
  );
  const count = modelRuns(runs);
  const interruptAfterTimeLimit = Math.max(SHRINKING_MS_MIN, count * MODEL_MS_MAX);
  t.timeout(interruptAfterTimeLimit + REST_MS_MAX);
  await fc.assert(holds, {
    seed,
    numRuns: count,
    interruptAfterTimeLimit,
    markInterruptAsFailure: false,
  });
  t.log(
    `${total.operations} operations, ${total.compactions} compactions, ${total.evictions} evictions, ` +
      `${total.readsAhead} blocks read ahead`,
  );
  // Of a few runs any may be of little ones.
  if (count < runs) return;
  t.true(total.operations > operationsMin, 'much was done');
  t.true(total.compactions > runs, 'there were compactions');
}
