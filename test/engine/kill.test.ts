/**
 * A short run of the kill test on both backends; `npm run kill` is the long one. `QUADRING_TEST_SEED` repeats a run,
 * but for the exact moments of the kills.
 */
import test from 'ava';
import { describeTotals, runKillCycles } from '../support/kill-harness.ts';
import { WORKLOAD_KINDS } from '../support/kill-workload.ts';
import { testSeed } from '../support/random.ts';

const CYCLES = { mixed: 2, compaction: 2 };
/** A cycle takes one or two seconds, several where other tests want the cores as well. */
const TEST_MS_MAX = 240_000;

for (const backend of ['auto', 'syscall'] as const) {
  for (const workload of WORKLOAD_KINDS) {
    test.serial(
      `processes killed at random moments lose nothing acknowledged, tear no batch and leave no file (${workload}, ${backend})`,
      async (t) => {
        t.timeout(TEST_MS_MAX);
        const seed = testSeed() >>> 0;
        t.log(`QUADRING_TEST_SEED=${seed}`);
        const cycles = CYCLES[workload];
        const totals = await runKillCycles({ cycles, seed, backend, workload });
        for (const line of describeTotals(totals)) t.log(line);
        t.is(totals.cycles, cycles);
        t.true(totals.acknowledged > 0);
      },
    );
  }
}
