/**
 * A process that may open no more files: what needs one is refused with TOO_MANY_FILES before anything depends on it,
 * nothing acknowledged is lost, reads go on, and so does everything else when there are descriptors again.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { testBackends, type Backend } from '../support/backends.ts';
import { endedWell, runChild, scriptBeside } from '../support/children.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';
import type { OpeningReport, WorkingReport } from './descriptor-child.ts';

const CHILD = scriptBeside(import.meta.url, 'descriptor-child');
/** Loading modules takes some dozens at once. */
const LIMIT = 200;
const LIMIT_MS = 110_000;
const VALUE_BYTES = 4000;
const TABLES = 6;

/** A closed database of several tables in level 0 whose keys overlap, and a hundred keys. */
async function makeDatabase(t: ExecutionContext, backend: Backend): Promise<string> {
  const directory = join(temporaryDirectory(t), 'db');
  const options = { writeBufferBytes: 1 << 20, compaction: { automatic: false, l0Stop: 48 } };
  const database = await openDatabase(t, directory, backend, options);
  for (let table = 0; table < TABLES; table++) {
    for (let i = table; i < 100; i += TABLES) void database.put(keyOf(i), valueOf(VALUE_BYTES, i));
    await database.flush();
  }
  await database.close();
  return directory;
}

async function run<Report>(
  t: ExecutionContext,
  scenario: string,
  backend: Backend,
  directory: string,
): Promise<Report | undefined> {
  t.timeout(LIMIT_MS + 30_000);
  const wrapper = ['prlimit', `--nofile=${LIMIT}`];
  if (spawnSync('prlimit', ['--version']).status !== 0) {
    t.log('there is no prlimit here');
    t.pass();
    return undefined;
  }
  const end = await runChild(t, CHILD, [scenario, backend, directory], { wrapper, limitMs: LIMIT_MS });
  endedWell(t, end);
  t.is(end.stderr, '');
  return JSON.parse(end.stdout) as Report;
}

testBackends(
  'opening with too few descriptors is refused, and changes nothing that matters',
  async (t, backend) => {
    const directory = await makeDatabase(t, backend);
    const report = await run<OpeningReport>(t, 'opening', backend, directory);
    if (report === undefined) return;
    t.log(`it takes ${report.outcomes.length - 1} descriptors`);
    t.is(report.outcomes.at(-1), 'succeeded');
    const refused = report.outcomes.slice(0, -1);
    t.true(refused.length > TABLES, refused.join());
    t.deepEqual(
      [...new Set(refused)].filter((code) => code !== 'TOO_MANY_FILES'),
      [],
      refused.join(),
    );
    const database = await openDatabase(t, directory, backend);
    await expectValue(t, database, 'again', 'and again');
    for (let i = 0; i < 100; i += 7) await expectValue(t, database, keyOf(i), valueOf(VALUE_BYTES, i));
  },
);

testBackends(
  'writes, flushes and compactions without descriptors are refused, and go on with them',
  async (t, backend) => {
    const directory = await makeDatabase(t, backend);
    const report = await run<WorkingReport>(t, 'working', backend, directory);
    if (report === undefined) return;
    t.log(JSON.stringify(report));
    t.true(report.acknowledged > 0, 'what was prepared before is written to');
    // Rings with tables of their own open files without descriptors.
    const isRefused = !report.needsNone;
    t.deepEqual(Object.keys(report.refusals), isRefused ? ['TOO_MANY_FILES'] : []);
    t.is(report.flush, isRefused ? 'TOO_MANY_FILES' : 'succeeded');
    t.is(report.compaction, isRefused ? 'TOO_MANY_FILES' : 'succeeded');
    t.is(report.failure, null);
    t.is(report.afterwards, 'succeeded');
    const database = await openDatabase(t, directory, backend);
    for (let i = 0; i < 500; i += 11) await expectValue(t, database, keyOf(i), valueOf(VALUE_BYTES, i));
    t.deepEqual(namesEnding(directory, '.tmp'), []);
  },
);

testBackends('closing needs no descriptor', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const report = await run<OpeningReport>(t, 'closing', backend, directory);
  if (report === undefined) return;
  t.deepEqual(report.outcomes, ['succeeded']);
  const database = await openDatabase(t, directory, backend);
  t.true(database.stats().recovery.tornFrames === 0);
  for (let i = 0; i < 10; i++) await expectValue(t, database, keyOf(i), valueOf(VALUE_BYTES, i));
});
