/**
 * Lanes over one axis of time as SVG text: what several parts of something did meanwhile. Pure; benchmarks only.
 *
 * A lane has one series, or two of which the second hangs below the line that the first stands on: what is read and what is
 * written, for example, neither hidden by the other. Where several samples come to lie in one place, the area is that of
 * their mean, and a paler band goes from the least to the largest of them.
 */
import { strict as assert } from 'node:assert';
import {
  AXIS_HEIGHT,
  headOf,
  hueOf,
  MARGIN,
  PANEL_GAP,
  PANEL_TITLE_HEIGHT,
  panelTitle,
  WIDTH,
  type Heading,
} from './svg-frame.ts';
import {
  FAINT_INK,
  line,
  linearScale,
  linearTicks,
  polygon,
  polyline,
  rectangle,
  STRONGEST_HUE,
  svgDocument,
  text,
  tickText,
  widthOf,
  type Point,
} from './svg.ts';

const VALUE_AXIS_WIDTH = 46;
const LANE_HEIGHT = 84;
const LANE_TICKS_MAX = 3;
/** Of a lane's height, for whichever of its two sides has less. */
const SIDE_SHARE_MIN = 0.12;
/** Between what is largest and the end of the lane. */
const HEADROOM = 1.06;
/** Less than that cannot be told apart, and makes the file as much larger. */
const COLUMN_PIXELS = 2;
const LEGEND_BOX = 10;
const HUE_ORDER = [STRONGEST_HUE, 1, 2, 3, 5, 7];

export interface TimelineSeries {
  readonly label: string;
  /** One for each of the times. */
  readonly values: readonly number[];
}

export interface TimelineLane {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly TimelineSeries[];
}

export interface Timeline {
  /** Ascending, from 0 on. */
  readonly seconds: readonly number[];
  readonly lanes: readonly TimelineLane[];
}

export interface TimelineOptions extends Heading {
  readonly timeline: Timeline;
}

/** The samples that share a place. */
interface Column {
  readonly x: number;
  readonly least: number;
  readonly mean: number;
  readonly most: number;
}

type Scale = (value: number) => number;

export function timelineChart(options: TimelineOptions): string {
  const { seconds, lanes } = options.timeline;
  const { parts, bottom } = headOf(options);
  const left = MARGIN + VALUE_AXIS_WIDTH;
  const right = WIDTH - MARGIN;
  const end = seconds.at(-1) ?? 0;
  const xOf = linearScale([0, end > 0 ? end : 1], [left, right]);
  const times = linearTicks(end, 10).filter((tick) => tick <= end);
  const hues = huesOf(lanes);
  let top = bottom;
  for (const lane of lanes) {
    const plotTop = top + PANEL_TITLE_HEIGHT;
    parts.push(...times.map((tick) => line(xOf(tick), plotTop, xOf(tick), plotTop + LANE_HEIGHT)));
    parts.push(...laneParts(lane, top, seconds, xOf, hues));
    top = plotTop + LANE_HEIGHT + PANEL_GAP / 2;
  }
  const axis = top - PANEL_GAP / 2 + 14;
  for (const tick of times) {
    parts.push(text(xOf(tick), axis, `${tickText(tick)} s`, { 'text-anchor': 'middle', fill: FAINT_INK }));
  }
  return svgDocument(WIDTH, top + AXIS_HEIGHT, options.title, parts);
}

/** A label has the same colour in all lanes. */
function huesOf(lanes: readonly TimelineLane[]): ReadonlyMap<string, string> {
  const labels = new Set(lanes.flatMap(({ series }) => series.map(({ label }) => label)));
  return new Map([...labels].map((label, i) => [label, hueOf(HUE_ORDER[i % HUE_ORDER.length])]));
}

function laneParts(
  { title, unit, series }: TimelineLane,
  top: number,
  seconds: readonly number[],
  xOf: Scale,
  hues: ReadonlyMap<string, string>,
): string[] {
  assert(series.length === 1 || series.length === 2, `a lane has one series or two, not ${series.length}`);
  const columns = series.map(({ values }) => columnsOf(seconds, values, xOf));
  const yOf = laneScale(columns, top + PANEL_TITLE_HEIGHT);
  const colours = series.map(({ label }) => hues.get(label)!);
  return [
    panelTitle(top, `${title}, ${unit}`),
    ...laneLegend(series, colours, top + 14),
    ...laneGrid(columns, yOf),
    ...columns.flatMap((one, i) => areaParts(one, colours[i], i === 0 ? yOf : (value) => yOf(-value))),
    line(xOf(0), yOf(0), WIDTH - MARGIN, yOf(0), { stroke: FAINT_INK }),
  ];
}

function laneLegend(series: readonly TimelineSeries[], colours: readonly string[], y: number): string[] {
  let right = WIDTH - MARGIN;
  const parts: string[] = [];
  for (const [i, { label }] of [...series.entries()].reverse()) {
    parts.push(text(right, y, label, { 'text-anchor': 'end' }));
    right -= widthOf(label) + LEGEND_BOX + 8;
    parts.push(rectangle(right, y - LEGEND_BOX + 1, LEGEND_BOX, LEGEND_BOX, colours[i]));
    right -= 18;
  }
  return parts;
}

function columnsOf(seconds: readonly number[], values: readonly number[], xOf: Scale): Column[] {
  const groups = new Map<number, number[]>();
  for (const [i, value] of values.entries()) {
    const x = Math.floor(xOf(seconds[i]) / COLUMN_PIXELS) * COLUMN_PIXELS;
    const group = groups.get(x);
    if (group === undefined) groups.set(x, [value]);
    else group.push(value);
  }
  return [...groups].map(([x, group]) => ({
    x,
    least: Math.min(...group),
    mean: group.reduce((sum, value) => sum + value, 0) / group.length,
    most: Math.max(...group),
  }));
}

function mostOf(columns: readonly Column[] | undefined): number {
  return columns === undefined ? 0 : Math.max(0, ...columns.map(({ most }) => most));
}

/** Both sides have one scale, and at least some room. */
function laneScale(sides: readonly (readonly Column[])[], top: number): Scale {
  const [up, down] = [mostOf(sides[0]), mostOf(sides[1])];
  const least = Math.max(up, down) * SIDE_SHARE_MIN;
  const highest = Math.max(up, least) * HEADROOM;
  const lowest = sides.length === 1 ? 0 : Math.max(down, least) * HEADROOM;
  if (highest === 0) return linearScale([0, 1], [top + LANE_HEIGHT, top]);
  return linearScale([-lowest, highest], [top + LANE_HEIGHT, top]);
}

function laneGrid(sides: readonly (readonly Column[])[], yOf: Scale): string[] {
  const [up, down] = [mostOf(sides[0]), mostOf(sides[1])];
  const ticks = linearTicks(Math.max(up, down), LANE_TICKS_MAX);
  const shown = [...ticks.filter((tick) => tick > 0 && tick <= down).map((tick) => -tick), ...ticks];
  return shown
    .filter((tick) => tick <= up)
    .flatMap((tick) => [
      line(MARGIN + VALUE_AXIS_WIDTH, yOf(tick), WIDTH - MARGIN, yOf(tick)),
      text(MARGIN + VALUE_AXIS_WIDTH - 6, yOf(tick) + 4, tickText(Math.abs(tick)), {
        'text-anchor': 'end',
        fill: FAINT_INK,
      }),
    ]);
}

function areaParts(columns: readonly Column[], colour: string, yOf: Scale): string[] {
  if (columns.length === 0) return [];
  const edge = (valueOf: (column: Column) => number): Point[] =>
    columns.map((column) => [column.x, yOf(valueOf(column))]);
  const most = edge(({ most: value }) => value);
  const mean = edge(({ mean: value }) => value);
  const least = edge(({ least: value }) => value);
  const base: Point[] = [
    [columns[columns.length - 1].x, yOf(0)],
    [columns[0].x, yOf(0)],
  ];
  return [
    polygon([...most, ...least.reverse()], { fill: colour, 'fill-opacity': 0.25 }),
    polygon([...mean, ...base], { fill: colour, 'fill-opacity': 0.45 }),
    polyline(mean, { stroke: colour, 'stroke-width': 1 }),
  ];
}
