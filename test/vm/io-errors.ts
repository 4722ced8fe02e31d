/**
 * A disk that fails under an open database, as the program that runs in the virtual machine. See docs/virtual-machine.md.
 * Real errors of a real block layer: the file system meets them as well, and does what file systems do. Exits with 1 when
 * a promise is broken.
 */
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { FILE_SYSTEMS, type FileSystemKind } from './devices.ts';
import { canFailReads, FailingStage } from './failing-stage.ts';
import { comesFromEio, expect, PutHistory, refusalOf } from './put-history.ts';

/** Given as JSON in the first argument. */
export interface IoErrorTask {
  readonly fileSystems: readonly FileSystemKind[];
  readonly backend: 'auto' | 'uring' | 'syscall';
}

const DISK = '/dev/disk/data';
const MOUNT = '/mnt/failing';
/** No cache, so that what is read comes from the disk; memtables that a few dozen puts fill. */
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 262_144,
  blockBytes: 4096,
  blockCacheBytes: 0,
  compaction: { automatic: false },
};
const PUTS = 60;
const CROWD = 100;

interface World {
  readonly stage: FailingStage;
  readonly open: (io?: DatabaseOptions['io']) => Promise<Database>;
  readonly history: PutHistory;
  /** Whether this kernel can fail reads and nothing else. */
  readonly canFailReads: boolean;
}

interface Scenario {
  /** A sentence about behaviour. */
  readonly name: string;
  /** Needs reads to fail by themselves. */
  readonly failsReads?: boolean;
  readonly run: (world: World) => Promise<void>;
}

/** From the first failure on everything that writes is refused with the same cause, also when the disk is well again. */
async function expectFinal(database: Database, stage: FailingStage): Promise<void> {
  const attempts = {
    put: () => database.put('later', 'refused'),
    del: () => database.del('later'),
    batch: () => database.batch([{ type: 'put', key: 'later', value: 'refused' }]),
    flush: () => database.flush(),
  };
  for (const state of ['failing', 'healed']) {
    for (const [name, attempt] of Object.entries(attempts)) {
      const error = await refusalOf(`${name} on a ${state} disk`, attempt);
      expect(error.code === 'FAILED', `${name} on a ${state} disk is refused with ${error.code}`);
      expect(
        comesFromEio(error),
        `the refusal of ${name} on a ${state} disk does not say why: ${error.message}`,
      );
    }
    if (state === 'failing') stage.heal();
  }
  // As the file system has to find it, see FailingStage.
  stage.fail('writes');
}

/** All that was acknowledged can be read, unless the file system itself lets nobody read any more. */
async function expectReads({ stage, history }: World, database: Database): Promise<void> {
  try {
    await history.expectAcknowledged(database);
  } catch (error) {
    if (!comesFromEio(error) || stage.canRead()) throw error;
    console.log('        (the file system has shut down: nobody can read)');
  }
}

async function expectSurvivors({ stage, open, history }: World): Promise<void> {
  stage.remountHealed();
  const database = await open();
  await history.expectSurvivors(database);
  await history.putMany(database, PUTS);
  await history.expectAcknowledged(database);
  await database.close();
}

/** Tables, and then what only the log has. */
async function filled({ open, history }: World, io?: DatabaseOptions['io']): Promise<Database> {
  const database = await open(io);
  await history.putMany(database, PUTS);
  await database.flush();
  await history.putMany(database, PUTS / 2);
  return database;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a write to the log that fails is final, reads go on, and the next open has everything acknowledged',
    run: async (world) => {
      const database = await filled(world);
      world.stage.fail('writes');
      const error = await refusalOf('a put on a failing disk', () => world.history.put(database));
      expect(
        error.code === 'FAILED' && comesFromEio(error),
        `it is refused with ${error.code}: ${error.message}`,
      );
      await expectReads(world, database);
      await expectFinal(database, world.stage);
      await database.close();
      await expectSurvivors(world);
    },
  },
  {
    name: 'of a crowd of writes those before the failure are acknowledged and there, those behind it refused',
    run: async (world) => {
      const { stage, history } = world;
      const database = await filled(world);
      const before = history.acknowledged;
      const outcomes: Promise<void>[] = [];
      for (let i = 0; i < CROWD; i++) {
        if (i === CROWD / 2) await outcomes[0];
        if (i === CROWD / 2) stage.fail('writes');
        outcomes.push(history.put(database));
      }
      const settled = await Promise.allSettled(outcomes);
      const kept = settled.findIndex(({ status }) => status === 'rejected');
      expect(kept > 0, `of a crowd ${kept} were acknowledged before the disk failed`);
      expect(
        settled.slice(kept).every((one) => one.status === 'rejected' && comesFromEio(one.reason)),
        'behind a write that failed another one was acknowledged, or refused for another reason',
      );
      expect(history.acknowledged === before + kept, 'acknowledgements were counted twice');
      await expectReads(world, database);
      await database.close();
      await expectSurvivors(world);
    },
  },
  {
    name: 'a table whose writes fail is final, and its log keeps what it would have had',
    run: async (world) => {
      const database = await filled(world);
      world.stage.fail('writes');
      const error = await refusalOf('a flush on a failing disk', () => database.flush());
      expect(comesFromEio(error), `the flush is refused with ${error.code}: ${error.message}`);
      await expectReads(world, database);
      await expectFinal(database, world.stage);
      await database.close();
      await expectSurvivors(world);
    },
  },
  {
    name: 'an fsync of a table that fails is final and is not tried again, though its writes went well',
    run: async (world) => {
      // Through the page cache a write succeeds, and what is wrong comes out when it is synced.
      const database = await filled(world, { direct: false });
      world.stage.fail('writes');
      const error = await refusalOf('a flush on a failing disk', () => database.flush());
      expect(/fsync/.test(error.message), `the flush did not fail in an fsync: ${error.message}`);
      expect(comesFromEio(error), `the flush is refused with ${error.code}: ${error.message}`);
      await expectReads(world, database);
      await expectFinal(database, world.stage);
      await database.close();
      await expectSurvivors(world);
    },
  },
  {
    name: 'a recovery that cannot write is refused, and the next one finds everything',
    run: async (world) => {
      const { stage, open, history } = world;
      const first = await filled(world);
      stage.fail('writes');
      await refusalOf('a put on a failing disk', () => history.put(first));
      await first.close();
      stage.remountHealed();
      stage.fail('writes');
      const error = await refusalOf('an open on a failing disk', () => open());
      expect(
        error.code === 'IO_ERROR' || error.code === 'READ_ONLY',
        `the open is refused with ${error.code}`,
      );
      stage.heal();
      await expectSurvivors(world);
    },
  },
  {
    name: 'a read that fails says where, and is not final: reads go on when the disk is well again',
    run: async (world) => {
      const { stage, history } = world;
      const database = await filled(world);
      stage.fail(world.canFailReads ? 'reads' : 'everything');
      const key = PutHistory.key(PUTS - 1);
      const error = await refusalOf('a get on a failing disk', () => database.get(key));
      expect(
        error.code === 'IO_ERROR' && comesFromEio(error),
        `it is refused with ${error.code}: ${error.message}`,
      );
      expect(error.file !== undefined && error.offset !== undefined, 'the error does not say where');
      await refusalOf('a getSync on a failing disk', () => database.getSync(key));
      await refusalOf('a scan on a failing disk', async () => {
        for await (const _ of database.iterator());
      });
      stage.heal();
      await expectReads(world, database);
      // Where writes failed as well, the file system has become read-only.
      if (world.canFailReads) await history.putMany(database, PUTS);
      await database.close();
      await expectSurvivors(world);
    },
  },
  {
    name: 'while reads fail writes go on, and a compaction that met it is done when the disk is well again',
    failsReads: true,
    run: async (world) => {
      const { stage, history } = world;
      const database = await filled(world);
      await database.flush();
      stage.fail('reads');
      const error = await refusalOf('a compaction on a failing disk', () => database.compactRange());
      expect(comesFromEio(error), `the compaction is refused with ${error.code}: ${error.message}`);
      await history.putMany(database, PUTS / 2);
      stage.heal();
      await history.expectAcknowledged(database);
      await database.compactRange();
      await history.putMany(database, PUTS);
      await history.expectAcknowledged(database);
      await database.close();
      await expectSurvivors(world);
    },
  },
];

async function runScenario(
  scenario: Scenario,
  fileSystem: FileSystemKind,
  io: DatabaseOptions['io'],
): Promise<void> {
  const stage = new FailingStage(fileSystem, DISK, MOUNT);
  const databases: Database[] = [];
  const open = async (more: DatabaseOptions['io'] = {}): Promise<Database> => {
    const database = await Database.open(stage.directory, { ...OPTIONS, io: { ...io, ...more } });
    databases.push(database);
    return database;
  };
  try {
    await scenario.run({ stage, open, history: new PutHistory(), canFailReads: readsCanFail });
  } finally {
    stage.heal();
    // Those that the scenario has closed stay closed.
    for (const database of databases) await database.close();
    stage.remove();
  }
}

const { fileSystems, backend } = JSON.parse(process.argv[2] ?? '') as IoErrorTask;
const readsCanFail = canFailReads(DISK);
let failed = 0;
for (const fileSystem of FILE_SYSTEMS.filter((kind) => fileSystems.includes(kind))) {
  for (const scenario of SCENARIOS) {
    if (scenario.failsReads === true && !readsCanFail) {
      console.log(`   -    ${fileSystem}: ${scenario.name}: this kernel cannot fail reads alone`);
      continue;
    }
    try {
      await runScenario(scenario, fileSystem, { backend });
      console.log(`   ok   ${fileSystem}: ${scenario.name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED  ${fileSystem}: ${scenario.name}`);
      console.log(error instanceof Error ? error.stack : error);
    }
  }
}
console.log(failed === 0 ? 'no promise was broken' : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
