/** The comparison's figures as charts. Pure; benchmarks only. */
import { distributionChart, type DistributionPanel } from '../support/svg-charts.ts';
import { lineChart, type LinePanel, type LineSeries } from '../support/svg-line-charts.ts';
import { ratioBarChart, type RatioBar, type RatioBarPanel } from '../support/svg-ratio-bars.ts';
import { LATENCY_SHARES } from '../workload/session.ts';
import { armStyles, isReference, type ArmStyle } from './arms.ts';
import {
  figureText,
  isShareKnown,
  medianRound,
  ratiosToBestOther,
  spreadOrNull,
  valuesOf,
  type ComparisonFigures,
  type RowFigures,
} from './figures.ts';
import type { CurvePoint } from './rows.ts';

export interface Chart {
  /** Of its file, behind the report's. */
  readonly name: string;
  /** For those who do not see it. */
  readonly description: string;
  readonly svg: string;
}

type Styles = ReadonlyMap<string, ArmStyle>;
type CurveRow = RowFigures & { readonly description: { readonly curve: CurvePoint } };

/** Those that there is something to draw in. `note` says what it was measured on. */
export function chartsOf(figures: ComparisonFigures, note: string): Chart[] {
  const styles = armStyles(figures.arms);
  const charts = [
    overviewChart(figures, styles, note),
    curveChart(figures, styles, note, 'in flight', {
      name: 'depth.svg',
      title: 'By operations under way at once',
    }),
    curveChart(figures, styles, note, 'entries', {
      name: 'entries.svg',
      title: 'By number of entries in the database',
    }),
    latencyChart(figures, styles, note),
  ];
  return charts.filter((chart) => chart !== null);
}

function styleOf(styles: Styles, arm: string): { hue: number; isDashed: boolean } {
  const { hue, isVariant } = styles.get(arm)!;
  return { hue, isDashed: isVariant };
}

function overviewChart({ arms, groups }: ComparisonFigures, styles: Styles, note: string): Chart | null {
  const panels = groups
    .map(({ name, rows }): RatioBarPanel => ({
      title: name,
      groups: rows
        .filter(isInOverview)
        .map((row) => ({ title: row.description.title, bars: overviewBars(row, arms, styles) }))
        .filter(({ bars }) => bars.length > 0),
    }))
    .filter((panel) => panel.groups.length > 0);
  if (panels.length === 0) return null;
  const title = 'How many times as fast each is as the fastest other engine';
  return {
    name: 'overview.svg',
    description: title,
    svg: ratioBarChart({
      title,
      note: `Round by round: median, and the least to the most as a thin line; memory: how many times less. ${note}`,
      panels,
    }),
  };
}

/** What is but a point of a curve has a chart of its own. */
function isInOverview({ description: { curve, goals } }: RowFigures): boolean {
  return curve === undefined || goals.length > 0;
}

function overviewBars(row: RowFigures, arms: readonly string[], styles: Styles): RatioBar[] {
  return arms.flatMap((arm) => {
    if (isReference(arm)) return [];
    const spread = spreadOrNull(ratiosToBestOther(row, arm));
    if (spread === null) return [];
    const { hue, isVariant } = styles.get(arm)!;
    const { min: low, median: value, max: high } = spread;
    return [{ label: arm, hue, isPale: isVariant, value, low, high, text: `${figureText(value)}×` }];
  });
}

function isOnCurve(row: RowFigures, across: CurvePoint['across']): row is CurveRow {
  return row.description.curve?.across === across;
}

function curveChart(
  { arms, groups }: ComparisonFigures,
  styles: Styles,
  note: string,
  across: CurvePoint['across'],
  { name, title }: { readonly name: string; readonly title: string },
): Chart | null {
  const rows = groups.flatMap((group) => group.rows).filter((row) => isOnCurve(row, across));
  if (rows.length === 0) return null;
  const names = [...new Set(rows.map(({ description }) => description.curve.panel))];
  const panels = names.map((panel): LinePanel => {
    const ofPanel = rows.filter(({ description }) => description.curve.panel === panel);
    return {
      title: panel,
      unit: ofPanel[0].description.figure,
      series: arms.map((arm) => curveOf(ofPanel, arm, styles)).filter(({ points }) => points.length > 0),
    };
  });
  return {
    name,
    description: `${title}: ${names.join('; ')}`,
    svg: lineChart({ title, note, across, xScale: 'log', yScale: 'log', panels }),
  };
}

function curveOf(rows: readonly CurveRow[], arm: string, styles: Styles): LineSeries {
  const points = rows.flatMap((row) => {
    const spread = spreadOrNull(valuesOf(row, arm));
    if (spread === null) return [];
    return [{ x: row.description.curve.at, value: spread.median, low: spread.min, high: spread.max }];
  });
  return { label: arm, ...styleOf(styles, arm), points: points.sort((a, b) => a.x - b.x) };
}

function latencyChart({ arms, groups }: ComparisonFigures, styles: Styles, note: string): Chart | null {
  const panels = groups
    .flatMap((group) => group.rows)
    .map((row): DistributionPanel => ({
      title: row.description.title,
      series: arms
        .map((arm) => ({ label: arm, ...styleOf(styles, arm), points: latencyPoints(row, arm) }))
        .filter(({ points }) => points.length > 0),
    }))
    .filter(({ series }) => series.length > 0);
  if (panels.length === 0) return null;
  const title = 'Latency of a call, by how many were faster';
  return {
    name: 'latencies.svg',
    description: title,
    svg: distributionChart({ title, note: `Of the median round. ${note}`, unit: 'µs', panels }),
  };
}

function latencyPoints(row: RowFigures, arm: string): { share: number; value: number }[] {
  const measured = medianRound(row, arm);
  if (measured === null) return [];
  const { latencyMicros } = measured;
  if (latencyMicros === null) return [];
  return LATENCY_SHARES.map((share, i) => ({ share, value: latencyMicros[i] })).filter(({ share }) =>
    isShareKnown(share, measured),
  );
}
