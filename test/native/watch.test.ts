/** Watches: an eventfd that is written to calls back on the event loop, until it is watched no more. */
import { once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { addonFile, native } from '../../src/native.ts';
import { childAnswer } from './ring-fixture.ts';

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await immediate();
}

test('a write calls back, once for all that came before it', async (t) => {
  const eventfd = native.createEventfd();
  let calls = 0;
  const id = native.watchEventfd(eventfd, () => calls++);
  await turns(5);
  t.is(calls, 0);
  for (let i = 0; i < 10; i++) native.wakeEventfd(eventfd);
  t.is(calls, 0);
  await turns(5);
  t.is(calls, 1);
  native.wakeEventfd(eventfd);
  await turns(5);
  t.is(calls, 2);
  native.unwatch(id);
  native.wakeEventfd(eventfd);
  await turns(5);
  t.is(calls, 2);
  native.unwatch(id);
  native.closeDescriptor(eventfd);
});

test('a callback may stop its own watch, and others', async (t) => {
  const eventfds = [native.createEventfd(), native.createEventfd()];
  const calls: number[] = [];
  const ids = eventfds.map((eventfd, i) =>
    native.watchEventfd(eventfd, () => {
      calls.push(i);
      for (const id of ids) native.unwatch(id);
    }),
  );
  for (const eventfd of eventfds) native.wakeEventfd(eventfd);
  await turns(5);
  t.is(calls.length, 1);
  for (const eventfd of eventfds) native.closeDescriptor(eventfd);
});

test('what cannot be watched is refused', (t) => {
  t.throws(() => native.watchEventfd(1_000_000, () => undefined), { code: 'EBADF' });
  t.throws(() => native.watchEventfd(-1, () => undefined), { instanceOf: RangeError });
  t.throws(() => native.watchEventfd(0, 'no function' as unknown as () => void), { instanceOf: TypeError });
});

test('a watch keeps no process alive, and one whose callback throws ends it', (t) => {
  const idle = `
    native.watchEventfd(native.createEventfd(), () => undefined);
    process.on('exit', () => console.log('"ended"'));`;
  t.is(childAnswer(t, idle), 'ended');
  const throwing = `
    const eventfd = native.createEventfd();
    process.on('uncaughtException', (error) => { console.log(JSON.stringify(error.message)); process.exit(0); });
    native.watchEventfd(eventfd, () => { throw new Error('of a callback'); });
    native.wakeEventfd(eventfd);
    setTimeout(() => undefined, 10_000);`;
  t.is(childAnswer(t, throwing), 'of a callback');
});

test('a thread ends with a watch that nobody stopped, by itself or terminated', async (t) => {
  const code = `
    const native = require(${JSON.stringify(addonFile)});
    const { parentPort, workerData } = require('node:worker_threads');
    const eventfd = native.createEventfd();
    native.watchEventfd(eventfd, () => native.wakeEventfd(eventfd));
    native.wakeEventfd(eventfd);
    parentPort.postMessage('watching');
    if (workerData.stays) setInterval(() => undefined, 1000);`;
  for (let round = 0; round < 20; round++) {
    const stays = round % 2 === 0;
    const worker = new Worker(code, { eval: true, workerData: { stays } });
    const exit = once(worker, 'exit');
    await once(worker, 'message');
    if (stays) await worker.terminate();
    await exit;
  }
  t.pass();
});
