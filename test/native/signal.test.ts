/** Signals: delivery between threads, joining, what keeps a process alive, and every order of ending. */
import { once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { native } from '../../src/native.ts';
import { PATIENCE } from '../support/children.ts';
import { childAnswer, runChild } from './ring-fixture.ts';
import type { SignallerData } from './signaller.ts';

const SIGNALLER = new URL(`./signaller${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

function startSignaller(workerData: SignallerData): Worker {
  return new Worker(SIGNALLER, { workerData });
}

/** Lets the event loop turn until `condition` holds; the bound is for a test that fails. */
async function until(condition: () => boolean): Promise<boolean> {
  const deadline = Date.now() + 30_000 * PATIENCE;
  while (!condition()) {
    if (Date.now() > deadline) return false;
    await immediate();
  }
  return true;
}

test('a signal runs its callback on a later turn of the loop, signals before it joined', async (t) => {
  let calls = 0;
  const id = native.createSignal(() => {
    calls++;
  });
  for (let i = 0; i < 100; i++) native.signal(id);
  t.is(calls, 0);
  t.true(await until(() => calls > 0));
  t.is(calls, 1);
  native.signal(id);
  t.true(await until(() => calls > 1));
  t.is(calls, 2);
  native.closeSignal(id);
});

test('nothing written before a signal from another thread is missed', async (t) => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  let seen = 0;
  let calls = 0;
  const id = native.createSignal(() => {
    calls++;
    seen = Atomics.load(words, 0);
  });
  const worker = startSignaller({ role: 'sender', words, id });
  const exit = once(worker, 'exit');
  t.true(await until(() => calls > 1000));
  Atomics.store(words, 1, 1);
  t.deepEqual(await exit, [0]);
  // The last signal may have been joined to one whose callback had not begun: it has to see the last write.
  t.true(await until(() => seen === Atomics.load(words, 0)));
  native.closeSignal(id);
});

test('a closed signal is ignored, and what was queued does not run', async (t) => {
  let calls = 0;
  const id = native.createSignal(() => {
    calls++;
  });
  const after = native.createSignal(() => {
    calls += 100;
  });
  native.signal(id);
  native.closeSignal(id);
  native.signal(id);
  native.closeSignal(id);
  native.referSignal(id, true);
  native.signal(after);
  t.true(await until(() => calls >= 100));
  t.is(calls, 100);
  native.closeSignal(after);
});

test('a callback may close its own signal, and signal again', async (t) => {
  let calls = 0;
  const id: number = native.createSignal(() => {
    calls++;
    if (calls < 3) native.signal(id);
    else native.closeSignal(id);
  });
  native.signal(id);
  t.true(await until(() => calls === 3));
  native.signal(id);
  await immediate();
  t.is(calls, 3);
});

test('ids are not given twice', (t) => {
  const ids = Array.from({ length: 100 }, () => native.createSignal(() => undefined));
  t.is(new Set(ids).size, 100);
  for (const id of ids) native.closeSignal(id);
});

test('arguments that do not fit are refused', (t) => {
  t.throws(() => native.createSignal(undefined as unknown as () => void), { instanceOf: TypeError });
  t.throws(
    () => {
      native.signal('1' as unknown as number);
    },
    { instanceOf: TypeError },
  );
  t.throws(
    () => {
      native.closeSignal(undefined as unknown as number);
    },
    { instanceOf: TypeError },
  );
  native.signal(0);
  native.signal(0xffff_fff0);
});

// 2^32 + id was taken for id.
test('numbers that are no id raise no signal', async (t) => {
  let runs = 0;
  const id = native.createSignal(() => runs++);
  for (const wrong of [2 ** 32 + id, NaN, -1, Infinity]) {
    t.throws(() => native.signal(wrong), { code: 'ERR_OUT_OF_RANGE' }, String(wrong));
  }
  await new Promise((resolve) => setImmediate(resolve));
  native.closeSignal(id);
  t.is(runs, 0);
});

test('a signal can be raised by all and closed by its owner only', async (t) => {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const worker = startSignaller({ role: 'owner', words });
  const [id] = (await once(worker, 'message')) as [number];
  t.throws(
    () => {
      native.closeSignal(id);
    },
    { code: 'ERR_WRONG_THREAD' },
  );
  t.throws(
    () => {
      native.referSignal(id, false);
    },
    { code: 'ERR_WRONG_THREAD' },
  );
  native.signal(id);
  t.true(await until(() => Atomics.load(words, 0) === 1));
  await worker.terminate();
});

test('a signal whose environment ends can be raised all the while', async (t) => {
  for (let round = 0; round < 10; round++) {
    const words = new Int32Array(new SharedArrayBuffer(8));
    const owner = startSignaller({ role: 'owner', words });
    const [id] = (await once(owner, 'message')) as [number];
    const senderWords = new Int32Array(new SharedArrayBuffer(8));
    const sender = startSignaller({ role: 'sender', words: senderWords, id });
    const exit = once(sender, 'exit');
    t.true(await until(() => Atomics.load(words, 0) > 10), 'the sender reaches the owner');
    const terminated = owner.terminate();
    let ended = false;
    void terminated.then(() => {
      ended = true;
    });
    t.true(
      await until(() => {
        native.signal(id);
        return ended;
      }),
    );
    // And afterwards.
    const sent = Atomics.load(senderWords, 0);
    t.true(await until(() => Atomics.load(senderWords, 0) > sent + 100));
    Atomics.store(senderWords, 1, 1);
    t.deepEqual(await exit, [0]);
    t.is(await terminated, 1);
  }
});

test('by itself a signal does not keep a process alive', (t) => {
  const result = runChild(`native.createSignal(() => console.log('never'));`);
  t.deepEqual([result.status, result.stdout], [0, '']);
});

test('a referred signal keeps the process alive until it is let go, however often it was referred', (t) => {
  // The signal comes from a timer that does not itself keep the process alive.
  const result = runChild(`
    const id = native.createSignal(() => { console.log('signalled'); native.referSignal(id, false); });
    native.referSignal(id, true);
    native.referSignal(id, true);
    setTimeout(() => native.signal(id), 20).unref();`);
  t.deepEqual([result.status, result.stdout], [0, 'signalled\n']);
});

test('a closed signal does not keep the process alive', (t) => {
  const result = runChild(`
    const id = native.createSignal(() => console.log('never'));
    native.referSignal(id, true);
    native.closeSignal(id);`);
  t.deepEqual([result.status, result.stdout], [0, '']);
});

test('what a callback throws is an uncaught exception', (t) => {
  t.is(
    childAnswer(
      t,
      `
    process.on('uncaughtException', (error) => { console.log(JSON.stringify(error.message)); native.referSignal(id, false); });
    const id = native.createSignal(() => { throw new Error('from a callback'); });
    native.referSignal(id, true);
    native.signal(id);`,
    ),
    'from a callback',
  );
  const result = runChild(
    `native.signal(native.createSignal(() => { throw new Error('from a callback'); })); setTimeout(() => {}, 50);`,
  );
  t.is(result.status, 1);
  t.regex(result.stderr, /from a callback/);
});

test('a thousand signals that were closed hold nothing', (t) => {
  const grown = childAnswer(
    t,
    `
    const used = async () => {
      for (let i = 0; i < 4; i++) { globalThis.gc(); await new Promise(setImmediate); }
      return process.memoryUsage().heapUsed;
    };
    // Each callback holds 80 kB.
    const cycle = () => { const held = new Array(10_000).fill(1.5); native.closeSignal(native.createSignal(() => held)); };
    for (let i = 0; i < 100; i++) cycle();
    const before = await used();
    for (let i = 0; i < 1000; i++) { cycle(); if (i % 100 === 0) await new Promise(setImmediate); }
    console.log(JSON.stringify((await used()) - before));`,
    { nodeArguments: ['--expose-gc'] },
  ) as number;
  t.true(grown < 8_000_000, `${grown} bytes, where keeping all would be 80 MB`);
});
