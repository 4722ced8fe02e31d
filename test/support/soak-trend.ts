/**
 * Whether something grows over the second half of a run: a line through the least values of short windows, because what
 * is collected or let go from time to time rises and falls in between. Pure.
 */

/** Windows of the second half, or as many as there are samples. */
const WINDOWS = 20;

export interface Trend {
  readonly name: string;
  /** Of the line, at the middle of the run and at its end. */
  readonly from: number;
  readonly to: number;
  /** It may grow by so much, from the middle to the end. */
  readonly growthMax: number;
}

export function trendOf(name: string, samples: readonly number[], growthMax: number): Trend {
  const second = samples.slice(Math.floor(samples.length / 2));
  const { at0, slope } = lineThrough(leastOfWindows(second));
  const last = Math.max(second.length - 1, 0);
  return { name, from: at0, to: at0 + slope * last, growthMax };
}

export function growsTooMuch({ from, to, growthMax }: Trend): boolean {
  return !(to - from <= growthMax);
}

/** The place of each window's middle, and the least value in it. */
function leastOfWindows(samples: readonly number[]): { at: number; value: number }[] {
  const count = Math.min(WINDOWS, samples.length);
  return Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * samples.length) / count);
    const end = Math.floor(((i + 1) * samples.length) / count);
    return { at: (start + end - 1) / 2, value: Math.min(...samples.slice(start, end)) };
  });
}

/** By least squares. */
function lineThrough(points: readonly { at: number; value: number }[]): { at0: number; slope: number } {
  const count = points.length;
  const meanAt = points.reduce((sum, { at }) => sum + at, 0) / count;
  const mean = points.reduce((sum, { value }) => sum + value, 0) / count;
  const spread = points.reduce((sum, { at }) => sum + (at - meanAt) ** 2, 0);
  const product = points.reduce((sum, { at, value }) => sum + (at - meanAt) * (value - mean), 0);
  const slope = spread === 0 ? 0 : product / spread;
  return { at0: mean - slope * meanAt, slope };
}
