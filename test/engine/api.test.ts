/** The public surface: what is written is read back, from every place a value can be in, under every option. */
import { join } from 'node:path';
import type { BatchOperation, Database, DatabaseOptions } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
/** Small enough that a test of a few megabytes meets every limit. */
const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 65_536 };

testBackends('put, get and del take strings and bytes, which are the same key', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  await database.put('text', 'a string');
  await database.put(new Uint8Array([1, 0, 255]), new Uint8Array([0, 1, 254, 255]));
  await database.put('grüße 🚲', 'žluťoučký kůň');
  await expectValue(t, database, Buffer.from('text'), 'a string');
  await expectValue(t, database, Buffer.from([1, 0, 255]), new Uint8Array([0, 1, 254, 255]));
  await expectValue(t, database, Buffer.from('grüße 🚲', 'utf8'), Buffer.from('žluťoučký kůň', 'utf8'));
  await expectValue(t, database, 'no such key', undefined);
  t.is(database.getString('grüße 🚲'), 'žluťoučký kůň');
  await database.del(Buffer.from('text'));
  await database.del('never there');
  await expectValue(t, database, 'text', undefined);
});

testBackends('getString decodes UTF-8 and latin1, from memory and from a table', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, { blockCacheBytes: 0 });
  const bytes = Buffer.from('Å€🚲', 'utf8');
  await database.put('k', bytes);
  for (const place of ['memory', 'table']) {
    if (place === 'table') await database.flush();
    t.is(database.getString('k'), 'Å€🚲', place);
    t.is(database.getString('k', 'utf8'), 'Å€🚲', place);
    t.is(database.getString('k', 'latin1'), bytes.toString('latin1'), place);
    t.is(database.getString('absent'), undefined);
  }
});

testBackends('getInto copies what fits and tells the whole length', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, { blockCacheBytes: 0 });
  const value = valueOf(1000, 1);
  await database.put('k', value);
  for (const place of ['memory', 'table']) {
    if (place === 'table') await database.flush();
    for (const room of [0, 1, 64, 65, 999, 1000, 1001, 4096]) {
      const target = new Uint8Array(room).fill(0xee);
      t.is(database.getInto('k', target), 1000, `${room} bytes of room, ${place}`);
      const copied = Math.min(room, 1000);
      t.deepEqual(Buffer.from(target.subarray(0, copied)), value.subarray(0, copied));
      t.true(target.subarray(copied).every((byte) => byte === 0xee));
    }
    const target = new Uint8Array(8).fill(0xee);
    t.is(database.getInto('absent', target), -1);
    t.true(target.every((byte) => byte === 0xee));
  }
});

testBackends('what get returns is the caller’s own', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  await database.put('k', 'value');
  for (const place of ['memory', 'table', 'cache']) {
    if (place === 'table') await database.flush();
    const read = await database.get('k');
    const readSync = database.getSync('k');
    t.is(read?.toString(), 'value', place);
    read?.fill(0);
    readSync?.fill(0);
    t.is(database.getString('k'), 'value', place);
  }
});

/** Values whose entry lies at, below and beyond what a block of 4 KiB, a frame and an arena hold. */
const LENGTHS = [
  0,
  1,
  127,
  128,
  ...Array.from({ length: 9 }, (_, i) => 4096 - 64 + i * 8),
  4096,
  65_536,
  100_000,
  MEBIBYTE - 64,
  MEBIBYTE,
  3 * MEBIBYTE,
  20 * MEBIBYTE,
];

testBackends('values of every size, from memory, after reopening and from tables', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const values = new Map(LENGTHS.map((length) => [`value of ${length}`, valueOf(length, length)]));
  const check = async (database: Database): Promise<void> => {
    for (const [key, value] of values) await expectValue(t, database, key, value);
  };
  const written = await openDatabase(t, directory, backend, SMALL);
  for (const [key, value] of values) await written.put(key, value);
  await check(written);
  await written.close();
  const reopened = await openDatabase(t, directory, backend, SMALL);
  await check(reopened);
  await reopened.flush();
  t.is(reopened.stats().memtables.activeEntries, 0);
  await check(reopened);
});

testBackends('the empty key, the empty value and the longest key', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend);
  const longest = valueOf(65_535, 7);
  const longText = 'ž'.repeat(32_767) + 'x';
  const almost = longest.subarray(0, 65_534);
  const check = async (): Promise<void> => {
    await expectValue(t, database, '', 'of the empty key');
    await expectValue(t, database, 'empty value', '');
    await expectValue(t, database, longest, 'of the longest key');
    await expectValue(t, database, longText, 'of the longest text');
    await expectValue(t, database, almost, undefined);
  };
  await database.put('', 'of the empty key');
  await database.put('empty value', new Uint8Array(0));
  await database.put(longest, 'of the longest key');
  await database.put(longText, 'of the longest text');
  await check();
  await database.flush();
  await check();
  await database.close();
  database = await openDatabase(t, directory, backend);
  await check();
  await database.del('');
  await expectValue(t, database, '', undefined);
});

testBackends('the newest version wins over twenty tables', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, { ...SMALL, compaction: { automatic: false } });
  const model = new Map<string, string | undefined>();
  for (let round = 0; round < 20; round++) {
    for (let i = round % 3; i < 60; i += 1 + (round % 4)) {
      const value = (i + round) % 5 === 0 ? undefined : `round ${round} of ${i}`;
      await (value === undefined ? database.del(keyOf(i)) : database.put(keyOf(i), value));
      model.set(keyOf(i), value);
    }
    await database.flush();
  }
  t.is(database.stats().levels[0]?.tables, 20);
  const check = async (): Promise<void> => {
    for (const [key, value] of model) await expectValue(t, database, key, value);
  };
  await check();
  await database.close();
  database = await openDatabase(t, directory, backend, { ...SMALL, filterBitsPerKey: 0 });
  await check();
});

testBackends('reads look into frozen memtables', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  const writes: Promise<void>[] = [];
  let last = 0;
  // Synchronously, so that no flush can end in between.
  while (database.stats().memtables.frozen === 0)
    writes.push(database.put(keyOf(last++), valueOf(500, last)));
  writes.push(database.put(keyOf(0), 'newer'), database.del(keyOf(1)));
  t.is(database.getString(keyOf(0)), 'newer');
  t.is(database.getSync(keyOf(1)), undefined);
  for (let i = 2; i < last; i++) t.deepEqual(database.getSync(keyOf(i)), valueOf(500, i + 1), keyOf(i));
  t.true(database.stats().memtables.frozen > 0);
  await Promise.all(writes);
  await database.flush();
  for (let i = 2; i < last; i++) await expectValue(t, database, keyOf(i), valueOf(500, i + 1));
});

const VARIANTS: Record<string, DatabaseOptions> = {
  'no block cache': { blockCacheBytes: 0 },
  'a block cache smaller than a block': { blockCacheBytes: 1000 },
  'blocks of 4 KiB': { blockBytes: 4096 },
  'blocks of 64 KiB': { blockBytes: 65_536 },
  'no filter': { filterBitsPerKey: 0 },
  'long filters': { filterBitsPerKey: 30 },
  'no O_DIRECT': { io: { direct: false } },
  'no huge pages': { hugePages: 'off' },
  'rings of 64 entries that any thread may use': { io: { queueDepth: 64, singleIssuer: false } },
  spinning: { io: { spinMicroseconds: 50 } },
  'a thread of the kernel that polls': { io: { sqpoll: { idleMs: 2 } } },
};

for (const [name, options] of Object.entries(VARIANTS)) {
  testBackends(`the same answers with ${name}`, async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    let database = await openDatabase(t, directory, backend, options);
    const operations: BatchOperation[] = [];
    for (let i = 0; i < 3000; i++)
      operations.push({ type: 'put', key: keyOf(i * 2), value: valueOf(i % 300, i) });
    await database.batch(operations);
    await database.flush();
    for (let i = 0; i < 3000; i += 100) await database.del(keyOf(i * 2));
    await database.flush();
    if (options.io?.direct === false) t.false(database.stats().directIo);
    const check = async (): Promise<void> => {
      for (let i = 0; i < 3000; i += 50) {
        await expectValue(t, database, keyOf(i * 2), i % 100 === 0 ? undefined : valueOf(i % 300, i));
        await expectValue(t, database, keyOf(i * 2 + 1), undefined);
      }
      const many = await Promise.all(Array.from({ length: 3000 }, (_, i) => database.get(keyOf(i * 2))));
      const wrong = many.filter((value, i) =>
        i % 100 === 0 ? value !== undefined : value === undefined || !value.equals(valueOf(i % 300, i)),
      );
      t.is(wrong.length, 0);
    };
    await check();
    await database.close();
    database = await openDatabase(t, directory, backend, options);
    await check();
  });
}

testBackends('stats tell what was done', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend);
  const before = database.stats();
  t.is(before.backend, backend);
  t.deepEqual(
    before.rings.map(({ role }) => role),
    ['foreground', 'flush', 'compaction', 'wal'],
  );
  t.true(before.rings.every((ring) => ring.backend === backend));
  t.is(before.lastSequence, 0);
  t.is(before.failure, null);
  t.deepEqual(before.recovery, { replayedRecords: 0, tornFrames: 0, tornBytes: 0 });
  await database.put('a', '1');
  await database.batch([
    { type: 'put', key: 'b', value: '2' },
    { type: 'del', key: 'a' },
  ]);
  const written = database.stats();
  t.is(written.lastSequence, 3);
  t.is(written.durableSequence, 3);
  t.is(written.memtables.activeEntries, 3);
  t.is(written.log.records, 3);
  t.is(written.log.frames, 2);
  await database.flush();
  const flushed = database.stats();
  t.is(flushed.flushes.flushes, 1);
  t.is(flushed.memtables.activeEntries, 0);
  t.is(flushed.levels[0]?.tables, 1);
  t.is(flushed.levels[0]?.entries, 2);
  await expectValue(t, database, 'b', '2');
  t.is(database.stats().cache.misses, 1);
  t.true(database.stats().cache.hits > 0);
});
