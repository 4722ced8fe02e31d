/** What once broke on ring threads, each test named after it; see in-thread-regressions.test.ts for the others. */
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import type { Crew } from '../../src/main/crew.ts';
import type { Environment } from '../../src/main/environment.ts';
import { productionEnvironment } from '../../src/main/production-environment.ts';
import { roleWords } from '../../src/protocol/crew-layout.ts';
import { ROLE_FOREGROUND, ROLE_WAL, type RoleId } from '../../src/protocol/requests.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const OPTIONS: DatabaseOptions = { writeBufferBytes: 4 << 20, blockBytes: 4096, blockCacheBytes: 0 };

/** Ends a ring thread as nobody else would: it says that it ended, and gives no reason. */
function endThread(crew: Crew, role: RoleId): void {
  Atomics.store(crew.control, roleWords(crew.control, role).stop, 1);
  crew.ring(role);
}

/** The environment of production, and whatever is done with a crew before open listens to it. */
function withCrew(prepare: (crew: Crew) => Promise<void> | void): Environment {
  return {
    ...productionEnvironment,
    async acquireCrew(settings) {
      const crew = await productionEnvironment.acquireCrew(settings);
      await prepare(crew);
      return crew;
    },
  };
}

testBackends('tens of thousands of reads that wait for few blocks are all answered', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, OPTIONS);
  const operations = Array.from({ length: 20_000 }, (_, i) => {
    return { type: 'put' as const, key: keyOf(i), value: valueOf(100, i) };
  });
  await database.batch(operations);
  await database.flush();
  // The first reads take every slot there is; those behind them wait, and then find their block on its way.
  const numbers = Array.from({ length: 50_000 }, (_, i) => (i < 600 ? i * 30 : 19_999));
  const values = await Promise.all(numbers.map((number) => database.get(keyOf(number))));
  const expected = new Map([...new Set(numbers)].map((number) => [number, valueOf(100, number)]));
  t.deepEqual(
    numbers.filter((number, i) => values[i]?.equals(expected.get(number)!) !== true),
    [],
  );
  t.true(database.stats().cache.sharedReads > 10_000, 'most reads joined others');
});

testBackends('a ring thread that ends before open listens to its crew', async (t, backend) => {
  t.timeout(10_000);
  const environment = withCrew(async (crew) => {
    endThread(crew, ROLE_WAL);
    while (crew.failure === undefined) await nextTurn();
  });
  const directory = join(temporaryDirectory(t), 'db');
  const options: DatabaseOptions = { ...OPTIONS, io: ioOf(backend) };
  await expectCode(t, 'WORKER_FAILED', () => Database.openIn(environment, directory, options));
  const database = await openDatabase(t, directory, backend, { ...OPTIONS, lockTimeoutMs: 0 });
  await database.put('a', '1');
  await expectValue(t, database, 'a', '1');
});

testBackends('a synchronous read whose thread has ended throws soon', async (t, backend) => {
  let crew: Crew | undefined;
  const environment = withCrew((acquired) => {
    crew = acquired;
  });
  const directory = join(temporaryDirectory(t), 'db');
  const database = await Database.openIn(environment, directory, { ...OPTIONS, io: ioOf(backend) });
  t.teardown(() => database.close());
  await database.put('a', '1');
  await database.flush();
  endThread(crew!, ROLE_FOREGROUND);
  const began = performance.now();
  await expectCode(t, 'WORKER_FAILED', () => database.getSync('a'));
  const took = performance.now() - began;
  t.true(took < 3000, `${Math.round(took)} ms`);
});

testBackends('counters of a crew that was handed on begin at zero', async (t, backend) => {
  const parent = temporaryDirectory(t);
  const first = await openDatabase(t, join(parent, 'first'), backend, OPTIONS);
  for (let i = 0; i < 200; i++) void first.put(keyOf(i), valueOf(1000, i));
  await first.flush();
  for (let i = 0; i < 200; i += 20) await first.get(keyOf(i));
  const used = first.stats().rings;
  t.true(used.every(({ role, bytesRead }) => role !== 'foreground' || bytesRead > 0));
  const { callerRing } = first.stats();
  const logged = used.find(({ role }) => role === 'wal')!.bytesWritten + (callerRing?.bytesWritten ?? 0);
  t.true(logged > 200_000, `${logged}`);
  await first.close();
  const second = await openDatabase(t, join(parent, 'second'), backend, OPTIONS);
  t.true(second.stats().crewAdopted);
  const { bytesRead = 0, bytesWritten = 0, requests = 0 } = second.stats().callerRing ?? {};
  t.deepEqual({ bytesRead, bytesWritten, requests }, { bytesRead: 0, bytesWritten: 0, requests: 0 });
  for (const ring of second.stats().rings) {
    // The flush thread has made a manifest and logs for the new one, and the wal thread has opened these.
    if (ring.role === 'flush') continue;
    if (ring.role === 'wal') {
      t.is(ring.bytesWritten, 0);
      continue;
    }
    const { role, operations, bytesRead, bytesWritten, meanBatch, latencyMicroseconds } = ring;
    t.deepEqual(
      { role, operations, bytesRead, bytesWritten, meanBatch, latencyMicroseconds },
      {
        role,
        operations: 0,
        bytesRead: 0,
        bytesWritten: 0,
        meanBatch: 0,
        latencyMicroseconds: { p50: 0, p99: 0, p999: 0 },
      },
    );
  }
  await second.put('a', '1');
  const { rings, callerRing: own } = second.stats();
  t.is(rings.find(({ role }) => role === 'wal')!.bytesWritten + (own?.bytesWritten ?? 0), 4096);
});

testBackends('a compaction of more runs than it may read at once keeps the order', async (t, backend) => {
  const options = { ...OPTIONS, compaction: { automatic: false, tableBytes: 65_536, baseBytes: 65_536 } };
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, options);
  // The lowest level gets many tables of one block each.
  for (let i = 0; i < 20; i++) {
    await database.put(keyOf(i), valueOf(70_000, i));
    await database.flush();
    await database.compactRange();
  }
  for (let i = 0; i < 40; i++) {
    await database.put(keyOf(i % 20), valueOf(500, i));
    await database.flush();
  }
  t.is(database.stats().levels[0]?.tables, 40);
  await database.compactRange();
  t.deepEqual(
    database.stats().levels.map(({ level, entries }) => ({ level, entries })),
    [{ level: 6, entries: 20 }],
  );
  for (let i = 0; i < 20; i++) await expectValue(t, database, keyOf(i), valueOf(500, 20 + i));
});
