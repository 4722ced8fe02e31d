/** Fuzz targets as tests of the suite. */
import test from 'ava';
import { testSeed } from '../random.ts';
import { replayOf, type FuzzTarget } from './target.ts';

/** Declares a test of ava for each target. `QUADRING_TEST_SEED` repeats a run. */
export function testTargets(targets: readonly FuzzTarget[]): void {
  for (const target of targets) {
    test.serial(target.name, async (t) => {
      const seed = testSeed();
      const { runs, counts, failure } = await target.run({ runs: target.runs, seed });
      t.log(`seed ${seed}, ${runs} runs${counts === '' ? '' : `: ${counts}`}`);
      if (failure === undefined) t.pass();
      else t.fail(`${failure.report}\n${replayOf(target, failure)}`);
    });
  }
}
