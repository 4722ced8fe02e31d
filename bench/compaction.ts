/**
 * One compaction of everything, beside RocksDB's: entries that were overwritten several times lie in overlapping tables of
 * level 0, and one thread merges them into the lowest level.
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/compaction.js [--rounds 5] [--entries 1000000] [--overwrites 4]
 *                                                                   [--runs 2] [--peers uring,syscall,rocksdb]
 *
 * Keys of 16 bytes, values of 100, blocks of 16 KiB, 10 filter bits, no compression, tables of 32 MiB, O_DIRECT, no limit of
 * the rate. Each key is written `--overwrites` times, in another order each time, and each time makes `--runs` tables. Both
 * sides get the same bytes, and what a full scan finds afterwards is held against what must be there.
 *
 * "Input" is what was written, keys and values without what either format adds: so it is the same on both sides.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import { Database, type DatabaseStats } from '../src/index.ts';
import { collectGarbage, syncDisks, temporaryFolder } from './support/cold.ts';
import { Comparison, spreadText } from './support/comparison.ts';
import { describeMachine, spreadOf } from './support/measure.ts';
import { hashEntry, KEY_BYTES, OverwrittenEntries, type Checksum } from './support/overwritten-entries.ts';
import { describeQuadring } from './support/quadring.ts';
import {
  buildRocksDbProgram,
  compactInRocksDb,
  INSTALL_COMMAND,
  type CompactionTask,
} from './support/rocksdb-program.ts';
import { cpuTimes } from './support/thread-times.ts';
import { ownVersion } from './support/versions.ts';

const MEBIBYTE = 1 << 20;
const MEGABYTE = 1e6;
const GIGABYTE = 1e9;
const VALUE_BYTES = 100;
const SEED = 1;
const TABLE_BYTES = 32 * MEBIBYTE;
const BATCH_ENTRIES = 1000;
const SCAN_ENTRIES = 1000;
/** An entry takes so much of a memtable at most, so that a run is flushed when it is complete and not before. */
const MEMTABLE_BYTES_PER_ENTRY = 224;
/** Writes are not held back while the runs are made. */
const L0_TABLES_MAX = 48;
const RESULTS = 'bench/results/compaction.jsonl';

const args = commandLine('bench:compaction', {
  rounds: { type: 'string', default: '5' },
  entries: { type: 'string', default: '1000000' },
  overwrites: { type: 'string', default: '4' },
  runs: { type: 'string', default: '2' },
  peers: { type: 'string', default: 'uring,syscall,rocksdb' },
});
const rounds = Number(args.rounds);
const overwrites = Number(args.overwrites);
const runsPerRound = Number(args.runs);
const peers = new Set(args.peers.split(','));
const entries = new OverwrittenEntries(Number(args.entries), VALUE_BYTES, SEED);
const inputBytes = entries.count * overwrites * entries.entryBytes;
const expected = entries.checksum(overwrites - 1);
const root = temporaryFolder('quadring-compaction-');
const comparison = new Comparison();
const conditions: Record<string, object> = {};

/** One compaction, on either side. */
interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly fileBytesRead: number;
  readonly fileBytesWritten: number;
}

const measured = new Map<string, Measured[]>();

function add(arm: string, one: Measured): void {
  const all = measured.get(arm) ?? [];
  all.push(one);
  measured.set(arm, all);
  comparison.add('compaction, input', arm, 'MB/s', inputBytes / one.seconds / MEGABYTE);
  comparison.add('CPU for each GB of input', arm, 's', (one.cpuSeconds * GIGABYTE) / inputBytes);
  comparison.add('read from tables', arm, 'MB', one.fileBytesRead / MEGABYTE);
  comparison.add('written to tables', arm, 'MB', one.fileBytesWritten / MEGABYTE);
}

function expectContents(arm: string, { entries: count, sum }: Checksum): void {
  if (count === expected.entries && sum === expected.sum) return;
  throw new Error(
    `${arm}: ${count} entries with the sum ${sum}, expected ${expected.entries} with ${expected.sum}`,
  );
}

async function load(database: Database): Promise<void> {
  for (let round = 0; round < overwrites; round++) {
    let batch = database.batch();
    let written = 0;
    for (const number of entries.order(round)) {
      batch.put(entries.key(number), entries.value(number, round));
      written++;
      const run = Math.floor((written * runsPerRound) / entries.count);
      const isRunEnd = run !== Math.floor(((written - 1) * runsPerRound) / entries.count);
      if (!isRunEnd && written % BATCH_ENTRIES !== 0) continue;
      await batch.write({ sync: false });
      batch = database.batch();
      if (isRunEnd) await database.flush();
    }
  }
}

async function scan(database: Database): Promise<Checksum> {
  const iterator = database.iterator();
  let sum = 0;
  let count = 0;
  let last: Buffer | undefined;
  for (;;) {
    const batch = await iterator.nextv(SCAN_ENTRIES);
    if (batch.length === 0) break;
    for (const [key, value] of batch) {
      if (last !== undefined && Buffer.compare(last, key) >= 0)
        throw new Error('keys came in the wrong order');
      if (key.length !== KEY_BYTES || value.length !== VALUE_BYTES)
        throw new Error('an entry has a wrong size');
      sum = (sum + hashEntry(key, value)) | 0;
      last = key;
    }
    count += batch.length;
  }
  await iterator.close();
  return { entries: count, sum: sum >>> 0 };
}

/** Level 0 has the runs and no other level has anything. */
function expectRuns({ levels }: DatabaseStats): void {
  const runs = overwrites * runsPerRound;
  if (levels.length === 1 && levels[0].level === 0 && levels[0].tables === runs) return;
  throw new Error(`${runs} tables were to lie in level 0, not ${JSON.stringify(levels)}`);
}

async function compactQuadring(backend: 'uring' | 'syscall'): Promise<void> {
  const arm = `quadring, ${backend}`;
  const directory = join(root, 'quadring');
  const runBytes = Math.ceil(entries.count / runsPerRound) * MEMTABLE_BYTES_PER_ENTRY;
  const database = await Database.open(directory, {
    writeBufferBytes: Math.max(Math.ceil(runBytes / MEBIBYTE), 1) * MEBIBYTE,
    compaction: {
      automatic: false,
      rateBytesPerSecond: 0,
      tableBytes: TABLE_BYTES,
      l0Slowdown: L0_TABLES_MAX - 1,
      l0Stop: L0_TABLES_MAX,
    },
    io: { backend },
  });
  try {
    await load(database);
    expectRuns(database.stats());
    syncDisks();
    collectGarbage();
    const cpu = cpuTimes();
    const before = performance.now();
    await database.compactRange();
    const seconds = (performance.now() - before) / 1000;
    const { processSeconds, ownerSeconds, busiestSeconds } = cpu();
    const { compactions, directIo, levels } = database.stats();
    if (levels.length !== 1 || levels[0].level === 0 || levels[0].entries !== entries.count) {
      throw new Error(`everything was to lie in one lower level, not ${JSON.stringify(levels)}`);
    }
    expectContents(arm, await scan(database));
    add(arm, {
      seconds,
      cpuSeconds: processSeconds,
      fileBytesRead: compactions.bytesRead,
      fileBytesWritten: compactions.bytesWritten,
    });
    comparison.add("CPU of the caller's thread", arm, 's', ownerSeconds);
    comparison.add('CPU of the compaction thread', arm, 's', busiestSeconds);
    if (!directIo) comparison.note('O_DIRECT was not obtained: quadring went through the page cache');
    conditions[arm] ??= { ...describeQuadring(database), compactions };
  } finally {
    await database.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function compactRocksDb(): Promise<void> {
  const directory = join(root, 'rocksdb');
  syncDisks();
  const task: CompactionTask = {
    directory,
    entries: entries.count,
    rounds: overwrites,
    runsPerRound,
    valueBytes: VALUE_BYTES,
    seed: SEED,
    tableBytes: TABLE_BYTES,
  };
  const result = compactInRocksDb(task);
  rmSync(directory, { recursive: true, force: true });
  const arm = `RocksDB ${result.version}`;
  if (result.inputFiles !== overwrites * runsPerRound)
    throw new Error(`${arm} compacted ${result.inputFiles} tables`);
  expectContents(arm, result);
  add(arm, {
    seconds: result.seconds,
    cpuSeconds: result.cpuSeconds,
    fileBytesRead: result.inputBytes,
    fileBytesWritten: result.outputBytes,
  });
  comparison.add('CPU of the compaction thread', arm, 's', result.threadCpuSeconds);
  conditions[arm] ??= result;
  return Promise.resolve();
}

/** Round by round: how much faster each arm of quadring was, and how much of RocksDB's CPU time it took. */
function printRatios(): void {
  const rocksdb = [...measured].find(([arm]) => arm.startsWith('RocksDB'));
  if (rocksdb === undefined) return;
  for (const [arm, all] of measured) {
    if (arm === rocksdb[0]) continue;
    const speeds = all.map(({ seconds }, i) => rocksdb[1][i].seconds / seconds);
    const cpus = all.map(({ cpuSeconds }, i) => cpuSeconds / rocksdb[1][i].cpuSeconds);
    for (const speed of speeds) comparison.add(`of ${rocksdb[0]}'s MB/s`, arm, 'times', speed);
    for (const cpu of cpus) comparison.add(`of ${rocksdb[0]}'s CPU seconds`, arm, 'times', cpu);
    console.log(
      `${arm}: ${spreadText(spreadOf(speeds))} times ${rocksdb[0]}'s MB/s, ` +
        `${spreadText(spreadOf(cpus))} times its CPU seconds`,
    );
  }
}

const arms: (() => Promise<void>)[] = [];
if (peers.has('uring')) arms.push(() => compactQuadring('uring'));
if (peers.has('syscall')) arms.push(() => compactQuadring('syscall'));
if (peers.has('rocksdb')) {
  if (buildRocksDbProgram()) arms.push(compactRocksDb);
  else comparison.note(`RocksDB is not there: ${INSTALL_COMMAND}`);
}
console.log(
  `${entries.count} keys written ${overwrites} times, ${overwrites * runsPerRound} tables in level 0, ` +
    `${Math.round(inputBytes / MEGABYTE)} MB of keys and values`,
);
for (let i = 0; i < rounds; i++) {
  for (const arm of i % 2 === 0 ? arms : arms.toReversed()) await arm();
}
printRatios();
comparison.print();
const machine = {
  ...describeMachine(),
  command: process.argv.slice(2),
  quadring: ownVersion(),
  entries: entries.count,
  overwrites,
  runs: overwrites * runsPerRound,
  inputBytes,
  databases: conditions,
};
console.dir(machine, { depth: 6 });
comparison.write(RESULTS, machine);
