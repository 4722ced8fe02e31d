/**
 * `npm run demo`: quadring on real data. Loads 135,233 cities in durable batches, reads all of them back, reads 10,000
 * random ones from the disk, then kills a process that writes and shows that nothing acknowledged is missing. Exits
 * with 0 only if every comparison held.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database, type BatchOperation, type DatabaseOptions, type DatabaseStats } from '../src/index.ts';
import { readCities, type Entry } from './demo-cities.ts';
import { compareSurvivors, writeAndKill } from './demo-crash.ts';
import { IN_FLIGHT, randomWords } from './demo-operations.ts';
import { dim, green, heading, line, megabytes, progress, rate, red, table, whole } from './demo-terminal.ts';

const BATCH_ENTRIES = 500;
const BATCHES_IN_FLIGHT = 4;
/** Cities that are read back in turn, and how many of those at once by promise; the others synchronously. */
const READ_GROUP = 500;
const READ_GROUP_ASYNC = 250;
const COLD_READS = 10_000;
const COLD_READS_IN_FLIGHT = 64;
const CACHE_BYTES = 64 * 1024 * 1024;

interface Figure {
  readonly what: string;
  readonly perSecond: string;
  readonly how: string;
}

const figures: Figure[] = [];
const ringRows: string[][] = [];

function check(holds: boolean, complaint: () => string): void {
  if (!holds) throw new Error(complaint());
}

function checkValue({ key, value }: Entry, found: Buffer | undefined): void {
  check(
    found !== undefined && found.equals(value),
    () => `${key} was read as ${found?.toString() ?? 'nothing'}`,
  );
}

function showBackend({ backend, backendReason, rings, directIo, checksum }: DatabaseStats): void {
  heading('Rings');
  line(`backend ${green(backend)}${backendReason === null ? '' : ` (${backendReason})`}`);
  for (const { role, flags, entries, completionEntries, registeredBytes } of rings) {
    const size = `${entries} entries, ${completionEntries} completions`;
    const fixed = registeredBytes === 0 ? '' : `, ${megabytes(registeredBytes)} of fixed buffers`;
    line(`${role.padEnd(10)} ${flags.join(' ') || 'no flags'} ${dim(`${size}${fixed}`)}`);
  }
  line(`O_DIRECT ${directIo ? 'yes' : 'no'}, CRC-32C ${checksum}`);
}

function noteRings(phase: string, { rings }: DatabaseStats): void {
  for (const { role, operations, meanBatch, latencyMicroseconds, bytesRead, bytesWritten } of rings) {
    if (operations === 0) continue;
    const { p50, p99, p999 } = latencyMicroseconds;
    const latencies = [p50, p99, p999].map(whole);
    const bytes = [megabytes(bytesRead), megabytes(bytesWritten)];
    ringRows.push([phase, role, whole(operations), meanBatch.toFixed(1), ...latencies, ...bytes]);
  }
}

async function load(database: Database, cities: readonly Entry[]): Promise<void> {
  heading(`Loading ${whole(cities.length)} cities, durable batches of ${BATCH_ENTRIES}`);
  const shown = progress('loaded', cities.length);
  const began = performance.now();
  let next = 0;
  let loaded = 0;
  const writeBatches = async (): Promise<void> => {
    while (next < cities.length) {
      const part = cities.slice(next, next + BATCH_ENTRIES);
      next += part.length;
      await database.batch(part.map<BatchOperation>(({ key, value }) => ({ type: 'put', key, value })));
      loaded += part.length;
      shown.update(loaded);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, writeBatches));
  const milliseconds = performance.now() - began;
  shown.stop();
  const { frames, bytes } = database.stats().log;
  line(`${whole(cities.length)} writes, ${whole(frames)} log frames, ${megabytes(bytes)} of log`);
  const how = `durable, batches of ${BATCH_ENTRIES}, ${BATCHES_IN_FLIGHT} at once`;
  figures.push({ what: 'writes', perSecond: rate(cities.length, milliseconds), how });
  await database.flush();
  const [level] = database.stats().levels;
  line(`flushed: ${level.tables} tables, ${megabytes(level.bytes)}`);
}

async function readBack(database: Database, cities: readonly Entry[]): Promise<void> {
  heading('Reading all of them back and comparing');
  const shown = progress('compared', cities.length);
  for (let start = 0; start < cities.length; start += READ_GROUP) {
    const group = cities.slice(start, start + READ_GROUP);
    const asynchronous = group.slice(0, READ_GROUP_ASYNC);
    const found = await Promise.all(asynchronous.map(({ key }) => database.get(key)));
    asynchronous.forEach((city, i) => checkValue(city, found[i]));
    for (const city of group.slice(READ_GROUP_ASYNC)) checkValue(city, database.getSync(city.key));
    shown.update(start + group.length);
  }
  shown.stop();
  const filled = database.stats().cache;
  line(`all equal; block cache: ${whole(filled.hits)} hits, ${whole(filled.misses)} misses`);

  const order = randomOrder(cities.length);
  const began = performance.now();
  for (const index of order) checkValue(cities[index], database.getSync(cities[index].key));
  const milliseconds = performance.now() - began;
  const { hits, misses } = database.stats().cache;
  const counted = `${whole(hits - filled.hits)} hits, ${whole(misses - filled.misses)} misses`;
  line(`once more in random order, from the cache: all equal; ${counted}`);
  const how = `getSync, random order; ${counted}`;
  figures.push({ what: 'reads from cache', perSecond: rate(cities.length, milliseconds), how });
}

async function readCold(directory: string, cities: readonly Entry[]): Promise<void> {
  heading(`Reading ${whole(COLD_READS)} random ones from the disk`);
  // Without a cache of its own every block that is read is read from the disk, also the second time.
  const database = await Database.open(directory, { blockCacheBytes: 0 });
  const before = database.stats();
  if (!before.directIo) dropPageCache();
  check(before.memtables.activeEntries === 0, () => 'entries are in memory that should be in tables');
  const order = randomOrder(cities.length).subarray(0, COLD_READS);
  const shown = progress('compared', COLD_READS);
  const began = performance.now();
  let next = 0;
  const readOneAfterAnother = async (): Promise<void> => {
    while (next < COLD_READS) {
      const city = cities[order[next++]];
      checkValue(city, await database.get(city.key));
      shown.update(next);
    }
  };
  await Promise.all(Array.from({ length: COLD_READS_IN_FLIGHT }, readOneAfterAnother));
  const milliseconds = performance.now() - began;
  shown.stop();
  const after = database.stats();
  const { hits, misses, sharedReads } = after.cache;
  line(
    `all equal; ${whole(hits)} cache hits, ${whole(misses)} misses (${whole(sharedReads)} joined another's read)`,
  );
  const how = `${COLD_READS_IN_FLIGHT} at once; ${whole(hits)} hits, ${whole(misses - sharedReads)} blocks read`;
  figures.push({ what: 'reads from disk', perSecond: rate(COLD_READS, milliseconds), how });
  noteRings('cold reads', after);
  await database.close();
}

/** Only where O_DIRECT does not keep the page cache out already; only root may. */
function dropPageCache(): void {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    line('no O_DIRECT: the page cache has been dropped');
  } catch (error) {
    line(
      `no O_DIRECT, and the page cache stays (${(error as Error).message}): these reads may come from memory`,
    );
  }
}

async function crash(directory: string): Promise<void> {
  heading('Killing a process that writes');
  const killed = await writeAndKill(directory);
  const { acknowledged, submitted, milliseconds } = killed;
  const moment = `${whole(milliseconds)} ms after its first acknowledgement`;
  line(
    `SIGKILL ${moment}: ${whole(submitted)} writes and batches begun, ${whole(acknowledged.size)} acknowledged`,
  );
  const survivors = await compareSurvivors(directory, killed);
  const { unacknowledgedThere, absent, batches, replayedRecords, tornFrames, faults } = survivors;
  line(`reopened: ${whole(replayedRecords)} records replayed from logs, ${tornFrames} torn frames cut`);
  check(faults.length === 0, () => `after the kill (seed ${killed.seed}): ${faults.slice(0, 5).join('; ')}`);
  line(`acknowledged: ${whole(acknowledged.size)}, all there with the right values`);
  line(
    `not acknowledged: ${unacknowledgedThere} there, ${absent} not; of ${whole(batches)} batches none is torn`,
  );
  const how = `durable, ${IN_FLIGHT} puts and batches at once, until killed`;
  figures.push({ what: 'operations of the killed', perSecond: rate(acknowledged.size, milliseconds), how });
}

function randomOrder(length: number): Uint32Array {
  const random = randomWords(length, 0);
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const other = random() % (i + 1);
    const swapped = order[i];
    order[i] = order[other];
    order[other] = swapped;
  }
  return order;
}

function showFigures(): void {
  heading('Figures');
  table(
    ['', 'per second', 'how'],
    figures.map(({ what, perSecond, how }) => [what, perSecond, how]),
  );
  table(
    ['phase', 'ring', 'operations', 'batch', 'p50 µs', 'p99 µs', 'p99.9 µs', 'read', 'written'],
    ringRows,
  );
}

async function run(directory: string): Promise<void> {
  const began = performance.now();
  const cities = readCities();
  const options: DatabaseOptions = { blockCacheBytes: CACHE_BYTES };
  const loaded = join(directory, 'cities');
  const database = await Database.open(loaded, options);
  showBackend(database.stats());
  await load(database, cities);
  await readBack(database, cities);
  noteRings('load, read back', database.stats());
  await database.close();
  await readCold(loaded, cities);
  await crash(join(directory, 'crash'));
  showFigures();
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`\n  ${green('Every comparison held.')} ${dim(`${seconds} s`)}`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const directory = mkdtempSync(join(tmpdir(), 'quadring-demo-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
try {
  await run(directory);
} catch (error) {
  console.error(red(`\n  The demo failed: ${error instanceof Error ? error.message : String(error)}`));
  process.exitCode = 1;
}
