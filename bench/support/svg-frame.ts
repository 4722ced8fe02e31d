/**
 * What stands around the plots of all kinds of charts: a title with a note, titles of panels, legends of lines. Pure;
 * benchmarks only.
 */
import {
  BACKGROUND,
  FAINT_INK,
  HUES,
  line,
  polygon,
  STRONGEST_HUE,
  text,
  widthOf,
  wrapped,
  type Attributes,
  type Point,
} from './svg.ts';

export const WIDTH = 820;
export const MARGIN = 20;
export const PANEL_TITLE_HEIGHT = 26;
export const PANEL_GAP = 18;
export const AXIS_HEIGHT = 22;
export const LEGEND_PITCH = 16;

const TITLE_AT = 28;
const NOTE_AT = 46;
const NOTE_PITCH = 16;
const BELOW_NOTE = 22;
const LEGEND_GAP = 26;
const LEGEND_LINE = 26;
const LEGEND_TEXT_GAP = 8;
const PLOT_WIDTH_MAX = 500;
const MARKER_RADIUS = 3;

const ROUND = Array.from({ length: 12 }, (_, i): Point => {
  const angle = (i * Math.PI) / 6;
  return [Math.cos(angle), Math.sin(angle)];
});
const SQUARE: readonly Point[] = [
  [-1, -1],
  [1, -1],
  [1, 1],
  [-1, 1],
];
const TRIANGLE: readonly Point[] = [
  [0, -1.2],
  [1.2, 1],
  [-1.2, 1],
];
const DIAMOND: readonly Point[] = [
  [0, -1.4],
  [1.4, 0],
  [0, 1.4],
  [-1.4, 0],
];
/** One for each hue; those that look alike to some have different ones. */
const SHAPES = [ROUND, TRIANGLE, DIAMOND, SQUARE, DIAMOND, SQUARE, ROUND, DIAMOND, TRIANGLE, ROUND];

export interface Heading {
  readonly title: string;
  /** Under the title: what it was measured on, for example. */
  readonly note: string;
}

/** How a series is drawn wherever it appears. */
export interface LineStyle {
  /** Number of a colour; those that belong together share it. */
  readonly hue: number;
  readonly isDashed: boolean;
}

export function hueOf(number: number): string {
  return HUES[number % HUES.length];
}

/** Title and note, and where what follows them begins. */
export function headOf({ title, note }: Heading): { parts: string[]; bottom: number } {
  const lines = wrapped(note, WIDTH - 2 * MARGIN);
  const parts = [
    text(MARGIN, TITLE_AT, title, { 'font-size': 15, 'font-weight': 600 }),
    ...lines.map((one, i) => text(MARGIN, NOTE_AT + i * NOTE_PITCH, one, { fill: FAINT_INK })),
  ];
  return { parts, bottom: NOTE_AT + (lines.length - 1) * NOTE_PITCH + BELOW_NOTE };
}

export function panelTitle(top: number, title: string): string {
  return text(MARGIN, top + 14, title, { 'font-weight': 600 });
}

export function strokeOf({ hue, isDashed }: LineStyle): Attributes {
  return {
    stroke: hueOf(hue),
    'stroke-width': hue === STRONGEST_HUE ? 2.6 : 1.8,
    ...(isDashed ? { 'stroke-dasharray': '5 3' } : {}),
  };
}

/** A plot's width that leaves the labels their place in a legend at its right. */
export function plotWidthBeside(labels: readonly string[], left: number): number {
  const widest = Math.max(0, ...labels.map((label) => widthOf(label)));
  const legendWidth = LEGEND_GAP + LEGEND_LINE + LEGEND_TEXT_GAP + widest;
  return Math.min(PLOT_WIDTH_MAX, WIDTH - MARGIN - left - legendWidth);
}

/** One line of a legend at the right of a plot that ends at `right`; `hasMarker` where the line in the plot has some. */
export function lineLegend(
  right: number,
  y: number,
  series: LineStyle & { readonly label: string },
  hasMarker = false,
): string[] {
  const x = right + LEGEND_GAP;
  return [
    line(x, y, x + LEGEND_LINE, y, strokeOf(series)),
    ...(hasMarker ? [markerOf(x + LEGEND_LINE / 2, y, series)] : []),
    text(x + LEGEND_LINE + LEGEND_TEXT_GAP, y + 4, series.label),
  ];
}

/** A shape that goes with the colour, for those who cannot tell the colours apart; hollow where the line is dashed. */
export function markerOf(x: number, y: number, { hue, isDashed }: LineStyle): string {
  const colour = hueOf(hue);
  const corners = SHAPES[hue % SHAPES.length].map(([right, down]): Point => [
    x + right * MARKER_RADIUS,
    y + down * MARKER_RADIUS,
  ]);
  return polygon(corners, { fill: isDashed ? BACKGROUND : colour, stroke: colour, 'stroke-width': 1.4 });
}
