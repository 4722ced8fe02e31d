/**
 * Opens tables, and lets their files go when nobody holds them any more, or keeps them for new tables (spare-files.ts).
 * Owner only; the foreground thread opens, reads and closes them, the flush thread removes.
 *
 * A file that cannot be removed now is no table of any version: the next open of the database removes it.
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { tableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { decodeTableMeta } from '../format/table-meta.ts';
import type { TableDescription } from '../format/version-edit.ts';
import {
  CLOSE_TABLE,
  FILE_TABLE,
  OPEN_TABLE,
  REMOVE_FILE,
  ROLE_FLUSH,
  ROLE_FOREGROUND,
} from '../protocol/requests.ts';
import type { BlockCache } from './block-cache.ts';
import type { CallerReads } from './caller-reads.ts';
import type { ExtentReader } from './extent-reader.ts';
import { isDirectoryUnsynced } from './io-errors.ts';
import type { IoScheduler } from './io-scheduler.ts';
import { agreesWithProperties } from './manifest-checks.ts';
import { SpareFiles, type SpareFile, type SpareFilesOptions } from './spare-files.ts';
import { Table } from './table.ts';

const ENOENT = 2;
/** When a database is opened: tables that are read at a time, and bytes of them, but for one that has more by itself. */
const OPENED_TABLES_MAX = 64;
const OPENED_BYTES_MAX = 64 * 1024 * 1024;

export interface TableFilesStatistics {
  /** Tables that compactions have replaced and whose files are gone or written over, and their bytes. */
  readonly removed: number;
  readonly removedBytes: number;
  /** Tables whose files are being removed. */
  readonly removing: number;
  /** Files that are kept to be written over, their bytes, and how many have been. */
  readonly spare: number;
  readonly spareBytes: number;
  readonly reused: number;
  /** Files that could not be removed, and why the last of them; the next open tries again. */
  readonly failed: number;
  readonly lastFailure: string | null;
}

export interface TableFilesOptions {
  readonly scheduler: IoScheduler;
  /** Who may have tables open as well. */
  readonly callerReads: CallerReads | undefined;
  readonly extents: ExtentReader;
  readonly cache: BlockCache;
  readonly spares: Omit<SpareFilesOptions, 'remove'>;
  /** Whether the file may have another name as well: then nothing may be written over it. */
  readonly mayBeShared: (fileName: string) => boolean;
  /** The directory could not be synced. Final: the kernel says it once, and may have meant the name of a new table. */
  readonly onFailure: (error: QuadringError) => void;
}

export class TableFiles {
  readonly #scheduler: IoScheduler;
  readonly #callerReads: CallerReads | undefined;
  readonly #extents: ExtentReader;
  readonly #cache: BlockCache;
  readonly #spares: SpareFiles;
  readonly #mayBeShared: (fileName: string) => boolean;
  readonly #onFailure: (error: QuadringError) => void;
  #removed = 0;
  #removedBytes = 0;
  #removing = 0;
  readonly #discarding = new Set<Promise<void>>();
  #reused = 0;
  #failed = 0;
  #lastFailure: QuadringError | undefined;

  constructor({ scheduler, callerReads, extents, cache, spares, mayBeShared, onFailure }: TableFilesOptions) {
    this.#scheduler = scheduler;
    this.#callerReads = callerReads;
    this.#mayBeShared = mayBeShared;
    this.#extents = extents;
    this.#cache = cache;
    this.#onFailure = onFailure;
    this.#spares = new SpareFiles({ ...spares, remove: (file, isPaced) => this.#discard(file, isPaced) });
  }

  /**
   * Opens tables, so many at a time that their tails take little memory; all of them, or the first failure. None is still
   * being read when it settles.
   */
  async openAll(descriptions: readonly TableDescription[]): Promise<Table[]> {
    const tables: Table[] = [];
    for (const group of groupsOf(descriptions)) {
      const opening = group.map((description) => this.#open(description, false));
      for (const outcome of await Promise.allSettled(opening)) {
        if (outcome.status === 'rejected') throw outcome.reason as Error;
        tables.push(outcome.value);
      }
    }
    return tables;
  }

  /** Opens a table that was just written and reads its index and filter. Rejects with TABLE_CORRUPT or IO_ERROR. */
  open(description: TableDescription): Promise<Table> {
    return this.#open(description, true);
  }

  async #open(description: TableDescription, isOwn: boolean): Promise<Table> {
    const scheduler = this.#scheduler;
    const { number, metaOffset, fileBytes } = description;
    const fileName = tableName(number);
    const opened = await scheduler.ask(ROLE_FOREGROUND, OPEN_TABLE, number);
    if (opened.result < 0) throw scheduler.errorOf('opening', fileName, opened);
    const page = metaOffset / PAGE_BYTES;
    const pageCount = (fileBytes - metaOffset) / PAGE_BYTES;
    const bytes = await new Promise<Uint8Array>((resolve, reject) => {
      this.#extents.read({ table: number, fileName, page, pageCount }, (error, read) => {
        if (error === undefined) resolve(read);
        else reject(error);
      });
    });
    const file = join(scheduler.directory, fileName);
    const meta = decodeTableMeta(bytes, number, metaOffset, fileBytes, file);
    if (!agreesWithProperties(description, meta.properties)) {
      throw new QuadringError('TABLE_CORRUPT', `${fileName} is not what the manifest says of it`, { file });
    }
    return new Table(description, meta, isOwn, (table) => this.#onUnheld(table));
  }

  /** Removes a table that no version names, open or not. Rejects with IO_ERROR. */
  async remove(number: number): Promise<void> {
    await this.#close(number);
    await this.#unlink(number);
  }

  /** A file for a new table of so many bytes to be written over, if there is one; `settleSpare` says what became of it. */
  takeSpare(bytes: number): SpareFile | undefined {
    for (let spare = this.#spares.take(bytes); spare !== undefined; spare = this.#spares.take(bytes)) {
      if (!this.#mayBeShared(tableName(spare.number))) return spare;
      this.#discard(spare);
    }
    return undefined;
  }

  /** What was asked to write over it: has (a positive result), had nothing to write (0), or failed. */
  settleSpare(spare: SpareFile | undefined, result: number): void {
    if (spare === undefined) return;
    if (result > 0) {
      this.#reused++;
      this.#noteRemoved(spare);
    } else if (result < 0 || !this.#spares.keep(spare)) {
      this.#discard(spare);
    }
  }

  /** Removes what is kept only because it may be of use; resolves when that is done, with whether there was anything. */
  async freeSpares(): Promise<boolean> {
    const hadAny = this.#spares.count > 0;
    this.#spares.removeAll();
    await Promise.all(this.#discarding);
    return hadAny;
  }

  /** The same, and nothing is kept any more. */
  closeSpares(): void {
    this.#spares.close();
  }

  statistics(): TableFilesStatistics {
    return {
      removed: this.#removed,
      removedBytes: this.#removedBytes,
      removing: this.#removing,
      spare: this.#spares.count,
      spareBytes: this.#spares.bytes,
      reused: this.#reused,
      failed: this.#failed,
      lastFailure: this.#lastFailure?.message ?? null,
    };
  }

  #onUnheld(table: Table): void {
    this.#cache.drop(table);
    const file = { number: table.number, bytes: table.description.fileBytes };
    this.#removing++;
    this.#close(file.number).then(
      () => {
        this.#removing--;
        if (!this.#spares.keep(file)) this.#discard(file);
      },
      (error: unknown) => this.#onNotRemoved(error),
    );
  }

  /** Removes a file that nobody has open, and that may be gone. */
  #discard(file: SpareFile, isPaced = false): void {
    this.#removing++;
    const discarding = this.#unlink(file.number, isPaced)
      .then(
        () => {
          this.#removing--;
          this.#noteRemoved(file);
        },
        (error: unknown) => this.#onNotRemoved(error),
      )
      .finally(() => this.#discarding.delete(discarding));
    this.#discarding.add(discarding);
  }

  #noteRemoved({ bytes }: SpareFile): void {
    this.#removed++;
    this.#removedBytes += bytes;
  }

  #onNotRemoved(error: unknown): void {
    this.#removing--;
    this.#failed++;
    this.#lastFailure = error as QuadringError;
  }

  async #close(number: number): Promise<void> {
    this.#callerReads?.tables.close(number);
    const closed = await this.#scheduler.ask(ROLE_FOREGROUND, CLOSE_TABLE, number);
    if (closed.result < 0) throw this.#scheduler.errorOf('closing', tableName(number), closed);
  }

  async #unlink(number: number, sync = false): Promise<void> {
    const removed = await this.#scheduler.ask(ROLE_FLUSH, REMOVE_FILE, number, FILE_TABLE, Number(sync));
    if (removed.result >= 0 || removed.result === -ENOENT) return;
    const error = this.#scheduler.errorOf('removing', tableName(number), removed);
    if (isDirectoryUnsynced(error)) this.#onFailure(error);
    throw error;
  }
}

function groupsOf(descriptions: readonly TableDescription[]): TableDescription[][] {
  const groups: TableDescription[][] = [];
  let bytes = 0;
  for (const description of descriptions) {
    const tailBytes = description.fileBytes - description.metaOffset;
    const group = groups.at(-1);
    if (group === undefined || group.length === OPENED_TABLES_MAX || bytes + tailBytes > OPENED_BYTES_MAX) {
      groups.push([description]);
      bytes = 0;
    } else {
      group.push(description);
    }
    bytes += tailBytes;
  }
  return groups;
}
