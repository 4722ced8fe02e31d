/**
 * A directory that could not be synced: of the names that were made before, any may be gone after a power cut, and the kernel
 * says so once to each handle. Whatever else goes on at that moment, nothing may be acknowledged, and nothing named, that
 * depends on such a name.
 */
import test, { type ExecutionContext } from 'ava';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { ROLE_COMPACTION, ROLE_FLUSH } from '../../src/protocol/requests.ts';
import { expectCode } from '../support/errors.ts';
import { HeldWorld } from '../support/held-world.ts';
import { keyOf, valueOf } from '../support/values.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 16_384 };
const MANUAL: DatabaseOptions = { ...SMALL, compaction: { automatic: false } };
const AUTOMATIC: DatabaseOptions = { ...SMALL, compaction: { l0Trigger: 2, idleMs: 0 } };
const EIO = 5;
const ENOSPC = 28;
const KEYS = 100;
/** By then a write that nothing holds up has been acknowledged. */
const TURNS = 8000;

async function writeRound(database: Database, round: number): Promise<void> {
  const batch = database.batch();
  for (let i = 0; i < KEYS; i++) batch.put(keyOf(i), valueOf(300, i * 10 + round));
  await batch.write();
  await database.flush();
}

/** What the compaction and the flush thread are about to do. */
interface Moment {
  readonly world: HeldWorld;
  readonly database: Database;
  /** The compaction's table is durable and has no name yet; its thread is held. */
  isAtPublish: boolean;
  /** How often the directory could not be synced. */
  failures: number;
  /** Whether the next sync of the directory fails. */
  fails: () => boolean;
}

async function compactionAtPublish(): Promise<Moment> {
  const world = new HeldWorld(undefined, 7);
  const database = await world.open(AUTOMATIC);
  const moment: Moment = { world, database, isAtPublish: false, failures: 0, fails: () => false };
  const { disk, openFiles } = world;
  const sync = disk.sync.bind(disk);
  let isRunning = false;
  disk.sync = (handle) => {
    const name = openFiles.get(handle);
    if (name === undefined && moment.fails()) {
      moment.failures++;
      return disk.failSync(handle, EIO);
    }
    const result = sync(handle);
    if (isRunning && !moment.isAtPublish && name?.endsWith('.sst.tmp') === true) {
      moment.isAtPublish = true;
      world.hold(ROLE_COMPACTION);
    }
    return result;
  };
  await writeRound(database, 1);
  const running = world
    .until(() => database.stats().compactions.running !== null)
    .then(() => {
      isRunning = true;
    });
  await writeRound(database, 2);
  await running;
  await world.until(() => moment.isAtPublish);
  return moment;
}

/** A new log has been made, and not synced yet; its thread is held. Resolves with a write that waits for that log. */
async function writeThatNeedsNewLog({
  world,
  database,
}: Moment): Promise<{ key: string; end: Promise<unknown> }> {
  const { disk } = world;
  const open = disk.open.bind(disk);
  let isMade = false;
  disk.open = (name, flags) => {
    const isNew = !disk.names.has(name);
    const handle = open(name, flags);
    if (isNew && !isMade && name.endsWith('.wal')) {
      isMade = true;
      world.hold(ROLE_FLUSH);
    }
    return handle;
  };
  for (let i = 0; ; i++) {
    const key = `k${i}`;
    let isOver = false;
    const end = database.put(key, 'v').then(
      () => 'acknowledged',
      (error: unknown) => (error as { code: string }).code,
    );
    void end.then(() => {
      isOver = true;
    });
    // Until the log is made each is acknowledged, as soon as there is one.
    if (isMade) await world.turns(TURNS);
    else await end;
    if (!isOver) return { key, end };
  }
}

/** Opens what a power cut leaves of which only what had to be kept was. */
async function afterPowerCut(t: ExecutionContext, { world }: Moment): Promise<Database> {
  const database = await new HeldWorld(world.disk.crashed('durable')).open(MANUAL);
  t.teardown(() => database.close());
  for (let i = 0; i < KEYS; i++) t.deepEqual(database.getSync(keyOf(i)), valueOf(300, i * 10 + 2));
  return database;
}

/** The write was refused, or it is there. */
async function expectKept(
  t: ExecutionContext,
  moment: Moment,
  { key, end }: { key: string; end: Promise<unknown> },
): Promise<void> {
  const outcome = await end;
  const database = await afterPowerCut(t, moment);
  t.is(database.getString(key), outcome === 'acknowledged' ? 'v' : undefined, String(outcome));
}

test('a write was acknowledged in a log whose name had been lost while the database was closed', async (t) => {
  const moment = await compactionAtPublish();
  const { world, database } = moment;
  const write = await writeThatNeedsNewLog(moment);
  moment.fails = () => moment.failures === 0;
  const closing = database.close();
  world.release(ROLE_COMPACTION);
  await world.until(() => moment.failures === 1);
  world.release(ROLE_FLUSH);
  await closing;
  await expectKept(t, moment, write);
});

test('the same where the name of the table could not be changed either', async (t) => {
  const moment = await compactionAtPublish();
  const { world, database } = moment;
  const { disk } = world;
  const write = await writeThatNeedsNewLog(moment);
  moment.fails = () => moment.failures === 0;
  const rename = disk.rename.bind(disk);
  disk.rename = (from, to) => (from.endsWith('.sst.tmp') && moment.failures === 0 ? -EIO : rename(from, to));
  world.release(ROLE_COMPACTION);
  await world.until(() => moment.failures === 1);
  world.release(ROLE_FLUSH);
  await expectKept(t, moment, write);
  t.regex(database.stats().failure ?? '', /fsync of the directory/);
  await database.close();
});

test('a write was acknowledged while the compaction that had met it was still cleaning up', async (t) => {
  const moment = await compactionAtPublish();
  const { world, database } = moment;
  const { disk, openFiles } = world;
  const write = await writeThatNeedsNewLog(moment);
  moment.fails = () => moment.failures === 0;
  const close = disk.close.bind(disk);
  let isHeld = false;
  disk.close = (handle) => {
    if (moment.failures > 0 && !isHeld && openFiles.get(handle)?.endsWith('.sst') === true) {
      isHeld = true;
      world.hold(ROLE_COMPACTION);
    }
    return close(handle);
  };
  world.release(ROLE_COMPACTION);
  await world.until(() => moment.failures === 1);
  world.release(ROLE_FLUSH);
  const outcome = await write.end;
  // It may get there later than that.
  isHeld = true;
  world.release(ROLE_COMPACTION);
  await expectKept(t, moment, { ...write, end: Promise.resolve(outcome) });
  await database.close();
});

test('a flush named its table, and let go of the log, after the table’s name had been lost', async (t) => {
  const moment = await compactionAtPublish();
  const { world, database } = moment;
  const { disk, openFiles } = world;
  const rename = disk.rename.bind(disk);
  let isRenamed = false;
  disk.rename = (from, to) => {
    const result = rename(from, to);
    if (!isRenamed && from.endsWith('.sst.tmp')) {
      isRenamed = true;
      world.hold(ROLE_FLUSH);
    }
    return result;
  };
  await database.put('acknowledged', '1');
  const flushed = expectCode(t, 'FAILED', () => database.flush());
  await world.until(() => isRenamed);
  moment.fails = () => moment.failures === 0;
  world.release(ROLE_COMPACTION);
  await world.until(() => database.stats().failure !== null);
  const appended: string[] = [];
  const write = disk.write.bind(disk);
  disk.write = (handle, bytes, offset, durable) => {
    const name = openFiles.get(handle);
    if (name?.startsWith('MANIFEST') === true) appended.push(name);
    return write(handle, bytes, offset, durable);
  };
  world.release(ROLE_FLUSH);
  await flushed;
  await world.turns(TURNS);
  t.deepEqual(appended, [], 'nothing is named any more');
  await database.close();
  const reopened = await afterPowerCut(t, moment);
  t.is(reopened.getString('acknowledged'), '1');
});

test('a log that was to be used again: its new name was refused, and the directory not synced', async (t) => {
  const world = new HeldWorld();
  const database = await world.open(MANUAL);
  const { disk, openFiles } = world;
  const rename = disk.rename.bind(disk);
  const sync = disk.sync.bind(disk);
  let refused = 0;
  let failures = 0;
  disk.rename = (from, to) => {
    if (!from.endsWith('.wal') || refused > 0) return rename(from, to);
    refused++;
    return -ENOSPC;
  };
  disk.sync = (handle) => {
    if (refused === 0 || failures > 0 || openFiles.has(handle)) return sync(handle);
    failures++;
    return disk.failSync(handle, EIO);
  };
  for (let i = 0; failures === 0; i++) {
    // The last of them meets the failure.
    await Promise.allSettled([database.put(keyOf(i), 'v'), i % 200 === 199 ? database.flush() : undefined]);
  }
  await world.turns(TURNS);
  await expectCode(t, 'FAILED', () => database.put('a', 'b'));
  await database.close();
});

test('what is final for the manifest was taken for a refusal, and the table removed that it may name', async (t) => {
  const world = new HeldWorld();
  const database = await world.open(MANUAL);
  await writeRound(database, 1);
  const { disk, openFiles } = world;
  const write = disk.write.bind(disk);
  let isRefused = false;
  // The frame is there, and something behind it has failed: nobody knows what the disk has.
  disk.write = (handle, bytes, offset, durable) => {
    const result = write(handle, bytes, offset, durable);
    if (isRefused || openFiles.get(handle)?.startsWith('MANIFEST') !== true) return result;
    isRefused = true;
    return -ENOSPC;
  };
  await database.put('b', 'acknowledged');
  await expectCode(t, 'FAILED', () => database.flush());
  await database.close();
  for (const keep of ['durable', 'everything'] as const) {
    const reopened = await new HeldWorld(disk.crashed(keep)).open(MANUAL);
    t.is(reopened.getString('b'), 'acknowledged', keep);
    await reopened.close();
  }
});
