/**
 * Processes and single ring threads that stand still for a while, as they do under a debugger, in a frozen container or on
 * a machine that is suspended: everything is late, nothing breaks, no time limit takes lateness for death, and everything
 * acknowledged is there.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { testBackends, type Backend } from '../support/backends.ts';
import { checkoutFile, endedWell, scriptBeside, startChild, type Child } from '../support/children.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const CHILD = scriptBeside(import.meta.url, 'stopped-child');
const STOPPER = checkoutFile('test', 'support', 'stop-thread.py');
const VALUE_BYTES = 1000;
const LIMIT_MS = 100_000;
const STOPS = 5;
/** How long it runs between two stops, and how long it then stands still. */
const RUN_MS_MAX = 150;
const STOP_MS_MAX = 400;
const THREAD_STOP_MS = 500;

/** A process at work; `progress` resolves when more has been acknowledged than before the call. */
async function startWorking(
  t: ExecutionContext,
  backend: Backend,
  directory: string,
): Promise<{ child: Child; threads: number[]; progress: () => Promise<void> }> {
  t.timeout(LIMIT_MS + 20_000);
  const child = startChild(t, CHILD, [backend, directory], { limitMs: LIMIT_MS });
  let acknowledged = 0;
  let waiting: (() => void)[] = [];
  child.process.stdout?.on('data', (text: string) => {
    const counts = [...text.matchAll(/^acknowledged (\d+)$/gm)].map(([, count]) => Number(count));
    if (counts.length === 0) return;
    acknowledged = Math.max(acknowledged, ...counts);
    for (const look of waiting) look();
  });
  const progress = (): Promise<void> => {
    const before = acknowledged;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (acknowledged <= before) return;
        waiting = waiting.filter((each) => each !== look);
        resolve();
      };
      waiting.push(look);
      void child.ended.then(({ stderr }) => reject(new Error(`the process ended: ${stderr}`)));
    });
  };
  const line = await child.printed('threads ');
  const threads = (JSON.parse(line.slice('threads '.length)) as string[]).map(Number);
  await progress();
  return { child, threads, progress };
}

/** Has the process close, and expects everything that it ever wrote. */
async function expectEverything(
  t: ExecutionContext,
  child: Child,
  directory: string,
  backend: Backend,
): Promise<void> {
  child.process.stdin?.end();
  const end = await child.ended;
  endedWell(t, end);
  t.is(end.stderr, '');
  const count = Number(/^closed (\d+)$/m.exec(end.stdout)?.[1]);
  t.true(count > 0);
  const database = await openDatabase(t, directory, backend);
  t.is(database.stats().recovery.tornFrames, 0);
  const missing: number[] = [];
  for (let i = 0; i < count; i++) {
    const value = await database.get(keyOf(i));
    if (value?.equals(valueOf(VALUE_BYTES, i)) !== true) missing.push(i);
  }
  t.deepEqual(missing, []);
  t.log(`${count} writes`);
}

testBackends('a process that is stopped again and again under load only is late', async (t, backend) => {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const random = new Random(seed);
  const directory = join(temporaryDirectory(t), 'db');
  const { child, progress } = await startWorking(t, backend, directory);
  for (let stop = 0; stop < STOPS; stop++) {
    await delay(random.below(RUN_MS_MAX));
    child.process.kill('SIGSTOP');
    await delay(random.below(STOP_MS_MAX));
    child.process.kill('SIGCONT');
    await progress();
  }
  // Stopped in the middle of closing.
  child.process.stdin?.end();
  child.process.kill('SIGSTOP');
  await delay(STOP_MS_MAX);
  child.process.kill('SIGCONT');
  await expectEverything(t, child, directory, backend);
});

/** Stops a thread; the function lets it go on. Undefined, with the reason, where that is not permitted. */
async function stopThread(
  t: ExecutionContext,
  process: ChildProcess,
  thread: number,
): Promise<(() => Promise<void>) | undefined> {
  const stopper = spawn('python3', [STOPPER, String(process.pid), String(thread)]);
  t.teardown(() => stopper.kill('SIGKILL'));
  let said = '';
  stopper.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<number | null>((resolve) => stopper.once('close', resolve));
  const stopped = new Promise<boolean>((resolve) => {
    stopper.stdout.once('data', () => resolve(true));
    void ended.then(() => resolve(false));
  });
  if (!(await stopped)) {
    t.log(`no thread can be stopped here: ${said.trim()}`);
    return undefined;
  }
  return async () => {
    stopper.stdin.end();
    t.is(await ended, 0, said);
  };
}

testBackends(
  'a single thread that stands still is waited for, and closing waits for all',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const { child, threads, progress } = await startWorking(t, backend, directory);
    t.true(threads.length >= 4, threads.join());
    for (const thread of threads) {
      const goOn = await stopThread(t, child.process, thread);
      if (goOn === undefined) break;
      await delay(THREAD_STOP_MS);
      await goOn();
      await progress();
    }
    const stopped: (() => Promise<void>)[] = [];
    for (const thread of threads) {
      const goOn = await stopThread(t, child.process, thread);
      if (goOn !== undefined) stopped.push(goOn);
    }
    child.process.stdin?.end();
    const isClosed = child.ended.then(() => true);
    if (stopped.length > 0) {
      t.false(await Promise.race([isClosed, delay(THREAD_STOP_MS).then(() => false)]), 'it waits');
    }
    for (const goOn of stopped) await goOn();
    await expectEverything(t, child, directory, backend);
  },
);
