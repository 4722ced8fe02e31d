/**
 * The kill test by hand: `npm run kill -- --cycles 200 [--workload mixed,compaction] [--seed N] [--backend auto|uring|syscall]`;
 * so many cycles of each workload. What a cycle is and what it checks stands in test/support/kill-harness.ts and
 * kill-oracle.ts, the workloads in kill-workload.ts. Exits with 1 when anything is missing, torn or left over, says which
 * seed replays it, and keeps the directory.
 */
import { randomInt } from 'node:crypto';
import { describeTotals, KillCycleFailure, runKillCycles } from '../test/support/kill-harness.ts';
import { WORKLOAD_KINDS, type WorkloadKind } from '../test/support/kill-workload.ts';
import { commandLine, oneOf, runCommand, UsageError, wholeNumber } from './command-line.ts';

const PROGRESS_EVERY = 10;

function workloadsOf(text: string): WorkloadKind[] {
  return text.split(',').map((name) => {
    const kind = WORKLOAD_KINDS.find((one) => one === name);
    if (kind === undefined)
      throw new UsageError(`--workload must be some of ${WORKLOAD_KINDS.join(',')}, not "${text}"`);
    return kind;
  });
}

async function main(): Promise<void> {
  const values = commandLine('kill', {
    cycles: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    backend: { type: 'string', default: 'auto' },
    workload: { type: 'string', default: WORKLOAD_KINDS.join(',') },
  });
  const cycles = wholeNumber('cycles', values.cycles);
  const seed = wholeNumber('seed', values.seed);
  const backend = oneOf('backend', values.backend, ['auto', 'uring', 'syscall']);
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

await runCommand(main, KillCycleFailure);
