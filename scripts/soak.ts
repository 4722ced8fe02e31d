/**
 * The soak by hand: `npm run soak -- --minutes 60 [--keys 200000] [--backend auto|uring|syscall] [--seed N]
 * [--writes-per-second 300] [--reads-per-second 500] [--reopen-seconds 180] [--out FILE]`. What it does and checks stands
 * in test/support/soak.ts. A sample a second goes to FILE, by default bench/results/soak-<time>.jsonl, as lines of JSON,
 * behind a first line that describes the run and before a last one that sums it up. Exits with 1 when anything was wrong
 * or grew beyond its bound.
 */
import { randomInt } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '../bench/support/cold.ts';
import { describeMachine } from '../bench/support/measure.ts';
import { ownVersion } from '../bench/support/versions.ts';
import { runSoak, type SoakReport } from '../test/support/soak.ts';
import type { SoakSample } from '../test/support/soak-samples.ts';
import type { Trend } from '../test/support/soak-trend.ts';
import { commandLine, oneOf, runCommand, wholeNumber } from './command-line.ts';

const MEBIBYTE = 1 << 20;
const PROGRESS_EVERY_SECONDS = 60;

function mebibytes(bytes: number): string {
  return (bytes / MEBIBYTE).toFixed(1);
}

function print(sample: SoakSample): void {
  const { second, rssBytes, heapUsedBytes, threads, descriptors, tables, tableFiles, get, durablePut } =
    sample;
  console.log(
    `${second.toFixed(0)} s: ${mebibytes(rssBytes)} MiB resident, ${mebibytes(heapUsedBytes)} heap, ` +
      `${threads} threads, ${descriptors} descriptors, ${tableFiles} files for ${tables} tables (${sample.levels}), ` +
      `space ×${sample.spaceAmplification.toFixed(2)}, gets p50 ${get.p50.toFixed(0)} p99 ${get.p99.toFixed(0)} µs, ` +
      `durable puts p50 ${durablePut.p50.toFixed(0)} p99 ${durablePut.p99.toFixed(0)} µs`,
  );
}

function printReport(report: SoakReport): void {
  console.log(
    `${report.writeOperations} writes of ${report.writtenKeys} keys, ${report.reads} reads, ` +
      `${report.heldReaders} iterators and snapshots held to their end, ${report.flushes} flushes, ` +
      `${report.compactions} compactions, ${report.reopenings} reopenings (${report.backend}); nothing was wrong`,
  );
  console.log('least values, as a line over the second half:');
  console.table(
    report.trends.map(({ name, from, to, growthMax }: Trend) => {
      const shown = (value: number): string =>
        name.endsWith('Bytes') ? `${mebibytes(value)} MiB` : value.toFixed(2);
      return {
        name,
        from: shown(from),
        to: shown(to),
        growth: shown(to - from),
        'may be': shown(growthMax),
      };
    }),
  );
}

async function main(): Promise<void> {
  const values = commandLine('soak', {
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    keys: { type: 'string', default: '200000' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    backend: { type: 'string', default: 'auto' },
    'writes-per-second': { type: 'string', default: '300' },
    'reads-per-second': { type: 'string', default: '500' },
    'reopen-seconds': { type: 'string', default: '180' },
    out: { type: 'string' },
  });
  const seconds =
    values.seconds === undefined
      ? 60 * wholeNumber('minutes', values.minutes ?? '60', 1)
      : wholeNumber('seconds', values.seconds, 1);
  const time = new Date().toISOString().replaceAll(':', '-');
  const out = values.out ?? join('bench', 'results', `soak-${time}.jsonl`);
  const settings = {
    seconds,
    keys: wholeNumber('keys', values.keys, 1),
    seed: wholeNumber('seed', values.seed),
    backend: oneOf('backend', values.backend, ['auto', 'uring', 'syscall']),
    writesPerSecond: wholeNumber('writes-per-second', values['writes-per-second'], 1),
    readsPerSecond: wholeNumber('reads-per-second', values['reads-per-second'], 1),
    reopenSeconds: wholeNumber('reopen-seconds', values['reopen-seconds'], 1),
  };
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(
    out,
    `${JSON.stringify({ time, settings, machine: describeMachine(), quadring: ownVersion() })}\n`,
  );
  console.log(`soak of ${seconds} s, ${settings.keys} keys, seed ${settings.seed}; samples go to ${out}`);
  const report = await runSoak({
    ...settings,
    directory: join(temporaryFolder('quadring-soak-'), 'database'),
    onSample: (sample) => {
      appendFileSync(out, `${JSON.stringify(sample)}\n`);
      if (Math.round(sample.second) % PROGRESS_EVERY_SECONDS === 0) print(sample);
    },
  });
  appendFileSync(out, `${JSON.stringify({ report })}\n`);
  printReport(report);
  if (report.grown.length === 0) return;
  console.error(`grown beyond their bounds: ${report.grown.join(', ')}`);
  process.exitCode = 1;
}

await runCommand(main);
