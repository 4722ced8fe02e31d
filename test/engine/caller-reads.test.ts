/** What the calling thread reads and writes on its own ring: which blocks and frames, what goes wrong, and of the files. */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, QuadringError } from '../../src/index.ts';
import { flipByte } from '../support/damage.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { keyOf, valueOf } from '../support/values.ts';

const VALUE_BYTES = 1200;
const ENTRIES = 600;
const COLD: DatabaseOptions = { writeBufferBytes: 1 << 20, blockBytes: 4096, blockCacheBytes: 0 };

/** Whatever the environment asks for: with these there is no ring of the caller's. */
const PLAIN = { iopoll: false, sqpoll: false };

/** Some two hundred blocks in one table, read again from a database that was closed. */
async function filled(t: ExecutionContext, given: DatabaseOptions): Promise<[Database, string]> {
  const options = { ...given, io: { ...PLAIN, ...given.io } };
  const directory = join(temporaryDirectory(t), 'db');
  const first = await openDatabase(t, directory, 'uring', options);
  for (let i = 0; i < ENTRIES; i++) void first.put(keyOf(i), valueOf(VALUE_BYTES, i), { sync: false });
  await first.flush();
  await first.close();
  return [await openDatabase(t, directory, 'uring', options), directory];
}

interface Requests {
  readonly foreground: number;
  readonly caller: number;
}

function requestsOf(database: Database): Requests {
  const { rings, callerRing } = database.stats();
  const foreground = rings.find(({ role }) => role === 'foreground');
  return { foreground: foreground?.requests ?? 0, caller: callerRing?.requests ?? 0 };
}

/** Reads that each made meanwhile. */
async function counted(database: Database, run: () => unknown): Promise<Requests> {
  const before = requestsOf(database);
  await run();
  const after = requestsOf(database);
  return { foreground: after.foreground - before.foreground, caller: after.caller - before.caller };
}

/** The first read of a table has it opened for the caller's ring. */
async function opened(database: Database): Promise<void> {
  await database.get(keyOf(0));
  await database.get(keyOf(0));
}

const FORMS: readonly [string, DatabaseOptions][] = [
  ['O_DIRECT', COLD],
  ['the page cache', { ...COLD, io: { direct: false } }],
  ['compressed blocks', { ...COLD, compression: 'lz4', blockBytes: 16_384 }],
];

for (const [name, options] of FORMS) {
  test.serial(`${name}: single blocks, synchronous and awaited, do not cross threads`, async (t) => {
    const [database] = await filled(t, options);
    await opened(database);
    const synchronous = await counted(database, () => {
      for (let i = 0; i < ENTRIES; i += 7) {
        if (database.getSync(keyOf(i))?.equals(valueOf(VALUE_BYTES, i)) !== true) t.fail(`entry ${i}`);
      }
    });
    t.deepEqual(synchronous, { foreground: 0, caller: Math.ceil(ENTRIES / 7) });
    const awaited = await counted(database, async () => {
      const places = [...Array(40).keys()].map((i) => i * 13);
      const values = await Promise.all(places.map((i) => database.get(keyOf(i))));
      for (const [at, i] of places.entries()) t.deepEqual(values[at], valueOf(VALUE_BYTES, i));
    });
    t.is(awaited.foreground, 0);
    t.true(awaited.caller > 0);
  });
}

test.serial('with many under way the foreground thread has the rest, and all come', async (t) => {
  const [database] = await filled(t, COLD);
  await opened(database);
  const shares = await counted(database, async () => {
    const values = await Promise.all([...Array(ENTRIES).keys()].map((i) => database.get(keyOf(i))));
    for (let i = 0; i < ENTRIES; i++) t.deepEqual(values[i], valueOf(VALUE_BYTES, i));
  });
  t.true(shares.foreground > 0, JSON.stringify(shares));
  t.true(shares.caller >= 64, JSON.stringify(shares));
});

test.serial('a synchronous read comes beside awaited ones, which come as well', async (t) => {
  const [database] = await filled(t, COLD);
  await opened(database);
  for (let round = 0; round < 20; round++) {
    const pending = [...Array(80).keys()].map((i) => database.get(keyOf((7 * i + round) % ENTRIES)));
    // One that is on its way already, and one that is not.
    for (const i of [(7 * 3 + round) % ENTRIES, (7 * 79 + round) % ENTRIES, ENTRIES - 1 - round]) {
      t.deepEqual(database.getSync(keyOf(i)), valueOf(VALUE_BYTES, i));
    }
    const values = await Promise.all(pending);
    for (const [i, value] of values.entries()) {
      t.deepEqual(value, valueOf(VALUE_BYTES, (7 * i + round) % ENTRIES));
    }
  }
});

test.serial('the first blocks of many keys are on their way while others are looked for', async (t) => {
  const [database] = await filled(t, COLD);
  await opened(database);
  const places = [...Array(40).keys()].map((i) => i * 13);
  const before = requestsOf(database).caller;
  const submitted = (): number => database.stats().callerRing?.operations ?? 0;
  const submittedBefore = submitted();
  const reading = database.getMany(places.map(keyOf));
  t.is(requestsOf(database).caller - before, places.length);
  t.true(submitted() - submittedBefore >= places.length / 2, `${submitted() - submittedBefore} submitted`);
  const values = await reading;
  t.true(places.every((i, at) => values[at]?.equals(valueOf(VALUE_BYTES, i)) === true));
});

/** More than the turn of the event loop takes that is waited for. */
const READS_WITHOUT_A_TURN_MAX = 20_000;

test.serial('reads that end at once leave the event loop its turns', async (t) => {
  const [database] = await filled(t, { ...COLD, io: { direct: false } });
  await opened(database);
  let reads = 0;
  let hasTurned = false;
  setTimeout(() => {
    hasTurned = true;
  }, 0);
  const lanes = [...Array(32).keys()].map(async (lane) => {
    while (!hasTurned && reads < READS_WITHOUT_A_TURN_MAX) {
      reads++;
      await database.get(keyOf((lane * 17 + reads * 7) % ENTRIES));
    }
  });
  await Promise.all(lanes);
  t.true(hasTurned);
});

test.serial('a block that is damaged is refused with its place, read again or not', async (t) => {
  const [database, directory] = await filled(t, COLD);
  await opened(database);
  const [table] = namesEnding(directory, '.sst');
  flipByte(join(directory, table), 8192 + 100);
  const errors: QuadringError[] = [];
  for (let i = 0; i < 20; i++) {
    try {
      database.getSync(keyOf(i));
    } catch (error) {
      errors.push(error as QuadringError);
    }
    await database.get(keyOf(i)).catch((error: unknown) => errors.push(error as QuadringError));
  }
  t.true(errors.length > 0 && errors.length < 20, `${errors.length} errors`);
  for (const { code, file, offset } of errors) {
    t.deepEqual(
      { code, file, offset },
      { code: 'TABLE_CORRUPT', file: join(directory, table), offset: 8192 },
    );
  }
});

test.serial('its ring is not there where the settings say so', async (t) => {
  const settings = [
    ['syscall', {}],
    ['uring', { callerRing: false }],
    ['uring', { sqpoll: true }],
    ['uring', { iopoll: true }],
  ] as const;
  for (const [backend, io] of settings) {
    const directory = join(temporaryDirectory(t), 'db');
    const database = await openDatabase(t, directory, backend, { ...COLD, io });
    t.is(database.stats().callerRing, null, `${backend} ${JSON.stringify(io)}`);
    await database.put('key', 'value');
    await database.flush();
    t.is(database.getSync('key')?.toString(), 'value');
    await database.close();
  }
});

test.serial(
  'through the page cache frames are the wal thread’s: a sync might hold this one up',
  async (t) => {
    const directory = join(temporaryDirectory(t), 'db');
    const io = { ...PLAIN, direct: false };
    const database = await openDatabase(t, directory, 'uring', { io });
    for (let i = 0; i < 5; i++) await database.put(keyOf(i), valueOf(500, i));
    t.is(database.stats().callerRing?.bytesWritten, 0);
  },
);

test.serial('tables that compactions replaced are let go', async (t) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = { ...COLD, io: PLAIN, compaction: { spareBytes: 0 } };
  const database = await openDatabase(t, directory, 'uring', options);
  for (let round = 0; round < 12; round++) {
    for (let i = 0; i < 60; i++) void database.put(keyOf(i), valueOf(VALUE_BYTES, round), { sync: false });
    await database.flush();
    for (let i = 0; i < 60; i++) t.deepEqual(await database.get(keyOf(i)), valueOf(VALUE_BYTES, round));
    await database.compactRange();
    t.deepEqual(database.getSync(keyOf(round)), valueOf(VALUE_BYTES, round));
  }
  t.true(database.stats().tableFiles.removed > 10);
  await database.close();
  const removed = readdirSync('/proc/self/fd').filter((descriptor) => isOfRemoved(descriptor, directory));
  t.deepEqual(removed, []);
});

test.serial('frames of lone writes do not cross threads, those of large ones do', async (t) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, 'uring', { io: PLAIN });
  await database.put(keyOf(0), 'the log is opened for the caller’s ring meanwhile');
  const framesBy = (): { caller: number; wal: number } => {
    const { rings, callerRing } = database.stats();
    return {
      caller: callerRing?.requests ?? 0,
      wal: rings.find(({ role }) => role === 'wal')?.bytesWritten ?? 0,
    };
  };
  const before = framesBy();
  for (let i = 0; i < 50; i++) await database.put(keyOf(i), valueOf(500, i));
  const between = framesBy();
  t.is(between.caller - before.caller, 50);
  t.is(between.wal, before.wal);
  await database.put('large', valueOf(600_000, 1));
  t.true(framesBy().wal > between.wal);
  await database.close();
  const again = await openDatabase(t, directory, 'uring', { io: PLAIN });
  for (let i = 0; i < 50; i++) t.deepEqual(again.getSync(keyOf(i)), valueOf(500, i));
  t.deepEqual(again.getSync('large'), valueOf(600_000, 1));
});

function isOfRemoved(descriptor: string, directory: string): boolean {
  try {
    const target = readlinkSync(`/proc/self/fd/${descriptor}`);
    return target.startsWith(directory) && target.endsWith('(deleted)');
  } catch {
    // It was that of the listing itself.
    return false;
  }
}
