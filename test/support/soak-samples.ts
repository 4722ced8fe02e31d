/**
 * What a soak looks at once a second: the process, the directory, the database's own figures, and how long gets and
 * puts took since the last look.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { percentilesOf, type Percentiles } from '../../bench/support/paced-gets.ts';
import type { Database, DatabaseStats } from '../../src/index.ts';
import type { SoakLoad } from './soak-load.ts';
import type { SoakModel } from './soak-model.ts';

export interface SoakSample {
  readonly second: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  /** Threads of the process, and the kernel's workers for its rings, which come and go. */
  readonly threads: number;
  readonly kernelWorkers: number;
  readonly descriptors: number;
  /** Without those of open tables: of a version, of older ones that iterators hold, and inputs of a compaction. */
  readonly descriptorsBesideTables: number;
  readonly tables: number;
  readonly tableFiles: number;
  readonly temporaryFiles: number;
  readonly spareFiles: number;
  /** Bytes of table files for each byte of live keys and values. */
  readonly spaceAmplification: number;
  readonly writeAmplification: number;
  readonly levels: string;
  readonly liveEntries: number;
  readonly liveBytes: number;
  /** Since the last sample. */
  readonly writeOperations: number;
  readonly writtenKeys: number;
  readonly reads: number;
  readonly compactions: number;
  readonly flushes: number;
  readonly stalls: Readonly<Record<string, { readonly count: number; readonly milliseconds: number }>>;
  /** In microseconds. */
  readonly get: Percentiles;
  readonly durablePut: Percentiles;
  readonly iterators: number;
  readonly snapshots: number;
  readonly reopened: number;
}

export class SoakSampler {
  readonly #directory: string;
  readonly #load: SoakLoad;
  readonly #model: SoakModel;
  readonly #begun = performance.now();
  #before: DatabaseStats;
  #writeOperations = 0;
  #writtenKeys = 0;
  #reads = 0;
  #reopened = 0;

  constructor(directory: string, load: SoakLoad, model: SoakModel) {
    this.#directory = directory;
    this.#load = load;
    this.#model = model;
    this.#before = load.database.stats();
  }

  /** Counters of the database begin again. */
  noteReopened(database: Database): void {
    this.#before = database.stats();
    this.#reopened++;
  }

  take(): SoakSample {
    const load = this.#load;
    const stats = load.database.stats();
    const before = this.#before;
    const memory = process.memoryUsage();
    const threads = threadNames();
    const kernelWorkers = threads.filter((name) => name.startsWith('iou-')).length;
    const descriptors = openDescriptors();
    const files = filesOf(this.#directory);
    const sample: SoakSample = {
      second: (performance.now() - this.#begun) / 1000,
      rssBytes: memory.rss,
      heapUsedBytes: memory.heapUsed,
      externalBytes: memory.external,
      threads: threads.length - kernelWorkers,
      kernelWorkers,
      descriptors: descriptors.length,
      descriptorsBesideTables: descriptors.filter((target) => !/\.sst(\.tmp)?( \(deleted\))?$/.test(target))
        .length,
      tables: stats.levels.reduce((sum, { tables }) => sum + tables, 0),
      tableFiles: files.tables,
      temporaryFiles: files.temporary,
      spareFiles: stats.tableFiles.spare,
      spaceAmplification: files.tableBytes / Math.max(this.#model.liveBytes, 1),
      writeAmplification: stats.amplification.write,
      levels: stats.levels.map(({ level, tables }) => `${level}:${tables}`).join(' '),
      liveEntries: this.#model.liveEntries,
      liveBytes: this.#model.liveBytes,
      writeOperations: load.writeOperations - this.#writeOperations,
      writtenKeys: load.writtenKeys - this.#writtenKeys,
      reads: load.reads - this.#reads,
      compactions: stats.compactions.compactions - before.compactions.compactions,
      flushes: stats.flushes.flushes - before.flushes.flushes,
      stalls: stallsSince(before, stats),
      get: percentilesOf(load.getTimes),
      durablePut: percentilesOf(load.putTimes),
      iterators: stats.readers.iterators,
      snapshots: stats.readers.snapshots,
      reopened: this.#reopened,
    };
    load.getTimes = [];
    load.putTimes = [];
    this.#before = stats;
    this.#writeOperations = load.writeOperations;
    this.#writtenKeys = load.writtenKeys;
    this.#reads = load.reads;
    this.#reopened = 0;
    return sample;
  }
}

/** Only reasons for which anything waited. */
function stallsSince(before: DatabaseStats, after: DatabaseStats): SoakSample['stalls'] {
  const stalls: Record<string, { count: number; milliseconds: number }> = {};
  for (const [reason, { count, milliseconds }] of Object.entries(after.writes.stalled)) {
    const earlier = before.writes.stalled[reason as keyof typeof before.writes.stalled];
    if (count === earlier.count && milliseconds === earlier.milliseconds) continue;
    stalls[reason] = { count: count - earlier.count, milliseconds: milliseconds - earlier.milliseconds };
  }
  return stalls;
}

function threadNames(): string[] {
  return readdirSync('/proc/self/task').flatMap((id) =>
    unlessGone(() => readFileSync(`/proc/self/task/${id}/comm`, 'latin1').trim()),
  );
}

/** What each descriptor of this process is. The one that lists them is gone when it is looked at. */
function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) =>
    unlessGone(() => readlinkSync(`/proc/self/fd/${descriptor}`)),
  );
}

export function filesOf(directory: string): { tables: number; tableBytes: number; temporary: number } {
  let tables = 0;
  let tableBytes = 0;
  let temporary = 0;
  for (const name of readdirSync(directory)) {
    if (name.endsWith('.tmp')) temporary++;
    if (!name.endsWith('.sst')) continue;
    for (const { size } of unlessGone(() => statSync(join(directory, name)))) {
      tables++;
      tableBytes += size;
    }
  }
  return { tables, tableBytes, temporary };
}

/** What was listed may have ended or been removed since. */
function unlessGone<T>(look: () => T): T[] {
  try {
    return [look()];
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
