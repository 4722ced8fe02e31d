/**
 * What is fuzzed, and how: a target makes inputs and says what must hold of each. The suite runs every target for a
 * moment, `npm run fuzz` for as long as it is told; both say which seed and path repeat a failure.
 */
import fc from 'fast-check';
import { QuadringError } from '../../../src/errors.ts';
import { FormatError } from '../../../src/format/format-error.ts';

/** A call that waits for something that never comes fails after so long. */
const RUN_MS_MAX = 20_000;

export interface FuzzRun {
  readonly runs: number;
  readonly seed: number;
  /** Repeats one run of a failed seed. */
  readonly path?: string | undefined;
}

export interface FuzzResult {
  readonly runs: number;
  /** What the target counted: how many inputs were accepted, for example. */
  readonly counts: string;
  /** Undefined when all went well. */
  readonly failure?: { readonly seed: number; readonly path: string; readonly report: string };
}

export interface FuzzTarget {
  readonly name: string;
  /** Runs in the suite, and at once in a long run. */
  readonly runs: number;
  run(options: FuzzRun): Promise<FuzzResult>;
}

export interface TargetOptions<Input, Ground> {
  readonly name: string;
  readonly runs: number;
  readonly arbitrary: fc.Arbitrary<Input>;
  /** What all runs use: a database, for example. */
  readonly open?: () => Ground | Promise<Ground>;
  /** Throws where something that must hold does not. */
  readonly check: (input: Input, count: Counter, ground: Ground) => void | Promise<void>;
  readonly close?: (ground: Ground) => void | Promise<void>;
}

/** Adds one to what is called so. */
export type Counter = (what: string) => void;

export function fuzzTarget<Input, Ground = undefined>(options: TargetOptions<Input, Ground>): FuzzTarget {
  const { name, runs, arbitrary, open, check, close } = options;
  return {
    name,
    runs,
    async run({ runs: numRuns, seed, path }) {
      const ground = (await open?.()) as Ground;
      const counts = new Map<string, number>();
      const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
      const property = fc.asyncProperty(arbitrary, async (input) => {
        await check(input, count, ground);
      });
      const details = await fc.check(property, {
        numRuns,
        seed,
        timeout: RUN_MS_MAX,
        ...(path === undefined ? {} : { path }),
      });
      await close?.(ground);
      const counted = [...counts].map(([what, times]) => `${times} ${what}`).join(', ');
      if (!details.failed) return { runs: details.numRuns, counts: counted };
      const failure = {
        seed: details.seed,
        path: details.counterexamplePath ?? '',
        report: `${await fc.asyncDefaultReportMessage(details)}\n${describe(details.errorInstance)}`,
      };
      return { runs: details.numRuns, counts: counted, failure };
    },
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The command that repeats a failure. */
export function replayOf(
  { name }: FuzzTarget,
  { seed, path }: { readonly seed: number; readonly path: string },
): string {
  return `npm run fuzz -- --target '${name}' --seed ${seed} --path ${path}`;
}

/** Runs a decoder; true when it accepted, false on a typed error; anything else is thrown on. */
export function accepts(decode: () => unknown): boolean {
  return accepted(decode) !== undefined;
}

/** What a decoder gave, or undefined on a typed error. */
export function accepted<Result>(decode: () => Result): { readonly value: Result } | undefined {
  try {
    return { value: decode() };
  } catch (error) {
    if (error instanceof FormatError || error instanceof QuadringError) return undefined;
    throw error;
  }
}

/** Throws unless it holds. */
export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

export function expectSameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 64)).toString('hex');
  throw new Error(`${what}: ${hex(actual)} (${actual.length}) is not ${hex(expected)} (${expected.length})`);
}
