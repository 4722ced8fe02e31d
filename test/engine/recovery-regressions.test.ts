/**
 * What once broke when a recovery met another crash, each test named after it. Owner and roles run in one thread over a
 * simulated disk.
 */
import test, { type ExecutionContext } from 'ava';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { OPCODE_OPEN, OPCODE_RENAME, OPCODE_UNLINK } from '../../src/workers/ring.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { Crash, SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import type { RingStep } from '../support/simulated-ring.ts';
import { repairOn, verifyOn } from '../support/offline-databases.ts';
import { Random } from '../support/random.ts';

const EIO = 5;
const BATCH_KEYS = 40;
const OPTIONS: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096 };

/** A disk that says of some writes that they are durable, or not at all. */
class ForgetfulDisk extends SimulatedDisk {
  /** Writes reach the machine's memory, and no further. */
  isForgetful = false;

  override write(handle: number, bytes: Uint8Array, offset: number, isDurable: boolean): number {
    return super.write(handle, bytes, offset, isDurable && !this.isForgetful);
  }

  /** No file can be removed, and none closed. */
  isFailing = false;

  override unlink(name: string): number {
    return this.isFailing ? -EIO : super.unlink(name);
  }

  override close(handle: number): number {
    const result = super.close(handle);
    return this.isFailing ? -EIO : result;
  }
}

function open(
  disk: SimulatedDisk,
  onStep?: (step: RingStep) => void,
  seed = 1,
  options = OPTIONS,
): Promise<Database> {
  const random = new Random(seed);
  const world = simulatedWorld({
    disk,
    random: () => random.fraction(),
    ...(onStep === undefined ? {} : { onStep }),
  });
  return Database.openIn(world.environment, SIMULATED_DIRECTORY, options);
}

/** Runs what ends, or is stopped by a crash, without the event loop. */
async function settle(started: Promise<unknown>): Promise<void> {
  let failure: unknown;
  started.catch((error: unknown) => (failure = error));
  await new Promise((resolve) => setImmediate(resolve));
  if (failure !== undefined) throw failure as Error;
}

/** A log whose last write can be read and is not durable: the process was killed while it was under way. */
async function killedDisk(
  write = (database: Database) => database.put('under way', '2'),
  options = OPTIONS,
): Promise<ForgetfulDisk> {
  const disk = new ForgetfulDisk();
  await settle(
    (async () => {
      const database = await open(disk, undefined, 1, options);
      await database.put('acknowledged', '1');
      disk.isForgetful = true;
      await write(database);
    })(),
  );
  disk.isForgetful = false;
  disk.locked = false;
  return disk;
}

async function expectAcknowledged(t: ExecutionContext, disk: SimulatedDisk): Promise<string | undefined> {
  let other: string | undefined;
  await settle(
    (async () => {
      const database = await open(disk);
      t.is(database.getString('acknowledged'), '1');
      other = database.getString('under way');
      const tables = database.stats().levels.reduce((sum, level) => sum + level.tables, 0);
      t.is([...disk.names.keys()].filter((name) => name.includes('.sst')).length, tables);
      await database.close();
    })(),
  );
  return other;
}

test.serial(
  'a power cut after a recovery has written its table does not keep the database from opening',
  async (t) => {
    const disk = await killedDisk();
    let hasStopped = false;
    await settle(
      open(disk, ({ opcode, name }) => {
        // The table has its name, and the manifest does not know of it.
        if (opcode !== OPCODE_OPEN || !name.endsWith('.sst')) return;
        hasStopped = true;
        throw new Crash();
      }),
    );
    t.true(hasStopped);
    const left = disk.crashed('durable');
    t.true([...left.names.keys()].some((name) => name.endsWith('.sst')));
    t.deepEqual((await verifyOn(left.crashed('durable'))).findings, [], 'and is no damage');
    t.false((await repairOn(left.crashed('durable'))).isChanged);
    t.is(await expectAcknowledged(t, left), undefined);
    t.is(await expectAcknowledged(t, left.crashed('durable')), undefined);
  },
);

/** What a power cut leaves at each step of a recovery of such a disk, in turn, and behind the last one. */
async function* stoppedRecoveries(make: () => Promise<SimulatedDisk>): AsyncGenerator<SimulatedDisk> {
  for (let stopAt = 0, isDone = false; !isDone; stopAt++) {
    const disk = await make();
    let step = 0;
    await settle(
      open(disk, () => {
        if (step++ === stopAt) throw new Crash();
      }).then(async (database) => {
        await database.close();
        isDone = step <= stopAt;
      }),
    );
    yield disk.crashed('durable');
  }
}

/** A recovery of that disk was stopped when its table had its name, and the machine lives. */
async function interruptedDisk(): Promise<SimulatedDisk> {
  const disk = await killedDisk();
  await settle(
    open(disk, ({ opcode, name }) => {
      if (opcode === OPCODE_OPEN && name.endsWith('.sst')) throw new Crash();
    }),
  );
  disk.locked = false;
  return disk;
}

for (const [what, next] of [
  ['that a power cut ended', (disk: SimulatedDisk) => disk.crashed('durable')],
  ['that a kill ended', (disk: SimulatedDisk) => disk],
] as const) {
  test.serial(
    `the table of a recovery ${what} is gone before a manifest is in force that cannot explain it`,
    async (t) => {
      // The second recovery is stopped, and there is a third.
      const make = async (): Promise<SimulatedDisk> => next(await interruptedDisk());
      for await (const left of stoppedRecoveries(make)) await expectAcknowledged(t, left);
    },
  );
}

test.serial('an open that meets one failure after another says what the first was, and ends', async (t) => {
  // Which comes first is up to chance.
  for (let seed = 0; seed < 8; seed++) {
    const disk = await killedDisk();
    const onStep = ({ opcode, name }: RingStep): void => {
      // The log goes once its table is named. Then the first one for new writes is prepared, and closed.
      if (opcode === OPCODE_UNLINK && name.endsWith('.wal')) disk.isFailing = true;
    };
    let ending: unknown = 'it waits for ever';
    await settle(
      open(disk, onStep, seed).then(
        () => (ending = 'it is open'),
        (error: unknown) => (ending = error),
      ),
    );
    t.like(ending, { code: 'IO_ERROR' }, `seed ${seed}`);
    t.true(disk.isFailing);
    disk.isFailing = false;
    t.is(await expectAcknowledged(t, disk), '2');
  }
});

/** The keys that are there of those a batch has written. */
async function keysOf(disk: SimulatedDisk): Promise<number> {
  let keys = 0;
  await settle(
    (async () => {
      const database = await open(disk);
      for (let i = 0; i < BATCH_KEYS; i++) if (database.getSync(`key ${i}`) !== undefined) keys++;
      await database.close();
    })(),
  );
  return keys;
}

for (const valueBytes of [2000, 30_000]) {
  test.serial(
    `a power cut in the middle of a recovery does not tear a batch larger than a memtable (${BATCH_KEYS} times ${valueBytes} bytes)`,
    async (t) => {
      const seen = new Set<number>();
      const value = Buffer.alloc(valueBytes, 'v');
      const make = (): Promise<SimulatedDisk> =>
        killedDisk((database) =>
          database.batch(
            Array.from({ length: BATCH_KEYS }, (_, i) => ({ type: 'put', key: `key ${i}`, value })),
          ),
        );
      for await (const left of stoppedRecoveries(make)) seen.add(await keysOf(left));
      t.deepEqual(
        [...seen].sort((a, b) => a - b),
        [0, BATCH_KEYS],
      );
    },
  );
}

test.serial(
  'a log that fills every memtable there is is durable before anything is acknowledged behind it',
  async (t) => {
    const value = Buffer.alloc(1000, 'v');
    const writeSome = async (database: Database): Promise<void> => {
      for (let i = 0; i < 150; i++) await database.put(`key ${i}`, value);
    };
    const disk = await killedDisk(writeSome, { ...OPTIONS, writeBufferBytes: 4 << 20 });
    let written = false;
    await settle(
      (async () => {
        const database = await open(disk);
        await database.put('behind it', '3');
        written = true;
      })(),
    );
    t.true(written);
    await settle(
      (async () => {
        const database = await open(disk.crashed('durable'));
        t.is(database.getString('behind it'), '3');
        for (let i = 0; i < 150; i++) t.deepEqual(database.getSync(`key ${i}`), value);
        await database.close();
      })(),
    );
  },
);

test.serial(
  'an open removed the inputs of a compaction whose edit could be read and was not durable yet',
  async (t) => {
    const disk = new ForgetfulDisk();
    const compacted = { ...OPTIONS, blockCacheBytes: 16_384, compaction: { l0Trigger: 2, idleMs: 0 } };
    const valueIn = (round: number, i: number): string => `${round} of ${i} `.padEnd(400, 'v');
    // A log that holds more than one small memtable.
    await settle(
      (async () => {
        const database = await open(disk, undefined, 1, { ...compacted, writeBufferBytes: 1 << 20 });
        for (let round = 0; round < 3; round++) {
          const batch = database.batch();
          for (let i = 0; i < 100; i++) batch.put(`key ${i}`, valueIn(round, i));
          await batch.write();
        }
        await database.put('acknowledged', '1');
        await database.close();
      })(),
    );
    // Small memtables: the first ones become tables 5 and 8 at once, which are merged into 9; the last needs the log still.
    const openFile = disk.open.bind(disk);
    const files = new Map<number, string>();
    disk.open = (name, flags) => {
      const handle = openFile(name, flags);
      files.set(handle, name);
      return handle;
    };
    const write = disk.write.bind(disk);
    let isMerged = false;
    disk.write = (handle, bytes, offset, isDurable) => {
      const isEdit =
        !isMerged && files.get(handle)?.startsWith('MANIFEST') === true && disk.names.has('000009.sst');
      const result = write(handle, bytes, offset, isDurable && !isEdit);
      isMerged ||= isEdit;
      return result;
    };
    await settle(
      open(
        disk,
        () => {
          if (isMerged) throw new Crash();
        },
        3,
        compacted,
      ),
    );
    t.true(isMerged, 'it was killed when its edit could be read');
    disk.locked = false;
    // The next open is stopped before its own manifest is in force.
    let hasStopped = false;
    await settle(
      open(disk, ({ opcode, name }) => {
        if (opcode !== OPCODE_RENAME || name !== 'CURRENT.tmp') return;
        hasStopped = true;
        throw new Crash();
      }),
    );
    t.true(hasStopped);
    const after = disk.crashed('durable');
    await settle(
      (async () => {
        const database = await open(after);
        t.is(database.getString('acknowledged'), '1');
        for (let i = 0; i < 100; i++) t.is(database.getString(`key ${i}`), valueIn(2, i));
        await database.close();
      })(),
    );
  },
);
