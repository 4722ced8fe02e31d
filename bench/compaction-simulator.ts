/**
 * What compaction costs: the real picker over tables that are lists of numbers. Nothing is read or written. Benchmarks
 * only.
 *
 *     node dist/bench/compaction-simulator.js [--workload uniform] [--operations 2000000] [--keys 1000000]
 *       [--value-bytes 100] [--deletes 0] [--write-buffer-bytes 1048576] [--base-bytes …] [--table-bytes …]
 *       [--table-choice least-overlap] [--multiplier 10] [--l0-trigger 4] [--aligned-share 0.5] [--compaction-rate Infinity]
 *       [--brief]
 *
 * Workloads: uniform and zipf (0.99) overwrite random keys of a database that has all of them in its last level;
 * hot-spot writes nine times of ten into a hundredth of the keys, neighbours, which moves; sequential begins with nothing
 * and writes each key once, in order; mixed does every second write so and the others at random. `--deletes` makes a
 * share of the writes deletions, so that a share of keys is not there.
 *
 * `--compaction-rate` is how many bytes compactions may write for each byte that is flushed. `--aligned-share 0.5` lets a
 * table that has half its size end where a table of the level below does, as the engine does: uniform overwrites then cost
 * 9.65 instead of the 11.13 that they do with 1.
 *
 * Write amplification is bytes written by flushes and compactions for each byte flushed, once a quarter of the operations
 * is done; space amplification is bytes of tables by bytes of what is there, when the writes end and when everything has
 * come to rest. The same options give the same figures; only the times of picks differ.
 */
import Table from 'cli-table3';
import { commandLine } from '../scripts/command-line.ts';
import { LEVEL_COUNT } from '../src/format/limits.ts';
import {
  compactionPolicyOf,
  type CompactionPolicy,
  type TableChoice,
} from '../src/main/compaction-policy.ts';
import { levelScores, levelTargets } from '../src/main/level-targets.ts';
import { bytesOfTables } from '../src/main/levels-view.ts';
import { resolveOptions } from '../src/main/options.ts';
import { pseudoRandom } from './support/measure.ts';
import { SimulatedDatabase } from './support/simulated-database.ts';
import { isWorkloadName, keysOf, WORKLOAD_NAMES } from './support/simulated-workloads.ts';

const args = commandLine('bench:compaction-simulator', {
  workload: { type: 'string', default: 'uniform' },
  operations: { type: 'string', default: '2000000' },
  keys: { type: 'string', default: '1000000' },
  'key-bytes': { type: 'string', default: '16' },
  'value-bytes': { type: 'string', default: '100' },
  deletes: { type: 'string', default: '0' },
  'write-buffer-bytes': { type: 'string', default: '1048576' },
  'base-bytes': { type: 'string' },
  'table-bytes': { type: 'string' },
  'table-choice': { type: 'string' },
  multiplier: { type: 'string' },
  'l0-trigger': { type: 'string' },
  'aligned-share': { type: 'string', default: '0.5' },
  'compaction-rate': { type: 'string', default: 'Infinity' },
  brief: { type: 'boolean', default: false },
});
/** What an entry takes in a block beside key and value. */
const ENTRY_OVERHEAD_BYTES = 12;
const SAMPLED_READS = 5_000;
const WARM_SHARE = 0.25;

const operations = Number(args.operations);
const keys = Number(args.keys);
const keyBytes = Number(args['key-bytes']);
const { writeBufferBytes } = resolveOptions({ writeBufferBytes: Number(args['write-buffer-bytes']) });

function policyOf(): CompactionPolicy {
  const policy = compactionPolicyOf({ writeBufferBytes });
  const tableBytes = Number(args['table-bytes'] ?? policy.tableBytes);
  const tableChoice = args['table-choice'] ?? policy.tableChoice;
  if (tableChoice !== 'least-overlap' && tableChoice !== 'round-robin') {
    throw new Error('--table-choice is least-overlap or round-robin');
  }
  return {
    ...policy,
    l0Trigger: Number(args['l0-trigger'] ?? policy.l0Trigger),
    baseBytes: Number(args['base-bytes'] ?? policy.baseBytes),
    multiplier: Number(args.multiplier ?? policy.multiplier),
    tableBytes,
    grandparentBytesMax: (policy.grandparentBytesMax / policy.tableBytes) * tableBytes,
    compactionBytesMax: (policy.compactionBytesMax / policy.tableBytes) * tableBytes,
    tableChoice: tableChoice satisfies TableChoice,
  };
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function printLevels(database: SimulatedDatabase, policy: CompactionPolicy): void {
  const { view } = database;
  const { targets } = levelTargets(view, policy);
  const scores = levelScores(view, policy);
  const head = [
    'level',
    'tables',
    'MiB',
    'target',
    'score',
    'compactions',
    'moves',
    'MiB written',
    'amplification',
  ];
  const table = new Table({
    head,
    colAligns: head.map(() => 'right'),
    style: { head: [], border: [], compact: true },
  });
  for (let level = 0; level < LEVEL_COUNT; level++) {
    const { compactions, moves, bytesWritten } = database.costs[level];
    table.push([
      String(level),
      String(view.levels[level].length),
      mebibytes(bytesOfTables(view.levels[level])),
      mebibytes(targets[level]),
      scores[level]?.score.toFixed(2) ?? '',
      String(compactions),
      String(moves),
      mebibytes(bytesWritten),
      (bytesWritten / database.flushedBytes).toFixed(2),
    ]);
  }
  console.log(table.toString());
}

function figures(database: SimulatedDatabase): string {
  const random = pseudoRandom(11);
  const compacted = database.costs.reduce((bytes, { bytesWritten }) => bytes + bytesWritten, 0);
  const { tables, blocks } = database.readCosts(Array.from({ length: SAMPLED_READS }, () => random(keys)));
  return (
    `write ${(1 + compacted / database.flushedBytes).toFixed(2)}, ` +
    `read ${tables.toFixed(2)} tables ${blocks.toFixed(3)} blocks, ` +
    `space ${(database.bytes / database.liveBytes).toFixed(3)}, ` +
    `largest compaction ${mebibytes(database.largestBytes)} MiB`
  );
}

const workload = args.workload;
if (!isWorkloadName(workload)) throw new Error(`--workload is one of ${WORKLOAD_NAMES.join(', ')}`);
const policy = policyOf();
const database = new SimulatedDatabase({
  policy,
  sizes: {
    putBytes: keyBytes + Number(args['value-bytes']) + ENTRY_OVERHEAD_BYTES,
    deletionBytes: keyBytes + ENTRY_OVERHEAD_BYTES,
  },
  writeBufferBytes,
  alignedShare: Number(args['aligned-share']),
  compactionRate: Number(args['compaction-rate']),
});
const { isPreloaded, nextKey } = keysOf(workload, keys);
if (isPreloaded) database.preload(keys);
const random = pseudoRandom(7);
const deletionsOfMillion = Number(args.deletes) * 1e6;
for (let i = 0; i < operations; i++) {
  if (i === Math.floor(WARM_SHARE * operations)) database.forgetCosts();
  database.write(nextKey(), random(1e6) < deletionsOfMillion);
}
console.log(`${workload}, ${policy.tableChoice}: ${figures(database)}`);
if (!args.brief) printLevels(database, policy);
const { picks, pickMs, longestPickMs } = database;
database.forgetCosts();
database.settle();
console.log(`at rest: ${figures(database)}`.replace(/write \S+, /, ''));
if (!args.brief) {
  printLevels(database, policy);
  console.log(
    `${picks} picks of ${(pickMs / picks).toFixed(3)} ms, the longest ${longestPickMs.toFixed(1)} ms`,
  );
}
