/**
 * What a process of the comparison is told to do, and what it answers: one engine, opened once, some steps one after the
 * other. Pure; benchmarks only.
 *
 * The same session is understood by the Node process (`session-process.ts`, for every engine that has a binding) and by
 * RocksDB's in C++ (`bench/rocksdb/session.cc`). It comes on stdin as text, so that C++ needs no JSON:
 *
 *     arm=quadring                   what the session itself has, a line each
 *     entries=1000000
 *     ...
 *     step=run row=... trace=...     and a line for each step, its parts with blanks between them
 *
 * The answers go to stdout, a line of JSON each (`Measured`); whatever is wrong ends the process with a status and a line on
 * stderr.
 */
import { strict as assert } from 'node:assert';

/** Entries are those of `NumberedEntries`. */
export interface Dataset {
  /** Loaded are the numbers below this. */
  readonly entries: number;
  /** Numbers there are: those beyond the loaded ones can be inserted. */
  readonly capacity: number;
  readonly valueBytes: number;
}

export interface Opening {
  /** Of the engine's own block cache; 0 for as little as it can have. */
  readonly cacheBytes: number;
  /** Of reads, where the engine has the choice. */
  readonly io: 'direct' | 'buffered';
  /** What is acknowledged is on the disk, for all writes of the session. */
  readonly durable: boolean;
  /**
   * Where that is not so: it need not even have been given to the kernel. quadring's `sync: false`; of the others RocksDB has it,
   * as `manual_wal_flush`.
   */
  readonly inMemory: boolean;
}

/** How a value is handed out, or the entries of a range. Whoever has but one form of these has it for all. */
export type Form =
  /** As cheaply as the engine can, valid until the next call: into a buffer of the caller's, or a view. */
  | 'borrowed'
  /** As something of the caller's own, synchronously. */
  | 'owned'
  /** Such a value, and through a promise where the engine has no other way; entries of ranges as cheaply as it can. */
  | 'either'
  /** Through a promise; in C++ there is no such thing. */
  | 'promise';

/** Operations of a trace, one after another or several at once. */
export interface RunStep {
  readonly step: 'run';
  /** Which figure this is, or `-` where it is none. */
  readonly row: string;
  /** A file of operations (`trace.ts`). */
  readonly trace: string;
  /** So many of its first operations are done before the clock runs, or as many of them as `millisecondsMax` allows. */
  readonly warmUp: number;
  /** Operations under way at once: calls in Node, threads in C++. */
  readonly inFlight: number;
  /** Operations that are one call: above 1 a getMany, or a batch. */
  readonly group: number;
  readonly form: Form;
  /** Threads of RocksDB's in C++, where they are not to be as many as operations under way; 0 where they are. */
  readonly threads: number;
  /** The clock stops when all that was written is on the disk. */
  readonly endsDurable: boolean;
  /** MultiGet of RocksDB's with its `async_io`. */
  readonly asyncIo: boolean;
  /** It ends after so much on the clock, with what was done by then; 0 for all of the trace. */
  readonly millisecondsMax: number;
}

/** Everything there is, in order, `repeats` times; before that `warmUp` times without the clock. */
export interface ScanStep {
  readonly step: 'scan';
  readonly row: string;
  readonly form: 'borrowed' | 'owned';
  readonly repeats: number;
  readonly warmUp: number;
}

/** The database is closed and opened again, and one entry read; `repeats` times. */
export interface ReopenStep {
  readonly step: 'reopen';
  readonly row: string;
  readonly repeats: number;
}

/** Everything written is brought into its final shape: memtables flushed, all of it compacted. */
export interface CompactStep {
  readonly step: 'compact';
  readonly row: string;
}

/** Waits until nothing is flushed or compacted in the background any more. */
export interface SettleStep {
  readonly step: 'settle';
}

/** Resident memory after garbage was collected. */
export interface MemoryStep {
  readonly step: 'memory';
  readonly row: string;
}

export type Step = RunStep | ScanStep | ReopenStep | CompactStep | SettleStep | MemoryStep;

export interface Session extends Dataset, Opening {
  readonly arm: string;
  /** Created where it is missing. */
  readonly directory: string;
  readonly steps: readonly Step[];
}

/** Shares of the requests, and for each the time that so many did not exceed, where latencies are measured. */
export const LATENCY_SHARES = [
  0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999,
] as const;

/** What a step with a row answers. */
export interface Measured {
  readonly row: string;
  /** Keys, entries or calls, as the row counts them: operations of the trace, entries of the scans. */
  readonly operations: number;
  /** Fewer where a call is for several operations. */
  readonly calls: number;
  /** On the clock; making keys and values is not on it. */
  readonly seconds: number;
  /** Of all threads of the process, in user and kernel mode, meanwhile (with the making of values, where those are made). */
  readonly cpuSeconds: number | null;
  /** What the kernel says the process made the disk read and write meanwhile. Null, like the processor time, where nobody looked. */
  readonly diskReadBytes: number | null;
  readonly diskWriteBytes: number | null;
  /** At LATENCY_SHARES, of each call; null where calls are too short to be timed one by one. */
  readonly latencyMicros: readonly number[] | null;
  /** Resident memory of the process at the end of the step, without pages of files: those are the page cache's. */
  readonly residentBytes: number;
}

/** What a process says of itself in its first line. */
export interface Described {
  readonly engine: string;
  readonly version: string;
  /** Opening the database, in a process that had none before, and the first get. */
  readonly openSeconds: number;
  readonly details: Readonly<Record<string, unknown>>;
}

function textOf(value: string | number | boolean): string {
  const text = String(value);
  assert(!/[\s=]/.test(text), `${text} would not be one word`);
  return text;
}

function wordsOf(record: object): string[] {
  return Object.entries(record).map(([name, value]: [string, string | number | boolean]) => {
    return `${name}=${textOf(value)}`;
  });
}

/** As it goes to a process. */
export function sessionText({ steps, ...session }: Session): string {
  const lines = [...wordsOf(session), ...steps.map((step) => wordsOf(step).join(' '))];
  return `${lines.join('\n')}\n`;
}

function valueOf(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^\d+$/.test(text) ? Number(text) : text;
}

function recordOf(words: readonly string[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      assert(at > 0, `${word} has no name`);
      return [word.slice(0, at), valueOf(word.slice(at + 1))];
    }),
  );
}

/** What `sessionText` wrote. Only for what it wrote: the parts are not looked into. */
export function parseSession(text: string): Session {
  const lines = text.split('\n').filter((line) => line !== '');
  const isStep = (line: string): boolean => line.startsWith('step=');
  const session = recordOf(lines.filter((line) => !isStep(line)));
  const steps = lines.filter(isStep).map((line) => recordOf(line.split(' ')) as unknown as Step);
  return { ...session, steps } as unknown as Session;
}
