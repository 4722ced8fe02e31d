/**
 * The kill test by hand: `npm run kill -- --cycles 200 [--seed N] [--backend auto|uring|syscall]`. What a cycle is and
 * what it checks stands in test/support/kill-harness.ts and kill-oracle.ts. Exits with 1 when anything is missing,
 * torn or left over, says which seed replays it, and keeps the directory.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { describeTotals, KillCycleFailure, runKillCycles } from '../test/support/kill-harness.ts';

const PROGRESS_EVERY = 10;

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new TypeError(`--${name} must be a whole number below 2^32, not "${text}"`);
  }
  return value;
}

function backendOf(text: string): 'auto' | 'uring' | 'syscall' {
  if (text === 'auto' || text === 'uring' || text === 'syscall') return text;
  throw new TypeError(`--backend must be auto, uring or syscall, not "${text}"`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cycles: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      backend: { type: 'string', default: 'auto' },
    },
  });
  const cycles = wholeNumber('cycles', values.cycles);
  const seed = wholeNumber('seed', values.seed);
  const backend = backendOf(values.backend);
  console.log(`${cycles} kill cycles, seed ${seed}, backend ${backend}`);
  const totals = await runKillCycles({
    cycles,
    seed,
    backend,
    onCycle: (cycle, { acknowledged, kills }) => {
      if (cycle % PROGRESS_EVERY !== 0 && cycle !== cycles) return;
      console.log(
        `${cycle}/${cycles} cycles, ${kills} processes killed, ${acknowledged} writes acknowledged`,
      );
    },
  });
  console.log(describeTotals(totals).join('\n'));
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.error(`given up: ${signal}`);
    // The handler of 'exit' ends the children.
    process.exit(130);
  });
}

try {
  await main();
} catch (error) {
  const known = error instanceof KillCycleFailure || error instanceof TypeError;
  console.error(known ? error.message : error);
  process.exitCode = 1;
}
