/**
 * A full file system: the write that met it is refused with NO_SPACE and has not happened, nothing acknowledged is lost,
 * reads go on, and writing goes on when there is space again. Each test fills a small tmpfs of its own.
 */
import { rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseOptions } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { namesEnding, openDatabase } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { fill, History } from '../support/full-disk.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { expectValue } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
/** Logs of 1 MiB, memtables of 256 KiB. */
const OPTIONS: DatabaseOptions = { writeBufferBytes: 262_144, blockBytes: 4096, blockCacheBytes: 65_536 };

testBackends(
  'a full disk refuses writes, loses nothing, and is written to again when there is space',
  async (t, backend) => {
    const place = mountTmpfs(t, 24 * MEBIBYTE);
    if (place === undefined) return;
    const directory = join(place, 'db');
    let database = await openDatabase(t, directory, backend, OPTIONS);
    const history = new History();
    const filler = fill(place, 8 * MEBIBYTE);
    await history.putUntilFull(t, database);
    t.true(history.acknowledged.size > 100);
    t.is(database.stats().failure, null);
    history.check(t, database);
    // Still full: refused again, and reads still go on.
    for (let i = 0; i < 20; i++) t.is(await history.put(t, database), 'NO_SPACE');
    history.check(t, database);
    rmSync(filler);
    for (let i = 0; i < 200; i++) t.is(await history.put(t, database), undefined);
    history.check(t, database);
    await database.flush();
    history.check(t, database);
    await database.close();
    database = await openDatabase(t, directory, backend, OPTIONS);
    history.check(t, database);
  },
);

testBackends('a database that met a full disk closes, and recovers what it has', async (t, backend) => {
  const place = mountTmpfs(t, 24 * MEBIBYTE);
  if (place === undefined) return;
  const directory = join(place, 'db');
  let database = await openDatabase(t, directory, backend, OPTIONS);
  const history = new History();
  const filler = fill(place, 6 * MEBIBYTE);
  await history.putUntilFull(t, database);
  await database.close();
  rmSync(filler);
  database = await openDatabase(t, directory, backend, OPTIONS);
  history.check(t, database);
  t.is(await history.put(t, database), undefined);
  await database.close();
  database = await openDatabase(t, directory, backend, OPTIONS);
  history.check(t, database);
});

testBackends('many writes in flight when the disk becomes full', async (t, backend) => {
  const place = mountTmpfs(t, 24 * MEBIBYTE);
  if (place === undefined) return;
  const directory = join(place, 'db');
  let database = await openDatabase(t, directory, backend, OPTIONS);
  const history = new History();
  const filler = fill(place, 6 * MEBIBYTE);
  const codes = await Promise.all(Array.from({ length: 5000 }, () => history.put(t, database)));
  t.true(codes.includes('NO_SPACE') && codes.includes(undefined));
  t.deepEqual(
    codes.filter((code) => code !== undefined && code !== 'NO_SPACE'),
    [],
  );
  history.check(t, database);
  rmSync(filler);
  const later = await Promise.all(Array.from({ length: 500 }, () => history.put(t, database)));
  t.deepEqual(
    later.filter((code) => code !== undefined),
    [],
  );
  history.check(t, database);
  await database.close();
  database = await openDatabase(t, directory, backend, OPTIONS);
  history.check(t, database);
});

testBackends(
  'flush on a full disk is refused, leaves nothing behind, and succeeds later',
  async (t, backend) => {
    const place = mountTmpfs(t, 24 * MEBIBYTE);
    if (place === undefined) return;
    const directory = join(place, 'db');
    let database = await openDatabase(t, directory, backend, OPTIONS);
    const history = new History();
    for (let i = 0; i < 50; i++) t.is(await history.put(t, database), undefined);
    const filler = fill(place);
    for (let i = 0; i < 3; i++) {
      const error = await expectCode(t, 'NO_SPACE', () => database.flush());
      t.true(error.cause instanceof Error);
      t.deepEqual([...namesEnding(directory, '.sst'), ...namesEnding(directory, '.tmp')], []);
    }
    history.check(t, database);
    // The log has room that was reserved before: small writes go on.
    t.is(await history.put(t, database, 100), undefined);
    rmSync(filler);
    await database.flush();
    t.is(database.stats().memtables.activeEntries, 0);
    t.is(database.stats().memtables.frozen, 0);
    t.is(namesEnding(directory, '.sst').length, database.stats().levels[0]?.tables);
    history.check(t, database);
    await database.close();
    database = await openDatabase(t, directory, backend, OPTIONS);
    t.is(database.stats().recovery.replayedRecords, 0);
    history.check(t, database);
  },
);

testBackends('a large value that does not fit is refused, smaller ones go on', async (t, backend) => {
  const place = mountTmpfs(t, 24 * MEBIBYTE);
  if (place === undefined) return;
  const directory = join(place, 'db');
  let database = await openDatabase(t, directory, backend, OPTIONS);
  const history = new History();
  for (let i = 0; i < 10; i++) t.is(await history.put(t, database), undefined);
  t.is(await history.put(t, database, 30 * MEBIBYTE), 'NO_SPACE');
  for (let i = 0; i < 10; i++) t.is(await history.put(t, database), undefined);
  // What was tried takes no space.
  const { bavail, bsize } = statfsSync(place);
  t.true(bavail * bsize > 16 * MEBIBYTE, `${(bavail * bsize) / MEBIBYTE} MiB are free`);
  history.check(t, database);
  await database.close();
  database = await openDatabase(t, directory, backend, OPTIONS);
  history.check(t, database);
});

testBackends('a full disk at open', async (t, backend) => {
  const place = mountTmpfs(t, 24 * MEBIBYTE);
  if (place === undefined) return;
  const directory = join(place, 'db');
  let database = await openDatabase(t, directory, backend, OPTIONS);
  const history = new History();
  for (let i = 0; i < 400; i++) t.is(await history.put(t, database), undefined);
  await database.close();
  const filler = fill(place);
  for (const target of [directory, join(place, 'new')]) {
    await expectCode(t, 'NO_SPACE', async () => (await openDatabase(t, target, backend, OPTIONS)).close());
  }
  rmSync(filler);
  for (const target of [directory, join(place, 'new')]) {
    database = await openDatabase(t, target, backend, OPTIONS);
    if (target === directory) history.check(t, database);
    t.is(await history.put(t, database), undefined);
    await expectValue(
      t,
      database,
      [...history.acknowledged.keys()].at(-1)!,
      [...history.acknowledged.values()].at(-1),
    );
    await database.close();
  }
});
