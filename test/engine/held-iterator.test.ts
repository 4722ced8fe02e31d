/**
 * Readers that stay open while a million writes go by: an iterator in each direction and a snapshot see their moment and
 * nothing else, over many flushes. `QUADRING_HELD_WRITES=<number>` sets how many writes.
 */
import { join } from 'node:path';
import type { BatchOperation, Database, ScanIterator, Snapshot } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf } from '../support/values.ts';

const WRITES = Number(process.env['QUADRING_HELD_WRITES'] ?? 1_000_000);
const KEYS = 30_000;
const BATCH = 1000;
const FLUSHES_MIN = 10;
const WRITE_BUFFER_BYTES = 2 << 20;

type Entries = ScanIterator<[string, string]>;

/** The value of a key, told from every other by its version; −1 is a deletion. */
function textOf(key: number, version: number): string {
  return `${key}.${version}.${'x'.repeat((key * 7 + version * 13) % 90)}`;
}

/** Keys and the versions that they have. */
class History {
  readonly versions = new Int32Array(KEYS).fill(-1);
  writes = 0;
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  randomKey(): number {
    return this.#random.below(KEYS);
  }

  async writeBatch(database: Database, nextKey: () => number): Promise<void> {
    const operations: BatchOperation[] = [];
    for (let i = 0; i < BATCH; i++) {
      const key = nextKey();
      const version = this.#random.oneIn(8) ? -1 : ++this.writes;
      this.versions[key] = version;
      operations.push(
        version < 0
          ? { type: 'del', key: keyOf(key) }
          : { type: 'put', key: keyOf(key), value: textOf(key, version) },
      );
    }
    await database.batch(operations, { sync: false });
  }
}

/** An iterator beside what it must give. */
class Held {
  readonly #iterator: Entries;
  readonly #versions: Int32Array;
  readonly #step: number;
  #key: number;
  given = 0;

  constructor(iterator: Entries, versions: Int32Array, isReverse: boolean) {
    this.#iterator = iterator;
    this.#versions = versions.slice();
    this.#step = isReverse ? -1 : 1;
    this.#key = isReverse ? KEYS - 1 : 0;
  }

  /** False at the end. */
  async take(count: number): Promise<boolean> {
    const entries = await this.#iterator.nextv(count);
    for (const entry of entries) this.#expect(entry);
    if (entries.length > 0) return true;
    this.#pass();
    if (this.#key >= 0 && this.#key < KEYS) throw new Error(`it ended before ${keyOf(this.#key)}`);
    return false;
  }

  #expect([key, value]: [string, string]): void {
    this.#pass();
    const expected = textOf(this.#key, this.#versions[this.#key]);
    if (key !== keyOf(this.#key) || value !== expected)
      throw new Error(
        `${key} = ${value.slice(0, 20)} instead of ${keyOf(this.#key)} = ${expected.slice(0, 20)}`,
      );
    this.#key += this.#step;
    this.given++;
  }

  /** What was deleted at that moment. */
  #pass(): void {
    while (this.#versions[this.#key] === -1) this.#key += this.#step;
  }
}

async function expectSnapshot(
  database: Database,
  snapshot: Snapshot,
  versions: Int32Array,
  keys: readonly number[],
): Promise<void> {
  const values = await database.getMany(keys.map(keyOf), { snapshot });
  keys.forEach((key, i) => {
    const version = versions[key];
    const expected = version < 0 ? undefined : textOf(key, version);
    if (values[i]?.toString() !== expected) throw new Error(`the snapshot sees another ${keyOf(key)}`);
  });
}

testBackends(`readers see their moment while ${WRITES} writes go by`, async (t, backend) => {
  t.timeout(600_000);
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, {
    writeBufferBytes: WRITE_BUFFER_BYTES,
    blockCacheBytes: 4 << 20,
  });
  const history = new History(seed);
  let inOrder = 0;
  for (let i = 0; i < KEYS / BATCH; i++) await history.writeBatch(database, () => inOrder++);
  await database.flush();
  // The moments lie in the middle of a memtable, over one that is flushed already.
  for (let i = 0; i < 5; i++) await history.writeBatch(database, () => history.randomKey());
  const text = { keyEncoding: 'latin1', valueEncoding: 'latin1' } as const;
  const forward = new Held(database.iterator(text), history.versions, false);
  await forward.take(10);
  await history.writeBatch(database, () => history.randomKey());
  const snapshot = database.snapshot();
  const momentOfSnapshot = history.versions.slice();
  await history.writeBatch(database, () => history.randomKey());
  const backward = new Held(database.iterator({ ...text, reverse: true }), history.versions, true);
  await backward.take(10);

  const { flushes } = database.stats().flushes;
  const batches = Math.ceil(WRITES / BATCH);
  // Half while writes go by, the rest when they have.
  const share = Math.ceil(KEYS / 2 / batches);
  for (let batch = 0; batch < batches; batch++) {
    const writing = history.writeBatch(database, () => history.randomKey());
    if (forward.given < KEYS / 2) await forward.take(share);
    if (batch % 2 === 0 && backward.given < KEYS / 2) await backward.take(share * 2);
    if (batch % 10 === 0) {
      const keys = Array.from({ length: 8 }, () => history.randomKey());
      await expectSnapshot(database, snapshot, momentOfSnapshot, keys);
    }
    await writing;
  }
  const held = database.stats();
  t.true(held.flushes.flushes - flushes >= Math.min(FLUSHES_MIN, WRITES / 20_000));
  t.deepEqual([held.readers.iterators, held.readers.snapshots], [2, 1]);
  while (await forward.take(1000)) continue;
  while (await backward.take(997)) continue;
  const everyKey = Array.from({ length: KEYS }, (_, key) => key);
  for (let from = 0; from < KEYS; from += 5000)
    await expectSnapshot(database, snapshot, momentOfSnapshot, everyKey.slice(from, from + 5000));
  const again = new Held(database.iterator({ ...text, snapshot }), momentOfSnapshot, false);
  while (await again.take(1000)) continue;
  const newest = new Held(database.iterator(text), history.versions, false);
  while (await newest.take(1000)) continue;
  const given = [forward, backward, again, newest].map((each) => each.given);
  t.log(
    `${held.flushes.flushes - flushes} flushes, ${held.levels[0]?.tables} tables; entries ${given.join(', ')}`,
  );
  t.true(given.every((count) => count > KEYS / 2));
  snapshot.close();
});
