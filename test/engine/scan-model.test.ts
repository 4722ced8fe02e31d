/**
 * Iterators, snapshots and reads of many keys against a sorted map with versions: random operations in a database whose
 * limits are all tiny. A failure prints fast-check's seed; `QUADRING_TEST_SEED=<seed>` repeats a run, and
 * `QUADRING_MODEL_RUNS=<number>` sets how many databases are tried.
 */
import { join } from 'node:path';
import { Database } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { ioOf } from '../support/io-setting.ts';
import { expectModelHolds } from '../support/scan-model.ts';

testBackends('random scans and reads see their moment and nothing else', async (t, backend) => {
  await expectModelHolds(
    t,
    (settings) => {
      const directory = join(temporaryDirectory(t), 'db');
      return () => Database.open(directory, { ...settings, io: ioOf(backend) });
    },
    { runs: 10, operationsMin: 8000 },
  );
});
