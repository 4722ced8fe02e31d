/**
 * Single blocks read on the owner's own ring (caller-io.ts). Owner only.
 *
 * With many under way the foreground thread is as fast, and takes submitting and checksums off this thread: it has all that
 * come beyond READS_MAX, the reads ahead of long scans, and all that go wrong here. It reads again what came short, failed or
 * does not verify, and says what is the matter. The first read of a table is its as well: meanwhile the table is opened here.
 *
 * Bounds: READS_MAX reads for which nobody sits waiting; FILES_MAX open tables.
 */
import { constants } from 'node:fs';
import { assert } from '../assert.ts';
import { verifyBlock } from '../format/block-check.ts';
import { tableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { BlockOpener } from '../protocol/block-opener.ts';
import { OPCODE_READ } from '../protocol/ring-records.ts';
import { STATISTIC_BYTES_READ, STATISTIC_REQUESTS } from '../protocol/ring-statistics.ts';
import { CallerFiles } from './caller-files.ts';
import type { CallerIo } from './caller-io.ts';

/** With more the foreground thread is as fast, and this one has other things to do. */
const READS_MAX = 64;
/** Tables open at once; the blocks of others are the foreground thread's. */
const FILES_MAX = 1024;
/** The same where each takes a descriptor of the process. */
const DESCRIPTORS_MAX = 64;

/** A block, and where it is to be read to. */
export interface BlockRead {
  readonly table: number;
  readonly page: number;
  readonly pageCount: number;
  /** Page of the pool. */
  readonly poolPage: number;
  /** A VERIFY_. */
  readonly verify: number;
  /** It is there, and has so many pages in memory. */
  onBlock(pages: number): void;
  /** It is to be read by the foreground thread. */
  onRefused(): void;
}

export class CallerReads {
  /** Whether the caller sits waiting for what is read now. */
  isWaiting = false;
  readonly #io: CallerIo;
  readonly #pool: Uint8Array;
  readonly #slotBytes: number;
  readonly #opener = new BlockOpener();
  /** Tables that were wanted. */
  readonly tables: CallerFiles;
  readonly #filesMax: number;
  /** Places that reads for which nobody sits waiting leave free. */
  readonly #reserved: number;

  constructor(io: CallerIo, pool: Uint8Array, slotBytes: number) {
    this.#io = io;
    this.tables = new CallerFiles(io, tableName, constants.O_RDONLY);
    this.#pool = pool;
    this.#slotBytes = slotBytes;
    this.#reserved = Math.max(io.entries - READS_MAX, 1);
    this.#filesMax = io.fixedFiles > 0 ? Math.min(io.fixedFiles, FILES_MAX) : DESCRIPTORS_MAX;
  }

  /** Begins to read a block; false: the foreground thread has to. */
  read(read: BlockRead): boolean {
    if (this.#io.room <= (this.isWaiting ? 0 : this.#reserved)) return false;
    const { table } = read;
    const handle = this.tables.handleOf(table);
    if (handle === undefined) {
      if (!this.tables.has(table) && this.tables.size < this.#filesMax) this.tables.open(table);
      return false;
    }
    const length = read.pageCount * PAGE_BYTES;
    const target = read.poolPage * PAGE_BYTES;
    const offset = read.page * PAGE_BYTES;
    assert(target + length <= this.#pool.length, 'a read lands inside the pool');
    this.#io.statistics[STATISTIC_REQUESTS] += 1;
    this.#io.push(OPCODE_READ, handle, target, length, offset, 0, (result) => {
      const pages = result === length ? this.#openBlock(read, target, length, offset) : -1;
      if (pages >= 0) read.onBlock(pages);
      else read.onRefused();
    });
    return true;
  }

  /** Pages that the block has in memory, or a negative number. */
  #openBlock(read: BlockRead, target: number, length: number, offset: number): number {
    this.#io.statistics[STATISTIC_BYTES_READ] += length;
    if (!verifyBlock(this.#pool, target, length, read.table, offset).ok) return -1;
    return this.#opener.open(this.#pool, target, length, read.verify, this.#slotBytes);
  }
}
