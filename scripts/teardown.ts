/**
 * The teardown test by hand: `npm run teardown -- --cycles 500 [--seed N] [--backend uring|syscall]`. What a cycle is and
 * what it checks stands in test/support/teardown-harness.ts. Ends with 1 at the first failure, says which cycle it was,
 * and keeps its directory.
 */
import { randomInt } from 'node:crypto';
import type { Backend } from '../test/support/backends.ts';
import { describeTeardown, runTeardownCycles, TeardownFailure } from '../test/support/teardown-harness.ts';
import { commandLine, runCommand, UsageError, wholeNumber } from './command-line.ts';

const PROGRESS_EVERY = 25;
const BACKENDS: readonly Backend[] = ['uring', 'syscall'];

function backendsOf(text: string | undefined): readonly Backend[] {
  if (text === undefined) return BACKENDS;
  const found = BACKENDS.filter((backend) => backend === text);
  if (found.length === 0) throw new UsageError(`--backend must be ${BACKENDS.join(' or ')}, not "${text}"`);
  return found;
}

async function main(): Promise<void> {
  const values = commandLine('teardown', {
    cycles: { type: 'string', default: '81' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    backend: { type: 'string' },
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

await runCommand(main, TeardownFailure);
