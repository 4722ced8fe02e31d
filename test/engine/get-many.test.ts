/** Reads of many keys at once: what they give, how few blocks they read, and what becomes of large values. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Bytes, Database, DatabaseOptions } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const COLD: DatabaseOptions = { writeBufferBytes: 1 << 20, blockBytes: 4096, blockCacheBytes: 0 };
const WARM: DatabaseOptions = { ...COLD, blockCacheBytes: 4 << 20 };
const LARGE_BYTES = 5 << 20;

function open(t: ExecutionContext, backend: Backend, options = COLD): Promise<Database> {
  return openDatabase(t, join(temporaryDirectory(t), 'db'), backend, options);
}

const ENTRIES = 300;
const KEYS = [...Array(ENTRIES).keys()].map(keyOf);

/** One table, with some three entries in each block. */
async function filled(t: ExecutionContext, backend: Backend, options: DatabaseOptions): Promise<Database> {
  const database = await open(t, backend, options);
  await database.batch(KEYS.map((key, i) => ({ type: 'put', key, value: valueOf(1200, i) })));
  await database.flush();
  return database;
}

/** Of blocks: by the foreground thread, and by this one. */
function readRequests(database: Database): number {
  const { rings, callerRing } = database.stats();
  return rings.find(({ role }) => role === 'foreground')!.requests + (callerRing?.requests ?? 0);
}

/** Blocks that were asked for and reads that were made while something ran. */
async function counted(
  database: Database,
  run: () => Promise<unknown>,
): Promise<{ misses: number; shared: number; reads: number; blocks: number }> {
  const before = database.stats().cache;
  const operations = readRequests(database);
  await run();
  const after = database.stats().cache;
  return {
    misses: after.misses - before.misses,
    shared: after.sharedReads - before.sharedReads,
    reads: readRequests(database) - operations,
    blocks: after.blocks - before.blocks,
  };
}

/** How many blocks the one table has. */
async function blockCount(database: Database): Promise<number> {
  return (await database.approximateSize({})) / 4096;
}

testBackends('values come in the order of the keys, wherever they are', async (t, backend) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  for (const options of [COLD, WARM, { ...COLD, filterBitsPerKey: 0 }]) {
    const database = await open(t, backend, { ...options, writeBufferBytes: 65_536 });
    const expected = new Map<string, Buffer>();
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 60; i++) {
        const key = keyOf(random.below(120));
        if (random.oneIn(4)) {
          expected.delete(key);
          await database.del(key, { sync: false });
        } else {
          const value = valueOf(random.below(random.oneIn(10) ? 9000 : 600), round * 1000 + i);
          expected.set(key, value);
          await database.put(key, value, { sync: false });
        }
      }
      // The last round stays in memory.
      if (round < 4) await database.flush();
      for (const count of [0, 1, 2, 50, 400]) {
        const keys = Array.from({ length: count }, () => keyOf(random.below(125)));
        const values = await database.getMany(keys);
        const wrong = keys.filter((key, i) => {
          const value = expected.get(key);
          return value === undefined ? values[i] !== undefined : values[i]?.equals(value) !== true;
        });
        t.deepEqual(wrong, [], `${count} keys in round ${round}`);
        t.is(values.length, count);
        t.deepEqual(
          await database.hasMany(keys),
          keys.map((key) => expected.has(key)),
        );
      }
    }
    await database.close();
  }
});

testBackends('each of the same key’s values is the caller’s own', async (t, backend) => {
  const database = await filled(t, backend, WARM);
  await database.put('memtable', 'value');
  for (const [key, value] of [
    [keyOf(5), valueOf(1200, 5)],
    ['memtable', Buffer.from('value')],
  ] as const) {
    const [first, second, missing, third] = await database.getMany([key, Buffer.from(key), 'missing', key]);
    t.is(missing, undefined);
    first?.fill(0);
    second?.fill(1);
    t.deepEqual(third, value);
    t.deepEqual(await database.get(key), value);
  }
});

testBackends('it reads what was there when it was called', async (t, backend) => {
  const database = await filled(t, backend, COLD);
  await database.put('memtable', 'before');
  const reading = database.getMany([...KEYS, 'memtable', 'later']);
  const has = database.has('later');
  for (const key of KEYS) void database.put(key, 'after', { sync: false });
  void database.put('memtable', 'after');
  await database.put('later', 'after');
  await database.flush();
  const values = await reading;
  t.true(KEYS.every((_, i) => values[i]?.equals(valueOf(1200, i)) === true));
  t.deepEqual(
    values.slice(ENTRIES).map((value) => value?.toString()),
    ['before', undefined],
  );
  t.false(await has);
});

testBackends('a block is read once, however many of the keys it holds', async (t, backend) => {
  for (const options of [COLD, WARM]) {
    const database = await filled(t, backend, options);
    const blocks = await blockCount(database);
    t.true(blocks > 80 && blocks < ENTRIES, `${blocks} blocks`);
    const shuffled = [...KEYS, ...KEYS].sort((a, b) => (a.slice(-1) < b.slice(-1) ? -1 : 1));
    const { misses, shared, reads } = await counted(database, () => database.getMany(shuffled));
    t.deepEqual({ misses, shared, reads }, { misses: blocks, shared: 0, reads: blocks });
    const again = await counted(database, () => database.getMany(shuffled));
    t.is(again.reads, options === COLD ? blocks : 0);
    // Keys that no table has are not looked for on the disk, but for what a filter takes for another.
    const absent = Array.from({ length: 200 }, (_, i) => `${keyOf(i)}-absent`);
    const missed = await counted(database, () => database.getMany(absent));
    t.true(missed.reads <= 20, `${missed.reads} reads for keys that are not there`);
  }
});

testBackends('what is read stays in the cache, unless the caller says no', async (t, backend) => {
  const database = await filled(t, backend, WARM);
  const blocks = await blockCount(database);
  const { blocks: before } = database.stats().cache;
  const passing = await counted(database, () => database.getMany(KEYS, { fillCache: false }));
  t.deepEqual([passing.reads, passing.blocks], [blocks, 0]);
  await database.get(keyOf(1), { fillCache: false });
  database.getSync(keyOf(1), { fillCache: false });
  t.is(database.stats().cache.blocks, before);
  const staying = await counted(database, () => database.getMany(KEYS));
  t.deepEqual([staying.reads, staying.blocks], [blocks, blocks]);
  t.is((await counted(database, () => database.getMany(KEYS, { fillCache: false }))).reads, 0);
  t.is((await counted(database, () => Promise.all(KEYS.map((key) => database.get(key))))).reads, 0);
});

testBackends('concurrent reads of a block share one', async (t, backend) => {
  for (const options of [COLD, WARM]) {
    const database = await filled(t, backend, options);
    const together = await counted(database, async () => {
      const values = await Promise.all(Array.from({ length: 20 }, () => database.get(keyOf(7))));
      t.true(values.every((value) => value?.equals(valueOf(1200, 7))));
    });
    t.deepEqual([together.misses, together.shared, together.reads], [20, 19, 1]);
    const both = await counted(database, async () => {
      const reading = [database.getMany([keyOf(200), keyOf(250)]), database.get(keyOf(250))] as const;
      const synchronous = database.getSync(keyOf(200));
      const [many, single] = await Promise.all(reading);
      t.true(many[0]?.equals(valueOf(1200, 200)) === true && many[1]?.equals(valueOf(1200, 250)) === true);
      t.true(single?.equals(valueOf(1200, 250)) === true && synchronous?.equals(valueOf(1200, 200)) === true);
    });
    t.deepEqual([both.shared, both.reads], [2, 2]);
  }
});

testBackends('more reads at once than there are slots all come', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, {
    ...COLD,
    writeBufferBytes: 8 << 20,
  });
  const keys = [...Array(2500).keys()].map(keyOf);
  await database.batch(keys.map((key, i) => ({ type: 'put', key, value: valueOf(2500, i) })));
  await database.flush();
  const blocks = await blockCount(database);
  t.true(blocks > 1024, `${blocks} blocks for 256 slots`);
  const { reads } = await counted(database, async () => {
    const values = await database.getMany(keys);
    t.true(values.every((value, i) => value?.equals(valueOf(2500, i))));
  });
  t.is(reads, blocks);
});

testBackends('a large value passes the cache by, and is each caller’s own', async (t, backend) => {
  const database = await open(t, backend, WARM);
  const value = valueOf(LARGE_BYTES, 1);
  await database.put('large', value);
  await database.put('small', 'value');
  await database.flush();
  const before = database.stats().cache;
  const reads: (Buffer | undefined)[] = await Promise.all([
    database.get('large'),
    database.get('large'),
    database.getMany(['large', 'missing', 'large']).then(([first]) => first),
    database.getMany(['large', 'missing', 'large']).then((values) => values[2]),
  ]);
  t.is(database.stats().cache.sharedReads - before.sharedReads, 3);
  reads.push(database.getSync('large'));
  for await (const given of database.values({ lt: 'm' })) reads.push(given);
  t.is<number, number>(reads.length, 6);
  reads.forEach((read, i) => {
    t.true(read?.equals(value), `read ${i}`);
    // If another shared this memory, it would not be what it must be.
    read?.fill(i);
  });
  t.true(reads.every((read, i) => read?.[0] === i && read.at(-1) === i));
  t.true((await database.get('large'))?.equals(value));
  t.is(database.stats().cache.blocks, before.blocks);
  t.is((await database.get('small'))?.toString(), 'value');
});

testBackends(
  'a key that is refused behind others keeps nothing from being read or let go',
  async (t, backend) => {
    const database = await filled(t, backend, { ...COLD, compaction: { spareBytes: 0 } });
    const keys = [...KEYS.slice(0, 60), 7 as unknown as Bytes, ...KEYS.slice(60)];
    for (let i = 0; i < 3; i++) {
      await expectCode(t, 'INVALID_ARGUMENT', () => database.getMany(keys));
      const values = await database.getMany(KEYS);
      t.true(values.every((value, at) => value?.equals(valueOf(1200, at)) === true));
    }
    await database.batch(KEYS.map((key, i) => ({ type: 'put', key, value: valueOf(1200, i) })));
    await database.flush();
    await database.compactRange();
    const { removed, removing: underWay } = database.stats().tableFiles;
    t.is(removed + underWay, 2, 'nobody reads from the first table any more');
  },
);

testBackends('what is no list of keys is refused', async (t, backend) => {
  const database = await filled(t, backend, COLD);
  t.deepEqual(await database.getMany([]), []);
  t.deepEqual(await database.hasMany([]), []);
  for (const keys of [undefined, null, 'key', 5, new Set(['a']), { 0: 'a', length: 1 }] as unknown[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getMany(keys as Bytes[]));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.hasMany(keys as Bytes[]));
  }
  for (const key of [undefined, null, 5, {}, ['a']] as unknown as Bytes[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getMany([keyOf(1), key, keyOf(2)]));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.has(key));
  }
  await expectCode(t, 'INVALID_ARGUMENT', () => database.getMany(new Array<Bytes>(3)));
  await expectCode(t, 'KEY_TOO_LARGE', () => database.getMany([keyOf(1), Buffer.alloc(65_536)]));
  t.true((await database.getMany([keyOf(1)]))[0]?.equals(valueOf(1200, 1)));
});
