/** Closing: what is in flight is settled, closing twice is one, and a closed database answers nothing but CLOSED. */
import { join } from 'node:path';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { manifestEdits } from '../support/damage.ts';
import { contentsOf, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 0 };

testBackends('every method of a closed database says CLOSED', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  await database.put('a', '1');
  const filled = database.batch().put('b', '2');
  const closing = database.close();
  for (const state of ['closing', 'closed']) {
    if (state === 'closed') await closing;
    await expectCode(t, 'CLOSED', () => database.get('a'));
    await expectCode(t, 'CLOSED', () => database.getSync('a'));
    await expectCode(t, 'CLOSED', () => database.getInto('a', new Uint8Array(4)));
    await expectCode(t, 'CLOSED', () => database.getString('a'));
    await expectCode(t, 'CLOSED', () => database.put('a', '2'));
    await expectCode(t, 'CLOSED', () => database.del('a'));
    await expectCode(t, 'CLOSED', () => database.batch([{ type: 'del', key: 'a' }]));
    await expectCode(t, 'CLOSED', () => database.batch());
    await expectCode(t, 'CLOSED', () => filled.write());
    await expectCode(t, 'CLOSED', () => database.flush());
    await expectCode(t, 'CLOSED', () => database.stats());
  }
});

testBackends('methods that promise reject, they do not throw', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const batch = database.batch().put('a', '1');
  await batch.write();
  await database.close();
  const calls = [
    () => database.get('a'),
    () => database.put('a', '2'),
    () => database.del('a'),
    () => database.batch([]),
    () => batch.write(),
    () => database.flush(),
  ];
  for (const call of calls) await t.throwsAsync(call(), { code: 'CLOSED' }, call.toString());
});

testBackends('closing twice is one, and asyncDispose closes', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend);
  await Promise.all([database.close(), database.close()]);
  await database.close();
  const disposed = await openDatabase(t, directory, backend);
  await disposed.put('a', '1');
  await disposed[Symbol.asyncDispose]();
  await expectCode(t, 'CLOSED', () => disposed.get('a'));
  const reopened = await Database.open(directory, { io: ioOf(backend) });
  await expectValue(t, reopened, 'a', '1');
  await reopened.close();
});

testBackends('close settles writes and reads that are in flight', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  for (let i = 0; i < 300; i++) void database.put(keyOf(i), valueOf(700, i));
  await database.flush();
  const reads = Array.from({ length: 300 }, (_, i) => database.get(keyOf(i)));
  const writes: Promise<void>[] = [];
  for (let i = 300; i < 900; i++) writes.push(database.put(keyOf(i), valueOf(700, i)));
  writes.push(database.put('large', valueOf(3_000_000, 1)), database.put('last', 'one'));
  t.true(database.stats().writes.waiting > 0, 'some of them wait for room');
  const closing = database.close();
  const results = await Promise.allSettled(writes);
  t.deepEqual(
    results.filter(({ status }) => status === 'rejected'),
    [],
  );
  const values = await Promise.all(reads);
  t.is(values.filter((value, i) => value === undefined || !value.equals(valueOf(700, i))).length, 0);
  await closing;

  database = await openDatabase(t, directory, backend, SMALL);
  for (let i = 0; i < 900; i += 7) await expectValue(t, database, keyOf(i), valueOf(700, i));
  await expectValue(t, database, 'large', valueOf(3_000_000, 1));
  await expectValue(t, database, 'last', 'one');
});

testBackends('close with a flush under way', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  for (let i = 0; i < 60; i++) await database.put(keyOf(i), valueOf(700, i));
  const flushing = database.flush();
  await database.close();
  await flushing;
  database = await openDatabase(t, directory, backend, SMALL);
  t.is(database.stats().recovery.replayedRecords, 0);
  for (let i = 0; i < 60; i++) await expectValue(t, database, keyOf(i), valueOf(700, i));
});

testBackends('a clean close records the end of the log and its last sequence number', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend);
  await database.put('a', '1');
  await database.put('b', '2');
  await database.close();
  const last = manifestEdits(directory).at(-1)!;
  t.true(last.cleanClose);
  t.is(last.lastSequence, 2);
  t.deepEqual(
    last.logEnds.map(({ end }) => end),
    [8192],
  );
});

testBackends(
  'opening and closing without a write changes nothing that matters, again and again',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    let database = await openDatabase(t, directory, backend);
    await database.put('a', '1');
    await database.flush();
    await database.put('b', '2');
    await database.close();
    const files = Object.keys(contentsOf(directory)).length;
    for (let i = 0; i < 10; i++) {
      database = await openDatabase(t, directory, backend);
      await expectValue(t, database, 'a', '1');
      await expectValue(t, database, 'b', '2');
      await database.close();
      t.true(Object.keys(contentsOf(directory)).length <= files + 2, 'no files pile up');
    }
  },
);
