/** What `stats()` says of the storage below a database, and of the settings that depend on it. */
import { join } from 'node:path';
import test from 'ava';
import { Database, type DatabaseOptions, type DatabaseStats } from '../../src/index.ts';
import type { BlockDevice, Storage } from '../../src/main/block-device.ts';
import { productionEnvironment } from '../../src/main/production-environment.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { testBackends } from '../support/backends.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const MEBIBYTE = 1024 * 1024;

function settingsOf(stats: DatabaseStats): Map<string, readonly [string | number | boolean, string]> {
  return new Map(stats.storage.settings.map(({ setting, value, reason }) => [setting, [value, reason]]));
}

const nvme: BlockDevice = {
  name: 'nvme0n1',
  major: 259,
  minor: 0,
  kind: 'nvme',
  polls: true,
  hasVolatileCache: true,
  writesThrough: true,
  isRotational: false,
  logicalBlockBytes: 512,
  physicalBlockBytes: 4096,
  requestBytesMax: 131_072,
  splitsAtBytes: 0,
  scheduler: 'none',
};

/** Statistics of a database over a simulated disk, of which this is said. */
async function statsOver(storage: Partial<Storage>, options: DatabaseOptions = {}): Promise<DatabaseStats> {
  const random = new Random(1);
  const { environment } = simulatedWorld({ disk: new SimulatedDisk(), random: () => random.fraction() });
  const { disks = [], layers = disks } = storage;
  const described = { fileSystem: 'ext4', gap: undefined, ...storage, layers, disks };
  const fileSystem = {
    ...environment.fileSystem,
    describeStorage: (directory: string) => ({ directory, ...described }),
  };
  const database = await Database.openIn({ ...environment, fileSystem }, SIMULATED_DIRECTORY, options);
  const stats = database.stats();
  await database.close();
  return stats;
}

testBackends('the disks, the file system and what came of them are named', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const { storage } = database.stats();
  t.log(JSON.stringify(storage));
  t.truthy(storage.fileSystem);
  t.true(storage.disks.length > 0 || storage.gap !== null);
  const settings = settingsOf(database.stats());
  t.deepEqual(
    [...settings.keys()],
    ['io.direct', 'io.iopoll', 'io.sqpoll', 'compaction.priority', 'durable writes', 'hugePages'],
  );
  t.is(settings.get('io.direct')![0], database.stats().directIo);
  t.deepEqual(settings.get('io.iopoll'), [false, 'not asked for']);
  for (const [, reason] of settings.values()) t.true(reason.length > 5);
});

test('a disk that can be polled, with FUA and without a scheduler', async (t) => {
  const stats = await statsOver({ disks: [nvme] }, { io: { iopoll: true } });
  const settings = settingsOf(stats);
  t.deepEqual(stats.storage.disks, [nvme]);
  t.deepEqual(settings.get('io.direct'), [true, 'ext4 takes it']);
  t.deepEqual(settings.get('io.iopoll'), [true, 'nvme0n1 can be polled, up to 131072 bytes at once']);
  t.deepEqual(settings.get('durable writes'), ['written through', 'nvme0n1 has a volatile cache, and FUA']);
});

test('a disk that cannot, one without a cache, one that says nothing, and none', async (t) => {
  const asked = { io: { iopoll: true, direct: true } };
  const plain = { ...nvme, name: 'vda', polls: false, writesThrough: false };
  const first = settingsOf(await statsOver({ disks: [nvme, plain] }, asked));
  t.deepEqual(first.get('io.direct'), [true, 'as the option says']);
  t.is(first.get('io.iopoll')![0], false);
  t.regex(first.get('io.iopoll')![1], /^vda has no queues/);
  t.deepEqual(first.get('durable writes'), [
    'written and flushed',
    'vda has a volatile cache and no FUA: each durable write flushes all of it',
  ]);
  const durable = async (disks: BlockDevice[]): Promise<unknown> =>
    settingsOf(await statsOver({ disks })).get('durable writes')![0];
  t.is(await durable([{ ...plain, hasVolatileCache: false }]), 'written');
  t.is(await durable([{ ...plain, hasVolatileCache: undefined }]), 'unknown');
  t.is(await durable([]), 'unknown');
});

test('nothing is polled for where files are read and written with system calls', async (t) => {
  const describeStorage = (directory: string): Storage => ({
    directory,
    fileSystem: 'ext4',
    layers: [nvme],
    disks: [nvme],
    gap: undefined,
  });
  const fileSystem = { ...productionEnvironment.fileSystem, describeStorage };
  const database = await Database.openIn(
    { ...productionEnvironment, fileSystem },
    join(temporaryDirectory(t), 'db'),
    { io: { backend: 'syscall', iopoll: true, sqpoll: true, direct: true } },
  );
  const stats = database.stats();
  await database.close();
  const settings = settingsOf(stats);
  const expected = [false, 'files are read and written with system calls'];
  t.deepEqual(settings.get('io.iopoll'), expected);
  t.deepEqual(settings.get('io.sqpoll'), expected);
  t.deepEqual([stats.iopoll, stats.iopollRefusal], expected);
});

test('a directory that cannot be looked at is a gap', async (t) => {
  const random = new Random(1);
  const { environment } = simulatedWorld({ disk: new SimulatedDisk(), random: () => random.fraction() });
  const describeStorage = (): Storage => {
    throw new Error('it is gone');
  };
  const fileSystem = { ...environment.fileSystem, describeStorage };
  const database = await Database.openIn({ ...environment, fileSystem }, SIMULATED_DIRECTORY, {});
  const { fileSystem: name, disks, gap } = database.stats().storage;
  await database.close();
  t.deepEqual([name, disks, gap], [null, [], 'it is gone']);
});

test('compactions have the priority that was asked for', async (t) => {
  const stats = await statsOver({}, { compaction: { priority: 'best-effort' } });
  t.deepEqual(settingsOf(stats).get('compaction.priority'), ['best-effort', 'as the option says']);
});

test('huge pages that were obtained are counted', async (t) => {
  for (const hugePages of ['auto', 'off'] as const) {
    const directory = join(temporaryDirectory(t), 'db');
    const database = await openDatabase(t, directory, 'uring', { hugePages, blockCacheBytes: 8 * MEBIBYTE });
    const [value, reason] = settingsOf(database.stats()).get('hugePages')!;
    t.log(value, reason);
    if (hugePages === 'off') t.is(reason, 'not asked for');
    else t.regex(reason, /^[\d.]+ of \d+ MiB|^the kernel does not say/);
    if (typeof value === 'number') t.true(value % (2 * MEBIBYTE) === 0);
  }
});
