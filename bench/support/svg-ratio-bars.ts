/**
 * Ratios as SVG text: bars that leave a line at 1 to the right or to the left, on a logarithmic axis, where twice as much
 * and half as much are equally far. Pure; benchmarks only.
 *
 * Each bar has its name and its number, so that nobody has to look for a colour in a legend. Groups of bars stand in two
 * columns; those of a panel share their axis.
 */
import {
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
  closeLogAxis,
  element,
  FAINT_INK,
  INK,
  line,
  logScale,
  svgDocument,
  text,
  tickText,
  widthOf,
  wrapped,
} from './svg.ts';

const COLUMNS = 2;
const COLUMN_GAP = 28;
const COLUMN_WIDTH = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * COLUMN_GAP) / COLUMNS;
const SMALL_PIXELS = 11;
const BAR_HEIGHT = 9;
const BAR_PITCH = 14;
const TITLE_PITCH = 15;
const TITLE_GAP = 5;
const LABEL_GAP = 6;
const TEXT_WIDTH = 44;
const AXIS_HEIGHT = 18;
const GROUP_GAP = 12;
const TICKS_MAX = 5;

export interface RatioBar {
  readonly label: string;
  /** Number of a colour. */
  readonly hue: number;
  /** Told from another one of the same colour by that. */
  readonly isPale: boolean;
  readonly value: number;
  /** The ends of what was seen. */
  readonly low: number;
  readonly high: number;
  /** Stands at the end of its line. */
  readonly text: string;
}

export interface RatioBarGroup {
  readonly title: string;
  readonly bars: readonly RatioBar[];
}

export interface RatioBarPanel {
  readonly title: string;
  readonly groups: readonly RatioBarGroup[];
}

export interface RatioBarOptions extends Heading {
  readonly panels: readonly RatioBarPanel[];
}

/** All from the left end of a column. */
interface Axis {
  readonly left: number;
  readonly steps: readonly number[];
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

export function ratioBarChart(options: RatioBarOptions): string {
  const { parts, bottom } = headOf(options);
  const labelWidth = Math.max(
    0,
    ...options.panels
      .flatMap(({ groups }) => groups.flatMap(({ bars }) => bars))
      .map(({ label }) => widthOf(label, SMALL_PIXELS)),
  );
  let y = bottom;
  for (const { title, groups } of options.panels) {
    parts.push(panelTitle(y, title), line(MARGIN, y + 20, WIDTH - MARGIN, y + 20));
    y += PANEL_TITLE_HEIGHT;
    const axis = axisOf(groups, labelWidth + LABEL_GAP);
    for (let first = 0; first < groups.length; first += COLUMNS) {
      const beside = groups.slice(first, first + COLUMNS);
      for (const [i, group] of beside.entries()) {
        parts.push(...groupParts(group, MARGIN + i * (COLUMN_WIDTH + COLUMN_GAP), y, axis));
      }
      y += Math.max(...beside.map(heightOf)) + GROUP_GAP;
    }
    y += PANEL_GAP;
  }
  return svgDocument(WIDTH, y, options.title, parts);
}

function axisOf(groups: readonly RatioBarGroup[], left: number): Axis {
  const bars = groups.flatMap((group) => group.bars);
  const smallest = Math.min(1, ...bars.map(({ low }) => low));
  const largest = Math.max(1, ...bars.map(({ high }) => high));
  const { ends, steps, ticks } = closeLogAxis(smallest, largest, TICKS_MAX);
  return { left, steps, ticks, at: logScale(ends, [left, COLUMN_WIDTH - TEXT_WIDTH]) };
}

function titleLines({ title }: RatioBarGroup): string[] {
  return wrapped(title, COLUMN_WIDTH);
}

function heightOf(group: RatioBarGroup): number {
  const titleHeight = titleLines(group).length * TITLE_PITCH + TITLE_GAP;
  return titleHeight + group.bars.length * BAR_PITCH + AXIS_HEIGHT;
}

function groupParts(group: RatioBarGroup, left: number, top: number, axis: Axis): string[] {
  const titles = titleLines(group);
  const barsTop = top + titles.length * TITLE_PITCH + TITLE_GAP;
  const bottom = barsTop + group.bars.length * BAR_PITCH;
  const parts = titles.map((one, i) => text(left, top + 11 + i * TITLE_PITCH, one));
  for (const step of axis.steps) {
    const x = left + axis.at(step);
    parts.push(line(x, barsTop - 2, x, bottom));
  }
  for (const tick of axis.ticks) {
    parts.push(
      small(left + axis.at(tick), bottom + 12, tickText(tick), { 'text-anchor': 'middle', fill: FAINT_INK }),
    );
  }
  for (const [i, bar] of group.bars.entries()) {
    parts.push(...barParts(bar, left, barsTop + i * BAR_PITCH, axis));
  }
  const one = left + axis.at(1);
  parts.push(line(one, barsTop - 4, one, bottom + 2, { stroke: INK, 'stroke-width': 1.2 }));
  return parts;
}

function barParts(bar: RatioBar, left: number, top: number, axis: Axis): string[] {
  const baseline = top + BAR_HEIGHT;
  const middle = top + BAR_HEIGHT / 2 + 1;
  const [one, end] = [left + axis.at(1), left + axis.at(bar.value)];
  const whisker = { stroke: INK, 'stroke-width': 1 };
  return [
    small(left + axis.left - LABEL_GAP, baseline, bar.label, { 'text-anchor': 'end' }),
    element('rect', {
      x: Math.min(one, end),
      y: top + 1,
      width: Math.abs(end - one),
      height: BAR_HEIGHT,
      fill: hueOf(bar.hue),
      ...(bar.isPale ? { 'fill-opacity': 0.5 } : {}),
    }),
    line(left + axis.at(bar.low), middle, left + axis.at(bar.high), middle, whisker),
    small(left + COLUMN_WIDTH, baseline, bar.text, { 'text-anchor': 'end' }),
  ];
}

function small(x: number, y: number, content: string, attributes: Record<string, string>): string {
  return text(x, y, content, { 'font-size': SMALL_PIXELS, ...attributes });
}
