/**
 * One compaction's way through the compaction thread: parameters out, tables back. Owner only.
 *
 * The tables that it makes are open and named by no version when it is done; `abandon` removes them. Each is opened, which
 * checks its index and filter, while the thread writes the next one.
 */
import { join } from 'node:path';
import { assert, must } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { tableName } from '../format/file-names.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { readU32, writeU32 } from '../format/integers.ts';
import { decodeVersionEdit, type TableDescription } from '../format/version-edit.ts';
import { COMPACTION_MAILBOX_AT, COMPACTION_MAILBOX_BYTES } from '../protocol/crew-layout.ts';
import {
  BEGIN_COMPACTION,
  END_COMPACTION,
  RESULT_WORKER_FAILED,
  ROLE_COMPACTION,
  WRITE_COMPACTED,
  type CompactionFailure,
  type CompactionInput,
  type CompactionKeyRange,
  type CompactionParameters,
} from '../protocol/requests.ts';
import type { Compaction } from './compaction.ts';
import { isDirectoryUnsynced, isOutOfSpace, roleError } from './io-errors.ts';
import type { Answer, IoScheduler } from './io-scheduler.ts';
import { bytesOfTables } from './levels-view.ts';
import { compareKeys } from './range.ts';
import type { TableFiles } from './table-files.ts';
import type { Table } from './table.ts';

/** A table ends where one below it does, from half its size on: mostly soon after that. */
const ALIGNED_TABLE_SHARE = 5 / 8;

const MAILBOX_PAGE = COMPACTION_MAILBOX_AT / PAGE_BYTES;
/** Ranges and boundaries that travel with a compaction; where there are more, or they are long, they are made coarser. */
const RANGES_MAX = 512;
const RANGE_KEY_BYTES_MAX = 256 * 1024;

export interface CompactionJobOptions {
  readonly scheduler: IoScheduler;
  readonly files: TableFiles;
  readonly pool: Uint8Array<SharedArrayBuffer>;
  readonly takeFileNumber: () => number;
  /** Whether not to begin another table. */
  readonly isStopped: () => boolean;
  /**
   * The directory could not be synced: told before anything else is done, because names may be gone with it that somebody
   * else is about to rely on.
   */
  readonly onUnsynced: (error: QuadringError) => void;
}

/** What a compaction is carried out with. */
export type CompactionManner = Omit<CompactionParameters, 'runs' | 'outputLevel' | 'older' | 'grandparents'>;

export class CompactionJob {
  readonly #options: CompactionJobOptions;
  /** Numbers of tables that were, or may have been, written. */
  readonly #numbers: number[] = [];
  readonly #opening: Promise<Table>[] = [];
  /** The thread has begun, and was not told to end. */
  #isUnderWay = false;
  /** What a table is expected to have. */
  #tableBytes = 0;
  /** Of what has not been written yet, at most. */
  #inputBytes = 0;

  constructor(options: CompactionJobOptions) {
    this.#options = options;
  }

  /** Writes and opens the tables. Rejects with what went wrong; then, and when it was stopped, `abandon` it. */
  async run(compaction: Compaction, manner: CompactionManner): Promise<readonly Table[]> {
    this.#post(parametersOf(compaction, manner));
    const isAligned = compaction.grandparents.length > 0;
    this.#tableBytes = isAligned ? ALIGNED_TABLE_SHARE * manner.tableBytes : manner.tableBytes;
    this.#inputBytes = bytesOfTables([...compaction.inputs, ...compaction.outputInputs]);
    this.#isUnderWay = true;
    const begun = await this.#options.scheduler.ask(ROLE_COMPACTION, BEGIN_COMPACTION, MAILBOX_PAGE);
    try {
      if (begun.result < 0) throw this.#errorOf('reading', begun);
      await this.#writeTables();
    } catch (error) {
      // What went wrong first is what is told.
      await this.#end();
      throw error;
    }
    const ended = await this.#end();
    if (ended.result < 0) throw roleError('closing tables', ended.result, ended.detail0, 0);
    return Promise.all(this.#opening);
  }

  /** What the thread is doing fails soon, however large the table that it writes; then `run` rejects. */
  cancel(): void {
    if (this.#isUnderWay) void this.#end();
  }

  #end(): Promise<Answer> {
    this.#isUnderWay = false;
    return this.#options.scheduler.ask(ROLE_COMPACTION, END_COMPACTION);
  }

  /** Removes what was written. Resolves also where something could not be removed: then the next open does. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#opening);
    await Promise.allSettled(this.#numbers.map((number) => this.#options.files.remove(number)));
  }

  async #writeTables(): Promise<void> {
    const { scheduler, files, pool, takeFileNumber, isStopped, onUnsynced } = this.#options;
    for (let hasMore = true; hasMore && !isStopped();) {
      const number = takeFileNumber();
      const spare = files.takeSpare(Math.min(this.#tableBytes, this.#inputBytes));
      const old = spare?.number ?? 0;
      const answer = await scheduler.ask(ROLE_COMPACTION, WRITE_COMPACTED, number, MAILBOX_PAGE, old);
      files.settleSpare(spare, answer.result);
      // It is tried again after a while, and finds what they took.
      if (isOutOfSpace(answer.result)) void files.freeSpares();
      if (answer.result < 0) {
        const error = this.#errorOf('compacting into', answer, number);
        if (isDirectoryUnsynced(error)) onUnsynced(error);
        throw error;
      }
      hasMore = answer.detail0 === 1;
      if (answer.result === 0) continue;
      this.#numbers.push(number);
      const bytes = pool.slice(COMPACTION_MAILBOX_AT, COMPACTION_MAILBOX_AT + answer.result);
      const description = must(decodeVersionEdit(bytes, 0, bytes.length).added[0], 'a table is described');
      this.#inputBytes -= description.fileBytes;
      await this.#previousIsOpen();
      this.#open(description, files);
    }
  }

  #open(description: TableDescription, files: TableFiles): void {
    const opening = files.open(description);
    // Whoever waits for it is told; until then nobody may be listening.
    opening.catch(() => undefined);
    this.#opening.push(opening);
  }

  /** One table is opened beside the one that is written, no more. */
  async #previousIsOpen(): Promise<void> {
    await this.#opening.at(-1);
  }

  #post(parameters: CompactionParameters): void {
    const { pool } = this.#options;
    const text = Buffer.from(JSON.stringify(parameters));
    const room = COMPACTION_MAILBOX_BYTES - 4;
    assert(text.length <= room, 'the parameters of a compaction fit the mailbox');
    writeU32(pool, COMPACTION_MAILBOX_AT, text.length);
    pool.set(text, COMPACTION_MAILBOX_AT + 4);
  }

  #errorOf(act: string, answer: Answer, output?: number): QuadringError {
    const { scheduler, pool } = this.#options;
    const { result, detail0 } = answer;
    if (result === RESULT_WORKER_FAILED) return roleError('compacting', result, 0, 0);
    const start = COMPACTION_MAILBOX_AT + 4;
    const length = readU32(pool, COMPACTION_MAILBOX_AT);
    const text = Buffer.from(pool.subarray(start, start + length)).toString();
    const failure = JSON.parse(text) as CompactionFailure;
    const name = tableName(failure.table);
    const what = failure.table === output ? `${act} ${name}` : `compacting: reading ${name}`;
    const file = join(scheduler.directory, name);
    const fields = failure.offset < 0 ? { file } : { file, offset: failure.offset };
    const isDamaged = failure.expected !== 0 || failure.actual !== 0;
    const suffix = failure.message === '' ? what : `${what}: ${failure.message}`;
    return isDamaged
      ? roleError(suffix, result, failure.expected, failure.actual, fields)
      : roleError(suffix, result, detail0, 0, fields);
  }
}

function parametersOf(compaction: Compaction, manner: CompactionManner): CompactionParameters {
  const { inputLevel, outputLevel, inputs, outputInputs, older, grandparents } = compaction;
  const upper = inputLevel === 0 ? inputs.map((table) => [table]) : [inputs];
  const runs = [...upper, outputInputs].filter((tables) => tables.length > 0);
  return {
    ...manner,
    runs: runs.map((tables) => tables.map(inputOf)),
    outputLevel,
    older: rangesOf(older),
    grandparents: boundariesOf(grandparents),
  };
}

function inputOf({ number, metaOffset, fileBytes }: TableDescription): CompactionInput {
  return { number, metaOffset, fileBytes };
}

/** Where older versions may be; where that takes too much room, somewhere between the first and the last. */
function rangesOf(tables: readonly TableDescription[]): CompactionKeyRange[] {
  const keyBytes = tables.reduce((sum, table) => sum + table.smallestKey.length + table.largestKey.length, 0);
  if (tables.length <= RANGES_MAX && keyBytes <= RANGE_KEY_BYTES_MAX) {
    return tables.map(({ smallestKey, largestKey, largestKeyIsExclusive }) => ({
      smallest: base64(smallestKey),
      largest: isUnbounded(largestKey, largestKeyIsExclusive) ? null : base64(largestKey),
    }));
  }
  let [smallest] = tables.map(({ smallestKey }) => smallestKey);
  let largest: Uint8Array | null = new Uint8Array(0);
  for (const table of tables) {
    if (compareKeys(table.smallestKey, smallest) < 0) smallest = table.smallestKey;
    if (largest === null || isUnbounded(table.largestKey, table.largestKeyIsExclusive)) largest = null;
    else if (compareKeys(table.largestKey, largest) > 0) largest = table.largestKey;
  }
  return [{ smallest: base64(smallest), largest: largest === null ? null : base64(largest) }];
}

/** The ends of tables; where there are too many, of two at a time. */
function boundariesOf(tables: readonly TableDescription[]): { largest: string; bytes: number }[] {
  let boundaries = tables
    .filter((table) => !isUnbounded(table.largestKey, table.largestKeyIsExclusive))
    .map(({ largestKey, fileBytes }) => ({ largest: base64(largestKey), bytes: fileBytes }));
  const size = (): number => boundaries.reduce((sum, { largest }) => sum + largest.length, 0);
  while (boundaries.length > RANGES_MAX || (boundaries.length > 1 && size() > RANGE_KEY_BYTES_MAX / 2)) {
    boundaries = boundaries
      .filter((_, i) => i % 2 === 1)
      .map(({ largest, bytes }, i) => ({ largest, bytes: bytes + boundaries[2 * i].bytes }));
  }
  return boundaries;
}

function isUnbounded(largestKey: Uint8Array, isExclusive: boolean): boolean {
  return isExclusive && largestKey.length === 0;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
