/**
 * The teardown test by hand: `npm run teardown -- --cycles 500 [--seed N] [--backend uring|syscall]`. What a cycle is and
 * what it checks stands in test/support/teardown-harness.ts. Ends with 1 at the first failure, says which cycle it was,
 * and keeps its directory.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Backend } from '../test/support/backends.ts';
import { describeTeardown, runTeardownCycles, TeardownFailure } from '../test/support/teardown-harness.ts';

const PROGRESS_EVERY = 25;
const BACKENDS: readonly Backend[] = ['uring', 'syscall'];

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new TypeError(`--${name} must be a whole number below 2^32, not "${text}"`);
  }
  return value;
}

function backendsOf(text: string | undefined): readonly Backend[] {
  if (text === undefined) return BACKENDS;
  const found = BACKENDS.filter((backend) => backend === text);
  if (found.length === 0) throw new TypeError(`--backend must be ${BACKENDS.join(' or ')}, not "${text}"`);
  return found;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cycles: { type: 'string', default: '81' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      backend: { type: 'string' },
    },
  });
  const cycles = wholeNumber('cycles', values.cycles);
  const seed = wholeNumber('seed', values.seed);
  const backends = backendsOf(values.backend);
  console.log(`${cycles} teardown cycles, seed ${seed}, ${backends.join(' and ')}`);
  const ends: (() => unknown)[] = [];
  const totals = await runTeardownCycles({
    cycles,
    seed,
    backends,
    owner: { teardown: (end) => void ends.push(end) },
    onCycle: (cycle, { acknowledged }) => {
      // Children that have ended need nobody who ends them.
      ends.length = 0;
      if (cycle % PROGRESS_EVERY === 0)
        console.log(`${cycle}/${cycles} cycles, ${acknowledged} writes acknowledged`);
    },
  });
  console.log(describeTeardown(totals).join('\n'));
}

try {
  await main();
} catch (error) {
  const known = error instanceof TeardownFailure || error instanceof TypeError;
  console.error(known ? error.message : error);
  process.exitCode = 1;
}
