/**
 * One iterator over everything, from the disk: how close it comes to what limits it. Either the disk does, whose limit
 * fio and a bare loop over the addon's ring show on the same files, or merging and materializing do, whose limit the same
 * scan over a full cache shows.
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/sequential.js [--rounds 5] [--entries 2000000]
 *
 * Keys of 16 bytes, values of 100, blocks of 16 KiB, loaded in random order. The arms alternate within each round; every
 * entry is checked. Cold: O_DIRECT, a block cache of 8 MiB, the database opened again for each scan.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import { parseFileName } from '../src/format/file-names.ts';
import { Database } from '../src/index.ts';
import { BLOCK_BYTES } from './peers/peer.ts';
import { collectGarbage, dropPageCache, syncDisks, temporaryFolder } from './support/cold.ts';
import { Comparison, rounded, spreadText } from './support/comparison.ts';
import { drainEntries, drainKeys, drainValues } from './support/drain.ts';
import { fioVersion, readWithFio } from './support/fio.ts';
import { describeMachine, diskReadBytes, spreadOf } from './support/measure.ts';
import { ENTRY_BYTES, NumberedEntries, ScanCheck } from './support/numbered-entries.ts';
import { describeQuadring, loadQuadring } from './support/quadring.ts';
import { ringBytesPerSecond, type SequentialRead } from './support/sequential-reads.ts';
import { ownVersion } from './support/versions.ts';

const MEBIBYTE = 1 << 20;
const MEGABYTE = 1e6;
const COLD_CACHE_BYTES = 8 * MEBIBYTE;
const DEPTHS = [16, 32] as const;
const CONTENTS = ['entries', 'keys', 'values'] as const;
type Content = (typeof CONTENTS)[number];
const RESULTS = 'bench/results/sequential.jsonl';

const args = commandLine('bench:sequential', {
  rounds: { type: 'string', default: '5' },
  entries: { type: 'string', default: '2000000' },
});
const rounds = Number(args.rounds);
const entries = new NumberedEntries(Number(args.entries));
const cachedBytes = Math.min(Math.max(256 * MEBIBYTE, entries.count * 240), 960 * MEBIBYTE);
const fio = fioVersion();
/** Who reads the files without an engine, as fast as the disk gives them. */
const readers: readonly {
  readonly name: string;
  readonly bytesPerSecond: (read: SequentialRead) => number;
}[] = [
  ...(fio === null
    ? []
    : [
        {
          name: fio,
          bytesPerSecond: (read: SequentialRead) =>
            readWithFio({ ...read, order: 'sequential' }).bytesPerSecond,
        },
      ]),
  { name: "bare loop over the addon's ring", bytesPerSecond: ringBytesPerSecond },
];
const root = temporaryFolder('quadring-sequential-');
const directory = join(root, 'quadring');
const comparison = new Comparison();
const conditions: Record<string, object> = {};

/** Entries a second of each scan and the disk's limit in bytes a second, round by round. */
interface Round {
  diskLimit: number;
  readonly cold: Record<Content, number>;
  readonly cached: Record<Content, number>;
  /** Bytes from the disk for each entry of a cold scan. */
  readonly diskBytes: Record<Content, number>;
}

function emptyRound(): Round {
  const zeros = (): Record<Content, number> => ({ entries: 0, keys: 0, values: 0 });
  return { diskLimit: 0, cold: zeros(), cached: zeros(), diskBytes: zeros() };
}

/** Seconds of one scan, by batches of `nextv`. */
async function scan(database: Database, content: Content): Promise<number> {
  const check = new ScanCheck(0, entries.count);
  collectGarbage();
  const start = performance.now();
  switch (content) {
    case 'entries':
      await drainEntries(database.iterator(), check);
      break;
    case 'keys':
      await drainKeys(database.keys(), check);
      break;
    case 'values':
      await drainValues(database.values(), check);
      break;
  }
  const seconds = (performance.now() - start) / 1000;
  check.finish();
  return seconds;
}

function addScan(content: Content, arm: string, seconds: number, diskBytes?: number): void {
  const name = `one iterator over ${entries.count}, ${content}`;
  comparison.add(name, arm, 'entries/s', entries.count / seconds, diskBytes);
}

async function coldScan(backend: 'uring' | 'syscall', content: Content, round: Round): Promise<void> {
  // With O_DIRECT nothing of a table is in the page cache; without it, it must go.
  dropPageCache();
  const database = await Database.open(directory, {
    blockBytes: BLOCK_BYTES,
    blockCacheBytes: COLD_CACHE_BYTES,
    createIfMissing: false,
    io: { backend },
  });
  try {
    const before = diskReadBytes();
    const seconds = await scan(database, content);
    const disk = diskReadBytes() - before;
    const stats = database.stats();
    const arm = `cold, ${backend}`;
    addScan(content, arm, seconds, disk / entries.count);
    const scanArm = `${content}, ${arm}`;
    comparison.add('from the disk', scanArm, 'MB/s', disk / seconds / MEGABYTE);
    const { reads, bytes, meanInFlight } = stats.readAhead;
    comparison.add('reads in flight, mean', scanArm, '', meanInFlight);
    comparison.add('one read-ahead', scanArm, 'bytes', bytes / Math.max(reads, 1));
    conditions[arm] ??= describeQuadring(database);
    if (!stats.directIo)
      comparison.note('O_DIRECT was not obtained: what is called cold went through the page cache');
    if (disk < 0.9 * entries.count * ENTRY_BYTES) {
      comparison.note(`${scanArm}: only ${disk} bytes came from the disk in a round`);
    }
    if (backend === 'syscall') return;
    round.cold[content] = entries.count / seconds;
    round.diskBytes[content] = disk / entries.count;
  } finally {
    await database.close();
  }
}

async function cachedScans(round: Round): Promise<void> {
  const database = await Database.open(directory, {
    blockBytes: BLOCK_BYTES,
    blockCacheBytes: cachedBytes,
    createIfMissing: false,
  });
  try {
    await scan(database, 'entries');
    const { misses } = database.stats().cache;
    for (const content of CONTENTS) {
      const seconds = await scan(database, content);
      addScan(content, 'cached', seconds);
      round.cached[content] = entries.count / seconds;
    }
    const missed = database.stats().cache.misses - misses;
    if (missed > 0) comparison.note(`cached scans: ${missed} blocks of a round were not in the cache`);
  } finally {
    await database.close();
  }
}

/** The database is closed meanwhile; the best of readers and depths is the disk's limit. */
function readFiles(round: Round): void {
  const files = tableFiles();
  for (const { name, bytesPerSecond } of readers) {
    for (const depth of DEPTHS) {
      const rate = bytesPerSecond({ files, blockBytes: BLOCK_BYTES, depth });
      comparison.add('from the disk', `${name}, ${depth} in flight`, 'MB/s', rate / MEGABYTE);
      round.diskLimit = Math.max(round.diskLimit, rate);
    }
  }
}

function tableFiles(): string[] {
  return readdirSync(directory)
    .filter((name) => parseFileName(name)?.kind === 'table')
    .sort()
    .map((name) => join(directory, name));
}

/** Which of the two limits is lower, and how much of it a cold scan reached; both round by round. */
function printLimits(all: readonly Round[]): void {
  for (const content of CONTENTS) {
    const diskLimits = all.map((round) => round.diskLimit / round.diskBytes[content]);
    const mergeLimits = all.map((round) => round.cached[content]);
    const diskLimit = spreadOf(diskLimits).median;
    const mergeLimit = spreadOf(mergeLimits).median;
    const isDisk = diskLimit < mergeLimit;
    const shares = all.map((round, i) => {
      const share = round.cold[content] / Math.min(diskLimits[i], mergeLimits[i]);
      comparison.add('share of the lower limit reached', content, '', share);
      return share;
    });
    console.log(
      `${content}: the ${isDisk ? 'disk' : 'merging cost'} is the lower limit ` +
        `(disk ${rounded(diskLimit)}, merging and materializing ${rounded(mergeLimit)} entries/s); ` +
        `a cold scan reached ${spreadText(spreadOf(shares))} of it`,
    );
  }
}

if (fio === null) comparison.note("fio was not found: the disk's limit is that of the bare loop alone");
await loadQuadring(directory, entries);
syncDisks();
const files = tableFiles();
const tableBytes = files.reduce((bytes, file) => bytes + statSync(file).size, 0);
console.log(
  `${entries.count} entries in ${files.length} tables, ${rounded(tableBytes / MEGABYTE)} MB.
The disk's limit by ${readers.map(({ name }) => name).join(' and ')}: sequential O_DIRECT reads of
${BLOCK_BYTES / 1024} KiB through io_uring, all tables one after another.`,
);
const all: Round[] = [];
for (let i = 0; i < rounds; i++) {
  const round = emptyRound();
  const arms: (() => Promise<void>)[] = [
    () => Promise.resolve(readFiles(round)),
    () => coldScan('uring', 'entries', round),
    () => coldScan('syscall', 'entries', round),
    () => coldScan('uring', 'keys', round),
    () => coldScan('uring', 'values', round),
    () => cachedScans(round),
  ];
  for (const arm of i % 2 === 0 ? arms : arms.toReversed()) await arm();
  all.push(round);
}
printLimits(all);
comparison.print();
const machine = {
  ...describeMachine(),
  command: process.argv.slice(2),
  quadring: ownVersion(),
  fio,
  entries: entries.count,
  tables: files.length,
  tableBytes,
  blockBytes: BLOCK_BYTES,
  cacheBytes: { cached: cachedBytes, cold: COLD_CACHE_BYTES },
  databases: conditions,
};
console.dir(machine, { depth: 6 });
comparison.write(RESULTS, machine);
