/** What iterators give: order, bounds, limits, seeks, encodings; from memtables, tables and both. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, IteratorOptions, Range, ScanIterator } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { keyOf, valueOf } from '../support/values.ts';
import { VersionModel, type ModelEntry } from '../support/version-model.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 0 };
const KEY_BYTES_MAX = 65_535;
const PLACES = ['memtable', 'table', 'both'] as const;
type Place = (typeof PLACES)[number];

interface Arranged {
  readonly database: Database;
  readonly model: VersionModel;
}

async function write(
  { database, model }: Arranged,
  key: string | Buffer,
  value: Buffer | undefined,
): Promise<void> {
  model.write({ key: Buffer.from(key), value });
  await (value === undefined
    ? database.del(key, { sync: false })
    : database.put(key, value, { sync: false }));
}

/** Sixty keys with gaps between them, some overwritten, some deleted, some both; over several blocks where in tables. */
async function arrange(t: ExecutionContext, backend: Backend, place: Place): Promise<Arranged> {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  const arranged = { database, model: new VersionModel() };
  for (let i = 0; i < 60; i++) await write(arranged, `k${i * 2 + 100}`, valueOf(300, i));
  if (place !== 'memtable') await database.flush();
  for (let i = 0; i < 60; i += 3) await write(arranged, `k${i * 2 + 100}`, valueOf(200, 1000 + i));
  for (let i = 5; i < 60; i += 10) await write(arranged, `k${i * 2 + 100}`, undefined);
  await write(arranged, '', Buffer.from('of the empty key'));
  if (place === 'table') await database.flush();
  for (let i = 15; i < 60; i += 20) await write(arranged, `k${i * 2 + 100}`, valueOf(100, 2000 + i));
  if (place === 'table') await database.flush();
  return arranged;
}

const nameOf = ([key, value]: readonly [Buffer | string, Buffer | string]): string =>
  `${key.toString('latin1')}=${value.length}:${Buffer.from(value).subarray(0, 6).toString('hex')}`;

async function all<Item>(iterator: ScanIterator<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of iterator) items.push(item);
  return items;
}

async function expectEntries(
  t: ExecutionContext,
  { database, model }: Arranged,
  range: Range,
  what = JSON.stringify(range),
): Promise<ModelEntry[]> {
  const limit = range.limit === undefined || range.limit < 0 ? Infinity : range.limit;
  const expected = model.entries(range).slice(0, limit);
  t.deepEqual((await all(database.iterator(range))).map(nameOf), expected.map(nameOf), what);
  return expected;
}

testBackends('entries come in order, however they are asked for', async (t, backend) => {
  for (const place of PLACES) {
    const arranged = await arrange(t, backend, place);
    const { database } = arranged;
    for (const reverse of [false, true]) {
      const expected = (await expectEntries(t, arranged, { reverse }, place)).map(nameOf);
      t.is(expected.length, 58);
      await using singly = database.iterator({ reverse });
      const single: string[] = [];
      for (let entry = await singly.next(); entry !== undefined; entry = await singly.next())
        single.push(nameOf(entry));
      t.deepEqual(single, expected);
      await using byCount = database.iterator({ reverse });
      const counted: string[] = [];
      for (let items = await byCount.nextv(7); items.length > 0; items = await byCount.nextv(7)) {
        t.true(items.length <= 7);
        counted.push(...items.map(nameOf));
      }
      t.deepEqual(counted, expected);
      const batched: string[] = [];
      for await (const items of database.iterator({ reverse }).batches(9)) {
        t.true(items.length > 0 && items.length <= 9);
        batched.push(...items.map(nameOf));
      }
      t.deepEqual(batched, expected);
      const keys = await all(database.keys({ reverse }));
      const values = await all(database.values({ reverse }));
      t.deepEqual(
        keys.map((key, i) => nameOf([key, values[i]])),
        expected,
      );
    }
  }
});

testBackends('next, nextv and for await take turns on one iterator', async (t, backend) => {
  for (const place of PLACES) {
    const { database, model } = await arrange(t, backend, place);
    const expected = model.entries({}).map(nameOf);
    const iterator = database.iterator();
    const given: string[] = [];
    for (let turn = 0; given.length < 50; turn++) {
      if (turn % 3 === 0) given.push(nameOf((await iterator.next())!));
      else if (turn % 3 === 1) given.push(...(await iterator.nextv(4)).map(nameOf));
      else given.push(nameOf((await iterator[Symbol.asyncIterator]().next()).value!));
    }
    for await (const entry of iterator) given.push(nameOf(entry));
    t.deepEqual(given, expected);
  }
});

testBackends('every pair of bounds gives what lies between them', async (t, backend) => {
  // Before all keys, the first, between two, one, a deleted one, its neighbour's successor, the last, behind all.
  const bounds = ['', '\0', 'k100', 'k101', 'k110', 'k114', 'k114\0', 'k218', 'k219', 'z'];
  const lowers: Range[] = [{}, ...bounds.flatMap((bound) => [{ gt: bound }, { gte: bound }])];
  const uppers: Range[] = [{}, ...bounds.flatMap((bound) => [{ lt: bound }, { lte: bound }])];
  for (const place of PLACES) {
    const { database, model } = await arrange(t, backend, place);
    const wrong: string[] = [];
    let empty = 0;
    for (const lower of lowers) {
      for (const upper of uppers) {
        for (const reverse of [false, true]) {
          const range = { ...lower, ...upper, reverse };
          const expected = model.entries(range).map(nameOf).join();
          if (expected === '') empty++;
          const given = (await all(database.iterator(range))).map(nameOf).join();
          if (given !== expected) wrong.push(`${JSON.stringify(range)}: ${given}`);
        }
      }
    }
    t.deepEqual(wrong, [], place);
    t.true(empty > 100, 'many of them are empty or inverted');
  }
});

testBackends('gt and lt go before gte and lte', async (t, backend) => {
  const { database } = await arrange(t, backend, 'both');
  const range = { gt: 'k120', gte: 'k100', lt: 'k130', lte: 'k218', keyEncoding: 'latin1' as const };
  t.deepEqual(await all(database.keys(range)), ['k122', 'k124', 'k126', 'k128']);
  t.deepEqual(await all(database.keys({ ...range, reverse: true })), ['k128', 'k126', 'k124', 'k122']);
});

testBackends('a limit counts entries; 0 gives none, −1 and Infinity all', async (t, backend) => {
  for (const place of PLACES) {
    const arranged = await arrange(t, backend, place);
    for (const limit of [0, 1, 7, 8, 9, 57, 58, 59, 10_000, -1, Infinity]) {
      await expectEntries(t, arranged, { limit });
      await expectEntries(t, arranged, { limit, reverse: true, lt: 'k150' });
      await using iterator = arranged.database.keys({ limit });
      let count = 0;
      for (let items = await iterator.nextv(5); items.length > 0; items = await iterator.nextv(5))
        count += items.length;
      t.is(count, limit < 0 || limit > 58 ? 58 : limit);
    }
  }
});

testBackends('seek goes to a key, or to where it would be', async (t, backend) => {
  for (const place of PLACES) {
    const { database, model } = await arrange(t, backend, place);
    const targets = [
      '',
      '\0',
      'k1',
      'k100',
      'k101',
      'k110',
      'k131',
      'k140',
      'k141',
      'k170',
      'k218',
      'k219',
      'z',
    ];
    for (const reverse of [false, true]) {
      for (const bounds of [{}, { gte: 'k112', lt: 'k170' }, { gt: 'k140', lte: 'k140' }] as Range[]) {
        const range = { ...bounds, reverse };
        const entries = model.entries(range);
        await using iterator = database.iterator(range);
        for (const target of [...targets, ...targets.toReversed()]) {
          iterator.seek(target);
          const order = (key: Buffer): number => Buffer.compare(key, Buffer.from(target));
          const expected = entries.filter(([key]) => (reverse ? order(key) <= 0 : order(key) >= 0));
          const name = `${place} ${JSON.stringify(range)} ${target}`;
          const given = [await iterator.next(), await iterator.next()];
          t.deepEqual(
            given.map((entry) => entry && nameOf(entry)),
            [0, 1].map((i) => expected[i] && nameOf(expected[i])),
            name,
          );
        }
      }
    }
  }
});

testBackends('seek goes on after the end, and counts with the limit', async (t, backend) => {
  for (const place of PLACES) {
    const { database } = await arrange(t, backend, place);
    await using iterator = database.keys({ gte: 'k', limit: 65, keyEncoding: 'latin1' });
    let count = 0;
    for (let key = await iterator.next(); key !== undefined; key = await iterator.next()) count++;
    t.is(count, 57);
    t.is(await iterator.next(), undefined, 'the end is the end');
    t.deepEqual(await iterator.nextv(4), []);
    iterator.seek('k200');
    t.is(await iterator.next(), 'k200');
    // What was made and not handed out does not count.
    iterator.seek('k104');
    t.is(await iterator.next(), 'k104');
    t.deepEqual([...(await iterator.nextv(1)), ...(await iterator.nextv(1))], ['k106', 'k108']);
    iterator.seek('k210');
    const rest: string[] = [];
    for (let keys = await iterator.nextv(9); keys.length > 0; keys = await iterator.nextv(9))
      rest.push(...keys);
    t.deepEqual(rest, ['k210', 'k212', 'k214', 'k216'], 'what is left of 65');
    iterator.seek('k100');
    t.is(await iterator.next(), undefined, 'the limit is used up');
  }
});

testBackends('keys and values come as Buffers, UTF-8 or latin1', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  const key = 'grüße 🚲';
  const value = Buffer.from([0xff, 0x41, 0xc3, 0xa9]);
  await database.put(key, value);
  for (const place of ['memtable', 'table']) {
    if (place === 'table') await database.flush();
    const read = async (options: IteratorOptions): Promise<unknown> =>
      (await all(database.iterator(options)))[0];
    const bytes = Buffer.from(key);
    t.deepEqual(await read({}), [bytes, value], place);
    t.deepEqual(await read({ keyEncoding: 'utf8' }), [key, value]);
    t.deepEqual(await read({ keyEncoding: 'latin1', valueEncoding: 'latin1' }), [
      bytes.toString('latin1'),
      'ÿAÃ©',
    ]);
    t.deepEqual(await read({ keyEncoding: 'buffer', valueEncoding: 'utf8' }), [bytes, '\ufffdAé']);
    t.deepEqual(await all(database.keys({ keyEncoding: 'utf8' })), [key]);
    t.deepEqual(await all(database.values({ valueEncoding: 'latin1' })), ['ÿAÃ©']);
    const [[givenKey, givenValue]] = (await all(database.iterator())) as [[Buffer, Buffer]];
    t.true(Buffer.isBuffer(givenKey) && Buffer.isBuffer(givenValue));
  }
});

testBackends('an empty database, empty values, the longest keys', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  t.deepEqual(await all(database.iterator()), []);
  t.deepEqual(await all(database.keys({ reverse: true, gte: 'a', lt: 'b' })), []);
  const arranged = { database, model: new VersionModel() };
  const longest = Buffer.alloc(KEY_BYTES_MAX, 0x61);
  await write(arranged, longest, Buffer.alloc(0));
  await write(arranged, longest.subarray(1), valueOf(70_000, 1));
  await write(arranged, 'a', Buffer.alloc(0));
  for (const place of ['memtable', 'table']) {
    if (place === 'table') await database.flush();
    for (const reverse of [false, true]) {
      t.is((await expectEntries(t, arranged, { reverse }, place)).length, 3);
      t.is((await expectEntries(t, arranged, { gte: longest, reverse }, place)).length, 1);
      t.is((await expectEntries(t, arranged, { gt: longest, reverse }, place)).length, 0);
      t.is((await expectEntries(t, arranged, { lte: longest, reverse }, place)).length, 3);
      await using iterator = database.keys({ reverse });
      iterator.seek(longest);
      t.is((await iterator.next())?.length, KEY_BYTES_MAX);
    }
  }
});

testBackends('what no iterator has is refused', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  await database.put('a', '1');
  const other = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  const wrong: readonly unknown[] = [
    { limits: 5 },
    { start: 'a' },
    { gt: 5 },
    { gte: null },
    { lt: {} },
    { lte: ['a'] },
    { limit: -2 },
    { limit: 1.5 },
    { limit: NaN },
    { limit: '5' },
    { reverse: 1 },
    { fillCache: 'yes' },
    { keyEncoding: 'hex' },
    { valueEncoding: 'json' },
    { snapshot: {} },
    { snapshot: other.snapshot() },
    { signal: {} },
    null,
    'a',
    5,
  ];
  for (const options of wrong as readonly IteratorOptions[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.iterator(options));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.keys(options));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.values(options));
  }
  for (const name of ['gt', 'gte', 'lt', 'lte']) {
    const options = { [name]: Buffer.alloc(KEY_BYTES_MAX + 1) };
    await expectCode(t, 'KEY_TOO_LARGE', () => database.iterator(options));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.approximateSize(options));
  }
  for (const options of [{ sync: true }, { limit: 5 }, { snapshot: {} }, null, 5] as readonly object[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.get('a', options));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getSync('a', options));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.has('a', options));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getMany(['a'], options));
  }
  const iterator = database.iterator();
  for (const count of [0, -1, 1.5, NaN, Infinity, undefined, '5'] as readonly number[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => iterator.nextv(count));
    if (count !== undefined)
      await expectCode(t, 'INVALID_ARGUMENT', () => database.iterator().batches(count).next());
  }
  for (const target of [undefined, null, 5, {}] as unknown as readonly string[])
    await expectCode(t, 'INVALID_ARGUMENT', () => iterator.seek(target));
  await expectCode(t, 'KEY_TOO_LARGE', () => iterator.seek(Buffer.alloc(KEY_BYTES_MAX + 1)));
  t.is((await iterator.next())?.[0].toString(), 'a', 'a refusal changes nothing');
  await iterator.close();
  t.is(database.stats().readers.iterators, 0, 'nothing that was refused is open');
});

testBackends('approximateSize counts the blocks that a range takes in tables', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  for (let i = 0; i < 50; i++) await database.put(keyOf(i), valueOf(1000, i), { sync: false });
  t.is(await database.approximateSize({}), 0, 'what is in memory only does not count');
  await database.flush();
  const whole = await database.approximateSize({});
  t.true(whole >= 50_000 && whole < 80_000, `${whole} bytes`);
  t.is(await database.approximateSize({ gte: '', lte: 'z' }), whole);
  const half = await database.approximateSize({ gte: keyOf(25) });
  t.true(half > whole * 0.4 && half < whole * 0.65, `${half} of ${whole} bytes`);
  const parts = (await database.approximateSize({ lt: keyOf(25) })) + half;
  t.true(parts >= whole && parts <= whole + 8192, `${parts} of ${whole} bytes`);
  t.is(await database.approximateSize({ gt: 'z' }), 0);
  t.is(await database.approximateSize({ lt: 'a' }), 0);
  t.is(await database.approximateSize({ gte: keyOf(30), lt: keyOf(20) }), 0, 'an inverted range');
  for (let i = 0; i < 50; i++) await database.put(keyOf(i), valueOf(1000, i), { sync: false });
  await database.flush();
  t.is(await database.approximateSize({}), 2 * whole, 'each table counts');
  for (const range of [{ gt: 5 }, { start: 'a' }, null, 'a'] as unknown as readonly Range[])
    await expectCode(t, 'INVALID_ARGUMENT', () => database.approximateSize(range));
  await database.close();
  await expectCode(t, 'CLOSED', () => database.approximateSize({}));
});
