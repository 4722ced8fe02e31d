/** What one seed stands for: a case, run to its end; and where it fails, the smallest case like it that fails as well. */
import { inspect } from 'node:util';
import fc from 'fast-check';
import { simulate, type SimulationResult } from './simulation.ts';
import { simulationCase, type SimulationCase } from './simulation-case.ts';

/** One seed in as many is run twice: the same seed must give the same steps. */
const REPEATED_ONE_IN = 20;
/** Crash points of a run; its recoveries have some of their own. */
export const POINTS_MAX = 20;
/** Looking for a smaller case that fails is worth no more than this. */
const SHRINK_MS_MAX = 60_000;

export interface SeedOptions {
  /** Crash points of the run itself. Default 20. */
  readonly pointsMax?: number;
  /** Spent on a smaller case once one has failed, in milliseconds. */
  readonly shrinkMs?: number;
}

export class SeedFailure extends Error {
  override readonly name = 'SeedFailure';
}

/** Rejects with a SeedFailure that says which command repeats it. */
export async function runSeed(
  seed: number,
  { pointsMax = POINTS_MAX, shrinkMs = SHRINK_MS_MAX }: SeedOptions = {},
): Promise<SimulationResult> {
  let result: SimulationResult | undefined;
  let deadline = Infinity;
  const holds = fc.asyncProperty(simulationCase, async (one) => {
    // A run is never left in the middle: others use the same memory.
    if (performance.now() > deadline) return;
    let found: SimulationResult;
    try {
      found = await simulate(one, pointsMax);
    } catch (error) {
      deadline = Math.min(deadline, performance.now() + shrinkMs);
      throw error;
    }
    result ??= found;
    if (seed % REPEATED_ONE_IN === 0) await expectSame(one, pointsMax, found);
  });
  const details = await fc.check(holds, { seed, numRuns: 1 });
  if (!details.failed && result !== undefined) return result;
  throw failureOf(seed, pointsMax, details);
}

async function expectSame(one: SimulationCase, pointsMax: number, first: SimulationResult): Promise<void> {
  const second = await simulate(one, pointsMax);
  if (second.trace === first.trace && second.crashPoints === first.crashPoints) return;
  throw new Error(
    `the same case went another way: ${first.steps} steps and ${first.crashPoints} crash points, then ` +
      `${second.steps} and ${second.crashPoints}`,
  );
}

function failureOf(seed: number, pointsMax: number, details: fc.RunDetails<[SimulationCase]>): SeedFailure {
  const { counterexample, errorInstance, counterexamplePath, numShrinks } = details;
  const cause = errorInstance instanceof Error ? errorInstance : new Error(String(errorInstance));
  const points = pointsMax === POINTS_MAX ? '' : ` --points ${pointsMax}`;
  const path = counterexamplePath === null ? '' : ` --path ${counterexamplePath}`;
  const lines = [
    `seed ${seed}: ${cause.message}`,
    `replay: npm run simulate -- --seed ${seed}${points}${path}`,
    `the case, after ${numShrinks} steps of shrinking:`,
    inspect(counterexample?.[0], { depth: 12, breakLength: 160, maxArrayLength: 200 }),
    inspect(cause, { depth: 6 }),
  ];
  return new SeedFailure(lines.join('\n'), { cause });
}

/** Runs only the case at the end of a path that a failure named. */
export async function replay(seed: number, path: string, pointsMax: number): Promise<void> {
  let hasPassed = false;
  const holds = fc.asyncProperty(simulationCase, async (one) => {
    // Once the case passes its neighbours would come next.
    if (hasPassed) throw new Error('the case at the end of the path passed');
    await simulate(one, pointsMax);
    hasPassed = true;
  });
  const details = await fc.check(holds, { seed, path, endOnFailure: true, numRuns: 1 });
  if (!hasPassed) throw failureOf(seed, pointsMax, details);
}
