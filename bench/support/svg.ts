/**
 * SVG as text: elements, scales, and what charts have in common. Pure; benchmarks only.
 *
 * Charts bring their background, so that they are as legible on a dark page as on a light one.
 */

export const BACKGROUND = '#f4f4f2';
export const INK = '#2b2b2b';
export const FAINT_INK = '#666666';
export const GRID = '#d0d0cc';
/** To be told apart by most eyes, and not by their lightness alone. */
export const HUES = [
  '#8c8c8c',
  '#3b75af',
  '#c8862b',
  '#4f9d69',
  '#a34f6b',
  '#6b5b95',
  '#e6194b',
  '#5fb8cf',
  '#6a4322',
  '#1d3557',
] as const;
/** Number of the one that is seen first: for what a chart is about. */
export const STRONGEST_HUE = 6;

const FONT = 'system-ui, sans-serif';
export const FONT_PIXELS = 12;
/** Roughly, of that font at that size; there is nobody here to ask. */
const CHARACTER_PIXELS = 6.6;

export type Attributes = Readonly<Record<string, string | number>>;
export type Point = readonly [x: number, y: number];
export type Ends = readonly [number, number];

export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&apos;');
}

/** Numbers are written with two decimals at most. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === 'number' ? short(value) : escapeXml(value)}"`,
  );
  return content === ''
    ? `<${name}${written.join('')}/>`
    : `<${name}${written.join('')}>${content}</${name}>`;
}

function short(value: number): string {
  return String(Number(value.toFixed(2)));
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, fill: INK, ...attributes }, escapeXml(content));
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Attributes = {}): string {
  return element('line', { x1, y1, x2, y2, stroke: GRID, ...attributes });
}

export function rectangle(x: number, y: number, width: number, height: number, fill: string): string {
  return element('rect', { x, y, width, height, fill });
}

function pointsText(points: readonly Point[]): string {
  return points.map(([x, y]) => `${short(x)},${short(y)}`).join(' ');
}

export function polyline(points: readonly Point[], attributes: Attributes): string {
  return element('polyline', { points: pointsText(points), fill: 'none', ...attributes });
}

export function polygon(points: readonly Point[], attributes: Attributes): string {
  return element('polygon', { points: pointsText(points), ...attributes });
}

export function widthOf(content: string, fontPixels = FONT_PIXELS): number {
  return (content.length * CHARACTER_PIXELS * fontPixels) / FONT_PIXELS;
}

/** Broken between words into lines of that width; a word that is longer has a line of its own. */
export function wrapped(content: string, width: number, fontPixels = FONT_PIXELS): string[] {
  const lines: string[] = [];
  for (const word of content.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines[lines.length - 1]} ${word}`;
    if (lines.length > 0 && widthOf(longer, fontPixels) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** A whole file. `title` is also what a screen reader says. */
export function svgDocument(width: number, height: number, title: string, parts: readonly string[]): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${short(width)} ${short(height)}`,
    width,
    height,
    role: 'img',
    'font-family': FONT,
    'font-size': FONT_PIXELS,
  };
  const content = [
    element('title', {}, escapeXml(title)),
    rectangle(0, 0, width, height, BACKGROUND),
    ...parts,
  ];
  return `${element('svg', attributes, `\n${content.join('\n')}\n`)}\n`;
}

/** Steps of 1, 2 or 5 from 0 on, `countMax` of them at most, of which the last one is not below `largest`. */
export function linearTicks(largest: number, countMax = 6): number[] {
  if (!(largest > 0)) return [0, 1];
  const least = largest / countMax;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= least) ?? 10 * power;
  const count = Math.ceil(largest / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** Powers of ten, of which the first one is not above `smallest` and the last one not below `largest`. REQUIRES: above 0. */
export function logTicks(smallest: number, largest: number): number[] {
  const first = Math.floor(Math.log10(smallest) + 1e-9);
  const last = Math.max(Math.ceil(Math.log10(largest) - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(`1e${first + i}`));
}

export interface LogAxis {
  readonly ends: Ends;
  /** 1, 2 and 5 times the powers of ten, from one end to the other. */
  readonly steps: readonly number[];
  /** Those that there is room to name. */
  readonly ticks: readonly number[];
}

/**
 * An axis that ends close around what there is. Its ticks are all steps where these are `countMax` at most, otherwise the
 * powers of ten. REQUIRES: above 0.
 */
export function closeLogAxis(smallest: number, largest: number, countMax = 6): LogAxis {
  const powers = logTicks(smallest, largest);
  const all = powers.flatMap((power) => [1, 2, 5].map((factor) => Number((factor * power).toPrecision(1))));
  const first = all.findLastIndex((step) => step <= smallest * (1 + 1e-9));
  const last = all.findIndex((step, i) => i > first && step >= largest * (1 - 1e-9));
  const steps = all.slice(first, last + 1);
  const ticks = steps.length <= countMax ? steps : steps.filter((step) => powers.includes(step));
  return { ends: [steps[0], steps[steps.length - 1]], steps, ticks };
}

/** Where a value is between two ends of an axis. */
export function linearScale([smallest, largest]: Ends, [from, to]: Ends): (value: number) => number {
  return (value) => from + ((to - from) * (value - smallest)) / (largest - smallest);
}

/** Where a value is between two ends of an axis, by its logarithm. */
export function logScale([smallest, largest]: Ends, [from, to]: Ends): (value: number) => number {
  const span = Math.log(largest / smallest);
  return (value) => from + ((to - from) * Math.log(value / smallest)) / span;
}

/** Thousands are written as such: 250, 2.5k, 25k, 2.5M. Hundredths are the least that all digits are written of. */
export function tickText(value: number): string {
  if (value > 0 && value < 0.01) return String(Number(value.toPrecision(2)));
  if (value >= 1e6) return `${short(value / 1e6)}M`;
  return value >= 1000 ? `${short(value / 1000)}k` : short(value);
}
