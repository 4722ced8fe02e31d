/**
 * A ring thread may die of anything: an error, process.exit, a heap that is full (ring-death.test.ts has those that are
 * terminated). It is final for the open database whatever it was: calls that wait are rejected with WORKER_FAILED,
 * closing works, and what was acknowledged is there when it is opened again, in the same process.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as threads from 'node:worker_threads';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { scriptBeside } from '../support/children.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { CAUSES, FAULT } from '../support/ring-fault.ts';
import { Random, testSeed } from '../support/random.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const workerThreads = createRequire(import.meta.url)('node:worker_threads') as typeof threads;
const PRELOAD = pathToFileURL(scriptBeside(import.meta.url, '../support/ring-fault')).href;
const started: threads.Worker[] = [];
/** Of the ring threads: which one is to die, and how. */
const fault = new Int32Array(new SharedArrayBuffer(8));
workerThreads.setEnvironmentData(FAULT, fault);
workerThreads.Worker = class extends workerThreads.Worker {
  constructor(file: string | URL, options: threads.WorkerOptions = {}) {
    super(file, { ...options, execArgv: [...process.execArgv, '--import', PRELOAD] });
    started.push(this);
  }
};
syncBuiltinESMExports();

let shapes = 0;

/** Options that no open before has had: then the threads are new ones. */
function newShape(): DatabaseOptions {
  return { writeBufferBytes: (1 << 18) + 65_536 * shapes++, blockCacheBytes: 0, blockBytes: 4096 };
}

interface InFlight {
  readonly acknowledged: Set<number>;
  readonly settled: Promise<PromiseSettledResult<unknown>[]>;
}

/** Gives every ring thread something to do, so that each goes round its loop. */
function work(database: Database): InFlight {
  const acknowledged = new Set<number>();
  const calls: Promise<unknown>[] = [];
  for (let i = 0; i < 400; i++) {
    calls.push(database.put(`new ${i}`, valueOf(1500, i)).then(() => acknowledged.add(i)));
    calls.push(database.get(keyOf(i)));
  }
  calls.push(database.getMany(Array.from({ length: 200 }, (_, i) => keyOf(i))));
  calls.push(database.iterator().nextv(300), database.flush(), database.compactRange());
  return { acknowledged, settled: Promise.allSettled(calls) };
}

async function untilFailed(database: Database): Promise<void> {
  while (database.stats().failure === null) {
    await Promise.allSettled([database.get(keyOf(1)), database.put('more', 'x'), database.compactRange()]);
  }
}

for (const [name, cause] of Object.entries(CAUSES)) {
  testBackends(`a ring thread ${name} with everything in flight`, async (t, backend) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const victims = cause === CAUSES['throws an error'] ? [0, 1, 2, 3] : [new Random(seed).below(4)];
    for (const victim of victims) {
      const directory = join(temporaryDirectory(t), 'db');
      started.length = 0;
      const options = newShape();
      const database = await openDatabase(t, directory, backend, options);
      t.is(started.length, 4);
      for (let i = 0; i < 300; i++) void database.put(keyOf(i), valueOf(500, i));
      await database.flush();
      await database.put('durable', 'yes');
      const { acknowledged, settled } = work(database);
      fault[1] = cause;
      fault[0] = started[victim].threadId;
      const results = await settled;
      await untilFailed(database);
      fault.fill(0);
      const codes = results.flatMap((result) =>
        result.status === 'rejected' ? [(result.reason as { code: string }).code] : [],
      );
      t.deepEqual(
        codes.filter((code) => code !== 'WORKER_FAILED'),
        [],
      );
      await expectCode(t, 'WORKER_FAILED', () => database.put('too', 'late'));
      await expectCode(t, 'WORKER_FAILED', () => database.flush());
      await database.close();

      const reopened = await openDatabase(t, directory, backend, options);
      t.false(reopened.stats().crewAdopted);
      await expectValue(t, reopened, 'durable', 'yes');
      for (let i = 0; i < 300; i += 23) await expectValue(t, reopened, keyOf(i), valueOf(500, i));
      const missing = [...acknowledged].filter(
        (i) => !reopened.getSync(`new ${i}`)?.equals(valueOf(1500, i)),
      );
      t.deepEqual(missing, []);
      await expectValue(t, reopened, 'too', undefined);
      await reopened.close();
    }
  });
}

testBackends(
  'a ring thread that dies while a database is opened makes the open fail, and no lock is left',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const first = await openDatabase(t, directory, backend, newShape());
    for (let i = 0; i < 300; i++) void first.put(keyOf(i), valueOf(500, i));
    await first.close();
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const random = new Random(seed);
    for (let round = 0; round < 2; round++) {
      started.length = 0;
      const opening = openDatabase(t, directory, backend, newShape());
      while (started.length < 4) await new Promise((resolve) => setImmediate(resolve));
      fault[1] = CAUSES['throws an error'];
      fault[0] = started[random.below(4)].threadId;
      const error = await opening.then(
        () => undefined,
        (reason: unknown) => reason as { code: string },
      );
      fault.fill(0);
      // An open that was done before its thread went round once more has a database that fails.
      if (error !== undefined)
        t.true(['WORKER_FAILED', 'URING_UNAVAILABLE'].includes(error.code), error.code);
      else await (await opening).close();
      const reopened = await openDatabase(t, directory, backend, newShape());
      await expectValue(t, reopened, keyOf(7), valueOf(500, 7));
      await reopened.close();
    }
  },
);
