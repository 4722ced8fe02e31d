/** What scans ask of the disk: advice through the page cache, depth, and no more than their budget. */
import test from 'ava';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { OPCODE_FADVISE, OPCODE_READ } from '../../src/workers/ring.ts';
import { testBackends } from '../support/backends.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { ioOf } from '../support/io-setting.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { Random } from '../support/random.ts';
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

for (const direct of [false, true]) {
  test(`a table is announced to the kernel once, with the first reads ahead: O_DIRECT ${direct}`, async (t) => {
    const disk = new SimulatedDisk();
    const steps: number[] = [];
    const random = new Random(1);
    const options = { ...OPTIONS, io: { direct } };
    const open = (): Promise<Database> =>
      Database.openIn(
        simulatedWorld({ disk, random: () => random.fraction(), onStep: ({ opcode }) => steps.push(opcode) })
          .environment,
        SIMULATED_DIRECTORY,
        options,
      );
    let database = await open();
    await fill(database);
    await database.close();
    database = await open();
    steps.length = 0;
    t.is(await count(database.iterator()), ENTRIES);
    t.is(await count(database.iterator({ reverse: true })), ENTRIES);
    const advice = steps.filter((opcode) => opcode === OPCODE_FADVISE).length;
    t.is(advice, direct ? 0 : 1);
    // Reads that are asked for in the same moment may overtake it.
    const before = steps.slice(0, steps.indexOf(OPCODE_FADVISE));
    const reads = before.filter((opcode) => opcode === OPCODE_READ).length;
    if (!direct) t.true(reads < 4, `${reads} reads came before the advice`);
    await database.close();
  });
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
