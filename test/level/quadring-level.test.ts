/** What abstract-level's own suite does not see: our options, our promises of durability, and errors. */
import { cpSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import type * as Quadring from '../../src/index.ts';
import { QuadringError } from '../../src/index.ts';
import { QuadringLevel } from '../../src/level.ts';
import { testBackends } from '../support/backends.ts';
import { flipByte } from '../support/damage.ts';
import { namesEnding, temporaryDirectory } from '../support/directories.ts';
import { keyOf } from '../support/values.ts';
import { errorOf, newLevel, openLevel, SMALL } from './levels.ts';

/** Of writes that are not durable yet when they resolve one must be met in so many. */
const ATTEMPTS_MAX = 100;

testBackends('options of the constructor and of open() reach the core', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const level = await openLevel(t, directory, backend);
  t.is(level.stats().backend, backend);
  t.is(level.location, directory);
  await level.close();
  // What open() is given takes precedence, and only until the next open().
  const refused = await errorOf(() => level.open({ blockBytes: 5000 }));
  t.is(refused.code, 'LEVEL_DATABASE_NOT_OPEN');
  t.is(refused.cause?.code, 'INVALID_ARGUMENT');
  t.true(refused.cause instanceof QuadringError);
  await level.open();
  t.is(level.status, 'open');
});

testBackends('options that are not ours are ignored', async (t, backend) => {
  const foreign: object = { compression: true, highWaterMarkBytes: 0 };
  const level = newLevel(t, join(temporaryDirectory(t), 'db'), backend, { ...foreign });
  await level.open({ ...foreign });
  await level.put('a', '1', { ...foreign });
  t.is(await level.get('a', { ...foreign }), '1');
  t.deepEqual(await level.iterator({ ...foreign }).all(), [['a', '1']]);
});

testBackends('a write is durable when it resolves, unless sync is false', async (t, backend) => {
  const level = await openLevel(t, join(temporaryDirectory(t), 'db'), backend);
  const sublevel = level.sublevel('sub');
  const isDurable = (): boolean => level.stats().durableSequence === level.stats().lastSequence;
  const writes = {
    put: (options?: object) => level.put('a', '1', { ...options }),
    del: (options?: object) => level.del('b', { ...options }),
    batch: (options?: object) => level.batch([{ type: 'put', key: 'a', value: '2' }], { ...options }),
    chained: (options?: object) =>
      level
        .batch()
        .put('a', '3')
        .write({ ...options }),
    clear: (options?: object) => level.clear({ gte: 'a', ...options }),
    sublevel: (options?: object) => sublevel.put('a', '4', { ...options }),
  };
  await level.put('b', 'the log has its first file');
  for (const [name, write] of Object.entries(writes)) {
    // It is on its way to the disk, and may be there first where this thread has to wait for its turn.
    let attempts = 0;
    do {
      if (name === 'clear') await level.put('a', 'to be cleared');
      await write({ sync: false });
      attempts++;
    } while (isDurable() && attempts < ATTEMPTS_MAX);
    t.false(isDurable(), `${name}, sync: false`);
    await level.put('b', 'is behind it, and durable');
    await write();
    t.true(isDurable(), name);
    if (name === 'clear') await level.put('a', 'to be cleared');
    await write({ sync: true });
    t.true(isDurable(), `${name}, sync: true`);
    if (name === 'clear') await level.put('a', 'to be cleared');
    const refused = await errorOf(() => write({ sync: 'yes' }));
    t.is(refused.code, 'INVALID_ARGUMENT', name);
  }
});

testBackends('what a write acknowledged is in a copy of the directory made then', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const level = await openLevel(t, directory, backend);
  await level.batch(Array.from({ length: 100 }, (_, i) => ({ type: 'put', key: keyOf(i), value: `${i}` })));
  await level.clear({ gte: keyOf(50) });
  const image = join(temporaryDirectory(t), 'image');
  cpSync(directory, image, { recursive: true, filter: (path) => !path.endsWith('LOCK') });
  const copy = await openLevel(t, image, backend);
  t.deepEqual(
    await copy.keys().all(),
    Array.from({ length: 50 }, (_, i) => keyOf(i)),
  );
});

testBackends('a database that is opened again has what it had', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const level = await openLevel<string, unknown>(t, directory, backend, { valueEncoding: 'json' });
  await level.put('a', { b: [1, 2, 3] });
  await level.flush();
  await level.put('c', 'in the log', { sync: false });
  await level.close();
  await level.open();
  t.deepEqual(await level.iterator().all(), [
    ['a', { b: [1, 2, 3] }],
    ['c', 'in the log'],
  ]);
  await level.close();
  const other = newLevel(t, directory, backend);
  // Nothing waits for open(): it is deferred.
  t.is(await other.get('a'), '{"b":[1,2,3]}');
  t.deepEqual(await other.getMany(['c', 'a', 'nothing']), ['"in the log"', '{"b":[1,2,3]}', undefined]);
  t.deepEqual(await other.hasMany(['c', 'nothing']), [true, false]);
});

testBackends(
  'the folders above a new database are created, unless createIfMissing is false',
  async (t, backend) => {
    const root = temporaryDirectory(t);
    const directory = join(root, 'one', 'two', 'db');
    const refused = newLevel(t, directory, backend, { createIfMissing: false });
    const error = await errorOf(() => refused.open());
    t.is(error.code, 'LEVEL_DATABASE_NOT_OPEN');
    t.is(error.cause?.code, 'PARENT_MISSING');
    t.false(existsSync(join(root, 'one')));
    const level = await openLevel(t, directory, backend);
    await level.put('a', '1');
    t.true(existsSync(join(directory, 'CURRENT')));
  },
);

testBackends('a folder that cannot be created is told as the core tells it', async (t, backend) => {
  const root = temporaryDirectory(t);
  await (await openLevel(t, join(root, 'db'), backend)).close();
  const level = newLevel(t, join(root, 'db', 'CURRENT', 'below a file', 'db'), backend);
  const error = await errorOf(() => level.open());
  t.is(error.code, 'LEVEL_DATABASE_NOT_OPEN');
  t.is(error.cause?.code, 'PARENT_MISSING');
  t.is(error.cause?.cause?.code, 'ENOTDIR');
});

testBackends(
  'errors have codes of abstract-level where it has one, and ours as their cause',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const level = await openLevel(t, directory, backend);
    const second = newLevel(t, directory, backend, { lockTimeoutMs: 0 });
    const locked = await errorOf(() => second.open());
    t.is(locked.code, 'LEVEL_DATABASE_NOT_OPEN');
    t.is(locked.cause?.code, 'LEVEL_LOCKED');
    t.is(locked.cause?.cause?.code, 'LOCKED');

    const tooLong = 'k'.repeat(65_536);
    for (const act of [
      () => level.put(tooLong, 'v'),
      () => level.get(tooLong),
      () => level.getSync(tooLong),
      () => level.getMany(['a', tooLong]),
      () => level.has(tooLong),
      () => level.batch([{ type: 'put', key: tooLong, value: 'v' }]),
      () => level.batch().put(tooLong, 'v'),
    ]) {
      const error = await errorOf(act);
      t.true(error instanceof QuadringError);
      t.is(error.code, 'KEY_TOO_LARGE');
    }
    t.deepEqual(await level.keys().all(), []);
  },
);

testBackends('damage is LEVEL_CORRUPTION, whoever reads', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const level = await openLevel(t, directory, backend, { blockCacheBytes: 0 });
  for (let i = 0; i < 400; i++) void level.put(keyOf(i), 'v'.repeat(100));
  await level.flush();
  const [table] = namesEnding(directory, '.sst');
  t.truthy(table);
  flipByte(join(directory, table), 100);
  const reads = {
    get: () => level.get(keyOf(0)),
    'get of bytes': () => level.get(keyOf(0), { valueEncoding: 'buffer' }),
    getSync: () => level.getSync(keyOf(0)),
    getMany: () => level.getMany([keyOf(0)]),
    iterator: () => level.iterator().next(),
    'keys, many': () => level.keys().nextv(10),
    'values, all': () => level.values().all(),
    'clear, some': () => level.clear({ limit: 10 }),
  };
  for (const [name, read] of Object.entries(reads)) {
    const error = await errorOf(read);
    t.is(error.code, 'LEVEL_CORRUPTION', name);
    t.is(error.cause?.code, 'TABLE_CORRUPT', name);
  }
});

testBackends('approximateSize counts tables, and takes an encoding', async (t, backend) => {
  const level = newLevel(t, join(temporaryDirectory(t), 'db'), backend);
  t.is(await level.approximateSize('a', 'z'), 0, 'before it is open');
  for (let i = 0; i < 1000; i++) void level.put(keyOf(i), 'v'.repeat(100));
  await level.flush();
  const all = await level.approximateSize(keyOf(0), keyOf(1000));
  const half = await level.approximateSize(keyOf(0), keyOf(500));
  t.true(all > 50_000 && all < 500_000, `all: ${all}`);
  t.true(half > all / 4 && half < (all * 3) / 4, `half: ${half} of ${all}`);
  const encoding = { keyEncoding: 'hex' } as const;
  const hex = (key: string): string => Buffer.from(key).toString('hex');
  t.is(await level.approximateSize(hex(keyOf(0)), hex(keyOf(500)), encoding), half);
  const error = await errorOf(() => level.approximateSize('a', undefined as unknown as string));
  t.is(error.code, 'LEVEL_INVALID_KEY');
});

testBackends('what is added beyond abstract-level needs an open database as well', async (t, backend) => {
  const level = newLevel(t, join(temporaryDirectory(t), 'db'), backend);
  t.is(level.status, 'opening');
  const { code } = await errorOf(() => level.stats());
  t.is(code, 'LEVEL_DATABASE_NOT_OPEN');
  await level.flush();
  t.is(level.status, 'open');
  await level.close();
  for (const act of [() => level.stats(), () => level.flush(), () => level.approximateSize('a', 'b')]) {
    t.is((await errorOf(act)).code, 'LEVEL_DATABASE_NOT_OPEN');
  }
});

testBackends(
  'a chained batch copies what it is given, and forgets it when it is cleared',
  async (t, backend) => {
    const level = await openLevel<Buffer, Buffer>(t, join(temporaryDirectory(t), 'db'), backend, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    const bytes = Buffer.from('before');
    const batch = level.batch().put(Buffer.from('forgotten'), bytes).clear().put(bytes, bytes).del(bytes);
    batch.put(bytes, bytes);
    t.is(batch.length, 3);
    bytes.write('behind');
    await batch.write({ sync: false });
    t.deepEqual(await level.iterator().all(), [[Buffer.from('before'), Buffer.from('before')]]);
  },
);

test('the package exports it as quadring/level, over the database that it exports as quadring', async (t) => {
  // Names that the compiler does not know: it would look for the declarations that it is about to write.
  const [main, level]: string[] = ['quadring', 'quadring/level'];
  const { Database, QuadringError } = (await import(main)) as typeof Quadring;
  const exported = (await import(level)) as { QuadringLevel: typeof QuadringLevel };
  const directory = temporaryDirectory(t);
  const opened = new exported.QuadringLevel(directory, SMALL);
  await opened.put('key', 'value');
  const refused = await t.throwsAsync(Database.open(directory, { lockTimeoutMs: 0 }));
  t.true(refused instanceof QuadringError && refused.code === 'LOCKED', String(refused));
  await opened.close();
  const database = await Database.open(directory);
  t.is(database.getString('key'), 'value');
  await database.close();
});

test('a location must be given', (t) => {
  t.throws(() => new QuadringLevel(''), { instanceOf: TypeError });
  t.throws(() => new QuadringLevel(undefined as unknown as string, SMALL), { instanceOf: TypeError });
});

test('the manifest names what there is', (t) => {
  const level = new QuadringLevel(join(temporaryDirectory(t), 'never', 'opened'), { createIfMissing: false });
  const { supports } = level;
  t.like(supports, {
    implicitSnapshots: true,
    explicitSnapshots: true,
    permanence: true,
    seek: true,
    has: true,
    getSync: true,
    createIfMissing: true,
    errorIfExists: true,
    deferredOpen: true,
    signals: { iterators: true },
    additionalMethods: { approximateSize: true, flush: true, stats: true },
  });
  for (const name of Object.keys(supports.additionalMethods)) {
    t.is(typeof level[name as keyof QuadringLevel], 'function', name);
  }
  t.false(existsSync(dirname(level.location)));
});
