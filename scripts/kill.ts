/**
 * The kill test by hand: `npm run kill -- --cycles 200 [--workload mixed,compaction] [--seed N] [--backend auto|uring|syscall]`;
 * so many cycles of each workload. What a cycle is and what it checks stands in test/support/kill-harness.ts and
 * kill-oracle.ts, the workloads in kill-workload.ts. Exits with 1 when anything is missing, torn or left over, says which
 * seed replays it, and keeps the directory.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { describeTotals, KillCycleFailure, runKillCycles } from '../test/support/kill-harness.ts';
import { WORKLOAD_KINDS, type WorkloadKind } from '../test/support/kill-workload.ts';

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

function workloadsOf(text: string): WorkloadKind[] {
  return text.split(',').map((name) => {
    const kind = WORKLOAD_KINDS.find((one) => one === name);
    if (kind === undefined)
      throw new TypeError(`--workload must be some of ${WORKLOAD_KINDS.join(',')}, not "${text}"`);
    return kind;
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cycles: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      backend: { type: 'string', default: 'auto' },
      workload: { type: 'string', default: WORKLOAD_KINDS.join(',') },
    },
  });
  const cycles = wholeNumber('cycles', values.cycles);
  const seed = wholeNumber('seed', values.seed);
  const backend = backendOf(values.backend);
  for (const workload of workloadsOf(values.workload)) {
    console.log(`${cycles} kill cycles, workload ${workload}, seed ${seed}, backend ${backend}`);
    const totals = await runKillCycles({
      cycles,
      seed,
      backend,
      workload,
      onCycle: (cycle, { acknowledged, kills }) => {
        if (cycle % PROGRESS_EVERY !== 0 && cycle !== cycles) return;
        console.log(
          `${cycle}/${cycles} cycles, ${kills} processes killed, ${acknowledged} writes acknowledged`,
        );
      },
    });
    console.log(describeTotals(totals).join('\n'));
  }
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
