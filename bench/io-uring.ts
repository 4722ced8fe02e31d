/**
 * What each use of io_uring is worth here: `npm run bench:io-uring [-- --only text] [--rounds 7] [--scale 1]`. Pairs of arms
 * that differ in one thing take turns within each round. Lines of JSON go to bench/results/io-uring.jsonl. Rows of
 * io-uring/rows.ts go through the addon, those of io-uring/kernel/ straight to the kernel, in a process of their own.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import { BenchFiles } from './io-uring/bench-files.ts';
import type { Outcome } from './io-uring/bench-ring.ts';
import { kernelRows } from './io-uring/kernel-rows.ts';
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
  readonly runs: Ran[];
  /** What the kernel refused, by the errno's name; the arm is not run again. */
  refused: string | null;
}

type Ran = Exclude<Outcome, { readonly refused: string }>;

async function measure(row: Row, folder: string, { rounds, scale }: Plan): Promise<Line[]> {
  mkdirSync(folder);
  const files = new BenchFiles(folder);
  const arms = row.arms(files, scale);
  try {
    // The first round is of a ring, and of code, that have not run yet.
    const lines: Line[] = [];
    for (const arm of arms) {
      const outcome = await arm.run();
      lines.push({ row: row.name, arm: arm.name, runs: [], refused: refusalOf(outcome) });
    }
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < arms.length; turn++) {
        const at = (turn + round) % arms.length;
        if (lines[at].refused !== null) continue;
        const outcome = await arms[at].run();
        if ('refused' in outcome) lines[at].refused = outcome.refused;
        else lines[at].runs.push(outcome);
      }
    }
    return lines;
  } finally {
    for (const arm of arms) await arm.close();
    files.close();
  }
}

function refusalOf(outcome: Outcome): string | null {
  return 'refused' in outcome ? outcome.refused : null;
}

/** Medians of what some arms count beside the time. */
function countedText(runs: readonly Ran[]): string {
  const names = Object.keys(runs[0].counted ?? {});
  return names.map((name) => `${name} ${medianOf(runs, (run) => run.counted?.[name] ?? 0)}`).join(', ');
}

function medianOf(runs: readonly Ran[], of: (run: Ran) => number): string {
  return rounded(spreadOf(runs.map(of)).median);
}

/** `first` is the arm that the others are held against: above 1 it was faster, round by round. */
function describe({ row, arm, runs, refused }: Line, first: Line): Record<string, string> {
  if (refused !== null) return { row, arm, 'op/s': `refused: ${refused}` };
  const rates = runs.map(({ operationsPerSecond }) => operationsPerSecond);
  const isHeld = arm !== first.arm && first.refused === null;
  const ratios = isHeld ? first.runs.map((run, round) => run.operationsPerSecond / rates[round]) : [];
  return {
    row,
    arm,
    'op/s': spreadText(spreadOf(rates)),
    'first ÷ this': isHeld ? spreadText(spreadOf(ratios)) : '',
    'p50 µs': medianOf(runs, (run) => run.p50Microseconds),
    'p99 µs': medianOf(runs, (run) => run.p99Microseconds),
    'CPU µs/op': medianOf(runs, (run) => run.cpuMicrosecondsPerOperation),
    counted: countedText(runs),
  };
}

const values = commandLine('bench:io-uring', {
  only: { type: 'string', default: '' },
  rounds: { type: 'string', default: '7' },
  scale: { type: 'string', default: '1' },
});
const plan = { rounds: Math.ceil(positive('rounds', values.rounds)), scale: positive('scale', values.scale) };
const root = temporaryFolder('quadring-io-uring-');
/** Of the rows that have their files in common. */
const shared: BenchFiles[] = [];
const kernel = kernelRows(() => {
  const folder = join(root, 'shared');
  mkdirSync(folder);
  const files = new BenchFiles(folder);
  shared.push(files);
  return files;
});
const rows = [...ROWS, ...kernel].filter(({ name }) => name.includes(values.only));
if (rows.length === 0) throw new TypeError(`no row's name has "${values.only}" in it`);
const table: Record<string, string>[] = [];
const notes = new Set<string>();
const machine = describeMachine();
mkdirSync(dirname(RESULTS), { recursive: true });
for (const [i, row] of rows.entries()) {
  console.log(`${i + 1}/${rows.length} ${row.name}`);
  const lines = await measure(row, join(root, String(i)), plan);
  for (const line of lines) {
    table.push(describe(line, lines[0]));
    for (const { note = '' } of line.runs) {
      if (note !== '') notes.add(`${row.name}: ${note}`);
    }
    appendFileSync(RESULTS, `${JSON.stringify({ at: new Date().toISOString(), ...line, machine })}\n`);
  }
}
for (const files of shared) files.close();
console.table(table);
for (const note of notes) console.log(`NOTE: ${note}`);
