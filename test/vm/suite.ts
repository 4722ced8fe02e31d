/**
 * The tests that the virtual machine runs on each setting of `io`, and how. Only inside of it.
 *
 * Chosen: those of the addon's ring, and those of the engine that write, read, flush, compact and recover with real threads
 * and a real disk. Not chosen, though they do that too:
 *
 * - what makes system calls fail, with python, which the machine does not have: hostile, select-refusals, failing-calls,
 *   uring-refused;
 * - what mounts something itself, or is about other users: full-disk, full-file-systems, file-modes, directories;
 * - what takes long where everything is emulated and shows little of the disk: lifecycle, worker-terminate, teardown, kill,
 *   soak, held-iterator, delete-range, verify, repair, the other tests of compactions; the power cuts of this machine are the longer
 *   version of some;
 * - what has no disk below it: everything over a simulated one, and tests of `{ backend: 'syscall' }`, which asks nothing of
 *   a ring.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Setting, TestRun } from './io-uring-task.ts';
import { countedSince, readKernelCounters } from './kernel-counters.ts';
import { parseTap } from './tap.ts';

const NATIVE = [
  'ring',
  'operations',
  'poller',
  'polling',
  'select',
  'transfer-flags',
  'truncate',
  'timeout',
  'workers',
];
const ENGINE = [
  'io-setting',
  'iopoll',
  'sqpoll',
  'api',
  'writes',
  'iterators',
  'snapshots',
  'get-many',
  'recovery',
  'closing',
  'adopted-crew',
  'read-ahead',
  'compaction-range',
];
const FILES = [...NATIVE.map((name) => `native/${name}`), ...ENGINE.map((name) => `engine/${name}`)];

/** Titles that are left out, as ava's `--match` takes them. */
const LEFT_OUT = [
  // Nothing of them goes through a ring.
  'syscall: *',
  '*(SystemCalls)',
  // It lends tens of thousands of buffers, which takes a minute here.
  'more buffers can be lent, one after the other, than a position has bits for*',
  // They refuse system calls with the help of python.
  'where the kernel provides no buffers each read takes its own*',
  'with system calls the thread has the idle priority*',
  'a priority of its own is what a thread gets back',
  'where the priority is refused with *',
];

/** Tests wait for child processes as long as they do for those of a machine that is this much slower. */
const PATIENCE = 10;
const RUN_MS_MAX = 40 * 60_000;
const AVA = 'node_modules/ava/entrypoints/cli.mjs';

export interface SuitePlaces {
  /** On the disk that is polled. */
  readonly mount: string;
  readonly device: string;
  readonly results: string;
}

/** Runs the tests with this setting for every database, and every ring, whose test sets nothing else. */
export async function runSuite(setting: Setting, { mount, device, results }: SuitePlaces): Promise<TestRun> {
  const scratch = join(mount, 'tests');
  mkdirSync(scratch);
  const output = join(results, `tests-${setting.name}`);
  const before = readKernelCounters(device);
  const began = performance.now();
  const exitCode = await runAva(setting, scratch, output);
  const seconds = (performance.now() - began) / 1000;
  const kernel = countedSince(before, readKernelCounters(device));
  rmSync(scratch, { recursive: true });
  return { ...parseTap(readFileSync(`${output}.tap`, 'utf8')), exitCode, seconds, kernel };
}

/** Its exit status; what it prints goes to files. One test file at a time: two cores are emulated, and each runs alone. */
function runAva({ io }: Setting, scratch: string, output: string): Promise<number> {
  const files = FILES.map((name) => `dist/test/${name}.test.js`);
  const match = LEFT_OUT.map((title) => `--match=!${title}`);
  const ava = spawn(
    process.execPath,
    [AVA, '--tap', '--concurrency=1', '--timeout=10m', ...match, ...files],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_MS_MAX,
      killSignal: 'SIGKILL',
      env: {
        ...process.env,
        TMPDIR: scratch,
        QUADRING_TEST_IO: JSON.stringify(io),
        QUADRING_TEST_PATIENCE: String(PATIENCE),
      },
    },
  );
  ava.stderr.pipe(createWriteStream(`${output}.log`));
  const file = createWriteStream(`${output}.tap`);
  ava.stdout.pipe(file);
  sayProgress(ava.stdout);
  return new Promise((resolve, reject) => {
    let code: number | undefined;
    let isWritten = false;
    const settle = (): void => {
      if (code !== undefined && isWritten) resolve(code);
    };
    ava.once('error', reject);
    file.once('error', reject).once('finish', () => {
      isWritten = true;
      settle();
    });
    // Killed when its time is up: then it has no status.
    ava.once('close', (status) => {
      code = status ?? 1;
      settle();
    });
  });
}

/** A line for each file of which a test has ended, and for each test that fails. */
function sayProgress(stdout: Readable): void {
  const began = performance.now();
  let current = '';
  createInterface({ input: stdout }).on('line', (line) => {
    if (line.startsWith('not ok ')) console.log(`          ${line}`);
    const [, folder = '', name = ''] = /^(?:not )?ok \d+ - (\w+) › ([\w-]+) › /.exec(line) ?? [];
    const place = `${folder}/${name}`;
    if (name === '' || place === current) return;
    current = place;
    console.log(`  ${String(Math.round((performance.now() - began) / 1000)).padStart(4)} s  ${place}`);
  });
}
