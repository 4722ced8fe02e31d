/**
 * Ring threads that do not get ready: a start ends in bounded time and says which thread had come how far, and a start
 * whose owner was busy meanwhile is none of these. Stand-ins for threads go through Node's own constructor.
 */
import { readdirSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import type * as threads from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { Piscina } from 'piscina';
import { resolveOptions } from '../../src/main/options.ts';
import { ThreadCrew } from '../../src/main/thread-crew.ts';
import {
  CONTROL_WORDS,
  roleWords,
  STATE_CREATING_RING,
  STATE_READY,
} from '../../src/protocol/crew-layout.ts';
import { ROLE_IDS, ROLE_NAMES } from '../../src/protocol/requests.ts';
import type { RingThreadTask } from '../../src/protocol/ring-thread-task.ts';
import { testBackends } from '../support/backends.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';

const WAIT_SLICE_MS = 5;
const PATIENCE_MS = 30_000;
/** Never says that it is ready. */
const SILENT = 'setInterval(() => undefined, 1000)';
/** None is started: the system has no more threads. */
const REFUSED = 'refused';
/** Runs what it is told. */
const ITSELF = undefined;
/** Takes its task, says that it has begun, and sleeps for good. */
const STUCK = `
  const { parentPort } = require('node:worker_threads');
  parentPort.once('message', ({ port }) => {
    parentPort.postMessage({ _WORKER_READY: true });
    port.once('message', ({ task: { control, stateAt } }) => {
      Atomics.store(control, stateAt, ${STATE_CREATING_RING});
      Atomics.wait(control, stateAt, ${STATE_CREATING_RING});
    });
  });`;

/** What the next threads run instead of what they are told, in their order. */
const standIns: (string | undefined)[] = [];
const started: threads.Worker[] = [];
const workerThreads = createRequire(import.meta.url)('node:worker_threads') as {
  Worker: typeof threads.Worker;
};
workerThreads.Worker = class extends workerThreads.Worker {
  constructor(...[file, options]: ConstructorParameters<typeof threads.Worker>) {
    const standIn = standIns.shift();
    if (standIn === REFUSED) {
      throw Object.assign(new Error('Worker initialization failure: EAGAIN'), {
        code: 'ERR_WORKER_INIT_FAILED',
      });
    }
    if (standIn === undefined) super(file, options);
    else super(standIn, { ...options, eval: true });
    started.push(this);
  }
};
syncBuiltinESMExports();

/** Tasks as they are handed out; a stand-in knows no layout, so it is told where its state is. */
const tasks: RingThreadTask[] = [];
const { run } = Piscina.prototype;
Piscina.prototype.run = function (task: RingThreadTask, options) {
  tasks.push(task);
  const stateAt = roleWords(task.control, task.role).state;
  return run.call(this, { ...task, stateAt }, options) as Promise<unknown>;
};

/** Descriptors and threads of this process. */
function resources(): { descriptors: number; threads: number } {
  const count = (of: string): number => readdirSync(`/proc/self/${of}`).length;
  return { descriptors: count('fd'), threads: count('task') };
}

/** Threads take a moment to end after they have said so. */
async function expectNoMoreThan(t: ExecutionContext, before: ReturnType<typeof resources>): Promise<void> {
  for (let slept = 0; slept < PATIENCE_MS && resources().threads > before.threads; slept += WAIT_SLICE_MS)
    await delay(WAIT_SLICE_MS);
  t.deepEqual(resources(), before, 'threads and descriptors are gone');
}

test.serial(
  'a ring thread that never gets ready fails the start, which says how far it had come',
  async (t) => {
    const settings = resolveOptions({ writeBufferBytes: 65_536, io: { backend: 'syscall' } });
    // Whatever Node and the addon make once, they make now.
    await (await ThreadCrew.start(settings)).dismiss();
    const before = resources();
    standIns.push(SILENT, STUCK);
    // Long enough for those that do get ready, wherever it runs: the others never will.
    const error = await expectCode(t, 'WORKER_FAILED', () => ThreadCrew.start(settings, 5000));
    t.is(standIns.length, 0);
    t.regex(error.message, /^ring threads were not ready after 5000 ms: /);
    t.regex(error.message, /\b\w+ had not begun to run\b/);
    t.regex(error.message, /\b\w+ was creating its ring\b/);
    t.true(
      ROLE_IDS.some((role) => error.message.includes(`${ROLE_NAMES[role]} had not begun`)),
      error.message,
    );
    t.log(error.message);
    await expectNoMoreThan(t, before);
  },
);

testBackends('a ring thread that cannot load its modules fails the start', async (t, backend) => {
  const settings = resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) });
  standIns.push(
    `throw Object.assign(new Error('there is no such module'), { code: 'ERR_MODULE_NOT_FOUND' })`,
  );
  const error = await expectCode(t, 'WORKER_FAILED', () => ThreadCrew.start(settings));
  t.is(error.message, 'a ring thread died: there is no such module');
  t.is((error.cause as NodeJS.ErrnoException).code, 'ERR_MODULE_NOT_FOUND');
});

testBackends('a thread that could not be started left the others behind', async (t, backend) => {
  const settings = resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) });
  await (await ThreadCrew.start(settings)).dismiss();
  const before = resources();
  standIns.push(ITSELF, ITSELF, ITSELF, REFUSED);
  const error = await expectCode(t, 'WORKER_FAILED', () => ThreadCrew.start(settings));
  t.is(error.message, 'a ring thread died: Worker initialization failure: EAGAIN');
  t.is(standIns.length, 0);
  await expectNoMoreThan(t, before);
});

testBackends('a thread that died was replaced by one that nobody needs', async (t, backend) => {
  const crew = await ThreadCrew.start(resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) }));
  t.teardown(() => crew.dismiss());
  const failed = new Promise<Error>((resolve) => {
    crew.listener = { onWake: () => undefined, onFailure: resolve };
  });
  const before = started.length;
  // Were one started now, it would end the process.
  standIns.push(REFUSED);
  await started.at(-1)!.terminate();
  t.regex((await failed).message, /a ring thread died/);
  t.is(started.length, before);
  standIns.length = 0;
});

testBackends('a start is not late because its owner is', async (t, backend) => {
  tasks.length = 0;
  const starting = ThreadCrew.start(resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) }), 1);
  t.is(tasks.length, ROLE_IDS.length);
  // The owner's event loop stands still until all threads have been ready for long.
  const deadline = performance.now() + PATIENCE_MS;
  for (const { control, role } of tasks) {
    t.is(control.length, CONTROL_WORDS);
    const { state } = roleWords(control, role);
    while (Atomics.load(control, state) !== STATE_READY && performance.now() < deadline)
      Atomics.wait(control, state, Atomics.load(control, state), WAIT_SLICE_MS);
    t.is(Atomics.load(control, state), STATE_READY);
  }
  const crew = await starting;
  t.is(crew.failure, undefined);
  t.is(crew.rings.length, ROLE_IDS.length);
  await crew.dismiss();
});
