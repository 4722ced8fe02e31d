/**
 * Reading ahead for all runs of a compaction. Ring threads only.
 *
 * Each run has two buffers: one is walked while the other is filled. Reads stay under way while entries are merged and
 * written; whoever lets the ring turn calls `pump` to begin those that have become possible. A read that comes back short
 * is continued from its last whole page on.
 *
 *     collect()   takes the results of reads that have completed; pushes nothing
 *     pump()      collect, then begins reads: first into the buffers that are walked next, then into those behind them
 *
 * The rule of role-io.ts, that results are read before the next push, holds over all that push in one task: the writer of
 * the output collects here before it pushes, and this module collects there.
 */
import { assert, must } from '../assert.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import { STEP_READ } from '../protocol/requests.ts';
import { faultOfShortRead, faultOfStep, type CompactionFault } from './compaction-fault.ts';
import type { CompactionPace } from './compaction-pace.ts';
import { RUN_WAITS, type CompactionRun, type ReadBuffer } from './compaction-run.ts';
import type { RoleIo, RoleTask } from './role-io.ts';

/** Reads of one chunk that bring less than asked for, until the file is taken to have ended. */
const READ_ATTEMPTS_MAX = 8;

export interface CompactionReadsOptions {
  readonly io: RoleIo;
  readonly pool: Uint8Array;
  readonly pace: CompactionPace;
  readonly chunkBytes: number;
  /** Of the ring's reads. */
  readonly flags: number;
  /** Reads under way at once, over all runs. */
  readonly readsMax: number;
}

export class CompactionReads {
  /** Takes what else has completed, before a read is pushed. */
  collectOthers: () => void = () => undefined;
  readonly #options: CompactionReadsOptions;
  #runs: readonly CompactionRun[] = [];
  readonly #reading: ReadBuffer[] = [];
  #fault: CompactionFault | undefined;
  /** Where a large block is put together. */
  #large = new Uint8Array(0);

  constructor(options: CompactionReadsOptions) {
    this.#options = options;
  }

  begin(runs: readonly CompactionRun[]): void {
    this.#runs = runs;
  }

  /** Takes the results of reads that have completed. */
  collect(): void {
    const { io } = this.#options;
    const reading = this.#reading;
    let left = 0;
    for (const buffer of reading) {
      if (io.isPending(buffer.record)) reading[left++] = buffer;
      else this.#take(buffer, io.result(buffer.record));
    }
    reading.length = left;
  }

  /** Begins the reads that are possible; throws when one has failed. */
  pump(): void {
    this.collect();
    if (this.#fault !== undefined) throw this.#fault;
    this.#pumpAt(0);
    this.#pumpAt(1);
  }

  /** Until the run stands at an entry or a large block, or has ended. */
  *settle(run: CompactionRun): RoleTask {
    for (;;) {
      this.pump();
      run.resume();
      if (run.state !== RUN_WAITS) return;
      yield this.#options.io.outstanding - 1;
    }
  }

  /** Fetches the large block that the run stands at. */
  *fetchLarge(run: CompactionRun): RoleTask {
    const { fileOffset, length, table, at } = run.buffer(0);
    if (this.#large.length < length) this.#large = new Uint8Array(length);
    const { number, handle } = must(table, 'a chunk is of a table');
    yield* this.readExtent(handle, number, fileOffset, this.#large.subarray(0, length), at);
    run.enterLarge(this.#large);
  }

  /** Fills `target` from the file, a piece after another, by way of `chunkBytes` of the pool from byte `at` on. */
  *readExtent(handle: number, table: number, offset: number, target: Uint8Array, at: number): RoleTask {
    const { io, pool, pace, chunkBytes, flags } = this.#options;
    const collectAll = (): void => this.#collectAll();
    let done = 0;
    for (let attempts = 0; done < target.length && attempts < READ_ATTEMPTS_MAX;) {
      yield* pace.keep(collectAll);
      const wanted = Math.min(chunkBytes, target.length - done);
      this.#collectAll();
      const record = io.read(handle, REGION_POOL, at, wanted, offset + done, flags);
      while (io.isPending(record)) yield io.outstanding - 1;
      const result = io.result(record);
      if (result < 0) throw faultOfStep(result, STEP_READ, table, offset + done);
      const bytes = wholePages(result, wanted);
      target.set(pool.subarray(at, at + bytes), done);
      done += bytes;
      attempts = bytes === wanted ? 0 : attempts + 1;
    }
    if (done < target.length) throw faultOfShortRead(table, offset, done);
  }

  #pumpAt(distance: 0 | 1): void {
    for (const run of this.#runs) {
      const buffer = run.buffer(distance);
      // Planned also where no more reads may be begun now: the buffer behind it must not get the chunk before.
      if (buffer.isFree && !run.plan(buffer)) continue;
      if (buffer.wantsRead && this.#reading.length < this.#options.readsMax) this.#push(buffer);
    }
  }

  #push(buffer: ReadBuffer): void {
    const { io, flags } = this.#options;
    const { at, done, length, fileOffset } = buffer;
    const { handle } = must(buffer.table, 'a chunk is of a table');
    this.collectOthers();
    buffer.record = io.read(handle, REGION_POOL, at + done, length - done, fileOffset + done, flags);
    buffer.attempts++;
    this.#reading.push(buffer);
  }

  #take(buffer: ReadBuffer, result: number): void {
    const { done, length, fileOffset } = buffer;
    const { number } = must(buffer.table, 'a chunk is of a table');
    buffer.noReading();
    if (result < 0) {
      this.#fault ??= faultOfStep(result, STEP_READ, number, fileOffset + done);
      return;
    }
    buffer.done += wholePages(result, length - done);
    if (buffer.done < length && buffer.attempts === READ_ATTEMPTS_MAX) {
      this.#fault ??= faultOfShortRead(number, fileOffset, buffer.done);
    }
  }

  #collectAll(): void {
    this.collect();
    this.collectOthers();
  }
}

/** O_DIRECT goes on at a page: what came short of one is read again. */
function wholePages(bytes: number, wanted: number): number {
  assert(bytes <= wanted, 'a read brings no more than was asked for');
  return bytes === wanted ? bytes : bytes - (bytes % PAGE_BYTES);
}
