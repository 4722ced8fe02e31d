/**
 * Scans, ranges and many keys at once, beside classic-level and lmdb: on the same data, in one process and one run.
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/reads.js [--rounds 5] [--entries 1000000] [--peers uring,one-table,syscall,classic-level,lmdb]
 *         [--only cached-scans,cold-scans,cached-ranges,cold-ranges,cached-many,cold-many,cold-gets]
 *
 * Keys of 16 bytes, values of 100, blocks of 16 KiB, loaded in random order. The arms alternate within each round; every
 * entry that is read is checked. A cold row begins with the page cache dropped (which only root may) and the database
 * opened again, and shows what the kernel says was read from the disk for each of its operations.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { commandLine } from '../scripts/command-line.ts';
import {
  collectGarbage,
  dropPageCache,
  readAheadKibibytes,
  syncDisks,
  temporaryFolder,
} from './support/cold.ts';
import { Comparison } from './support/comparison.ts';
import { NEXTV_ENTRIES } from './support/drain.ts';
import { describeMachine, diskReadBytes, inFlight, pseudoRandom } from './support/measure.ts';
import { isValueOf, NumberedEntries, ScanCheck, VALUE_BYTES } from './support/numbered-entries.ts';
import {
  BLOCK_BYTES,
  ClassicLevelPeer,
  LmdbPeer,
  QuadringPeer,
  type OpenPeer,
  type Peer,
  type ScanRequest,
} from './support/peers.ts';
import { installedVersion, ownVersion } from './support/versions.ts';

const MEBIBYTE = 1 << 20;
const RANGE_ENTRIES = 100;
const RANGES_CACHED = 2000;
const RANGES_COLD = 500;
const RANGES_IN_FLIGHT = 16;
const KEYS_AT_ONCE = 100;
const CACHED_CALLS = 1000;
const COLD_CALLS = 60;
const GETS_AT_ONCE = 1000;
const GET_CALLS = 6;
const COLD_CACHE_BYTES = 8 * MEBIBYTE;
const PAGE_BYTES = 4096;
const RESULTS = 'bench/results/reads.jsonl';

const PARTS = {
  'cached-scans': cachedScans,
  'cold-scans': coldScans,
  'cached-ranges': cachedRanges,
  'cold-ranges': coldRanges,
  'cached-many': cachedMany,
  'cold-many': coldMany,
  'cold-gets': coldGets,
} satisfies Record<string, (peer: Peer, round: number) => Promise<void>>;

const args = commandLine('bench:reads', {
  rounds: { type: 'string', default: '5' },
  entries: { type: 'string', default: '1000000' },
  only: { type: 'string', default: Object.keys(PARTS).join(',') },
  peers: { type: 'string', default: 'uring,one-table,syscall,classic-level,lmdb' },
});
const rounds = Number(args.rounds);
const entries = new NumberedEntries(Number(args.entries));
const root = temporaryFolder('quadring-reads-');
const peers = choose(args.peers, {
  // For await is one form more, and not one backend more.
  uring: new QuadringPeer(join(root, 'quadring'), 'uring', ['nextv', 'for await']),
  'one-table': new QuadringPeer(join(root, 'quadring-one-table'), 'uring', ['nextv'], true),
  syscall: new QuadringPeer(join(root, 'quadring'), 'syscall', ['nextv']),
  'classic-level': new ClassicLevelPeer(join(root, 'classic-level')),
  lmdb: new LmdbPeer(join(root, 'lmdb')),
});
const parts = choose(args.only, PARTS);
/** Everything fits twice, and the 256 MiB that a million entries get are never undercut. */
const cachedBytes = Math.min(Math.max(256 * MEBIBYTE, entries.count * 240), 960 * MEBIBYTE);
const comparison = new Comparison();
const conditions: Record<string, object> = {};

/** What the names in a list stand for, in the list's order. */
function choose<T>(list: string, known: Record<string, T>): T[] {
  return list.split(',').map((name) => {
    const choice = known[name];
    if (choice === undefined) throw new Error(`${name} is none of ${Object.keys(known).join(', ')}`);
    return choice;
  });
}

/** Opens with room for everything and reads everything once; `use` must then find everything in memory. */
async function cached(peer: Peer, what: string, use: (open: OpenPeer) => Promise<void>): Promise<void> {
  const open = await peer.open({ cacheBytes: cachedBytes, cold: false });
  try {
    await scanAll(open, { form: peer.forms[0], content: 'entries', reverse: false });
    const missesBefore = open.cacheMisses();
    const diskBefore = diskReadBytes();
    await use(open);
    conditions[peer.name] ??= open.describe();
    const misses = (open.cacheMisses() ?? 0) - (missesBefore ?? 0);
    const disk = diskReadBytes() - diskBefore;
    if (misses > 0 || disk > (entries.count * VALUE_BYTES) / 10) {
      comparison.note(
        `${peer.name}, ${what}: not all was cached; a round had ${misses} misses in its block cache and read ${disk} bytes from the disk`,
      );
    }
  } finally {
    await open.close();
  }
}

/** The same as `perSecond` for what is in memory: run once before, so that it is compiled. */
async function perSecondWarm(operations: number, run: () => Promise<void>): Promise<number> {
  await run();
  return perSecond(operations, run);
}

/** How many operations a second there are when a round of them takes as long as `run`. */
async function perSecond(operations: number, run: () => Promise<void>): Promise<number> {
  collectGarbage();
  const start = performance.now();
  await run();
  return (operations * 1000) / (performance.now() - start);
}

interface ColdRow {
  readonly name: string;
  readonly arm: string;
  readonly unit: string;
  readonly operations: number;
  /** What must have come from the disk, or the row was not cold. */
  readonly diskBytesMin: number;
}

/** One row, on a database that was opened after the page cache was dropped. */
async function cold(peer: Peer, row: ColdRow, run: (open: OpenPeer) => Promise<void>): Promise<void> {
  const refusal = dropPageCache();
  if (refusal !== null) comparison.note(`the page cache was not dropped, rows marked * are warm: ${refusal}`);
  const open = await peer.open({ cacheBytes: COLD_CACHE_BYTES, cold: true });
  try {
    const before = diskReadBytes();
    const rate = await perSecond(row.operations, () => run(open));
    const disk = diskReadBytes() - before;
    const name = refusal === null ? row.name : `${row.name} *`;
    comparison.add(name, row.arm, row.unit, rate, disk / row.operations);
    if (disk < row.diskBytesMin) {
      comparison.note(`${row.arm}, ${row.name}: only ${disk} bytes came from the disk in a round`);
    }
    conditions[peer.name] ??= open.describe();
  } finally {
    await open.close();
  }
}

async function scanAll(open: OpenPeer, request: ScanRequest): Promise<void> {
  const { count } = entries;
  const check = request.reverse ? new ScanCheck(count - 1, count, -1) : new ScanCheck(0, count);
  await open.scan(request, check);
  check.finish();
}

/** Peers, forms and depths change their order from round to round, so that none is always the first. */
function alternating<T>(arms: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? arms : arms.toReversed();
}

/** Forward, reverse and keys only, in each form that the peer has. */
function* scanRequests(
  peer: Peer,
  round: number,
): Generator<{ request: ScanRequest; name: string; arm: string }> {
  for (const [name, content, reverse] of [
    ['full forward scan', 'entries', false],
    ['full reverse scan', 'entries', true],
    ['full forward scan, keys only', 'keys', false],
  ] as const) {
    for (const form of alternating(peer.forms, round)) {
      const called = form === 'nextv' ? `nextv(${NEXTV_ENTRIES})` : form;
      yield { request: { form, content, reverse }, name, arm: `${peer.name}, ${called}` };
    }
  }
}

async function cachedScans(peer: Peer, round: number): Promise<void> {
  await cached(peer, 'scans', async (open) => {
    for (const { request, name, arm } of scanRequests(peer, round)) {
      const rate = await perSecondWarm(entries.count, () => scanAll(open, request));
      comparison.add(`${name}, cached`, arm, 'entries/s', rate);
    }
  });
}

async function coldScans(peer: Peer, round: number): Promise<void> {
  for (const { request, name, arm } of scanRequests(peer, round)) {
    const row = {
      name: `${name}, cold`,
      arm,
      unit: 'entries/s',
      operations: entries.count,
      diskBytesMin: entries.count * VALUE_BYTES,
    };
    await cold(peer, row, (open) => scanAll(open, request));
  }
}

/** `count` ranges at random positions, `depth` of them at once. */
async function readRanges(open: OpenPeer, count: number, depth: number, seed: number): Promise<void> {
  const random = pseudoRandom(seed);
  const length = Math.min(RANGE_ENTRIES, entries.count);
  await inFlight(count, depth, async () => {
    const first = random(entries.count - length + 1);
    const check = new ScanCheck(first, length);
    await open.range(entries.key(first), length, check);
    check.finish();
  });
}

/** In flight: one range at a time, and several where the peer can. */
function rangeDepths(peer: Peer): readonly number[] {
  return peer.concurrent ? [1, RANGES_IN_FLIGHT] : [1];
}

function rangeArm(peer: Peer, depth: number): string {
  return depth === 1 ? peer.name : `${peer.name}, ${depth} at once`;
}

async function cachedRanges(peer: Peer, round: number): Promise<void> {
  await cached(peer, 'ranges', async (open) => {
    for (const depth of alternating(rangeDepths(peer), round)) {
      const rate = await perSecondWarm(RANGES_CACHED, () =>
        readRanges(open, RANGES_CACHED, depth, round + 1),
      );
      comparison.add(`scans of ${RANGE_ENTRIES} entries, cached`, rangeArm(peer, depth), 'scans/s', rate);
    }
  });
}

async function coldRanges(peer: Peer, round: number): Promise<void> {
  for (const depth of alternating(rangeDepths(peer), round)) {
    const row = {
      name: `scans of ${RANGE_ENTRIES} entries, cold`,
      arm: rangeArm(peer, depth),
      unit: 'scans/s',
      operations: RANGES_COLD,
      diskBytesMin: RANGES_COLD * PAGE_BYTES,
    };
    await cold(peer, row, (open) => readRanges(open, RANGES_COLD, depth, round + 101));
  }
}

/** Keys and their numbers, drawn before the clock runs. */
function drawKeys(calls: number, size: number, seed: number): { numbers: number[]; keys: Buffer[] }[] {
  const random = pseudoRandom(seed);
  return Array.from({ length: calls }, () => {
    const numbers = Array.from({ length: size }, () => random(entries.count));
    return { numbers, keys: numbers.map((number) => entries.key(number)) };
  });
}

function checkValues(values: readonly (Buffer | undefined)[], numbers: readonly number[]): void {
  const isRight =
    values.length === numbers.length &&
    values.every((value, i) => value !== undefined && (i % 16 !== 0 || isValueOf(value, numbers[i])));
  if (!isRight) throw new Error('a value is not the one of its key');
}

async function cachedMany(peer: Peer, round: number): Promise<void> {
  const calls = drawKeys(CACHED_CALLS, KEYS_AT_ONCE, round + 201);
  await cached(peer, 'getMany', async (open) => {
    const rate = await perSecondWarm(CACHED_CALLS * KEYS_AT_ONCE, async () => {
      for (const { numbers, keys } of calls) checkValues(await open.getMany(keys), numbers);
    });
    comparison.add(`getMany(${KEYS_AT_ONCE}), cached`, peer.name, 'keys/s', rate);
  });
}

async function coldMany(peer: Peer, round: number): Promise<void> {
  const calls = drawKeys(COLD_CALLS, KEYS_AT_ONCE, round + 301);
  const operations = COLD_CALLS * KEYS_AT_ONCE;
  const name = `getMany(${KEYS_AT_ONCE}), cold`;
  const row = {
    name,
    arm: peer.name,
    unit: 'keys/s',
    operations,
    diskBytesMin: operations * PAGE_BYTES * 0.5,
  };
  await cold(peer, row, async (open) => {
    for (const { numbers, keys } of calls) checkValues(await open.getMany(keys), numbers);
  });
}

async function coldGets(peer: Peer, round: number): Promise<void> {
  const calls = drawKeys(GET_CALLS, GETS_AT_ONCE, round + 401);
  const operations = GET_CALLS * GETS_AT_ONCE;
  const name = `${GETS_AT_ONCE} gets at once, cold`;
  const row = {
    name,
    arm: peer.name,
    unit: 'gets/s',
    operations,
    diskBytesMin: operations * PAGE_BYTES * 0.5,
  };
  await cold(peer, row, async (open) => {
    for (const { numbers, keys } of calls) {
      checkValues(await Promise.all(keys.map((key) => open.get(key))), numbers);
    }
  });
}

async function loadAll(): Promise<void> {
  for (const [i, peer] of peers.entries()) {
    if (peers.slice(0, i).some(({ directory }) => directory === peer.directory)) continue;
    const start = performance.now();
    await peer.load(entries);
    console.log(`${peer.name}: loaded in ${Math.round(performance.now() - start)} ms`);
  }
  syncDisks();
}

function describeRun(): object {
  return {
    ...describeMachine(),
    cores: availableParallelism(),
    command: process.argv.slice(2),
    quadring: ownVersion(),
    classicLevel: installedVersion('classic-level'),
    lmdb: installedVersion('lmdb'),
    entries: entries.count,
    blockBytes: BLOCK_BYTES,
    cacheBytes: { cached: cachedBytes, cold: COLD_CACHE_BYTES },
    readAheadKibibytes: readAheadKibibytes(root),
    threadPool: Number(process.env['UV_THREADPOOL_SIZE'] ?? 4),
    garbageCollectedBetweenRows: 'gc' in globalThis,
    peers: conditions,
  };
}

console.log(
  `Equal for all: ${entries.count} entries, the same keys (16 bytes) and values (100 bytes), loaded in the same random order;
blocks of ${BLOCK_BYTES / 1024} KiB (lmdb: its pages of 4 KiB); filters of 10 bits (lmdb has none); no compression; keys and
values as Buffers, counted and checked. classic-level is compacted after loading; quadring is read as its flushes left
it, and once more with everything in one table, the shape that compaction would give.
Cached: block caches of ${cachedBytes / MEBIBYTE} MiB (lmdb: the page cache), everything read once before.
Cold: block caches of ${COLD_CACHE_BYTES / MEBIBYTE} MiB, the page cache dropped, the database opened again for each row. quadring reads with
O_DIRECT, lmdb with MDB_NORDAHEAD. classic-level maps its tables, and the kernel reads ahead for it: what it gets from the
disk for an operation is in the last column but one, and later operations of a row find it in memory.
lmdb's gets and ranges are synchronous: one page fault at a time, whatever is called at once.`,
);
await loadAll();
for (let round = 0; round < rounds; round++) {
  for (const part of parts) {
    for (const peer of alternating(peers, round)) await part(peer, round);
  }
}
comparison.print();
console.dir(describeRun(), { depth: 6 });
comparison.write(RESULTS, describeRun());
