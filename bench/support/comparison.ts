/**
 * Figures of several arms beside each other: medians with their spread, and the ratio of the first arm to each of the
 * others, taken within each round. Benchmarks only.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { spreadOf, type Spread } from './measure.ts';

interface Row {
  readonly name: string;
  readonly arm: string;
  readonly unit: string;
  /** One for each round. */
  readonly samples: number[];
  /** What the kernel read from the disk for each operation, in bytes, where a row is about the disk. */
  readonly diskBytes: number[];
}

/** Gathers rows by name and arm. REQUIRES: one sample for each row and round. */
export class Comparison {
  readonly #rows = new Map<string, Row>();
  readonly #notes = new Set<string>();

  add(name: string, arm: string, unit: string, sample: number, diskBytes?: number): void {
    const key = `${name}\0${arm}`;
    const row = this.#rows.get(key) ?? { name, arm, unit, samples: [], diskBytes: [] };
    row.samples.push(sample);
    if (diskBytes !== undefined) row.diskBytes.push(diskBytes);
    this.#rows.set(key, row);
  }

  /** Something that whoever reads the figures must know; said once. */
  note(text: string): void {
    this.#notes.add(text);
  }

  print(): void {
    const rows = [...this.#rows.values()].sort((a, b) => this.#order(a) - this.#order(b));
    console.table(
      rows.map((row) => {
        const { min, median, max } = spreadOf(row.samples);
        const ratio = this.#ratio(row);
        return {
          figure: row.name,
          arm: row.arm,
          median: rounded(median),
          'min–max': `${rounded(min)}–${rounded(max)}`,
          unit: row.unit,
          'first arm ÷ this': ratio === undefined ? '' : spreadText(ratio),
          'bytes from disk': row.diskBytes.length > 0 ? rounded(spreadOf(row.diskBytes).median) : '',
          rounds: row.samples.length,
        };
      }),
    );
    for (const note of this.#notes) console.log(`NOTE: ${note}`);
  }

  /** Appends a line of JSON for each row, with what it was measured on. */
  write(file: string, machine: object): void {
    mkdirSync(dirname(file), { recursive: true });
    const at = new Date().toISOString();
    const notes = [...this.#notes];
    for (const row of this.#rows.values()) {
      const line = {
        at,
        ...row,
        ...spreadOf(row.samples),
        firstArmRatio: this.#ratio(row) ?? null,
        notes,
        machine,
      };
      appendFileSync(file, `${JSON.stringify(line)}\n`);
    }
  }

  /** Rows of one name stand together, where the first of them came. */
  #order(row: Row): number {
    return [...this.#rows.values()].findIndex(({ name }) => name === row.name);
  }

  /** The first arm's samples over this one's, round by round; only of rates. */
  #ratio(row: Row): Spread | undefined {
    if (!row.unit.endsWith('/s')) return undefined;
    const first = [...this.#rows.values()].find(({ name }) => name === row.name);
    if (first === undefined || first === row || first.samples.length !== row.samples.length) return undefined;
    return spreadOf(first.samples.map((sample, round) => sample / row.samples[round]));
  }
}

export function rounded(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** `median (min–max)` */
export function spreadText({ min, median, max }: Spread): string {
  return `${rounded(median)} (${rounded(min)}–${rounded(max)})`;
}
