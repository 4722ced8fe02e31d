/**
 * A short run of the soak on both backends, as the command runs it; `npm run soak` is the long one. And that a soak would
 * notice what it is there to notice: a wrong value, a key that is missing, back, or old, and what grows.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { testBackends } from '../support/backends.ts';
import { endedWell, runChild, scriptBeside } from '../support/children.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { testSeed } from '../support/random.ts';
import { SoakFailure, SoakModel } from '../support/soak-model.ts';
import type { SoakSample } from '../support/soak-samples.ts';
import { growsTooMuch, trendOf } from '../support/soak-trend.ts';
import type { SoakReport } from '../support/soak.ts';

const SOAK = scriptBeside(import.meta.url, '../../scripts/soak');
const SECONDS = 12;
const REOPEN_SECONDS = 5;
const KEYS = 30_000;
/** Starting, settling and the last scan come on top, on a machine that others use as well. */
const LIMIT_MS = 90_000;

testBackends(
  'a mixed load for a while finds everything as it was written and grows nothing',
  async (t, backend) => {
    t.timeout(LIMIT_MS + 10_000);
    const out = join(temporaryDirectory(t), 'soak.jsonl');
    const seed = testSeed() >>> 0;
    t.log(`QUADRING_TEST_SEED=${seed}`);
    const asked = { seconds: SECONDS, keys: KEYS, 'reopen-seconds': REOPEN_SECONDS, seed, backend, out };
    const words = Object.entries(asked).flatMap(([name, value]) => [`--${name}`, String(value)]);
    endedWell(t, await runChild(t, SOAK, words, { limitMs: LIMIT_MS }));
    const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
    const [head, ...rest] = lines.map((line) => JSON.parse(line) as object);
    const { report } = rest.at(-1) as { report: SoakReport };
    const samples = rest.slice(0, -1) as SoakSample[];
    t.like(head, { settings: { seed, backend } });
    t.is(samples.length, SECONDS);
    t.like(report, { backend, samples: SECONDS, reopenings: 2, grown: [] });
    t.true(report.writeOperations > 100 && report.reads > 100 && report.flushes > 0, JSON.stringify(report));
    t.true(
      samples.every(({ threads, descriptors, rssBytes }) => threads > 4 && descriptors > 4 && rssBytes > 0),
    );
    t.true(samples.some(({ get, durablePut }) => get.count > 0 && durablePut.p50 > 0));
    t.true(samples.some(({ iterators, snapshots }) => iterators > 0 && snapshots > 0));
    t.log(`${report.writtenKeys} keys written, ${report.reads} reads, ${report.compactions} compactions`);
  },
);

test('a soak notices a value that is wrong, old, missing or back', (t) => {
  const model = new SoakModel(10, 1);
  const write = (number: number, isPut: boolean): Buffer | undefined => {
    const value = model.begin(number, isPut);
    model.acknowledge(number);
    return value;
  };
  const first = write(3, true);
  const least = model.acknowledged(3);
  const second = write(3, true);
  t.truthy(first);
  t.notDeepEqual(first, second);
  // Who asked before the second write may have either; who asks now only the second.
  t.notThrows(() => model.checkRead(3, least, first, 'get'));
  t.notThrows(() => model.checkRead(3, least, second, 'get'));
  const wrong = (found: Buffer | undefined): void => {
    t.throws(() => model.checkRead(3, model.acknowledged(3), found, 'get'), { instanceOf: SoakFailure });
  };
  wrong(first);
  wrong(undefined);
  const changed = Buffer.from(second ?? '');
  changed[changed.length - 1] ^= 1;
  wrong(changed);
  write(3, false);
  wrong(second);
  t.notThrows(() => model.checkRead(3, model.acknowledged(3), undefined, 'get'));
  t.is(model.liveEntries, 0);
  t.is(model.liveBytes, 0);
  // One that is under way may be seen or not.
  const third = model.begin(3, true);
  t.notThrows(() => model.checkRead(3, model.acknowledged(3), third, 'get'));
  t.notThrows(() => model.checkRead(3, model.acknowledged(3), undefined, 'get'));
  wrong(second);
  t.throws(() => model.numberOf(Buffer.from('0000000b/')), { instanceOf: SoakFailure });
});

test('what grows is told from what rises and falls', (t) => {
  const samples = (of: (i: number) => number): number[] => Array.from({ length: 200 }, (_, i) => of(i));
  const saw = trendOf(
    'saw',
    samples((i) => 100 + 10 * (i % 5)),
    5,
  );
  t.false(growsTooMuch(saw), JSON.stringify(saw));
  // Warming up is none of its business.
  const early = trendOf(
    'early',
    samples((i) => Math.min(i, 90) * 10),
    5,
  );
  t.false(growsTooMuch(early), JSON.stringify(early));
  const leak = trendOf(
    'leak',
    samples((i) => 100 + 10 * (i % 5) + i / 10),
    5,
  );
  t.true(growsTooMuch(leak), JSON.stringify(leak));
  t.true(Math.abs(leak.to - leak.from - 10) < 2, 'a tenth a sample, for a hundred samples');
  t.true(
    growsTooMuch(
      trendOf(
        'not a number',
        samples(() => NaN),
        5,
      ),
    ),
  );
});
