/**
 * A whole database whose files something has happened to, opened and read in one thread over a disk in memory: an error
 * with a code, or what was written; of what a crash left, what was written up to the damage at the end of its log.
 */
import fc from 'fast-check';
import { must } from '../../../src/assert.ts';
import { QuadringError } from '../../../src/errors.ts';
import { parseFileName } from '../../../src/format/file-names.ts';
import { readFrame } from '../../../src/format/frame.ts';
import { Database } from '../../../src/main/database.ts';
import { resolveOptions, type DatabaseOptions } from '../../../src/main/options.ts';
import type { BatchOperation } from '../../../src/main/write-batch.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../simulated-environment.ts';
import { Random } from '../random.ts';
import { accepted, expect, fuzzTarget, type Counter, type FuzzTarget } from './target.ts';

const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 65_536,
  blockBytes: 4096,
  blockCacheBytes: 65_536,
  compression: ['none', 'lz4'],
  compaction: { automatic: false },
};
const KEYS = 40;
/** Of the database: what the frames of its logs are sealed with. */
const SALT = 0x5a17;
const pool = new Uint8Array(new SharedArrayBuffer(resolveOptions(OPTIONS).poolBytes));

type Contents = ReadonlyMap<string, string>;

interface Frame {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Image {
  readonly disk: SimulatedDisk;
  readonly files: readonly string[];
  /** Whether the database was closed: then even the end of its log is known. */
  readonly isClosed: boolean;
  /** What it holds after each write, from none on. */
  readonly states: readonly Contents[];
  /** How many of them are in tables. */
  readonly flushed: number;
  /** The log, which is large enough for all of them, and its frames, one for each. */
  readonly log: { readonly name: string; readonly frames: readonly Frame[] };
}

function keyAt(place: number): string {
  return `key-${String(place).padStart(3, '0')}`;
}

async function openIn(disk: SimulatedDisk): Promise<Database> {
  const random = new Random(7);
  const { environment } = simulatedWorld({ disk, pool, random: () => random.fraction() });
  return Database.openIn({ ...environment, random32: () => SALT }, SIMULATED_DIRECTORY, OPTIONS);
}

function operationsAt(step: number, random: Random): BatchOperation[] {
  const key = keyAt(random.below(KEYS));
  if (step % 9 === 7) return [{ type: 'del', key }];
  if (step % 20 === 19) {
    const start = random.below(KEYS);
    return [{ type: 'deleteRange', gte: keyAt(start), lt: keyAt(start + 4) }];
  }
  const value = `${step}:`.padEnd(20 + random.below(700), `value ${step} `);
  const put = { type: 'put' as const, key, value };
  return step % 5 === 3 ? [put, { type: 'put', key: keyAt(random.below(KEYS)), value: `${step}` }] : [put];
}

function after(before: Contents, operations: readonly BatchOperation[]): Contents {
  const contents = new Map(before);
  for (const operation of operations) {
    if (operation.type === 'put') contents.set(String(operation.key), String(operation.value));
    else if (operation.type === 'del') contents.delete(String(operation.key));
    else {
      const { gte = '', lt = '' } = operation;
      for (const key of before.keys()) if (key >= String(gte) && key < String(lt)) contents.delete(key);
    }
  }
  return contents;
}

const COMPACT_AFTER = 80;
const FLUSH_AFTER: readonly number[] = [40, COMPACT_AFTER, 110, 140];
const STEPS = 160;

/** A database with tables on two levels and a log, as a crash leaves it and after it was closed. */
async function makeImages(): Promise<Image[]> {
  const random = new Random(1);
  const disk = new SimulatedDisk();
  const database = await openIn(disk);
  const states: Contents[] = [new Map()];
  for (let step = 1; step <= STEPS; step++) {
    const operations = operationsAt(step, random);
    await database.batch(operations);
    states.push(after(states[step - 1], operations));
    if (FLUSH_AFTER.includes(step)) await database.flush();
    if (step === COMPACT_AFTER) await database.compactRange();
  }
  const flushed = Math.max(...FLUSH_AFTER);
  const crashed = imageOf(disk.crashed('everything'), false, states, flushed);
  await database.close();
  return [crashed, imageOf(disk.crashed('everything'), true, states, flushed)];
}

function imageOf(
  disk: SimulatedDisk,
  isClosed: boolean,
  states: readonly Contents[],
  flushed: number,
): Image {
  const files = [...disk.names.keys()].sort();
  const logs = files.map((name) => ({ name, frames: framesOf(disk, name) }));
  const log = logs.find(({ frames }) => frames.length === STEPS);
  if (log === undefined) throw new Error('no log has a frame for each write');
  return { disk, files, isClosed, states, flushed, log };
}

function framesOf(disk: SimulatedDisk, name: string): Frame[] {
  const file = disk.names.get(name);
  const parsed = parseFileName(name);
  if (file === undefined || parsed?.kind !== 'log') return [];
  const frames: Frame[] = [];
  const content = file.bytes();
  const place = { salt: SALT, fileNumber: parsed.number };
  for (let offset = 0; ;) {
    const read = readFrame(content, offset, content.length, { ...place, offset });
    if (read.status !== 'valid') return frames;
    const end = read.payloadStart + read.payloadLength;
    frames.push({ offset, bytes: content.slice(offset, end) });
    offset += read.paddedLength;
  }
}

type Damage =
  | { readonly kind: 'bytes'; readonly places: readonly number[]; readonly value: number }
  | { readonly kind: 'bit'; readonly place: number; readonly bit: number }
  | { readonly kind: 'cut'; readonly place: number }
  | { readonly kind: 'grow'; readonly bytes: number }
  | { readonly kind: 'zero'; readonly place: number; readonly pages: number }
  | { readonly kind: 'copy'; readonly from: number; readonly to: number }
  | { readonly kind: 'remove' }
  | { readonly kind: 'swap'; readonly other: number };

/** Places are fractions of what a file has in use. */
const place = fc.double({ min: 0, max: 1, noNaN: true });

const damage: fc.Arbitrary<Damage> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('bytes' as const),
      places: fc.array(place, { minLength: 1, maxLength: 3 }),
      value: fc.nat(255),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('bit' as const), place, bit: fc.nat(7) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('grow' as const), bytes: fc.nat(9000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('zero' as const), place, pages: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('copy' as const), from: place, to: place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('swap' as const), other: fc.nat(20) }) },
);

const PAGE = 4096;

function inflict(disk: SimulatedDisk, name: string, files: readonly string[], one: Damage): void {
  const file = disk.names.get(name);
  if (file === undefined) return;
  const content = file.bytes();
  const changed = (): void => file.write(content, 0, true);
  let used = content.length;
  while (used > 0 && content[used - 1] === 0) used--;
  const at = (fraction: number): number => Math.min(Math.floor(fraction * used), Math.max(used - 1, 0));
  switch (one.kind) {
    case 'bytes':
      for (const fraction of one.places) content[at(fraction)] = one.value;
      return changed();
    case 'bit':
      content[at(one.place)] ^= 1 << one.bit;
      return changed();
    case 'cut':
      return file.truncate(at(one.place));
    case 'grow':
      file.truncate(file.size + one.bytes);
      return;
    case 'zero': {
      const start = Math.floor(at(one.place) / PAGE) * PAGE;
      content.fill(0, start, start + (one.pages + 1) * PAGE);
      return changed();
    }
    case 'copy': {
      const page = Math.floor(at(one.from) / PAGE) * PAGE;
      content.copyWithin(Math.floor(at(one.to) / PAGE) * PAGE, page, page + PAGE);
      return changed();
    }
    case 'remove':
      disk.names.delete(name);
      return;
    case 'swap': {
      const other = files[one.other % files.length];
      const otherFile = disk.names.get(other);
      if (otherFile === undefined) return;
      disk.names.set(name, otherFile);
      disk.names.set(other, file);
      return;
    }
  }
}

/** How many frames of the log are as they were, up to the first that is not; −1 if one behind that is. */
function intactFrames(image: Image, disk: SimulatedDisk): number {
  const file = disk.names.get(image.log.name);
  const isIntact = image.log.frames.map(({ offset, bytes }) => {
    const end = offset + bytes.length;
    if (file === undefined || end > file.size) return false;
    const found = new Uint8Array(bytes.length);
    file.read(found, offset);
    return Buffer.compare(found, bytes) === 0;
  });
  const first = isIntact.indexOf(false);
  if (first < 0) return isIntact.length;
  return isIntact.indexOf(true, first) < 0 ? first : -1;
}

/** What reads say, where they say anything: undefined is no value, and a key that is missing could not be read. */
async function readAll(database: Database, count: Counter): Promise<Map<string, string | undefined>> {
  const read = new Map<string, string | undefined>();
  for (let i = 0; i < KEYS + 4; i++) {
    const key = keyAt(i);
    const value = accepted(() => database.getString(key));
    if (value === undefined) count('values that could not be read');
    else read.set(key, value.value);
  }
  for (const reverse of [false, true]) {
    try {
      for await (const [key, value] of database.iterator({ reverse, keyEncoding: 'utf8' })) {
        const got = value.toString('latin1');
        expect(!read.has(key) || read.get(key) === got, `a scan and a get of ${key} differ`);
        read.set(key, got);
      }
    } catch (error) {
      if (!(error instanceof QuadringError)) throw error;
      count('scans that could not be ended');
    }
  }
  return read;
}

function agrees(read: ReadonlyMap<string, string | undefined>, state: Contents): boolean {
  return [...read].every(([key, value]) => state.get(key) === value);
}

async function checkImage(image: Image, disk: SimulatedDisk, count: Counter): Promise<void> {
  const intact = intactFrames(image, disk);
  let database: Database;
  try {
    database = await openIn(disk);
  } catch (error) {
    if (!(error instanceof QuadringError)) throw error;
    expect(error.code !== 'FAILED' && error.code !== 'WORKER_FAILED', `${error.code}: ${error.message}`);
    return count('opens that were refused');
  }
  count('opens');
  const read = await readAll(database, count);
  await database.close().catch((error: unknown) => {
    if (!(error instanceof QuadringError)) throw error;
  });
  expect(intact >= 0, 'a frame of the log is damaged, and one behind it is not');
  const kept = Math.max(image.flushed, intact);
  expect(!image.isClosed || kept === STEPS, 'a loss from the log of a database that was closed');
  // Edits that are gone from the manifest's end look like appends that a crash cut short. The log makes up for them, unless it
  // is damaged as well: what two damages of that kind leave is what was before a flush.
  const isLogNeeded = !isManifestWhole(image, disk) && intact < STEPS;
  const states = [kept, ...(isLogNeeded ? [0, ...FLUSH_AFTER].filter((step) => step >= intact) : [])];
  expect(
    states.some((step) => agrees(read, image.states[step])),
    `what is read is not what was written up to write ${states.join(', or ')}`,
  );
}

function isManifestWhole(image: Image, disk: SimulatedDisk): boolean {
  const name = must(
    image.files.find((file) => parseFileName(file)?.kind === 'manifest'),
    'an image has a manifest',
  );
  const [was, is] = [image.disk, disk].map((each) => each.names.get(name)?.bytes());
  return was !== undefined && is !== undefined && Buffer.compare(was, is.subarray(0, was.length)) === 0;
}

export const fileTargets: readonly FuzzTarget[] = [
  fuzzTarget({
    name: 'a database whose files are damaged',
    runs: 250,
    open: makeImages,
    arbitrary: fc.record({
      image: fc.nat(1),
      damages: fc.array(fc.record({ file: fc.nat(20), damage }), { minLength: 1, maxLength: 2 }),
    }),
    async check({ image: ordinal, damages }, count, images) {
      const image = images[ordinal];
      const disk = image.disk.crashed('everything');
      for (const { file, damage: one } of damages)
        inflict(disk, image.files[file % image.files.length], image.files, one);
      await checkImage(image, disk, count);
    },
  }),
];
