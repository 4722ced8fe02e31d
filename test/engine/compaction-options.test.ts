/**
 * Options of compactions and of levels: what is refused, what each does, and databases that are opened with other ones
 * than they were written with.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Database, type CompactionOptions, type DatabaseOptions } from '../../src/index.ts';
import { tableName } from '../../src/format/file-names.ts';
import { decodeTableMeta, type TableMeta } from '../../src/format/table-meta.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import { atRest, entriesOf, eventually, expectOnlyTables, shapeOf } from '../support/at-rest.ts';
import { testBackends } from '../support/backends.ts';
import { manifestEdits } from '../support/damage.ts';
import { crashImage, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';
import { keyOf, valueOf } from '../support/values.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 65_536 };
const GIBIBYTE = 2 ** 30;

/** Beside each the name that the error must say. */
const WRONG: readonly (readonly [options: unknown, name: string])[] = [
  [{ compaction: null }, 'compaction'],
  [{ compaction: 'auto' }, 'compaction'],
  [{ compaction: [] }, 'compaction'],
  [{ compaction: { rate: 0 } }, 'compaction.rate'],
  [{ compaction: { automatic: 1 } }, 'compaction.automatic'],
  [{ compaction: { automatic: null } }, 'compaction.automatic'],
  ...[-1, 1, (1 << 20) - 1, 2 ** 40 + 1, 1.5, NaN, Infinity, '0', 'fast', null, {}].map(
    (rateBytesPerSecond) =>
      [{ compaction: { rateBytesPerSecond } }, 'compaction.rateBytesPerSecond'] as const,
  ),
  [{ compaction: { priority: 'high' } }, 'compaction.priority'],
  [{ compaction: { priority: 7 } }, 'compaction.priority'],
  ...outside('l0Trigger', 2, 32),
  ...outside('l0Slowdown', 4, 47),
  ...outside('l0Stop', 13, 48),
  [{ compaction: { l0Trigger: 10, l0Slowdown: 9 } }, 'compaction.l0Slowdown'],
  [{ compaction: { l0Slowdown: 20, l0Stop: 20 } }, 'compaction.l0Stop'],
  ...outside('pendingSlowdownBytes', 1 << 20, 2 ** 50 - 1),
  ...outside('pendingStopBytes', 8 * GIBIBYTE + 1, 2 ** 50),
  [
    { compaction: { pendingSlowdownBytes: 1 << 21, pendingStopBytes: 1 << 21 } },
    'compaction.pendingStopBytes',
  ],
  ...outside('tableBytes', 65_536, GIBIBYTE),
  ...outside('baseBytes', 65_536, 2 ** 50),
  ...outside('multiplier', 2, 100),
  ...outside('idleMs', 0, 3_600_000),
  [{ filterBitsPerKey: [] }, 'filterBitsPerKey'],
  [{ filterBitsPerKey: [10, 10, 10, 10, 10, 10, 10, 10] }, 'filterBitsPerKey'],
  [{ filterBitsPerKey: [10, 31] }, 'filterBitsPerKey[1]'],
  [{ filterBitsPerKey: [10, '5'] }, 'filterBitsPerKey[1]'],
  [{ filterBitsPerKey: '10' }, 'filterBitsPerKey'],
  [{ compression: 'gzip' }, 'compression'],
  [{ compression: null }, 'compression'],
  [{ compression: true }, 'compression'],
  [{ compaction: { spareBytes: 'all' } }, 'compaction.spareBytes'],
  [{ compaction: { spareBytes: -1 } }, 'compaction.spareBytes'],
  [{ compression: [] }, 'compression'],
  [{ compression: ['none', 'lz5'] }, 'compression[1]'],
  [{ compression: Array(8).fill('none') }, 'compression'],
];

function outside(
  name: keyof CompactionOptions,
  least: number,
  most: number,
): (readonly [options: unknown, name: string])[] {
  const values = [least - 1, most + 1, least + 0.5, NaN, Infinity, String(least), null, true];
  return values.map((value) => [{ compaction: { [name]: value } }, `compaction.${name}`] as const);
}

test.serial('options that are refused are named, and nothing is created', async (t) => {
  const parent = temporaryDirectory(t);
  for (const [options, name] of WRONG) {
    const error = await expectCode(t, 'INVALID_ARGUMENT', () =>
      Database.open(join(parent, 'db'), options as DatabaseOptions),
    );
    t.true(error.message.includes(name), `"${error.message}" names ${name}`);
  }
  t.deepEqual(readdirSync(parent), []);
});

test.serial('options at their limits are taken', async (t) => {
  const good: readonly CompactionOptions[] = [
    {},
    { automatic: false, rateBytesPerSecond: 0, priority: 'best-effort', idleMs: 0 },
    { rateBytesPerSecond: 1 << 20, l0Trigger: 2, l0Slowdown: 2, l0Stop: 3 },
    { rateBytesPerSecond: 2 ** 40, l0Trigger: 32, l0Slowdown: 47, l0Stop: 48 },
    { rateBytesPerSecond: 'auto', pendingSlowdownBytes: 1 << 20, pendingStopBytes: (1 << 20) + 1 },
    { pendingSlowdownBytes: 2 ** 50 - 1, pendingStopBytes: 2 ** 50 },
    { tableBytes: 65_536, baseBytes: 65_536, multiplier: 2 },
    { tableBytes: GIBIBYTE, baseBytes: 2 ** 50, multiplier: 100, idleMs: 3_600_000 },
    { l0Trigger: 32 },
    { l0Slowdown: 47 },
    { pendingSlowdownBytes: 2 ** 50 - 1 },
  ];
  for (const compaction of good) {
    const world = new HeldWorld();
    const database = await world.open({ ...SMALL, compaction });
    await database.put('a', '1');
    await database.close();
  }
  t.pass();
});

async function addTable(database: Database, round: number, keys = 100): Promise<void> {
  const batch = database.batch();
  for (let i = 0; i < keys; i++) batch.put(keyOf(i), valueOf(100, i + round));
  await batch.write();
  await database.flush();
}

test.serial(
  'automatic: false compacts nothing by itself, and idleMs brings the levels to rest',
  async (t) => {
    const world = new HeldWorld();
    const manual = await world.open({ ...SMALL, compaction: { automatic: false, idleMs: 1 } });
    for (let round = 0; round < 11; round++) await addTable(manual, round);
    for (let i = 0; i < 5; i++) {
      world.fireTimers();
      await world.turns(5000);
    }
    t.is(shapeOf(manual), '0:11');
    await manual.close();
    // Below the trigger nothing is compacted, unless nothing is written for a while.
    const never = await world.open({ ...SMALL, compaction: { l0Trigger: 12, idleMs: 0 } });
    await addTable(never, 11);
    await world.until(() => never.stats().compactions.running === null && shapeOf(never) === '6:1');
    await addTable(never, 12);
    for (let i = 0; i < 5; i++) {
      world.fireTimers();
      await world.turns(5000);
    }
    t.is(shapeOf(never), '0:1 6:1');
    await never.close();
    const idle = await world.open({ ...SMALL, compaction: { l0Trigger: 12, idleMs: 1000 } });
    await world.turns(5000);
    t.is(shapeOf(idle), '0:1 6:1');
    await idle.put('a', '1');
    // Something was written since the timer was set: the next one counts.
    world.fireTimers();
    await world.turns(20_000);
    t.is(shapeOf(idle), '0:1 6:1');
    world.fireTimers();
    await world.until(() => shapeOf(idle) === '6:1');
    t.is(entriesOf(idle), 100);
    await idle.close();
  },
);

test.serial('what a snapshot kept goes some time after it was closed, without a write', async (t) => {
  const world = new HeldWorld();
  const database = await world.open({ ...SMALL, compaction: { l0Trigger: 12, idleMs: 1000 } });
  await addTable(database, 0);
  const snapshot = database.snapshot();
  await addTable(database, 1);
  // The first one finds that something was written since it was set.
  world.fireTimers();
  world.fireTimers();
  await world.until(() => shapeOf(database) === '6:1');
  t.is(entriesOf(database), 200);
  world.fireTimers();
  await world.turns(5000);
  t.is(entriesOf(database), 200);
  snapshot.close();
  world.fireTimers();
  await world.until(() => entriesOf(database) === 100 && database.stats().compactions.running === null);
  t.is(database.getSync(keyOf(5))?.equals(valueOf(100, 6)), true);
  // Then there is nothing left to do.
  const { compactions } = database.stats().compactions;
  for (let i = 0; i < 5; i++) {
    world.fireTimers();
    await world.turns(2000);
  }
  t.is(database.stats().compactions.compactions, compactions);
  await database.close();
});

/** Of each table of a closed database its description and its tail. */
function tablesOf(directory: string): { description: TableDescription; meta: TableMeta }[] {
  const tables = new Map<number, TableDescription>();
  for (const edit of manifestEdits(directory)) {
    for (const { number } of edit.deleted) tables.delete(number);
    for (const description of edit.added) tables.set(description.number, description);
  }
  return [...tables.values()].map((description) => {
    const { number, metaOffset, fileBytes } = description;
    const bytes = new Uint8Array(readFileSync(join(directory, tableName(number))));
    return { description, meta: decodeTableMeta(bytes.slice(metaOffset), number, metaOffset, fileBytes) };
  });
}

testBackends('filters and compression by level', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options: DatabaseOptions = {
    ...SMALL,
    blockBytes: 16_384,
    filterBitsPerKey: [0, 10, 10, 10, 10, 10, 20],
    compression: ['none', 'lz4'],
    compaction: { automatic: false },
  };
  const database = await openDatabase(t, directory, backend, options);
  const text = (i: number): string => `${'well compressible '.repeat(10)}${i}`;
  const write = async (from: number, to: number): Promise<void> => {
    const batch = database.batch();
    for (let i = from; i < to; i++) batch.put(keyOf(i), text(i));
    await batch.write();
    await database.flush();
  };
  await write(0, 150);
  await write(100, 250);
  await database.compactRange();
  await write(200, 300);
  const [upper, lower] = database.stats().levels;
  t.deepEqual([upper.level, lower.level], [0, 6]);
  t.true(lower.bytes / lower.entries < upper.bytes / upper.entries / 2, 'the lower level is compressed');
  for (let i = 0; i < 300; i++) t.is(database.getString(keyOf(i)), text(i));
  const { negatives } = database.stats().filters;
  for (let i = 1000; i < 1100; i++) t.is(database.getSync(keyOf(i)), undefined);
  await database.close();
  const filterBytes = new Map(
    tablesOf(directory).map(({ description, meta }) => [description.level, meta.filter?.byteLength ?? 0]),
  );
  t.is(filterBytes.get(0), 0);
  t.true((filterBytes.get(6) ?? 0) >= (250 * 20) / 8);
  t.is(negatives, 0);
  // A single value is for all levels, and one level's is for all below it.
  const reopened = await openDatabase(t, directory, backend, {
    ...options,
    filterBitsPerKey: 5,
    compression: 'none',
  });
  for (let i = 0; i < 300; i++) t.is(reopened.getString(keyOf(i)), text(i));
  await reopened.compactRange();
  t.true(reopened.stats().levels[0].bytes > 300 * 180);
  await reopened.close();
  for (const { meta } of tablesOf(directory)) t.true((meta.filter?.byteLength ?? 0) < (300 * 10) / 8 + 128);
});

const POLICIES: readonly DatabaseOptions[] = [
  { ...SMALL, compaction: { l0Trigger: 2, tableBytes: 65_536, baseBytes: 65_536, multiplier: 2 } },
  { writeBufferBytes: 1 << 20, blockBytes: 65_536, blockCacheBytes: 0 },
  {
    ...SMALL,
    blockBytes: 8192,
    blockCacheBytes: 1 << 20,
    filterBitsPerKey: [0, 5],
    compression: ['lz4', 'none', 'lz4'],
    compaction: { l0Trigger: 3, tableBytes: 262_144, baseBytes: 131_072, multiplier: 100 },
  },
  {
    ...SMALL,
    filterBitsPerKey: 0,
    compaction: { l0Trigger: 2, tableBytes: 131_072, baseBytes: 65_536, multiplier: 3 },
  },
];

testBackends('a database is written and read with one policy after another', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const there = new Map<number, Buffer>();
  const expectThere = async (database: Database, what: string): Promise<void> => {
    const found: number[] = [];
    for await (const [key, value] of database.iterator()) {
      const number = Number(key.toString().slice(4));
      if (there.get(number)?.equals(value) === true) found.push(number);
    }
    t.deepEqual(
      found,
      [...there.keys()].sort((a, b) => a - b),
      what,
    );
    for (let key = 0; key < 1600; key += 31) {
      const value = database.getSync(keyOf(key));
      t.true(value === undefined ? !there.has(key) : there.get(key)?.equals(value), what);
    }
  };
  for (let round = 0; round < 8; round++) {
    const options = POLICIES[round % POLICIES.length];
    const database = await openDatabase(t, directory, backend, options);
    const what = `round ${round}`;
    await expectThere(database, `${what}, opened`);
    const written: Promise<void>[] = [];
    for (let i = 0; i < 600; i++) {
      const key = (i * 97 + round * 400) % 1600;
      if (i % 11 === round) {
        there.delete(key);
        written.push(database.del(keyOf(key), { sync: false }));
      } else {
        // Some are larger than any block.
        there.set(key, valueOf(i % 150 === 0 ? 100_000 : 150, key + round));
        written.push(database.put(keyOf(key), there.get(key)!, { sync: false }));
      }
    }
    await Promise.all(written);
    if (round % 3 === 1) await database.compactRange({ gte: keyOf(200), lt: keyOf(900) });
    await expectThere(database, what);
    if (round % 2 === 0) await atRest(database);
    await database.close();
  }
  const database = await openDatabase(t, directory, backend, POLICIES[0]);
  await database.compactRange();
  t.is(entriesOf(database), there.size);
  await expectThere(database, 'at last');
  await eventually(() => database.stats().compactions.running === null);
  await expectOnlyTables(t, database, directory);
});

testBackends('more tables of level 0 than can be merged at once', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  // What one large memtable held is replayed into many small ones; all of them have the same key.
  const image = await lostMemtable(t, directory);
  const options: DatabaseOptions = { ...SMALL, compaction: { automatic: false } };
  const database = await openDatabase(t, image, backend, options);
  t.true(database.stats().levels[0].tables > 64, shapeOf(database));
  await database.compactRange();
  t.is(shapeOf(database), '6:1');
  t.is(entriesOf(database), 2);
  t.true(database.getSync('same')?.equals(valueOf(8000, 599)));
  await expectOnlyTables(t, database, image);
});

/** A directory whose logs hold six hundred writes of one key, each a frame of its own, none of which is in a table. */
async function lostMemtable(t: ExecutionContext, directory: string): Promise<string> {
  const database = await openDatabase(t, directory, 'syscall', { writeBufferBytes: 32 << 20 });
  for (let i = 0; i < 600; i++) await database.put('same', valueOf(8000, i));
  await database.put('durable', '1');
  return crashImage(t, database, directory);
}
