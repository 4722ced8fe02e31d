/**
 * From samples to figures: of each row and arm what each round came to, and how arms compare inside of one round. Pure;
 * benchmarks only.
 *
 * What an arm could not do, or failed at, or had in memory where the disk was meant, is not there: such rounds are left out of its own figures and of all ratios.
 */
import { strict as assert } from 'node:assert';
import { rounded } from '../support/comparison.ts';
import { spreadOf, type Spread } from '../support/measure.ts';
import type { Sample } from '../workload/sample.ts';
import { LATENCY_SHARES, type Measured } from '../workload/session.ts';
import { armsInOrder, engineOf, isReference } from './arms.ts';
import type { FigureKind, RowDescription } from './rows.ts';

const MEBIBYTE = 2 ** 20;
const MEGABYTE = 1e6;

type LatencyShare = (typeof LATENCY_SHARES)[number];

export type Rounds = ReadonlyMap<number, Measured>;

export interface RowFigures {
  readonly description: RowDescription;
  /** By arm, and by number of the round. */
  readonly arms: ReadonlyMap<string, Rounds>;
}

export interface GroupFigures {
  readonly name: string;
  readonly rows: readonly RowFigures[];
}

export interface ComparisonFigures {
  /** In the order of columns and legends. */
  readonly arms: readonly string[];
  readonly groups: readonly GroupFigures[];
}

/** What a sample is in its row's figure. */
export function valueOf(measured: Measured, { figure, operationBytes }: RowDescription): number {
  const { operations, seconds, cpuSeconds, diskReadBytes, diskWriteBytes, residentBytes } = measured;
  switch (figure) {
    case 'ns':
      return (seconds / operations) * 1e9;
    case 'CPU ns':
      return ((cpuSeconds ?? NaN) / operations) * 1e9;
    case 'ms':
      return (seconds / operations) * 1e3;
    case '/s':
      return operations / seconds;
    case 'MB/s': {
      const bytes =
        operationBytes === undefined
          ? (diskReadBytes ?? NaN) + (diskWriteBytes ?? NaN)
          : operations * operationBytes;
      return bytes / seconds / MEGABYTE;
    }
    case 'MiB':
      return residentBytes / MEBIBYTE;
  }
}

export function isRate(figure: FigureKind): boolean {
  return figure === '/s' || figure === 'MB/s';
}

/** The more the better, whatever the figure. */
function speedOf(measured: Measured, description: RowDescription): number {
  const value = valueOf(measured, description);
  return isRate(description.figure) ? value : 1 / value;
}

/** Groups and rows in the order of the descriptions. A row that nobody has measured is not there. */
export function figuresOf(
  samples: readonly Sample[],
  descriptions: readonly RowDescription[],
): ComparisonFigures {
  const byRow = new Map<string, Sample[]>(descriptions.map(({ row }) => [row, []]));
  for (const sample of samples) {
    const ofRow = byRow.get(sample.row);
    assert(ofRow !== undefined, `row ${sample.row} has no description`);
    assert(!ofRow.some((other) => isSameMeasurement(other, sample)), `${nameOf(sample)} was measured twice`);
    ofRow.push(sample);
  }
  const groups = new Map<string, RowFigures[]>();
  for (const description of descriptions) {
    const ofRow = byRow.get(description.row)!;
    if (ofRow.length === 0) continue;
    const names = new Set(ofRow.map(({ group }) => group));
    assert(names.size === 1, `row ${description.row} is in several groups: ${[...names].join(', ')}`);
    const [name] = names;
    groups.set(name, [...(groups.get(name) ?? []), rowFigures(ofRow, description)]);
  }
  return {
    arms: armsInOrder(samples.map(({ arm }) => arm)),
    groups: [...groups].map(([name, rows]) => ({ name, rows })),
  };
}

function isSameMeasurement(one: Sample, other: Sample): boolean {
  return one.arm === other.arm && one.round === other.round;
}

function nameOf({ row, arm, round }: Sample): string {
  return `row ${row} of ${arm} in round ${round}`;
}

function rowFigures(samples: readonly Sample[], description: RowDescription): RowFigures {
  const arms = new Map<string, Map<number, Measured>>();
  for (const { arm, round, measured } of samples) {
    const value = valueOf(measured, description);
    if (!Number.isFinite(value) || value <= 0 || wasNotRead(measured, description)) continue;
    const rounds = arms.get(arm) ?? new Map<number, Measured>();
    arms.set(arm, rounds.set(round, measured));
  }
  return { description, arms };
}

/** Whether what was to come from the disk was in memory. */
function wasNotRead({ diskReadBytes, operations }: Measured, { diskBytesMin = 0 }: RowDescription): boolean {
  return diskReadBytes !== null && diskReadBytes < diskBytesMin * operations;
}

export function roundsOf({ arms }: RowFigures, arm: string): Rounds {
  return arms.get(arm) ?? new Map<number, Measured>();
}

/** How often the row was measured, whoever has all of them. */
export function roundCount({ arms }: RowFigures): number {
  return Math.max(0, ...[...arms.values()].map(({ size }) => size));
}

/** Null where nothing was measured. */
export function spreadOrNull(values: readonly number[]): Spread | null {
  const measured = values.filter((value) => Number.isFinite(value));
  return measured.length === 0 ? null : spreadOf(measured);
}

/** What each round came to. */
export function valuesOf(row: RowFigures, arm: string): number[] {
  return [...roundsOf(row, arm).values()].map((measured) => valueOf(measured, row.description));
}

/** How many times as fast an arm is as the fastest one of others, of each round that one of them has. */
export function ratiosToFastest(row: RowFigures, arm: string, others: readonly string[]): number[] {
  return [...roundsOf(row, arm)].flatMap(([round, measured]) => {
    const speeds = others.flatMap((other) => {
      const same = roundsOf(row, other).get(round);
      return same === undefined ? [] : [speedOf(same, row.description)];
    });
    return speeds.length === 0 ? [] : [speedOf(measured, row.description) / Math.max(...speeds)];
  });
}

/** As fast as the fastest arm of another engine. */
export function ratiosToBestOther(row: RowFigures, arm: string): number[] {
  const others = [...row.arms.keys()].filter(
    (other) => engineOf(other) !== engineOf(arm) && !isReference(other),
  );
  return ratiosToFastest(row, arm, others);
}

/** Of all threads of the process, for an operation of each round. */
export function processorMicros(row: RowFigures, arm: string): Spread | null {
  return spreadOrNull(
    [...roundsOf(row, arm).values()].map(
      ({ cpuSeconds, operations }) => ((cpuSeconds ?? NaN) / operations) * 1e6,
    ),
  );
}

/** What the disk was made to read for an operation of each round. */
export function diskReadBytes(row: RowFigures, arm: string): Spread | null {
  return spreadOrNull(
    [...roundsOf(row, arm).values()].map(
      ({ diskReadBytes, operations }) => (diskReadBytes ?? NaN) / operations,
    ),
  );
}

/** The round whose figure is the median; of an even number of rounds the one below the middle. */
export function medianRound(row: RowFigures, arm: string): Measured | null {
  const sorted = [...roundsOf(row, arm).values()].sort(
    (a, b) => valueOf(a, row.description) - valueOf(b, row.description),
  );
  return sorted.length === 0 ? null : sorted[(sorted.length - 1) >> 1];
}

/** Whether at least one call is beyond that share of them: p99 takes a hundred, p99.9 a thousand. */
export function isShareKnown(share: number, { calls }: Measured): boolean {
  return calls * (1 - share) >= 1 - 1e-9;
}

/** Microseconds that this share of the calls took at most, of the rounds with enough calls to know it. */
export function latencyAt(row: RowFigures, arm: string, share: LatencyShare): Spread | null {
  const at = LATENCY_SHARES.indexOf(share);
  const known = [...roundsOf(row, arm).values()].flatMap((measured) =>
    measured.latencyMicros === null || !isShareKnown(share, measured) ? [] : [measured.latencyMicros[at]],
  );
  return spreadOrNull(known);
}

/** As elsewhere, but with two digits of what is small. */
export function figureText(value: number): string {
  return value >= 0.1 ? rounded(value) : String(Number(value.toPrecision(2)));
}

/** `median (min–max)`, or the one figure there is */
export function spreadText({ min, median, max }: Spread): string {
  if (min === max) return figureText(median);
  return `${figureText(median)} (${figureText(min)}–${figureText(max)})`;
}
