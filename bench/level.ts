/**
 * What the abstract-level layer costs over the core: the same reads, writes and scans through both. Benchmarks only.
 *
 *     node dist/bench/level.js [--rounds 7] [--backend auto]
 *
 * Keys of 16 bytes, values of 100, as strings unless a figure says otherwise; all of it in memory or in the cache, where
 * a layer's cost shows. The two arms alternate within each round, and each round gives a ratio of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import { Database, type DatabaseOptions } from '../src/index.ts';
import { QuadringLevel } from '../src/level.ts';
import { describeMachine, Figures } from './support/measure.ts';

const KEYS = 100_000;
const READS = 100_000;
const WRITES = 20_000;
const BATCH = 100;
const VALUE = 'v'.repeat(100);
const STRINGS = { keyEncoding: 'utf8', valueEncoding: 'utf8' } as const;
const BYTES = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;
const LATER = { sync: false } as const;

const args = commandLine('bench:level', { rounds: { type: 'string' }, backend: { type: 'string' } });
const rounds = Number(args.rounds ?? 7);
const options: DatabaseOptions = {
  writeBufferBytes: 64 << 20,
  blockCacheBytes: 64 << 20,
  io: { backend: (args.backend ?? 'auto') as 'auto' | 'uring' | 'syscall' },
};
const figures = new Figures();
const root = mkdtempSync(join(tmpdir(), 'quadring-bench-level-'));
const keys = Array.from({ length: KEYS }, (_, i) => `key:${String(i).padStart(12, '0')}`);

/** One thing to do, by both ways; it returns how many times it was done. */
interface Contest {
  readonly name: string;
  readonly core: (database: Database) => number | Promise<number>;
  readonly level: (level: QuadringLevel) => number | Promise<number>;
}

async function count(items: AsyncIterable<unknown>): Promise<number> {
  let seen = 0;
  for await (const _ of items) seen++;
  return seen;
}

interface InPieces {
  nextv(size: number): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

async function countPieces(iterator: InPieces): Promise<number> {
  let seen = 0;
  for (let items = await iterator.nextv(1000); items.length > 0; items = await iterator.nextv(1000)) {
    seen += items.length;
  }
  await iterator.close();
  return seen;
}

async function repeat(times: number, act: (i: number) => Promise<unknown>): Promise<number> {
  for (let i = 0; i < times; i++) await act(i);
  return times;
}

const READING: readonly Contest[] = [
  {
    name: 'getSync',
    core: (database) => {
      for (let i = 0; i < READS; i++) database.getString(keys[i]);
      return READS;
    },
    level: (level) => {
      for (let i = 0; i < READS; i++) level.getSync(keys[i]);
      return READS;
    },
  },
  {
    name: 'await get',
    core: (database) => repeat(READS, async (i) => (await database.get(keys[i]))?.toString()),
    level: (level) => repeat(READS, (i) => level.get(keys[i])),
  },
  {
    name: 'await get, bytes by an option',
    core: (database) => repeat(READS, (i) => database.get(keys[i])),
    level: (level) => repeat(READS, (i) => level.get<string, Buffer>(keys[i], { valueEncoding: 'buffer' })),
  },
  {
    name: `getMany of ${BATCH}, per key`,
    core: async (database) => {
      for (let i = 0; i < READS; i += BATCH) {
        (await database.getMany(keys.slice(i, i + BATCH))).map((value) => value?.toString());
      }
      return READS;
    },
    level: async (level) => {
      for (let i = 0; i < READS; i += BATCH) await level.getMany(keys.slice(i, i + BATCH));
      return READS;
    },
  },
  {
    name: 'for await of entries',
    core: (database) => count(database.iterator(STRINGS)),
    level: (level) => count(level.iterator()),
  },
  {
    name: 'for await of entries, bytes',
    core: (database) => count(database.iterator(BYTES)),
    level: (level) => count(level.iterator<Buffer, Buffer>(BYTES)),
  },
  {
    name: 'for await of keys',
    core: (database) => count(database.keys(STRINGS)),
    level: (level) => count(level.keys()),
  },
  {
    name: 'nextv(1000) of entries',
    core: (database) => countPieces(database.iterator(STRINGS)),
    level: (level) => countPieces(level.iterator()),
  },
  {
    name: 'all entries',
    core: async (database) => {
      const all: unknown[] = [];
      for await (const items of database.iterator(STRINGS).batches()) all.push(...items);
      return all.length;
    },
    level: async (level) => (await level.iterator().all()).length,
  },
];

const WRITING: readonly Contest[] = [
  {
    name: 'await put, sync: false',
    core: (database) => repeat(WRITES, (i) => database.put(keys[i], VALUE, LATER)),
    level: (level) => repeat(WRITES, (i) => level.put(keys[i], VALUE, LATER)),
  },
  {
    name: `batch of ${BATCH} puts, sync: false, per put`,
    core: async (database) => {
      await repeat(WRITES / BATCH, (i) => database.batch(operations(i), LATER));
      return WRITES;
    },
    level: async (level) => {
      await repeat(WRITES / BATCH, (i) => level.batch(operations(i), LATER));
      return WRITES;
    },
  },
  {
    name: `chained batch of ${BATCH} puts, sync: false, per put`,
    core: async (database) => {
      for (let i = 0; i < WRITES; i += BATCH) {
        const batch = database.batch();
        for (let j = 0; j < BATCH; j++) batch.put(keys[i + j], VALUE);
        await batch.write(LATER);
      }
      return WRITES;
    },
    level: async (level) => {
      for (let i = 0; i < WRITES; i += BATCH) {
        const batch = level.batch();
        for (let j = 0; j < BATCH; j++) batch.put(keys[i + j], VALUE);
        await batch.write(LATER);
      }
      return WRITES;
    },
  },
];

function operations(i: number): { type: 'put'; key: string; value: string }[] {
  return keys.slice(i * BATCH, (i + 1) * BATCH).map((key) => ({ type: 'put', key, value: VALUE }));
}

async function measure(
  contest: Contest,
  database: Database,
  level: QuadringLevel,
  round: number,
): Promise<void> {
  const time = async (act: () => number | Promise<number>): Promise<number> => {
    const start = performance.now();
    const done = await act();
    return ((performance.now() - start) * 1e6) / done;
  };
  const throughCore = (): Promise<number> => time(() => contest.core(database));
  const throughLevel = (): Promise<number> => time(() => contest.level(level));
  const isEven = round % 2 === 0;
  const first = await (isEven ? throughCore() : throughLevel());
  const second = await (isEven ? throughLevel() : throughCore());
  // The first round is for the compiler and the cache.
  if (round === 0) return;
  const [core, layered] = isEven ? [first, second] : [second, first];
  figures.add(contest.name, 'core', 'ns', core);
  figures.add(contest.name, 'level', 'ns', layered);
  figures.add(contest.name, 'level/core', 'ratio', layered / core);
}

try {
  await using database = await Database.open(join(root, 'core'), options);
  await using level = new QuadringLevel(join(root, 'level'), options);
  for (let i = 0; i < KEYS; i += 1000) {
    const puts = keys.slice(i, i + 1000).map((key) => ({ type: 'put' as const, key, value: VALUE }));
    await database.batch(puts, LATER);
    await level.batch(puts, LATER);
  }
  await database.flush();
  await level.flush();
  for (let round = 0; round <= rounds; round++) {
    for (const contest of [...READING, ...WRITING]) await measure(contest, database, level, round);
  }
  console.log(describeMachine(), level.stats().backend, `${rounds} rounds`);
  figures.print();
} finally {
  rmSync(root, { recursive: true, force: true });
}
