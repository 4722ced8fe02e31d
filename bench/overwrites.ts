/**
 * What many random overwrites leave behind once the tree has settled, what they cost on the way, and what gets beside them
 * meet.
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/overwrites.js [--keys 5000000] [--operations 20000000]
 *         [--value-bytes 200] [--seed 1] [--batch 32] [--gets 2000] [--idle-seconds 10] [--backend uring]
 *         [--options '{"writeBufferBytes":…}']
 *
 *   1. load         each key once, in random order; then wait until the tree has settled
 *   2. idle         gets alone, at an even pace: half of any key, from a cache of 1/20 of the data, half of few keys
 *   3. full rate    random overwrites, as fast as the database admits them, for four fifths of the operations; gets beside
 *   4. half rate    the rest at half of the rate seen in 3; gets beside
 *   5. settling     no writes, what compactions are left; gets beside
 *   6. space, and every key by one scan
 *
 * Writes are batches of `--batch` that need not be durable; the writer lets the event loop turn after each. Writer and getter
 * share the owner's thread, as they would in a program: so what gets meet in 3 is first of all the writer, which uses all that
 * is left of the thread, and in 5 compactions alone.
 */
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { appendFileSync, mkdirSync } from 'node:fs';
import { commandLine } from '../scripts/command-line.ts';
import { Database, type DatabaseOptions, type DatabaseStats } from '../src/index.ts';
import { temporaryFolder } from './support/cold.ts';
import { describeMachine } from './support/measure.ts';
import { OverwrittenEntries } from './support/overwritten-entries.ts';
import { Overwrites } from './support/overwrites.ts';
import { PacedGets, type GetTimes } from './support/paced-gets.ts';
import { describeQuadring } from './support/quadring.ts';
import { settle, spaceOf } from './support/settled-tree.ts';
import { cpuTimes, type CpuTimes } from './support/thread-times.ts';
import { ownVersion } from './support/versions.ts';

const MEGABYTE = 1e6;
const MEBIBYTE = 1 << 20;
const CACHE_SHARE = 1 / 20;
const CACHE_BYTES_MAX = 900 * MEBIBYTE;
const FULL_RATE_SHARE = 4 / 5;
const PACED_SHARE = 1 / 2;
const LOAD_BATCH = 500;
const QUIET_MS = 4000;
const SETTLE_MS_MAX = 20 * 60_000;
const RESULTS = 'bench/results/overwrites.jsonl';

const args = commandLine('bench:overwrites', {
  keys: { type: 'string', default: '5000000' },
  operations: { type: 'string', default: '20000000' },
  'value-bytes': { type: 'string', default: '200' },
  seed: { type: 'string', default: '1' },
  batch: { type: 'string', default: '32' },
  gets: { type: 'string', default: '2000' },
  'idle-seconds': { type: 'string', default: '10' },
  backend: { type: 'string', default: 'auto' },
  options: { type: 'string', default: '{}' },
});
const seed = Number(args.seed);
const operations = Number(args.operations);
const batchSize = Number(args.batch);
const entries = new OverwrittenEntries(Number(args.keys), Number(args['value-bytes']), seed);
const rawBytes = entries.count * entries.entryBytes;
const cacheBytes = Math.min(Math.max(Math.round(rawBytes * CACHE_SHARE), MEBIBYTE), CACHE_BYTES_MAX);
const directory = join(temporaryFolder('quadring-overwrites-'), 'database');
const database = await Database.open(directory, {
  blockCacheBytes: cacheBytes,
  io: { backend: args.backend as 'auto' | 'uring' | 'syscall' },
  ...(JSON.parse(args.options) as DatabaseOptions),
});
const overwrites = new Overwrites(database, entries, seed);

/** A part of the run and what the database did meanwhile. */
interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly writes: number;
  readonly cpu: CpuTimes;
  readonly before: DatabaseStats;
  readonly after: DatabaseStats;
  readonly gets: GetTimes | null;
}

const phases: Phase[] = [];

async function phase(name: string, withGets: boolean, run: () => Promise<void>): Promise<Phase> {
  const gets = withGets ? new PacedGets(database, overwrites, Number(args.gets), seed + 1) : undefined;
  const before = database.stats();
  const writesBefore = overwrites.operations;
  const cpu = cpuTimes();
  const begun = performance.now();
  await run();
  const seconds = (performance.now() - begun) / 1000;
  const used = cpu();
  const after = database.stats();
  const writes = overwrites.operations - writesBefore;
  const times = gets === undefined ? null : await gets.stop();
  const done = { name, seconds, writes, cpu: used, before, after, gets: times };
  phases.push(done);
  console.log(`${name}: ${seconds.toFixed(1)} s`);
  return done;
}

async function writeAtFullRate(until: number): Promise<void> {
  while (overwrites.operations < until) {
    await overwrites.overwriteBatch(batchSize);
    await turn();
  }
}

async function writeAtRate(until: number, perSecond: number): Promise<void> {
  const first = overwrites.operations;
  const begun = performance.now();
  while (overwrites.operations < until) {
    const due = first + ((performance.now() - begun) * perSecond) / 1000;
    if (overwrites.operations >= due) {
      await delay(1);
      continue;
    }
    await overwrites.overwriteBatch(batchSize);
    await turn();
  }
}

function printPhases(): void {
  console.table(
    phases.map(({ name, seconds, writes, cpu, before, after }) => {
      const compactionRead = after.compactions.bytesRead - before.compactions.bytesRead;
      const compactionWritten = after.compactions.bytesWritten - before.compactions.bytesWritten;
      const compactionSeconds = (after.compactions.milliseconds - before.compactions.milliseconds) / 1000;
      return {
        phase: name,
        seconds: seconds.toFixed(1),
        'writes/s': Math.round(writes / seconds),
        'CPU s': cpu.processSeconds.toFixed(1),
        'owner s': cpu.ownerSeconds.toFixed(1),
        'flushed MB': megabytes(after.flushes.bytesWritten - before.flushes.bytesWritten),
        compactions: after.compactions.compactions - before.compactions.compactions,
        moved: after.compactions.movedTables - before.compactions.movedTables,
        'compaction s': compactionSeconds.toFixed(1),
        'read MB': megabytes(compactionRead),
        'written MB': megabytes(compactionWritten),
        'read MB/s': compactionSeconds === 0 ? 0 : megabytes(compactionRead / compactionSeconds),
      };
    }),
  );
}

function printStalls(): void {
  console.log('what writes waited for, times and seconds:');
  console.table(
    phases
      .filter(({ writes }) => writes > 0)
      .map(({ name, before, after }) => ({
        phase: name,
        ...Object.fromEntries(
          Object.entries(after.writes.stalled).map(([reason, { count, milliseconds }]) => {
            const earlier = before.writes.stalled[reason as keyof typeof before.writes.stalled];
            const seconds = (milliseconds - earlier.milliseconds) / 1000;
            return [reason, `${count - earlier.count}, ${seconds.toFixed(1)} s`];
          }),
        ),
      })),
  );
}

/** Ratios are to the gets of the idle phase. */
function printGets(): void {
  const idle = phases.find(({ name }) => name === 'idle')?.gets;
  if (idle === undefined || idle === null) return;
  const kinds = {
    'any key': (gets: GetTimes) => gets.uniform,
    'any key, while the machine ran': (gets: GetTimes) => gets.uniformUndisturbed,
    'any key, from when due': (gets: GetTimes) => gets.uniformFromDue,
    'few keys': (gets: GetTimes) => gets.hot,
  };
  console.log('gets, from call to value unless said otherwise, µs:');
  console.table(
    Object.entries(kinds).flatMap(([kind, of]) =>
      phases.flatMap(({ name, gets }) => {
        const times = gets === null ? null : of(gets);
        if (gets === null || times === null) return [];
        const { count, p50, p99, p999, max } = times;
        return [
          {
            gets: kind,
            beside: name,
            count,
            p50: Math.round(p50),
            p99: Math.round(p99),
            'p99.9': Math.round(p999),
            max: Math.round(max),
            'p99 ÷ idle': (p99 / (of(idle)?.p99 ?? NaN)).toFixed(2),
            'block reads/get': gets.blockReadsPerGet.toFixed(2),
            'machine stood still, ms': gets.stalledMs === null ? 'not seen' : Math.round(gets.stalledMs),
          },
        ];
      }),
    ),
  );
}

function printTree(stats: DatabaseStats): object {
  console.table(
    stats.levels.map(({ level, tables, bytes, entries: count }) => ({
      level,
      tables,
      MB: megabytes(bytes),
      entries: count,
    })),
  );
  const space = spaceOf(directory, stats, entries.count, entries.entryBytes);
  const written = stats.flushes.bytesWritten + stats.compactions.bytesWritten;
  const amplification = {
    write: stats.amplification.write,
    writePerRawByte: written / (overwrites.operations * entries.entryBytes),
    spacePerRawByte: space.perRawByte,
    spacePerStoredByte: space.perStoredByte,
  };
  console.log(
    `written by flushes and compactions for each byte flushed: ${amplification.write.toFixed(2)} ` +
      `(for each byte of keys and values: ${amplification.writePerRawByte.toFixed(2)})
on the disk, all .sst files: ${megabytes(space.tableFileBytes)} MB, for each byte of live keys and values ` +
      `${space.perRawByte.toFixed(3)}, for each byte that the live entries take in tables ${space.perStoredByte.toFixed(3)}`,
  );
  const { removed, reused } = stats.tableFiles;
  console.log(
    `files of replaced tables: ${removed}, of which ${reused} were written over, and the others removed`,
  );
  return amplification;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / MEGABYTE);
}

console.log(
  `${entries.count} keys of 16 bytes, values of ${entries.valueBytes}: ${megabytes(rawBytes)} MB; ` +
    `${operations} overwrites; cache ${megabytes(cacheBytes)} MB`,
);
try {
  await phase('load', false, async () => {
    while (await overwrites.loadBatch(LOAD_BATCH)) await turn();
  });
  await phase('settling after the load', false, () =>
    settle(database, { quietMs: QUIET_MS, limitMs: SETTLE_MS_MAX }),
  );
  await phase('idle', true, () => delay(Number(args['idle-seconds']) * 1000));
  const loaded = overwrites.operations;
  const { writes, seconds } = await phase('full rate', true, () =>
    writeAtFullRate(loaded + operations * FULL_RATE_SHARE),
  );
  await phase('half rate', true, () => writeAtRate(loaded + operations, (PACED_SHARE * writes) / seconds));
  await phase('settling', true, () => settle(database, { quietMs: QUIET_MS, limitMs: SETTLE_MS_MAX }));
  const settled = database.stats();
  if (settled.levels[0]?.level === 0) throw new Error('tables stay in level 0');
  printPhases();
  printStalls();
  printGets();
  const amplification = printTree(settled);
  await phase('verifying', false, () => overwrites.verifyAll());
  console.log(`every one of ${entries.count} keys was read in its last version`);
  const machine = { ...describeMachine(), command: process.argv.slice(2), quadring: ownVersion() };
  const line = {
    at: new Date().toISOString(),
    machine,
    database: describeQuadring(database),
    keys: entries.count,
    operations,
    valueBytes: entries.valueBytes,
    cacheBytes,
    amplification,
    stalled: settled.writes.stalled,
    compactions: settled.compactions,
    phases: phases.map(({ name, seconds: took, writes: count, cpu, gets }) => ({
      name,
      seconds: took,
      writes: count,
      cpu,
      gets,
    })),
  };
  mkdirSync('bench/results', { recursive: true });
  appendFileSync(RESULTS, `${JSON.stringify(line)}\n`);
  console.dir({ ...machine, database: line.database }, { depth: 6 });
} finally {
  await database.close();
}
