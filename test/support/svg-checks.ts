/** What must be true of any chart, and numbers read back from one. */
import type { ExecutionContext } from 'ava';
import { BACKGROUND } from '../../bench/support/svg.ts';

/** Elements that are opened are closed, in order, and nothing else is in it. */
export function checkWellFormed(t: ExecutionContext, svg: string): void {
  const open: string[] = [];
  for (const [, closing, name, empty] of svg.matchAll(/<(\/?)([a-z]+)(?: [a-z0-9-]+="[^"<>]*")*(\/?)>/gi)) {
    if (closing !== '') t.is(open.pop(), name);
    else if (empty === '') open.push(name);
  }
  t.deepEqual(open, []);
  t.false(/NaN|Infinity|undefined/.test(svg));
  t.is(svg.split('<').length, svg.split('>').length);
  t.true(svg.includes(`fill="${BACKGROUND}"`), 'it brings its background');
}

/** The attributes of every element of that name. */
export function elementsOf(svg: string, name: string): Record<string, string>[] {
  return [...svg.matchAll(new RegExp(`<${name}((?: [a-z0-9-]+="[^"]*")*)`, 'gi'))].map(([, attributes]) =>
    Object.fromEntries(
      [...attributes.matchAll(/([a-z0-9-]+)="([^"]*)"/gi)].map(([, key, value]) => [key, value]),
    ),
  );
}

/** The corners of a polyline or a polygon. */
export function pointsOf(attributes: Record<string, string>): [x: number, y: number][] {
  return attributes['points'].split(' ').map((point) => {
    const [x, y] = point.split(',').map(Number);
    return [x, y];
  });
}

/** Where a text stands. */
export function placeOf(svg: string, content: string): { x: number; y: number } {
  const match = new RegExp(`<text x="([\\d.]+)" y="([\\d.]+)"[^>]*>${content}</text>`).exec(svg);
  if (match === null) throw new Error(`${content} is not in the chart`);
  return { x: Number(match[1]), y: Number(match[2]) };
}
