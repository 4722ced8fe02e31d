/**
 * quadring beside what a user would pick instead: the same work for every engine, round by round.
 *
 *     npm run bench [-- --quick] [--rounds 5] [--only text,text] [--arms name,name] [--entries 1000000]
 *                   [--growth 100000,1000000] [--write] [--samples FILE,FILE]
 *
 * `--quick` tries the harness out: code is not warm, and nothing is held against a goal.
 *
 * Each engine does each group of rows (`workload/groups.ts`) in a process of its own, on the same opening, from the same file
 * of operations; the arms alternate within each round. Every read is checked. `--only` takes what has a name that begins so,
 * `--growth` does its rows at so many entries each. The report goes to `bench/results/`, with `--write` also into
 * `docs/benchmarks.md`. `--samples` measures nothing: the report, which `--write` puts there as well, is of what earlier runs have
 * left in these files, runs that ended early or were of parts (`--only`, `--arms`: `comparison-part.jsonl`); of what several
 * have, the last file counts.
 */
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine, runCommand, UsageError } from '../scripts/command-line.ts';
import { ARMS, type Arm } from './peers/arms.ts';
import { installPeers } from './peers/packages.ts';
import { OWN_ARM } from './report/arms.ts';
import { readEarlier, writeTimelines } from './report/earlier.ts';
import { updateDocument, writeReport, writeSamples, type NamedTimeline } from './report/report.ts';
import type { Machine, RowDescription } from './report/rows.ts';
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
import type { Described } from './workload/session.ts';

const QUICK = { rounds: 1, entries: 20_000, factor: 0.005 };
const QUICK_NOTE =
  'Of a quick run: code is not warm, and operations are few. It shows that everything works, and nothing of how fast.';
const ROUNDS = 5;
const ENTRIES = 1_000_000;
/** So many times as many where the disk is meant. */
const COLD_TIMES = 2;
const RESULTS = 'bench/results';
/** Not where the samples of runs are. */
const REPORTED_AGAIN = 'bench/results/again';
const DOCUMENT = 'docs/benchmarks.md';
const CHARTS = 'docs/charts';
/** Of statfs(2). */
const TMPFS = 0x0102_1994;

async function main(): Promise<void> {
  const args = commandLine('bench', {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    arms: { type: 'string' },
    entries: { type: 'string' },
    growth: { type: 'string' },
    write: { type: 'boolean', default: false },
    samples: { type: 'string' },
  });
  const sizes = args.growth?.split(',').map(wholeNumber);
  const kind = sizes === undefined ? 'comparison' : 'growth';
  const allRows = sizes === undefined ? ROWS : growthRows(sizes);
  const rows = args.quick ? allRows.map((row) => ({ ...row, goals: [] })) : allRows;
  const isWhole = !args.quick && args.only === undefined && args.arms === undefined;
  if (args.samples !== undefined) {
    if (!isWhole || args.rounds !== undefined || args.entries !== undefined)
      throw new UsageError('--samples measures nothing: of the others only --growth and --write go with it');
    const { samples, machine, timelines } = readEarlier(args.samples.split(','));
    report(kind, samples, rows, machine, timelines, REPORTED_AGAIN, args.write);
    return;
  }
  if (args.write && !isWhole) throw new UsageError('--write is for a run of everything');
  const rounds = wholeNumber(args.rounds ?? String(args.quick ? QUICK.rounds : ROUNDS));
  const entries = wholeNumber(args.entries ?? String(args.quick ? QUICK.entries : ENTRIES));
  const notes = args.quick ? [QUICK_NOTE] : [];
  const options = prepare(chosenArms(args.arms), notes);
  const series = new Series(isWhole ? kind : `${kind}-part`, notes);
  for (const size of sizes ?? [entries]) {
    const coldEntries = sizes === undefined ? size * COLD_TIMES : size;
    const workload = new Workload({ entries: size, coldEntries, factor: args.quick ? QUICK.factor : 1 });
    const run = new ComparisonRun({ ...options, workload });
    const parts = chosenParts(sizes === undefined ? run.parts() : run.growthParts(), args.only);
    for (let round = 0; round < rounds; round++) {
      for (const part of parts) {
        await part.round(round);
        series.keep(run, sizes === undefined ? undefined : size);
      }
    }
    series.end(run);
  }
  series.report(rows, args.write);
}

function report(
  name: string,
  samples: readonly Sample[],
  rows: readonly RowDescription[],
  machine: Machine,
  timelines: readonly NamedTimeline[],
  results: string,
  intoDocument: boolean,
): void {
  const charts = intoDocument ? CHARTS : join(results, 'charts');
  const made = writeReport(name, samples, rows, machine, { results, charts }, timelines);
  if (intoDocument) updateDocument(DOCUMENT, made, charts);
  console.log(`written to ${join(results, `${name}.md`)}${intoDocument ? ` and ${DOCUMENT}` : ''}`);
}

/** What several runs have measured: one, or one for each number of entries. */
class Series {
  readonly #name: string;
  readonly #notes: string[];
  readonly #earlier: Sample[] = [];
  readonly #timelines: NamedTimeline[] = [];
  readonly #described = new Map<string, Described>();
  #samples: readonly Sample[] = [];

  constructor(name: string, notes: string[]) {
    this.#name = name;
    this.#notes = notes;
  }

  /** Written at once: what comes later may fail. `size`: of which the rows' names tell. */
  keep(run: ComparisonRun, size: number | undefined): void {
    const named = (sample: Sample): Sample =>
      size === undefined ? sample : { ...sample, row: rowAtEntries(sample.row, size) };
    this.#samples = [...this.#earlier, ...run.samples.map(named)];
    for (const [arm, described] of run.described) this.#described.set(arm, described);
    writeSamples(this.#name, this.#samples, this.#machine(run.notes), RESULTS);
    writeTimelines(this.#name, [...this.#timelines, ...run.timelines], RESULTS);
  }

  end(run: ComparisonRun): void {
    this.#earlier.splice(0, Infinity, ...this.#samples);
    this.#notes.push(...run.notes);
    this.#timelines.push(...run.timelines);
    run.removeDatabases();
  }

  report(rows: readonly RowDescription[], intoDocument: boolean): void {
    report(this.#name, this.#samples, rows, this.#machine([]), this.#timelines, RESULTS, intoDocument);
  }

  #machine(notes: readonly string[]): Machine {
    const arms = [...this.#described];
    return {
      ...describeMachine(),
      date: new Date().toISOString().slice(0, 10),
      command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
      versions: Object.fromEntries(arms.map(([, { engine, version }]) => [engine, version])),
      details: Object.fromEntries(arms.map(([arm, { details }]) => [arm, details])),
      notes: [...this.#notes, ...notes, ...arms.flatMap(([arm, { details }]) => fallbackNotes(arm, details))],
    };
  }
}

/** Where quadring did not get what is compared. */
function fallbackNotes(arm: string, { backend, backendReason, directIo }: Described['details']): string[] {
  const notes: string[] = [];
  if (arm === OWN_ARM && backend !== 'uring')
    notes.push(`${arm} ran on ${String(backend)}: ${String(backendReason)}`);
  if (directIo === false) notes.push(`${arm} did not obtain O_DIRECT`);
  return notes;
}

/** Installs and compiles what takes part; who cannot is left out, with a note. */
function prepare(wanted: readonly Arm[], notes: string[]): Omit<RunOptions, 'workload'> {
  if (process.getuid?.() !== 0)
    throw new UsageError('cold rows need the page cache dropped, which only root may');
  const root = temporaryFolder('quadring-bench-');
  if (statfsSync(root).type === TMPFS) {
    throw new UsageError(
      `${root} is in memory, where nothing is cold or durable; set TMPDIR to a folder on a disk`,
    );
  }
  if (wanted.some(({ peer }) => peer !== null && peer.packageName !== OWN_ARM)) installPeers();
  const rocksDb = wanted.some(({ peer }) => peer === null) ? rocksDbPrograms(notes) : undefined;
  const hasFio = fioVersion() !== null;
  if (!hasFio) notes.push('fio took no part: it is not installed');
  return {
    root,
    arms: wanted.filter(({ peer }) => peer !== null || rocksDb !== undefined),
    rocksDbProgram: rocksDb ?? '',
    rocksDbCompaction: rocksDb !== undefined,
    hasFio,
    log: (line) => console.error(line),
  };
}

/** RocksDB's program for sessions; undefined where it cannot be had. */
function rocksDbPrograms(notes: string[]): string | undefined {
  try {
    if (buildRocksDbProgram()) return buildRocksDbSessionProgram();
    notes.push(`RocksDB in C++ took no part: ${INSTALL_COMMAND}`);
  } catch (error) {
    notes.push(`RocksDB in C++ took no part: ${error instanceof Error ? error.message : String(error)}`);
  }
  return undefined;
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`${text} is no whole number above 0`);
  return Number(text);
}

function chosenArms(names: string | undefined): readonly Arm[] {
  if (names === undefined) return ARMS;
  return [...new Set(names.split(','))].map((name) => {
    const arm = ARMS.find((one) => one.name === name);
    if (arm === undefined) {
      throw new UsageError(`${name} is none of ${ARMS.map((one) => one.name).join(', ')}`);
    }
    return arm;
  });
}

function chosenParts(parts: readonly Part[], only: string | undefined): readonly Part[] {
  if (only === undefined) return parts;
  const beginnings = only.split(',');
  const unknown = beginnings.find((beginning) => !parts.some(({ name }) => name.startsWith(beginning)));
  if (unknown !== undefined) {
    const names = parts.map(({ name }) => name).join(', ');
    throw new UsageError(`nothing has a name that begins with ${unknown}; there are ${names}`);
  }
  return parts.filter(({ name }) => beginnings.some((beginning) => name.startsWith(beginning)));
}

await runCommand(main);
