/**
 * The scan model in one thread over a disk in memory, where completions come in any order, a read ahead lands in any of
 * the buffers that are lent, and may fail, come back short, or leave its buffer with the ring. None of that may be seen
 * by whoever reads. What fails on demand is.
 */
import test from 'ava';
import { Database, type DatabaseOptions, type QuadringError } from '../../src/index.ts';
import { expectCode } from '../support/errors.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { Random, testSeed } from '../support/random.ts';
import { expectModelHolds } from '../support/scan-model.ts';
import { keyOf, valueOf } from '../support/values.ts';

const TINY: DatabaseOptions = { writeBufferBytes: 1 << 20, blockBytes: 4096, blockCacheBytes: 0 };
const ENTRIES = 600;

/** Now and then time passes that nobody waits for: level 0 is compacted because nothing was written for a while. */
const TIME_PASSES_ONE_IN = 2000;

function openOn(disk: FaultyDisk, seed: number, options: DatabaseOptions): Promise<Database> {
  const random = new Random(seed);
  const world = simulatedWorld({
    disk,
    random: () => {
      const fraction = random.fraction();
      if (random.fraction() * TIME_PASSES_ONE_IN < 1) queueMicrotask(() => world.fireTimers());
      return fraction;
    },
  });
  return Database.openIn(world.environment, SIMULATED_DIRECTORY, options);
}

/** Some two hundred blocks in one table. */
async function filled(disk: FaultyDisk, seed: number, options: DatabaseOptions = TINY): Promise<Database> {
  const database = await openOn(disk, seed, options);
  await database.batch(
    Array.from({ length: ENTRIES }, (_, i) => ({
      type: 'put' as const,
      key: keyOf(i),
      value: valueOf(1300, i),
    })),
  );
  await database.flush();
  return database;
}

/** How many entries a whole scan gives, each checked. */
async function scanAll(database: Database, reverse = false): Promise<number> {
  let count = 0;
  for await (const [key, value] of database.iterator({ reverse })) {
    const number = reverse ? ENTRIES - 1 - count : count;
    if (key.toString() !== keyOf(number) || !value.equals(valueOf(1300, number)))
      throw new Error(`entry ${count} is wrong`);
    count++;
  }
  return count;
}

test.serial('random scans and reads see their moment, whatever becomes of reads ahead', async (t) => {
  const counts = { none: 0, named: 0, kept: 0, short: 0 };
  await expectModelHolds(
    t,
    (settings, seed) => {
      const disk = new FaultyDisk(new Random(seed));
      disk.faultOneIn = 4;
      disk.faults = ['named', 'short', 'short', 'kept'];
      disk.keptMax = 3;
      return async () => {
        const database = await openOn(disk, seed, settings);
        for (const fault of ['none', 'named', 'kept', 'short'] as const) {
          counts[fault] += disk.counts[fault];
          disk.counts[fault] = 0;
        }
        return database;
      };
    },
    { runs: 30, operationsMin: 20_000 },
  );
  t.log(JSON.stringify(counts));
  t.true(counts.named > 0 && counts.short > 0 && counts.kept > 0 && counts.none > 0, JSON.stringify(counts));
});

for (const fault of ['named', 'short'] as const) {
  test.serial(`scans are right when every read ahead is ${fault}`, async (t) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const disk = new FaultyDisk(new Random(seed));
    const database = await filled(disk, seed);
    disk.faultOneIn = 1;
    disk.faults = [fault];
    t.is(await scanAll(database), ENTRIES);
    t.is(await scanAll(database, true), ENTRIES);
    t.true(disk.counts[fault] > 0);
    const { readAhead } = database.stats();
    t.is(readAhead.inFlight, 0);
    t.is(readAhead.slots, 0, 'every slot came back');
    await database.close();
  });
}

test.serial('reads go on when the ring keeps the buffer of every read ahead', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const disk = new FaultyDisk(new Random(seed));
  const database = await filled(disk, seed);
  disk.faultOneIn = 1;
  disk.faults = ['kept'];
  const scans = 20;
  let scanned = 0;
  // All of it are microtasks: when the event loop goes on, it has ended or waits for ever.
  const scanning = (async () => {
    for (let i = 0; i < scans; i++) {
      await scanAll(database, i % 2 === 1);
      scanned++;
    }
  })();
  await Promise.race([scanning, new Promise((resolve) => setImmediate(resolve))]);
  t.log(`${disk.counts.kept} buffers were kept`);
  t.is(scanned, scans, `${disk.counts.kept} buffers were kept when no read came back any more`);
  await database.close();
});

test.serial('what the ring kept is lent anew when the database is opened again', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const disk = new FaultyDisk(new Random(seed));
  const first = await filled(disk, seed);
  disk.faultOneIn = 2;
  disk.faults = ['kept'];
  disk.keptMax = 50;
  t.is(await scanAll(first), ENTRIES);
  t.true(disk.counts.kept > 10);
  await first.close();
  disk.faultOneIn = 0;
  const second = await openOn(disk, seed, TINY);
  t.is(await scanAll(second), ENTRIES);
  t.is(await scanAll(second, true), ENTRIES);
  t.is(second.stats().readAhead.slots, 0);
  await second.close();
});

for (const windowBytes of [0, 65_536]) {
  test.serial(`what fails on demand rejects, ${windowBytes} bytes ahead, and is read later`, async (t) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const disk = new FaultyDisk(new Random(seed));
    const database = await filled(disk, seed, { ...TINY, readAhead: { windowBytes } });
    const snapshot = database.snapshot();
    const failing = database.iterator();
    disk.failsReadsFrom = 1;
    const error = await expectCode(t, 'IO_ERROR', () => failing.next());
    t.regex(error.message, /reading 0*\d+\.sst/);
    await expectCode(t, 'IO_ERROR', () => database.get(keyOf(1)));
    await expectCode(t, 'IO_ERROR', () => database.getSync(keyOf(1)));
    await expectCode(t, 'IO_ERROR', () => database.get(keyOf(1), { snapshot }));
    await expectCode(t, 'IO_ERROR', () => database.has(keyOf(2)));
    await expectCode(t, 'IO_ERROR', () => database.getMany([keyOf(3), keyOf(300), 'absent']));
    await expectCode(t, 'IO_ERROR', () => scanAll(database));
    t.true(disk.refusedReads > 6);
    disk.failsReadsFrom = Infinity;
    t.is(await scanAll(database), ENTRIES);
    t.true((await database.get(keyOf(1), { snapshot }))?.equals(valueOf(1300, 1)));
    const [third, missing] = await database.getMany([keyOf(3), 'absent']);
    t.true(third?.equals(valueOf(1300, 3)));
    t.is(missing, undefined);
    failing.seek(keyOf(5));
    t.is((await failing.next())?.[0].toString(), keyOf(5), 'an iterator that failed goes on behind a seek');
    await failing.close();
    snapshot.close();
    await database.close();
  });
}

test.serial('a read that fails in the middle of a scan loses nothing of what was read before', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const disk = new FaultyDisk(new Random(seed));
  const database = await filled(disk, seed, { ...TINY, readAhead: { windowBytes: 0 } });
  const iterator = database.keys();
  const given: string[] = [];
  for (let i = 0; i < 3; i++) given.push(String(await iterator.next()));
  disk.failsReadsFrom = 1;
  for (;;) {
    const outcome = await iterator.nextv(2).catch((error: unknown) => error);
    if (!Array.isArray(outcome)) break;
    given.push(...outcome.map(String));
  }
  disk.failsReadsFrom = Infinity;
  iterator.seek(keyOf(given.length));
  for (let items = await iterator.nextv(100); items.length > 0; items = await iterator.nextv(100))
    given.push(...items.map(String));
  t.deepEqual(
    given,
    Array.from({ length: ENTRIES }, (_, i) => keyOf(i)),
  );
  await iterator.close();
  await database.close();
});

test.serial('an iterator that a loop leaves behind with an error is closed', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const disk = new FaultyDisk(new Random(seed));
  const database = await filled(disk, seed);
  disk.failsReadsFrom = 1;
  await expectCode(t, 'IO_ERROR', () => scanAll(database));
  t.is(database.stats().readers.iterators, 0, 'for await');
  const batches = database.iterator().batches();
  await expectCode(t, 'IO_ERROR', () => batches.next());
  t.is(database.stats().readers.iterators, 0, 'batches');
  await database.close();
});

test.serial('a call in every microtask is BUSY or gives what comes next, and nothing is lost', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const database = await filled(new FaultyDisk(new Random(seed)), seed);
  for (const isQuick of [false, true]) {
    const keys = database.keys({ keyEncoding: 'latin1' });
    const given: (readonly string[])[] = [];
    let refused = 0;
    let ended = 0;
    for (let i = 0; ended === 0 && i < 200_000; i++) {
      const place = given.push([]) - 1;
      const call = i % 3 === 2 ? keys.nextv(1 + (i % 5)) : keys.next();
      call.then(
        (items) => {
          if (items === undefined || items.length === 0) ended++;
          else given[place] = [items].flat();
        },
        () => refused++,
      );
      if (!isQuick || i % 2 === 1) await Promise.resolve();
    }
    await new Promise((resolve) => setImmediate(resolve));
    t.deepEqual(
      given.flat(),
      Array.from({ length: ENTRIES }, (_, i) => keyOf(i)),
      'in the order of the calls',
    );
    t.true(refused > 0);
    await keys.close();
  }
  await database.close();
});

test.serial('whoever asks again after a read that failed misses nothing', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  let failures = 0;
  for (const valueBytes of [700, 20_000]) {
    for (const reverse of [false, true]) {
      const disk = new FaultyDisk(new Random(seed));
      const database = await openOn(disk, seed, { ...TINY, readAhead: { windowBytes: 32_768 } });
      const expected = Array.from({ length: 120 }, (_, i) => keyOf(i));
      for (let i = 0; i < 120; i++) await database.put(keyOf(i), valueOf(valueBytes, i));
      await database.flush();
      for (let i = 0; i < 120; i += 3) await database.put(keyOf(i), valueOf(valueBytes, i));
      await database.flush();
      if (reverse) expected.reverse();
      disk.refuseOneIn = 5;
      const iterator = database.iterator({ reverse });
      const given: string[] = [];
      while (given.length < expected.length) {
        const items = await iterator.nextv(1 + random.below(9)).catch((error: unknown) => {
          t.is((error as QuadringError).code, 'IO_ERROR');
          failures++;
          iterator.seek(expected[given.length]);
          return [];
        });
        for (const [key, value] of items) {
          const number = expected.indexOf(key.toString());
          t.true(value.equals(valueOf(valueBytes, reverse ? 119 - number : number)));
          given.push(key.toString());
        }
        const key = random.below(120);
        const value = await database.get(keyOf(key)).catch(() => undefined);
        t.true(value === undefined || value.equals(valueOf(valueBytes, key)));
      }
      t.deepEqual(given, expected);
      await iterator.close();
      await new Promise((resolve) => setImmediate(resolve));
      t.is(database.stats().readAhead.slots, 0);
      t.is(database.stats().readAhead.inFlight, 0);
      await database.close();
    }
  }
  t.true(failures > 10, `${failures} calls failed`);
});
