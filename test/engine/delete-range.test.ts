/** Ranges that are deleted: from memory, logs and tables, for every way to read, and for nobody who came before. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { BatchOperation, Database, DatabaseOptions, Range, Snapshot } from '../../src/index.ts';
import { BATCH_RANGE_DELETIONS_MAX, KEY_BYTES_MAX } from '../../src/format/limits.ts';
import { testBackends } from '../support/backends.ts';
import { crashImage, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { expectValue, keyOf } from '../support/values.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 65_536 };
/** Tables stay where a flush has put them. */
const STILL: DatabaseOptions = { ...SMALL, compaction: { automatic: false } };
const KEYS = [...Array(40).keys()].map(keyOf);

async function fill(database: Database, value: string, keys: readonly string[] = KEYS): Promise<void> {
  await database.batch(
    keys.map((key): BatchOperation => ({ type: 'put', key, value })),
    { sync: false },
  );
}

/** Expects of each key its value, or that it is not there, whichever way it is asked for. */
async function expectKeys(
  t: ExecutionContext,
  database: Database,
  what: string,
  expected: (i: number) => string | undefined,
  snapshot?: Snapshot,
): Promise<void> {
  const options = snapshot === undefined ? {} : { snapshot };
  const values = KEYS.map((_, i) => expected(i));
  const present = KEYS.flatMap((key, i) => (values[i] === undefined ? [] : [[key, values[i]]]));
  const text = (value: Buffer | undefined): string | undefined => value?.toString();
  const isThere = values.map((value) => value !== undefined);
  t.deepEqual(
    KEYS.map((key) => text(database.getSync(key, options))),
    values,
    `${what}, getSync`,
  );
  t.deepEqual((await Promise.all(KEYS.map((key) => database.get(key, options)))).map(text), values, what);
  t.deepEqual((await database.getMany(KEYS, options)).map(text), values, `${what}, getMany`);
  t.deepEqual(await database.hasMany(KEYS, options), isThere, `${what}, hasMany`);
  for (const reverse of [false, true]) {
    const entries: (readonly [string, string])[] = [];
    const iterator = database.iterator({
      ...options,
      reverse,
      keyEncoding: 'utf8',
      valueEncoding: 'utf8',
    });
    for await (const entry of iterator) entries.push(entry);
    t.deepEqual(entries, reverse ? present.toReversed() : present, `${what}, reverse: ${reverse}`);
  }
}

testBackends(
  'what is deleted is gone, whether it was in memory or in tables, and can be written again',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    let database = await openDatabase(t, directory, backend, STILL);
    await fill(database, 'old', KEYS.slice(0, 30));
    await database.flush();
    await fill(database, 'new', KEYS.slice(10));
    await database.deleteRange({ gte: keyOf(5), lt: keyOf(15) });
    await database.deleteRange({ gt: keyOf(25), lte: keyOf(35) }, { sync: false });
    await database.put(keyOf(8), 'again');
    await database.put(keyOf(30), 'again');
    const expected = (i: number): string | undefined => {
      if (i === 8 || i === 30) return 'again';
      if ((i >= 5 && i < 15) || (i > 25 && i <= 35)) return undefined;
      return i < 10 ? 'old' : 'new';
    };
    await expectKeys(t, database, 'in memory', expected);
    await database.flush();
    await expectKeys(t, database, 'in a table', expected);
    await database.put(keyOf(5), 'soon gone');
    await database.deleteRange({ gte: keyOf(5), lt: keyOf(6) });
    await expectKeys(t, database, 'in memory and tables', expected);
    await database.close();
    database = await openDatabase(t, directory, backend, STILL);
    await expectKeys(t, database, 'opened again', expected);
    await database.deleteRange({});
    await expectKeys(t, database, 'nothing left', () => undefined);
    await database.flush();
    await expectKeys(t, database, 'nothing left in tables', () => undefined);
    await database.compactRange();
    await expectKeys(t, database, 'nothing left after compaction', () => undefined);
    t.is(
      database.stats().levels.reduce((sum, { entries }) => sum + entries, 0),
      0,
    );
  },
);

testBackends('a range of any size is one record', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  for (let round = 0; round < 50; round++)
    await fill(
      database,
      'v',
      [...Array(1000).keys()].map((i) => keyOf(round * 1000 + i)),
    );
  await database.put('the last', 'one');
  const before = database.stats();
  await database.deleteRange({ lt: 'the last' });
  const after = database.stats();
  t.is(after.lastSequence, before.lastSequence + 1);
  t.is(after.log.records, before.log.records + 1);
  t.is(after.log.bytes, before.log.bytes + 4096);
  t.is(after.durableSequence, after.lastSequence);
  const left: Buffer[] = [];
  for await (const key of database.keys()) left.push(key);
  t.deepEqual(left.map(String), ['the last']);
});

testBackends(
  'what is no range, or more than a range, is refused, and nothing is deleted',
  async (t, backend) => {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
    await fill(database, 'kept');
    const { lastSequence } = database.stats();
    const wrong: unknown[] = [
      undefined,
      null,
      'key',
      ['a', 'b'],
      [],
      Buffer.alloc(0),
      { from: 'a' },
      { reverse: true },
      { limit: 5 },
      { limit: -1 },
      { gte: 5 },
      { snapshot: undefined },
    ];
    for (const range of wrong as Range[]) {
      await expectCode(t, 'INVALID_ARGUMENT', () => database.deleteRange(range));
      await expectCode(t, 'INVALID_ARGUMENT', () => database.batch().deleteRange(range));
    }
    for (const range of [{ limit: 5 }, { key: 'a' }, { gte: 5 }] as object[]) {
      const operation = { type: 'deleteRange', ...range } as BatchOperation;
      const good: BatchOperation = { type: 'del', key: KEYS[0] };
      await expectCode(t, 'INVALID_ARGUMENT', () => database.batch([good, operation]));
    }
    const tooLong = new Uint8Array(KEY_BYTES_MAX + 1);
    await expectCode(t, 'KEY_TOO_LARGE', () => database.deleteRange({ lt: tooLong }));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.deleteRange({}, { sync: 1 } as object));
    await expectCode(t, 'ABORTED', () => database.deleteRange({}, { signal: AbortSignal.abort() }));
    t.is(database.stats().lastSequence, lastSequence);
    await expectKeys(t, database, 'all', () => 'kept');
    await database.close();
    await expectCode(t, 'CLOSED', () => database.deleteRange({}));
  },
);

testBackends('a range without keys deletes nothing, and is no record', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  await database.put('', 'the empty key');
  await fill(database, 'kept');
  const { lastSequence } = database.stats();
  for (const range of [{ lt: '' }, { gte: 'z', lt: 'a' }, { gt: 'a', lte: 'a' }, { gte: 'a', lt: 'a' }]) {
    await database.deleteRange(range);
    await database.batch([{ type: 'deleteRange', ...range }]);
    await database.batch().deleteRange(range).write();
    t.is(database.batch().deleteRange(range).length, 0);
  }
  t.is(database.stats().lastSequence, lastSequence);
  await expectValue(t, database, '', 'the empty key');
  await database.deleteRange({ lte: '' });
  await expectValue(t, database, '', undefined);
  await expectKeys(t, database, 'all', () => 'kept');
});

testBackends('a batch deletes ranges in its order, and as a whole', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, STILL);
  await fill(database, 'before');
  const writing = database.batch([
    { type: 'put', key: keyOf(1), value: 'lost' },
    { type: 'deleteRange', lt: keyOf(10) },
    { type: 'put', key: keyOf(2), value: 'kept' },
    { type: 'put', key: keyOf(12), value: 'lost' },
    { type: 'deleteRange', gte: keyOf(5), lte: keyOf(12) },
    { type: 'put', key: keyOf(12), value: 'kept' },
    { type: 'del', key: keyOf(20) },
  ]);
  const expected = (i: number): string | undefined => {
    if (i === 2 || i === 12) return 'kept';
    return i <= 12 || i === 20 ? undefined : 'before';
  };
  await expectKeys(t, database, 'at once', expected);
  await writing;
  const chained = database
    .batch()
    .put(keyOf(30), 'lost')
    .deleteRange({ gte: keyOf(30) })
    .put(keyOf(39), 'last');
  t.is(chained.length, 3);
  await chained.write();
  await expectCode(t, 'CLOSED', () => chained.deleteRange({}));
  const later = (i: number): string | undefined => (i === 39 ? 'last' : i >= 30 ? undefined : expected(i));
  await expectKeys(t, database, 'chained', later);
  const image = await crashImage(t, database, directory);
  await database.flush();
  await expectKeys(t, database, 'in a table', later);
  await database.close();
  database = await openDatabase(t, image, backend, STILL);
  await expectKeys(t, database, 'after a crash', later);
  await database.close();
  database = await openDatabase(t, image, backend, STILL);
  await expectKeys(t, database, 'and opened again', later);
});

testBackends('a batch that is larger than a frame deletes ranges in its order', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, SMALL);
  await fill(database, 'before');
  const batch = database.batch().deleteRange({ gte: keyOf(10), lt: keyOf(30) });
  for (let i = 0; i < 3; i++) batch.put(keyOf(15 + i), 'x'.repeat(600_000));
  batch.deleteRange({ gte: keyOf(16), lt: keyOf(17) }).put(keyOf(28), 'last');
  await batch.write();
  const lengths = (): (number | undefined)[] => KEYS.map((key) => database.getSync(key)?.length);
  const expected = KEYS.map((_, i) => {
    if (i < 10 || i >= 30) return 6;
    return i === 15 || i === 17 ? 600_000 : i === 28 ? 4 : undefined;
  });
  t.deepEqual(lengths(), expected);
  const image = await crashImage(t, database, directory);
  await database.close();
  database = await openDatabase(t, image, backend, SMALL);
  t.deepEqual(lengths(), expected);
});

testBackends('a batch deletes a limited number of ranges', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  await fill(database, 'v');
  const batch = database.batch();
  for (let i = 0; i < BATCH_RANGE_DELETIONS_MAX; i++) batch.deleteRange({ gte: `x${i}`, lt: `x${i}~` });
  batch.deleteRange({ lt: '' });
  await expectCode(t, 'BATCH_TOO_LARGE', () => batch.deleteRange({ lt: keyOf(5) }));
  t.is(batch.length, BATCH_RANGE_DELETIONS_MAX);
  batch.clear();
  await batch.deleteRange({ lt: keyOf(5) }).write();
  await expectKeys(t, database, 'cleared', (i) => (i < 5 ? undefined : 'v'));
});

testBackends('snapshots and iterators go on seeing what was there before', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  const snapshots: Snapshot[] = [];
  const expected: ((i: number) => string | undefined)[] = [];
  const iterators: { next(): Promise<[string, string] | undefined>; close(): Promise<void> }[] = [];
  for (let round = 0; round < 12; round++) {
    if (round % 3 === 0) await fill(database, `round ${round}`);
    await database.deleteRange({ gte: keyOf(round), lt: keyOf(round + 10) });
    if (round % 2 === 1) await database.put(keyOf(round + 5), `put in ${round}`);
    snapshots.push(database.snapshot());
    const values = await database.getMany(KEYS);
    expected.push((i) => values[i]?.toString());
    iterators.push(
      database.iterator({ keyEncoding: 'utf8', valueEncoding: 'utf8', reverse: round % 2 === 0 }),
    );
    t.is(values[round], undefined);
    const earlier = Math.max(round - 2, 0);
    await expectKeys(t, database, `${earlier} in ${round}`, expected[earlier], snapshots[earlier]);
    if (round % 4 === 2) await database.flush();
  }
  // Some have begun before what is deleted now, some have not.
  const begun: ([string, string] | undefined)[] = [];
  for (const [i, iterator] of iterators.entries())
    begun.push(i % 2 === 0 ? await iterator.next() : undefined);
  await database.deleteRange({});
  await database.flush();
  await expectKeys(t, database, 'now', () => undefined);
  for (const [round, snapshot] of snapshots.entries())
    await expectKeys(t, database, `round ${round}`, expected[round], snapshot);
  for (const [round, iterator] of iterators.entries()) {
    const entries = begun[round] === undefined ? [] : [begun[round]];
    for (let entry = await iterator.next(); entry !== undefined; entry = await iterator.next())
      entries.push(entry);
    const present = KEYS.flatMap((key, i) => {
      const value = expected[round](i);
      return value === undefined ? [] : [[key, value]];
    });
    t.deepEqual(entries as unknown, round % 2 === 0 ? present.toReversed() : present, `iterator ${round}`);
    await iterator.close();
  }
  for (const snapshot of snapshots) snapshot.close();
  await database.compactRange();
  await expectKeys(t, database, 'when nobody is left', () => undefined);
});

testBackends('keys of the greatest length bound ranges as others do', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, STILL);
  const longest = (...end: number[]): Buffer =>
    Buffer.concat([Buffer.alloc(KEY_BYTES_MAX - end.length, 'k'), Buffer.from(end)]);
  const last = Buffer.alloc(KEY_BYTES_MAX, 0xff);
  const keys = [Buffer.alloc(0), longest(1, 0xff), longest(2, 0), longest(2, 1), Buffer.from('z'), last];
  const put = async (): Promise<void> => {
    for (const key of keys) await database.put(key, 'v');
  };
  const left = async (): Promise<number[]> => {
    const found: number[] = [];
    for await (const key of database.keys()) found.push(keys.findIndex((each) => each.equals(key)));
    const values = await database.getMany(keys);
    t.deepEqual(
      found,
      [...keys.keys()].filter((i) => values[i] !== undefined),
    );
    return found;
  };
  const cases: [Range, number[]][] = [
    [{ gt: keys[1] }, [0, 1]],
    [{ lte: keys[1] }, [2, 3, 4, 5]],
    [{ gt: keys[1], lte: keys[3] }, [0, 1, 4, 5]],
    [{ gte: keys[1], lt: keys[3] }, [0, 3, 4, 5]],
    [{ gt: '' }, [0]],
    [{ lte: '' }, [1, 2, 3, 4, 5]],
    [{ gt: last }, [0, 1, 2, 3, 4, 5]],
    [{ gte: last }, [0, 1, 2, 3, 4]],
    [{ lte: last }, []],
    [{ gte: '', lt: last }, [5]],
  ];
  for (const [range, expected] of cases) {
    await put();
    await database.deleteRange(range);
    t.deepEqual(await left(), expected);
    await database.flush();
    t.deepEqual(await left(), expected);
  }
});

testBackends(
  'a memtable of nothing but deleted ranges becomes a table without entries',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    let database = await openDatabase(t, directory, backend, STILL);
    await fill(database, 'v');
    await database.flush();
    await database.deleteRange({ gte: keyOf(10), lt: keyOf(20) });
    await database.deleteRange({ gte: keyOf(30) });
    t.is(database.stats().memtables.activeEntries, 2);
    const iterator = database.keys({ keyEncoding: 'utf8' });
    await iterator.next();
    await database.flush();
    const expected = (i: number): string | undefined => ((i >= 10 && i < 20) || i >= 30 ? undefined : 'v');
    const { levels, memtables } = database.stats();
    t.is(memtables.activeEntries, 0);
    t.deepEqual(
      levels.map(({ tables, entries }) => [tables, entries]),
      [[2, KEYS.length]],
    );
    await expectKeys(t, database, 'in two tables', expected);
    t.is((await iterator.nextv(100)).length, 19);
    await iterator.close();
    await database.close();
    database = await openDatabase(t, directory, backend, STILL);
    await expectKeys(t, database, 'opened again', expected);
    await database.compactRange();
    await expectKeys(t, database, 'compacted', expected);
    const { levels: compacted } = database.stats();
    t.is(
      compacted.reduce((sum, { entries }) => sum + entries, 0),
      20,
      'what is deleted is gone from tables too',
    );
  },
);

testBackends(
  'a flush leaves out what a range of the same memtable deletes, unless somebody sees it',
  async (t, backend) => {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, STILL);
    const entries = (): number => database.stats().levels.reduce((sum, level) => sum + level.entries, 0);
    await fill(database, 'first');
    await database.deleteRange({ lt: keyOf(30) });
    await fill(database, 'second', KEYS.slice(0, 5));
    await database.flush();
    t.is(entries(), 15);
    await database.deleteRange({});
    await fill(database, 'third');
    const snapshot = database.snapshot();
    await database.deleteRange({ gte: keyOf(20) });
    await database.flush();
    t.is(entries(), 15 + 40);
    await expectKeys(t, database, 'the snapshot', () => 'third', snapshot);
    await expectKeys(t, database, 'now', (i) => (i < 20 ? 'third' : undefined));
    snapshot.close();
  },
);

testBackends('twenty thousand ranges, written at once, fill memtables and not memory', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options: DatabaseOptions = { blockBytes: 4096 };
  let database = await openDatabase(t, directory, backend, options);
  const count = 20_000;
  const batch = database.batch();
  for (let i = 0; i < 2 * count; i++) batch.put(keyOf(i), 'v');
  await batch.write();
  const order = (i: number): number => 2 * ((i * 7919) % count);
  const writing: Promise<void>[] = [];
  for (let i = 0; i < count; i++)
    writing.push(database.deleteRange({ gte: keyOf(order(i)), lt: keyOf(order(i) + 1) }));
  await Promise.all(writing);
  const { flushes, memtables } = database.stats();
  t.true(
    flushes.flushes + memtables.frozen >= 2,
    'a memtable with so many ranges is not written to any more',
  );
  const check = async (): Promise<void> => {
    let next = 1;
    for await (const keys of database.keys({ keyEncoding: 'utf8' }).batches()) {
      for (const key of keys) {
        if (key !== keyOf(next)) t.fail(`${key} instead of ${keyOf(next)}`);
        next += 2;
      }
    }
    t.is(next, 2 * count + 1);
    for (let i = 0; i < 2 * count; i += 37) {
      if (database.getInto(keyOf(i), new Uint8Array(1)) >= 0 !== (i % 2 === 1)) t.fail(keyOf(i));
    }
  };
  await check();
  await database.close();
  database = await openDatabase(t, directory, backend, options);
  await check();
});

testBackends('a scan does not walk through what ranges have deleted', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, {
    ...STILL,
    blockCacheBytes: 0,
    readAhead: { windowBytes: 16_384 },
  });
  const count = 50_000;
  for (let at = 0; at < count; at += 1000)
    await fill(
      database,
      'some value',
      [...Array(1000).keys()].map((i) => keyOf(at + i)),
    );
  await database.flush();
  const blocksRead = (): number => {
    const { cache, readAhead } = database.stats();
    return cache.misses + readAhead.reads;
  };
  for (const place of ['memory', 'a table']) {
    if (place === 'memory') await database.deleteRange({ gte: keyOf(100), lt: keyOf(count - 100) });
    else await database.flush();
    for (const reverse of [false, true]) {
      const before = blocksRead();
      const keys: string[] = [];
      for await (const key of database.keys({ reverse, keyEncoding: 'utf8' })) keys.push(key);
      const expected = [...Array(100).keys(), ...[...Array(100).keys()].map((i) => count - 100 + i)].map(
        keyOf,
      );
      t.deepEqual(keys, reverse ? expected.toReversed() : expected, place);
      const tables = database.stats().levels[0].tables;
      const perTable = (blocksRead() - before) / tables;
      t.true(perTable < 30, `${perTable} blocks of each of ${tables} tables, ${place}, reverse: ${reverse}`);
    }
  }
});
