/**
 * A soak: a mixed load for a long time on one database that is closed and opened again every few minutes, everything held
 * against a model, and a look at the process and the directory once a second. What must not grow is named here, with
 * how much it may.
 *
 *     load ─ every few seconds a pause: held iterators and snapshots are opened, and moved on each second
 *          ─ now and then flush() and compactRange() beside the load
 *          ─ every few minutes: pause, close, open, read everything, go on
 *     end  ─ settle; everything by one scan; the directory has the files of the version and no others; trends
 */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { settle } from '../../bench/support/settled-tree.ts';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { parseFileName } from '../../src/format/file-names.ts';
import { ioOf } from './io-setting.ts';
import { mix, Random } from './random.ts';
import { SoakLoad } from './soak-load.ts';
import { SoakFailure, SoakModel } from './soak-model.ts';
import { SoakReaders } from './soak-readers.ts';
import { filesOf, SoakSampler, type SoakSample } from './soak-samples.ts';
import { growsTooMuch, trendOf, type Trend } from './soak-trend.ts';

const MEBIBYTE = 1 << 20;

/** How much each may grow over the second half of a run, whatever its length. */
export const GROWTH_MAX = {
  /** Heaps of five threads settle late, and the arenas of memtables are touched bit by bit. */
  rssBytes: 64 * MEBIBYTE,
  heapUsedBytes: 32 * MEBIBYTE,
  externalBytes: 32 * MEBIBYTE,
  threads: 0.9,
  /** A log that is being prepared, a manifest that is being replaced. */
  descriptorsBesideTables: 3,
} satisfies Partial<Record<keyof SoakSample, number>>;

/** Samples that a trend needs at least. */
const SAMPLES_MIN = 8;
const SAMPLE_MS = 1000;
/** A pause to open iterators and snapshots; a flush; a range that is compacted. */
const HOLD_EVERY_SECONDS = 5;
const FLUSH_EVERY_SECONDS = 20;
const COMPACT_EVERY_SECONDS = 45;
const SETTLING = { quietMs: 1500, limitMs: 5 * 60_000 };

/** So small that memtables are flushed every few seconds, and several levels are in use. */
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 4 * MEBIBYTE,
  blockCacheBytes: 16 * MEBIBYTE,
  compression: ['none', 'lz4'],
  compaction: { tableBytes: 4 * MEBIBYTE, baseBytes: 16 * MEBIBYTE, multiplier: 4, idleMs: 500 },
};

export interface SoakOptions {
  readonly directory: string;
  readonly seconds: number;
  readonly keys: number;
  readonly seed: number;
  readonly backend: 'auto' | 'uring' | 'syscall';
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly reopenSeconds: number;
  readonly onSample: (sample: SoakSample) => void;
}

export interface SoakReport {
  readonly samples: number;
  readonly backend: string;
  readonly writeOperations: number;
  readonly writtenKeys: number;
  readonly reads: number;
  readonly reopenings: number;
  /** Iterators and snapshots that were held to their end. */
  readonly heldReaders: number;
  readonly compactions: number;
  readonly flushes: number;
  readonly trends: readonly Trend[];
  /** What grew beyond its bound. */
  readonly grown: readonly string[];
}

/** Rejects with SoakFailure or QuadringError when anything is wrong; what grew is in the report. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const soak = await Soak.begin(options);
  try {
    await soak.run();
    return await soak.end();
  } finally {
    await soak.close();
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #model: SoakModel;
  readonly #random: Random;
  readonly #readers: SoakReaders;
  readonly #load: SoakLoad;
  readonly #sampler: SoakSampler;
  readonly #samples: SoakSample[] = [];
  readonly #backend: string;
  #maintenance: Promise<void> | undefined;
  #maintenanceFailure: Error | undefined;
  #reopenings = 0;

  private constructor(options: SoakOptions, database: Database) {
    this.#options = options;
    this.#random = new Random(mix(options.seed ^ 0x50a4));
    this.#model = new SoakModel(options.keys, options.seed);
    this.#readers = new SoakReaders(this.#model, this.#random);
    this.#backend = database.stats().backend;
    this.#load = new SoakLoad({ ...options, database, model: this.#model });
    this.#sampler = new SoakSampler(options.directory, this.#load, this.#model);
  }

  static async begin(options: SoakOptions): Promise<Soak> {
    const { directory, backend } = options;
    return new Soak(options, await Database.open(directory, { ...OPTIONS, io: ioOf(backend) }));
  }

  async run(): Promise<void> {
    const { seconds, reopenSeconds } = this.#options;
    const begun = performance.now();
    for (let second = 1; second <= seconds; second++) {
      await delay(Math.max(0, begun + second * SAMPLE_MS - performance.now()));
      this.#throwWhatFailed();
      await this.#readers.step(this.#load.database);
      const sample = this.#sampler.take();
      this.#samples.push(sample);
      this.#options.onSample(sample);
      if (second % reopenSeconds === 0 && second < seconds) await this.#reopen();
      else if (second % HOLD_EVERY_SECONDS === 0) await this.#hold();
      if (second % COMPACT_EVERY_SECONDS === 0) this.#maintain(() => this.#compactSomething());
      else if (second % FLUSH_EVERY_SECONDS === 0) this.#maintain(() => this.#load.database.flush());
    }
  }

  async end(): Promise<SoakReport> {
    await this.#maintenance;
    this.#throwWhatFailed();
    await this.#load.stop();
    await this.#readers.closeAll();
    const { database } = this.#load;
    await settle(database, SETTLING);
    await this.#checkContents();
    const { levels } = database.stats();
    const tables = levels.reduce((sum, level) => sum + level.tables, 0);
    const files = filesOf(this.#options.directory);
    if (files.tables !== tables || files.temporary > 0) {
      throw new SoakFailure(
        `${files.tables} table files and ${files.temporary} temporary ones for ${tables} tables`,
      );
    }
    await database.close();
    this.#checkDirectory(tables);
    const trends = this.#trends();
    const sum = (of: (sample: SoakSample) => number): number =>
      this.#samples.reduce((total, sample) => total + of(sample), 0);
    return {
      samples: this.#samples.length,
      backend: this.#backend,
      writeOperations: this.#load.writeOperations,
      writtenKeys: this.#load.writtenKeys,
      reads: this.#load.reads,
      reopenings: this.#reopenings,
      heldReaders: this.#readers.ended,
      compactions: sum(({ compactions }) => compactions),
      flushes: sum(({ flushes }) => flushes),
      trends,
      grown: trends.filter(growsTooMuch).map(({ name }) => name),
    };
  }

  /** After a failure as well; of what is closed nothing. */
  async close(): Promise<void> {
    await this.#load.stop().catch(() => undefined);
    await this.#load.database.close();
  }

  #throwWhatFailed(): void {
    const failure = this.#load.failure ?? this.#maintenanceFailure;
    if (failure !== undefined) throw failure;
  }

  async #hold(): Promise<void> {
    await this.#load.pause();
    this.#readers.open(this.#load.database);
    this.#load.resume();
  }

  async #reopen(): Promise<void> {
    await this.#maintenance;
    this.#throwWhatFailed();
    await this.#load.pause();
    await this.#readers.closeAll();
    await this.#load.database.close();
    const { directory, backend } = this.#options;
    this.#load.database = await Database.open(directory, { ...OPTIONS, io: ioOf(backend) });
    this.#reopenings++;
    this.#sampler.noteReopened(this.#load.database);
    await this.#checkContents();
    this.#readers.open(this.#load.database);
    this.#load.resume();
  }

  async #checkContents(): Promise<void> {
    const entries = await this.#readers.readAll(this.#load.database);
    if (entries === this.#model.liveEntries) return;
    throw new SoakFailure(`${entries} entries are there, expected ${this.#model.liveEntries}`);
  }

  /** One thing at a time beside the load. */
  #maintain(act: () => Promise<void>): void {
    if (this.#maintenance !== undefined) return;
    this.#maintenance = act()
      .catch((error: unknown) => {
        this.#maintenanceFailure ??= error as Error;
      })
      .finally(() => {
        this.#maintenance = undefined;
      });
  }

  #compactSomething(): Promise<void> {
    const from = this.#random.below(this.#model.keyCount);
    const to = Math.min(from + (this.#model.keyCount >>> 3), this.#model.keyCount);
    const range = { gte: this.#model.boundaryOf(from), lt: this.#model.boundaryOf(to) };
    return this.#load.database.compactRange(range);
  }

  /** A closed database has its tables, a manifest, few logs, and nothing that nobody needs. */
  #checkDirectory(tables: number): void {
    const kinds = new Map<string, number>();
    for (const name of readdirSync(this.#options.directory)) {
      const kind = parseFileName(name)?.kind ?? 'foreign';
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    const found = Object.fromEntries(kinds);
    const asExpected =
      (found['table'] ?? 0) === tables &&
      found['manifest'] === 1 &&
      found['current'] === 1 &&
      found['lock'] === 1 &&
      found['temporary'] === undefined &&
      found['foreign'] === undefined;
    if (!asExpected) throw new SoakFailure(`the closed database has ${JSON.stringify(found)}`);
  }

  #trends(): Trend[] {
    if (this.#samples.length < SAMPLES_MIN) return [];
    return Object.entries(GROWTH_MAX).map(([name, growthMax]) => {
      const values = this.#samples.map((sample) => sample[name as keyof typeof GROWTH_MAX]);
      return trendOf(name, values, growthMax);
    });
  }
}
