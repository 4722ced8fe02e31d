/**
 * What once broke in an order of events that threads seldom meet, each test named after it. Owner and roles run in one
 * thread over a disk in memory, so that a role can be held back and a disk can refuse one thing and nothing else.
 */
import { constants } from 'node:fs';
import test from 'ava';
import type { Database } from '../../src/index.ts';
import type { FileSystem } from '../../src/main/file-system.ts';
import { REGION_POOL } from '../../src/protocol/crew-layout.ts';
import { ROLE_FLUSH, ROLE_FOREGROUND, ROLE_WAL } from '../../src/protocol/requests.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { Crash } from '../support/simulated-environment.ts';
import { valueOf } from '../support/values.ts';

const EIO = 5;
const ENOSPC = 28;
const MEBIBYTE = 1 << 20;
/** The engine begins a new manifest beyond this. */
const MANIFEST_BYTES_MAX = 4 * MEBIBYTE;
/** A table between two keys of such a length makes an edit of 33 pages, so that few of them fill a manifest. */
const LONG_KEY_BYTES = 65_000;
const EDIT_BYTES = 33 * 4096;

/** What a key holds, as text: a difference between two buffers of a megabyte is nothing to be read. */
function textOf(database: Database, key: string): string | undefined {
  return database.getSync(key)?.toString('latin1');
}

function manifestOf(disk: SimulatedDisk): string {
  const names = [...disk.names.keys()].filter((name) => name.startsWith('MANIFEST'));
  return names.join(' ');
}

function tablesOn(disk: SimulatedDisk): string[] {
  return [...disk.names.keys()].filter((name) => name.includes('.sst'));
}

/** One more table, whose edit takes EDIT_BYTES of the manifest. */
async function flushLongKeys(database: Database): Promise<void> {
  await database.batch([
    { type: 'put', key: 'a'.repeat(LONG_KEY_BYTES), value: '1' },
    { type: 'put', key: 'b'.repeat(LONG_KEY_BYTES), value: '2' },
  ]);
  await database.flush();
}

/** Flushes until one more edit takes the manifest beyond its limit. */
async function fillManifest(database: Database, disk: SimulatedDisk): Promise<void> {
  const size = (): number => disk.names.get(manifestOf(disk))?.size ?? NaN;
  while (size() + EDIT_BYTES <= MANIFEST_BYTES_MAX) await flushLongKeys(database);
}

test.serial(
  'a flush that waits for an arena leaves a large batch that began meanwhile its memtable',
  async (t) => {
    // Deletions of tiny keys fill a memtable long before a log, of which no second is needed here.
    const options = { writeBufferBytes: 8 * MEBIBYTE };
    const world = new HeldWorld();
    const database = await world.open(options);
    const dels = (count: number, prefix: string) =>
      Array.from({ length: count }, (_, i) => ({ type: 'del' as const, key: prefix + i }));
    world.hold(ROLE_FLUSH);
    await database.batch(dels(80_000, 'a'));
    await database.batch(dels(80_000, 'b'));
    await database.batch(dels(40_000, 'c'));
    t.is(database.stats().memtables.frozen, 2, 'no arena is free');
    const flushing = database.flush();
    world.hold(ROLE_WAL);
    const { frames } = database.stats().log;
    const large = valueOf(1_500_000, 1).toString('latin1');
    const putting = database.put('large', Buffer.from(large, 'latin1'));
    t.is(database.stats().log.frames, frames + 1, 'the first of its frames is under way');
    // The flush role goes on, the log does not: the flush gets the arena that it waits for while the batch is half written.
    world.release(ROLE_FLUSH);
    await world.until(() => database.stats().memtables.frozen < 2);
    await world.turns(100);
    t.is(database.stats().lastSequence, 200_000);
    world.release(ROLE_WAL);
    await putting;
    await flushing;
    t.is(database.stats().lastSequence, 200_001);
    await database.put('after', 'it');
    t.is(database.stats().lastSequence, 200_002, 'no number is given twice');
    t.is(textOf(database, 'large'), large);
    await database.close();
    for (const disk of [world.disk, world.disk.crashed('durable')]) {
      const reopened = await new HeldWorld(disk).open(options);
      t.is(reopened.stats().lastSequence, 200_002);
      t.true(textOf(reopened, 'large') === large);
      t.is(textOf(reopened, 'after'), 'it');
      await reopened.close();
    }
  },
);

test.serial(
  'a manifest that is begun while the last frame of a log is in flight does not record it',
  async (t) => {
    const options = { writeBufferBytes: 2 * MEBIBYTE };
    const world = new HeldWorld();
    const { disk } = world;
    const database = await world.open(options);
    await fillManifest(database, disk);
    const before = manifestOf(disk);
    await database.put('a'.repeat(LONG_KEY_BYTES), '3');
    await database.put('b'.repeat(LONG_KEY_BYTES), '4');
    const flushing = database.flush();
    await world.until(() => database.stats().memtables.activeEntries === 0);
    // The first of these is in flight in one log when the second finds room in the next only.
    world.hold(ROLE_WAL);
    const log = database.stats().log.active;
    const written = [database.put('x', valueOf(600_000, 1)), database.put('y', valueOf(600_000, 2))];
    await flushing;
    await world.until(() => !manifestOf(disk).includes(before));
    t.not(database.stats().log.active, log, 'another log is written to');
    t.is(database.stats().durableSequence, database.stats().lastSequence - 2);
    const after = disk.crashed('durable');
    const reopened = await new HeldWorld(after).open(options);
    t.is(textOf(reopened, 'a'.repeat(LONG_KEY_BYTES)), '3');
    t.is(textOf(reopened, 'x'), undefined);
    await reopened.close();
    world.release(ROLE_WAL);
    await Promise.all(written);
    await database.close();
  },
);

test.serial(
  'what can be read of a killed process’s log is durable before anything is acknowledged behind it',
  async (t) => {
    const disk = new SimulatedDisk();
    const killed = await new HeldWorld(disk).open();
    await killed.put('a', '1');
    // The process dies when its frame is in the file, before it is on the medium.
    const write = disk.write.bind(disk);
    let dead = false;
    disk.write = (handle, bytes, offset) => {
      write(handle, bytes, offset, false);
      dead = true;
      throw new Crash();
    };
    const world = new HeldWorld(disk);
    void killed.put('b', '2');
    await world.until(() => dead);
    disk.write = write;
    disk.locked = false;
    const database = await world.open();
    t.is(textOf(database, 'b'), '2');
    await database.put('c', '3');
    const reopened = await new HeldWorld(disk.crashed('durable')).open();
    t.deepEqual(
      ['a', 'b', 'c'].map((key) => textOf(reopened, key)),
      ['1', '2', '3'],
    );
    await reopened.close();
    await database.close();
  },
);

test.serial(
  'an open that finds no space for its log hands nothing back before its flush has ended',
  async (t) => {
    let flushesUnderWay = 0;
    for (let seed = 1; seed <= 20; seed++) {
      // What a large memtable held is replayed into small ones, which are flushed while the first log is prepared.
      const disk = new SimulatedDisk();
      const first = await new HeldWorld(disk, seed).open({ writeBufferBytes: 4 * MEBIBYTE });
      for (let i = 0; i < 200; i++) await first.put(`key ${i}`, valueOf(1000, i));
      await first.close();
      const options = { writeBufferBytes: 65_536 };
      const reserve = disk.reserve.bind(disk);
      disk.reserve = (handle, end) => {
        if (end < MEBIBYTE) return reserve(handle, end);
        if (tablesOn(disk).some((name) => name.endsWith('.tmp'))) flushesUnderWay++;
        return -ENOSPC;
      };
      const world = new HeldWorld(disk, seed);
      await expectCode(t, 'NO_SPACE', () => world.open(options));
      t.is(world.released, 1);
      t.false(disk.locked);
      t.deepEqual(
        await world.requestsAfterRelease(),
        [],
        `seed ${seed}: nothing is asked of a crew given back`,
      );
      disk.reserve = reserve;
      const database = await new HeldWorld(disk, seed).open(options);
      for (let i = 0; i < 200; i += 9) t.true(database.getSync(`key ${i}`)?.equals(valueOf(1000, i)));
      await database.close();
    }
    t.true(flushesUnderWay > 0, `${flushesUnderWay} opens were refused while a table was being written`);
  },
);

test.serial(
  'a table whose edit finds no room in the manifest leaves neither file nor descriptor',
  async (t) => {
    const world = new HeldWorld();
    const { disk } = world;
    const database = await world.open({ writeBufferBytes: MEBIBYTE });
    const reserve = disk.reserve.bind(disk);
    const refused: string[] = [];
    disk.reserve = (handle, end) => {
      const name = world.openFiles.get(handle) ?? '';
      if (!name.startsWith('MANIFEST')) return reserve(handle, end);
      refused.push(name);
      return -ENOSPC;
    };
    // What was reserved of the manifest takes some edits.
    let tables = 0;
    while (refused.length === 0) {
      await flushLongKeys(database).then(
        () => tables++,
        () => undefined,
      );
    }
    const openBefore = world.openFiles.size;
    for (let attempt = 0; attempt < 5; attempt++) {
      await expectCode(t, 'NO_SPACE', () => database.flush());
      t.is(tablesOn(disk).length, tables);
      t.is(world.openFiles.size, openBefore);
    }
    t.is(refused.length, 6);
    t.is(database.stats().failure, null);
    disk.reserve = reserve;
    await database.flush();
    t.is(tablesOn(disk).length, tables + 1);
    await database.close();
    t.deepEqual([...world.openFiles.values()], [], 'a closed database has nothing open');
  },
);

test.serial('a manifest that cannot be begun for want of space is begun later', async (t) => {
  const world = new HeldWorld();
  const { disk } = world;
  const database = await world.open({ writeBufferBytes: MEBIBYTE });
  await fillManifest(database, disk);
  const before = manifestOf(disk);
  const open = disk.open.bind(disk);
  let refusals = 0;
  disk.open = (name, flags) => {
    if (!name.startsWith('MANIFEST')) return open(name, flags);
    refusals++;
    return -ENOSPC;
  };
  for (let i = 0; i < 3; i++) await flushLongKeys(database);
  await world.until(() => refusals > 0);
  await database.put('c', '3');
  t.is(database.stats().failure, null);
  t.is(manifestOf(disk), before);
  disk.open = open;
  await flushLongKeys(database);
  await world.until(() => !manifestOf(disk).includes(before));
  await database.close();
  const reopened = await new HeldWorld(disk).open();
  t.is(textOf(reopened, 'c'), '3');
  await reopened.close();
});

test.serial('an open that cannot open the directory leaves neither lock nor crew behind', async (t) => {
  const disk = new SimulatedDisk();
  const openDirectory = disk.openDirectory.bind(disk);
  disk.openDirectory = () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  };
  const world = new HeldWorld(disk);
  const error = await expectCode(t, 'TOO_MANY_FILES', () => world.open());
  t.is((error.cause as NodeJS.ErrnoException).code, 'EMFILE');
  t.is(world.released, 1);
  t.false(disk.locked);
  disk.openDirectory = openDirectory;
  const database = await world.open({ lockTimeoutMs: 0 });
  await database.close();
});

test.serial('a file that vanishes while a directory is looked at is the lock’s affair', async (t) => {
  const disk = new SimulatedDisk();
  const holder = await new HeldWorld(disk).open();
  const world = new HeldWorld(disk);
  const { fileSystem } = world.environment;
  // Its holder renames a table, or removes a log, between the two looks.
  for (const name of ['000099.sst.tmp', '000099.sst', '000099.wal', 'CURRENT.tmp']) {
    const passing = { ...fileSystem, list: (path: string) => [...fileSystem.list(path), name] };
    const opening = world.open({ lockTimeoutMs: 0 }, { ...world.environment, fileSystem: passing });
    await expectCode(t, 'LOCKED', () => opening);
  }
  await holder.close();
});

test.serial('a batch with too many operations is refused before anything has changed', async (t) => {
  const database = await new HeldWorld().open();
  await database.put('a', '1');
  const operations = new Array<{ type: 'del'; key: string }>(4 * MEBIBYTE + 1);
  operations.fill({ type: 'del', key: 'a' });
  await expectCode(t, 'BATCH_TOO_LARGE', () => database.batch(operations));
  t.is(textOf(database, 'a'), '1');
  t.is(database.stats().lastSequence, 1);
  await database.put('b', '2');
  await database.close();
});

test.serial('a batch of a million tiny deletions is written and replayed', async (t) => {
  const options = { writeBufferBytes: 64 * MEBIBYTE };
  const world = new HeldWorld();
  const database = await world.open(options);
  await database.put('999999', '1');
  await database.put('b', '2');
  const batch = database.batch();
  for (let i = 0; i < 1_000_000; i++) batch.del(String(i));
  await batch.write();
  t.is(textOf(database, '999999'), undefined);
  await database.close();
  const reopened = await new HeldWorld(world.disk).open(options);
  t.true(reopened.stats().recovery.replayedRecords >= 1_000_000);
  t.is(textOf(reopened, '999999'), undefined);
  t.is(textOf(reopened, 'b'), '2');
  await reopened.close();
});

test.serial('closing lets go of the arena of an oversize batch', async (t) => {
  const world = new HeldWorld();
  const database = await world.open({ writeBufferBytes: 65_536 });
  await database.put('a', valueOf(200_000, 1));
  const lent = world.arenas.filter((bytes, region) => region !== REGION_POOL && bytes > 65_536);
  t.is(lent.length, 1, 'it has an arena of its own');
  await database.close();
  t.deepEqual(
    world.arenas.filter((bytes, region) => region !== REGION_POOL && bytes > 65_536),
    [],
  );
});

test.serial(
  'a manifest cut to its beginning is no empty database where compactions made all numbers 0',
  async (t) => {
    const world = new HeldWorld();
    const options = { writeBufferBytes: 65_536, compaction: { automatic: false } };
    const database = await world.open(options);
    for (let i = 0; i < 100; i++) await database.put(`key ${i % 50}`, `value ${i}`);
    await database.flush();
    for (let i = 0; i < 100; i++) await database.put(`key ${i % 50}`, `value ${i}`);
    await database.compactRange();
    await database.close();
    const { disk } = world;
    const [table] = [...disk.names.keys()].filter((name) => name.endsWith('.sst'));
    const [manifest] = [...disk.names.keys()].filter((name) => name.startsWith('MANIFEST'));
    // All writes are in the table, and no log is left that says so.
    for (const name of disk.names.keys()) if (name.endsWith('.wal')) disk.names.delete(name);
    disk.names.get(manifest)?.truncate(4096);
    await expectCode(t, 'MANIFEST_CORRUPT', () => new HeldWorld(disk).open(options));
    t.true(disk.names.has(table), 'the only copy is still there');
  },
);

test.serial('a log file that cannot be looked at is not written over, and ends nobody', async (t) => {
  const world = new HeldWorld();
  const { fileSystem } = world.environment;
  let refused = 0;
  let refuses = false;
  const status: FileSystem['status'] = (path) => {
    if (!refuses || !path.endsWith('.wal')) return fileSystem.status(path);
    refused++;
    throw Object.assign(new Error(`EACCES: lstat ${path}`), { code: 'EACCES', errno: -13 });
  };
  const options = { writeBufferBytes: 65_536 };
  const database = await world.open(options, { ...world.environment, fileSystem: { ...fileSystem, status } });
  refuses = true;
  for (let i = 0; i < 20; i++) {
    await database.put(`key ${i}`, valueOf(500_000, i));
    await database.flush();
  }
  t.true(refused > 0, 'the files of logs that are not needed any more were looked at');
  t.is(database.stats().failure, null);
  await database.close();
  const reopened = await world.open(options);
  for (let i = 0; i < 20; i++) t.true(reopened.getSync(`key ${i}`)?.equals(valueOf(500_000, i)), String(i));
  await reopened.close();
});

test.serial(
  'a large batch that was acknowledged is read, though a flush fails in the same moment',
  async (t) => {
    let acknowledged = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const disk = new SimulatedDisk();
      const world = new HeldWorld(disk, seed);
      const database = await world.open();
      const open = disk.open.bind(disk);
      disk.open = (name, flags) => (name.includes('.sst') ? -EIO : open(name, flags));
      await database.put('small', '1');
      let outcome: 'acknowledged' | 'refused' | undefined;
      const large = Array.from({ length: 10 }, (_, i) => ({
        type: 'put' as const,
        key: `key ${i}`,
        value: valueOf(9000, i),
      }));
      // The memtable that is in the way is frozen, and its flush fails while the batch is written, or before or after.
      database.batch(large).then(
        () => (outcome = 'acknowledged'),
        () => (outcome = 'refused'),
      );
      await world.until(() => outcome !== undefined && database.stats().failure !== null);
      t.is(database.getString('small'), '1');
      if (outcome !== 'acknowledged') continue;
      acknowledged++;
      for (const { key, value } of large) t.deepEqual(database.getSync(key), value, `seed ${seed}`);
      await database.close();
    }
    t.true(acknowledged > 0);
  },
);

test.serial('a large batch waited for ever where something failed between two of its frames', async (t) => {
  let metInOneTurn = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const world = new HeldWorld(undefined, seed);
    const { disk } = world;
    const database = await world.open({ writeBufferBytes: 65_536, blockCacheBytes: 0 });
    await database.put('in a table', '1');
    await database.flush();
    const { open, write, rename } = disk;
    const { frames } = database.stats().log;
    // A read that waits is to hear of both in one turn: that a frame is durable, and that the next log cannot be prepared.
    world.hold(ROLE_FOREGROUND);
    const heard = new Set<string>();
    const hear = (what: string): void => {
      if (heard.add(what).size === 2) world.release(ROLE_FOREGROUND);
    };
    disk.open = (name, flags) => {
      if (name.endsWith('.wal') && (flags & constants.O_CREAT) === 0) {
        // The log that the batch needs is there. The preparation of the next one is held back, and fails.
        world.hold(ROLE_FLUSH);
        disk.write = (...of) => {
          world.release(ROLE_FLUSH);
          hear('frame');
          return write.apply(disk, of);
        };
        disk.rename = () => {
          hear('log');
          return -EIO;
        };
      }
      return open.call(disk, name, flags);
    };
    const writing = database.put('large', valueOf(3 * MEBIBYTE, 1));
    await world.until(() => database.stats().log.frames === frames + 1);
    world.hold(ROLE_WAL);
    await world.turns(10);
    world.release(ROLE_WAL);
    t.is(textOf(database, 'in a table'), '1');
    t.deepEqual([...heard].sort(), ['frame', 'log']);
    const failedAtOnce = database.stats().failure !== null;
    if (failedAtOnce) metInOneTurn++;
    const issued = database.stats().log.frames;
    Object.assign(disk, { open, write, rename });
    let error: unknown;
    writing.catch((reason: unknown) => (error = reason));
    await world.until(() => error !== undefined);
    if (failedAtOnce) t.is(database.stats().log.frames, issued, 'nothing is written after a failure');
    await database.close();
  }
  t.true(metInOneTurn > 0);
});
