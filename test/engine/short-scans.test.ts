/**
 * Scans of few entries, which read cached blocks in place: many at once, over keys whose versions fill several blocks,
 * with fewer slots than blocks, so that the cache takes from under them whatever they do not hold on to.
 */
import test from 'ava';
import { Database, type Snapshot } from '../../src/index.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../support/simulated-environment.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';
import { VersionModel } from '../support/version-model.ts';

const KEYS = 9;
const ROUNDS = 60;
const VALUE_BYTES = 2500;
const SCANS = 1500;
const AT_ONCE = 12;

interface Moment {
  readonly snapshot: Snapshot;
  readonly at: number;
}

/** One scan from its beginning to its end, or to where it is given up. */
async function scan(database: Database, model: VersionModel, { snapshot, at }: Moment, random: Random) {
  const range = {
    reverse: random.oneIn(2),
    limit: random.between(1, KEYS + 1),
    gte: keyOf(random.below(KEYS)),
    lt: keyOf(random.between(1, KEYS + 1)),
  };
  const expected = model.entries(range, at).slice(0, range.limit);
  const iterator = database.iterator({ ...range, snapshot, fillCache: !random.oneIn(4) });
  let given = 0;
  for (;;) {
    const items = await iterator.nextv(random.between(1, 3));
    for (const [key, value] of items) {
      const entry = expected[given++];
      if (entry?.[0].equals(key) !== true || !entry[1].equals(value))
        throw new Error(`${JSON.stringify(range)} at ${at}: entry ${given - 1} is ${key.toString()}`);
    }
    if (items.length === 0) break;
    if (random.oneIn(20)) return iterator.close();
    // Others go on meanwhile, and their blocks come.
    for (let turns = random.below(40); turns > 0; turns--) await Promise.resolve();
  }
  if (given !== expected.length) throw new Error(`${given} of ${expected.length} entries`);
  return iterator.close();
}

for (const [blockBytes, slots] of [
  [65_536, 16],
  [4096, 256],
] as const) {
  test.serial(`short scans beside each other, ${slots} slots of ${blockBytes} bytes`, async (t) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const random = new Random(seed);
    const disk = new FaultyDisk(random);
    const { environment } = simulatedWorld({ disk, random: () => random.fraction() });
    const database = await Database.openIn(environment, SIMULATED_DIRECTORY, {
      writeBufferBytes: 4 << 20,
      blockBytes,
      blockCacheBytes: 1 << 20,
    });
    const model = new VersionModel();
    const moments: Moment[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < KEYS; i++) {
        const value = random.oneIn(9) ? undefined : valueOf(VALUE_BYTES, round * KEYS + i);
        model.write({ key: Buffer.from(keyOf(i)), value });
        await (value === undefined ? database.del(keyOf(i)) : database.put(keyOf(i), value));
      }
      moments.push({ snapshot: database.snapshot(), at: model.now });
      if (round % 25 === 24) await database.flush();
    }
    await database.flush();
    const blocks = (await database.approximateSize({})) / blockBytes;
    t.true(blocks > slots, `${blocks} blocks`);
    let left = SCANS;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await scan(database, model, moments[random.below(ROUNDS)], random);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const { evictions } = database.stats().cache;
    t.log(`${evictions} evictions`);
    t.true(evictions > SCANS / 10);
    for (const { snapshot } of moments) snapshot.close();
    await database.close();
  });
}
