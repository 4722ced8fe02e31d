/**
 * How fast one thread merges tables: the compaction role in this process, over real files. Benchmarks only.
 *
 *     node dist/bench/merge.js [--backend uring] [--direct true] [--inputs 4] [--mebibytes 64] [--rounds 5] [--keys …]
 *
 * Inputs of random 16-digit keys and 100-byte values that overlap each other entirely; everything that is merged is
 * written. `--keys` is how many different keys there are: by default so many that nearly all of them are new; with as
 * many as an input has entries (`--keys same`) each of them overwrites all that is older. CPU seconds are the process's
 * own, the kernel's work for it included; a GB is 10^9 bytes of input.
 *
 *     node --cpu-prof dist/bench/merge.js --rounds 2            says what costs
 */
import { commandLine } from '../scripts/command-line.ts';
import type { CompactionParameters } from '../src/protocol/requests.ts';
import { dropPageCache, syncDisks, temporaryFolder } from './support/cold.ts';
import { describeMachine, spreadOf } from './support/measure.ts';
import { MergeRig, removeTables, writeTable } from './support/merge-rig.ts';

const args = commandLine('bench:merge', {
  backend: { type: 'string', default: 'uring' },
  direct: { type: 'string', default: 'true' },
  inputs: { type: 'string', default: '4' },
  mebibytes: { type: 'string', default: '64' },
  rounds: { type: 'string', default: '5' },
  keys: { type: 'string', default: 'many' },
});
const INPUTS = Number(args.inputs);
const ROUNDS = Number(args.rounds);
/** A key, a value, and what stands beside them in a block. */
const STORED_ENTRY_BYTES = 122;
const ENTRIES = Math.floor((Number(args.mebibytes) * 2 ** 20) / STORED_ENTRY_BYTES);
const KEYS = args.keys === 'same' ? ENTRIES : args.keys === 'many' ? 2 ** 31 : Number(args.keys);
const GIGA = 1e9;
const MEGA = 1e6;

const folder = temporaryFolder('quadring-merge-');
const inputs = Array.from({ length: INPUTS }, (_, i) => writeTable(folder, i + 1, ENTRIES, KEYS));
const inputBytes = inputs.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
const backend = args.backend === 'syscall' ? 'syscall' : 'uring';
const rig = new MergeRig({ folder, backend, direct: args.direct === 'true' });
const parameters: CompactionParameters = {
  runs: inputs.toReversed().map(({ number, metaOffset, fileBytes }) => [{ number, metaOffset, fileBytes }]),
  outputLevel: 6,
  tableBytes: 64 * 2 ** 20,
  blockBytes: 16_384,
  filterBitsPerKey: 10,
  compression: 'none',
  createdAtSeconds: 0,
  createdAtSequence: 2 ** 40,
  snapshots: [],
  keepAbove: 2 ** 40,
  older: [],
  grandparents: [],
  grandparentBytesMax: 2 ** 40,
  ioPriority: 'best-effort',
};

console.log(JSON.stringify(describeMachine()));
console.log(`${INPUTS} inputs, ${(inputBytes / MEGA).toFixed(1)} MB, ${ENTRIES} entries each; ${backend}`);
const speeds: number[] = [];
const costs: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  syncDisks();
  dropPageCache();
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  const outputs = rig.compact(parameters, 100);
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuSeconds = (user + system) / 1e6;
  const entries = outputs.reduce((sum, table) => sum + table.entries, 0);
  speeds.push(inputBytes / MEGA / seconds);
  costs.push((cpuSeconds * GIGA) / inputBytes);
  console.log(
    `round ${round + 1}: ${speeds[round].toFixed(0)} MB/s, ${costs[round].toFixed(2)} CPU s/GB ` +
      `(user ${(user / 1e6).toFixed(2)}, system ${(system / 1e6).toFixed(2)}), ` +
      `${((seconds * 1e9) / (INPUTS * ENTRIES)).toFixed(0)} ns an entry of input; ${entries} entries in ${outputs.length} tables`,
  );
  removeTables(folder, outputs);
}
rig.close();
const speed = spreadOf(speeds);
const cost = spreadOf(costs);
console.log(`MB/s of input: ${speed.median.toFixed(0)} (${speed.min.toFixed(0)}–${speed.max.toFixed(0)})`);
console.log(`CPU s/GB of input: ${cost.median.toFixed(2)} (${cost.min.toFixed(2)}–${cost.max.toFixed(2)})`);
