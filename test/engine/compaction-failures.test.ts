/**
 * Compactions that meet a full file system or a damaged table, on real files: nothing is lost or removed, the rest of the
 * database goes on, `stats()` says what is wrong, and it goes on by itself when it can.
 */
import { closeSync, copyFileSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { entriesOf, eventually, expectOnlyTables, shapeOf } from '../support/at-rest.ts';
import { testBackends } from '../support/backends.ts';
import { flipByte } from '../support/damage.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { keyOf, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const KEYS = 2000;
/** The second table of level 0 begins a compaction. */
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 4 * MEBIBYTE,
  blockBytes: 4096,
  blockCacheBytes: 65_536,
  compaction: { l0Trigger: 2, idleMs: 0 },
};
const MANUAL: DatabaseOptions = { ...OPTIONS, compaction: { automatic: false } };

/** Takes all the space that is left but `spareBytes`, as another program would; gives the file. */
function fillUp(place: string, spareBytes: number): string {
  const filler = join(place, 'filler');
  const descriptor = openSync(filler, 'w');
  const { bavail, bsize } = statfsSync(place);
  const piece = Buffer.alloc(MEBIBYTE);
  for (let left = bavail * bsize - spareBytes; left > 0; left -= piece.length) {
    writeSync(descriptor, piece, 0, Math.min(left, piece.length));
  }
  closeSync(descriptor);
  return filler;
}

async function writeRound(database: Database, round: number, bytes = 1000): Promise<void> {
  const written: Promise<void>[] = [];
  for (let i = 0; i < KEYS; i++) {
    written.push(database.put(keyOf(i), valueOf(bytes, i * 10 + round), { sync: false }));
  }
  await Promise.all(written);
}

function expectRound(t: ExecutionContext, database: Database, round: number, bytes = 1000): void {
  const wrong = [...Array(KEYS).keys()].filter(
    (i) => !database.getSync(keyOf(i))?.equals(valueOf(bytes, i * 10 + round)),
  );
  t.deepEqual(wrong, []);
}

testBackends(
  'a compaction without space leaves nothing, and goes on when there is some',
  async (t, backend) => {
    const place = mountTmpfs(t, 48 * MEBIBYTE);
    if (place === undefined) return;
    const directory = join(place, 'db');
    const full = await openDatabase(t, directory, backend, OPTIONS);
    await writeRound(full, 1);
    await full.flush();
    // The log has room for some writes, and the disk for a small table; a compaction's would be larger.
    const filler = fillUp(place, MEBIBYTE);
    for (const i of [0, KEYS - 1]) await full.put(keyOf(i), valueOf(1000, i * 10 + 1));
    await full.flush();
    await eventually(() => full.stats().compactions.failures > 0);
    const { lastFailure, compactions } = full.stats().compactions;
    t.regex(String(lastFailure), /ENOSPC|no space/i);
    t.is(compactions, 0);
    await eventually(() => full.stats().compactions.running === null);
    t.is(shapeOf(full), '0:2');
    await expectOnlyTables(t, full, directory);
    expectRound(t, full, 1);
    for (let i = 0; i < 20; i++) await full.put(`meanwhile ${i}`, 'written');
    t.is(full.stats().failure, null);
    await expectCode(t, 'NO_SPACE', () => full.compactRange());
    await expectOnlyTables(t, full, directory);
    rmSync(filler);
    // By itself: within a second or two, as it was tried a few times.
    await eventually(() => full.stats().compactions.compactions > 0);
    await eventually(() => full.stats().compactions.running === null);
    t.is(full.stats().compactions.lastFailure, null);
    t.true(full.stats().compactions.failures > 0);
    expectRound(t, full, 1);
    await full.compactRange();
    t.is(entriesOf(full), KEYS + 20);
    await expectOnlyTables(t, full, directory);
    await full.close();
    const reopened = await openDatabase(t, directory, backend, MANUAL);
    expectRound(t, reopened, 1);
    t.is(reopened.getString('meanwhile 19'), 'written');
  },
);

testBackends('a damaged block is named, and nothing that can be read is lost', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend, MANUAL);
  await writeRound(database, 1, 100);
  await database.flush();
  const [damaged] = namesEnding(directory, '.sst');
  await writeRound(database, 2, 100);
  for (let i = 0; i < KEYS; i += 2) await database.del(keyOf(i), { sync: false });
  await database.flush();
  const inputs = namesEnding(directory, '.sst');
  t.is(inputs.length, 2);
  const snapshotFiles = temporaryDirectory(t);
  for (const name of inputs) copyFileSync(join(directory, name), join(snapshotFiles, name));
  await database.close();
  // A block in the middle of the older table.
  const offset = 20 * 4096;
  flipByte(join(directory, damaged), offset + 1000);
  database = await openDatabase(t, directory, backend, OPTIONS);
  await eventually(() => database.stats().compactions.failures >= 2);
  const { lastFailure } = database.stats().compactions;
  t.true(String(lastFailure).includes(damaged), lastFailure ?? '');
  const error = await expectCode(t, 'TABLE_CORRUPT', () => database.compactRange());
  t.is(error.file, join(directory, damaged));
  t.is(error.offset, offset);
  t.is(typeof error.expected, 'number');
  t.not(error.expected, error.actual);
  t.true(error.message.includes(damaged));
  await eventually(() => database.stats().compactions.running === null);
  t.is(shapeOf(database), '0:2');
  await expectOnlyTables(t, database, directory);
  t.deepEqual(namesEnding(directory, '.sst'), inputs);
  t.is(database.stats().failure, null);
  // Newer versions are in the other table: whatever has one is read.
  for (let i = 0; i < KEYS; i++) {
    const expected = i % 2 === 0 ? undefined : valueOf(100, i * 10 + 2);
    t.true(
      expected === undefined
        ? database.getSync(keyOf(i)) === undefined
        : database.getSync(keyOf(i))?.equals(expected),
    );
  }
  await database.put('a', '1');
  await database.flush();
  t.is(database.getString('a'), '1');
  await database.close();
  // What was damaged comes back, as from a copy: everything is there.
  copyFileSync(join(snapshotFiles, damaged), join(directory, damaged));
  database = await openDatabase(t, directory, backend, MANUAL);
  await database.compactRange();
  t.is(entriesOf(database), KEYS / 2 + 1);
  await expectOnlyTables(t, database, directory);
});

testBackends(
  'a damaged key is TABLE_CORRUPT, before and after a compaction that meets it',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    let database = await openDatabase(t, directory, backend, MANUAL);
    await writeRound(database, 1, 100);
    await database.flush();
    const [damaged] = namesEnding(directory, '.sst');
    await database.close();
    flipByte(join(directory, damaged), 4096 + 500);
    database = await openDatabase(t, directory, backend, MANUAL);
    const corrupt = async (): Promise<string[]> => {
      const keys: string[] = [];
      for (let i = 0; i < KEYS; i++) {
        try {
          t.true((await database.get(keyOf(i)))?.equals(valueOf(100, i * 10 + 1)));
        } catch (error) {
          t.is((error as { code: string }).code, 'TABLE_CORRUPT');
          keys.push(keyOf(i));
        }
      }
      return keys;
    };
    const before = await corrupt();
    t.true(before.length > 10 && before.length < 60, `${before.length} keys of one block`);
    await database.put(before[3], 'written again');
    await expectCode(t, 'TABLE_CORRUPT', () => database.compactRange());
    await database.put('zz', '1');
    await expectCode(t, 'TABLE_CORRUPT', () => database.compactRange({ gte: before[0] }));
    t.is(database.getString(before[3]), 'written again');
    t.is(namesEnding(directory, '.sst').includes(damaged), true);
    await expectCode(t, 'TABLE_CORRUPT', () => database.get(before[4]));
    // A range that the damaged table is not of.
    await database.compactRange({ gte: 'z' });
    await expectOnlyTables(t, database, directory);
  },
);

testBackends('writes that a compaction would let go are told why it failed', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const whole = await openDatabase(t, directory, backend, MANUAL);
  await writeRound(whole, 1, 100);
  await whole.flush();
  await whole.close();
  const [damaged] = namesEnding(directory, '.sst');
  flipByte(join(directory, damaged), 20 * 4096 + 1000);
  const compaction = { l0Trigger: 2, l0Slowdown: 2, l0Stop: 3, idleMs: 0 };
  const database = await openDatabase(t, directory, backend, { ...OPTIONS, compaction });
  for (const i of [0, 1]) {
    await database.put(keyOf(i), valueOf(100, i));
    await database.flush();
  }
  t.is(shapeOf(database), '0:3');
  const error = await expectCode(t, 'TABLE_CORRUPT', () => database.put('stopped', 'one'));
  t.is(error.file, join(directory, damaged));
  t.is(database.stats().writes.waiting, 0);
  t.is(database.stats().writes.stalled.stop.count, 1);
  t.is(database.getString('stopped'), undefined);
  t.deepEqual(database.getSync(keyOf(1)), valueOf(100, 1));
  t.is(database.stats().failure, null, 'the database is not given up');
  await expectCode(t, 'TABLE_CORRUPT', () => database.put('stopped', 'by the next attempt'));
  await database.close();
});
