/** `compactRange`: what it brings down, what it leaves, and who else may be at work meanwhile. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, Range, Snapshot } from '../../src/index.ts';
import { entriesOf, expectOnlyTables, shapeOf } from '../support/at-rest.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { keyOf, valueOf } from '../support/values.ts';

/** Small tables, and nothing is compacted that nobody asked for. */
const MANUAL: DatabaseOptions = {
  writeBufferBytes: 65_536,
  blockBytes: 4096,
  blockCacheBytes: 65_536,
  compaction: { automatic: false, tableBytes: 65_536, l0Stop: 48, l0Slowdown: 47 },
};
const KEYS = 600;

interface Opened {
  readonly database: Database;
  readonly directory: string;
}

async function opened(
  t: ExecutionContext,
  backend: Backend,
  options: DatabaseOptions = MANUAL,
): Promise<Opened> {
  const directory = join(temporaryDirectory(t), 'db');
  return { database: await openDatabase(t, directory, backend, options), directory };
}

/** Every key anew, every `deleteOneIn`th deleted; gives what is there. */
async function write(database: Database, seed: number, deleteOneIn = Infinity): Promise<Map<string, Buffer>> {
  const there = new Map<string, Buffer>();
  const written: Promise<void>[] = [];
  for (let i = 0; i < KEYS; i++) {
    if (i % deleteOneIn === 0) {
      written.push(database.del(keyOf(i)));
    } else {
      there.set(keyOf(i), valueOf(100 + ((i * seed) % 300), i * seed));
      written.push(database.put(keyOf(i), there.get(keyOf(i))!));
    }
  }
  await Promise.all(written);
  return there;
}

async function expectContents(
  t: ExecutionContext,
  database: Database,
  expected: ReadonlyMap<string, Buffer>,
  options: { readonly snapshot?: Snapshot } = {},
): Promise<void> {
  const found: [string, Buffer][] = [];
  for await (const [key, value] of database.iterator(options)) found.push([key.toString(), value]);
  t.deepEqual(
    found.map(([key]) => key),
    [...expected.keys()],
  );
  t.true(
    found.every(([key, value]) => expected.get(key)?.equals(value)),
    'every value is the last one',
  );
}

testBackends(
  'everything comes into one level, without what was deleted or overwritten',
  async (t, backend) => {
    const { database, directory } = await opened(t, backend);
    await write(database, 1);
    await database.flush();
    await write(database, 2, 3);
    const expected = await write(database, 3, 5);
    t.true(entriesOf(database) > KEYS);
    await database.compactRange();
    t.regex(shapeOf(database), /^6:\d+$/);
    t.is(entriesOf(database), expected.size);
    t.is(database.stats().memtables.activeEntries, 0, 'what was in memory went along');
    await expectContents(t, database, expected);
    await expectOnlyTables(t, database, directory);
    await database.close();
    const reopened = await openDatabase(t, directory, backend, MANUAL);
    t.is(entriesOf(reopened), expected.size);
    await expectContents(t, reopened, expected);
  },
);

testBackends('what is in order already is not written again', async (t, backend) => {
  const { database } = await opened(t, backend);
  await write(database, 1);
  await database.compactRange();
  const { bytesWritten, movedTables } = database.stats().compactions;
  await database.compactRange();
  await database.compactRange({ gte: keyOf(10) });
  const after = database.stats().compactions;
  t.deepEqual([after.bytesWritten, after.movedTables], [bytesWritten, movedTables]);
});

testBackends('a part of the keys is brought down, and others stay where they are', async (t, backend) => {
  const { database, directory } = await opened(t, backend);
  // Two tables of level 0 in each half; nothing connects the halves.
  for (const seed of [1, 2]) {
    for (const half of ['a', 'b']) {
      for (let i = 0; i < 50; i++) await database.put(`${half}${i}`, valueOf(100, i * seed), { sync: false });
      await database.flush();
    }
  }
  t.is(shapeOf(database), '0:4');
  await database.compactRange({ lt: 'b' });
  t.is(shapeOf(database), '0:2 6:1');
  t.is(entriesOf(database), 150);
  // A range that nothing is in, and one that holds nothing.
  for (const range of [{ gt: 'x' }, { gte: 'b', lt: 'b' }, { gt: 'b', lt: 'a' }] satisfies Range[]) {
    await database.compactRange(range);
    t.is(shapeOf(database), '0:2 6:1');
  }
  await database.compactRange({ gte: 'b7', lte: 'b7' });
  t.is(shapeOf(database), '6:2');
  t.is(entriesOf(database), 100);
  for (let i = 0; i < 50; i++) t.deepEqual(database.getSync(`b${i}`), valueOf(100, i * 2));
  await expectOnlyTables(t, database, directory);
});

testBackends('an empty database', async (t, backend) => {
  const { database, directory } = await opened(t, backend);
  await database.compactRange();
  await database.compactRange({ gte: 'a', lt: 'b' });
  t.is(shapeOf(database), '');
  // One that has become empty.
  const deleted = await write(database, 1, 1);
  t.is(deleted.size, 0);
  await database.compactRange();
  t.is(shapeOf(database), '');
  await expectOnlyTables(t, database, directory);
  await expectContents(t, database, deleted);
});

testBackends('several at once, and with writes going on', async (t, backend) => {
  const { database, directory } = await opened(t, backend);
  await write(database, 1);
  let expected = await write(database, 2, 4);
  await Promise.all([
    database.compactRange(),
    database.compactRange({ gte: keyOf(100), lt: keyOf(200) }),
    database.compactRange({ lt: keyOf(300) }),
  ]);
  t.is(entriesOf(database), expected.size);
  const compacting = [database.compactRange(), database.compactRange({ gte: keyOf(50) })];
  for (let seed = 3; seed < 8; seed++) {
    expected = await write(database, seed, seed);
    compacting.push(database.compactRange({ gte: keyOf(seed * 50) }));
  }
  await Promise.all(compacting);
  await expectContents(t, database, expected);
  await database.compactRange();
  t.is(entriesOf(database), expected.size);
  await expectContents(t, database, expected);
  await expectOnlyTables(t, database, directory);
});

testBackends('what a snapshot sees stays until it is closed', async (t, backend) => {
  const { database, directory } = await opened(t, backend);
  const first = await write(database, 1);
  const early = database.snapshot();
  const second = await write(database, 2, 3);
  const late = database.snapshot();
  const last = await write(database, 3, 2);
  await database.compactRange();
  t.regex(shapeOf(database), /^6:\d+$/);
  for (const [snapshot, expected] of [
    [early, first],
    [late, second],
  ] as const) {
    await expectContents(t, database, expected, { snapshot });
    t.deepEqual(await database.get(keyOf(6), { snapshot }), expected.get(keyOf(6)));
  }
  await expectContents(t, database, last);
  t.true(entriesOf(database) >= first.size + second.size);
  late.close();
  await database.compactRange();
  // The versions of the first round, and what replaced each of them.
  t.is(entriesOf(database), first.size + KEYS);
  await expectContents(t, database, first, { snapshot: early });
  early.close();
  await database.compactRange();
  t.is(entriesOf(database), last.size);
  await expectContents(t, database, last);
  await expectOnlyTables(t, database, directory);
});

testBackends(
  'what a compaction that was under way kept for a snapshot goes when the snapshot is closed',
  async (t, backend) => {
    const options = { ...MANUAL, compaction: { ...MANUAL.compaction, rateBytesPerSecond: 1 << 20 } };
    const { database } = await opened(t, backend, options);
    await write(database, 1);
    const snapshot = database.snapshot();
    const last = await write(database, 2);
    // It has begun, and keeps what the snapshot sees in tables that it has not numbered yet.
    const first = database.compactRange();
    await database.flush();
    while (database.stats().compactions.running === null)
      await new Promise((resolve) => setImmediate(resolve));
    snapshot.close();
    const second = database.compactRange();
    database.setCompactionRate(0);
    await Promise.all([first, second]);
    t.is(entriesOf(database), last.size);
    await expectContents(t, database, last);
  },
);

testBackends('what somebody waits for is not held back to the automatic rate', async (t, backend) => {
  const { database } = await opened(t, backend);
  const rate = (): number => database.stats().compactions.bytesPerSecond;
  const automatic = rate();
  t.true(automatic > 0);
  await write(database, 1);
  const first = database.compactRange({ lt: keyOf(100) });
  const second = database.compactRange();
  await database.flush();
  while (database.stats().compactions.running === null) await new Promise((resolve) => setImmediate(resolve));
  t.is(rate(), 0);
  await Promise.all([first, second]);
  t.true(rate() >= automatic);
});

testBackends('arguments that are refused, and a database that is closed', async (t, backend) => {
  const { database } = await opened(t, backend);
  await write(database, 1);
  const wrong: readonly unknown[] = [null, 5, 'a', { gte: 5 }, { lt: null }, { gt: {} }, { start: 'a' }];
  for (const range of wrong as readonly Range[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.compactRange(range));
  }
  await expectCode(t, 'KEY_TOO_LARGE', () => database.compactRange({ gte: 'x'.repeat(65_536) }));
  t.is(database.stats().compactions.writtenTables, 0);
  const compacting = expectCode(t, 'CLOSED', () => database.compactRange());
  await database.close();
  await compacting;
  await expectCode(t, 'CLOSED', () => database.compactRange());
});
