/** Writes: batches of every size, many in flight, what the caller does to its buffers, unsynced writes, giving up. */
import { join } from 'node:path';
import type { BatchOperation, DatabaseOptions } from '../../src/index.ts';
import { FRAME_FIRST, FRAME_LAST, FRAME_MIDDLE } from '../../src/format/frame.ts';
import { testBackends } from '../support/backends.ts';
import { logFrames } from '../support/damage.ts';
import { crashImage, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 65_536 };

testBackends('a batch is applied in order, as an array or chained', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  await database.put('gone', 'soon');
  await database.batch([
    { type: 'put', key: 'a', value: '1' },
    { type: 'put', key: 'a', value: '2' },
    { type: 'del', key: 'gone' },
    { type: 'put', key: 'b', value: '1' },
    { type: 'del', key: 'b' },
  ]);
  await expectValue(t, database, 'a', '2');
  await expectValue(t, database, 'b', undefined);
  await expectValue(t, database, 'gone', undefined);

  const chained = database
    .batch()
    .put('c', '1')
    .del('a')
    .put(Buffer.from('d'), Buffer.from([9]));
  t.is(chained.length, 3);
  await expectValue(t, database, 'c', undefined);
  await chained.write();
  await expectValue(t, database, 'c', '1');
  await expectValue(t, database, 'a', undefined);
  await expectValue(t, database, 'd', Buffer.from([9]));
  t.is(database.stats().log.frames, 3);
});

testBackends('a batch can be cleared, can be empty, and is written once', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const batch = database.batch().put('forgotten', '1').clear();
  t.is(batch.length, 0);
  await batch.put('kept', '2').write();
  await expectValue(t, database, 'forgotten', undefined);
  await expectValue(t, database, 'kept', '2');
  await expectCode(t, 'CLOSED', () => batch.write());
  await expectCode(t, 'CLOSED', () => batch.put('late', '3'));
  await expectCode(t, 'CLOSED', () => batch.del('late'));
  await expectCode(t, 'CLOSED', () => batch.clear());
  const before = database.stats().lastSequence;
  await database.batch([]);
  await database.batch().write();
  t.is(database.stats().lastSequence, before);
});

testBackends('nothing of a batch with a wrong operation is written', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const good: BatchOperation = { type: 'put', key: 'good', value: '1' };
  const tooLong: BatchOperation = { type: 'put', key: new Uint8Array(65_536), value: '' };
  await expectCode(t, 'KEY_TOO_LARGE', () => database.batch([good, tooLong]));
  await expectCode(t, 'INVALID_ARGUMENT', () =>
    database.batch([good, { type: 'set' } as unknown as BatchOperation]),
  );
  await expectValue(t, database, 'good', undefined);
  await database.batch([{ type: 'put', key: 'other', value: '2' }]);
  await expectValue(t, database, 'good', undefined);
  t.is(database.stats().lastSequence, 1);
});

testBackends('a batch of 100,000 operations, larger than memtable and frame', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  const count = 100_000;
  const batch = database.batch();
  for (let i = 0; i < count; i++) batch.put(keyOf(i), `value ${i}`);
  for (let i = 0; i < count; i += 10) batch.del(keyOf(i));
  const writing = batch.write();
  t.is(database.getSync(keyOf(1)), undefined, 'a large batch is seen when all of it is written');
  await writing;
  const check = async (): Promise<void> => {
    let wrong = 0;
    const target = new Uint8Array(32);
    for (let i = 0; i < count; i += 7) {
      const text = `value ${i}`;
      const length = database.getInto(keyOf(i), target);
      const asWritten = length === text.length && Buffer.from(target.buffer, 0, length).toString() === text;
      if (i % 10 === 0 ? length !== -1 : !asWritten) wrong++;
    }
    t.is(wrong, 0);
    await expectValue(t, database, keyOf(count - 1), `value ${count - 1}`);
    await expectValue(t, database, keyOf(count), undefined);
  };
  await check();
  await database.close();
  database = await openDatabase(t, directory, backend, { ...SMALL, blockCacheBytes: 4 * MEBIBYTE });
  await database.flush();
  await check();
});

testBackends('small writes and large batches take turns, in the order they were made', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  const writes: Promise<void>[] = [];
  for (let round = 0; round < 6; round++) {
    writes.push(database.put('turn', `${round} first`), database.put(`small ${round}`, `of ${round}`));
    const large = database.batch().put('turn', `${round} large`);
    for (let i = 0; i < 3; i++) large.put(`large ${round} ${i}`, valueOf(600_000 + round, i));
    writes.push(large.write(), database.put('turn', `${round} last`));
  }
  await Promise.all(writes);
  const check = async (): Promise<void> => {
    await expectValue(t, database, 'turn', '5 last');
    for (let round = 0; round < 6; round++) {
      await expectValue(t, database, `small ${round}`, `of ${round}`);
      for (let i = 0; i < 3; i++)
        await expectValue(t, database, `large ${round} ${i}`, valueOf(600_000 + round, i));
    }
  };
  await check();
  // A crash here finds logs of several sizes; they replay in the order they were written.
  const image = await crashImage(t, database, directory);
  await database.close();
  database = await openDatabase(t, image, backend, SMALL);
  await check();
});

testBackends('a batch beyond one frame is split into first, middle and last', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend);
  const batch = database.batch();
  for (let i = 0; i < 7; i++) batch.put(keyOf(i), valueOf(500_000, i));
  await batch.write();
  await database.put('after', 'wards');
  const image = await crashImage(t, database, directory);
  t.deepEqual(
    logFrames(image)
      .slice(0, 4)
      .map(({ kind }) => kind),
    [FRAME_FIRST, FRAME_MIDDLE, FRAME_MIDDLE, FRAME_LAST],
  );
  const copy = await openDatabase(t, image, backend);
  for (let i = 0; i < 7; i++) await expectValue(t, copy, keyOf(i), valueOf(500_000, i));
  await expectValue(t, copy, 'after', 'wards');
});

testBackends('keys and values are copied before put and batch return', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  const key = Buffer.alloc(12);
  const value = Buffer.alloc(3000);
  const writes: Promise<void>[] = [];
  // Three megabytes: most of these have to wait for room.
  for (let i = 0; i < 1000; i++) {
    key.write(keyOf(i));
    valueOf(3000, i).copy(value);
    if (i % 3 === 0) writes.push(database.put(key, value));
    else if (i % 3 === 1) writes.push(database.batch([{ type: 'put', key, value }]));
    else writes.push(database.batch().put(key, value).write());
    key.fill(0);
    value.fill(0);
  }
  const large = Buffer.from(valueOf(2 * MEBIBYTE, 1));
  writes.push(database.put('large', large));
  large.fill(0);
  t.true(database.stats().writes.waiting > 0);
  await Promise.all(writes);
  const check = async (): Promise<void> => {
    for (let i = 0; i < 1000; i += 11) await expectValue(t, database, keyOf(i), valueOf(3000, i));
    await expectValue(t, database, 'large', valueOf(2 * MEBIBYTE, 1));
  };
  await check();
  await database.close();
  database = await openDatabase(t, directory, backend, SMALL);
  await check();
});

testBackends('20,000 puts in flight share frames and are all there', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend);
  const writes = Array.from({ length: 20_000 }, (_, i) => database.put(keyOf(i), `value ${i}`));
  t.is(database.getString(keyOf(19_999)), 'value 19999');
  await Promise.all(writes);
  const { log, durableSequence, memtables } = database.stats();
  t.is(durableSequence, 20_000);
  t.is(log.records, 20_000);
  t.is(memtables.activeEntries, 20_000);
  t.true(log.frames < 200, `${log.frames} frames`);
  const image = await crashImage(t, database, directory);
  await database.close();
  database = await openDatabase(t, image, backend);
  t.is(database.stats().recovery.replayedRecords, 20_000);
  for (let i = 0; i < 20_000; i += 97) await expectValue(t, database, keyOf(i), `value ${i}`);
});

testBackends(
  'an unsynced write is seen at once, and a durable one takes those before it along',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const database = await openDatabase(t, directory, backend);
    for (let i = 0; i < 500; i++) void database.put(keyOf(i), `unsynced ${i}`, { sync: false });
    void database.del(keyOf(7), { sync: false });
    void database.batch([{ type: 'put', key: 'of a batch', value: '1' }], { sync: false });
    t.is(database.getString(keyOf(499)), 'unsynced 499');
    t.true(database.stats().durableSequence < 502);
    await database.put('durable', '1');
    const image = await crashImage(t, database, directory);
    const copy = await openDatabase(t, image, backend);
    t.is(copy.stats().recovery.replayedRecords, 503);
    for (let i = 0; i < 500; i++) t.is(copy.getString(keyOf(i)), i === 7 ? undefined : `unsynced ${i}`);
    await expectValue(t, copy, 'of a batch', '1');
    await expectValue(t, copy, 'durable', '1');
  },
);

testBackends('what was written without sync is durable after close', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  for (let i = 0; i < 2000; i++) void database.put(keyOf(i), valueOf(200, i), { sync: false });
  await database.close();
  database = await openDatabase(t, directory, backend, SMALL);
  for (let i = 0; i < 2000; i += 13) await expectValue(t, database, keyOf(i), valueOf(200, i));
});

testBackends(
  'an aborted signal: nothing begins, what has begun goes on, what waits gives up',
  async (t, backend) => {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
    const aborted = AbortSignal.abort(new Error('changed my mind'));
    const error = await expectCode(t, 'ABORTED', () => database.put('a', '1', { signal: aborted }));
    t.is((error.cause as Error).message, 'changed my mind');
    await expectCode(t, 'ABORTED', () => database.del('a', { signal: aborted }));
    await expectCode(t, 'ABORTED', () =>
      database.batch([{ type: 'put', key: 'a', value: '1' }], { signal: aborted }),
    );
    await expectCode(t, 'ABORTED', () => database.batch().put('a', '1').write({ signal: aborted }));
    await expectCode(t, 'ABORTED', () => database.get('a', { signal: aborted }));
    await expectValue(t, database, 'a', undefined);

    const begun = new AbortController();
    const write = database.put('b', '1', { signal: begun.signal });
    begun.abort();
    await write;
    await expectValue(t, database, 'b', '1');

    const given = new AbortController();
    const before: Promise<void>[] = [];
    for (let i = 0; database.stats().writes.waiting === 0; i++)
      before.push(database.put(keyOf(i), valueOf(5000, i)));
    const waiting = database.put('c', '1', { signal: given.signal });
    const after = database.put('d', '1', { signal: new AbortController().signal });
    given.abort();
    await expectCode(t, 'ABORTED', () => waiting);
    await Promise.all([...before, after]);
    await expectValue(t, database, 'c', undefined);
    await expectValue(t, database, 'd', '1');
  },
);

testBackends('flush: with nothing to do, twice at once, and beside writes', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, SMALL);
  await database.flush();
  t.is(database.stats().flushes.flushes, 0);
  await database.put('a', '1');
  await Promise.all([database.flush(), database.flush()]);
  t.is(database.stats().flushes.flushes, 1);
  const writes: Promise<void>[] = [];
  const flushes: Promise<void>[] = [];
  for (let i = 0; i < 400; i++) {
    writes.push(database.put(keyOf(i), valueOf(1000, i)));
    if (i % 40 === 0) flushes.push(database.flush());
  }
  await Promise.all([...writes, ...flushes]);
  await database.flush();
  t.is(database.stats().memtables.activeEntries, 0);
  t.is(database.stats().memtables.frozen, 0);
  for (let i = 0; i < 400; i += 3) await expectValue(t, database, keyOf(i), valueOf(1000, i));
});
