/**
 * An open database behind its public face: the parts, how they are put together at open, and how it ends. Owner only.
 *
 *     open   directory looked at ─ crew ─ lock ─ manifest and logs read ─ tables opened ─ new manifest, CURRENT
 *            ─ garbage removed ─ logs replayed ─ a log file prepared
 *     close  writes settled ─ the log's end recorded ─ files closed ─ crew handed on ─ lock released
 *     fail   visibility frozen at what is durable, nothing written or flushed any more, reads go on
 */
import { join } from 'node:path';
import { assert } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { emptyVersionEdit, type VersionEdit } from '../format/version-edit.ts';
import { LogRecordReader } from '../format/log-record.ts';
import { BlockCache } from './block-cache.ts';
import type { CallerFrames } from './caller-frames.ts';
import type { CallerReads } from './caller-reads.ts';
import { callersOwn } from './callers-own.ts';
import { Compactor } from './compactor.ts';
import { CrewAttachment } from './crew-attachment.ts';
import type { CrewListener } from './crew.ts';
import type { EngineGround } from './engine-ground.ts';
import { ExtentReader } from './extent-reader.ts';
import { mayBeShared } from './file-system.ts';
import { Flusher } from './flusher.ts';
import { removeFiles, removeGarbage } from './garbage.ts';
import { undone } from './holdings.ts';
import { isRefusal, translated } from './io-errors.ts';
import { storageUseOf, type StorageUse } from './storage-use.ts';
import { IoScheduler } from './io-scheduler.ts';
import { LogFiles } from './log-files.ts';
import { LogWriter } from './log-writer.ts';
import { ManifestRenewal } from './manifest-renewal.ts';
import { ManifestWriter } from './manifest-writer.ts';
import { Memtables } from './memtables.ts';
import { forLevel } from './options.ts';
import { PointReader } from './point-reader.ts';
import type { KeyRange } from './range.ts';
import { ReadAheadBudget } from './read-ahead.ts';
import type { RecoveredLog } from './recovery.ts';
import { ScanList } from './scan.ts';
import { SnapshotList, type Snapshot } from './snapshots.ts';
import { TableFiles } from './table-files.ts';
import { VersionSet } from './version-set.ts';
import { WritePath } from './write-path.ts';
import { WriteThrottle } from './write-throttle.ts';

export class Engine implements CrewListener {
  readonly ground: EngineGround;
  readonly scheduler: IoScheduler;
  /** Undefined where the crew has no ring for this thread. */
  readonly callerReads: CallerReads | undefined;
  readonly #callerFrames: CallerFrames | undefined;
  readonly cache: BlockCache;
  readonly extents: ExtentReader;
  readonly readAhead: ReadAheadBudget;
  readonly reader: PointReader;
  readonly files: TableFiles;
  readonly snapshots = new SnapshotList();
  readonly scans = new ScanList();
  readonly memtables: Memtables;
  readonly logs: LogFiles;
  readonly manifest: ManifestWriter;
  readonly storage: StorageUse;
  versions!: VersionSet;
  writer!: LogWriter;
  writes!: WritePath;
  flusher!: Flusher;
  compactor!: Compactor;
  readonly throttle: WriteThrottle;
  /** Reads see nothing above it; all there is, until a failure freezes it. */
  visibleSequence = Number.MAX_SAFE_INTEGER;
  /** Why this open database takes no more writes. */
  failure: QuadringError | undefined;
  replayedRecords = 0;
  /** While logs are replayed. */
  #replayingLog: number | undefined;
  readonly #attachment: CrewAttachment;
  readonly #manifestRenewal: ManifestRenewal;
  #firstLogPrepared: { resolve: () => void; reject: (error: QuadringError) => void } | undefined;

  /** Takes over the ground, unless it throws. */
  constructor(ground: EngineGround) {
    const { settings, environment, holdings, directory } = ground;
    const { crew } = holdings;
    const { fileSystem } = environment;
    this.ground = ground;
    this.storage = translated(directory, () => storageUseOf(directory, settings.io, fileSystem));
    crew.listener = this;
    const now = (): number => environment.now();
    const { spinMicroseconds } = settings.io;
    this.scheduler = new IoScheduler(crew, directory, { spinMicroseconds, now });
    const place = {
      directories: holdings.directoryHandles,
      salt: ground.state.databaseSalt,
      directIo: this.storage.directIo,
      polledBytesMax: this.storage.polledBytesMax,
      slotBytes: settings.blockBytes,
    };
    const onFailure = (error: Error): void => this.onFailure(error);
    this.#attachment = new CrewAttachment(crew, this.scheduler, place, onFailure);
    const { pool, arenas } = crew.memory;
    const here = callersOwn(crew, this.scheduler, place, now, onFailure);
    this.#callerFrames = here?.frames;
    this.callerReads = here?.reads;
    this.extents = new ExtentReader(this.scheduler, pool);
    this.cache = new BlockCache({
      scheduler: this.scheduler,
      callerReads: this.callerReads,
      extents: this.extents,
      pool,
      slotBytes: settings.blockBytes,
      slotCount: settings.slotCount,
      retain: settings.retainBlocks,
    });
    this.readAhead = new ReadAheadBudget({
      cache: this.cache,
      slotsMax: settings.readAheadSlots,
      windowMax: settings.readAheadWindow,
      now,
    });
    this.reader = new PointReader(this.cache);
    const mayHaveOtherNames = (name: string): boolean => mayBeShared(fileSystem, join(directory, name));
    this.files = new TableFiles({
      scheduler: this.scheduler,
      callerReads: this.callerReads,
      extents: this.extents,
      cache: this.cache,
      spares: {
        setting: settings.compaction.spareBytes,
        compactionBytesMax: settings.compaction.policy.compactionBytesMax,
        after: (milliseconds, keepsAlive, callback) => environment.after(milliseconds, keepsAlive, callback),
      },
      mayBeShared: mayHaveOtherNames,
      onFailure: (error) => this.fail(error),
    });
    this.throttle = new WriteThrottle(settings.compaction.throttle, () => environment.now());
    this.memtables = new Memtables(arenas, (region, buffer) => this.#attachment.arena(region, buffer));
    this.manifest = new ManifestWriter(this.scheduler, pool, (error) => this.fail(error));
    this.#manifestRenewal = new ManifestRenewal({
      scheduler: this.scheduler,
      manifest: this.manifest,
      takeFileNumber: () => this.versions.takeFileNumber(),
      snapshot: () => this.versions.snapshot(this.logs.recordableEnds(), this.versions.flushedSequence),
      onFailure: (error) => this.fail(error),
    });
    this.logs = new LogFiles(this.scheduler, this.#callerFrames, {
      logBytes: settings.logBytes,
      takeFileNumber: () => this.versions.takeFileNumber(),
      mayBeShared: mayHaveOtherNames,
      onPrepared: () => this.#onLogPrepared(),
      onRefused: (error, attempt) => this.#onLogRefused(error, attempt),
      onFailure: (error) => this.fail(error),
    });
    // A thread may have ended before anybody listened.
    if (crew.failure !== undefined) this.onFailure(crew.failure);
  }

  /** Recovers what the directory holds. When it rejects, everything has been given back. */
  async start(): Promise<this> {
    try {
      await this.#start();
      return this;
    } catch (error) {
      this.fail(
        error instanceof QuadringError
          ? error
          : new QuadringError('IO_ERROR', 'open failed', { cause: error }),
      );
      // What came first may have made others fail, which say no more than that they are the consequence.
      const first = this.failure?.cause instanceof QuadringError ? this.failure.cause : error;
      return await undone(first, async () => {
        try {
          if (this.#isComplete) await this.#settle();
        } finally {
          await this.#letGo();
        }
      });
    }
  }

  /** Whether all parts are there: of those that are made when the manifest has been read, the write path is the last. */
  get #isComplete(): boolean {
    return this.writes !== undefined;
  }

  async #start(): Promise<void> {
    const { directory, state, recovered, unfinishedTables, environment, settings } = this.ground;
    await this.#attachment.begin();
    const tables = await this.files.openAll(state.tables);
    const needed = recovered.logs.filter(({ groups }) =>
      groups.some(({ firstSequence, count }) => firstSequence + count - 1 > state.flushedSequence),
    );
    const logNumber = needed[0]?.number ?? state.nextFileNumber;
    this.versions = new VersionSet({ ...state, logNumber }, tables);
    // What a process that did not close has left may not be durable, though it can be read: no end is recorded.
    const logEnds = state.cleanClose ? needed.map(({ number, end }) => ({ number, end })) : [];
    const manifestNumber = this.versions.takeFileNumber();
    // Gone for good before a manifest is in force that cannot explain them: switching to it syncs the directory.
    removeFiles(environment.fileSystem, directory, unfinishedTables);
    await this.#manifestRenewal.create(manifestNumber, () =>
      this.versions.snapshot(logEnds, state.cleanClose ? recovered.lastSequence : state.flushedSequence),
    );
    this.writer = new LogWriter(
      this.scheduler,
      this.ground.holdings.crew.memory.pool,
      this.logs,
      this.#callerFrames,
      recovered.lastSequence,
      {
        onDurable: () => {
          this.flusher.schedule();
          this.writes.resume();
        },
        onFailure: (error) => this.fail(error),
      },
    );
    this.flusher = new Flusher({
      scheduler: this.scheduler,
      files: this.files,
      pool: this.ground.holdings.crew.memory.pool,
      memtables: this.memtables,
      versions: this.versions,
      manifest: this.manifest,
      logs: this.logs,
      writer: this.writer,
      currentLog: () => this.#currentLog(),
      blockBytes: settings.blockBytes,
      filterBitsPerKey: forLevel(settings.filterBitsPerKey, 0),
      compression: forLevel(settings.compression, 0),
      now: () => environment.now(),
      wallClockSeconds: () => environment.wallClockSeconds(),
      snapshots: () => this.snapshots.sequences,
      onInstalled: (memtable, table) => this.scans.replace(memtable, table),
      onFlushed: (bytes, milliseconds) => this.#onFlushed(bytes, milliseconds),
      onRefused: (error, attempt) => this.writes.refuseBlockedOn('memtable', error, attempt),
      onFailure: (error) => this.fail(error),
    });
    this.compactor = new Compactor({
      scheduler: this.scheduler,
      files: this.files,
      pool: this.ground.holdings.crew.memory.pool,
      control: this.ground.holdings.crew.control,
      versions: this.versions,
      manifest: this.manifest,
      settings,
      environment,
      snapshots: () => this.snapshots.sequences,
      lastSequence: () => this.writes.lastSequence,
      onInstalled: (l0Bytes, milliseconds) => this.#onCompacted(l0Bytes, milliseconds),
      onRefused: (error) => this.writes.refuseStopped(error),
      onFailure: (error) => this.fail(error),
    });
    this.writes = new WritePath({
      memtables: this.memtables,
      logs: this.logs,
      writer: this.writer,
      lastSequence: recovered.lastSequence,
      liveLogBytesMax: settings.liveLogBytesMax,
      snapshots: this.snapshots,
      onFlushWanted: () => this.flusher.retry(),
      flushAttempts: () => this.flusher.attempts,
      throttle: this.throttle,
      onLastArena: () => this.#noteBacklog(),
      environment,
    });
    this.snapshots.onRelease = () => this.compactor.noteRelease();
    removeGarbage(this.ground, this.logs, manifestNumber, needed);
    await this.#replay(needed);
    if (!state.cleanClose) await this.#rewriteReplayed();
    await this.#prepareFirstLog();
    this.compactor.schedule();
    this.#noteBacklog();
  }

  /** Puts what the logs hold beyond the tables into memtables again. */
  async #replay(logs: readonly RecoveredLog[]): Promise<void> {
    for (const { number, bytes, end, groups, isReusable } of logs) {
      this.#replayingLog = number;
      this.logs.addRecovered({ number, bytes, end, durableEnd: end, reusable: isReusable });
      for (const { payload, firstSequence, count } of groups) {
        const flushed = Math.max(0, this.ground.state.flushedSequence + 1 - firstSequence);
        if (flushed >= count) continue;
        const record = new LogRecordReader(payload, 0, payload.length);
        for (let i = 0; i < flushed; i++) record.next();
        const start = record.position;
        while (!this.writes.replay(payload, start, firstSequence + flushed, number)) {
          await this.flusher.flushOldest();
        }
        this.replayedRecords += count - flushed;
      }
    }
    this.#replayingLog = undefined;
    this.flusher.schedule();
  }

  /**
   * What can be read of a log that nobody closed may be in a cache only: its last frames, when a process was killed or
   * met a failed write. So it is written again, into tables, before any new write is acknowledged behind it.
   */
  async #rewriteReplayed(): Promise<void> {
    while (!this.memtables.rotate()) await this.flusher.flushOldest();
    await this.flusher.whenFlushed(this.writes.lastSequence);
  }

  /** The oldest log that is needed beside those of memtables: the one that is replayed, written, or written next. */
  #currentLog(): number {
    return this.#replayingLog ?? this.logs.activeNumber ?? this.versions.nextFileNumber;
  }

  #prepareFirstLog(): Promise<void> {
    // Only what fails from here on ends the wait.
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.#firstLogPrepared = { resolve, reject };
      this.logs.prepare(this.ground.settings.logBytes);
    });
  }

  #onLogPrepared(): void {
    const first = this.#firstLogPrepared;
    if (first === undefined) {
      this.writes.resume();
      return;
    }
    this.#firstLogPrepared = undefined;
    this.logs.switch(0);
    first.resolve();
  }

  #onFlushed(bytes: number, milliseconds: number): void {
    this.throttle.noteFlush(bytes, milliseconds);
    this.compactor.rate.noteFlush(bytes);
    this.compactor.schedule();
    this.#noteBacklog();
    this.writes.resume();
    this.#manifestRenewal.renewIfLong();
  }

  #onCompacted(l0Bytes: number, milliseconds: number): void {
    this.throttle.noteCompaction(l0Bytes, milliseconds);
    this.#noteBacklog();
    this.writes.resume();
    // Not while logs are rewritten: tables of that, which a crash leaves unnamed, are known by numbers above the manifest's.
    if (this.logs.activeNumber !== undefined) this.#manifestRenewal.renewIfLong();
  }

  /** Tells the throttle, and whoever paces compactions, what has piled up. */
  #noteBacklog(): void {
    const { active, hasFreeArena } = this.memtables;
    const { policy, throttle } = this.ground.settings.compaction;
    const { pendingBytes } = this.compactor;
    const l0Tables = this.versions.current.overlapping.length;
    this.throttle.update({ l0Tables, pendingBytes, memtableFill: hasFreeArena ? 0 : active.fill });
    const isPressing = 2 * l0Tables > policy.l0Trigger + throttle.l0Slowdown || this.throttle.pressure > 0;
    this.compactor.rate.noteLoad({ pendingBytes, isPressing });
  }

  /** No space for a log file: what waits for one is refused, and may be tried again. */
  #onLogRefused(error: QuadringError, attempt: number): void {
    const first = this.#firstLogPrepared;
    this.#firstLogPrepared = undefined;
    void this.files.freeSpares();
    if (first !== undefined) first.reject(error);
    else this.writes.refuseBlockedOn('log file', error, attempt);
  }

  onWake(): void {
    this.scheduler.onWake();
  }

  onFailure(error: Error): void {
    const isOurs = error instanceof QuadringError;
    const failure = isOurs ? error : new QuadringError('WORKER_FAILED', error.message, { cause: error });
    // Nobody knows what its threads and the kernel still do for this database: it is not handed on.
    this.ground.holdings.crew.failure ??= failure;
    this.fail(failure);
    try {
      this.scheduler.callerIo?.stop();
    } finally {
      this.scheduler.fail(failure);
    }
  }

  /** The first failure that is final: reads go on, at what is durable; nothing else does. */
  fail(error: QuadringError): void {
    if (this.failure !== undefined) return;
    this.failure =
      error.code === 'WORKER_FAILED'
        ? error
        : new QuadringError('FAILED', `the database takes no more writes: ${error.message}`, {
            cause: error,
          });
    this.#firstLogPrepared?.reject(error);
    this.#firstLogPrepared = undefined;
    if (!this.#isComplete) return;
    this.visibleSequence = this.writer.durableSequence;
    this.writer.fail(this.failure);
    this.writes.refuse(this.failure);
    this.manifest.stop(this.failure);
    this.flusher.stop(this.failure);
    this.compactor.stop(this.failure);
    this.files.closeSpares();
  }

  /** The number that a read which begins now sees writes up to. */
  get readableSequence(): number {
    return Math.min(this.visibleSequence, this.writes.lastSequence);
  }

  /** The same for a read of a snapshot. Throws what `Snapshot.sequenceFor` throws. */
  readableSequenceOf(snapshot: Snapshot | undefined): number {
    if (snapshot === undefined) return this.readableSequence;
    return Math.min(this.visibleSequence, snapshot.sequenceFor(this.snapshots));
  }

  /** Puts everything written so far into tables. */
  async flush(): Promise<void> {
    await this.writes.largeWritten();
    const sequence = this.writes.lastSequence;
    const { memtables } = this;
    while (memtables.active.entries > 0 && memtables.active.firstSequence <= sequence) {
      // The memtable that a large batch will be inserted into must stay the active one.
      if (this.writes.isWritingLarge) await this.writes.largeWritten();
      else if (!memtables.rotate()) await this.flusher.flushOldest();
    }
    await this.flusher.whenFlushed(sequence);
  }

  /** Brings what the range has in tables, and in memory now, down to the lowest level. */
  async compactRange(range: KeyRange): Promise<void> {
    await this.flush();
    await this.compactor.compactRange(range);
  }

  /** Settles everything, records that nothing is missing, and hands the crew on. */
  async close(): Promise<void> {
    this.scans.closeAll();
    this.snapshots.isClosed = true;
    this.compactor.stop(new QuadringError('CLOSED', 'the database is closed'));
    this.files.closeSpares();
    // Writes that were slowed down or stopped go now: nobody works off what they wait for.
    this.throttle.open();
    this.writes.resume();
    await this.#settle();
    if (this.failure === undefined) {
      const { active } = this.logs;
      const makeEdit = (): VersionEdit => ({
        ...emptyVersionEdit(),
        nextFileNumber: this.versions.nextFileNumber,
        lastSequence: this.writes.lastSequence,
        logEnds: this.logs.needed.map(({ number, end }) => ({ number, end })),
        cleanClose: true,
      });
      assert(this.writer.isIdle && active.number > 0, 'nothing is written after the end is recorded');
      try {
        await this.manifest.append(makeEdit, () => undefined);
      } catch (error) {
        // Everything acknowledged is in the log, whose end recovery will find without being told.
        if (!isRefusal(error)) this.fail(error as QuadringError);
      }
    }
    await this.#letGo();
  }

  /** Waits until no write, flush or request is under way. */
  async #settle(): Promise<void> {
    for (;;) {
      await this.writes.largeWritten();
      await this.writer.whenIdle();
      await this.flusher.whenIdle();
      await this.compactor.whenIdle();
      await this.#manifestRenewal.whenIdle();
      await this.scheduler.whenIdle();
      const isFlushing = !this.flusher.isIdle || !this.compactor.isIdle || !this.#manifestRenewal.isIdle;
      if (this.scheduler.outstanding > 0 || isFlushing || this.writes.isWritingLarge) continue;
      if (this.failure !== undefined || (this.writer.isIdle && this.writes.waiting === 0)) return;
      // Nothing is under way that these could be waiting for: the file system is full.
      if (this.writer.isIdle) {
        this.writes.refuse(new QuadringError('CLOSED', 'the database was closed before the write had room'));
      }
    }
  }

  async #letGo(): Promise<void> {
    const { holdings } = this.ground;
    try {
      this.callerReads?.tables.closeAll();
      this.#callerFrames?.logs.closeAll();
      while (this.scheduler.outstanding > 0) await this.scheduler.whenIdle();
      this.memtables.resetAll();
      await this.#attachment.end();
    } catch (error) {
      // Nobody knows what its threads still hold of this database: it is not handed on.
      holdings.crew.failure ??= error as Error;
      throw error;
    } finally {
      await holdings.giveBack();
    }
  }
}
