/**
 * A short run of the kill test on both backends; `npm run kill` is the long one. `QUADRING_TEST_SEED` repeats a run,
 * but for the exact moments of the kills.
 */
import test from 'ava';
import { describeTotals, runKillCycles } from '../support/kill-harness.ts';
import { testSeed } from '../support/random.ts';

const CYCLES = 4;

for (const backend of ['auto', 'syscall'] as const) {
  test.serial(
    `processes killed at random moments lose nothing acknowledged and tear no batch (${backend})`,
    async (t) => {
      const seed = testSeed() >>> 0;
      t.log(`QUADRING_TEST_SEED=${seed}`);
      const totals = await runKillCycles({ cycles: CYCLES, seed, backend });
      for (const line of describeTotals(totals)) t.log(line);
      t.is(totals.cycles, CYCLES);
      t.true(totals.acknowledged > 0);
    },
  );
}
