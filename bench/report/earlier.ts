/**
 * What earlier runs have left: their samples, to be reported again, several runs in one report. Benchmarks only.
 *
 * A run that ends before its end, or that is done in parts, has measured what it has measured.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../../scripts/command-line.ts';
import { parseSamples, type Sample } from '../workload/sample.ts';
import type { NamedTimeline } from './report.ts';
import type { Machine } from './rows.ts';

const SAMPLES_END = '.jsonl';

export interface Earlier {
  readonly samples: readonly Sample[];
  readonly timelines: readonly NamedTimeline[];
  readonly machine: Machine;
}

/**
 * Of the runs that left these files; what a later one has of a row and an arm is in place of an earlier one's.
 * @throws UsageError if there is no such file, or nothing in it
 */
export function readEarlier(files: readonly string[]): Earlier {
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) {
    const there = readdirIfThere(dirname(missing)).filter((name) => name.endsWith(SAMPLES_END));
    throw new UsageError(
      `there is no ${missing}; ${there.length === 0 ? 'its folder has no samples' : `beside it: ${there.join(', ')}`}`,
    );
  }
  const runs = files.map((file) => {
    const samples = parseSamples(readFileSync(file, 'utf8')) as (Sample & { readonly machine: Machine })[];
    if (samples.length === 0) throw new UsageError(`${file} has no samples`);
    return { samples, timelines: readTimelines(file), machine: samples[0].machine };
  });
  const rowOf = ({ row, arm }: Sample): string => `${row}\0${arm}`;
  let samples: Sample[] = [];
  for (const run of runs) {
    const replaced = new Set(run.samples.map(rowOf));
    samples = [...samples.filter((sample) => !replaced.has(rowOf(sample))), ...run.samples];
  }
  const machines = runs.map(({ machine }) => machine);
  return {
    samples,
    timelines: runs.flatMap(({ timelines }) => timelines),
    machine: {
      ...machines[0],
      versions: Object.assign({}, ...machines.map(({ versions }) => versions)) as Machine['versions'],
      details: Object.assign({}, ...machines.map(({ details }) => details)) as Machine['details'],
      notes: [
        ...new Set(machines.flatMap(({ notes }) => notes)),
        ...machines
          .slice(1)
          .map(({ command, date, cpu }) => `Some rows are of \`${command}\`, ${date}, ${cpu}.`),
      ],
    },
  };
}

function readdirIfThere(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Beside a run's samples in `folder`. */
export function writeTimelines(name: string, timelines: readonly NamedTimeline[], folder: string): void {
  writeFileSync(timelinesOf(join(folder, `${name}${SAMPLES_END}`)), JSON.stringify(timelines));
}

function readTimelines(samplesFile: string): NamedTimeline[] {
  const file = timelinesOf(samplesFile);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as NamedTimeline[]) : [];
}

function timelinesOf(samplesFile: string): string {
  return samplesFile.replace(SAMPLES_END, '-timelines.json');
}
