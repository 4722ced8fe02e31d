/**
 * A thread that was terminated while its owner waits in a synchronous call: nothing says so but a heart that beats no
 * more, because the event loop, which would hear of it, does not run. Sleeping is the test's, so that the 20 s for which a
 * heart may rest pass at once; the threads are taken from Node's own constructor as they are made.
 */
import { readdirSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { getPriority } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import type * as threads from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import { resolveOptions } from '../../src/main/options.ts';
import { ThreadCrew } from '../../src/main/thread-crew.ts';
import { native } from '../../src/native.ts';
import { CONTROL_WORDS, roleWords, STATE_READY } from '../../src/protocol/crew-layout.ts';
import { ROLE_IDS, ROLE_NAMES, ROLE_WAL, type RoleId } from '../../src/protocol/requests.ts';
import { STATISTICS_DOUBLES } from '../../src/protocol/ring-statistics.ts';
import type { RingThreadTask } from '../../src/protocol/ring-thread-task.ts';
import runRingThread from '../../src/workers/ring-thread.ts';
import { testBackends } from '../support/backends.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';

const workerThreads = createRequire(import.meta.url)('node:worker_threads') as {
  Worker: typeof threads.Worker;
};
const started: threads.Worker[] = [];
workerThreads.Worker = class extends workerThreads.Worker {
  constructor(...of: ConstructorParameters<typeof threads.Worker>) {
    super(...of);
    started.push(this);
  }
};
syncBuiltinESMExports();

/** Wakes a thread that sleeps, and lets the test go on when its heart has beaten. */
async function beat(crew: ThreadCrew, role: RoleId): Promise<void> {
  const { heartbeat } = roleWords(crew.control, role);
  const before = Atomics.load(crew.control, heartbeat);
  while (Atomics.load(crew.control, heartbeat) === before) {
    crew.ring(role);
    await nextTurn();
  }
}

testBackends('a terminated thread is missed though the others live', async (t, backend) => {
  started.length = 0;
  const crew = await ThreadCrew.start(resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) }));
  t.teardown(() => crew.dismiss());
  sleepNoLongerThan(t, 1);
  const wait = (milliseconds = 100): void => crew.waitForCompletions(() => false, milliseconds);
  const beatAll = (except?: RoleId): Promise<unknown> =>
    Promise.all(ROLE_IDS.filter((role) => role !== except).map((role) => beat(crew, role)));
  wait();
  for (let slice = 0; slice < 10; slice++) {
    await beatAll();
    t.notThrows(() => wait(15_000), 'nobody has been still for long');
  }
  // Which role a worker plays is piscina's affair: the one whose heart rests is found by it.
  await started[0].terminate();
  const beats = ROLE_IDS.map((role) => Atomics.load(crew.control, roleWords(crew.control, role).heartbeat));
  const beaten = (role: RoleId): boolean =>
    Atomics.load(crew.control, roleWords(crew.control, role).heartbeat) !== beats[role];
  while (ROLE_IDS.filter(beaten).length < ROLE_IDS.length - 1) {
    for (const role of ROLE_IDS) crew.ring(role);
    await nextTurn();
  }
  const dead = ROLE_IDS.find((role) => !beaten(role))!;
  t.notThrows(() => wait());
  const failed = async (): Promise<void> => {
    for (let slice = 0; slice < 10; slice++) {
      await beatAll(dead);
      wait(5000);
    }
  };
  const error = await expectCode(t, 'WORKER_FAILED', failed);
  t.true(error.message.includes(ROLE_NAMES[dead]), error.message);
});

testBackends('time that passes while the owner does not wait makes no thread dead', async (t, backend) => {
  const crew = await ThreadCrew.start(resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) }));
  t.teardown(() => crew.dismiss());
  const { now } = performance;
  let passed = 0;
  performance.now = () => now.call(performance) + passed;
  t.teardown(() => {
    performance.now = now;
  });
  sleepNoLongerThan(t, 1);
  // As after a SIGSTOP: hours later the owner runs again, and its threads have not had their turn yet.
  for (let slice = 0; slice < 5; slice++) {
    t.notThrows(() => crew.waitForCompletions(() => false, 100));
    passed += 3_600_000;
  }
});

testBackends('a thread that has just said it is ready was found dead', (t, backend) => {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  const { state, stop } = roleWords(control, ROLE_WAL);
  // It is to end as soon as it serves. It runs here, and what it says is looked at while it says it.
  Atomics.store(control, stop, 1);
  const { port1, port2 } = new MessageChannel();
  const saidIn: number[] = [];
  port2.postMessage = () => void saidIn.push(Atomics.load(control, state));
  const eventfd = native.createEventfd();
  const signal = native.createSignal(() => undefined);
  t.teardown(() => {
    port1.close();
    native.closeDescriptor(eventfd);
    native.closeSignal(signal);
  });
  const statistics = new Float64Array(new SharedArrayBuffer(STATISTICS_DOUBLES * 8));
  const ring = {
    backend,
    entries: 8,
    eventfd,
    singleIssuer: true,
    polling: null,
    workers: null,
    pollsCompletions: false,
  };
  const task: RingThreadTask = {
    role: ROLE_WAL,
    control,
    statistics,
    port: port2,
    signal,
    spinMicroseconds: 0,
    ring,
  };
  t.deepEqual(runRingThread(task), { kind: 'stopped' });
  t.deepEqual(saidIn, [STATE_READY]);
});

/** What this thread sleeps, it sleeps no longer, and is told that the time it asked for has passed. */
function sleepNoLongerThan(t: ExecutionContext, milliseconds: number): void {
  const { wait } = Atomics;
  Atomics.wait = ((words: Int32Array, at: number, value: number, timeout: number) =>
    wait(words, at, value, Math.min(timeout, milliseconds))) as typeof Atomics.wait;
  t.teardown(() => {
    Atomics.wait = wait;
  });
}

testBackends(
  'threads that work for long leave the cores to those that somebody waits for',
  async (t, backend) => {
    const crew = await ThreadCrew.start(resolveOptions({ writeBufferBytes: 65_536, io: ioOf(backend) }));
    const before = nicenesses();
    const own = before.get(process.pid) ?? 0;
    const nicer = [...before.values()].filter((niceness) => niceness > own).sort((a, b) => a - b);
    const expected = [5, 10].map((more) => Math.min(own + more, 19));
    t.true(
      expected.every((niceness) => nicer.includes(niceness)),
      nicer.join(),
    );
    await crew.dismiss();
  },
);

/** Of this process's threads, by their ids. */
function nicenesses(): Map<number, number> {
  return new Map(readdirSync('/proc/self/task').map((id) => [Number(id), getPriority(Number(id))]));
}
