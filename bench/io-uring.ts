/**
 * What each use of io_uring is worth here: `npm run bench:io-uring [-- --only text] [--rounds 7] [--scale 1]`. Pairs of arms
 * that differ in one thing take turns within each round. Lines of JSON go to bench/results/io-uring.jsonl.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import { BenchFiles } from './io-uring/bench-files.ts';
import type { Run } from './io-uring/bench-ring.ts';
import { ROWS, type Row } from './io-uring/rows.ts';
import { temporaryFolder } from './support/cold.ts';
import { rounded, spreadText } from './support/comparison.ts';
import { describeMachine, spreadOf } from './support/measure.ts';

const RESULTS = 'bench/results/io-uring.jsonl';

interface Plan {
  readonly rounds: number;
  /** Of the operations of each run. */
  readonly scale: number;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new TypeError(`--${name} must be a number above 0, not "${text}"`);
}

/** One line for each arm: medians, and the spread of the rate and of its ratio to the first arm's. */
interface Line {
  readonly row: string;
  readonly arm: string;
  readonly runs: Run[];
}

function measure(row: Row, folder: string, { rounds, scale }: Plan): Line[] {
  mkdirSync(folder);
  const files = new BenchFiles(folder);
  const arms = row.arms(files, scale);
  try {
    // The first round is of a ring, and of code, that have not run yet.
    for (const arm of arms) arm.run();
    const lines = arms.map(({ name }): Line => ({ row: row.name, arm: name, runs: [] }));
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < arms.length; turn++) {
        const at = (turn + round) % arms.length;
        lines[at].runs.push(arms[at].run());
      }
    }
    return lines;
  } finally {
    for (const arm of arms) arm.close();
    files.close();
  }
}

function medianOf(runs: readonly Run[], of: (run: Run) => number): string {
  return rounded(spreadOf(runs.map(of)).median);
}

/** `first` is the arm that the others are held against: above 1 it was faster, round by round. */
function describe({ row, arm, runs }: Line, first: Line): Record<string, string> {
  const rates = runs.map(({ operationsPerSecond }) => operationsPerSecond);
  const ratio = spreadOf(first.runs.map((run, round) => run.operationsPerSecond / rates[round]));
  return {
    row,
    arm,
    'op/s': spreadText(spreadOf(rates)),
    'first ÷ this': arm === first.arm ? '' : spreadText(ratio),
    'p50 µs': medianOf(runs, (run) => run.p50Microseconds),
    'p99 µs': medianOf(runs, (run) => run.p99Microseconds),
    'CPU µs/op': medianOf(runs, (run) => run.cpuMicrosecondsPerOperation),
  };
}

const values = commandLine('bench:io-uring', {
  only: { type: 'string', default: '' },
  rounds: { type: 'string', default: '7' },
  scale: { type: 'string', default: '1' },
});
const plan = { rounds: Math.ceil(positive('rounds', values.rounds)), scale: positive('scale', values.scale) };
const rows = ROWS.filter(({ name }) => name.includes(values.only));
if (rows.length === 0) throw new TypeError(`no row's name has "${values.only}" in it`);
const root = temporaryFolder('quadring-io-uring-');
const table: Record<string, string>[] = [];
const machine = describeMachine();
mkdirSync(dirname(RESULTS), { recursive: true });
for (const [i, row] of rows.entries()) {
  console.log(`${i + 1}/${rows.length} ${row.name}`);
  const lines = measure(row, join(root, String(i)), plan);
  for (const line of lines) {
    table.push(describe(line, lines[0]));
    appendFileSync(RESULTS, `${JSON.stringify({ at: new Date().toISOString(), ...line, machine })}\n`);
  }
}
console.table(table);
