/**
 * Two kinds of charts as SVG text: bars in parts, and distributions on logarithmic axes. Pure; benchmarks only.
 *
 * Bars lie on their side, so that each has room for its name; one series makes plain bars of them, of a throughput by depth
 * for example. A distribution's other axis is what is left beyond a share, so that 99, 99.9 and 99.99 % stand as far apart
 * as they are from each other in what they cost.
 */
import {
  AXIS_HEIGHT,
  headOf,
  hueOf,
  LEGEND_PITCH,
  lineLegend,
  MARGIN,
  PANEL_GAP,
  PANEL_TITLE_HEIGHT,
  panelTitle,
  plotWidthBeside,
  strokeOf,
  WIDTH,
  type Heading,
  type LineStyle,
} from './svg-frame.ts';
import {
  FAINT_INK,
  line,
  linearTicks,
  logScale,
  logTicks,
  polyline,
  rectangle,
  svgDocument,
  text,
  tickText,
  widthOf,
} from './svg.ts';

const LEGEND_BOX = 10;
const BAR_HEIGHT = 13;
const BAR_PITCH = 18;
/** At the end of a bar stands what it comes to. */
const SUM_WIDTH = 60;
const LABEL_GAP = 8;
const PLOT_HEIGHT = 190;
const VALUE_AXIS_WIDTH = 46;
const SHARE_TICKS = [0.5, 0.9, 0.99, 0.999, 0.9999];

interface ChartOptions extends Heading {
  readonly unit: string;
}

export interface StackedBarPanel {
  readonly title: string;
  /** A value for each series. */
  readonly bars: readonly { readonly label: string; readonly values: readonly number[] }[];
}

export interface StackedBarOptions extends ChartOptions {
  readonly series: readonly string[];
  /** One below the other, each with an axis of its own that begins at 0. */
  readonly panels: readonly StackedBarPanel[];
}

export interface DistributionSeries extends LineStyle {
  readonly label: string;
  /** Shares between 0 and 1, ascending, and the value that so many do not exceed. */
  readonly points: readonly { readonly share: number; readonly value: number }[];
}

export interface DistributionPanel {
  readonly title: string;
  readonly series: readonly DistributionSeries[];
}

export interface DistributionOptions extends ChartOptions {
  readonly panels: readonly DistributionPanel[];
}

export function stackedBarChart(options: StackedBarOptions): string {
  const { series, panels, unit } = options;
  const { parts, bottom } = headOf(options);
  if (series.length > 1) parts.push(...legendInARow(series, bottom));
  let y = bottom + PANEL_GAP;
  const labelWidth = Math.max(...panels.flatMap(({ bars }) => bars.map(({ label }) => widthOf(label))));
  for (const panel of panels) {
    parts.push(...stackedBarPanel(panel, y, MARGIN + labelWidth + LABEL_GAP, unit));
    y += PANEL_TITLE_HEIGHT + panel.bars.length * BAR_PITCH + AXIS_HEIGHT + PANEL_GAP;
  }
  return svgDocument(WIDTH, y, options.title, parts);
}

function legendInARow(series: readonly string[], y: number): string[] {
  const parts: string[] = [];
  let x = MARGIN;
  for (const [i, name] of series.entries()) {
    parts.push(rectangle(x, y - LEGEND_BOX + 1, LEGEND_BOX, LEGEND_BOX, hueOf(i)));
    parts.push(text(x + LEGEND_BOX + 5, y, name));
    x += LEGEND_BOX + widthOf(name) + 24;
  }
  return parts;
}

function stackedBarPanel(
  { title, bars }: StackedBarPanel,
  top: number,
  left: number,
  unit: string,
): string[] {
  const parts = [panelTitle(top, title)];
  const sums = bars.map(({ values }) => values.reduce((sum, value) => sum + value, 0));
  const ticks = linearTicks(Math.max(...sums));
  const width = WIDTH - MARGIN - SUM_WIDTH - left;
  const scale = width / ticks[ticks.length - 1];
  const barsTop = top + PANEL_TITLE_HEIGHT;
  const bottom = barsTop + bars.length * BAR_PITCH;
  for (const tick of ticks) {
    const x = left + tick * scale;
    parts.push(line(x, barsTop - 2, x, bottom));
    parts.push(text(x, bottom + 14, tickText(tick), { 'text-anchor': 'middle', fill: FAINT_INK }));
  }
  parts.push(text(left + width + SUM_WIDTH, bottom + 14, unit, { 'text-anchor': 'end', fill: FAINT_INK }));
  for (const [i, { label, values }] of bars.entries()) {
    const y = barsTop + i * BAR_PITCH;
    const baseline = y + BAR_HEIGHT - 2;
    parts.push(text(left - LABEL_GAP, baseline, label, { 'text-anchor': 'end' }));
    let x = left;
    for (const [at, value] of values.entries()) {
      parts.push(rectangle(x, y, value * scale, BAR_HEIGHT, hueOf(at)));
      x += value * scale;
    }
    parts.push(text(x + 5, baseline, tickText(Number(sums[i].toPrecision(3))), { fill: FAINT_INK }));
  }
  return parts;
}

export function distributionChart(options: DistributionOptions): string {
  const { parts, bottom } = headOf(options);
  let y = bottom;
  for (const panel of options.panels) {
    parts.push(...distributionPanel(panel, y, options.unit));
    const legendHeight = panel.series.length * LEGEND_PITCH;
    y += PANEL_TITLE_HEIGHT + Math.max(PLOT_HEIGHT, legendHeight) + AXIS_HEIGHT + PANEL_GAP;
  }
  return svgDocument(WIDTH, y, options.title, parts);
}

function distributionPanel({ title, series }: DistributionPanel, top: number, unit: string): string[] {
  const parts = [panelTitle(top, `${title}, ${unit}`)];
  // What takes no time at all has no place on such an axis.
  const drawn = series.map((one) => ({ ...one, points: one.points.filter(({ value }) => value > 0) }));
  const points = drawn.flatMap((one) => one.points);
  if (points.length === 0) return [...parts, text(MARGIN, top + 40, 'too few to say', { fill: FAINT_INK })];
  const values = points.map(({ value }) => value);
  const ticks = logTicks(Math.min(...values), Math.max(...values));
  const left = MARGIN + VALUE_AXIS_WIDTH;
  const labels = drawn.map(({ label }) => label);
  const right = left + plotWidthBeside(labels, left);
  const plotTop = top + PANEL_TITLE_HEIGHT;
  const bottom = plotTop + PLOT_HEIGHT;
  const yOf = logScale([ticks[0], ticks[ticks.length - 1]], [bottom, plotTop]);
  const shares = points.map(({ share }) => share);
  const leftBeyond = (share: number): number => 1 - share;
  const xOf = logScale(
    [leftBeyond(Math.min(...shares)), leftBeyond(Math.max(...shares, 0.99))],
    [left, right],
  );
  for (const tick of ticks) {
    parts.push(line(left, yOf(tick), right, yOf(tick)));
    parts.push(text(left - 6, yOf(tick) + 4, tickText(tick), { 'text-anchor': 'end', fill: FAINT_INK }));
  }
  for (const share of SHARE_TICKS.filter((one) => one <= Math.max(...shares, 0.99))) {
    const x = xOf(leftBeyond(share));
    parts.push(line(x, plotTop, x, bottom));
    parts.push(
      text(x, bottom + 14, `${Number((share * 100).toFixed(4))} %`, {
        'text-anchor': 'middle',
        fill: FAINT_INK,
      }),
    );
  }
  for (const [i, one] of drawn.entries()) {
    parts.push(
      polyline(
        one.points.map(({ share, value }) => [xOf(leftBeyond(share)), yOf(value)]),
        strokeOf(one),
      ),
    );
    parts.push(...lineLegend(right, plotTop + 8 + i * LEGEND_PITCH, one));
  }
  return parts;
}
