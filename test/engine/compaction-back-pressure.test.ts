/** Writes that are held back until compactions have caught up: slowed down, stopped, let go, and none of them lost. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { atRest, eventually } from '../support/at-rest.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { endedWell, runChild, scriptBeside } from '../support/children.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';
import { keyOf, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const CHILD = scriptBeside(import.meta.url, 'compaction-child');
const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 65_536 };
/** Nothing is compacted that nobody asked for. */
const MANUAL: DatabaseOptions = {
  ...SMALL,
  compaction: { automatic: false, l0Trigger: 2, l0Slowdown: 3, l0Stop: 5 },
};

function open(t: ExecutionContext, backend: Backend, options: DatabaseOptions): Promise<Database> {
  return openDatabase(t, join(temporaryDirectory(t), 'db'), backend, options);
}

/** A table of level 0 for each. */
async function addTables(database: Database, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await database.put('same key', valueOf(100, i));
    await database.flush();
  }
}

testBackends(
  'writes are slowed down from one number of tables on, and stop at another',
  async (t, backend) => {
    const database = await open(t, backend, MANUAL);
    await addTables(database, 3);
    t.deepEqual([database.stats().writes.pressure, database.stats().writes.pressureReason], [0, null]);
    await addTables(database, 1);
    t.deepEqual([database.stats().writes.pressure, database.stats().writes.pressureReason], [0.5, 'level-0']);
    for (let i = 0; i < 50; i++) await database.put(keyOf(i), valueOf(100, i));
    t.is(database.stats().writes.stalled.stop.count, 0);
    await database.flush();
    t.is(database.stats().writes.pressure, 1);
    let isWritten = false;
    const stopped = database.put('stopped', 'one').then(() => (isWritten = true));
    const batch = database.batch([{ type: 'put', key: 'batch', value: valueOf(2 * MEBIBYTE, 1) }]);
    // As long as ten times what a slowed write of this size takes.
    await new Promise((resolve) => setTimeout(resolve, 30));
    t.false(isWritten);
    t.is(database.stats().writes.waiting, 2);
    t.is(database.stats().writes.stalled.stop.count, 1);
    t.true(database.stats().writes.stalled.stop.milliseconds >= 25, 'a stall that has not ended counts');
    t.is(database.getString('stopped'), undefined);
    t.is(database.getString(keyOf(49), 'latin1'), valueOf(100, 49).toString('latin1'), 'reads go on');
    await database.compactRange();
    await stopped;
    await batch;
    t.is(database.stats().writes.pressure, 0);
    t.is(database.getString('stopped'), 'one');
    const after = database.stats().writes;
    t.is(after.stalled.stop.count, 1);
    await database.put('at once', '1');
    t.deepEqual(database.stats().writes.stalled.stop, after.stalled.stop);
  },
);

testBackends(
  'a compaction that is too slow holds writes back, a faster one lets them go, and nothing is lost',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const options: DatabaseOptions = {
      ...SMALL,
      compaction: { l0Trigger: 2, l0Slowdown: 3, l0Stop: 5, rateBytesPerSecond: MEBIBYTE, idleMs: 0 },
    };
    const database = await openDatabase(t, directory, backend, options);
    const acknowledged = new Set<number>();
    // All over the keys: what is written in order is only moved from level to level.
    const keyAt = (i: number): string => keyOf((i * 7919) % 2400);
    const writes = Array.from({ length: 2400 }, (_, i) =>
      database.put(keyAt(i), valueOf(1000, i), { sync: i % 50 === 0 }).then(() => acknowledged.add(i)),
    );
    await eventually(() => database.stats().writes.stalled.stop.count > 0);
    t.true(acknowledged.size < writes.length);
    t.true((database.stats().levels[0]?.tables ?? 0) <= 5 + 3, 'no more tables than writes let come');
    for (const i of acknowledged) t.true(database.getSync(keyAt(i))?.equals(valueOf(1000, i)));
    t.is(database.stats().compactions.bytesPerSecond, MEBIBYTE);
    database.setCompactionRate(0);
    await Promise.all(writes);
    await atRest(database);
    t.is(database.stats().writes.pressure, 0);
    t.true(database.stats().writes.stalled.stop.milliseconds > 0);
    await database.close();
    const reopened = await openDatabase(t, directory, backend, options);
    for (let i = 0; i < writes.length; i++) t.true(reopened.getSync(keyAt(i))?.equals(valueOf(1000, i)));
  },
);

test.serial('a slowed write waits as long as the one before it was too large', async (t) => {
  const world = new HeldWorld();
  const database = await world.open({ ...MANUAL, writeBufferBytes: 4 * MEBIBYTE });
  await addTables(database, 4);
  t.is(database.stats().writes.pressure, 0.5);
  const batch = Array.from({ length: 70 }, (_, i) => ({
    type: 'put' as const,
    key: keyOf(i),
    value: valueOf(10_000, i),
  }));
  const written = [database.batch(batch), database.put('next', 'one'), database.put('last', 'two')];
  t.is(database.stats().writes.waiting, 2);
  t.is(database.getSync(keyOf(69))?.length, 10_000, 'what is written has taken effect');
  t.is(database.getString('next'), undefined);
  await Promise.all(written);
  const { slowdown, stop } = database.stats().writes.stalled;
  t.is(slowdown.count, 1);
  // At 32 MiB a second, which is taken for the drain at first.
  t.true(slowdown.milliseconds >= 20, `${slowdown.milliseconds} ms`);
  t.is(stop.count, 0);
  await database.close();
});

testBackends('writes that stopped for pending bytes go on when those are worked off', async (t, backend) => {
  const database = await open(t, backend, {
    ...SMALL,
    writeBufferBytes: MEBIBYTE,
    compaction: {
      l0Trigger: 2,
      pendingSlowdownBytes: MEBIBYTE,
      pendingStopBytes: MEBIBYTE + 1,
      rateBytesPerSecond: MEBIBYTE,
      idleMs: 0,
    },
  });
  // Two tables of level 0 are due, and are more than may be pending.
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 900; i++) await database.put(keyOf(2 * i + round), valueOf(1000, i), { sync: false });
    await database.flush();
  }
  t.deepEqual(
    [database.stats().writes.pressure, database.stats().writes.pressureReason],
    [1, 'pending-bytes'],
  );
  t.true(database.stats().compactions.pendingBytes > MEBIBYTE);
  const write = database.put('last', 'one');
  t.is(database.stats().writes.waiting, 1);
  database.setCompactionRate(0);
  // Nothing else happens after the last compaction that could let it go.
  await write;
  t.is(database.stats().compactions.pendingBytes, 0);
  t.is(database.stats().writes.pressure, 0);
});

testBackends('what waits when the database is closed is refused, or is there', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, MANUAL);
  await addTables(database, 5);
  const writes = Array.from({ length: 100 }, (_, i) => database.put(keyOf(i), valueOf(1000, i)));
  const outcomes = Promise.allSettled(writes);
  await database.close();
  const codes = (await outcomes).map((outcome) =>
    outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'there',
  );
  const reopened = await openDatabase(t, directory, backend, MANUAL);
  codes.forEach((code, i) => {
    const value = reopened.getSync(keyOf(i));
    if (code === 'there') t.true(value?.equals(valueOf(1000, i)));
    else t.deepEqual([code, value], ['CLOSED', undefined]);
  });
});

testBackends(
  'writes that wait for compactions are written when the database is closed',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const database = await openDatabase(t, directory, backend, MANUAL);
    await addTables(database, 5);
    t.is(database.stats().writes.pressure, 1);
    const writes = Array.from({ length: 300 }, (_, i) => database.put(keyOf(i), valueOf(1000, i)));
    t.is(database.stats().writes.waiting, 300);
    await database.close();
    await Promise.all(writes);
    const reopened = await openDatabase(t, directory, backend, MANUAL);
    for (let i = 0; i < 300; i++) t.true(reopened.getSync(keyOf(i))?.equals(valueOf(1000, i)));
  },
);

testBackends('a write that is given up while writes are stopped', async (t, backend) => {
  const database = await open(t, backend, MANUAL);
  await addTables(database, 5);
  const controller = new AbortController();
  const given = expectCode(t, 'ABORTED', () => database.put('given up', '1', { signal: controller.signal }));
  const kept = database.put('kept', '1');
  controller.abort();
  await database.compactRange();
  await given;
  await kept;
  t.is(database.getString('given up'), undefined);
});

testBackends('the rate of compactions is set, and said', async (t, backend) => {
  const database = await open(t, backend, { ...SMALL, compaction: { rateBytesPerSecond: 2 * MEBIBYTE } });
  const rate = (): number => database.stats().compactions.bytesPerSecond;
  t.is(rate(), 2 * MEBIBYTE);
  for (const good of [0, MEBIBYTE, 5_000_000, 2 ** 40]) {
    database.setCompactionRate(good);
    t.is(rate(), good);
  }
  const wrong: readonly unknown[] = [
    null,
    -1,
    1,
    MEBIBYTE - 1,
    2 ** 40 + 1,
    15_000_000.5,
    NaN,
    Infinity,
    '0',
    'fast',
    {},
  ];
  for (const each of wrong as readonly number[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.setCompactionRate(each));
    t.is(rate(), 2 ** 40);
  }
  database.setCompactionRate('auto');
  t.true(rate() >= 64 * MEBIBYTE);
  await database.close();
  await expectCode(t, 'CLOSED', () => database.setCompactionRate(0));
});

testBackends(
  'a process that waits for a slowed or stopped write lives until it is written',
  async (t, backend) => {
    for (const scenario of ['slowdown', 'stop']) {
      const directory = join(temporaryDirectory(t), 'db');
      const end = await runChild(t, CHILD, [scenario, backend, directory]);
      endedWell(t, end);
      t.is(end.stdout, `waits ${scenario === 'slowdown' ? 2 : 1}\nwritten\n`);
      const database = await openDatabase(t, directory, backend, SMALL);
      t.is(database.getString('last'), 'one');
      await database.close();
    }
  },
);

testBackends('a process ends that only could bring its levels to rest later', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const end = await runChild(t, CHILD, ['idle', backend, directory]);
  endedWell(t, end);
  t.is(end.stdout, 'idle\n');
});
