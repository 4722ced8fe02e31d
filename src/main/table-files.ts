/**
 * Opens tables, and lets their files go when nobody holds them any more. Owner only; the foreground thread opens, reads
 * and closes them, the flush thread removes.
 *
 * A file that cannot be removed now is no table of any version: the next open of the database removes it.
 */
import { join } from 'node:path';
import type { QuadringError } from '../errors.ts';
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
import type { ExtentReader } from './extent-reader.ts';
import type { IoScheduler } from './io-scheduler.ts';
import { Table } from './table.ts';

export interface TableFilesStatistics {
  /** Tables that compactions have replaced and whose files are gone, and their bytes. */
  readonly removed: number;
  readonly removedBytes: number;
  /** Tables whose files are being removed. */
  readonly removing: number;
  /** Files that could not be removed, and why the last of them; the next open tries again. */
  readonly failed: number;
  readonly lastFailure: string | null;
}

export interface TableFilesOptions {
  readonly scheduler: IoScheduler;
  readonly extents: ExtentReader;
  readonly cache: BlockCache;
}

export class TableFiles {
  readonly #scheduler: IoScheduler;
  readonly #extents: ExtentReader;
  readonly #cache: BlockCache;
  #removed = 0;
  #removedBytes = 0;
  #removing = 0;
  #failed = 0;
  #lastFailure: QuadringError | undefined;

  constructor({ scheduler, extents, cache }: TableFilesOptions) {
    this.#scheduler = scheduler;
    this.#extents = extents;
    this.#cache = cache;
  }

  /** Opens a table and reads its index and filter. Rejects with TABLE_CORRUPT or IO_ERROR. */
  async open(description: TableDescription): Promise<Table> {
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
    return new Table(description, meta, (table) => this.#onUnheld(table));
  }

  /** Removes a table that no version names, open or not. Rejects with IO_ERROR. */
  async remove(number: number): Promise<void> {
    const scheduler = this.#scheduler;
    const closed = await scheduler.ask(ROLE_FOREGROUND, CLOSE_TABLE, number);
    if (closed.result < 0) throw scheduler.errorOf('closing', tableName(number), closed);
    const removed = await scheduler.ask(ROLE_FLUSH, REMOVE_FILE, number, FILE_TABLE);
    if (removed.result < 0) throw scheduler.errorOf('removing', tableName(number), removed);
  }

  statistics(): TableFilesStatistics {
    return {
      removed: this.#removed,
      removedBytes: this.#removedBytes,
      removing: this.#removing,
      failed: this.#failed,
      lastFailure: this.#lastFailure?.message ?? null,
    };
  }

  #onUnheld(table: Table): void {
    this.#cache.drop(table);
    this.#removing++;
    this.remove(table.number).then(
      () => {
        this.#removing--;
        this.#removed++;
        this.#removedBytes += table.description.fileBytes;
      },
      (error: unknown) => {
        this.#removing--;
        this.#failed++;
        this.#lastFailure = error as QuadringError;
      },
    );
  }
}
