/**
 * What many random overwrites leave behind once the tree has settled: little more than the live data, nothing in level 0,
 * every key in its last version, also for reads meanwhile. `npm run bench:overwrites` is the long one, with figures.
 */
import test, { type ExecutionContext } from 'ava';
import { setImmediate as turn } from 'node:timers/promises';
import { OverwrittenEntries } from '../../bench/support/overwritten-entries.ts';
import { Overwrites } from '../../bench/support/overwrites.ts';
import { settle, spaceOf } from '../../bench/support/settled-tree.ts';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { Random, testSeed } from '../support/random.ts';

const VALUE_BYTES = 200;
const BATCH = 100;
/** The levels are looked at so often, and so many keys are read beside each batch. */
const BATCHES_PER_LOOK = 50;
const READS_PER_BATCH = 5;
const SPACE_AMPLIFICATION_MAX = 1.15;
const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
/** Nothing was compacted for so long: several times what the databases wait before they bring levels to rest. */
const SETTLING = { quietMs: 600, limitMs: 110_000 };

interface Run {
  readonly keys: number;
  readonly overwrites: number;
  readonly options: DatabaseOptions;
  /** Levels that are to be in use at some time, level 0 among them. */
  readonly levelsMin: number;
}

/** Tables and levels so small that the tree has as many of them as a large one. */
const SMALL: Run = {
  keys: 15_000,
  overwrites: 60_000,
  options: {
    writeBufferBytes: 256 * KIBIBYTE,
    blockCacheBytes: 1024 * KIBIBYTE,
    compaction: {
      tableBytes: 256 * KIBIBYTE,
      baseBytes: 512 * KIBIBYTE,
      multiplier: 4,
      l0Trigger: 3,
      idleMs: 100,
    },
  },
  levelsMin: 4,
};

/** A tenth of what the benchmark does by default. */
const TENTH: Run = {
  keys: 500_000,
  overwrites: 2_000_000,
  options: {
    writeBufferBytes: 4 * MEBIBYTE,
    blockCacheBytes: 8 * MEBIBYTE,
    compaction: { tableBytes: 4 * MEBIBYTE, baseBytes: 8 * MEBIBYTE, idleMs: 100 },
  },
  levelsMin: 3,
};

test.serial('syscall: random overwrites settle to little more than the live data', (t) =>
  overwriteAndSettle(t, 'syscall', SMALL),
);

test.serial(
  'uring: two million overwrites of half a million keys settle to little more than the live data',
  (t) => overwriteAndSettle(t, 'uring', TENTH),
);

async function overwriteAndSettle(t: ExecutionContext, backend: Backend, run: Run): Promise<void> {
  t.timeout(240_000);
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const directory = temporaryDirectory(t);
  const database = await openDatabase(t, directory, backend, run.options);
  const entries = new OverwrittenEntries(run.keys, VALUE_BYTES, seed);
  const overwrites = new Overwrites(database, entries, seed);
  const begun = performance.now();
  while (await overwrites.loadBatch(BATCH)) await turn();
  const levelsSeen = await overwriteAndRead(database, overwrites, run.overwrites, seed);
  const written = performance.now();
  await settle(database, SETTLING);
  const settled = performance.now();

  const stats = database.stats();
  const space = spaceOf(directory, stats, entries.count, entries.entryBytes);
  const tables = stats.levels.reduce((sum, level) => sum + level.tables, 0);
  t.is(stats.levels.find(({ level }) => level === 0)?.tables ?? 0, 0, 'level 0 is empty');
  t.is(namesEnding(directory, '.sst').length, tables, 'every table file is one of the version');
  t.true(space.perRawByte <= SPACE_AMPLIFICATION_MAX, `space amplification is ${space.perRawByte}`);
  t.true(
    levelsSeen.size >= run.levelsMin,
    `${run.levelsMin} levels were to be in use, not ${[...levelsSeen].join(', ')}`,
  );
  t.is(stats.compactions.failures, 0);
  await overwrites.verifyAll();
  t.log(
    `${run.keys} keys, ${run.overwrites} overwrites in ${Math.round(written - begun)} ms, ` +
      `settled ${Math.round(settled - written)} ms later, verified in ${Math.round(performance.now() - settled)} ms`,
    `levels ${JSON.stringify(stats.levels)}`,
    `write amplification ${stats.amplification.write.toFixed(2)}, space ${space.perRawByte.toFixed(3)} of raw bytes, ` +
      `${space.perStoredByte.toFixed(3)} of stored ones`,
    `stalls ${JSON.stringify(stats.writes.stalled)}`,
  );
}

/** Gives the levels that were seen in use. */
async function overwriteAndRead(
  database: Database,
  overwrites: Overwrites,
  count: number,
  seed: number,
): Promise<Set<number>> {
  const { entries } = overwrites;
  const levelsSeen = new Set<number>();
  const random = new Random(seed);
  const reads: Promise<void>[] = [];
  const read = async (): Promise<void> => {
    const number = random.below(entries.count);
    const leastVersion = overwrites.versionOf(number);
    overwrites.checkRead(number, leastVersion, await database.get(entries.key(number)));
  };
  for (let i = 0; i * BATCH < count; i++) {
    for (let j = 0; j < READS_PER_BATCH; j++) reads.push(read());
    await overwrites.overwriteBatch(BATCH);
    await turn();
    if (i % BATCHES_PER_LOOK !== 0) continue;
    for (const { level } of database.stats().levels) levelsSeen.add(level);
    await Promise.all(reads.splice(0));
  }
  await Promise.all(reads);
  return levelsSeen;
}
