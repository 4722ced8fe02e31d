/** Snapshots: what they see, what is kept for them, and what becomes of those that nobody closes. */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, Snapshot } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { keyOf } from '../support/values.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 0 };
const KEYS = [...Array(30).keys()].map(keyOf);

function open(t: ExecutionContext, backend: Backend): Promise<Database> {
  return openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
}

function entriesOf(database: Database): number {
  return database.stats().levels.reduce((sum, { entries }) => sum + entries, 0);
}

/** Every key's value is the round, except that in odd rounds every fourth is deleted. */
async function writeRound(database: Database, round: number): Promise<void> {
  await database.batch(
    KEYS.map((key, i) =>
      round % 2 === 1 && i % 4 === 0 ? { type: 'del', key } : { type: 'put', key, value: `round ${round}` },
    ),
    { sync: false },
  );
}

function expectedIn(round: number): (string | undefined)[] {
  return KEYS.map((_, i) => (round < 0 || (round % 2 === 1 && i % 4 === 0) ? undefined : `round ${round}`));
}

async function expectRound(
  t: ExecutionContext,
  database: Database,
  round: number,
  snapshot: Snapshot,
): Promise<void> {
  const options = { snapshot };
  const expected = expectedIn(round);
  const texts = (values: readonly (Buffer | undefined)[]): (string | undefined)[] =>
    values.map((value) => value?.toString());
  const name = `round ${round}`;
  t.deepEqual(texts(await Promise.all(KEYS.map((key) => database.get(key, options)))), expected, name);
  t.deepEqual(texts(KEYS.map((key) => database.getSync(key, options))), expected, name);
  t.deepEqual(texts(await database.getMany(KEYS, options)), expected, name);
  const isThere = expected.map((value) => value !== undefined);
  t.deepEqual(await database.hasMany(KEYS, options), isThere, name);
  t.deepEqual(await Promise.all(KEYS.map((key) => database.has(key, options))), isThere, name);
  const present = KEYS.filter((_, i) => isThere[i]);
  const encoded = { ...options, keyEncoding: 'utf8', valueEncoding: 'utf8' } as const;
  const entries: [string, string][] = [];
  for await (const entry of database.iterator(encoded)) entries.push(entry);
  t.deepEqual(
    entries,
    present.map((key) => [key, name]),
  );
  const keys: string[] = [];
  for await (const key of database.keys({ ...encoded, reverse: true })) keys.push(key);
  t.deepEqual(keys, present.toReversed());
  let values = 0;
  for await (const value of database.values(encoded)) if (value === name) values++;
  t.is(values, present.length);
}

testBackends('a snapshot sees its moment, whatever is written and flushed after', async (t, backend) => {
  const database = await open(t, backend);
  const snapshots = [database.snapshot()];
  for (let round = 0; round < 6; round++) {
    await writeRound(database, round);
    if (round % 3 === 1) await database.flush();
    snapshots.push(database.snapshot());
  }
  t.is(database.stats().readers.snapshots, 7);
  for (const isFlushed of [false, true]) {
    if (isFlushed) await database.flush();
    for (const [i, snapshot] of snapshots.entries()) await expectRound(t, database, i - 1, snapshot);
  }
  for (const snapshot of snapshots) snapshot.close();
  t.deepEqual(database.stats().readers, { iterators: 0, snapshots: 0, oldestSequence: null });
});

testBackends('snapshots of one moment are closed one by one', async (t, backend) => {
  const database = await open(t, backend);
  await writeRound(database, 0);
  const first = database.snapshot();
  const second = database.snapshot();
  t.is(first.sequence, second.sequence);
  await writeRound(database, 1);
  {
    using third = database.snapshot();
    t.is(database.stats().readers.snapshots, 3);
    t.is(database.stats().readers.oldestSequence, first.sequence);
    t.true(third.sequence > second.sequence);
  }
  t.is(database.stats().readers.snapshots, 2);
  first.close();
  first.close();
  t.is(database.stats().readers.snapshots, 1, 'closing twice is one');
  await database.flush();
  await expectRound(t, database, 0, second);
  second.close();
  t.is(database.stats().readers.oldestSequence, null);
});

testBackends('a snapshot that is closed, or another database’s, is refused', async (t, backend) => {
  const database = await open(t, backend);
  await database.put('a', '1');
  const other = await open(t, backend);
  const foreign = other.snapshot();
  const closed = database.snapshot();
  const iterator = database.keys({ snapshot: closed, keyEncoding: 'utf8' });
  closed.close();
  const calls = (snapshot: Snapshot): (() => unknown)[] => [
    () => database.get('a', { snapshot }),
    () => database.getSync('a', { snapshot }),
    () => database.getMany(['a'], { snapshot }),
    () => database.getMany([], { snapshot }),
    () => database.has('a', { snapshot }),
    () => database.hasMany(['a'], { snapshot }),
    () => database.iterator({ snapshot }),
    () => database.keys({ snapshot }),
    () => database.values({ snapshot }),
  ];
  for (const act of calls(closed)) await expectCode(t, 'CLOSED', act);
  for (const act of calls(foreign)) await expectCode(t, 'INVALID_ARGUMENT', act);
  await database.put('a', '2');
  await database.flush();
  await database.put('b', '2');
  t.is(await iterator.next(), 'a', 'an iterator outlives the snapshot that it was made with');
  t.is(await iterator.next(), undefined);
  await iterator.close();
  const unused = database.snapshot();
  await database.close();
  await expectCode(t, 'CLOSED', () => database.get('a', { snapshot: unused }));
  await expectCode(t, 'CLOSED', () => database.snapshot());
  unused.close();
});

testBackends('a flush keeps what somebody sees, and nothing else', async (t, backend) => {
  const database = await open(t, backend);
  for (let round = 0; round < 4; round++) await writeRound(database, round);
  await database.flush();
  t.is(entriesOf(database), KEYS.length, 'the newest versions only');
  const before = entriesOf(database);
  for (let round = 4; round < 10; round++) {
    await writeRound(database, round);
    // One in the middle is seen by a snapshot, one by an iterator, one by both; and one no longer.
    if (round === 5) database.snapshot().close();
  }
  const snapshot = database.snapshot();
  const iterator = database.values({ valueEncoding: 'utf8' });
  await writeRound(database, 10);
  const later = database.values({ valueEncoding: 'utf8', reverse: true });
  await writeRound(database, 11);
  await writeRound(database, 12);
  await database.flush();
  t.is(entriesOf(database) - before, 3 * KEYS.length, 'three moments are seen: two readers share one');
  await expectRound(t, database, 9, snapshot);
  const deleted = KEYS.length - expectedIn(9).filter((value) => value !== undefined).length;
  t.deepEqual(await iterator.nextv(100), new Array(KEYS.length - deleted).fill('round 9'));
  t.deepEqual(await later.nextv(100), new Array(KEYS.length).fill('round 10'));
  const held = entriesOf(database);
  await Promise.all([iterator.close(), later.close()]);
  snapshot.close();
  await writeRound(database, 13);
  await writeRound(database, 14);
  await database.flush();
  t.is(entriesOf(database) - held, KEYS.length, 'nobody sees an old one any more');
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects until something has happened, at most 250 times. */
async function collectUntil(hasHappened: () => boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 250 && !hasHappened(); attempt++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return hasHappened();
}

/** Leak warnings of the test's time. */
function watchWarnings(t: ExecutionContext): string[] {
  const warnings: string[] = [];
  const note = (warning: Error): void => {
    if (warning.name === 'QuadringLeakWarning') warnings.push(warning.message);
  };
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  return warnings;
}

/** Made in a call of its own, so that no frame refers to them any more: two iterators, one begun, and a snapshot. */
async function abandon(database: Database, signal: AbortSignal): Promise<void> {
  await database.iterator({ signal }).next();
  database.keys({ reverse: true });
  database.snapshot();
}

testBackends('what nobody closed is let go when it is collected, with a warning', async (t, backend) => {
  const warnings = watchWarnings(t);
  const database = await open(t, backend);
  await writeRound(database, 0);
  await database.flush();
  const controller = new AbortController();
  await abandon(database, controller.signal);
  t.is(database.stats().readers.iterators, 2);
  t.is(database.stats().readers.snapshots, 1);
  t.true(await collectUntil(() => database.stats().readers.oldestSequence === null));
  const { iterators, snapshots } = database.stats().readers;
  t.deepEqual({ iterators, snapshots }, { iterators: 0, snapshots: 0 });
  await collectUntil(() => warnings.length >= 3);
  t.is(warnings.filter((message) => message.includes('iterator')).length, 2);
  t.is(warnings.filter((message) => message.includes('snapshot')).length, 1);
  controller.abort();
  const old = entriesOf(database);
  await writeRound(database, 1);
  await writeRound(database, 2);
  await database.flush();
  t.is(entriesOf(database) - old, KEYS.length, 'nothing is kept for them');
});

testBackends('in production what nobody closed is let go in silence', async (t, backend) => {
  const warnings = watchWarnings(t);
  const before = process.env['NODE_ENV'];
  process.env['NODE_ENV'] = 'production';
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_ENV'];
    else process.env['NODE_ENV'] = before;
  });
  const database = await open(t, backend);
  await writeRound(database, 0);
  await abandon(database, new AbortController().signal);
  t.is(database.stats().readers.iterators, 2);
  t.true(await collectUntil(() => database.stats().readers.oldestSequence === null));
  // A warning would come before the next turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(warnings, []);
});

/** Closed, or made useless, in each way there is. */
async function finish(database: Database): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  for await (const _ of database.iterator()) continue;
  for await (const _ of database.keys()) break;
  for await (const _ of database.values().batches(3)) break;
  await database.iterator().close();
  database.snapshot().close();
  await database.iterator({ signal }).next();
  controller.abort();
  await database.iterator().next();
  database.snapshot();
  await database.close();
}

testBackends('nothing is said of what holds nothing any more', async (t, backend) => {
  const warnings = watchWarnings(t);
  const database = await open(t, backend);
  await writeRound(database, 0);
  await database.flush();
  await finish(database);
  for (let i = 0; i < 10; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.deepEqual(warnings, []);
});
