/** What a caller may do with the memory of values that it was given: nothing of it reaches anything else. */
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import type { Database } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';

const COUNT = 200;
const keyOf = (i: number): string => `key ${String(i).padStart(4, '0')}`;
const valueOf = (i: number): string => `value of ${i} `.padEnd(101 + (i % 3), 'v');

/** Tables of large blocks, read by a database whose cache has small ones. */
async function withLargeBlocks(t: ExecutionContext, backend: Backend): Promise<Database> {
  const directory = join(temporaryDirectory(t), 'db');
  const written = await openDatabase(t, directory, backend, { blockBytes: 65_536, writeBufferBytes: 65_536 });
  for (let i = 0; i < COUNT; i++) void written.put(keyOf(i), valueOf(i));
  await written.flush();
  await written.close();
  return openDatabase(t, directory, backend, { blockBytes: 4096, writeBufferBytes: 65_536 });
}

/** Sends the value's memory to another thread's end of a channel, if that may be. */
function sendAway(t: ExecutionContext, value: Buffer): void {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => {
    port1.close();
    port2.close();
  });
  try {
    port1.postMessage(value, [value.buffer as ArrayBuffer]);
  } catch (error) {
    // Some versions of Node refuse what others pass over.
    t.is((error as Error).name, 'DataCloneError');
  }
}

testBackends(
  'a value that is sent away took those beside it along, in a block beyond the cache',
  async (t, backend) => {
    const database = await withLargeBlocks(t, backend);
    const found: string[] = [];
    for await (const [key, value] of database.iterator()) {
      found.push(`${key.toString()}=${value.toString()}`);
      if (found.length === 1) sendAway(t, value);
    }
    const expected = Array.from({ length: COUNT }, (_, i) => `${keyOf(i)}=${valueOf(i)}`);
    t.deepEqual(found, expected);
    const iterator = database.iterator();
    const [first, ...others] = await iterator.nextv(10);
    sendAway(t, first[1]);
    t.deepEqual(
      others.map(([, value]) => value.toString()),
      Array.from({ length: 9 }, (_, i) => valueOf(i + 1)),
    );
    await iterator.close();
  },
);

testBackends('a small value does not keep the memory of a large block', async (t, backend) => {
  const database = await withLargeBlocks(t, backend);
  const bytesOf = (value: Buffer | undefined): number => value?.buffer.byteLength ?? 0;
  const most = 16_384;
  t.true(bytesOf(await database.get(keyOf(5))) < most);
  t.true(bytesOf(database.getSync(keyOf(6))) < most);
  for (const value of await database.getMany([keyOf(7)])) t.true(bytesOf(value) < most);
  t.is(database.getString(keyOf(5)), valueOf(5));
});

const LARGE_BYTES = 20_000;

/** Runs something while no memory is to be had for values of their own. */
async function withoutMemory(run: () => Promise<void>): Promise<void> {
  const { allocUnsafeSlow } = Buffer;
  Buffer.allocUnsafeSlow = (size) => {
    if (size === LARGE_BYTES) throw new RangeError('Array buffer allocation failed');
    return allocUnsafeSlow(size);
  };
  try {
    await run();
  } finally {
    Buffer.allocUnsafeSlow = allocUnsafeSlow;
  }
}

testBackends(
  'a read for whose value there is no memory kept later ones waiting for ever',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const options = { blockBytes: 65_536, blockCacheBytes: 0 };
    const database = await openDatabase(t, directory, backend, options);
    const keys = [...Array(8).keys()].map(keyOf);
    const large = (i: number): Buffer => Buffer.alloc(LARGE_BYTES, keys[i]);
    for (const [i, key] of keys.entries()) await database.put(key, large(i));
    await database.flush();
    const refusal = { instanceOf: RangeError };
    await withoutMemory(async () => {
      const both = [database.get(keys[0]), database.get(keys[0])];
      for (const reading of both) await t.throwsAsync(reading, refusal);
      await t.throwsAsync(database.getMany(keys), refusal);
      t.throws(() => database.getSync(keys[0]), refusal);
      t.true(await database.has(keys[0]));
    });
    t.deepEqual(
      await database.getMany(keys),
      keys.map((_, i) => large(i)),
    );
    for (const [i, key] of keys.entries()) t.deepEqual(await database.get(key), large(i));
    await database.close();
  },
);
