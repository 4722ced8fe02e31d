/** Iterators, clear, snapshots and sublevels over tables and memory at once, as abstract-level hands them out. */
import { join } from 'node:path';
import { AbstractSnapshot } from 'abstract-level';
import type { ExecutionContext } from 'ava';
import type { QuadringLevel } from '../../src/level.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { keyOf } from '../support/values.ts';
import { errorOf, openLevel } from './levels.ts';

const ENTRIES = 3000;

/** Of every three entries one is in an old table, one in a newer table and one in memory; older versions lie below. */
async function layeredLevel(t: ExecutionContext, backend: Backend): Promise<QuadringLevel> {
  const level = await openLevel(t, join(temporaryDirectory(t), 'db'), backend, { writeBufferBytes: 1 << 20 });
  const layer = async (step: number, name: string): Promise<void> => {
    for (let i = 0; i < ENTRIES; i++) {
      if (i % 3 >= step) void level.put(keyOf(i), `${name} ${i}`, { sync: false });
    }
    await level.put('~', name);
  };
  await layer(0, 'old');
  await level.flush();
  await layer(1, 'newer');
  await level.flush();
  await layer(2, 'memory');
  await level.del('~');
  return level;
}

function entryAt(i: number): [string, string] {
  return [keyOf(i), `${['old', 'newer', 'memory'][i % 3]} ${i}`];
}

const ALL = Array.from({ length: ENTRIES }, (_, i) => entryAt(i));

testBackends('iterators hand out tables and memory as one, in every encoding', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  t.deepEqual(await level.iterator().all(), ALL);
  t.deepEqual(await level.iterator({ reverse: true }).all(), ALL.toReversed());
  t.deepEqual(
    await level.keys().all(),
    ALL.map(([key]) => key),
  );
  t.deepEqual(
    await level.values().all(),
    ALL.map(([, value]) => value),
  );
  const buffers = await level.iterator({ keyEncoding: 'buffer', valueEncoding: 'buffer' }).all();
  t.true(buffers.flat().every((part) => Buffer.isBuffer(part)));
  t.deepEqual(buffers.map(String), ALL.map(String));
  const views = level.iterator<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' });
  for await (const [key, value] of views) {
    if (!(key instanceof Uint8Array && value instanceof Uint8Array)) t.fail('a view is a Uint8Array');
  }
  t.is(views.count, ENTRIES);
});

testBackends('next, nextv and all go on where the other stopped', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  const iterator = level.iterator({ gte: keyOf(100), lt: keyOf(2900), limit: 2500 });
  const found = [(await iterator.next())!, (await iterator.next())!];
  for (let i = 0; i < 20; i++) {
    const some = await iterator.nextv(17);
    t.true(some.length > 0 && some.length <= 17);
    found.push(...some);
  }
  found.push((await iterator.next())!, ...(await iterator.all()));
  t.deepEqual(found, ALL.slice(100, 2600));
});

testBackends('an iterator sees the database as it was when it was made', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  const iterator = level.iterator();
  const first = await iterator.next();
  await level.clear();
  await level.put(keyOf(1), 'later');
  await level.flush();
  t.deepEqual([first!, ...(await iterator.all())], ALL);
  t.deepEqual(await level.iterator().all(), [[keyOf(1), 'later']]);
});

testBackends('a seek out of the range reaches the end, and one back into it goes on', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  for (const reverse of [false, true]) {
    const range = { gt: keyOf(10), lte: keyOf(20), reverse };
    for (const iterator of [level.keys(range), level.keys({ ...range, gte: keyOf(11), gt: keyOf(15) })]) {
      for (const target of ['', keyOf(9), keyOf(10), keyOf(20) + '\0', keyOf(21), '~']) {
        iterator.seek(target);
        t.is(await iterator.next(), undefined, `${target}, next`);
        t.deepEqual(await iterator.nextv(5), [], `${target}, nextv`);
      }
      iterator.seek(keyOf(15));
      t.deepEqual(await iterator.nextv(2), reverse ? [keyOf(15), keyOf(14)] : [keyOf(15), keyOf(16)]);
      iterator.seek(`${keyOf(15)}!`);
      t.is(await iterator.next(), reverse ? keyOf(15) : keyOf(16));
      iterator.seek(Buffer.from(keyOf(20)), { keyEncoding: 'buffer' });
      t.is(await iterator.next(), keyOf(20));
      await iterator.close();
    }
  }
});

testBackends('bounds and targets are compared as bytes, not as UTF-16', async (t, backend) => {
  const level = await openLevel(t, join(temporaryDirectory(t), 'db'), backend);
  // In UTF-8 the first is less than the second, in UTF-16 it is greater.
  const [low, high] = ['\uffe0', '\u{10400}'];
  await level.batch([
    { type: 'put', key: low, value: 'low' },
    { type: 'put', key: high, value: 'high' },
  ]);
  t.deepEqual(await level.keys().all(), [low, high]);
  const iterator = level.keys({ gt: low });
  iterator.seek(high);
  t.is(await iterator.next(), high);
  iterator.seek(low);
  t.is(await iterator.next(), undefined);
});

testBackends('an iterator of halves leaves the other half out', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  const range = { gte: keyOf(5), limit: 3, reverse: true, lt: keyOf(100) };
  const expected = ALL.slice(97, 100).toReversed();
  const keysOnly = level.iterator({ ...range, values: false });
  t.deepEqual(
    (await keysOnly.all()).map(([key, value]) => [key, value as unknown]),
    expected.map(([key]) => [key, undefined]),
  );
  const valuesOnly = level.iterator({ ...range, keys: false });
  t.deepEqual(
    (await valuesOnly.all()).map(([key, value]) => [key as unknown, value]),
    expected.map(([, value]) => [undefined, value]),
  );
  const neither = level.iterator({ ...range, keys: false, values: false });
  t.is((await neither.all()).flat().filter((part) => part !== undefined).length, 0);
  t.is(neither.count, 3);
});

testBackends('an aborted signal ends a read under way and all that come after it', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  for (const read of ['next', 'nextv', 'all'] as const) {
    const controller = new AbortController();
    const iterator = level.iterator({ signal: controller.signal });
    await iterator.nextv(10);
    const reading = iterator[read](100);
    controller.abort();
    const error = await errorOf(() => reading);
    t.is(error.code, 'LEVEL_ABORTED', read);
    t.is(error.name, 'AbortError', read);
    if (read !== 'all') {
      t.is((await errorOf(() => iterator.next())).code, 'LEVEL_ABORTED', read);
      t.is((await errorOf(() => iterator.seek(keyOf(1)))).code, 'LEVEL_ABORTED', read);
    }
    await iterator.close();
  }
});

testBackends('clear takes a range, its end, and a limit', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  await level.clear({ gte: keyOf(1000), lt: keyOf(2900), limit: 1500 });
  const left = [...ALL.slice(0, 1000), ...ALL.slice(2500)];
  t.deepEqual(await level.iterator().all(), left);
  await level.clear({ gt: keyOf(10), reverse: true, limit: 500 });
  left.length -= 500;
  t.deepEqual(await level.iterator().all(), left);
  await level.clear({ limit: 0 });
  t.is((await level.keys().all()).length, left.length);
  await level.flush();
  await level.clear();
  t.deepEqual(await level.keys().all(), []);
});

testBackends('clear of a whole range is one deletion, of whatever order and encoding', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  const expectCleared = async (clear: () => Promise<void>, left: unknown[]): Promise<void> => {
    const { lastSequence } = level.stats();
    await clear();
    t.is(level.stats().lastSequence, lastSequence + 1);
    t.deepEqual(await level.iterator().all(), left);
  };
  const reversed = { gte: keyOf(10), lt: keyOf(2000), reverse: true };
  await expectCleared(() => level.clear(reversed), [...ALL.slice(0, 10), ...ALL.slice(2000)]);
  // `gte` and `lte` take precedence.
  const both = { gt: keyOf(5), gte: keyOf(2), lt: keyOf(1), lte: keyOf(2990), limit: Infinity };
  await expectCleared(() => level.clear(both), [...ALL.slice(0, 2), ...ALL.slice(2991)]);
  const bytes = { gt: Buffer.from(keyOf(2990)), lte: Buffer.from(keyOf(2998)), keyEncoding: 'buffer' };
  await expectCleared(() => level.clear(bytes), [...ALL.slice(0, 2), ...ALL.slice(2999)]);
  await expectCleared(() => level.clear({ limit: -1 }), []);
  const { lastSequence } = level.stats();
  await level.clear({ gt: 'b', lt: 'a' });
  t.is(level.stats().lastSequence, lastSequence);
});

testBackends('clear leaves what the snapshot has not, and what came after the call', async (t, backend) => {
  const level = await layeredLevel(t, backend);
  const snapshot = level.snapshot();
  await level.put('new', '1');
  await level.clear({ snapshot });
  t.deepEqual(await level.iterator().all(), [['new', '1']]);
  t.deepEqual(await level.iterator({ snapshot }).all(), ALL);
  await snapshot.close();
  const clearing = level.clear();
  const putting = level.put('newer', '2');
  await Promise.all([clearing, putting]);
  t.deepEqual(await level.iterator().all(), [['newer', '2']]);
});

testBackends('sublevels read from explicit snapshots, their own and their parent’s', async (t, backend) => {
  const level = await openLevel(t, join(temporaryDirectory(t), 'db'), backend);
  const first = level.sublevel<string, number>('first', { valueEncoding: 'json' });
  const nested = first.sublevel<Buffer, string>('nested', { keyEncoding: 'buffer' });
  await first.batch([
    { type: 'put', key: 'a', value: 1 },
    { type: 'put', key: 'b', value: 2 },
  ]);
  await nested.put(Buffer.from([0, 255]), 'n');
  const snapshots = [level.snapshot(), first.snapshot(), nested.snapshot()];
  await level.flush();
  await first.clear();
  await first.put('c', 3);
  for (const snapshot of snapshots) {
    t.deepEqual(await first.iterator({ snapshot, gte: 'a' }).all(), [
      ['a', 1],
      ['b', 2],
    ]);
    t.is(await first.get('b', { snapshot }), 2);
    t.is(first.getSync('c', { snapshot }), undefined);
    t.deepEqual(await first.getMany(['c', 'a'], { snapshot }), [undefined, 1]);
    t.deepEqual(await nested.keys({ snapshot }).all(), [Buffer.from([0, 255])]);
    t.true(await nested.has(Buffer.from([0, 255]), { snapshot }));
  }
  t.deepEqual(await first.iterator().all(), [['c', 3]]);
  // A sublevel closes the snapshots that were made of it, and no others.
  await first.close();
  t.is((await errorOf(() => level.get('x', { snapshot: snapshots[1] }))).code, 'LEVEL_SNAPSHOT_NOT_OPEN');
  t.is(await level.get('!first!a', { snapshot: snapshots[0] }), '1');
});

testBackends('a snapshot of another database is refused', async (t, backend) => {
  const root = temporaryDirectory(t);
  const level = await openLevel(t, join(root, 'one'), backend);
  const other = await openLevel(t, join(root, 'other'), backend);
  const Foreign = AbstractSnapshot as unknown as new (options: { owner: object }) => AbstractSnapshot;
  for (const snapshot of [other.snapshot(), new Foreign({ owner: other })]) {
    for (const act of [
      () => level.get('a', { snapshot }),
      () => level.getSync('a', { snapshot }),
      () => level.getMany(['a'], { snapshot }),
      () => level.has('a', { snapshot }),
      () => level.iterator({ snapshot }),
      () => level.clear({ snapshot }),
    ]) {
      t.is((await errorOf(act)).code, 'INVALID_ARGUMENT');
    }
  }
});
