/**
 * How iterators live beside everything else: calls that come too early or too late, buffers that outlast the iterator,
 * many iterators that share little room for what they read ahead, and long runs of deleted keys.
 */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, QuadringError } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { keyOf, valueOf } from '../support/values.ts';

const ENTRIES = 600;
const VALUE_BYTES = 1300;
/** Every block that is looked at has to be read. */
const COLD: DatabaseOptions = { writeBufferBytes: 1 << 20, blockBytes: 4096, blockCacheBytes: 0 };

function open(t: ExecutionContext, backend: Backend, options: DatabaseOptions = COLD): Promise<Database> {
  return openDatabase(t, join(temporaryDirectory(t), 'db'), backend, options);
}

/** One table of some two hundred blocks. */
async function filled(t: ExecutionContext, backend: Backend, options = COLD): Promise<Database> {
  const database = await open(t, backend, options);
  await database.batch(
    Array.from({ length: ENTRIES }, (_, i) => ({
      type: 'put' as const,
      key: keyOf(i),
      value: valueOf(VALUE_BYTES, i),
    })),
  );
  await database.flush();
  return database;
}

/** Until nothing is read ahead any more; what a closed iterator asked for comes all the same. */
async function whenNothingIsAhead(t: ExecutionContext, database: Database): Promise<void> {
  const until = Date.now() + 10_000;
  while (database.stats().readAhead.inFlight > 0) {
    if (Date.now() > until) return t.fail('reads ahead did not come back within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.is(database.stats().readAhead.slots, 0, 'every slot was given back');
}

testBackends('a call while another waits is BUSY, and disturbs nothing', async (t, backend) => {
  const database = await filled(t, backend);
  const iterator = database.keys({ keyEncoding: 'latin1' });
  const first = iterator.next();
  // In the same turn: an answer may come as soon as it ends.
  const refusals = [
    expectCode(t, 'BUSY', () => iterator.next()),
    expectCode(t, 'BUSY', () => iterator.nextv(3)),
  ];
  t.is(await first, keyOf(0));
  await Promise.all(refusals);
  const waiting = iterator.nextv(2);
  const seeking = database.keys({ keyEncoding: 'latin1' });
  const sought = seeking.next();
  await expectCode(t, 'BUSY', () => seeking.seek(keyOf(5)));
  t.is(await sought, keyOf(0));
  t.deepEqual((await waiting)[0], keyOf(1));
  await iterator.close();
  await seeking.close();
  // A loop closes its iterator, whatever it ends with: also one that should not have begun.
  for (const begin of [
    (looped: typeof iterator) => looped[Symbol.asyncIterator]().next(),
    (looped: typeof iterator) => looped.batches().next(),
  ]) {
    const looped = database.keys({ keyEncoding: 'latin1' });
    const begun = looped.next();
    const refused = expectCode(t, 'BUSY', () => begin(looped));
    const outcome = await begun.catch((error: unknown) => (error as QuadringError).code);
    t.true(outcome === 'CLOSED' || outcome === keyOf(0), outcome);
    await refused;
    await expectCode(t, 'CLOSED', () => looped.next());
  }
  t.is(database.stats().readers.iterators, 0);
});

testBackends(
  'two calls in one turn give entries one behind the other, or the second is BUSY',
  async (t, backend) => {
    const database = await open(t, backend, { ...COLD, blockCacheBytes: 1 << 20 });
    for (let i = 0; i < 60; i++) await database.put(keyOf(i), 'value', { sync: false });
    type Keys = ReturnType<typeof database.keys<'latin1'>>;
    const calls: readonly ((keys: Keys) => Promise<unknown>)[] = [
      (keys) => keys.next(),
      (keys) => keys.nextv(3),
      async (keys) => (await keys[Symbol.asyncIterator]().next()).value,
    ];
    for (const place of ['memtable', 'table', 'cache']) {
      if (place === 'table') await database.flush();
      for (const before of [0, 1, 8]) {
        for (const first of calls) {
          for (const second of calls) {
            const keys = database.keys({ keyEncoding: 'latin1' });
            for (let i = 0; i < before; i++) await keys.next();
            const outcomes = await Promise.allSettled([first(keys), second(keys)]);
            const given: unknown[] = [];
            for (const outcome of outcomes) {
              if (outcome.status === 'fulfilled') given.push(...[outcome.value].flat());
              else t.is((outcome.reason as QuadringError).code, 'BUSY');
            }
            // A loop that is refused closes the iterator: nothing more can be asked of it.
            if (database.stats().readers.iterators > 0) given.push(await keys.next());
            t.deepEqual(
              given,
              given.map((_, i) => keyOf(before + i)),
              `${place}, ${calls.indexOf(first)} and ${calls.indexOf(second)} after ${before}`,
            );
            await keys.close();
          }
        }
      }
    }
  },
);

testBackends('a seek while a call has not ended is BUSY, or counts', async (t, backend) => {
  const database = await open(t, backend);
  for (let i = 0; i < 60; i++) await database.put(keyOf(i), 'value', { sync: false });
  for (const begin of [0, 1]) {
    const keys = database.keys({ keyEncoding: 'latin1' });
    const first = begin === 0 ? keys.next() : keys.nextv(1);
    let expected = keyOf(1);
    try {
      keys.seek(keyOf(30));
      expected = keyOf(30);
    } catch (error) {
      t.is((error as QuadringError).code, 'BUSY');
    }
    t.deepEqual([await first].flat(), [keyOf(0)]);
    t.is(await keys.next(), expected);
    await keys.close();
  }
});

testBackends('after close everything is CLOSED, also what waits', async (t, backend) => {
  const database = await filled(t, backend);
  const iterator = database.iterator();
  const waiting = iterator.next();
  const closing = iterator.close();
  await expectCode(t, 'CLOSED', () => waiting);
  await closing;
  await iterator.close();
  await expectCode(t, 'CLOSED', () => iterator.next());
  await expectCode(t, 'CLOSED', () => iterator.nextv(1));
  await expectCode(t, 'CLOSED', () => iterator.seek('k'));
  await expectCode(t, 'CLOSED', () => iterator.batches().next());
  // What was made before is not handed out after.
  const begun = database.iterator();
  await begun.next();
  await begun.close();
  await expectCode(t, 'CLOSED', () => begun.next());
  await expectCode(t, 'CLOSED', () => begun.nextv(1));
  t.is(database.stats().readers.iterators, 0);
  t.is(database.stats().readers.oldestSequence, null);
  await whenNothingIsAhead(t, database);
});

testBackends('closing the database closes its iterators, also those that wait', async (t, backend) => {
  const database = await filled(t, backend);
  const iterator = database.iterator();
  const begun = database.keys();
  await begun.next();
  const waiting = iterator.nextv(5);
  const looping = (async () => {
    for await (const _ of database.values({ reverse: true }))
      await new Promise((resolve) => setImmediate(resolve));
  })();
  const closing = database.close();
  await expectCode(t, 'CLOSED', () => waiting);
  await expectCode(t, 'CLOSED', () => looping);
  await closing;
  await expectCode(t, 'CLOSED', () => begun.next());
  await expectCode(t, 'CLOSED', () => begun.seek('k'));
  await begun.close();
  for (const act of [
    () => database.iterator(),
    () => database.keys(),
    () => database.values(),
    () => database.snapshot(),
    () => database.has('k'),
    () => database.getMany([]),
  ])
    await expectCode(t, 'CLOSED', act);
});

testBackends('an aborted signal refuses what begins and ends what waits', async (t, backend) => {
  const database = await filled(t, backend);
  const reason = new Error('enough');
  const aborted = AbortSignal.abort(reason);
  for (const act of [
    () => database.iterator({ signal: aborted }),
    () => database.get('k', { signal: aborted }),
    () => database.getSync('k', { signal: aborted }),
    () => database.getMany(['k'], { signal: aborted }),
    () => database.has('k', { signal: aborted }),
  ])
    t.is((await expectCode(t, 'ABORTED', act)).cause, reason);
  t.is(database.stats().readers.iterators, 0);
  const controller = new AbortController();
  const { signal } = controller;
  const [cold, begun, looped] = [0, 1, 2].map(() => database.iterator({ signal }));
  await begun.next();
  const looping = (async () => {
    for await (const _ of looped) await new Promise((resolve) => setImmediate(resolve));
  })();
  const waiting = cold.next();
  controller.abort(reason);
  t.is((await expectCode(t, 'ABORTED', () => waiting)).cause, reason);
  t.is((await expectCode(t, 'ABORTED', () => looping)).cause, reason);
  await expectCode(t, 'ABORTED', () => begun.next());
  await expectCode(t, 'ABORTED', () => begun.nextv(1));
  t.is(database.stats().readers.iterators, 0);
  await Promise.all([cold, begun, looped].map((iterator) => iterator.close()));
  await whenNothingIsAhead(t, database);
  t.true(
    (await database.get(keyOf(1), { signal: new AbortController().signal }))?.equals(valueOf(VALUE_BYTES, 1)),
  );
});

testBackends('a loop closes its iterator, however it ends', async (t, backend) => {
  const database = await filled(t, backend);
  const open = (): number => database.stats().readers.iterators;
  for await (const _ of database.iterator()) t.is(open(), 1);
  t.is(open(), 0, 'at the end');
  for await (const _ of database.iterator()) break;
  t.is(open(), 0, 'after break');
  const thrown = (async () => {
    for await (const _ of database.values()) throw new Error('mine');
  })();
  await t.throwsAsync(thrown, { message: 'mine' });
  t.is(open(), 0, 'after a throw');
  for await (const _ of database.keys().batches(10)) break;
  t.is(open(), 0, 'batches, after break');
  for await (const _ of database.keys().batches()) t.is(open(), 1);
  t.is(open(), 0, 'batches, at the end');
  {
    await using iterator = database.iterator();
    await iterator.next();
    t.is(open(), 1);
  }
  t.is(open(), 0, 'await using');
  await whenNothingIsAhead(t, database);
});

testBackends('what was handed out stays valid when the database has moved on', async (t, backend) => {
  const database = await filled(t, backend, { ...COLD, writeBufferBytes: 65_536, blockCacheBytes: 65_536 });
  await database.put('memtable', valueOf(VALUE_BYTES, 7777));
  await database.put('large', valueOf(300_000, 8888));
  await database.flush();
  await database.put('memtable', valueOf(VALUE_BYTES, 9999));
  const entries: [Buffer, Buffer][] = [];
  for await (const entry of database.iterator()) entries.push(entry);
  const many = await database.getMany([...Array(50).keys()].map(keyOf));
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < ENTRIES; i++)
      void database.put(keyOf(i), valueOf(VALUE_BYTES, i + 1 + round), { sync: false });
    await database.put('memtable', 'x');
    await database.flush();
    for await (const _ of database.keys({ reverse: round === 1 })) continue;
  }
  await database.close();
  t.is(entries.length, ENTRIES + 2);
  const wrong = entries.filter(([key, value], i) => {
    if (i < ENTRIES) return key.toString() !== keyOf(i) || !value.equals(valueOf(VALUE_BYTES, i));
    return !value.equals(i === ENTRIES ? valueOf(300_000, 8888) : valueOf(VALUE_BYTES, 9999));
  });
  t.deepEqual(
    wrong.map(([key]) => key.toString()),
    [],
  );
  t.true(many.every((value, i) => value?.equals(valueOf(VALUE_BYTES, i)) === true));
});

testBackends(
  'writing to what was handed out changes neither the database nor other entries',
  async (t, backend) => {
    for (const place of ['memtable', 'table', 'cache', 'cache']) {
      const database = await open(t, backend, { ...COLD, blockCacheBytes: 1 << 20 });
      for (let i = 0; i < 40; i++) void database.put(keyOf(i), valueOf(150, i), { sync: false });
      await database.put('large', valueOf(20_000, 1));
      if (place !== 'memtable') await database.flush();
      if (place === 'cache') await database.getMany([...Array(40).keys()].map(keyOf));
      const kept: [Buffer, Buffer][] = [];
      for (let round = 0; round < 3; round++) {
        let i = 0;
        for await (const [key, value] of database.iterator()) {
          const expected = i === 40 ? valueOf(20_000, 1) : valueOf(150, i);
          t.true(
            value.equals(expected) && key.toString() === (i === 40 ? 'large' : keyOf(i)),
            `${place} ${i}`,
          );
          if (i % 3 === 1) kept.push([value, expected]);
          else [key, value].forEach((buffer) => buffer.fill(0xff));
          i++;
        }
        t.is(i, 41);
      }
      t.true(kept.every(([value, expected]) => value.equals(expected)));
      t.true(database.getSync(keyOf(3))?.equals(valueOf(150, 3)));
      await database.close();
    }
  },
);

testBackends(
  'a hundred iterators with room for two blocks ahead all come to their end',
  async (t, backend) => {
    const database = await filled(t, backend, { ...COLD, readAhead: { totalBytes: 8192 } });
    const wrong: string[] = [];
    const run = async (number: number): Promise<number> => {
      const reverse = number % 2 === 1;
      let count = 0;
      for await (const key of database.keys({ reverse, keyEncoding: 'latin1', fillCache: number % 3 > 0 })) {
        if (key !== keyOf(reverse ? ENTRIES - 1 - count : count)) wrong.push(`${number}: ${key}`);
        count++;
      }
      return count;
    };
    const counts = await Promise.all(Array.from({ length: 100 }, (_, number) => run(number)));
    t.true(counts.every((count) => count === ENTRIES));
    t.deepEqual(wrong, []);
    t.is(database.stats().readAhead.slotsMax, 2);
    await whenNothingIsAhead(t, database);
  },
);

testBackends('iterators that nobody moves do not keep others from reading ahead', async (t, backend) => {
  const database = await filled(t, backend, { ...COLD, readAhead: { totalBytes: 32_768 } });
  const idle = Array.from({ length: 10 }, (_, i) =>
    database.keys({ gte: keyOf(i * 50), keyEncoding: 'latin1' }),
  );
  for (const [i, iterator] of idle.entries()) t.is(await iterator.next(), keyOf(i * 50));
  const before = database.stats().readAhead;
  t.is(before.slotsMax, 8);
  t.true(before.slots >= 6, `${before.slots} of 8 slots are theirs`);
  for (let round = 0; round < 4; round++) {
    let passed = 0;
    for await (const _ of database.keys()) passed++;
    t.is(passed, ENTRIES);
  }
  const ahead = database.stats().readAhead.reads - before.reads;
  t.true(ahead > 300, `${ahead} blocks were read ahead`);
  await whenNothingIsAhead(t, database);
  // What was taken from them they read again.
  for (const [i, iterator] of idle.entries()) {
    const keys: string[] = [];
    while (keys.length < 99) keys.push(...(await iterator.nextv(99 - keys.length)));
    t.deepEqual(
      keys,
      Array.from({ length: 99 }, (_, at) => keyOf(i * 50 + 1 + at)),
    );
    await iterator.close();
  }
  await whenNothingIsAhead(t, database);
});

testBackends('a long run of deleted keys leaves the event loop its turns', async (t, backend) => {
  const database = await open(t, backend, { writeBufferBytes: 16 << 20 });
  const deleted = 100_000;
  await database.put('a', 'first', { sync: false });
  for (let from = 0; from < deleted; from += 10_000) {
    const dels = Array.from({ length: 10_000 }, (_, i) => ({ type: 'del' as const, key: keyOf(from + i) }));
    await database.batch(dels, { sync: false });
  }
  await database.put('z', 'last', { sync: false });
  for (const place of ['memtable', 'table']) {
    if (place === 'table') await database.flush();
    for (const reverse of [false, true]) {
      let turns = 0;
      let isRunning = true;
      const count = (): void => {
        turns++;
        if (isRunning) setTimeout(count, 0);
      };
      const iterator = database.keys({ keyEncoding: 'latin1', reverse });
      setTimeout(count, 0);
      const given = [await iterator.next(), await iterator.next(), await iterator.next()];
      isRunning = false;
      t.deepEqual(given, reverse ? ['z', 'a', undefined] : ['a', 'z', undefined]);
      t.true(turns >= 3, `${turns} timers fired meanwhile, ${place}`);
      await iterator.close();
    }
  }
});
