/**
 * A machine that stops in the middle of a compaction, at each of its steps; and files that a compaction left behind.
 *
 * Owner and roles run in one thread over a disk in memory. What a crash leaves is opened again: everything acknowledged is
 * there, and every file but a table of the version is gone.
 */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Database, type CompactionOptions, type DatabaseOptions } from '../../src/index.ts';
import { resolveOptions } from '../../src/main/options.ts';
import { entriesOf, expectOnlyTables, shapeOf } from '../support/at-rest.ts';
import { testBackends } from '../support/backends.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { Crash, SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const KEYS = 150;
const ROUNDS = 7;
const OPTIONS: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 16_384 };
const MANUAL: CompactionOptions = { automatic: false, tableBytes: 65_536 };
/** A base level that is always below what there is, so that tables go through several levels. */
const DEEP: CompactionOptions = {
  l0Trigger: 2,
  tableBytes: 65_536,
  baseBytes: 65_536,
  multiplier: 2,
  idleMs: 0,
};

const pool = new Uint8Array(new SharedArrayBuffer(resolveOptions(OPTIONS).poolBytes));

interface Run {
  readonly disk: SimulatedDisk;
  /** Steps since the story's interesting part began. */
  steps: number;
  isArmed: boolean;
  hasEnded: boolean;
  hasStopped: boolean;
  /** What each key must have, at least as new as this. */
  readonly acknowledged: Map<string, number>;
}

/** What is told of a database: it ends with the part that is stopped at each of its steps. */
type Story = (database: Database, run: Run) => Promise<void>;

async function put(database: Database, run: Run, key: number, round: number): Promise<void> {
  await database.put(keyOf(key), valueOf(400, key * 100 + round));
  run.acknowledged.set(keyOf(key), round);
}

/** One round over the keys, of which each third is deleted by an odd one; in a table of its own. */
async function writeRound(database: Database, run: Run, round: number, step = 1): Promise<void> {
  const batch = database.batch();
  for (let key = 0; key < KEYS; key += step) {
    if (round % 2 === 1 && key % 3 === 0) batch.del(keyOf(key));
    else batch.put(keyOf(key), valueOf(400, key * 100 + round));
    run.acknowledged.set(keyOf(key), round);
  }
  await batch.write();
  await database.flush();
}

function valueAt(key: number, round: number): Buffer | undefined {
  return round % 2 === 1 && key % 3 === 0 ? undefined : valueOf(400, key * 100 + round);
}

const STORIES: Readonly<Record<string, { readonly compaction: CompactionOptions; readonly story: Story }>> = {
  'merges everything while somebody writes': {
    compaction: MANUAL,
    async story(database, run) {
      for (const round of [0, 1, 2]) await writeRound(database, run, round);
      run.isArmed = true;
      const compacting = database.compactRange();
      for (let key = 1; key < 20; key += 3) await put(database, run, key, 4);
      await compacting;
    },
  },
  'writes over the files of the one before': {
    compaction: { ...MANUAL, spareBytes: 1 << 20 },
    async story(database, run) {
      for (const round of [0, 1, 2]) await writeRound(database, run, round);
      await database.compactRange();
      await writeRound(database, run, 4);
      while (database.stats().tableFiles.removing > 0) await Promise.resolve();
      if (database.stats().tableFiles.spare < 2) throw new Error('no file is kept');
      run.isArmed = true;
      await database.compactRange();
      if (database.stats().tableFiles.reused === 0) throw new Error('no file is used again');
    },
  },
  'leaves out everything': {
    compaction: MANUAL,
    async story(database, run) {
      await writeRound(database, run, 0, 3);
      await writeRound(database, run, 1, 3);
      run.isArmed = true;
      await database.compactRange();
    },
  },
  'moves tables as they are, then merges': {
    compaction: { ...DEEP, l0Trigger: 3 },
    async story(database, run) {
      for (const round of [0, 2, 4]) await writeRound(database, run, round, 25);
      run.isArmed = true;
      for (const first of [0, 50, 100]) {
        const batch = database.batch();
        for (let key = first; key < first + 50; key++) batch.put(keyOf(key), valueOf(400, key * 100 + 6));
        await batch.write();
        for (let key = first; key < first + 50; key++) run.acknowledged.set(keyOf(key), 6);
        await database.flush();
      }
      while (!run.hasStopped && database.stats().compactions.running !== null) await Promise.resolve();
    },
  },
};

/** Tells a story until the given step. Everything runs in microtasks, so a turn later it has ended or the machine has. */
async function tell(name: string, seed: number, stopAt = Infinity): Promise<Run> {
  const { compaction, story } = STORIES[name];
  const random = new Random(seed);
  const run: Run = {
    disk: new SimulatedDisk(),
    steps: 0,
    isArmed: false,
    hasEnded: false,
    hasStopped: false,
    acknowledged: new Map(),
  };
  const onStep = (): void => {
    if (!run.isArmed || run.steps++ !== stopAt) return;
    run.hasStopped = true;
    throw new Crash();
  };
  const { environment } = simulatedWorld({ disk: run.disk, random: () => random.fraction(), onStep, pool });
  let failure: Error | undefined;
  const telling = async (): Promise<void> => {
    const database = await Database.openIn(environment, SIMULATED_DIRECTORY, { ...OPTIONS, compaction });
    await story(database, run);
    run.hasEnded = true;
    if (stopAt === Infinity) await database.close();
  };
  telling().catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  await new Promise((resolve) => setImmediate(resolve));
  if (failure !== undefined) throw failure;
  return run;
}

/** Keys that do not have what they must, or something that was asked for later. */
function wrongKeys(database: Database, run: Run): string[] {
  return [...run.acknowledged]
    .filter(([key, round]) => {
      const found = database.getSync(key);
      for (let later = round; later < ROUNDS; later++) {
        const expected = valueAt(Number(key.slice(4)), later);
        if (found === undefined || expected === undefined ? found === expected : found.equals(expected))
          return false;
      }
      return true;
    })
    .map(([key]) => key);
}

/** Opens what is left, and expects everything acknowledged and no file that belongs to nobody. */
async function expectWhole(t: ExecutionContext, disk: SimulatedDisk, run: Run, what: string): Promise<void> {
  const random = new Random(1);
  const { environment } = simulatedWorld({ disk, random: () => random.fraction(), pool });
  const options = { ...OPTIONS, compaction: MANUAL };
  const database = await Database.openIn(environment, SIMULATED_DIRECTORY, options);
  const expectOnlyItsTables = (): void => {
    const tables = database.stats().levels.reduce((sum, level) => sum + level.tables, 0);
    t.is([...disk.names.keys()].filter((name) => name.includes('.sst')).length, tables, what);
  };
  t.deepEqual(wrongKeys(database, run), [], what);
  expectOnlyItsTables();
  await database.compactRange();
  while (database.stats().tableFiles.removing > 0) await Promise.resolve();
  t.deepEqual(wrongKeys(database, run), [], `${what}, compacted`);
  expectOnlyItsTables();
  await database.close();
}

for (const name of Object.keys(STORIES)) {
  test.serial(`the machine stops at any step of a compaction that ${name}`, async (t) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const whole = await tell(name, seed);
    t.true(whole.hasEnded);
    t.log(`${whole.steps} steps`);
    for (let step = 0; step < whole.steps; step++) {
      const run = await tell(name, seed, step);
      const keep = (seed + step) % 2 === 0 ? 'durable' : 'everything';
      await expectWhole(t, run.disk.crashed(keep), run, `step ${step}, ${keep}`);
    }
  });
}

testBackends('files that a compaction left are removed, those of the version stay', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = { ...OPTIONS, compaction: MANUAL };
  const database = await openDatabase(t, directory, backend, options);
  for (const round of [0, 1]) {
    const batch = database.batch();
    for (let i = 0; i < KEYS; i++) batch.put(keyOf(i), valueOf(100, i + round));
    await batch.write();
    await database.flush();
  }
  const inputs = namesEnding(directory, '.sst');
  const kept = temporaryDirectory(t);
  for (const name of inputs) copyFileSync(join(directory, name), join(kept, name));
  await database.compactRange();
  await expectOnlyTables(t, database, directory);
  const [output] = namesEnding(directory, '.sst');
  const shape = shapeOf(database);
  await database.close();
  // It was committed, and nothing of it was removed; another one had begun.
  for (const name of inputs) copyFileSync(join(kept, name), join(directory, name));
  copyFileSync(join(directory, output), join(directory, '000900.sst'));
  writeFileSync(join(directory, '000901.sst.tmp'), valueOf(10_000, 1));
  writeFileSync(join(directory, '000902.sst'), '');
  const reopened = await openDatabase(t, directory, backend, options);
  t.deepEqual(namesEnding(directory, '.sst'), [output]);
  await expectOnlyTables(t, reopened, directory);
  t.is(shapeOf(reopened), shape);
  t.is(entriesOf(reopened), KEYS);
  for (let i = 0; i < KEYS; i++) t.true(reopened.getSync(keyOf(i))?.equals(valueOf(100, i + 1)));
  // Their numbers are not given again while somebody might still write to them.
  await reopened.put('a', '1');
  await reopened.compactRange();
  t.true(namesEnding(directory, '.sst').every((name) => name === output || name > '000902'));
});
