/** Processes and threads that end in the middle of anything; see test/support/teardown-harness.ts. `npm run teardown` for more. */
import { BACKENDS } from '../support/backends.ts';
import test from 'ava';
import { testSeed } from '../support/random.ts';
import { describeTeardown, runTeardownCycles } from '../support/teardown-harness.ts';

const CYCLES = 8;

test('whatever a database is in the middle of, and however its process or thread ends, nothing is lost', async (t) => {
  t.timeout(600_000);
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const totals = await runTeardownCycles({ cycles: CYCLES, seed, backends: BACKENDS, owner: t });
  t.log(describeTeardown(totals).join('\n'));
  t.is(totals.cycles, CYCLES);
  t.true(totals.acknowledged > 0);
});
