/**
 * A file system of a few MiB that becomes full at every place where space is needed: creating a database, preparing a log,
 * flushing, compacting, appending to the manifest, beginning a new one, closing. An ext4 over a loop device, which reserves,
 * journals and fills up otherwise than memory does. And one whose journal gives up: read-only under an open database.
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { eventually, expectOnlyTables } from '../support/at-rest.ts';
import { testBackends } from '../support/backends.ts';
import { manifestPath } from '../support/damage.ts';
import { namesEnding, openDatabase } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { fill, History } from '../support/full-disk.ts';
import { ioOf } from '../support/io-setting.ts';
import { mountExt4 } from '../support/mounts.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const PAGE_BYTES = 4096;
/** Logs of 1 MiB, and nothing is done unasked. */
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 256 * KIBIBYTE,
  blockBytes: 4096,
  blockCacheBytes: 64 * KIBIBYTE,
  compaction: { automatic: false, spareBytes: 0 },
};
/** Each write is a sync of the file that the file system is in: few of them fill it. */
const VALUE_BYTES = 20_000;
/** Space of the manifest is reserved in such pieces. */
const MANIFEST_RESERVE_BYTES = 256 * KIBIBYTE;
/** How often a flush is tried while something else may hold the last space. */
const FLUSHES_MAX = 100;

testBackends(
  'creating a database meets the full disk at any step, and succeeds when there is space',
  async (t, backend) => {
    const place = mountExt4(t, 16 * MEBIBYTE)?.place;
    if (place === undefined) return;
    const codes: string[] = [];
    for (const pages of [0, 1, 3, 66, 128, 320, 330, 600]) {
      const directory = join(place, `db-${pages}`);
      const filler = fill(place, pages * PAGE_BYTES);
      const options = { ...OPTIONS, io: ioOf(backend) };
      try {
        await (await openDatabase(t, directory, backend, options)).close();
        codes.push('opened');
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
      rmSync(filler);
      const database = await openDatabase(t, directory, backend, options);
      await database.put('a', String(pages));
      await database.close();
      const again = await openDatabase(t, directory, backend, options);
      await expectValue(t, again, 'a', String(pages));
      t.is(namesEnding(directory, '.tmp').length, 0);
      await again.close();
      rmSync(directory, { recursive: true });
    }
    t.log(codes.join(' '));
    t.deepEqual([...new Set(codes)].sort(), ['NO_SPACE', 'opened']);
  },
);

testBackends(
  'writes until the disk is full, flushes and closes; nothing acknowledged is lost',
  async (t, backend) => {
    const place = mountExt4(t, 16 * MEBIBYTE)?.place;
    if (place === undefined) return;
    const directory = join(place, 'db');
    let database = await openDatabase(t, directory, backend, OPTIONS);
    const history = new History();
    const filler = fill(place, 4 * MEBIBYTE);
    await history.putUntilFull(t, database, VALUE_BYTES);
    t.is(database.stats().failure, null);
    history.check(t, database);
    await expectCode(t, 'NO_SPACE', () => database.flush());
    history.check(t, database);
    rmSync(filler);
    for (let i = 0; i < 50; i++) t.is(await history.put(t, database), undefined);
    await database.flush();
    const again = fill(place, 100 * KIBIBYTE);
    await history.putUntilFull(t, database, VALUE_BYTES);
    await database.close();
    await expectCode(t, 'NO_SPACE', async () => (await openDatabase(t, directory, backend, OPTIONS)).close());
    rmSync(again);
    database = await openDatabase(t, directory, backend, OPTIONS);
    history.check(t, database);
    t.is(await history.put(t, database), undefined);
  },
);

testBackends(
  'a compaction that finds no space is refused and undone, and succeeds later',
  async (t, backend) => {
    const place = mountExt4(t, 24 * MEBIBYTE)?.place;
    if (place === undefined) return;
    const directory = join(place, 'db');
    const database = await openDatabase(t, directory, backend, OPTIONS);
    for (let table = 0; table < 4; table++) {
      for (let i = table; i < 800; i += 4) void database.put(keyOf(i), valueOf(1000, i));
      await database.flush();
    }
    for (const spareBytes of [0, 64 * KIBIBYTE, 300 * KIBIBYTE]) {
      const filler = fill(place, spareBytes);
      await expectCode(t, 'NO_SPACE', () => database.compactRange());
      await expectOnlyTables(t, database, directory);
      // The log has room that was reserved before.
      await database.put('beside', String(spareBytes));
      for (let i = 0; i < 800; i += 97) await expectValue(t, database, keyOf(i), valueOf(1000, i));
      rmSync(filler);
    }
    await database.compactRange();
    t.is(database.stats().failure, null);
    for (let i = 0; i < 800; i += 7) await expectValue(t, database, keyOf(i), valueOf(1000, i));
    await expectValue(t, database, 'beside', String(300 * KIBIBYTE));
  },
);

/** Flushes until the manifest has used all that was reserved for it. */
async function useUpReserve(database: Database, directory: string): Promise<void> {
  do {
    await database.put('a', 'b');
    await database.flush();
  } while (statSync(manifestPath(directory)).size % MANIFEST_RESERVE_BYTES !== 0);
}

testBackends(
  'the manifest finds no space for an edit: the flush is refused, and succeeds later',
  async (t, backend) => {
    const place = mountExt4(t, 24 * MEBIBYTE)?.place;
    if (place === undefined) return;
    const directory = join(place, 'db');
    let database = await openDatabase(t, directory, backend, OPTIONS);
    await useUpReserve(database, directory);
    const tables = namesEnding(directory, '.sst');
    const filler = fill(place, MANIFEST_RESERVE_BYTES / 2);
    await database.put('a', 'c');
    const error = await expectCode(t, 'NO_SPACE', () => database.flush());
    t.regex(error.message, /MANIFEST-\d+: fallocate/);
    t.is(database.stats().failure, null);
    t.deepEqual(namesEnding(directory, '.sst'), tables, 'the table that no version names is gone');
    await database.put('d', 'e');
    await expectValue(t, database, 'a', 'c');
    rmSync(filler);
    await database.flush();
    // The memtable that was refused, and the one that was written to meanwhile.
    t.is(namesEnding(directory, '.sst').length, tables.length + 2);
    await database.close();
    database = await openDatabase(t, directory, backend, OPTIONS);
    await expectValue(t, database, 'a', 'c');
    await expectValue(t, database, 'd', 'e');
  },
);

testBackends('closing where the manifest finds no space for its end loses nothing', async (t, backend) => {
  const place = mountExt4(t, 24 * MEBIBYTE)?.place;
  if (place === undefined) return;
  const directory = join(place, 'db');
  let database = await openDatabase(t, directory, backend, OPTIONS);
  await useUpReserve(database, directory);
  await database.put('a', 'c');
  const filler = fill(place);
  await database.close();
  await expectCode(t, 'NO_SPACE', async () => (await openDatabase(t, directory, backend, OPTIONS)).close());
  rmSync(filler);
  database = await openDatabase(t, directory, backend, OPTIONS);
  t.true(database.stats().recovery.replayedRecords > 0, 'nothing had been recorded');
  await expectValue(t, database, 'a', 'c');
});

/** Descriptions of tables with such keys are long: a manifest of few of them is. */
function longKey(number: number): string {
  return `${String(number).padStart(3, '0')}${'k'.repeat(60_000)}`;
}

testBackends(
  'a new manifest that finds no space is given up, and the old one goes on',
  async (t, backend) => {
    const place = mountExt4(t, 40 * MEBIBYTE)?.place;
    if (place === undefined) return;
    const directory = join(place, 'db');
    let database = await openDatabase(t, directory, backend, OPTIONS);
    const first = manifestPath(directory);
    const manifests = (): string[] => readdirSync(directory).filter((name) => name.startsWith('MANIFEST-'));
    let count = 0;
    const flushOne = async (): Promise<void> => {
      await database.put(longKey(count), String(count));
      count++;
      // A table finds no space where the new manifest has just taken it, and does once that was given up.
      for (let attempt = 1; ; attempt++) {
        try {
          return await database.flush();
        } catch (error) {
          if ((error as { code?: string }).code !== 'NO_SPACE' || attempt === FLUSHES_MAX) throw error;
        }
      }
    };
    // It is replaced when it has grown by 4 MiB.
    while (statSync(first).size < 4 * MEBIBYTE - 256 * KIBIBYTE) await flushOne();
    t.is(manifestPath(directory), first);
    const filler = fill(place, 2 * MEBIBYTE);
    for (let i = 0; i < 4; i++) await flushOne();
    t.true(statSync(first).size > 4 * MEBIBYTE);
    await eventually(() => manifests().length === 1);
    t.is(manifestPath(directory), first);
    t.is(database.stats().failure, null);
    rmSync(filler);
    await flushOne();
    await eventually(() => manifestPath(directory) !== first && manifests().length === 1);
    await database.close();
    database = await openDatabase(t, directory, backend, OPTIONS);
    for (let i = 0; i < count; i++) await expectValue(t, database, longKey(i), String(i));
  },
);

testBackends('a file system that turns read-only under an open database', async (t, backend) => {
  const fileSystem = mountExt4(t, 24 * MEBIBYTE);
  if (fileSystem === undefined) return;
  const directory = join(fileSystem.place, 'db');
  let database = await openDatabase(t, directory, backend, OPTIONS);
  const expectAll = async (): Promise<void> => {
    for (let i = 0; i < 150; i++) await expectValue(t, database, keyOf(i), valueOf(1000, i));
  };
  for (let i = 0; i < 100; i++) await database.put(keyOf(i), valueOf(1000, i));
  await database.flush();
  for (let i = 100; i < 150; i++) await database.put(keyOf(i), valueOf(1000, i));
  fileSystem.abort();
  const error = await expectCode(t, 'FAILED', () => database.put('a', 'b'));
  t.log(error.message);
  t.true(error.cause instanceof Error);
  await expectCode(t, 'FAILED', () => database.put('a', 'c'));
  await expectCode(t, 'FAILED', () => database.flush());
  t.not(database.stats().failure, null);
  await expectAll();
  await database.close();
  await expectCode(t, 'READ_ONLY', async () => (await openDatabase(t, directory, backend, OPTIONS)).close());
  fileSystem.repair();
  database = await openDatabase(t, directory, backend, OPTIONS);
  await expectAll();
  await database.put('a', 'd');
  await expectValue(t, database, 'a', 'd');
  await database.close();
});
