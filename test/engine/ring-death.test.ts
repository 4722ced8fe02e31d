/**
 * The death of a ring thread is final for the open database: whatever waits is told, nothing hangs, and what was
 * acknowledged is there when it is opened again. The threads are taken from Node's own constructor as they are made.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type * as threads from 'node:worker_threads';
import type { DatabaseOptions } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

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

const OPTIONS: DatabaseOptions = { writeBufferBytes: 1 << 20, blockCacheBytes: 0 };

for (let victim = 0; victim < 4; victim++) {
  testBackends(`ring thread ${victim} dies while it is idle`, async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    started.length = 0;
    // Other options than the test before: these threads are new ones.
    const options = { ...OPTIONS, blockCacheBytes: (victim + 1) << 20 };
    const database = await openDatabase(t, directory, backend, options);
    await database.put('a', '1');
    await database.flush();
    await database.put('b', '2');
    t.is(started.length, 4);
    await started[victim].terminate();
    await new Promise((resolve) => setImmediate(resolve));
    await expectCode(t, 'WORKER_FAILED', () => database.put('c', '3'));
    await expectCode(t, 'WORKER_FAILED', () => database.flush());
    t.is(typeof database.stats().failure, 'string');
    await expectValue(t, database, 'b', '2');
    await database.close();
    const reopened = await openDatabase(t, directory, backend, options);
    t.false(reopened.stats().crewAdopted, 'a crew that lost a thread is not used again');
    await expectValue(t, reopened, 'a', '1');
    await expectValue(t, reopened, 'b', '2');
    await expectValue(t, reopened, 'c', undefined);
  });
}

testBackends('all ring threads die with reads and writes in flight', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  started.length = 0;
  const options = { ...OPTIONS, blockCacheBytes: 0, blockBytes: 4096 };
  const database = await openDatabase(t, directory, backend, options);
  for (let i = 0; i < 500; i++) void database.put(keyOf(i), valueOf(1000, i));
  await database.flush();
  const acknowledged: number[] = [];
  const writes = Array.from({ length: 3000 }, (_, i) =>
    database.put(`new ${i}`, valueOf(500, i)).then(() => acknowledged.push(i)),
  );
  const reads = Array.from({ length: 500 }, (_, i) => database.get(keyOf(i)));
  const dying = Promise.all(started.map((worker) => worker.terminate()));
  const results = await Promise.allSettled([...writes, ...reads, database.flush()]);
  await dying;
  const codes = new Set(
    results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as { code: string }).code] : [],
    ),
  );
  t.deepEqual([...codes], ['WORKER_FAILED']);
  await database.close();
  const reopened = await openDatabase(t, directory, backend, options);
  t.deepEqual(
    acknowledged.filter((i) => !reopened.getSync(`new ${i}`)?.equals(valueOf(500, i))),
    [],
  );
  for (let i = 0; i < 500; i += 29) await expectValue(t, reopened, keyOf(i), valueOf(1000, i));
});
