/** What one step of one process measured in one round of the comparison, and such samples as lines of JSON. Pure; benchmarks only. */
import type { Measured } from './session.ts';

export interface Sample {
  /** Rows that were measured in one session, with the same entries. */
  readonly group: string;
  readonly row: string;
  readonly arm: string;
  readonly round: number;
  readonly measured: Measured;
}

/** Of a file of lines of JSON; what else an object has is left alone. */
export function parseSamples(lines: string): Sample[] {
  return lines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Sample);
}
