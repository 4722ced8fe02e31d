/**
 * What every benchmark here needs: rounds that alternate between arms, medians with their spread, and a line of JSON for
 * each figure. Benchmarks only.
 */
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname } from 'node:path';

export interface Figure {
  readonly name: string;
  readonly arm: string;
  readonly unit: string;
  readonly samples: number[];
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted.at(-1)! };
}

/** Gathers figures by name and arm, in the order in which they first came. */
export class Figures {
  readonly #figures = new Map<string, Figure>();

  add(name: string, arm: string, unit: string, sample: number): void {
    const key = `${name}\0${arm}`;
    const figure = this.#figures.get(key) ?? { name, arm, unit, samples: [] };
    figure.samples.push(sample);
    this.#figures.set(key, figure);
  }

  /** One row for each figure: median, spread, number of samples. */
  print(): void {
    const rows = [...this.#figures.values()].map(({ name, arm, unit, samples }) => {
      const { min, median, max } = spreadOf(samples);
      return {
        figure: name,
        arm,
        median: format(median),
        min: format(min),
        max: format(max),
        unit,
        runs: samples.length,
      };
    });
    console.table(rows);
  }

  /** Appends a line of JSON for each figure, with what it was measured on. */
  write(file: string, machine: object): void {
    mkdirSync(dirname(file), { recursive: true });
    const at = new Date().toISOString();
    for (const figure of this.#figures.values()) {
      appendFileSync(file, `${JSON.stringify({ at, ...figure, ...spreadOf(figure.samples), machine })}\n`);
    }
  }
}

function format(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 0 : 2);
}

export function describeMachine(): { node: string; kernel: string; cpu: string; cores: number } {
  const cores = cpus();
  return { node: process.version, kernel: release(), cpu: cores[0]?.model ?? 'unknown', cores: cores.length };
}

/** Bytes that this process made the disk read so far. */
export function diskReadBytes(): number {
  return Number(/^read_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0);
}

/** Resident memory in MiB, after garbage has been collected where node allows it (--expose-gc). */
export function residentMebibytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
}

/** Runs `count` tasks, `inFlight` at a time; resolves when all have. */
export async function inFlight(
  count: number,
  depth: number,
  task: (i: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

/** A generator of numbers below a limit that is the same every time. */
export function pseudoRandom(seed: number): (limit: number) => number {
  let state = seed | 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}
