/** Which files are kept to be written over, which one is taken, and when they go. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Database } from '../../src/index.ts';
import { SpareFiles, type SpareFile } from '../../src/main/spare-files.ts';
import { eventually, expectOnlyTables } from '../support/at-rest.ts';
import { testBackends } from '../support/backends.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const EIO = 5;

/** Time that passes when it is told to. */
class Rig {
  readonly removed: number[] = [];
  readonly spares: SpareFiles;
  /** Until the timer fires that is set. */
  waitMs: number | undefined;
  #fire: () => void = () => undefined;

  constructor(setting: number | 'auto') {
    this.spares = new SpareFiles({
      setting,
      compactionBytesMax: 100 * MEBIBYTE,
      after: (milliseconds, _keepsAlive, callback) => {
        this.waitMs = milliseconds;
        this.#fire = callback;
        return { cancel: () => (this.waitMs = undefined) };
      },
      remove: ({ number }) => this.removed.push(number),
    });
  }

  pass(): void {
    this.waitMs = undefined;
    this.#fire();
  }
}

function file(number: number, bytes: number): SpareFile {
  return { number, bytes };
}

test('the file whose length is next to what is written is taken, unless most of it would be left', (t) => {
  const { spares } = new Rig(1000);
  for (const [number, bytes] of [100, 200, 300].entries()) t.true(spares.keep(file(number, bytes)));
  t.is(spares.bytes, 600);
  t.is(spares.take(49), undefined, 'less than half of the smallest');
  t.is(spares.take(210)?.bytes, 200);
  t.is(spares.take(210)?.bytes, 300);
  t.is(spares.take(10_000)?.bytes, 100, 'a file may grow');
  t.is(spares.take(10_000), undefined);
  t.is(spares.count, 0);
  t.is(spares.bytes, 0);
});

test('as many bytes are kept as may be, and what is beyond goes bit by bit', (t) => {
  const rig = new Rig(100 * MEBIBYTE);
  const { spares } = rig;
  for (let number = 1; number <= 5; number++) spares.keep(file(number, 40 * MEBIBYTE));
  t.is(spares.count, 5, 'twice as much for a while');
  t.false(spares.keep(file(6, 1)), 'and no more');
  t.is(rig.waitMs, 1000, 'as of the first one');
  spares.take(40 * MEBIBYTE);
  rig.pass();
  t.deepEqual(rig.removed, [2], 'there is more than is to be kept, whether files are taken or not');
  t.is(rig.waitMs, 500);
  rig.pass();
  t.deepEqual(rig.removed, [2, 3]);
  t.is(rig.waitMs, 1000);
  t.is(spares.bytes, 80 * MEBIBYTE);
});

test('when nothing has been written over for a while all go, bit by bit', (t) => {
  const rig = new Rig(1000 * MEBIBYTE);
  const { spares } = rig;
  for (const [number, mebibytes] of [10, 10, 15, 10, 100, 1].entries()) {
    spares.keep(file(number, mebibytes * MEBIBYTE));
  }
  spares.take(10 * MEBIBYTE);
  rig.pass();
  t.deepEqual(rig.removed, [], 'one was taken');
  rig.pass();
  t.deepEqual(rig.removed, [1, 2], '32 MiB at a time');
  rig.pass();
  t.deepEqual(rig.removed, [1, 2, 3]);
  rig.pass();
  t.deepEqual(rig.removed, [1, 2, 3, 4], 'or one that has more');
  rig.pass();
  t.deepEqual(rig.removed, [1, 2, 3, 4, 5]);
  t.is(rig.waitMs, undefined, 'nothing is left to wait for');
});

test('all go when somebody needs the space, or nobody writes any more', (t) => {
  const rig = new Rig(1000);
  const { spares } = rig;
  for (let number = 1; number <= 3; number++) spares.keep(file(number, 10));
  spares.removeAll();
  t.deepEqual(rig.removed, [1, 2, 3]);
  t.true(spares.keep(file(4, 10)));
  spares.close();
  t.deepEqual(rig.removed, [1, 2, 3, 4]);
  t.is(rig.waitMs, undefined);
  t.false(spares.keep(file(5, 10)));
});

test('by default as much is kept as a compaction reads, of files that are not small; or nothing', (t) => {
  const { spares } = new Rig('auto');
  t.false(spares.keep(file(1, 4 * MEBIBYTE - 1)));
  for (let number = 2; number <= 6; number++) t.true(spares.keep(file(number, 40 * MEBIBYTE)));
  t.false(spares.keep(file(7, 4 * MEBIBYTE)));
  t.false(new Rig(0).spares.keep(file(1, 1)));
});

testBackends('tables are written over the files of those that they replace', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = {
    writeBufferBytes: MEBIBYTE,
    compaction: { l0Trigger: 2, tableBytes: 65_536, baseBytes: 65_536, idleMs: 1, spareBytes: 64 * MEBIBYTE },
  };
  const database = await openDatabase(t, directory, backend, options);
  const rounds = 12;
  for (let round = 0; round < rounds; round++) {
    const batch = database.batch();
    for (let i = 0; i < 1000; i++) batch.put(keyOf(i), valueOf(300, i + round));
    await batch.write();
    await database.flush();
  }
  await eventually(() => {
    const { compactions, tableFiles } = database.stats();
    return compactions.running === null && tableFiles.removing === 0;
  });
  const { reused, spareBytes, failed } = database.stats().tableFiles;
  t.true(reused >= 5, `${reused} files were used again`);
  t.is(failed, 0);
  const named = database.stats().levels.reduce((sum, { bytes }) => sum + bytes, 0);
  const files = namesEnding(directory, '.sst').map((name) => statSync(join(directory, name)).size);
  t.is(
    files.reduce((sum, bytes) => sum + bytes, 0),
    named + spareBytes,
    'no table is longer than it says',
  );
  for (let i = 0; i < 1000; i++) t.deepEqual(database.getSync(keyOf(i)), valueOf(300, i + rounds - 1));
  await database.close();
  t.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.tmp')),
    [],
  );
  const reopened = await openDatabase(t, directory, backend, { compaction: { automatic: false } });
  for (let i = 0; i < 1000; i++) t.deepEqual(reopened.getSync(keyOf(i)), valueOf(300, i + rounds - 1));
  await expectOnlyTables(t, reopened, directory);
});

/** A database over the disk that keeps some files, and nothing under way. */
async function withSpares(
  disk: SimulatedDisk,
): Promise<{ readonly database: Database; readonly fireTimers: () => void }> {
  const random = new Random(testSeed());
  const { environment, fireTimers } = simulatedWorld({ disk, random: () => random.fraction() });
  const options = {
    writeBufferBytes: 65_536,
    compaction: { automatic: false, tableBytes: 65_536, spareBytes: MEBIBYTE },
  };
  const database = await Database.openIn(environment, SIMULATED_DIRECTORY, options);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) await database.put(keyOf(i), valueOf(400, i + round));
    await database.flush();
  }
  await database.compactRange();
  await removed(database);
  return { database, fireTimers };
}

async function removed(database: Database): Promise<void> {
  while (database.stats().tableFiles.removing > 0) await Promise.resolve();
}

test('a full disk gets back what is kept, and whoever met it hears nothing of it', async (t) => {
  const disk = new SimulatedDisk();
  const { database } = await withSpares(disk);
  t.true(database.stats().tableFiles.spareBytes > 65_536);
  disk.capacityBytes = [...disk.names.values()].reduce((sum, { size }) => sum + size, 0);
  // So small a table is not written over a large file.
  await database.put('small', 'value');
  await database.flush();
  t.is(database.stats().tableFiles.spare, 0);
  t.is(database.getString('small'), 'value');
  disk.capacityBytes = [...disk.names.values()].reduce((sum, { size }) => sum + size, 0);
  await database.put('other', 'value');
  await expectCode(t, 'NO_SPACE', () => database.flush());
  disk.capacityBytes = Infinity;
  await database.flush();
  t.is(database.stats().failure, null);
  await database.close();
});

test('a directory that cannot be synced when a file goes is final', async (t) => {
  const disk = new SimulatedDisk();
  const { database, fireTimers } = await withSpares(disk);
  t.true(database.stats().tableFiles.spare > 0);
  disk.sync = () => -EIO;
  fireTimers();
  await removed(database);
  t.regex(String(database.stats().failure), /fsync/);
  await expectCode(t, 'FAILED', () => database.put('more', 'value'));
  t.deepEqual(database.getSync(keyOf(1)), valueOf(400, 3));
  await database.close();
});
