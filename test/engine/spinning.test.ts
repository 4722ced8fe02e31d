/** A caller's thread that spins: it looks for answers in its event loop, and leaves everybody else their turns. */
import { join } from 'node:path';
import { mock } from 'node:test';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';

const SPINNING = { blockCacheBytes: 0, io: { spinMicroseconds: 1000 } };
const keyOf = (i: number): string => `key ${i}`;

testBackends('one operation after another, and two at once, are answered', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SPINNING);
  for (let i = 0; i < 200; i++) await database.put(keyOf(i), `value ${i}`);
  await database.flush();
  for (let i = 0; i < 200; i++) t.is((await database.get(keyOf(i)))?.toString(), `value ${i}`);
  for (let i = 0; i < 100; i++) {
    const both = await Promise.all([database.get(keyOf(i)), database.put(keyOf(i), 'written again')]);
    t.is(both[0]?.toString(), `value ${i}`);
    t.is(database.getSync(keyOf(i))?.toString(), 'written again', 'a synchronous read in between');
  }
});

testBackends('a synchronous read takes what the event loop was looking for', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SPINNING);
  await database.put('a', '1');
  await database.put('b', '2');
  await database.flush();
  for (let i = 0; i < 100; i++) {
    const a = database.get('a');
    t.is(database.getSync('b')?.toString(), '2');
    t.is((await a)?.toString(), '1');
  }
});

testBackends('timers and immediates of others have their turns', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SPINNING);
  let ticks = 0;
  let immediates = 0;
  const timer = setInterval(() => ticks++, 1);
  const again = (): void => {
    immediates += 1;
    if (ticks < 20) setImmediate(again);
  };
  setImmediate(again);
  let puts = 0;
  while (ticks < 20) {
    await database.put(keyOf(puts), 'value');
    puts += 1;
  }
  clearInterval(timer);
  t.true(puts > 0);
  t.true(immediates > puts, `${immediates} turns of the event loop and ${puts} puts`);
});

testBackends('a database closes while its caller looks for an answer', async (t, backend) => {
  for (let i = 0; i < 5; i++) {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SPINNING);
    const put = database.put('key', 'value');
    await database.close();
    await put;
  }
  t.pass();
});

testBackends('timers that a test puts in place of the real ones hold up nothing', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SPINNING);
  mock.timers.enable({ apis: ['setImmediate', 'setTimeout', 'setInterval'] });
  try {
    for (let i = 0; i < 20; i++) await database.put(keyOf(i), 'value');
  } finally {
    mock.timers.reset();
  }
  t.is((await database.get(keyOf(19)))?.toString(), 'value');
});

testBackends(
  'a target that says it has more room than it has is filled, and the block left to others',
  async (t, backend) => {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SPINNING);
    await database.put('key', 'a value of some thirty bytes or so');
    await database.flush();
    const short = Object.defineProperty(new Uint8Array(5), 'length', { value: 100 });
    t.is(database.getInto('key', short), 34);
    t.is(Buffer.from(short.buffer).toString(), 'a val');
    t.is((await database.get('key'))?.toString(), 'a value of some thirty bytes or so');
  },
);
