/**
 * The fuzz tests for longer: `npm run fuzz -- --seconds 600 [--target name] [--seed N [--path P]]`. Goes round all
 * targets (or those whose names contain the given one) with a new seed each time, until the seconds are over, and prints
 * how many runs each had. What is tried stands in test/support/fuzz/.
 *
 * Ends with 1 at the first failure, and says which seed and path repeat it. With --path only that run is repeated. A run
 * that hangs is a failure as well: a thread beside this one sees that nothing goes on, says where, and ends the process.
 */
import { randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { allTargets } from '../test/support/fuzz/all.ts';
import { replayOf, type FuzzTarget } from '../test/support/fuzz/target.ts';
import { commandLine, runCommand, UsageError, wholeNumber } from './command-line.ts';

/** One round of a target takes seconds, on a machine that is busy with other things too. */
const ROUND_MS_MAX = 300_000;
const REPORT_EVERY_MS = 30_000;

interface Tally {
  rounds: number;
  runs: number;
  milliseconds: number;
}

function targetsNamed(text: string | undefined): readonly FuzzTarget[] {
  if (text === undefined) return allTargets;
  const same = allTargets.filter(({ name }) => name === text);
  const found = same.length > 0 ? same : allTargets.filter(({ name }) => name.includes(text));
  if (found.length > 0) return found;
  throw new UsageError(
    `--target must be in one of:\n${allTargets.map(({ name }) => `  ${name}`).join('\n')}`,
  );
}

/** Says what the main thread is at, should it never say anything else. */
class Watchdog {
  readonly #worker: Worker;

  constructor() {
    const script = `
      const { parentPort } = require('node:worker_threads');
      let timer;
      parentPort.on('message', (round) => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          require('node:fs').writeSync(2, 'nothing has gone on for ${ROUND_MS_MAX / 1000} s: ' + round + '\\n');
          process.kill(process.pid, 'SIGKILL');
        }, ${ROUND_MS_MAX});
      });`;
    this.#worker = new Worker(script, { eval: true });
    this.#worker.unref();
  }

  begins(round: string): void {
    this.#worker.postMessage(round);
  }
}

function report(tallies: ReadonlyMap<FuzzTarget, Tally>): void {
  for (const [{ name }, { rounds, runs, milliseconds }] of tallies) {
    const seconds = (milliseconds / 1000).toFixed(1);
    console.log(
      `${String(runs).padStart(10)} runs, ${String(rounds).padStart(5)} seeds, ${seconds} s: ${name}`,
    );
  }
}

async function main(): Promise<boolean> {
  const values = commandLine('fuzz', {
    seconds: { type: 'string', default: '60' },
    target: { type: 'string' },
    seed: { type: 'string' },
    path: { type: 'string' },
  });
  const targets = targetsNamed(values.target);
  const seconds = wholeNumber('seconds', values.seconds);
  const { path } = values;
  let seed = values.seed === undefined ? randomInt(2 ** 31) : wholeNumber('seed', values.seed);
  if (path !== undefined && (values.seed === undefined || targets.length !== 1)) {
    throw new UsageError('--path needs --seed and the --target that it belongs to');
  }
  const watchdog = new Watchdog();
  const tallies = new Map(targets.map((target) => [target, { rounds: 0, runs: 0, milliseconds: 0 }]));
  const deadline = performance.now() + seconds * 1000;
  let reported = performance.now();
  do {
    for (const [target, tally] of tallies) {
      const began = performance.now();
      watchdog.begins(`target '${target.name}', seed ${seed}`);
      const { runs, failure } = await target.run({ runs: target.runs, seed, path });
      tally.rounds++;
      tally.runs += runs;
      tally.milliseconds += performance.now() - began;
      if (failure !== undefined) {
        writeSync(2, `${target.name}: ${failure.report}\n\n${replayOf(target, failure)}\n`);
        return false;
      }
      // Each has its turn, however little time there is.
      if (tally.rounds > 1 && performance.now() >= deadline && values.seed === undefined) break;
    }
    if (values.seed !== undefined) break;
    seed = randomInt(2 ** 31);
    if (performance.now() - reported < REPORT_EVERY_MS) continue;
    reported = performance.now();
    const runs = [...tallies.values()].reduce((sum, tally) => sum + tally.runs, 0);
    console.log(`${runs} runs, ${Math.max(0, Math.round((deadline - reported) / 1000))} s to go`);
  } while (performance.now() < deadline);
  report(tallies);
  return true;
}

await runCommand(async () => {
  if (!(await main())) process.exitCode = 1;
});
