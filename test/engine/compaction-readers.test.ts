/**
 * Readers over tables that compactions replace: they go on seeing what they saw, the files stay as long as somebody reads
 * them, and go when nobody does.
 */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, EntryIterator } from '../../src/index.ts';
import { ROLE_FLUSH, ROLE_FOREGROUND } from '../../src/protocol/requests.ts';
import { atRest, expectOnlyTables, shapeOf } from '../support/at-rest.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { HeldWorld } from '../support/held-world.ts';
import { keyOf, valueOf } from '../support/values.ts';

/** Tables of 64 KiB in several levels: each level may hold twice what the one above it holds. */
const DEEP: DatabaseOptions = {
  writeBufferBytes: 65_536,
  blockBytes: 4096,
  blockCacheBytes: 0,
  readAhead: { windowBytes: 8192, totalBytes: 16_384 },
  compaction: { l0Trigger: 2, tableBytes: 65_536, baseBytes: 65_536, multiplier: 2, idleMs: 0 },
};
const KEYS = 1200;

type Entries = EntryIterator<string, Buffer>;

/** Value of a key after a round; of an odd round every fifth key is deleted. */
function valueIn(round: number, key: number): Buffer | undefined {
  return round % 2 === 1 && key % 5 === 0 ? undefined : valueOf(200 + (key % 90), key * 16 + round);
}

/** Writes all keys, in an order of no use to anybody. */
async function writeRound(database: Database, round: number): Promise<void> {
  const written: Promise<void>[] = [];
  for (let i = 0; i < KEYS; i++) {
    const key = (i * 739) % KEYS;
    const value = valueIn(round, key);
    const options = { sync: false };
    written.push(
      value === undefined ? database.del(keyOf(key), options) : database.put(keyOf(key), value, options),
    );
  }
  await Promise.all(written);
}

/** Keys that a round leaves, in order. */
function keysIn(round: number): number[] {
  return [...Array(KEYS).keys()].filter((key) => valueIn(round, key) !== undefined);
}

/** Whether these are the entries of a round at these places. */
function isRound(entries: readonly [string, Buffer][], round: number, keys: readonly number[]): boolean {
  return (
    entries.length === keys.length &&
    entries.every(
      ([key, value], i) => key === keyOf(keys[i]) && value.equals(valueIn(round, keys[i]) ?? valueOf(1, 0)),
    )
  );
}

/** The next so many, or all that are left. */
async function take(iterator: Entries, count: number): Promise<[string, Buffer][]> {
  const entries: [string, Buffer][] = [];
  while (entries.length < count) {
    const more = await iterator.nextv(Math.min(count - entries.length, 100));
    if (more.length === 0) break;
    entries.push(...more);
  }
  return entries;
}

function rest(iterator: Entries): Promise<[string, Buffer][]> {
  return take(iterator, Infinity);
}

async function opened(
  t: ExecutionContext,
  backend: Backend,
  options: DatabaseOptions = DEEP,
): Promise<{ database: Database; directory: string }> {
  const directory = join(temporaryDirectory(t), 'db');
  return { database: await openDatabase(t, directory, backend, options), directory };
}

/** Tables in three levels at least. */
async function fillLevels(t: ExecutionContext, database: Database): Promise<void> {
  await writeRound(database, 0);
  await database.flush();
  await atRest(database);
  t.true(
    database.stats().levels.length >= 2 && database.stats().levels.at(-1)!.tables > 3,
    shapeOf(database),
  );
}

testBackends(
  'readers in every state keep what they read while everything is replaced, and no longer',
  async (t, backend) => {
    const { database, directory } = await opened(t, backend);
    await fillLevels(t, database);
    const encodings = { keyEncoding: 'utf8' } as const;
    const fresh = database.iterator(encodings);
    const begun = database.iterator(encodings);
    t.true(isRound(await take(begun, 700), 0, keysIn(0).slice(0, 700)));
    const backward = database.iterator({ ...encodings, reverse: true });
    t.true(isRound(await take(backward, 300), 0, keysIn(0).reverse().slice(0, 300)));
    const waiting = database.iterator({ ...encodings, gte: keyOf(600), lt: keyOf(1000) });
    const waited = take(waiting, 50);
    const snapshot = database.snapshot();
    const keys = [...Array(KEYS).keys()].filter((key) => key % 37 === 0);
    const many = database.getMany(keys.map(keyOf));
    const one = database.get(keyOf(777));
    const held = database.stats().levels.reduce((sum, { tables }) => sum + tables, 0);
    await writeRound(database, 1);
    await database.compactRange();
    await writeRound(database, 2);
    await database.compactRange();
    t.true(
      database.stats().levels.every(({ level }) => level === 6),
      shapeOf(database),
    );
    await atRest(database);
    const tables = (): number => database.stats().levels.reduce((sum, each) => sum + each.tables, 0);
    t.is(namesEnding(directory, '.sst').length, tables() + held, 'the tables of the first round are held');
    t.true((await one)?.equals(valueIn(0, 777)!));
    t.true((await many).every((value, i) => value?.equals(valueIn(0, keys[i])!)));
    t.true(isRound(await waited, 0, keysIn(0).slice(600, 650)));
    t.true(isRound(await rest(waiting), 0, keysIn(0).slice(650, 1000)));
    t.true(isRound(await rest(begun), 0, keysIn(0).slice(700)));
    t.true(isRound(await rest(backward), 0, keysIn(0).reverse().slice(300)));
    t.true(isRound(await rest(fresh), 0, keysIn(0)), 'it begins after the tables were replaced');
    const seen = database.iterator({ ...encodings, snapshot });
    t.true(isRound(await rest(seen), 0, keysIn(0)));
    t.true((await database.get(keyOf(5), { snapshot }))?.equals(valueIn(0, 5)!));
    t.true(database.stats().tableFiles.removed > 0, 'what only compactions needed is gone');
    for (const iterator of [begun, backward, waiting]) await iterator.close();
    await expectOnlyTables(t, database, directory);
    await fresh.close();
    await seen.close();
    snapshot.close();
    await database.compactRange();
    t.is(
      database.stats().levels.reduce((sum, { entries }) => sum + entries, 0),
      KEYS,
    );
    await expectOnlyTables(t, database, directory);
    await database.close();
    const reopened = await openDatabase(t, directory, backend, DEEP);
    t.true(isRound(await rest(reopened.iterator(encodings)), 2, keysIn(2)));
    await expectOnlyTables(t, reopened, directory);
  },
);

testBackends(
  'iterators go on from memory to level 0 to the last level, whatever is asked of them',
  async (t, backend) => {
    const variants: readonly DatabaseOptions[] = [
      DEEP,
      { ...DEEP, blockCacheBytes: 131_072, readAhead: { windowBytes: 0 } },
      { ...DEEP, blockCacheBytes: 8 << 20, readAhead: {} },
    ];
    for (const options of variants) {
      // Nothing is flushed or compacted but what is asked for.
      const manual = {
        ...options,
        writeBufferBytes: 4 << 20,
        compaction: { ...options.compaction, automatic: false },
      };
      const { database, directory } = await opened(t, backend, manual);
      await writeRound(database, 1);
      await database.compactRange();
      await writeRound(database, 2);
      await database.flush();
      await writeRound(database, 3);
      const expected = keysIn(3);
      const open = (reverse: boolean, limit = -1): Entries =>
        database.iterator({ keyEncoding: 'utf8', reverse, limit, gte: keyOf(10), lt: keyOf(1190) });
      const bounded = expected.filter((key) => key >= 10 && key < 1190);
      const readers = [false, true].flatMap((reverse) =>
        [-1, 500].map((limit) => ({
          iterator: open(reverse, limit),
          order: (reverse ? bounded.toReversed() : bounded).slice(0, limit < 0 ? bounded.length : limit),
          at: 0,
        })),
      );
      const sought = [false, true].map((reverse) => ({ iterator: open(reverse), reverse }));
      const steps = [
        () => undefined,
        () => database.flush(),
        () => database.compactRange({ gte: keyOf(500), lt: keyOf(900) }),
        () => database.compactRange(),
        () => writeRound(database, 4),
        () => database.compactRange(),
      ];
      for (const [at, step] of steps.entries()) {
        await step();
        for (const reader of readers) {
          const entries = await take(reader.iterator, 120);
          const from = reader.at;
          reader.at += 120;
          t.true(isRound(entries, 3, reader.order.slice(from, reader.at)), `step ${at}`);
        }
        for (const { iterator, reverse } of sought) {
          for (const target of [1100, 12, 700, 5, 1195]) {
            iterator.seek(keyOf(target));
            const order = reverse ? bounded.toReversed() : bounded;
            const found = order.filter((key) => (reverse ? key <= target : key >= target)).slice(0, 30);
            t.true(isRound(await take(iterator, 30), 3, found), `step ${at}, ${target}, ${String(reverse)}`);
          }
        }
      }
      for (const reader of readers) {
        t.true(isRound(await rest(reader.iterator), 3, reader.order.slice(reader.at)));
        await reader.iterator.close();
      }
      for (const { iterator } of sought) await iterator.close();
      await expectOnlyTables(t, database, directory);
      await database.close();
      const reopened = await openDatabase(t, directory, backend, manual);
      for (const reverse of [false, true]) {
        const order = reverse ? keysIn(4).reverse() : keysIn(4);
        t.true(isRound(await rest(reopened.iterator({ keyEncoding: 'utf8', reverse })), 4, order));
      }
      await reopened.close();
    }
  },
);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** In a call of its own, so that no frame refers to them any more. */
async function abandon(database: Database): Promise<void> {
  await database.iterator({ gte: keyOf(100) }).next();
  await database.keys({ reverse: true }).nextv(5);
  database.snapshot();
}

testBackends(
  'iterators that nobody closes let their files go when they are collected',
  async (t, backend) => {
    const { database, directory } = await opened(t, backend);
    await fillLevels(t, database);
    await abandon(database);
    await writeRound(database, 1);
    await database.compactRange();
    await atRest(database);
    for (let attempt = 0; attempt < 250 && database.stats().readers.oldestSequence !== null; attempt++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.is(database.stats().readers.iterators, 0);
    await expectOnlyTables(t, database, directory);
    await database.compactRange();
    t.is(
      database.stats().levels.reduce((sum, { entries }) => sum + entries, 0),
      keysIn(1).length,
    );
  },
);

test.serial('lookups that are under way when their tables are replaced find what was there', async (t) => {
  // Without filters a lookup goes from table to table, each of which has to be read.
  const options: DatabaseOptions = {
    writeBufferBytes: 65_536,
    blockBytes: 4096,
    blockCacheBytes: 0,
    filterBitsPerKey: 0,
    compaction: { automatic: false },
  };
  for (let seed = 1; seed <= 12; seed++) {
    const world = new HeldWorld(undefined, seed);
    const database = await world.open(options);
    for (let round = 0; round < 4; round++) {
      const batch = database.batch();
      for (let key = round; key < 60; key += 4) batch.put(keyOf(key), valueOf(150, key));
      await batch.put('a', 'first').put('z', 'last').write();
      await database.flush();
    }
    // What is merged is there, and its edit waits.
    const compacting = database.compactRange();
    await world.until(() => database.stats().compactions.running !== null);
    world.hold(ROLE_FLUSH);
    await world.turns(20_000);
    world.hold(ROLE_FOREGROUND);
    const gets = Array.from({ length: 60 }, (_, key) => database.get(keyOf(key)));
    const many = database.getMany(Array.from({ length: 70 }, (_, key) => keyOf(key)));
    const iterator = database.iterator({ keyEncoding: 'utf8' });
    const waiting = take(iterator, 40);
    await world.turns(100);
    world.release(ROLE_FLUSH);
    await compacting;
    t.is(shapeOf(database), '6:1', 'the lookups that wait are of another version');
    t.is(database.stats().tableFiles.removing, 0, 'whose tables they hold');
    world.release(ROLE_FOREGROUND);
    (await Promise.all(gets)).forEach((value, key) => t.true(value?.equals(valueOf(150, key)), keyOf(key)));
    (await many).forEach((value, key) => t.deepEqual(value, key < 60 ? valueOf(150, key) : undefined));
    const rested = [...(await waiting), ...(await rest(iterator))];
    t.deepEqual(
      rested.map(([key]) => key),
      ['a', ...Array.from({ length: 60 }, (_, key) => keyOf(key)), 'z'],
    );
    await iterator.close();
    await world.until(
      () => [...world.disk.names.keys()].filter((name) => name.includes('.sst')).length === 1,
    );
    t.is(database.stats().tableFiles.failed, 0);
    await database.close();
    t.deepEqual([...world.openFiles.values()], []);
  }
});

test.serial(
  'a database that is closed with readers on replaced tables removes their files at the next open',
  async (t) => {
    const options: DatabaseOptions = {
      writeBufferBytes: 65_536,
      blockBytes: 4096,
      compaction: { automatic: false },
    };
    const world = new HeldWorld();
    const database = await world.open(options);
    for (let round = 0; round < 3; round++) {
      await database.put(keyOf(round), 'value');
      await database.put(keyOf(9), `${round}`);
      await database.flush();
    }
    const iterator = database.iterator();
    await iterator.next();
    const snapshot = database.snapshot();
    await database.compactRange();
    await database.close();
    await iterator.close();
    snapshot.close();
    t.deepEqual([...world.openFiles.values()], [], 'and has none of them open');
    const next = new HeldWorld(world.disk);
    const reopened = await next.open(options);
    t.is([...next.disk.names.keys()].filter((name) => name.includes('.sst')).length, 1);
    t.is(reopened.getString(keyOf(9)), '2');
    await reopened.close();
  },
);
