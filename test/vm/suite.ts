/**
 * The tests that the virtual machine runs on each setting of `io`, and how. Only inside of it.
 *
 * Chosen: those of the addon's ring, and those of the engine that write, read, flush, compact and recover with real threads
 * and a real disk. Not chosen, though they do that too:
 *
 * - what asks for python (system calls that are made to fail), which the machine does not have: hostile, signal-driven and
 *   refused rings, descriptors, failing-calls, uring-refused, late-threads …;
 * - what needs mounts of its own (full disks), or a second user (file-modes, directories);
 * - what takes long where everything is emulated and shows little of the disk: worker-terminate, teardown, kill, soak,
 *   held-iterator, verify, repair; the power cuts of this machine are the longer version of some;
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

const FILES = [
  ...[
    'ring',
    'operations',
    'poller',
    'polling',
    'select',
    'transfer-flags',
    'truncate',
    'timeout',
    'workers',
  ].map((name) => `native/${name}`),
  ...['io-setting', 'iopoll', 'sqpoll', 'api', 'writes', 'iterators', 'snapshots', 'get-many'].map(
    (name) => `engine/${name}`,
  ),
  ...['recovery', 'delete-range', 'short-scans', 'lifecycle', 'closing', 'adopted-crew', 'read-ahead'].map(
    (name) => `engine/${name}`,
  ),
  ...['compaction-range', 'compaction-readers', 'compaction-close', 'compaction-failures'].map(
    (name) => `engine/${name}`,
  ),
];

/** Titles that are left out, as ava's `--match` takes them. */
const LEFT_OUT = [
  // Nothing of them goes through a ring.
  'syscall: *',
  '*(SystemCalls)',
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
  const output = join(results, `tests-${setting.name}.tap`);
  const before = readKernelCounters(device);
  const began = performance.now();
  const exitCode = await runAva(setting, scratch, output);
  const seconds = (performance.now() - began) / 1000;
  const kernel = countedSince(before, readKernelCounters(device));
  rmSync(scratch, { recursive: true });
  return { ...parseTap(readFileSync(output, 'utf8')), exitCode, seconds, kernel };
}

/** Its exit status; what it prints goes to a file. One test file at a time: two cores are emulated, and each runs alone. */
function runAva({ io }: Setting, scratch: string, output: string): Promise<number> {
  const files = FILES.map((name) => `dist/test/${name}.test.js`);
  const match = LEFT_OUT.map((title) => `--match=!${title}`);
  const ava = spawn(
    process.execPath,
    [AVA, '--tap', '--concurrency=1', '--timeout=10m', ...match, ...files],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
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
  const file = createWriteStream(output);
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

/** A line for each file that begins, from the titles of its tests. */
function sayProgress(stdout: Readable): void {
  const began = performance.now();
  let current = '';
  createInterface({ input: stdout }).on('line', (line) => {
    const [, folder = '', name = ''] = /^(?:not )?ok \d+ - (\w+) › ([\w-]+) › /.exec(line) ?? [];
    const place = `${folder}/${name}`;
    if (name === '' || place === current) return;
    current = place;
    console.log(`  ${String(Math.round((performance.now() - began) / 1000)).padStart(4)} s  ${place}`);
  });
}
