/** What scans ask of the disk: depth, and no more than their budget; and the same through the page cache. */
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

const ENTRIES = 2000;
const OPTIONS: DatabaseOptions = { blockBytes: 4096, blockCacheBytes: 1 << 20 };

async function fill(database: Database): Promise<void> {
  const operations = Array.from({ length: ENTRIES }, (_, i) => ({
    type: 'put' as const,
    key: keyOf(i),
    value: valueOf(400, i),
  }));
  await database.batch(operations);
  await database.flush();
}

async function count(items: AsyncIterable<unknown>): Promise<number> {
  let found = 0;
  for await (const _ of items) found++;
  return found;
}

testBackends('a scan through the page cache gives what one with O_DIRECT gives', async (t, backend) => {
  const directory = temporaryDirectory(t);
  for (const direct of [false, true]) {
    const database = await Database.open(directory, { ...OPTIONS, io: ioOf(backend, { direct }) });
    if (!direct) await fill(database);
    t.is(await count(database.keys()), ENTRIES);
    const { reads, inFlight, slots } = database.stats().readAhead;
    t.true(reads > 100, `${reads} blocks were read ahead`);
    t.is(inFlight, 0);
    t.is(slots, 0);
    await database.close();
  }
});

testBackends('the window and the budget bound what is under way', async (t, backend) => {
  const directory = temporaryDirectory(t);
  let database = await Database.open(directory, { ...OPTIONS, io: ioOf(backend) });
  await fill(database);
  await database.close();
  for (const [windowBytes, totalBytes, slotsMax] of [
    [0, 1 << 20, 0],
    [8 * 4096, 1 << 20, 8],
    [1 << 20, 3 * 4096, 3],
  ] as const) {
    const readAhead = { windowBytes, totalBytes };
    database = await Database.open(directory, { ...OPTIONS, readAhead, io: ioOf(backend) });
    const iterator = database.values();
    let most = 0;
    let found = 0;
    for (;;) {
      const items = await iterator.nextv(10);
      if (items.length === 0) break;
      found += items.length;
      most = Math.max(most, database.stats().readAhead.slots);
    }
    await iterator.close();
    t.is(found, ENTRIES);
    t.true(most <= slotsMax, `${most} slots, at most ${slotsMax} allowed`);
    if (slotsMax > 0) t.true(most > 0);
    await database.close();
  }
});

testBackends(
  'what is read ahead is given back where a scan passes over a table that is newer than its snapshot',
  async (t, backend) => {
    const database = await Database.open(temporaryDirectory(t), {
      ...OPTIONS,
      writeBufferBytes: 1 << 20,
      io: ioOf(backend),
    });
    const load = async (letter: string): Promise<void> => {
      const operations = Array.from({ length: 200 }, (_, i) => ({
        type: 'put' as const,
        key: `${letter}${keyOf(i)}`,
        value: valueOf(400, i),
      }));
      await database.batch(operations);
      await database.flush();
      await database.compactRange({ gte: letter, lt: `${letter}~` });
    };
    await load('a');
    await load('z');
    const snapshot = database.snapshot();
    await load('p');
    for (const reverse of [false, true]) {
      // Blocks are read again: the range of keys that is asked about in between is another's.
      t.is(await count(database.keys({ snapshot, reverse, fillCache: false })), 400);
      using cursor = database.cursor({ snapshot, reverse, fillCache: false });
      let entries = 0;
      while (cursor.next()) entries++;
      t.is(entries, 400);
      cursor.close();
      t.is(database.stats().readAhead.slots, 0);
    }
    snapshot.close();
    // A table that goes while a block of it is held would be the end of the database.
    for (let round = 0; round < 3; round++) await load('p');
    t.is(database.stats().failure, null);
    await database.close();
  },
);
