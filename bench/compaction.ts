/**
 * One compaction of everything, beside RocksDB's (`support/one-compaction.ts`).
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/compaction.js [--rounds 5] [--entries 1000000] [--overwrites 4]
 *                                                                   [--runs 2] [--peers uring,syscall,rocksdb]
 *
 * Each key is written `--overwrites` times, in another order each time, and each time makes `--runs` tables. "Input" is what
 * was written, keys and values without what either format adds.
 */
import { commandLine } from '../scripts/command-line.ts';
import { temporaryFolder } from './support/cold.ts';
import { Comparison, spreadText } from './support/comparison.ts';
import { describeMachine, spreadOf } from './support/measure.ts';
import { OneCompaction, type CompactionResult } from './support/one-compaction.ts';
import { buildRocksDbProgram, INSTALL_COMMAND } from './support/rocksdb-program.ts';
import { ownVersion } from './support/versions.ts';

const MEGABYTE = 1e6;
const GIGABYTE = 1e9;
const ROCKSDB = 'RocksDB';
const RESULTS = 'bench/results/compaction.jsonl';

const args = commandLine('bench:compaction', {
  rounds: { type: 'string', default: '5' },
  entries: { type: 'string', default: '1000000' },
  overwrites: { type: 'string', default: '4' },
  runs: { type: 'string', default: '2' },
  peers: { type: 'string', default: 'uring,syscall,rocksdb' },
});
const rounds = Number(args.rounds);
const entries = Number(args.entries);
const overwrites = Number(args.overwrites);
const peers = new Set(args.peers.split(','));
const root = temporaryFolder('quadring-compaction-');
const work = new OneCompaction({ entries, overwrites, runs: Number(args.runs), root });
const comparison = new Comparison();
const conditions: Record<string, object> = {};
const measured = new Map<string, CompactionResult[]>();

function add(arm: string, one: CompactionResult): void {
  const all = measured.get(arm) ?? [];
  all.push(one);
  measured.set(arm, all);
  conditions[arm] ??= one.details;
  comparison.add('compaction, input', arm, 'MB/s', work.inputBytes / one.seconds / MEGABYTE);
  comparison.add('CPU for each GB of input', arm, 's', (one.cpuSeconds * GIGABYTE) / work.inputBytes);
  comparison.add('read from tables', arm, 'MB', one.fileBytesRead / MEGABYTE);
  comparison.add('written to tables', arm, 'MB', one.fileBytesWritten / MEGABYTE);
  comparison.add('CPU of the compaction thread', arm, 's', one.compactionThreadSeconds);
  if (one.ownerSeconds !== null) comparison.add("CPU of the caller's thread", arm, 's', one.ownerSeconds);
  if (one.details['directIo'] === false) {
    comparison.note('O_DIRECT was not obtained: quadring went through the page cache');
  }
}

/** Round by round: how much faster each arm of quadring was, and how much of RocksDB's CPU time it took. */
function printRatios(): void {
  const rocksdb = measured.get(ROCKSDB);
  if (rocksdb === undefined) return;
  for (const [arm, all] of measured) {
    if (arm === ROCKSDB) continue;
    const speeds = all.map(({ seconds }, i) => rocksdb[i].seconds / seconds);
    const cpus = all.map(({ cpuSeconds }, i) => cpuSeconds / rocksdb[i].cpuSeconds);
    for (const speed of speeds) comparison.add(`of ${ROCKSDB}'s MB/s`, arm, 'times', speed);
    for (const cpu of cpus) comparison.add(`of ${ROCKSDB}'s CPU seconds`, arm, 'times', cpu);
    console.log(
      `${arm}: ${spreadText(spreadOf(speeds))} times ${ROCKSDB}'s MB/s, ` +
        `${spreadText(spreadOf(cpus))} times its CPU seconds`,
    );
  }
}

const arms: (() => Promise<void>)[] = [];
for (const backend of ['uring', 'syscall'] as const) {
  if (peers.has(backend)) {
    arms.push(async () => add(`quadring, ${backend}`, await work.inQuadring(backend)));
  }
}
if (peers.has('rocksdb')) {
  if (buildRocksDbProgram()) arms.push(() => Promise.resolve(add(ROCKSDB, work.inRocksDb())));
  else comparison.note(`RocksDB is not there: ${INSTALL_COMMAND}`);
}
console.log(
  `${entries} keys written ${overwrites} times, ${work.runs} tables in level 0, ` +
    `${Math.round(work.inputBytes / MEGABYTE)} MB of keys and values`,
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
  entries,
  overwrites,
  runs: work.runs,
  inputBytes: work.inputBytes,
  databases: conditions,
};
console.dir(machine, { depth: 6 });
comparison.write(RESULTS, machine);
