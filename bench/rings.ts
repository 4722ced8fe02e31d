/**
 * Where the time of a request to each of the four rings goes, alone and beside the others at work:
 *
 *     npm run bench:rings [-- --quick] [--only text] [--rounds 5] [--spin 0] [--backend auto]
 *
 * Markdown goes to stdout, lines of JSON to bench/results/ring-latency.jsonl, charts to docs/charts/; those of a run of
 * less than all to bench/results/charts/. A quick run shows that all of it works, and measures next to nothing.
 */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { commandLine, oneOf, runCommand, UsageError, wholeNumber } from '../scripts/command-line.ts';
import { ROLE_NAMES } from '../src/protocol/requests.ts';
import { casesOf, KINDS, type Kind } from './rings/cases.ts';
import { latencyChart, linesOf, markdownOf, resultOf, stagesChart, type Result } from './rings/report.ts';
import { Rig } from './rings/rig.ts';
import { temporaryFolder } from './support/cold.ts';
import { describeMachine } from './support/measure.ts';

const RESULTS = 'bench/results/ring-latency.jsonl';
const CHARTS = 'docs/charts';
const PARTIAL_CHARTS = 'bench/results/charts';
const SPIN_MICROSECONDS_MAX = 1000;
/** What is measured is kept until the end. */
const ROUNDS_MAX = 1000;

interface Plan {
  readonly kinds: readonly Kind[];
  readonly rounds: number;
  /** Of the requests of a round, and of the files. */
  readonly scale: number;
}

/** Rounds go through all cases of a kind, every second one backwards, so that none always follows the same one. */
async function measureKind(rig: Rig, kind: Kind, { rounds, scale }: Plan): Promise<Result[]> {
  const cases = casesOf(rig, kind, rounds, scale);
  for (const one of cases) await one.warmUp();
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 === 0 ? cases : cases.toReversed()) await one.round();
  }
  return cases.map(resultOf);
}

async function measure(rig: Rig, plan: Plan): Promise<Result[]> {
  const results: Result[] = [];
  for (const kind of plan.kinds) {
    console.error(kind.name);
    results.push(...(await measureKind(rig, kind, plan)));
  }
  return results;
}

function report(rig: Rig, results: readonly Result[], plan: Plan, charts: string, settings: object): void {
  const machine = describeMachine();
  const rings = Object.fromEntries(
    rig.crew.rings.map(({ backend, flags, reason }, role) => [ROLE_NAMES[role], { backend, flags, reason }]),
  );
  const { directIo } = rig;
  const clockNanoseconds = Math.round(rig.clockNanoseconds);
  const run = { ...settings, rounds: plan.rounds, directIo, clockNanoseconds, rings, machine };
  mkdirSync(dirname(RESULTS), { recursive: true });
  for (const line of linesOf(results, run)) appendFileSync(RESULTS, `${JSON.stringify(line)}\n`);
  const [{ backend }] = rig.crew.rings;
  const note = `${machine.cores} cores, Linux ${machine.kernel}, ${backend}, ${directIo ? 'O_DIRECT' : 'page cache'}, rounds: ${plan.rounds}`;
  mkdirSync(charts, { recursive: true });
  writeFileSync(join(charts, 'ring-stages.svg'), stagesChart(results, note));
  writeFileSync(join(charts, 'ring-latencies.svg'), latencyChart(results, note));
  console.log(markdownOf(results));
  console.log(
    `Microseconds: p50 / p99 / p99.9; – where there were too few requests. Asleep: requests that woke the ring thread from
Atomics.wait + from the kernel. ${note}; one reading of the clock, which each stage contains about once: ${clockNanoseconds} ns.`,
  );
}

function atMost(name: string, value: number, largest: number): void {
  if (value > largest) throw new UsageError(`--${name} is at most ${largest}`);
}

async function main(): Promise<void> {
  const values = commandLine('bench:rings', {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '' },
    spin: { type: 'string', default: '0' },
    backend: { type: 'string', default: 'auto' },
  });
  const isQuick = values.quick;
  const kinds = KINDS.filter(({ name }) => name.includes(values.only));
  if (kinds.length === 0) throw new UsageError(`no ring or kind of request has "${values.only}" in its name`);
  const rounds = wholeNumber('rounds', values.rounds === '' ? (isQuick ? '1' : '5') : values.rounds, 1);
  const spinMicroseconds = wholeNumber('spin', values.spin);
  atMost('rounds', rounds, ROUNDS_MAX);
  atMost('spin', spinMicroseconds, SPIN_MICROSECONDS_MAX);
  const backend = oneOf('backend', values.backend, ['auto', 'uring', 'syscall']);
  const plan: Plan = { kinds, rounds, scale: isQuick ? 0.03 : 1 };
  const folder = temporaryFolder('quadring-rings-');
  const rig = await Rig.open({ folder, scale: plan.scale, backend, spinMicroseconds });
  try {
    const results = await measure(rig, plan);
    const isWhole = !isQuick && kinds.length === KINDS.length;
    report(rig, results, plan, isWhole ? CHARTS : PARTIAL_CHARTS, { isQuick, spinMicroseconds });
  } finally {
    await rig.close();
  }
}

await runCommand(main);
