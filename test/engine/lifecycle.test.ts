/**
 * Databases, processes and threads: what keeps a process alive and what does not, how it may end in the middle of
 * anything, many opens in a row, several at once, databases in worker threads, and ring threads that die.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { endedWell, runChild, scriptBeside, type ChildEnd } from '../support/children.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';
import { ownThreads } from '../support/own-threads.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const CHILD = scriptBeside(import.meta.url, 'lifecycle-child');
const CHILD_OPTIONS: DatabaseOptions = { writeBufferBytes: 1 << 20 };

function run(t: ExecutionContext, scenario: string, backend: Backend, directory: string): Promise<ChildEnd> {
  return runChild(t, CHILD, [scenario, backend, directory]);
}

testBackends('an idle open database lets the process end, and is closed then', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const end = await run(t, 'idle', backend, directory);
  endedWell(t, end);
  t.is(end.stdout, 'idle\n');
  t.is(end.stderr, '');
  const database = await openDatabase(t, directory, backend, CHILD_OPTIONS);
  const { replayedRecords } = database.stats().recovery;
  t.is(replayedRecords, 1, 'b was not flushed');
  await expectValue(t, database, 'a', '1');
  await expectValue(t, database, 'b', '2');
});

testBackends('writes that nobody awaits are done before the process ends', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  endedWell(t, await run(t, 'unawaited', backend, directory));
  const database = await openDatabase(t, directory, backend, CHILD_OPTIONS);
  for (let i = 0; i < 2000; i += 17) await expectValue(t, database, keyOf(i), valueOf(1000, i));
  await expectValue(t, database, 'large', valueOf(3 << 20, 1));
  await expectValue(t, database, 'last', 'one');
});

testBackends('an open that nobody awaits is finished', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const end = await run(t, 'unawaitedOpen', backend, directory);
  endedWell(t, end);
  t.is(end.stdout, 'written\n');
  const database = await openDatabase(t, directory, backend, CHILD_OPTIONS);
  await expectValue(t, database, 'a', '1');
});

async function expectAcknowledged(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  { stdout }: ChildEnd,
  least: number,
): Promise<void> {
  const acknowledged = stdout.split('\n').filter((line) => line.startsWith('acknowledged '));
  t.true(acknowledged.length >= least);
  const database = await openDatabase(t, directory, backend, CHILD_OPTIONS);
  const missing = acknowledged.filter(
    (line) => database.getString(line.replace('acknowledged', 'counted')) !== 'x',
  );
  t.deepEqual(missing, []);
}

testBackends(
  'process.exit with writes in flight ends at once and loses nothing acknowledged',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const end = await run(t, 'exit', backend, directory);
    t.is(end.code, 7, end.stderr);
    await expectAcknowledged(t, directory, backend, end, 300);
  },
);

testBackends('process.exit with reads in flight', async (t, backend) => {
  const end = await run(t, 'exitWhileReading', backend, join(temporaryDirectory(t), 'db'));
  t.is(end.code, 7, end.stderr);
});

testBackends('process.exit in the middle of opening', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const end = await run(t, 'exitWhileOpening', backend, directory);
  t.is(end.code, 7, end.stderr);
  const database = await openDatabase(t, directory, backend, CHILD_OPTIONS);
  await database.put('a', '1');
});

testBackends(
  'an uncaught exception with work in flight ends the process with its message',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const end = await run(t, 'uncaught', backend, directory);
    t.is(end.code, 1, end.stderr);
    t.regex(end.stderr, /nobody catches this/);
    await expectAcknowledged(t, directory, backend, end, 100);
  },
);

testBackends('two databases open at once in one process', async (t, backend) => {
  const parent = temporaryDirectory(t);
  const one = await openDatabase(t, join(parent, 'one'), backend);
  const two = await openDatabase(t, join(parent, 'two'), backend);
  const writes: Promise<void>[] = [];
  for (let i = 0; i < 2000; i++) {
    writes.push(one.put(keyOf(i), `one ${i}`), two.put(keyOf(i), `two ${i}`));
  }
  await Promise.all([...writes, one.flush(), two.flush()]);
  for (let i = 0; i < 2000; i += 37) {
    await expectValue(t, one, keyOf(i), `one ${i}`);
    await expectValue(t, two, keyOf(i), `two ${i}`);
  }
  await one.close();
  await two.put('still', 'open');
  await expectValue(t, two, 'still', 'open');
  const again = await openDatabase(t, join(parent, 'one'), backend);
  await expectValue(t, again, keyOf(5), 'one 5');
  await expectValue(t, two, keyOf(5), 'two 5');
});

testBackends('a second open adopts the first one’s threads', async (t, backend) => {
  const parent = temporaryDirectory(t);
  const options: DatabaseOptions = { blockCacheBytes: 3 << 20, writeBufferBytes: 131_072 };
  const first = await openDatabase(t, join(parent, 'one'), backend, options);
  t.false(first.stats().crewAdopted);
  await first.put('a', 'of the first');
  await first.flush();
  await expectValue(t, first, 'a', 'of the first');
  await first.close();
  const second = await openDatabase(t, join(parent, 'two'), backend, options);
  t.true(second.stats().crewAdopted);
  await expectValue(t, second, 'a', undefined);
  await second.put('a', 'of the second');
  await second.flush();
  await expectValue(t, second, 'a', 'of the second');
  await second.close();
  const other = await openDatabase(t, join(parent, 'one'), backend, { ...options, blockCacheBytes: 4 << 20 });
  t.false(other.stats().crewAdopted, 'another shape needs threads of its own');
  await expectValue(t, other, 'a', 'of the first');
});

/** Threads and open files of this process. */
function resources(): { threads: readonly string[]; files: number } {
  return { threads: ownThreads(), files: readdirSync('/proc/self/fd').length };
}

/** Expects that there are no more than there were. */
function expectNoMore(t: ExecutionContext, before: ReturnType<typeof resources>): void {
  const { threads, files } = resources();
  t.true(
    threads.length <= before.threads.length,
    `${before.threads.join(', ')} became ${threads.join(', ')}`,
  );
  t.true(files <= before.files, `${before.files} open files became ${files}`);
}

testBackends('a hundred opens and closes in a row grow nothing', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const cycle = async (i: number, flushEvery = 10): Promise<void> => {
    const database = await Database.open(directory, { writeBufferBytes: 65_536, io: ioOf(backend) });
    await database.put(keyOf(i % 20), valueOf(500, i));
    if (i % flushEvery === 0) await database.flush();
    if (database.getSync(keyOf(i % 20))?.length !== 500) t.fail(`cycle ${i}`);
    await database.close();
  };
  // Until every buffer has been used, those of compactions too, and every thread's heap has the size that it keeps.
  for (let i = 0; i < 120; i++) await cycle(i, 1);
  const before = resources();
  const rssBefore = process.memoryUsage.rss();
  for (let i = 120; i < 240; i++) await cycle(i);
  expectNoMore(t, before);
  const grownMib = (process.memoryUsage.rss() - rssBefore) / (1 << 20);
  // Five threads' heaps grow to a size at which they stay, sooner or later; a mebibyte lost with each open is more.
  t.true(grownMib < 100, `${grownMib.toFixed(1)} MiB grown`);
});

testBackends('opens that fail grow nothing', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const holder = await openDatabase(t, directory, backend);
  const attempt = (): Promise<unknown> =>
    expectCode(t, 'LOCKED', () => Database.open(directory, { lockTimeoutMs: 0, io: ioOf(backend) }));
  for (let i = 0; i < 3; i++) await attempt();
  const before = resources();
  for (let i = 0; i < 30; i++) await attempt();
  expectNoMore(t, before);
  await holder.put('a', '1');
});

testBackends('a database inside a worker thread', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const worker = new Worker(scriptBeside(import.meta.url, 'thread-database'), {
    workerData: { directory, backend },
  });
  const exited = new Promise<number>((resolve, reject) => {
    worker.once('exit', resolve).once('error', reject);
  });
  const read = await new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  t.is(read, 'value 99');
  t.is(await exited, 0, 'an idle database does not keep the thread alive');
  const database = await openDatabase(t, directory, backend);
  for (let i = 0; i < 100; i++) await expectValue(t, database, keyOf(i), `value ${i}`);
});

testBackends(
  'worker.terminate() with a database at work neither hangs nor crashes the process',
  async (t, backend) => {
    const end = await run(t, 'terminate', backend, join(temporaryDirectory(t), 'db'));
    endedWell(t, end);
    t.is(end.stdout, 'terminated\n');
  },
);
