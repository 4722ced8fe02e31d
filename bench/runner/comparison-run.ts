/**
 * Runs groups for arms, round by round, and gathers what they measured. Benchmarks only.
 */
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { ARMS, type Arm } from '../peers/arms.ts';
import { BareDisk } from '../support/bare.ts';
import { dropPageCache, syncDisks } from '../support/cold.ts';
import { readWithFio } from '../support/fio.ts';
import { OneCompaction, type CompactionResult } from '../support/one-compaction.ts';
import { compactInProcess } from './compaction-process.ts';
import type { NamedTimeline } from '../report/report.ts';
import { recordMixedLoad } from './mixed-load.ts';
import { BLOCK_BYTES } from '../peers/peer.ts';
import type { Group, StepDefinition } from '../workload/group.ts';
import type { Workload } from '../workload/groups.ts';
import type { Sample } from '../workload/sample.ts';
import type { Dataset, Described, Measured, Opening, Session } from '../workload/session.ts';
import { Databases } from './databases.ts';
import { runSession, type Answer } from './engine-process.ts';

const BARE_WRITES = 3000;
const FIO_DEPTH = 32;
const MEBIBYTE = 1 << 20;
/** As in `npm run bench:compaction`. */
const COMPACTED_OVERWRITES = 4;
const COMPACTED_RUNS = 2;
const COMPACTION_BACKENDS: ReadonlyMap<string, 'auto' | 'syscall'> = new Map([
  ['quadring', 'auto'],
  ['quadring-syscall', 'syscall'],
]);
const MIXED_LOAD_SECONDS = 15;
const LOADING: Opening = { cacheBytes: 32 * MEBIBYTE, io: 'direct', durable: false, inMemory: false };

export interface RunOptions {
  /** For databases and traces; taken away by whoever made it. */
  readonly root: string;
  readonly arms: readonly Arm[];
  readonly workload: Workload;
  /** RocksDB's program; arms without a binding are left out by whoever has none. */
  readonly rocksDbProgram: string;
  /** Whether RocksDB's other program is there. */
  readonly rocksDbCompaction: boolean;
  /** Whether fio is there. */
  readonly hasFio: boolean;
  readonly log: (line: string) => void;
}

/** Some rows, once for each arm that takes part. */
export interface Part {
  readonly name: string;
  readonly round: (round: number) => Promise<void>;
}

export class ComparisonRun {
  readonly samples: Sample[] = [];
  readonly timelines: NamedTimeline[] = [];
  /** Who failed at what. */
  readonly notes: string[] = [];
  /** What each arm said of itself, on its first opening with O_DIRECT. */
  readonly described = new Map<string, Described>();
  readonly #options: RunOptions;
  readonly #databases: Databases;
  #areLoadsMeasured = false;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#databases = new Databases(options.root);
  }

  /** Everything that a whole run has. */
  parts(): Part[] {
    const { workload } = this.#options;
    return [
      ...this.#partsOf(workload.groups()),
      { name: 'compaction', round: (round) => this.#compaction(round) },
      { name: 'mixed-load', round: (round) => this.#mixedLoad(round) },
    ];
  }

  removeDatabases(): void {
    this.#databases.removeAll();
  }

  /** What is measured at each number of entries; of each engine's load, which is done once, as well. */
  growthParts(): Part[] {
    this.#areLoadsMeasured = true;
    return this.#partsOf(this.#options.workload.growth());
  }

  #partsOf(groups: readonly Group[]): Part[] {
    return groups.map((group) => ({ name: group.name, round: (round) => this.#round(group, round) }));
  }

  /** All arms of a group, once, in an order that is not the one of the round before. */
  async #round(group: Group, round: number): Promise<void> {
    const arms = this.#options.arms.filter((arm) => takesPart(arm, group));
    for (const arm of turned(arms, round)) {
      await this.#try(`${group.name}, round ${round + 1}: ${arm.title}`, async () => {
        await this.#ensureLoaded(arm, group);
        await this.#measure(arm, group, round);
      });
    }
    await this.#try(`${group.name}, round ${round + 1}: without an engine`, () => {
      this.#measureBare(group, round);
      return Promise.resolve();
    });
  }

  /** The others go on where one fails; the report says who failed at what. */
  async #try(what: string, work: () => Promise<void>): Promise<void> {
    this.#options.log(what);
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.notes.push(`${what}: ${reason.split('\n', 1)[0]}`);
      this.#options.log(reason);
    }
  }

  async #measure(arm: Arm, group: Group, round: number): Promise<void> {
    await this.#databases.with(arm, group.dataset, group.start, async (directory) => {
      if (group.isCold) makeCold();
      const steps = group.steps.map((step) => this.#stepFor(arm, step));
      const answer = await this.#session(arm, group.dataset, group.opening, steps, directory);
      const opening = openingRow(group, answer);
      for (const measured of [...opening, ...answer.measured]) this.#add(group, arm.title, round, measured);
      // What it obtained, where it was asked for.
      const isDirect = group.opening.io === 'direct';
      if (isDirect && !this.described.has(arm.title)) this.described.set(arm.title, answer.described);
      if (answer.failure !== undefined) throw answer.failure;
    });
  }

  #add({ section }: Pick<Group, 'section'>, arm: string, round: number, measured: Measured): void {
    this.samples.push({ group: section, row: measured.row, arm, round, measured });
  }

  async #compaction(round: number): Promise<void> {
    const { arms, root, workload, rocksDbCompaction } = this.#options;
    const { entries } = workload.main;
    const task = { entries, overwrites: COMPACTED_OVERWRITES, runs: COMPACTED_RUNS, root };
    for (const arm of turned(arms, round)) {
      const backend = COMPACTION_BACKENDS.get(arm.name);
      const isRocksDb = arm.name === 'rocksdb' && rocksDbCompaction;
      if (backend === undefined && !isRocksDb) continue;
      await this.#try(`compaction, round ${round + 1}: ${arm.title}`, async () => {
        const result = isRocksDb
          ? new OneCompaction(task).inRocksDb()
          : await compactInProcess({ ...task, backend: backend! });
        this.#addCompaction(arm, round, entries * COMPACTED_OVERWRITES, result);
      });
    }
  }

  /** Its time and its processor time are rows of their own. */
  #addCompaction(arm: Arm, round: number, operations: number, result: CompactionResult): void {
    for (const row of ['compaction', 'compaction-cpu']) {
      this.#add({ section: 'Writes' }, arm.title, round, {
        ...bareMeasured(row, operations, result.seconds),
        cpuSeconds: result.cpuSeconds,
        diskReadBytes: result.fileBytesRead,
        diskWriteBytes: result.fileBytesWritten,
      });
    }
  }

  /** Once is enough to be looked at. */
  async #mixedLoad(round: number): Promise<void> {
    const { arms, workload } = this.#options;
    const quadring = arms.find(({ name }) => name === 'quadring');
    if (round > 0 || quadring === undefined) return;
    const dataset = workload.main;
    await this.#try('mixed load', async () => {
      await this.#ensureLoaded(quadring, { start: 'copy', dataset });
      await this.#databases.with(quadring, dataset, 'copy', async (directory) => {
        this.timelines.push(await recordMixedLoad(directory, dataset, MIXED_LOAD_SECONDS));
      });
    });
  }

  async #ensureLoaded(arm: Arm, { start, dataset }: Pick<Group, 'start' | 'dataset'>): Promise<void> {
    if (start === 'empty' || this.#databases.isLoaded(arm, dataset)) return;
    this.#options.log(`loading ${dataset.entries} entries of ${dataset.valueBytes} bytes: ${arm.engine}`);
    await this.#databases.load(arm, dataset, async (directory) => {
      const steps = this.#options.workload.loading(dataset).map((step) => this.#stepFor(arm, step));
      const { measured, failure } = await this.#session(arm, dataset, LOADING, steps, directory);
      if (failure !== undefined) throw failure;
      if (!this.#areLoadsMeasured) return;
      for (const one of measured) this.#add({ section: 'Writes' }, arm.title, 0, one);
    });
  }

  #session(
    arm: Arm,
    dataset: Dataset,
    opening: Opening,
    steps: Session['steps'],
    directory: string,
  ): Promise<Answer> {
    const session: Session = { arm: arm.name, directory, ...dataset, ...opening, ...arm.opening, steps };
    return runSession(arm, session, this.#options.rocksDbProgram);
  }

  /** With the trace as a file, which is made when it is wanted first. */
  #stepFor(arm: Arm, step: StepDefinition): Session['steps'][number] {
    if (step.step !== 'run') return step;
    const file = join(this.#options.root, `${step.trace.name}.trace`);
    if (!existsSync(file)) {
      step.trace.make().write(`${file}.unfinished`);
      renameSync(`${file}.unfinished`, file);
    }
    return { ...step, trace: file, asyncIo: arm.asyncIo ?? false };
  }

  /** What the machine gives without an engine, in the same round. */
  #measureBare(group: Group, round: number): void {
    const { root, hasFio } = this.#options;
    if (group.variants.includes('bare-writes')) {
      const disk = new BareDisk(join(root, 'bare'));
      const seconds = BARE_WRITES / disk.writesPerSecond(BARE_WRITES);
      disk.close();
      this.#add(group, 'bare pwritev2', round, bareMeasured('durable-put-1', BARE_WRITES, seconds));
    }
    if (group.variants.includes('fio') && hasFio) {
      const quadring = ARMS[0];
      if (!this.#databases.isLoaded(quadring, group.dataset)) return;
      const directory = this.#databases.loaded(quadring, group.dataset);
      const files = readdirSync(directory).filter((name) => name.endsWith('.sst'));
      const { reads, seconds } = readWithFio({
        files: files.map((name) => join(directory, name)),
        order: 'random',
        blockBytes: BLOCK_BYTES,
        depth: FIO_DEPTH,
      });
      this.#add(group, 'fio', round, bareMeasured(`cold-get-${FIO_DEPTH}`, reads, seconds));
    }
  }
}

function takesPart(arm: Arm, group: Group): boolean {
  if (arm.variant !== undefined && !group.variants.includes(arm.variant)) return false;
  return !group.opening.durable || arm.peer === null || arm.peer.canBeDurable;
}

/** Written out, then dropped: what is dirty cannot be dropped. */
function makeCold(): void {
  syncDisks();
  const refusal = dropPageCache();
  if (refusal !== null)
    throw new Error(`cold rows need the page cache dropped, which only root may: ${refusal}`);
}

/** The group that is about opening counts the first one as well. */
function openingRow({ steps }: Group, { described }: Answer): Measured[] {
  if (!steps.some(({ step }) => step === 'reopen')) return [];
  return [bareMeasured('open-first', 1, described.openSeconds)];
}

/** Where only the time is known. */
function bareMeasured(row: string, operations: number, seconds: number): Measured {
  return {
    row,
    operations,
    calls: operations,
    seconds,
    cpuSeconds: null,
    diskReadBytes: null,
    diskWriteBytes: null,
    latencyMicros: null,
    residentBytes: 0,
  };
}

/** Everyone is first at some time, and has another neighbour. */
function turned<T>(arms: readonly T[], round: number): readonly T[] {
  const at = (2 * round) % Math.max(arms.length, 1);
  const rotated = [...arms.slice(at), ...arms.slice(0, at)];
  return round % 2 === 0 ? rotated : rotated.toReversed();
}
