/** `io.iopoll`: where the disk has queues that can be polled (in the virtual machine), and where it has not. */
import { join } from 'node:path';
import test from 'ava';
import { Database } from '../../src/index.ts';
import { describeStorage, type BlockDevice, type Storage } from '../../src/main/block-device.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { keyOf, valueOf } from '../support/values.ts';

for (const sqpoll of [false, true]) {
  test(`reads and the log's writes are polled for, or it is said why not${sqpoll ? ' (with sqpoll)' : ''}`, async (t) => {
    const directory = join(temporaryDirectory(t), 'db');
    const io = { backend: 'uring', iopoll: true, sqpoll } as const;
    const options = { writeBufferBytes: 65_536, blockCacheBytes: 0, io };
    for (let opened = 0; opened < 2; opened++) {
      const database = await Database.open(directory, options);
      for (let i = 0; i < 1000; i++) await database.put(keyOf(i), valueOf(100, i), { sync: i % 20 === 0 });
      await database.flush();
      for (let i = 0; i < 1000; i += 7) t.deepEqual(await database.get(keyOf(i)), valueOf(100, i));
      for (let i = 0; i < 1000; i += 7) t.deepEqual(database.getSync(keyOf(i)), valueOf(100, i));
      const { rings, iopoll, iopollRefusal } = database.stats();
      await database.close();
      const disksPoll = describeStorage(directory).disks.some(({ polls }) => polls === true);
      t.is(iopoll, iopollRefusal === null);
      if (!disksPoll) t.false(iopoll);
      t.log(
        iopollRefusal ?? rings.map(({ role, polledOperations }) => `${role} ${polledOperations}`).join(', '),
      );
      for (const { role, polledOperations, pollerFlags } of rings) {
        const mayPoll = role === 'foreground' || role === 'wal';
        t.is(pollerFlags.includes('IOPOLL'), mayPoll);
        t.is(polledOperations > 0, mayPoll && iopoll);
      }
    }
  });
}

test('nothing is polled for unasked', async (t) => {
  const database = await Database.open(join(temporaryDirectory(t), 'db'), { io: { backend: 'uring' } });
  await database.put('a', '1');
  const { rings, iopoll, iopollRefusal } = database.stats();
  await database.close();
  t.false(iopoll);
  t.is(iopollRefusal, null);
  t.true(
    rings.every(({ polledOperations, pollerFlags }) => polledOperations === 0 && pollerFlags.length === 0),
  );
});

test('a disk that refuses what it said it could is believed, once by each ring', async (t) => {
  const disk = new SimulatedDisk();
  const random = new Random(1);
  let refused = 0;
  const polled = { name: 'nvme0n1', polls: true, requestBytesMax: 131_072, splitsAtBytes: 0 } as BlockDevice;
  for (let opened = 1; opened <= 2; opened++) {
    const { environment } = simulatedWorld({
      disk,
      random: () => random.fraction(),
      onPolled: () => refused++,
    });
    const fileSystem = {
      ...environment.fileSystem,
      describeStorage: (directory: string) => {
        return { directory, fileSystem: 'ext4', layers: [polled], disks: [polled], gap: undefined };
      },
    };
    const options = { blockCacheBytes: 0, io: { iopoll: true } };
    const database = await Database.openIn({ ...environment, fileSystem }, SIMULATED_DIRECTORY, options);
    t.true(database.stats().iopoll);
    for (let i = 0; i < 100; i++) await database.put(keyOf(i), valueOf(100, opened));
    await database.flush();
    for (let i = 0; i < 100; i++) t.deepEqual(await database.get(keyOf(i)), valueOf(100, opened));
    t.deepEqual(database.getSync(keyOf(5)), valueOf(100, opened));
    t.is(database.stats().failure, null);
    await database.close();
    t.is(refused, 2 * opened);
  }
});

// A request that the disk has to split never completes where it is polled for (Linux 6.1).
test('what the disk would have to split is not polled for', async (t) => {
  const random = new Random(1);
  let polled = 0;
  const onPolled = (): void => void polled++;
  const { environment } = simulatedWorld({
    disk: new SimulatedDisk(),
    random: () => random.fraction(),
    onPolled,
  });
  const opened = async (disk: Partial<BlockDevice>): Promise<Database> => {
    const layers = [{ name: 'nvme0n1', polls: true, ...disk } as BlockDevice];
    const describeStorage = (directory: string): Storage => {
      return { directory, fileSystem: 'ext4', layers, disks: layers, gap: undefined };
    };
    const fileSystem = { ...environment.fileSystem, describeStorage };
    return Database.openIn({ ...environment, fileSystem }, SIMULATED_DIRECTORY, {
      io: { iopoll: true },
    });
  };
  const database = await opened({ requestBytesMax: 4096, splitsAtBytes: 0 });
  t.true(database.stats().iopoll);
  await database.put('large', valueOf(5000, 1));
  t.is(polled, 0);
  await database.put('small', valueOf(50, 1));
  t.is(polled, 1);
  await database.close();
  for (const [disk, reason] of [
    [{ requestBytesMax: 131_072, splitsAtBytes: 65_536 }, /^nvme0n1 may split/],
    [{ requestBytesMax: 131_072 }, /^nvme0n1 may split/],
    [{ splitsAtBytes: 0 }, /^nvme0n1 does not say/],
  ] as const) {
    const other = await opened(disk);
    t.false(other.stats().iopoll);
    t.regex(other.stats().iopollRefusal ?? '', reason);
    await other.close();
  }
});
