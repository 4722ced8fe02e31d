/** A thread that is terminated with I/O in flight leaves a kernel that writes nothing any more. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { MIB, sharedMemory, temporaryDirectory } from './ring-fixture.ts';
import type { CloserData } from './terminated-closer.ts';
import type { OpenerData } from './terminated-opener.ts';
import type { ReaderData } from './terminated-reader.ts';

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const ROUNDS = 12;

test.serial('worker.terminate() with reads in flight, again and again', async (t) => {
  const path = join(temporaryDirectory(t), 'data');
  writeFileSync(path, Buffer.alloc(2 * MIB, 1));
  const used: Uint8Array[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const memory = sharedMemory(2 * MIB);
    const mode = (['wait', 'spin', 'leave'] as const)[round % 3];
    const workerData: ReaderData = { path, memory, mode };
    const worker = new Worker(new URL(`./terminated-reader${EXTENSION}`, import.meta.url), { workerData });
    await new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject);
    });
    t.is(await worker.terminate(), 1);
    memory.fill(2);
    used.push(memory);
  }
  // By now the first ones have had the time of many reads.
  for (const memory of used) t.true(memory.every((byte) => byte === 2));
});

for (const backend of ['Ring', 'SystemCalls'] as const) {
  test.serial(`files that a terminated thread had open stayed open (${backend})`, async (t) => {
    const directory = temporaryDirectory(t);
    const path = join(directory, 'pipe');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    t.teardown(() => {
      closeSync(reader);
    });
    const workerData: OpenerData = { directory, backend, count: 5 };
    const worker = new Worker(new URL(`./terminated-opener${EXTENSION}`, import.meta.url), { workerData });
    t.teardown(() => worker.terminate());
    await new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject);
    });
    const byte = Buffer.alloc(1);
    t.throws(() => readSync(reader, byte, 0, 1, null), { code: 'EAGAIN' }, 'the thread may write');
    t.is(await worker.terminate(), 1);
    t.is(readSync(reader, byte, 0, 1, null), 0, 'nobody may any more');
  });
}

test.serial(
  'a thread that is terminated while it closes a ring does not take the process along',
  async (t) => {
    for (let round = 0; round < 60; round++) {
      const started = new Int32Array(new SharedArrayBuffer(4));
      const workerData: CloserData = { started };
      const worker = new Worker(new URL(`./terminated-closer${EXTENSION}`, import.meta.url), { workerData });
      await Atomics.waitAsync(started, 0, 0).value;
      t.is(await worker.terminate(), 1);
    }
  },
);
