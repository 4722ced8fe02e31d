/**
 * quadring beside what a user would pick instead: the same work for every engine, round by round.
 *
 *     npm run bench [-- --quick] [--rounds 5] [--only text,text] [--arms name,name] [--entries 1000000]
 *                   [--growth 100000,1000000] [--write]
 *
 * Each engine does each group of rows (`workload/groups.ts`) in a process of its own, on the same opening, from the same file
 * of operations; the arms alternate within each round. Every read is checked. `--only` takes what has a name that begins so,
 * `--growth` does its rows at so many entries each. The report goes to `bench/results/`, with `--write` also into
 * `docs/benchmarks.md`.
 */
import { join } from 'node:path';
import { commandLine, runCommand, UsageError } from '../scripts/command-line.ts';
import { ARMS, type Arm } from './peers/arms.ts';
import { installPeers } from './peers/packages.ts';
import { updateDocument, writeReport, type NamedTimeline } from './report/report.ts';
import { ComparisonRun, type Part, type RunOptions } from './runner/comparison-run.ts';
import { temporaryFolder } from './support/cold.ts';
import { fioVersion } from './support/fio.ts';
import { describeMachine } from './support/measure.ts';
import {
  buildRocksDbProgram,
  buildRocksDbSessionProgram,
  INSTALL_COMMAND,
} from './support/rocksdb-program.ts';
import { Workload } from './workload/groups.ts';
import { growthRows, ROWS, rowAtEntries } from './workload/rows.ts';
import type { Sample } from './workload/sample.ts';

const QUICK = { rounds: 1, entries: 20_000, factor: 0.005 };
const ROUNDS = 5;
const ENTRIES = 1_000_000;
const RESULTS = 'bench/results';
const DOCUMENT = 'docs/benchmarks.md';
const CHARTS = 'docs/charts';

await runCommand(main);

async function main(): Promise<void> {
  const args = commandLine('bench', {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    arms: { type: 'string' },
    entries: { type: 'string' },
    growth: { type: 'string' },
    write: { type: 'boolean', default: false },
  });
  const rounds = wholeNumber(args.rounds ?? String(args.quick ? QUICK.rounds : ROUNDS));
  const factor = args.quick ? QUICK.factor : 1;
  const arms = chosenArms(args.arms);
  const only = args.only?.split(',');
  const notes: string[] = [];
  const options = prepare(arms, notes);
  const entries = wholeNumber(args.entries ?? String(args.quick ? QUICK.entries : ENTRIES));
  const sizes = args.growth?.split(',').map(wholeNumber);
  const samples: Sample[] = [];
  const timelines: NamedTimeline[] = [];
  const versions: Record<string, string> = {};
  for (const size of sizes ?? [entries]) {
    const workload = new Workload({ entries: size, factor });
    const run = new ComparisonRun({ ...options, workload });
    const parts = chosenParts(sizes === undefined ? run.parts() : run.growthParts(), only);
    for (let round = 0; round < rounds; round++) {
      for (const part of parts) await part.round(round);
    }
    const atSize = (sample: Sample): Sample => ({ ...sample, row: rowAtEntries(sample.row, size) });
    samples.push(...(sizes === undefined ? run.samples : run.samples.map(atSize)));
    notes.push(...run.notes);
    timelines.push(...run.timelines);
    for (const { engine, version } of run.described.values()) versions[engine] = version;
  }
  const name = sizes === undefined ? 'comparison' : 'growth';
  const rows = sizes === undefined ? ROWS : growthRows(sizes);
  const date = new Date().toISOString().slice(0, 10);
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
  const machine = { ...describeMachine(), date, command, versions, notes };
  const charts = args.write ? CHARTS : join(RESULTS, 'charts');
  const report = writeReport(name, samples, rows, machine, { results: RESULTS, charts }, timelines);
  if (args.write) updateDocument(DOCUMENT, report, charts);
  console.log(`written to ${join(RESULTS, `${name}.md`)}${args.write ? ` and ${DOCUMENT}` : ''}`);
}

/** Installs and compiles what takes part; who cannot is left out, with a note. */
function prepare(arms: readonly Arm[], notes: string[]): Omit<RunOptions, 'workload'> {
  installPeers();
  const rocksDbProgram = buildRocksDbSessionProgram();
  if (rocksDbProgram === undefined) notes.push(`RocksDB in C++ took no part: ${INSTALL_COMMAND}`);
  const hasFio = fioVersion() !== null;
  if (!hasFio) notes.push('fio took no part: it is not installed');
  return {
    root: temporaryFolder('quadring-bench-'),
    arms: arms.filter(({ peer }) => peer !== null || rocksDbProgram !== undefined),
    rocksDbProgram: rocksDbProgram ?? '',
    rocksDbCompaction: buildRocksDbProgram(),
    hasFio,
    log: (line) => console.error(line),
  };
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`${text} is no whole number above 0`);
  return Number(text);
}

function chosenArms(names: string | undefined): readonly Arm[] {
  if (names === undefined) return ARMS;
  return names.split(',').map((name) => {
    const arm = ARMS.find((one) => one.name === name);
    if (arm === undefined) {
      throw new UsageError(`${name} is none of ${ARMS.map((one) => one.name).join(', ')}`);
    }
    return arm;
  });
}

function chosenParts(parts: readonly Part[], beginnings: readonly string[] | undefined): readonly Part[] {
  if (beginnings === undefined) return parts;
  return beginnings.flatMap((beginning) => {
    const chosen = parts.filter(({ name }) => name.startsWith(beginning));
    if (chosen.length === 0) {
      const names = parts.map(({ name }) => name).join(', ');
      throw new UsageError(`nothing has a name that begins with ${beginning}; there are ${names}`);
    }
    return chosen;
  });
}
