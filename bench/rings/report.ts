/** The cases' figures as Markdown tables, lines of JSON, and charts. Owner of benchmarks only. */
import { rounded } from '../support/comparison.ts';
import { spreadOf } from '../support/measure.ts';
import {
  distributionChart,
  stackedBarChart,
  type DistributionPanel,
  type StackedBarPanel,
} from '../support/svg-charts.ts';
import type { Case, LoadRate } from './cases.ts';
import { COLUMN_NAMES, percentile, STAGE_NAMES, summaryOf, TOTAL, type StageSummary } from './stages.ts';

/** Of the distributions' axis; each one that there are enough requests for is drawn. */
const SHARES = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999];

/** Of what was asked of each of the others; below it a row says so. */
const AT_WORK_MIN = 0.9;

/** A case that has run, with what its columns come to. */
export interface Result {
  readonly case: Case;
  readonly summaries: readonly StageSummary[];
}

export function resultOf(measured: Case): Result {
  const summaries = COLUMN_NAMES.map((_, column) => summaryOf(measured.samples.sorted(column)));
  return { case: measured, summaries };
}

function nameOf({ depth, isBlocking, isLoaded }: Case): string {
  return `${depth}${isBlocking ? ' (blocked)' : ''}, ${isLoaded ? 'loaded' : 'idle'}`;
}

/** By kind, in the order in which they come. */
function byKind(results: readonly Result[]): [name: string, results: Result[]][] {
  const groups = new Map<string, Result[]>();
  for (const result of results) {
    const { name } = result.case.kind;
    const group = groups.get(name) ?? [];
    group.push(result);
    groups.set(name, group);
  }
  return [...groups];
}

function orDash(microseconds: number | null): string {
  return microseconds === null ? '–' : rounded(microseconds);
}

/** One table for each kind. */
export function markdownOf(results: readonly Result[]): string {
  const columns = COLUMN_NAMES.join(' | ');
  const head = `| in flight | others | op/s | asleep, % | ${columns} |\n|${'---|'.repeat(4 + COLUMN_NAMES.length)}`;
  return byKind(results)
    .map(([name, rows]) => `### ${name}\n\n${head}\n${rows.map(rowOf).join('\n')}\n`)
    .join('\n');
}

function rowOf({
  case: { depth, isBlocking, isLoaded, loadRates, perSecond, woken, samples },
  summaries,
}: Result): string {
  const share = (count: number): string => String(Math.round((100 * count) / samples.count));
  const cells = [
    `${depth}${isBlocking ? ', blocked' : ''}`,
    isLoaded ? workText(loadRates) : 'idle',
    rounded(spreadOf(perSecond).median),
    `${share(woken.inWait)} + ${share(woken.inKernel)}`,
    ...summaries.map(({ p50, p99, p999 }) => [p50, p99, p999].map(orDash).join(' / ')),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Whether the others did what they were asked for; where not, how much of it whoever did least. */
function workText(rates: readonly LoadRate[]): string {
  const least = Math.min(...rates.map(({ asked, done }) => done / asked));
  return least >= AT_WORK_MIN ? 'at work' : `at work, ${Math.round(100 * least)} %`;
}

/** One object for each case; `run` is what it was measured on and with. */
export function linesOf(results: readonly Result[], run: object): object[] {
  const at = new Date().toISOString();
  return results.map(({ case: measured, summaries }) => ({
    at,
    name: measured.kind.name,
    depth: measured.depth,
    isBlocking: measured.isBlocking,
    isLoaded: measured.isLoaded,
    operations: measured.samples.count,
    operationsPerSecond: measured.perSecond,
    woken: measured.woken,
    microseconds: Object.fromEntries(COLUMN_NAMES.map((name, column) => [name, summaries[column]])),
    load: measured.loadRates,
    ...run,
  }));
}

/** Medians of the stages, stacked. */
export function stagesChart(results: readonly Result[], note: string): string {
  const panels = byKind(results).map(([title, rows]): StackedBarPanel => ({
    title,
    bars: rows.map(({ case: measured, summaries }) => ({
      label: nameOf(measured),
      values: summaries.slice(0, TOTAL).map(({ p50 }) => p50 ?? 0),
    })),
  }));
  const title = 'Where the time of a request goes: medians of its stages, by requests in flight';
  return stackedBarChart({ title, note, unit: 'µs', series: STAGE_NAMES, panels });
}

/** The whole of a request's life, by how many were faster. */
export function latencyChart(results: readonly Result[], note: string): string {
  const panels = byKind(results).map(([title, rows]): DistributionPanel => {
    const hues = [...new Set(rows.map(({ case: { depth, isBlocking } }) => `${depth} ${isBlocking}`))];
    return {
      title,
      series: rows.map(({ case: measured }) => {
        const sorted = measured.samples.sorted(TOTAL);
        const points = SHARES.map((share) => ({ share, value: percentile(sorted, share) }));
        return {
          label: nameOf(measured),
          hue: hues.indexOf(`${measured.depth} ${measured.isBlocking}`),
          isDashed: measured.isLoaded,
          points: points.filter((point): point is { share: number; value: number } => point.value !== null),
        };
      }),
    };
  });
  const title = 'Latency of requests, from their publishing to their handler';
  return distributionChart({ title, note, unit: 'µs', panels });
}
