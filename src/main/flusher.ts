/**
 * Turns frozen memtables into tables, oldest first, one at a time. Owner only; the flush thread writes, the foreground
 * thread reads the finished table's index and filter back, which checks what was written before anything depends on it.
 *
 *     all frames of the memtable are durable
 *     WRITE_TABLE       the flush thread reads the arena in place and publishes the file
 *     OPEN_TABLE, read  index, filter, properties
 *     APPEND_MANIFEST   the commit point
 *     install           reads see the table; the arena is free; logs that nobody needs any more are let go
 *
 * A full file system is not final, nor is a process that may open no more files: the memtable stays, and the flush is tried
 * again when a write needs its room. Any other failure is.
 */
import { must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { tableName } from '../format/file-names.ts';
import type { CompressionName } from '../format/compression.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import {
  decodeVersionEdit,
  emptyVersionEdit,
  type TableDescription,
  type VersionEdit,
} from '../format/version-edit.ts';
import { MAILBOX_AT } from '../protocol/crew-layout.ts';
import {
  ROLE_FLUSH,
  STEP_DIRECTORY_FSYNC,
  WRITE_TABLE,
  type WriteTableParameters,
} from '../protocol/requests.ts';
import { isOutOfSpace, isRefusal } from './io-errors.ts';
import type { Answer, IoScheduler } from './io-scheduler.ts';
import type { LogFiles } from './log-files.ts';
import type { LogWriter } from './log-writer.ts';
import type { ManifestWriter } from './manifest-writer.ts';
import type { Memtable } from './memtable.ts';
import type { Memtables } from './memtables.ts';
import type { TableFiles } from './table-files.ts';
import type { Table } from './table.ts';
import type { VersionSet } from './version-set.ts';

/** So many sequence numbers fit the mailbox; where more are read at, every version above the last of these is kept. */
const SNAPSHOTS_MAX = 8192;

export interface FlusherOptions {
  readonly scheduler: IoScheduler;
  readonly files: TableFiles;
  readonly pool: Uint8Array<SharedArrayBuffer>;
  readonly memtables: Memtables;
  readonly versions: VersionSet;
  readonly manifest: ManifestWriter;
  readonly logs: LogFiles;
  readonly writer: LogWriter;
  /** The oldest log that is needed beside those that memtables need. */
  readonly currentLog: () => number;
  readonly blockBytes: number;
  readonly filterBitsPerKey: number;
  readonly compression: CompressionName;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly wallClockSeconds: () => number;
  /** Sequence numbers that are read at, ascending. */
  readonly snapshots: () => readonly number[];
  /** The table takes the memtable's place; the arena will be used again as soon as this returns. */
  readonly onInstalled: (memtable: Memtable, table: Table) => void;
  /** A memtable's arena is free; so many bytes of entries took so long. */
  readonly onFlushed: (rawBytes: number, milliseconds: number) => void;
  /** The attempt of that number found no space, or no descriptor. */
  readonly onRefused: (error: QuadringError, attempt: number) => void;
  /** Final. */
  readonly onFailure: (error: QuadringError) => void;
}

interface FlushWaiter {
  /** Everything up to it must be in tables. */
  readonly sequence: number;
  /** How many attempts had begun when it came. */
  readonly attempt: number;
  readonly resolve: () => void;
  readonly reject: (error: QuadringError) => void;
}

export class Flusher {
  readonly #options: FlusherOptions;
  /** Settles, without rejecting, when the flush that is under way ends. */
  #current: Promise<void> | undefined;
  /** Attempts that have begun. */
  #attempt = 0;
  /** The last attempt found no space, or no descriptor. */
  #refused = false;
  #stopped: QuadringError | undefined;
  #waiters: FlushWaiter[] = [];
  #flushes = 0;
  #bytesWritten = 0;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#current === undefined;
  }

  /** Attempts that have begun. */
  get attempts(): number {
    return this.#attempt;
  }

  /** Resolves when no flush is under way. */
  async whenIdle(): Promise<void> {
    while (this.#current !== undefined) await this.#current;
  }

  statistics(): { readonly flushes: number; readonly bytesWritten: number } {
    return { flushes: this.#flushes, bytesWritten: this.#bytesWritten };
  }

  /** Flushes what can be, unless it is under way. After a refusal it takes somebody who needs the room: `retry`. */
  schedule(): void {
    if (this.#refused) return;
    if (this.#current !== undefined || this.#stopped !== undefined) return;
    const memtable = this.#options.memtables.frozen[0];
    if (memtable === undefined) return;
    // Nothing is flushed before its log frames are durable.
    if (memtable.lastSequence > this.#options.writer.durableSequence) return;
    this.#attempt++;
    const { now } = this.#options;
    const begun = now();
    const { rawBytes } = memtable;
    this.#current = this.#flush(memtable).then(
      () => this.#onDone(rawBytes, now() - begun),
      (error: unknown) => this.#onError(error),
    );
  }

  /** Somebody needs the room that a flush would make: one that was refused for want of space is tried again. */
  retry(): void {
    this.#refused = false;
    this.schedule();
  }

  /** Resolves when every write up to `sequence` is in a table. */
  whenFlushed(sequence: number): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ sequence, attempt: this.#attempt, resolve, reject });
      this.#settleWaiters();
      this.retry();
    });
  }

  /** Resolves when the memtable that is oldest now is in a table. */
  flushOldest(): Promise<void> {
    const oldest = must(this.#options.memtables.frozen[0], 'a memtable is frozen');
    return this.whenFlushed(oldest.lastSequence);
  }

  /** Nothing is flushed any more. */
  stop(error: QuadringError): void {
    this.#stopped ??= error;
    this.#rejectWaiters(error);
  }

  #onDone(rawBytes: number, milliseconds: number): void {
    this.#current = undefined;
    this.#flushes++;
    this.#settleWaiters();
    this.#options.onFlushed(rawBytes, milliseconds);
    this.schedule();
  }

  #onError(error: unknown): void {
    this.#current = undefined;
    const failure =
      error instanceof QuadringError
        ? error
        : new QuadringError('IO_ERROR', 'a flush failed', { cause: error });
    if (isRefusal(failure)) {
      this.#refused = true;
      // Whoever came while it was under way may have made space before: they get an attempt of their own.
      const early = this.#waiters.filter(({ attempt }) => attempt < this.#attempt);
      this.#waiters = this.#waiters.filter(({ attempt }) => attempt >= this.#attempt);
      for (const waiter of early) waiter.reject(failure);
      this.#options.onRefused(failure, this.#attempt);
      if (this.#waiters.length > 0) this.retry();
    } else {
      this.#options.onFailure(failure);
    }
  }

  #settleWaiters(): void {
    const { memtables } = this.#options;
    const oldest = memtables.frozen[0];
    const done = this.#waiters.filter(
      ({ sequence }) => oldest === undefined || oldest.firstSequence > sequence,
    );
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const waiter of done) waiter.resolve();
  }

  #rejectWaiters(error: QuadringError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  async #flush(memtable: Memtable): Promise<void> {
    const { versions, manifest, memtables, logs, files, currentLog } = this.#options;
    // Nothing is added to it any more.
    while (!memtable.finish()) await this.#options.scheduler.nextTurn();
    if (this.#stopped !== undefined) throw this.#stopped;
    const description = await this.#writeTable(memtable);
    const table = await this.#openTable(description);
    const makeEdit = (): VersionEdit => ({
      ...emptyVersionEdit(),
      logNumber: memtables.oldestLog(currentLog(), memtable),
      nextFileNumber: versions.nextFileNumber,
      lastSequence: memtable.lastSequence,
      flushedSequence: memtable.lastSequence,
      added: [description],
    });
    try {
      await manifest.append(makeEdit, (edit) => {
        versions.install(edit, [table]);
        this.#options.onInstalled(memtable, table);
        memtables.releaseOldest();
        logs.releaseBelow(versions.logNumber);
      });
    } catch (error) {
      // The next attempt writes another.
      if (isRefusal(error)) await files.remove(table.number);
      throw error;
    }
    this.#bytesWritten += description.fileBytes;
  }

  async #openTable(description: TableDescription): Promise<Table> {
    const { files } = this.#options;
    try {
      return await files.open(description);
    } catch (error) {
      if (isRefusal(error)) await files.remove(description.number);
      throw error;
    }
  }

  /** What spare files take may be all that is missing: without them it is tried once more before anybody is refused. */
  async #writeTable(memtable: Memtable): Promise<TableDescription> {
    const { files, scheduler, versions } = this.#options;
    let number = versions.takeFileNumber();
    let answer = await this.#askForTable(memtable, number);
    const isShort = isOutOfSpace(answer.result) && answer.detail0 !== STEP_DIRECTORY_FSYNC;
    if (isShort && (await files.freeSpares())) {
      number = versions.takeFileNumber();
      answer = await this.#askForTable(memtable, number);
    }
    if (answer.result < 0) throw scheduler.errorOf('writing', tableName(number), answer);
    const { pool } = this.#options;
    const edit = decodeVersionEdit(pool.slice(MAILBOX_AT, MAILBOX_AT + answer.result), 0, answer.result);
    return must(edit.added[0], 'a written table is described');
  }

  async #askForTable(memtable: Memtable, number: number): Promise<Answer> {
    const { scheduler, files, pool, blockBytes, filterBitsPerKey, compression, wallClockSeconds } =
      this.#options;
    const snapshots = this.#options.snapshots();
    const parameters: WriteTableParameters = {
      blockBytes,
      filterBitsPerKey,
      compression,
      createdAtSeconds: wallClockSeconds(),
      createdAtSequence: memtable.lastSequence,
      snapshots: snapshots.slice(0, SNAPSHOTS_MAX),
      keepAbove: snapshots.length > SNAPSHOTS_MAX ? snapshots[SNAPSHOTS_MAX - 1] : memtable.lastSequence,
    };
    const text = Buffer.from(`${JSON.stringify(parameters)}\0`);
    pool.set(text, MAILBOX_AT);
    const mailboxPage = MAILBOX_AT / PAGE_BYTES;
    const spare = files.takeSpare(memtable.rawBytes);
    const old = spare?.number ?? 0;
    const answer = await scheduler.ask(ROLE_FLUSH, WRITE_TABLE, number, memtable.region, mailboxPage, old);
    files.settleSpare(spare, answer.result);
    return answer;
  }
}
