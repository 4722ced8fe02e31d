/**
 * Calls of a database from within another call, by a getter of an argument, and answers that come when nobody waits for them
 * any more: what belongs to one call must not be taken for another's.
 */
import test from 'ava';
import { QuadringError } from '../../src/index.ts';
import { ROLE_FOREGROUND } from '../../src/protocol/requests.ts';
import { HeldWorld } from '../support/held-world.ts';

test('a batch that is made while another is read leaves that one whole', async (t) => {
  const database = await new HeldWorld().open();
  const inner: Promise<unknown>[] = [];
  await database.batch([
    { type: 'put', key: 'a', value: '1' },
    {
      type: 'put',
      key: 'b',
      get value() {
        inner.push(database.batch([{ type: 'put', key: 'c', value: '3' }]));
        inner.push(database.deleteRange({ gte: 'x', lt: 'y' }));
        return '2';
      },
    },
  ]);
  await Promise.all(inner);
  t.deepEqual(
    ['a', 'b', 'c'].map((key) => database.getString(key)),
    ['1', '2', '3'],
  );
  // One that fails gives back what it worked with.
  await t.throwsAsync(() => database.batch([{ type: 'none' } as never]), { code: 'INVALID_ARGUMENT' });
  await database.batch([{ type: 'del', key: 'a' }]);
  t.is(database.getString('a'), undefined);
  await database.close();
});

test('a read that options make while a write looks at them leaves the write its key', async (t) => {
  const database = await new HeldWorld().open({ writeBufferBytes: 65_536, blockCacheBytes: 0 });
  const reading = <Options extends object>(name: string, value: unknown): Options =>
    Object.defineProperty({}, name, {
      enumerable: true,
      get: () => {
        database.getSync('another');
        return value;
      },
    }) as Options;
  await database.put('put', '1', reading('sync', true));
  await database.put('deleted', '2');
  await database.del('deleted', reading('signal', undefined));
  await database.flush();
  t.is(database.getString('put'), '1');
  t.is(database.getString('deleted'), undefined);
  t.is(database.getString('another'), undefined);
  t.is((await database.get('put', reading('fillCache', false)))?.toString(), '1');
  t.is(database.getSync('put', reading('fillCache', false))?.toString(), '1');
  t.true(await database.has('put', reading('fillCache', false)));
  await database.close();
});

test('a read that a list of keys makes while it is gone through leaves each key its value', async (t) => {
  for (const blockCacheBytes of [0, 1 << 20]) {
    const database = await new HeldWorld().open({
      writeBufferBytes: 65_536,
      blockBytes: 4096,
      blockCacheBytes,
    });
    const keys = Array.from({ length: 30 }, (_, i) => `key ${String(i).padStart(2, '0')}`);
    const fill = async (round: string, some: readonly string[]): Promise<void> => {
      for (const key of some) await database.put(key, `${round} ${key} `.padEnd(1500, 'v'));
      await database.flush();
    };
    await fill('old', keys);
    await fill('new', keys.slice(10, 20));
    const expected = keys.map((key, i) => `${i >= 10 && i < 20 ? 'new' : 'old'} ${key} `.padEnd(1500, 'v'));
    const asking = [...keys, ...keys];
    for (const [at, asked] of [
      [5, 0],
      [13, 12],
      [33, 3],
    ] as const) {
      Object.defineProperty(asking, at, {
        enumerable: true,
        get: () => {
          t.is(database.getSync(keys[asked])?.toString(), expected[asked]);
          return keys[at % keys.length];
        },
      });
    }
    const values = await database.getMany(asking);
    t.deepEqual(
      values.map((value) => value?.toString()),
      [...expected, ...expected],
    );
    Object.defineProperty(asking, 41, {
      get: () => {
        throw new RangeError('of a getter');
      },
    });
    await t.throwsAsync(async () => database.getMany(asking), { message: 'of a getter' });
    await database.close();
  }
});

test('what a key or a value would do when it is asked what it is, it is not asked', async (t) => {
  const database = await new HeldWorld().open();
  let asked = 0;
  const interfere = (): void => {
    asked++;
    database.getSync('another');
    void database.put('written within', 'x');
  };
  class Asking extends Uint8Array {
    override get length(): number {
      interfere();
      return super.length;
    }
  }
  const askedForItsPrototype = (): Uint8Array =>
    Object.setPrototypeOf(
      new Uint8Array([1, 2, 3]),
      new Proxy(Uint8Array.prototype, {
        getPrototypeOf: () => {
          interfere();
          return Object.prototype;
        },
      }),
    ) as Uint8Array;
  for (const bytes of [new Asking([1, 2, 3]), askedForItsPrototype()]) {
    await database.put('put', bytes);
    await database.put(bytes, 'key');
    await database.batch([{ type: 'put', key: 'batch', value: bytes }]);
    await database.batch().put('chained', bytes).write();
    for (const key of ['put', 'batch', 'chained']) {
      t.deepEqual(database.getSync(key), Buffer.from([1, 2, 3]));
      await database.del(key);
    }
    t.is(database.getString(Buffer.from([1, 2, 3])), 'key');
    t.is(database.getInto(Buffer.from([1, 2, 3]), bytes), 3);
    t.deepEqual(Buffer.from(bytes.buffer), Buffer.from('key'));
    bytes.set([1, 2, 3]);
  }
  t.is(asked, 0);
  t.is(database.getString('written within'), undefined);
  await database.close();
});

test('a synchronous read that was given up wrote into the caller’s memory when its answer came', async (t) => {
  const world = new HeldWorld();
  const { environment } = world;
  let isLate = false;
  const database = await world.open(
    { writeBufferBytes: 65_536, blockCacheBytes: 0 },
    {
      ...environment,
      acquireCrew: async (settings) => {
        const crew = await environment.acquireCrew(settings);
        const wait = crew.waitForCompletions.bind(crew);
        crew.waitForCompletions = (hasCompletions, timeoutMs) => {
          if (isLate) throw new QuadringError('WORKER_FAILED', 'it has not moved');
          wait(hasCompletions, timeoutMs);
        };
        return crew;
      },
    },
  );
  await database.put('key', 'value');
  await database.flush();
  world.hold(ROLE_FOREGROUND);
  isLate = true;
  const target = new Uint8Array(5);
  t.throws(() => database.getInto('key', target), { code: 'WORKER_FAILED' });
  isLate = false;
  world.release(ROLE_FOREGROUND);
  // Behind it in the same queue.
  t.is((await database.get('key'))?.toString(), 'value');
  t.deepEqual(target, new Uint8Array(5), 'it is the caller’s');
  t.is(database.getInto('key', target), 5);
  t.is(Buffer.from(target).toString(), 'value');
  await database.close();
});
