/**
 * Cold reads and durable puts on one setting of `io`, as a program of its own in the virtual machine:
 * `polled-figures <directory> <device> <result file> <setting as JSON>`. Every value that is read is compared. What comes
 * of it are counts above all, of the rings and of the kernel; times of an emulated machine only say which is slower there.
 */
import { writeFileSync } from 'node:fs';
import { must } from '../../src/assert.ts';
import {
  Database,
  type BatchOperation,
  type DatabaseOptions,
  type DatabaseStats,
  type IoOptions,
} from '../../src/index.ts';
import { ROLE_NAMES, type RoleName } from '../../src/protocol/requests.ts';
import { Random } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';
import { type FiguresRun, type Phase, type RingDelta } from './io-uring-task.ts';
import { countedSince, readKernelCounters } from './kernel-counters.ts';

/** Blocks of 4 KiB: a few thousand, so that reads that are under way together seldom want the same one. */
const ENTRIES = 60_000;
const ENTRIES_PER_BATCH = 500;
const VALUE_BYTES = 100;
/** Keys of puts stand behind those that are read. */
const PUTS_FROM = 1_000_000;
/** What comes before each phase and is not measured: the compiler is at work. */
const WARM_UP = 100;
const SEED = 20261129;
type Measured = Pick<Phase, 'name' | 'kind' | 'depth' | 'operations'>;
const PREPARATION: Measured = {
  name: 'fill, flush, compact',
  kind: 'prepare',
  depth: 1,
  operations: ENTRIES,
};
const PHASES: readonly Measured[] = [
  { name: 'cold reads, 1 in flight', kind: 'read', depth: 1, operations: 500 },
  { name: 'cold reads, 16 in flight', kind: 'read', depth: 16, operations: 2000 },
  { name: 'durable puts, 1 in flight', kind: 'put', depth: 1, operations: 500 },
  { name: 'durable puts, 64 in flight', kind: 'put', depth: 64, operations: 4000 },
];

const [, , directory = '', device = '', resultFile = '', setting = '{}'] = process.argv;
/** No cache, so that reads come from the disk; nothing is flushed or compacted unasked, so that nothing goes on beside a phase. */
const OPTIONS: DatabaseOptions = {
  blockBytes: 4096,
  blockCacheBytes: 0,
  writeBufferBytes: 16 * 1024 * 1024,
  compaction: { automatic: false },
  io: { backend: 'uring', ...(JSON.parse(setting) as IoOptions) },
};

class Figures {
  readonly #random = new Random(SEED);
  readonly #phases: Phase[] = [];
  #puts = 0;
  #valuesChecked = 0;

  async run(): Promise<FiguresRun> {
    await this.#prepare();
    const database = await Database.open(directory, OPTIONS);
    for (const phase of PHASES) {
      const { kind, depth, operations } = phase;
      const act = kind === 'read' ? () => this.#read(database) : () => this.#put(database);
      await inFlight(WARM_UP, depth, act);
      await this.#measure(phase, database, () => inFlight(operations, depth, act));
    }
    const { iopoll, iopollRefusal } = database.stats();
    const all = ringsOf(database);
    await database.close();
    await this.#expectPuts();
    const rings = byRole((role) => ({ flags: all[role].flags, pollerFlags: all[role].pollerFlags }));
    return { iopoll, iopollRefusal, rings, phases: this.#phases, valuesChecked: this.#valuesChecked };
  }

  /** Tables of two flushes, of which a compaction makes one level. */
  async #prepare(): Promise<void> {
    const database = await Database.open(directory, OPTIONS);
    await this.#measure(PREPARATION, database, async () => {
      for (const half of [0, 1]) {
        for (let from = half; from < ENTRIES; from += 2 * ENTRIES_PER_BATCH) {
          // One at a time: a frame of the log then has one batch, and is no larger than a disk takes at once.
          await database.batch(entriesFrom(from));
        }
        await database.flush();
      }
      await database.compactRange();
    });
    await database.close();
  }

  async #read(database: Database): Promise<void> {
    const index = this.#random.below(ENTRIES);
    this.#expectValue(await database.get(keyOf(index)), index);
  }

  async #put(database: Database): Promise<void> {
    const index = PUTS_FROM + this.#puts++;
    await database.put(keyOf(index), valueOf(VALUE_BYTES, index));
  }

  /** As the next open finds them. */
  async #expectPuts(): Promise<void> {
    const database = await Database.open(directory, OPTIONS);
    for (let i = 0; i < this.#puts; i++) {
      this.#expectValue(await database.get(keyOf(PUTS_FROM + i)), PUTS_FROM + i);
    }
    await database.close();
  }

  #expectValue(value: Buffer | undefined, index: number): void {
    if (value?.equals(valueOf(VALUE_BYTES, index)) !== true) {
      throw new Error(`${keyOf(index)} does not have what was written`);
    }
    this.#valuesChecked++;
  }

  async #measure(phase: Measured, database: Database, work: () => Promise<void>): Promise<void> {
    const kernel = readKernelCounters(device);
    const rings = ringsOf(database);
    const cpu = process.cpuUsage();
    const began = performance.now();
    await work();
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const after = ringsOf(database);
    this.#phases.push({
      ...phase,
      seconds,
      cpuSeconds: (user + system) / 1e6,
      rings: byRole((role) => since(rings[role], after[role])),
      kernel: countedSince(kernel, readKernelCounters(device)),
    });
  }
}

function entriesFrom(first: number): BatchOperation[] {
  return Array.from({ length: ENTRIES_PER_BATCH }, (_, i) => {
    const index = first + 2 * i;
    return { type: 'put', key: keyOf(index), value: valueOf(VALUE_BYTES, index) };
  });
}

function ringsOf(database: Database): Record<RoleName, DatabaseStats['rings'][number]> {
  const { rings } = database.stats();
  return byRole((role) =>
    must(
      rings.find((ring) => ring.role === role),
      'each role has a ring',
    ),
  );
}

function byRole<T>(pick: (role: RoleName) => T): Record<RoleName, T> {
  return Object.fromEntries(ROLE_NAMES.map((role) => [role, pick(role)])) as Record<RoleName, T>;
}

function since(before: RingDelta, after: RingDelta): RingDelta {
  return {
    operations: after.operations - before.operations,
    polledOperations: after.polledOperations - before.polledOperations,
    enters: after.enters - before.enters,
    pollWakeUps: after.pollWakeUps - before.pollWakeUps,
    parks: after.parks - before.parks,
  };
}

/** As many at a time; resolves when all are done. */
async function inFlight(count: number, depth: number, act: () => Promise<void>): Promise<void> {
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      await act();
    }
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

writeFileSync(resultFile, JSON.stringify(await new Figures().run()));
