/** What `Database.open` is told: settings that are whole, or INVALID_ARGUMENT, and nothing is made for what is refused. */
import fc from 'fast-check';
import { QuadringError } from '../../../src/errors.ts';
import { Database } from '../../../src/main/database.ts';
import { resolveOptions, type DatabaseOptions, type Settings } from '../../../src/main/options.ts';
import { databaseOptions } from '../../../src/level/options.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../simulated-environment.ts';
import { Random } from '../random.ts';
import { inBoundedMemory } from './damaged-bytes.ts';
import { hostile, mostly, optionsOf, ThrownByArgument } from './hostile-values.ts';
import { expect, fuzzTarget, type FuzzTarget } from './target.ts';

const mebibytes = fc.nat(4096).map((count) => count * (1 << 20));
const power = fc.nat(20).map((exponent) => 2 ** exponent);
const byLevel = (one: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof(one, fc.array(one, { maxLength: 8 }), fc.sparseArray(one, { maxLength: 7, maxNumElements: 4 }));

const openOptions = optionsOf({
  createIfMissing: fc.boolean(),
  errorIfExists: fc.boolean(),
  lockTimeoutMs: fc.nat(10),
  blockCacheBytes: fc.oneof(fc.nat(1 << 22), mebibytes),
  blockBytes: power,
  writeBufferBytes: fc.oneof(fc.nat(1 << 18), mebibytes),
  filterBitsPerKey: byLevel(fc.nat(31)),
  compression: byLevel(fc.constantFrom('none', 'lz4', 'zstd')),
  hugePages: fc.constantFrom('auto', 'off'),
  readAhead: optionsOf({ windowBytes: mebibytes, totalBytes: mebibytes }),
  io: optionsOf({
    backend: fc.constantFrom('auto', 'uring', 'syscall'),
    direct: fc.constantFrom('auto', true, false),
    singleIssuer: fc.boolean(),
    queueDepth: power,
    workers: optionsOf({ max: fc.nat(3), cpus: fc.array(fc.nat(1), { maxLength: 2 }) }),
    iopoll: fc.boolean(),
    sqpoll: fc.oneof(fc.boolean(), optionsOf({ idleMs: fc.nat(10), cpu: fc.nat(4) })),
    spinMicroseconds: fc.nat(1000),
  }),
  compaction: optionsOf({
    automatic: fc.boolean(),
    rateBytesPerSecond: fc.oneof(fc.constantFrom('auto', 0), mebibytes),
    priority: fc.constantFrom('idle', 'best-effort'),
    l0Trigger: fc.nat(33),
    l0Slowdown: fc.nat(48),
    l0Stop: fc.nat(49),
    pendingSlowdownBytes: mebibytes,
    pendingStopBytes: mebibytes,
    tableBytes: fc.oneof(mebibytes, fc.constant(65_536)),
    baseBytes: mebibytes,
    multiplier: fc.nat(101),
    idleMs: fc.nat(1000),
    spareBytes: fc.oneof(mebibytes, fc.constant('auto')),
  }),
});

/** Nothing in it is missing or no number. */
function expectWhole(value: unknown, name: string): void {
  expect(value !== undefined && value !== null, `${name} is missing`);
  if (typeof value === 'number') expect(Number.isFinite(value) && value >= 0, `${name} is ${value}`);
  if (typeof value !== 'object') return;
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) expectWhole(value[i], `${name}[${i}]`);
  else for (const [part, one] of Object.entries(value)) expectWhole(one, `${name}.${part}`);
}

function settingsOf(options: unknown): Settings | undefined {
  try {
    return inBoundedMemory(0, () => resolveOptions(options as DatabaseOptions | undefined));
  } catch (error) {
    if (error instanceof ThrownByArgument) return undefined;
    expect(
      error instanceof QuadringError && error.code === 'INVALID_ARGUMENT',
      `refused with ${String(error)}`,
    );
    return undefined;
  }
}

/** Sizes with which a database in memory is quickly made. */
const SMALL: DatabaseOptions = { blockCacheBytes: 1 << 20, writeBufferBytes: 1 << 17 };
const pool = new Uint8Array(new SharedArrayBuffer(resolveOptions(SMALL).poolBytes));

const options = fuzzTarget({
  name: 'options of Database.open',
  runs: 250,
  arbitrary: openOptions,
  async check(given, count) {
    const settings = settingsOf(given);
    if (settings === undefined) return;
    count('accepted');
    expectWhole(settings, 'settings');
    const { poolBytes, createIfMissing, blockBytes, slotCount } = settings;
    expect(slotCount * blockBytes <= poolBytes, 'slots beyond the pool');
    if (!createIfMissing) return;
    count('opened');
    const random = new Random(1);
    const world = simulatedWorld({ disk: new SimulatedDisk(), pool, random: () => random.fraction() });
    const small = { ...(given as DatabaseOptions), ...SMALL };
    const database = await Database.openIn(world.environment, SIMULATED_DIRECTORY, small);
    const value = Buffer.alloc(3000, 'value');
    for (let i = 0; i < 30; i++) await database.put(`key ${i}`, value);
    await database.flush();
    await database.compactRange();
    expect(database.getSync('key 7')?.equals(value) === true, 'what was written is read');
    await database.close();
  },
});

const levelOptions = fuzzTarget({
  name: 'options of an abstract-level that is opened',
  runs: 1000,
  arbitrary: openOptions,
  check(given, count) {
    // abstract-level has made an object of whatever it was given.
    if (typeof given !== 'object' || given === null) return;
    let ours: DatabaseOptions;
    try {
      ours = databaseOptions(given);
    } catch (error) {
      expect(error instanceof ThrownByArgument, String(error));
      return;
    }
    const settings = settingsOf(ours);
    if (settings === undefined) return;
    count('accepted');
    expectWhole(settings, 'settings');
  },
});

const directories = fuzzTarget({
  name: 'directories of Database.open',
  runs: 150,
  arbitrary: mostly(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        '/',
        '.',
        '..',
        '/dev/null',
        '/proc/self/fd',
        '/dev/null/x',
        'x'.repeat(300),
        'x/'.repeat(3000),
      ),
      fc.string({ maxLength: 20 }).map((name) => `/tmp/quadring-not-there/${name}`),
    ),
    hostile,
  ),
  async check(directory, count) {
    try {
      // Nothing may be made of a name that was made up.
      await Database.open(directory as string, { createIfMissing: false });
      throw new Error(`there was a database in ${String(directory)}`);
    } catch (error) {
      expect(error instanceof QuadringError, `refused with ${String(error)}`);
      count(error.code);
    }
  },
});

export const openTargets: readonly FuzzTarget[] = [options, levelOptions, directories];
