/**
 * Brings the tables into shape: has compactions picked, carried out and committed, one at a time. Owner only.
 *
 *     pick       compaction-picker.ts: which tables, into which level
 *     merge      compaction-job.ts: the compaction thread writes new tables, which are opened
 *     append     the manifest's edit is the commit point: the inputs are deleted, the new tables added
 *     install    reads see the new version; inputs go when nobody holds them
 *
 * A compaction that fails has changed nothing: its tables are removed, and it is tried again after a while, which grows
 * from attempt to attempt. Nothing that was acknowledged depends on it. Only a failed append to the manifest is final, as
 * it is for everybody.
 */
import type { SharedWords } from '../atomics-sync/words.ts';
import { QuadringError } from '../errors.ts';
import { emptyVersionEdit, type VersionEdit } from '../format/version-edit.ts';
import type { Compaction } from './compaction.ts';
import { CompactionJob, type CompactionManner } from './compaction-job.ts';
import { pickCompaction } from './compaction-picker.ts';
import { CompactionRate } from './compaction-rate.ts';
import { pendingCompactionBytes } from './level-targets.ts';
import { bytesOfTables, type LevelsView } from './levels-view.ts';
import type { Environment, Timer } from './environment.ts';
import { isDirectoryUnsynced } from './io-errors.ts';
import type { IoScheduler } from './io-scheduler.ts';
import type { ManifestWriter } from './manifest-writer.ts';
import { forLevel, type Settings } from './options.ts';
import type { KeyRange } from './range.ts';
import { pickRange } from './range-picker.ts';
import type { TableFiles } from './table-files.ts';
import type { Table } from './table.ts';
import { holdsGarbage } from './table-garbage.ts';
import type { VersionSet } from './version-set.ts';

/** A compaction that failed is tried again after so long, then after twice as long, and so on. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 60_000;
/** Sequence numbers that travel with a compaction; where more are read at, every version above the last of these is kept. */
const SNAPSHOTS_MAX = 8192;

export interface CompactorOptions {
  readonly scheduler: IoScheduler;
  readonly files: TableFiles;
  readonly pool: Uint8Array<SharedArrayBuffer>;
  readonly control: SharedWords;
  readonly versions: VersionSet;
  readonly manifest: ManifestWriter;
  readonly settings: Settings;
  readonly environment: Environment;
  /** Sequence numbers that are read at, ascending. */
  readonly snapshots: () => readonly number[];
  readonly lastSequence: () => number;
  /** A version was installed; so long was worked on it, and so many bytes of level 0 are gone. */
  readonly onInstalled: (l0Bytes: number, milliseconds: number) => void;
  /** A compaction failed, and will be tried again. */
  readonly onRefused: (error: QuadringError) => void;
  /** Final. */
  readonly onFailure: (error: QuadringError) => void;
}

export interface CompactionStatistics {
  /** Compactions that merged, tables that were only given to another level, and files that were written. */
  readonly compactions: number;
  readonly movedTables: number;
  readonly writtenTables: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly milliseconds: number;
  /** The one that is under way: from level, to level; null: none is. */
  readonly running: { readonly reason: string; readonly from: number; readonly to: number } | null;
  /** Bytes to be written until all levels are at their targets. */
  readonly pendingBytes: number;
  /** What compactions may read and write a second; 0: no limit. */
  readonly bytesPerSecond: number;
  readonly failures: number;
  /** Why the last one failed that did; null after one that did not. */
  readonly lastFailure: string | null;
}

interface RangeWaiter {
  readonly range: KeyRange;
  /** Tables with a lower number are rewritten; known when no compaction is under way that began before. */
  createdBefore: number | undefined;
  /** The last sequence number when it was asked for. */
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: QuadringError) => void;
}

export class Compactor {
  readonly rate: CompactionRate;
  readonly #options: CompactorOptions;
  readonly #ranges: RangeWaiter[] = [];
  #current: Promise<void> | undefined;
  #running: Compaction | undefined;
  #job: CompactionJob | undefined;
  #stopped: QuadringError | undefined;
  #retryTimer: Timer | undefined;
  #retryMs = RETRY_MIN_MS;
  #idleTimer: Timer | undefined;
  /** Last sequence number when the idle timer was set, and when it fired without a write in between. */
  #sequenceAtTimer = -1;
  #idleSequence = -1;
  #pendingBytes = 0;
  /** Whether some table has deletions, overwritten versions or range tombstones. */
  #hasGarbage = false;
  #compactions = 0;
  #movedTables = 0;
  #writtenTables = 0;
  #bytesRead = 0;
  #bytesWritten = 0;
  #milliseconds = 0;
  #failures = 0;
  #lastFailure: QuadringError | undefined;

  constructor(options: CompactorOptions) {
    const { control, settings, environment } = options;
    this.#options = options;
    this.rate = new CompactionRate(control, settings.compaction.rate, () => environment.now());
  }

  get isIdle(): boolean {
    return this.#current === undefined;
  }

  /** Bytes to be written until all levels are at their targets, as of the last change of the version. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Resolves when no compaction is under way. */
  async whenIdle(): Promise<void> {
    while (this.#current !== undefined) await this.#current;
  }

  /** The version has changed, or what is read at: has the next compaction carried out, unless one is under way. */
  schedule(): void {
    this.#look();
    this.#begin();
    this.#armIdleTimer();
  }

  /** A number is not read at any more: what was kept for it may go when the database is at rest. */
  noteRelease(): void {
    if (!this.#hasGarbage || this.#idleTimer !== undefined || this.#current !== undefined) return;
    this.#idleSequence = -1;
    this.#armIdleTimer();
  }

  /** Resolves when everything of the range that is in tables now is in the lowest level, without what nobody sees. */
  compactRange(range: KeyRange): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return new Promise((resolve, reject) => {
      const sequence = this.#options.lastSequence();
      this.#ranges.push({ range, createdBefore: undefined, sequence, resolve, reject });
      this.rate.isAwaited = true;
      this.#cancelRetry();
      this.#begin();
    });
  }

  /** Nothing is compacted any more; what is under way is given up. */
  stop(error: QuadringError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#cancelRetry();
    this.#idleTimer?.cancel();
    this.#job?.cancel();
    for (const waiter of this.#ranges.splice(0)) waiter.reject(error);
  }

  statistics(): CompactionStatistics {
    const running = this.#running;
    return {
      compactions: this.#compactions,
      movedTables: this.#movedTables,
      writtenTables: this.#writtenTables,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      milliseconds: this.#milliseconds,
      running:
        running === undefined
          ? null
          : { reason: running.reason, from: running.inputLevel, to: running.outputLevel },
      pendingBytes: this.#pendingBytes,
      bytesPerSecond: this.rate.bytesPerSecond,
      failures: this.#failures,
      lastFailure: this.#lastFailure?.message ?? null,
    };
  }

  /** Takes in what the version's tables ask for. */
  #look(): void {
    const view = this.#view();
    this.#pendingBytes = pendingCompactionBytes(view, this.#options.settings.compaction.policy);
    this.#hasGarbage = view.levels.flat().some(holdsGarbage);
  }

  #begin(): void {
    if (this.#current !== undefined || this.#stopped !== undefined) return;
    const compaction = this.#pick();
    if (compaction === undefined) return;
    this.#running = compaction;
    this.#current = this.#run(compaction).then(
      () => this.#onDone(),
      (error: unknown) => this.#onError(error),
    );
  }

  #pick(): Compaction | undefined {
    const { settings, snapshots, versions, lastSequence } = this.#options;
    const { policy, isAutomatic } = settings.compaction;
    const view = this.#view();
    for (let waiter = this.#ranges[0]; waiter !== undefined; waiter = this.#ranges[0]) {
      waiter.createdBefore ??= versions.nextFileNumber;
      const { range, createdBefore, sequence } = waiter;
      const picked = pickRange(view, policy, { ...range, createdBefore, sequence });
      if (picked !== undefined) return picked;
      this.#dequeueRange();
      waiter.resolve();
    }
    if (!isAutomatic || this.#retryTimer !== undefined) return undefined;
    const pointers = view.levels.map((_, level) => versions.compactionPointers.get(level));
    const oldestSnapshot = snapshots()[0] ?? Infinity;
    const isIdle = this.#idleSequence === lastSequence();
    return pickCompaction(view, policy, { pointers, oldestSnapshot, isIdle });
  }

  #dequeueRange(): RangeWaiter | undefined {
    const waiter = this.#ranges.shift();
    this.rate.isAwaited = this.#ranges.length > 0;
    return waiter;
  }

  #view(): LevelsView {
    const { levels } = this.#options.versions.current;
    return { levels: levels.map((tables) => tables.map(({ description }) => description)) };
  }

  async #run(compaction: Compaction): Promise<void> {
    const { environment, versions, onInstalled } = this.#options;
    const begun = environment.now();
    const version = versions.current.hold();
    try {
      if (compaction.isTrivialMove) await this.#move(compaction);
      else await this.#merge(compaction);
    } finally {
      version.letGo();
    }
    const milliseconds = environment.now() - begun;
    this.#milliseconds += milliseconds;
    const l0Bytes = compaction.inputLevel === 0 ? bytesOfTables(compaction.inputs) : 0;
    // Writes that wait for what has been worked off are let go by what is pending now.
    this.#look();
    onInstalled(l0Bytes, milliseconds);
  }

  /** The tables stay as they are, in another level. */
  async #move(compaction: Compaction): Promise<void> {
    const { manifest, versions } = this.#options;
    const { inputs, outputLevel } = compaction;
    const added = inputs.map((description) => ({ ...description, level: outputLevel }));
    const makeEdit = (): VersionEdit => ({ ...this.#editOf(compaction), added });
    await manifest.append(makeEdit, (edit) => versions.install(edit, []));
    this.#movedTables += inputs.length;
  }

  async #merge(compaction: Compaction): Promise<void> {
    const { scheduler, files, pool, versions, manifest } = this.#options;
    const job = new CompactionJob({
      scheduler,
      files,
      pool,
      takeFileNumber: () => versions.takeFileNumber(),
      isStopped: () => this.#stopped !== undefined,
      onUnsynced: (error) => this.#options.onFailure(error),
    });
    this.#job = job;
    let tables: readonly Table[];
    let isCommitted = false;
    try {
      tables = await job.run(compaction, this.#mannerOf(compaction));
      if (this.#stopped !== undefined) throw this.#stopped;
      const added = tables.map(({ description }) => description);
      const makeEdit = (): VersionEdit => ({ ...this.#editOf(compaction), added });
      await manifest.append(makeEdit, (edit) => {
        isCommitted = true;
        versions.install(edit, tables);
      });
    } catch (error) {
      // After a failed append that is final nobody knows which files the manifest names.
      if (!manifest.hasFailed && !isCommitted) await job.abandon();
      throw error;
    } finally {
      this.#job = undefined;
    }
    this.#compactions++;
    this.#writtenTables += tables.length;
    this.#bytesRead += bytesOfTables(compaction.inputs) + bytesOfTables(compaction.outputInputs);
    this.#bytesWritten += bytesOfTables(tables.map(({ description }) => description));
  }

  #editOf({ inputLevel, outputLevel, inputs, outputInputs, pointer }: Compaction): VersionEdit {
    return {
      ...emptyVersionEdit(),
      nextFileNumber: this.#options.versions.nextFileNumber,
      deleted: [
        ...inputs.map(({ number }) => ({ level: inputLevel, number })),
        ...outputInputs.map(({ number }) => ({ level: outputLevel, number })),
      ],
      compactionPointers: pointer === undefined ? [] : [{ level: inputLevel, key: pointer }],
    };
  }

  #mannerOf({ outputLevel }: Compaction): CompactionManner {
    const { settings, environment, snapshots, lastSequence, versions } = this.#options;
    const { policy, ioPriority } = settings.compaction;
    const sequences = snapshots();
    const isCut = sequences.length > SNAPSHOTS_MAX;
    return {
      tableBytes: policy.tableBytes,
      grandparentBytesMax: policy.grandparentBytesMax,
      blockBytes: settings.blockBytes,
      filterBitsPerKey: forLevel(settings.filterBitsPerKey, outputLevel),
      compression: forLevel(settings.compression, outputLevel),
      createdAtSeconds: environment.wallClockSeconds(),
      createdAtSequence: versions.flushedSequence,
      snapshots: sequences.slice(0, SNAPSHOTS_MAX),
      keepAbove: isCut ? sequences[SNAPSHOTS_MAX - 1] : lastSequence(),
      ioPriority,
    };
  }

  #onDone(): void {
    this.#current = undefined;
    this.#running = undefined;
    this.#retryMs = RETRY_MIN_MS;
    this.#lastFailure = undefined;
    this.schedule();
  }

  #onError(error: unknown): void {
    const wasAskedFor = this.#running?.reason === 'range';
    this.#current = undefined;
    this.#running = undefined;
    // It was given up because the database closes, or has failed for another reason.
    if (this.#stopped !== undefined) return;
    const failure =
      error instanceof QuadringError
        ? error
        : new QuadringError('IO_ERROR', 'a compaction failed', { cause: error });
    this.#failures++;
    this.#lastFailure = failure;
    if (failure.code === 'WORKER_FAILED' || !(error instanceof QuadringError) || isDirectoryUnsynced(error)) {
      this.#options.onFailure(failure);
      return;
    }
    if (wasAskedFor) this.#dequeueRange()?.reject(failure);
    this.#options.onRefused(failure);
    this.#cancelRetry();
    this.#retryTimer = this.#options.environment.after(this.#retryMs, false, () => {
      this.#retryTimer = undefined;
      this.schedule();
    });
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
    // What somebody asked for is not what failed, and does not wait.
    this.#begin();
  }

  #cancelRetry(): void {
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
  }

  /** When nothing has been written for a while the levels are brought to rest. */
  #armIdleTimer(): void {
    const { settings, environment, lastSequence } = this.#options;
    const sequence = lastSequence();
    const { idleMs } = settings.compaction;
    if (this.#idleTimer !== undefined || this.#stopped !== undefined || idleMs === 0) return;
    if (this.#idleSequence === sequence && this.#sequenceAtTimer === sequence) return;
    this.#sequenceAtTimer = sequence;
    this.#idleTimer = environment.after(idleMs, false, () => {
      this.#idleTimer = undefined;
      if (lastSequence() === this.#sequenceAtTimer) this.#idleSequence = this.#sequenceAtTimer;
      this.schedule();
    });
  }
}
