/**
 * First figures of the engine: hot reads, durable writes, cold reads, opening. Benchmarks only.
 *
 *     node dist/bench/first-figures.js [--rounds 5] [--only reads,writes,cold,open]
 *
 * Keys of 16 bytes, values of 100, blocks of 16 KiB, 10 filter bits. Two arms, alternating within each round: io_uring
 * and the same engine on plain system calls. Every read is checked; cold reads show what the kernel says was read.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import { Database, type DatabaseOptions } from '../src/index.ts';
import { BareDisk } from './support/bare.ts';
import { describeMachine, diskReadBytes, Figures, inFlight, pseudoRandom } from './support/measure.ts';

const ARMS = ['uring', 'syscall'] as const;
type Arm = (typeof ARMS)[number];

const HOT_KEYS = 1000;
const HOT_ROUNDS = 300;
const LOADED_KEYS = 300_000;
const COLD_READS = 10_000;
const VALUE_BYTES = 100;

const args = commandLine('bench', { rounds: { type: 'string' }, only: { type: 'string' } });
const rounds = Number(args.rounds ?? 5);
const parts = new Set((args.only ?? 'reads,writes,cold,open').split(','));
const figures = new Figures();
const root = mkdtempSync(join(tmpdir(), 'quadring-bench-'));

function keyOf(i: number): Buffer {
  return Buffer.from(`key:${String((i * 7919) % 1_000_000_007).padStart(12, '0')}`);
}

function valueOf(i: number, round: number): Buffer {
  return Buffer.alloc(VALUE_BYTES, `${i}:${round};`);
}

const keys = Array.from({ length: LOADED_KEYS }, (_, i) => keyOf(i));

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`wrong result: ${what}`);
}

async function withDatabase<T>(
  name: string,
  arm: Arm,
  options: DatabaseOptions,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const database = await Database.open(join(root, `${name}-${arm}`), {
    ...options,
    io: { backend: arm, ...options.io },
  });
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

/** Fills a database once for all rounds, into one table at least. */
async function load(name: string, arm: Arm, writeBufferBytes: number): Promise<void> {
  await withDatabase(name, arm, { writeBufferBytes }, async (database) => {
    for (let i = 0; i < LOADED_KEYS; i += 1000) {
      const operations = keys
        .slice(i, i + 1000)
        .map((key, j) => ({ type: 'put' as const, key, value: valueOf(i + j, 0) }));
      await database.batch(operations, { sync: false });
    }
    await database.flush();
  });
}

async function hotReads(arm: Arm): Promise<void> {
  await withDatabase(
    'hot',
    arm,
    { writeBufferBytes: 128 << 20, blockCacheBytes: 128 << 20 },
    async (database) => {
      const hot = keys.slice(0, HOT_KEYS);
      const target = Buffer.alloc(VALUE_BYTES);
      for (const key of hot) check(database.getInto(key, target) === VALUE_BYTES, 'hot key');
      const before = database.stats().cache;
      const time = (name: string, read: (key: Buffer) => number): void => {
        const start = performance.now();
        let bytes = 0;
        for (let round = 0; round < HOT_ROUNDS; round++)
          for (let i = 0; i < HOT_KEYS; i++) bytes += read(hot[i]);
        figures.add(name, arm, 'ns', ((performance.now() - start) * 1e6) / (HOT_ROUNDS * HOT_KEYS));
        check(bytes === HOT_ROUNDS * HOT_KEYS * VALUE_BYTES, name);
      };
      time('hot getInto, 1000 keys', (key) => database.getInto(key, target));
      time('hot getSync, 1000 keys', (key) => database.getSync(key)!.length);
      const start = performance.now();
      for (let round = 0; round < HOT_ROUNDS / 3; round++) {
        for (let i = 0; i < HOT_KEYS; i++)
          check((await database.get(hot[i]))?.length === VALUE_BYTES, 'await get');
      }
      figures.add(
        'hot await get, 1000 keys',
        arm,
        'ns',
        ((performance.now() - start) * 1e6) / ((HOT_ROUNDS / 3) * HOT_KEYS),
      );
      const after = database.stats().cache;
      check(after.misses === before.misses, 'hot reads hit the cache');
      for (const key of keys) database.getInto(key, target);
      const random = pseudoRandom(1);
      const uniform = Array.from({ length: 300_000 }, () => keys[random(LOADED_KEYS)]);
      const began = performance.now();
      for (const key of uniform) database.getInto(key, target);
      figures.add(
        `cached getInto, uniform over ${LOADED_KEYS} keys`,
        arm,
        'ns',
        ((performance.now() - began) * 1e6) / uniform.length,
      );
    },
  );
}

async function writes(arm: Arm, round: number): Promise<void> {
  await withDatabase('writes', arm, {}, async (database) => {
    for (const [depth, count] of [
      [64, 20_000],
      [1000, 100_000],
      [1, 2000],
    ] as const) {
      // Lone puts are timed when no table or log file is being written beside them.
      if (depth === 1) await database.flush();
      const start = performance.now();
      await inFlight(count, depth, (i) => database.put(keys[i], valueOf(i, round)));
      figures.add(
        `durable puts, ${depth} in flight`,
        arm,
        '/s',
        (count * 1000) / (performance.now() - start),
      );
    }
    const count = 200_000;
    const value = valueOf(0, round);
    const start = performance.now();
    for (let i = 0; i < count; i++) await database.put(keys[i], value, { sync: false });
    figures.add(
      '{ sync: false } puts, one at a time',
      arm,
      '/s',
      (count * 1000) / (performance.now() - start),
    );
    await database.put('last', 'durable');
    const stats = database.stats();
    check(stats.durableSequence === stats.lastSequence, 'everything became durable');
  });
  rmSync(join(root, `writes-${arm}`), { recursive: true });
}

/** The same disk without an engine, in the same run. */
function bare(round: number): void {
  const disk = new BareDisk(join(root, 'bare'));
  figures.add('durable puts, 1 in flight', 'bare pwritev2', '/s', disk.writesPerSecond(1000));
  figures.add(
    'cold getSync, one at a time',
    'bare pread',
    '/s',
    disk.readsPerSecond(2000, pseudoRandom(round + 1)),
  );
  disk.close();
}

async function coldReads(arm: Arm, round: number): Promise<void> {
  await withDatabase('hot', arm, { blockCacheBytes: 0, io: { direct: true } }, async (database) => {
    const random = pseudoRandom(round + 1);
    for (const [depth, count] of [
      [1, COLD_READS],
      [64, COLD_READS],
    ] as const) {
      const before = diskReadBytes();
      const start = performance.now();
      await inFlight(count, depth, async () => {
        const i = random(LOADED_KEYS);
        check((await database.get(keys[i]))?.equals(valueOf(i, 0)) === true, 'cold read');
      });
      const seconds = (performance.now() - start) / 1000;
      figures.add(`cold reads, ${depth} in flight`, arm, '/s', count / seconds);
      check(diskReadBytes() - before >= count * 0.9 * 16_384, 'cold reads came from the disk');
    }
    const start = performance.now();
    for (let n = 0; n < 2000; n++) {
      const i = random(LOADED_KEYS);
      check(database.getSync(keys[i])?.equals(valueOf(i, 0)) === true, 'cold getSync');
    }
    figures.add('cold getSync, one at a time', arm, '/s', 2_000_000 / (performance.now() - start));
  });
}

async function opening(arm: Arm, round: number): Promise<void> {
  const directory = join(root, `open-${arm}`);
  // A shape that no crew has yet, so that this one is started.
  const blockCacheBytes = (64 + round * 2 + ARMS.indexOf(arm)) << 20;
  const options: DatabaseOptions = { blockCacheBytes, io: { backend: arm } };
  for (const name of ['open, first of its shape (starts a crew)', 'open, adopts a crew'] as const) {
    const start = performance.now();
    const database = await Database.open(directory, options);
    figures.add(name, arm, 'ms', performance.now() - start);
    check(database.stats().crewAdopted === name.includes('adopts'), name);
    await database.put('key', `value ${round}`);
    await database.close();
  }
}

try {
  if (parts.has('reads') || parts.has('cold')) for (const arm of ARMS) await load('hot', arm, 128 << 20);
  for (let round = 0; round < rounds; round++) {
    if (parts.has('writes') || parts.has('cold')) bare(round);
    for (const arm of round % 2 === 0 ? ARMS : ARMS.toReversed()) {
      if (parts.has('reads')) await hotReads(arm);
      if (parts.has('writes')) await writes(arm, round);
      if (parts.has('cold')) await coldReads(arm, round);
      if (parts.has('open')) await opening(arm, round);
    }
  }
  figures.print();
  figures.write('bench/results/first-figures.jsonl', {
    ...describeMachine(),
    command: process.argv.slice(2),
  });
} finally {
  rmSync(root, { recursive: true, force: true });
}
