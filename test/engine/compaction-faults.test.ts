/**
 * A disk that fails in the middle of a compaction, over a disk in memory: nothing has changed, no file is left, reads and
 * writes go on, and it is tried again.
 */
import { constants } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { entriesOf, shapeOf } from '../support/at-rest.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import { keyOf, valueOf } from '../support/values.ts';

const EIO = 5;
const ENOSPC = 28;
const KEYS = 100;
const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 16_384 };
/** The second table of level 0 begins a compaction. */
const AUTOMATIC: DatabaseOptions = { ...SMALL, compaction: { l0Trigger: 2, idleMs: 0 } };
const MANUAL: DatabaseOptions = { ...SMALL, compaction: { automatic: false } };

/** An operation of the disk, and the name of the file, or of none, that it is about. */
type Refusal = (operation: string, name: string) => boolean;

/** What a test's disk refuses from now on, and with which error. */
class Refusals {
  refuses: Refusal = () => false;
  errno = EIO;
  /** Operations that were refused. */
  count = 0;

  constructor(disk: SimulatedDisk, nameOf: (handle: number) => string) {
    const refused = (operation: string, name: string): boolean => {
      if (!this.refuses(operation, name)) return false;
      this.count++;
      return true;
    };
    const { open, read, write, sync, rename, unlink, reserve } = disk;
    disk.open = (name, flags) => {
      const operation = (flags & constants.O_CREAT) === 0 ? 'open' : 'create';
      return refused(operation, name) ? -this.errno : open.call(disk, name, flags);
    };
    disk.read = (handle, target, offset) =>
      refused('read', nameOf(handle)) ? -this.errno : read.call(disk, handle, target, offset);
    disk.write = (handle, bytes, offset, durable) =>
      refused('write', nameOf(handle)) ? -this.errno : write.call(disk, handle, bytes, offset, durable);
    disk.sync = (handle) => (refused('sync', nameOf(handle)) ? -this.errno : sync.call(disk, handle));
    disk.rename = (from, to) => (refused('rename', from) ? -this.errno : rename.call(disk, from, to));
    disk.unlink = (name) => (refused('unlink', name) ? -this.errno : unlink.call(disk, name));
    disk.reserve = (handle, end) =>
      refused('reserve', nameOf(handle)) ? -this.errno : reserve.call(disk, handle, end);
  }

  /** The next operation that `refuses` names fails, and no other. */
  once(refuses: Refusal, errno = EIO): void {
    const before = this.count;
    this.errno = errno;
    this.refuses = (operation, name) => this.count === before && refuses(operation, name);
  }
}

interface Faulty {
  readonly world: HeldWorld;
  readonly refusals: Refusals;
  readonly database: Database;
  /** Milliseconds of each timer that was set. */
  readonly timers: number[];
}

async function opened(options: DatabaseOptions, seed = 1): Promise<Faulty> {
  const world = new HeldWorld(undefined, seed);
  // Handles are told apart by the world, whose watch comes first.
  const refusals = new Refusals(world.disk, (handle) => world.openFiles.get(handle) ?? 'directory');
  const timers: number[] = [];
  const environment = {
    ...world.environment,
    after: (...of: Parameters<typeof world.environment.after>) => {
      timers.push(of[0]);
      return world.environment.after(...of);
    },
  };
  return { world, refusals, database: await world.open(options, environment), timers };
}

async function writeRound(database: Database, round: number): Promise<void> {
  const batch = database.batch();
  for (let i = 0; i < KEYS; i++) batch.put(keyOf(i), valueOf(300, i * 10 + round));
  await batch.write();
  await database.flush();
}

function tablesOn(disk: SimulatedDisk): string[] {
  return [...disk.names.keys()].filter((name) => name.includes('.sst')).sort();
}

function expectRound(t: ExecutionContext, database: Database, round: number): void {
  const wrong = Array.from({ length: KEYS }, (_, i) => i).filter(
    (i) => !database.getSync(keyOf(i))?.equals(valueOf(300, i * 10 + round)),
  );
  t.deepEqual(wrong, []);
}

/** Until nothing is compacted, and what was to be removed is. */
function atRest(world: HeldWorld, database: Database): Promise<void> {
  return world.until(() => {
    const { compactions, tableFiles } = database.stats();
    return compactions.running === null && tableFiles.removing === 0;
  });
}

const isOutput = (name: string): boolean => name.endsWith('.tmp');
const FAULTS: Readonly<Record<string, { readonly refuses: Refusal; readonly errno?: number }>> = {
  'opening an input': { refuses: (operation, name) => operation === 'open' && name.endsWith('.sst') },
  'reading an input': { refuses: (operation, name) => operation === 'read' && name.endsWith('.sst') },
  'creating an output': { refuses: (operation, name) => operation === 'create' && isOutput(name) },
  'writing an output': { refuses: (operation, name) => operation === 'write' && isOutput(name) },
  'finding no space for an output': {
    refuses: (operation, name) => operation === 'write' && isOutput(name),
    errno: ENOSPC,
  },
  'syncing an output': { refuses: (operation, name) => operation === 'sync' && isOutput(name) },
  'renaming an output': { refuses: (operation, name) => operation === 'rename' && isOutput(name) },
};

for (const [what, { refuses, errno }] of Object.entries(FAULTS)) {
  test.serial(`${what} fails: nothing has changed, and it succeeds later`, async (t) => {
    const { world, refusals, database, timers } = await opened(AUTOMATIC, 7);
    await writeRound(database, 1);
    // From the moment on when the second table is there, which the compaction begins at.
    const first = tablesOn(world.disk);
    let isArmed = false;
    refusals.once((operation, name) => isArmed && refuses(operation, name), errno);
    const before = world.openFiles.size;
    const watch = world
      .until(() => database.stats().compactions.running !== null)
      .then(() => (isArmed = true));
    await writeRound(database, 2);
    await watch;
    await world.until(() => database.stats().compactions.running === null);
    await atRest(world, database);
    t.is(refusals.count, 1);
    const { failures, lastFailure } = database.stats().compactions;
    t.is(failures, 1);
    t.regex(String(lastFailure), errno === ENOSPC ? /no space|ENOSPC/i : /EIO/);
    t.is(shapeOf(database), '0:2');
    t.is(tablesOn(world.disk).length, 2);
    t.true(tablesOn(world.disk).includes(first[0]));
    t.is(world.openFiles.size, before + 1, 'the table of the second flush is open, and nothing else');
    expectRound(t, database, 2);
    await database.put('meanwhile', '1');
    t.is(database.stats().failure, null);
    t.is(timers.at(-1), 500);
    world.fireTimers();
    await atRest(world, database);
    t.is(database.stats().compactions.lastFailure, null);
    t.is(database.stats().compactions.failures, 1);
    t.is(shapeOf(database), '6:1');
    t.is(entriesOf(database), KEYS);
    t.is(tablesOn(world.disk).length, 1);
    expectRound(t, database, 2);
    await database.close();
    t.deepEqual([...world.openFiles.values()], []);
    const reopened = await new HeldWorld(world.disk.crashed('durable')).open(MANUAL);
    expectRound(t, reopened, 2);
    await reopened.close();
  });
}

for (const errno of [EIO, ENOSPC]) {
  test.serial(
    `a directory that a compaction could not sync was taken for synced (errno ${errno})`,
    async (t) => {
      const { world, refusals, database } = await opened(AUTOMATIC, 7);
      await writeRound(database, 1);
      let isArmed = false;
      const isDirectorySync: Refusal = (operation, name) => operation === 'sync' && name === 'directory';
      refusals.once((operation, name) => isArmed && isDirectorySync(operation, name), errno);
      const watch = world
        .until(() => database.stats().compactions.running !== null)
        .then(() => (isArmed = true));
      await writeRound(database, 2);
      await watch;
      await world.until(() => refusals.count === 1 && database.stats().failure !== null);
      // It may have been the name of the next log that the kernel meant: what is written there could be gone.
      const error = await expectCode(t, 'FAILED', () => database.put('behind it', '1'));
      t.regex(String(error.cause), /fsync of the directory/);
      expectRound(t, database, 2);
      await database.close();
      const reopened = await new HeldWorld(world.disk.crashed('durable')).open(MANUAL);
      expectRound(t, reopened, 2);
      await reopened.close();
    },
  );
}

test.serial('a directory that a new log’s name could not be synced to was tried again', async (t) => {
  const { world, refusals, database } = await opened(MANUAL);
  const isDirectorySync: Refusal = (operation, name) => operation === 'sync' && name === 'directory';
  let isLogNew = false;
  refusals.once((operation, name) => {
    if (operation === 'create' && name.endsWith('.wal')) isLogNew = true;
    return isLogNew && isDirectorySync(operation, name);
  }, ENOSPC);
  for (let i = 0; database.stats().failure === null && i < 1000; i++) {
    await database.put(keyOf(i), valueOf(8000, i)).catch(() => undefined);
  }
  await world.until(() => database.stats().failure !== null);
  t.is(refusals.count, 1);
  await expectCode(t, 'FAILED', () => database.put('behind it', '1'));
  await database.close();
});

test.serial('it is tried again after half a second, then after twice as long, up to a minute', async (t) => {
  const { world, refusals, database, timers } = await opened(AUTOMATIC);
  await writeRound(database, 1);
  refusals.refuses = (operation, name) =>
    operation === 'create' && isOutput(name) && Number(name.slice(0, 6)) > 5;
  const begun = timers.length;
  await writeRound(database, 2);
  for (let attempt = 1; attempt <= 9; attempt++) {
    await world.until(() => database.stats().compactions.failures === attempt);
    t.is(database.stats().compactions.running, null);
    world.fireTimers();
  }
  await world.until(() => database.stats().compactions.failures === 10);
  t.deepEqual(timers.slice(begun), [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  t.deepEqual(tablesOn(world.disk).length, 2);
  refusals.refuses = () => false;
  world.fireTimers();
  await atRest(world, database);
  t.is(shapeOf(database), '6:1');
  // And from the beginning the next time.
  refusals.once(
    (operation, name) =>
      operation === 'create' && isOutput(name) && database.stats().compactions.running !== null,
  );
  await writeRound(database, 3);
  await writeRound(database, 4);
  await world.until(() => database.stats().compactions.failures === 11);
  t.is(timers.at(-1), 500);
  await database.close();
  expectRound(t, await new HeldWorld(world.disk).open(MANUAL), 4);
});

test.serial('compactRange is told what failed, and may be asked again at once', async (t) => {
  const { world, refusals, database } = await opened(MANUAL);
  await writeRound(database, 1);
  await writeRound(database, 2);
  refusals.once((operation, name) => operation === 'write' && isOutput(name));
  const error = await expectCode(t, 'IO_ERROR', () => database.compactRange());
  t.regex(error.message, /EIO/);
  t.regex(String(error.file), /0000\d\d\.sst$/);
  t.is(shapeOf(database), '0:2');
  refusals.once((operation, name) => operation === 'write' && isOutput(name), ENOSPC);
  await expectCode(t, 'NO_SPACE', () => database.compactRange());
  await database.compactRange();
  t.is(shapeOf(database), '6:1');
  expectRound(t, database, 2);
  await atRest(world, database);
  t.is(tablesOn(world.disk).length, 1);
  await database.close();
});

test.serial('a range that is asked for while something else fails is compacted', async (t) => {
  const { world, refusals, database } = await opened({ ...SMALL, compaction: { l0Trigger: 5, idleMs: 0 } });
  await writeRound(database, 1);
  const [first] = tablesOn(world.disk);
  for (const value of ['1', '2']) {
    await database.batch([
      { type: 'put', key: 'x', value },
      { type: 'put', key: 'z', value },
    ]);
    await database.flush();
  }
  await writeRound(database, 2);
  // The fifth table begins a compaction of the three that overlap, one of which cannot be read.
  refusals.refuses = (operation, name) => operation === 'read' && name === first;
  await writeRound(database, 3);
  await world.until(() => database.stats().compactions.running !== null);
  const others = [database.compactRange({ gte: 'x' }), database.compactRange({ gte: 'y' })];
  await expectCode(t, 'IO_ERROR', () => database.compactRange({ lt: 'x' }));
  await Promise.all(others);
  t.is(shapeOf(database), '0:3 6:1');
  t.is(database.stats().compactions.failures, 2);
  t.is(database.getString('z'), '2');
  refusals.refuses = () => false;
  world.fireTimers();
  await atRest(world, database);
  await database.compactRange();
  t.is(entriesOf(database), KEYS + 2);
  await database.close();
});

test.serial('an output that cannot be read back is given up', async (t) => {
  const { world, refusals, database } = await opened(MANUAL);
  await writeRound(database, 1);
  await writeRound(database, 2);
  const inputs = tablesOn(world.disk);
  for (const operation of ['open', 'read']) {
    refusals.once((each, name) => each === operation && name.endsWith('.sst') && !inputs.includes(name));
    await expectCode(t, 'IO_ERROR', () => database.compactRange());
    t.deepEqual(tablesOn(world.disk), inputs);
    t.deepEqual([...world.openFiles.values()].filter((name) => name.endsWith('.sst')).sort(), inputs);
  }
  await database.compactRange();
  expectRound(t, database, 2);
  await database.close();
});

test.serial('a manifest without space is not final, nor for a table that is only moved', async (t) => {
  const { world, refusals, database } = await opened(MANUAL);
  await writeRound(database, 1);
  // What was reserved of the manifest takes some edits.
  refusals.errno = ENOSPC;
  refusals.refuses = (operation, name) => operation === 'reserve' && name.startsWith('MANIFEST');
  let refused: unknown;
  for (let round = 0; refused === undefined; round++) {
    await database.put(`k${'x'.repeat(60_000)}${round}`, '1');
    await database.flush().catch((error: unknown) => (refused = error));
  }
  const tables = tablesOn(world.disk);
  const shape = shapeOf(database);
  for (let attempt = 0; attempt < 3; attempt++) {
    await expectCode(t, 'NO_SPACE', () => database.compactRange());
    t.deepEqual(tablesOn(world.disk), tables);
    t.is(shapeOf(database), shape);
    t.is(database.stats().failure, null);
  }
  refusals.refuses = () => false;
  await database.compactRange();
  expectRound(t, database, 1);
  await database.close();
});

test.serial('a compaction whose edit may or may not be in the manifest removes nothing', async (t) => {
  for (const isWritten of [false, true]) {
    const { world, refusals, database } = await opened(MANUAL);
    await writeRound(database, 1);
    await database.put('durable', '1');
    await writeRound(database, 2);
    const inputs = tablesOn(world.disk);
    const isEdit: Refusal = (operation, name) => operation === 'write' && name.startsWith('MANIFEST');
    if (isWritten) {
      const { write } = world.disk;
      world.disk.write = (handle, bytes, offset, durable) => {
        const result = write.call(world.disk, handle, bytes, offset, durable);
        return isEdit('write', world.openFiles.get(handle) ?? '') ? -EIO : result;
      };
    } else {
      refusals.once(isEdit);
    }
    const error = await expectCode(t, 'FAILED', () => database.compactRange());
    t.regex(error.message, /MANIFEST/);
    t.is(tablesOn(world.disk).length, inputs.length + 1, 'the inputs, and what was written');
    t.true(inputs.every((name) => tablesOn(world.disk).includes(name)));
    expectRound(t, database, 2);
    t.is(shapeOf(database), '0:2', 'what is read is what it was');
    await expectCode(t, 'FAILED', () => database.put('a', '1'));
    await expectCode(t, 'FAILED', () => database.compactRange());
    await expectCode(t, 'FAILED', () => database.flush());
    world.fireTimers();
    await database.close();
    t.is(tablesOn(world.disk).length, inputs.length + 1);
    for (const keep of ['durable', 'everything'] as const) {
      const next = new HeldWorld(world.disk.crashed(keep));
      const reopened = await next.open(MANUAL);
      t.is(shapeOf(reopened), isWritten ? '6:1' : '0:2');
      t.is(tablesOn(next.disk).length, isWritten ? 1 : 2);
      expectRound(t, reopened, 2);
      t.is(reopened.getString('durable'), '1');
      await reopened.close();
    }
  }
});

test.serial('a table that cannot be removed is said, and goes at the next open', async (t) => {
  const { world, refusals, database } = await opened(MANUAL);
  await writeRound(database, 1);
  await writeRound(database, 2);
  refusals.refuses = (operation, name) => operation === 'unlink' && name.endsWith('.sst');
  await database.compactRange();
  await atRest(world, database);
  const { removed, failed, lastFailure } = database.stats().tableFiles;
  t.deepEqual([removed, failed], [0, 2]);
  t.regex(String(lastFailure), /removing 0000\d\d\.sst.*EIO/);
  t.is(tablesOn(world.disk).length, 3);
  t.is(database.stats().failure, null);
  expectRound(t, database, 2);
  refusals.refuses = () => false;
  await database.close();
  const reopened = await new HeldWorld(world.disk).open(MANUAL);
  t.is(tablesOn(world.disk).length, 1);
  expectRound(t, reopened, 2);
  await reopened.close();
});
