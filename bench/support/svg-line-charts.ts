/**
 * Lines as SVG text: how something changes with a number, of several series beside each other. Pure; benchmarks only.
 *
 * Each line has a band around it from the least to the most that was seen. The legend has the lines in the order in which
 * they end at the right, so that an eye finds one from the other.
 */
import {
  AXIS_HEIGHT,
  headOf,
  hueOf,
  LEGEND_PITCH,
  lineLegend,
  MARGIN,
  markerOf,
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
  closeLogAxis,
  FAINT_INK,
  line,
  linearScale,
  linearTicks,
  logScale,
  polygon,
  polyline,
  STRONGEST_HUE,
  svgDocument,
  text,
  tickText,
  type Ends,
  type Point,
} from './svg.ts';

const PLOT_HEIGHT = 210;
const VALUE_AXIS_WIDTH = 46;
/** Between the ends of the plot and its first and last points. */
const INSET = 14;
const LEGEND_TITLE_GAP = 26;

export type ScaleKind = 'linear' | 'log';

export interface LinePoint {
  readonly x: number;
  readonly value: number;
  /** The ends of what was seen; both the value itself where it was seen once. */
  readonly low: number;
  readonly high: number;
}

export interface LineSeries extends LineStyle {
  readonly label: string;
  /** By x, ascending. */
  readonly points: readonly LinePoint[];
}

export interface LinePanel {
  readonly title: string;
  /** Of the values. */
  readonly unit: string;
  readonly series: readonly LineSeries[];
}

export interface LineOptions extends Heading {
  /** What x is. */
  readonly across: string;
  readonly xScale: ScaleKind;
  readonly yScale: ScaleKind;
  /** One below the other, each with axes of its own. */
  readonly panels: readonly LinePanel[];
}

interface Axis {
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

export function lineChart(options: LineOptions): string {
  const { parts, bottom } = headOf(options);
  let y = bottom;
  for (const panel of options.panels) {
    parts.push(...linePanel(panel, y, options));
    const legendHeight = panel.series.length * LEGEND_PITCH;
    y += PANEL_TITLE_HEIGHT + Math.max(PLOT_HEIGHT, legendHeight) + AXIS_HEIGHT + PANEL_GAP;
  }
  return svgDocument(WIDTH, y, options.title, parts);
}

function linePanel(panel: LinePanel, top: number, { across, xScale, yScale }: LineOptions): string[] {
  const parts = [panelTitle(top, `${panel.title}, ${panel.unit}`)];
  const series = panel.series.map((one) => ({ ...one, points: drawable(one.points, xScale, yScale) }));
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return [...parts, text(MARGIN, top + 40, 'nothing to show', { fill: FAINT_INK })];
  const left = MARGIN + VALUE_AXIS_WIDTH;
  const right = left + plotWidthBeside(labelsOf(series), left);
  const plotTop = top + PANEL_TITLE_HEIGHT;
  const bottom = plotTop + PLOT_HEIGHT;
  const horizontal = positionAxis(points, xScale, [left + INSET, right - INSET]);
  const vertical = valueAxis(points, yScale, [bottom, plotTop]);
  for (const tick of vertical.ticks) {
    const y = vertical.at(tick);
    parts.push(line(left, y, right, y));
    parts.push(text(left - 6, y + 4, tickText(tick), { 'text-anchor': 'end', fill: FAINT_INK }));
  }
  for (const tick of horizontal.ticks) {
    const x = horizontal.at(tick);
    parts.push(line(x, plotTop, x, bottom));
    parts.push(text(x, bottom + 14, tickText(tick), { 'text-anchor': 'middle', fill: FAINT_INK }));
  }
  parts.push(text(right + LEGEND_TITLE_GAP, bottom + 14, across, { fill: FAINT_INK }));
  parts.push(...series.map((one) => bandOf(one, horizontal, vertical)));
  for (const one of strongestLast(series)) parts.push(...lineOf(one, horizontal, vertical));
  for (const [i, one] of byEnd(series).entries()) {
    parts.push(...lineLegend(right, plotTop + 8 + i * LEGEND_PITCH, one, true));
  }
  return parts;
}

function labelsOf(series: readonly LineSeries[]): string[] {
  return series.map(({ label }) => label);
}

/** What is nothing or less has no place on a logarithmic axis. */
function drawable(points: readonly LinePoint[], xScale: ScaleKind, yScale: ScaleKind): LinePoint[] {
  return points.filter(({ x, low }) => (xScale === 'linear' || x > 0) && (yScale === 'linear' || low > 0));
}

/** Its ticks are where something was measured. */
function positionAxis(points: readonly LinePoint[], kind: ScaleKind, place: Ends): Axis {
  const ticks = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const [first, last] = [ticks[0], ticks[ticks.length - 1]];
  if (first === last) return { ticks, at: () => (place[0] + place[1]) / 2 };
  const scale = kind === 'log' ? logScale : linearScale;
  return { ticks, at: scale([first, last], place) };
}

function valueAxis(points: readonly LinePoint[], kind: ScaleKind, place: Ends): Axis {
  const largest = Math.max(...points.map(({ high }) => high));
  if (kind === 'linear') {
    const ticks = linearTicks(largest);
    return { ticks, at: linearScale([0, ticks[ticks.length - 1]], place) };
  }
  const { ends, ticks } = closeLogAxis(Math.min(...points.map(({ low }) => low)), largest);
  return { ticks, at: logScale(ends, place) };
}

function bandOf({ hue, points }: LineSeries, horizontal: Axis, vertical: Axis): string {
  const edge = (valueOf: (point: LinePoint) => number): Point[] =>
    points.map((point) => [horizontal.at(point.x), vertical.at(valueOf(point))]);
  const corners = [...edge(({ high }) => high), ...edge(({ low }) => low).reverse()];
  return polygon(corners, { fill: hueOf(hue), 'fill-opacity': 0.12 });
}

function lineOf(series: LineSeries, horizontal: Axis, vertical: Axis): string[] {
  const points = series.points.map(({ x, value }): Point => [horizontal.at(x), vertical.at(value)]);
  return [polyline(points, strokeOf(series)), ...points.map(([x, y]) => markerOf(x, y, series))];
}

/** What is drawn last lies on top. */
function strongestLast(series: readonly LineSeries[]): LineSeries[] {
  return series.toSorted((a, b) => Number(a.hue === STRONGEST_HUE) - Number(b.hue === STRONGEST_HUE));
}

function byEnd(series: readonly LineSeries[]): LineSeries[] {
  const endOf = ({ points }: LineSeries): number => points.at(-1)?.value ?? -Infinity;
  return series.filter(({ points }) => points.length > 0).sort((a, b) => endOf(b) - endOf(a));
}
