/**
 * What a group of rows is, and what groups are made of. Pure; benchmarks only.
 *
 * A group says what the database holds when it is opened, how it is opened, and the steps; what a row means and what is wanted
 * of it stands in `rows.ts`.
 */
import type { Dataset, Opening, RunStep, Step } from './session.ts';
import { TraceWriter, type Draw } from './trace.ts';

const MEBIBYTE = 1 << 20;
export const KEY_BYTES = 16;
/** Block caches in which all of the data fits, with what blocks add to it. */
const ROOMY = 2;
const ROOMY_BYTES_MIN = 64 * MEBIBYTE;
/** The most that quadring's cache can have. */
const ROOMY_BYTES_MAX = 960 * MEBIBYTE;
/** What can be inserted, beyond an eighth. */
const INSERTS_MIN = 20_000;
/** On the clock of a row. */
export const MILLISECONDS_MAX = 3000;

/** A file of operations, made when the first session wants it. */
export interface TraceDefinition {
  /** Also of the file. */
  readonly name: string;
  readonly length: number;
  readonly make: () => TraceWriter;
}

export type StepDefinition = Exclude<Step, RunStep> | (Omit<RunStep, 'trace'> & { trace: TraceDefinition });

/** What a database holds when a group begins. */
export type Start =
  /** What was loaded once for all; nobody writes. */
  | 'loaded'
  /** A copy of that, thrown away afterwards. */
  | 'copy'
  /** Nothing. */
  | 'empty';

/** Where a group's rows stand in the report. */
export type Section =
  'Reads from memory' | 'Reads from the disk' | 'Writes' | 'YCSB' | 'Larger values' | 'Opening and memory';

export interface Group {
  readonly name: string;
  readonly section: Section;
  readonly dataset: Dataset;
  readonly start: Start;
  /** The page cache is dropped before it is opened. */
  readonly isCold: boolean;
  readonly opening: Opening;
  readonly steps: readonly StepDefinition[];
  /** Arms that only some groups have. */
  readonly variants: readonly Variant[];
}

/** Configurations of an engine beside its usual one, and what the disk gives without an engine. */
export type Variant =
  'rocksdb-configurations' | 'spinning' | 'fio' | 'bare-writes' | 'rocksdb-async' | 'rocksdb-in-memory';

export const RUN = {
  step: 'run',
  group: 1,
  inFlight: 1,
  threads: 0,
  form: 'owned',
  endsDurable: false,
  asyncIo: false,
  millisecondsMax: MILLISECONDS_MAX,
} as const;

export function trace(
  name: string,
  length: number,
  operation: number,
  draw: Draw,
  argument = 0,
): TraceDefinition {
  const make = (): TraceWriter => {
    const writer = new TraceWriter(length);
    for (let i = 0; i < length; i++) writer.push(operation, draw(), argument);
    return writer;
  };
  return { name: `${name}-${length}`, length, make };
}

/** The row of what is done, and not told of. */
export const UNMEASURED = '-';

/** Fills what caches there are. */
export const SCAN_UNMEASURED = {
  step: 'scan',
  row: UNMEASURED,
  form: 'borrowed',
  repeats: 1,
  warmUp: 0,
} as const;

/** So much of a trace, in whole calls. */
export function share({ length }: TraceDefinition, part: number, group = 1): number {
  return Math.floor((length * part) / group) * group;
}

/** With room for more. */
export function datasetOf(entries: number, valueBytes: number): Dataset {
  return { entries, capacity: entries + Math.max(Math.ceil(entries / 8), INSERTS_MIN), valueBytes };
}

export function roomy({ entries, valueBytes }: Dataset): number {
  const bytes = entries * (KEY_BYTES + valueBytes) * ROOMY;
  return Math.min(Math.max(Math.ceil(bytes / MEBIBYTE) * MEBIBYTE, ROOMY_BYTES_MIN), ROOMY_BYTES_MAX);
}
