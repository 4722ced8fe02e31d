/** `close()` while a compaction is under way, at several moments; what the next open finds; and ring threads that die. */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type * as threads from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { ROLE_COMPACTION, ROLE_IDS } from '../../src/protocol/requests.ts';
import { entriesOf, eventually, expectOnlyTables } from '../support/at-rest.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { runChild, scriptBeside } from '../support/children.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { keyOf, valueOf } from '../support/values.ts';

const workerThreads = createRequire(import.meta.url)('node:worker_threads') as {
  Worker: typeof threads.Worker;
};
const started: threads.Worker[] = [];
workerThreads.Worker = class extends workerThreads.Worker {
  constructor(...of: ConstructorParameters<typeof threads.Worker>) {
    super(...of);
    started.push(this);
  }
};
syncBuiltinESMExports();

const CHILD = scriptBeside(import.meta.url, 'compaction-child');
const KEYS = 2000;
/** A compaction of all there is takes seconds at this rate. */
const SLOW: DatabaseOptions = {
  writeBufferBytes: 4 << 20,
  blockBytes: 4096,
  blockCacheBytes: 65_536,
  compaction: { automatic: false, rateBytesPerSecond: 1 << 20 },
};
/** Tables that are so small that several of them are finished before the last one. */
const SLOW_AND_SMALL: DatabaseOptions = { ...SLOW, compaction: { ...SLOW.compaction, tableBytes: 262_144 } };

/** Two tables of level 0 with the same keys. */
async function fill(database: Database): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const written: Promise<void>[] = [];
    for (let i = 0; i < KEYS; i++) {
      written.push(database.put(keyOf(i), valueOf(1000, i + round), { sync: false }));
    }
    await Promise.all(written);
    await database.flush();
  }
}

/** Opens, finds everything, and compacts it at once. */
async function expectAll(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  options: DatabaseOptions,
  crewAdopted: boolean | undefined,
): Promise<void> {
  const database = await openDatabase(t, directory, backend, options);
  if (crewAdopted !== undefined) t.is(database.stats().crewAdopted, crewAdopted);
  await expectOnlyTables(t, database, directory);
  t.is(database.stats().recovery.replayedRecords, 0);
  for (let i = 0; i < KEYS; i += 7) t.true(database.getSync(keyOf(i))?.equals(valueOf(1000, i + 1)));
  database.setCompactionRate(0);
  await database.compactRange();
  t.is(entriesOf(database), KEYS);
  for (let i = 0; i < KEYS; i += 7) t.true(database.getSync(keyOf(i))?.equals(valueOf(1000, i + 1)));
  await expectOnlyTables(t, database, directory);
  await database.close();
}

const MOMENTS: Readonly<Record<string, (database: Database, directory: string) => () => boolean>> = {
  'asked for': () => () => true,
  running: (database) => () => database.stats().compactions.running !== null,
  reading: (database) => () => database.stats().rings[ROLE_COMPACTION].bytesRead > 0,
  'writing its first table': (_, directory) => () => namesEnding(directory, '.tmp').length > 0,
  'writing its second table': (_, directory) => () => namesEnding(directory, '.sst').length > 2,
};

for (const [name, momentOf] of Object.entries(MOMENTS)) {
  testBackends(`close while a compaction is ${name}`, async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const options = name.includes('second') ? SLOW_AND_SMALL : SLOW;
    const database = await openDatabase(t, directory, backend, options);
    await fill(database);
    const compacting = expectCode(t, 'CLOSED', () => database.compactRange());
    await eventually(momentOf(database, directory));
    const begun = performance.now();
    await database.close();
    const took = performance.now() - begun;
    // What is being written would take several seconds; a rate is looked at ten times a second.
    t.true(took < 2000, `it took ${took.toFixed(0)} ms`);
    await compacting;
    t.deepEqual(namesEnding(directory, '.tmp'), [], 'what was being written is removed');
    t.is(namesEnding(directory, '.sst').length, 2, 'and so is what was finished');
    await expectAll(t, directory, backend, options, true);
  });
}

testBackends('close and open again, many times in the middle of a compaction', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = {
    ...SLOW_AND_SMALL,
    compaction: { ...SLOW_AND_SMALL.compaction, automatic: true, l0Trigger: 2 },
  };
  const first = await openDatabase(t, directory, backend, options);
  await fill(first);
  await first.close();
  for (let i = 0; i < 6; i++) {
    const database = await openDatabase(t, directory, backend, options);
    await eventually(() => database.stats().compactions.running !== null);
    if (i % 2 === 0) await eventually(() => namesEnding(directory, '.tmp').length > 0);
    await database.close();
    t.deepEqual(namesEnding(directory, '.tmp'), []);
  }
  await expectAll(t, directory, backend, options, true);
});

testBackends('process.exit in the middle of a compaction', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const end = await runChild(t, CHILD, ['exit', backend, directory]);
  t.is(end.code, 7, end.stderr);
  t.is(end.stdout, 'compacting\n');
  const database = await openDatabase(t, directory, backend, SLOW);
  await expectOnlyTables(t, database, directory);
  t.true(database.getSync(keyOf(1))?.equals(valueOf(500, 2001)));
});

for (const victim of ROLE_IDS) {
  testBackends(`ring thread ${victim} dies in the middle of a compaction`, async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    started.length = 0;
    // Threads of its own: no test before had these options.
    const options = { ...SLOW_AND_SMALL, blockCacheBytes: (victim + 3) << 20 };
    const database = await openDatabase(t, directory, backend, options);
    await fill(database);
    const compacting = expectCode(t, 'WORKER_FAILED', () => database.compactRange());
    await eventually(() => namesEnding(directory, '.tmp').length > 0);
    t.is(started.length, 4);
    await started[victim].terminate();
    await compacting;
    await expectCode(t, 'WORKER_FAILED', () => database.put('a', '1'));
    await expectCode(t, 'WORKER_FAILED', () => database.compactRange());
    t.is(typeof database.stats().failure, 'string');
    await eventually(() => database.stats().compactions.running === null);
    await database.close();
    await expectAll(t, directory, backend, options, false);
  });
}
