/**
 * io_uring with and without IOPOLL on a disk that can be polled, as the program that runs in the virtual machine: tests,
 * figures and counters on each setting. See docs/virtual-machine.md. Exits with 1 when a test fails, a value is wrong, or
 * something was not polled for that should have been, or was that should not.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFileSystem, whileMounted } from './devices.ts';
import { describeReport } from './io-uring-report.ts';
import {
  LARGE_VALUES,
  REPORT_FILE,
  SETTINGS,
  SUMMARY_FILE,
  type FiguresRun,
  type IoUringReport,
  type IoUringTask,
  type LargeValue,
  type Setting,
  type SettingReport,
  type TestRun,
} from './io-uring-task.ts';
import { ioPollOf } from './kernel-counters.ts';
import { brokenClaims } from './polling-claims.ts';
import { runSuite } from './suite.ts';

const PLACES = { device: '/dev/disk/data', mount: '/mnt/polled', results: '/exchange/results' };
const FIGURES = fileURLToPath(new URL('./polled-figures.js', import.meta.url));
const LARGE_VALUE = fileURLToPath(new URL('./large-value.js', import.meta.url));
/** Emulated and on a busy machine; that of one value is a minute's work of some seconds. */
const FIGURES_MS_MAX = 10 * 60_000;
const LARGE_VALUE_MS_MAX = 120_000;

function runFigures({ name, io }: Setting): FiguresRun | undefined {
  const { device, mount, results } = PLACES;
  const file = join(results, `figures-${name}.json`);
  const figuresArguments = [FIGURES, join(mount, `figures-${name}`), device, file, JSON.stringify(io)];
  const { status } = spawnSync(process.execPath, figuresArguments, {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: FIGURES_MS_MAX,
    killSignal: 'SIGKILL',
  });
  return status === 0 ? (JSON.parse(readFileSync(file, 'utf8')) as FiguresRun) : undefined;
}

/** What hangs in the kernel is ended by a signal all the same. */
function writeLargeValue({ name, io }: Setting, bytes: number): LargeValue {
  const directory = join(PLACES.mount, `large-${name}-${bytes}`);
  const { status, signal } = spawnSync(
    process.execPath,
    [LARGE_VALUE, directory, String(bytes), JSON.stringify(io)],
    { stdio: ['ignore', 'inherit', 'inherit'], timeout: LARGE_VALUE_MS_MAX, killSignal: 'SIGKILL' },
  );
  return { bytes, end: status === 0 ? 'right' : signal === 'SIGKILL' ? 'hung' : 'failed' };
}

function brokenBy({ name }: Setting, { failures, exitCode, passed }: TestRun): string[] {
  const broken = failures.map((failure) => `${name}: a test failed: ${failure}`);
  if (exitCode !== 0 && failures.length === 0) broken.push(`${name}: ava ended with ${exitCode}`);
  if (passed === 0) broken.push(`${name}: no test passed`);
  return broken;
}

async function run({ parts }: IoUringTask): Promise<IoUringReport> {
  const settings: SettingReport[] = [];
  const broken: string[] = [];
  const ioPoll = ioPollOf(PLACES.device);
  if (ioPoll !== '1') broken.push(`io_poll of the disk is ${ioPoll}`);
  for (const setting of SETTINGS) {
    let tests: TestRun | undefined;
    let figures: FiguresRun | undefined;
    let largeValues: LargeValue[] = [];
    if (parts.includes('tests')) {
      tests = await runSuite(setting, PLACES);
      broken.push(...brokenBy(setting, tests));
      const { passed, failures, seconds } = tests;
      console.log(
        `${setting.name}: ${passed} tests passed, ${failures.length} failed, ${Math.round(seconds)} s`,
      );
    }
    if (parts.includes('figures')) {
      figures = runFigures(setting);
      broken.push(
        ...(figures === undefined
          ? [`${setting.name}: there are no figures`]
          : brokenClaims(setting, figures, release())),
      );
      if (figures !== undefined) console.log(`${setting.name}: ${figures.valuesChecked} values compared`);
      largeValues = LARGE_VALUES.map((bytes) => writeLargeValue(setting, bytes));
      for (const { bytes, end } of largeValues) {
        if (end !== 'right') broken.push(`${setting.name}: a value of ${bytes} bytes: ${end}`);
      }
    }
    settings.push({ setting, tests, figures, largeValues });
  }
  return { kernel: release(), ioPoll, settings, broken };
}

const task = JSON.parse(process.argv[2] ?? '') as IoUringTask;
mkdirSync(PLACES.results, { recursive: true });
makeFileSystem('ext4', PLACES.device);
const report = await whileMounted('ext4', PLACES.device, PLACES.mount, () => run(task));
const summary = describeReport(report);
writeFileSync(join(PLACES.results, REPORT_FILE), JSON.stringify(report, undefined, 2));
writeFileSync(join(PLACES.results, SUMMARY_FILE), summary);
console.log(summary);
process.exitCode = report.broken.length === 0 ? 0 : 1;
