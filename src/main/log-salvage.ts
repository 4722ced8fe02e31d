/**
 * The records of logs, damaged or not, on their way into tables. Owner only.
 *
 * Their sequence numbers say what is missing. What tables hold already is passed over. From there on records are taken as
 * long as they continue each other. At a gap, something that was acknowledged is lost, and what lies behind it is left, so
 * that what the logs give is a beginning of the order of writes; unless it is asked for.
 */
import { join } from 'node:path';
import { logName } from '../format/file-names.ts';
import { FormatError } from '../format/format-error.ts';
import { LOG_BYTES_MAX } from '../format/limits.ts';
import { LogRecordReader } from '../format/log-record.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { mayHoldFrames, scanFrames } from './frame-scan.ts';
import type { FrameGroup } from './frame-groups.ts';
import { LogTables, type RecordSink } from './log-tables.ts';
import { PieceReader } from './piece-reader.ts';
import type { Diagnosis } from './repair-diagnosis.ts';
import type { LostPart } from './repair-report.ts';
import type { TableRepair } from './repair-tables.ts';
import type { ExaminationGround } from './table-examination.ts';
import { shapeOf } from './table-file-writer.ts';

/** What the logs gave. */
export interface SalvagedLogs {
  readonly tables: readonly TableDescription[];
  readonly records: number;
  readonly lost: readonly LostPart[];
  /** The last number that is in tables now. */
  readonly lastSequence: number;
}

/** Puts what logs hold beyond the tables into tables of level 0. */
export async function salvageLogs(
  ground: ExaminationGround,
  { salt, logNumbers, logEnds, flushedSequence, recordedSequence, isTrusted }: Diagnosis,
  repair: TableRepair,
  takesBehindGaps: boolean,
): Promise<SalvagedLogs> {
  if (salt === undefined) {
    const lost = unreadableLogs(ground, logNumbers);
    return { tables: [], records: 0, lost, lastSequence: flushedSequence };
  }
  const shape = shapeOf(undefined);
  const sink = new LogTables((createdAt) => repair.begin(0, shape, createdAt), ground.breather);
  const salvage = new LogSalvage(
    ground,
    {
      salt,
      numbers: logNumbers,
      ends: logEnds,
      flushedSequence,
      mayBeginLater: !isTrusted,
      takesBehindGaps,
      recordedSequence,
    },
    sink,
  );
  await salvage.run();
  await sink.flush();
  const { records, lost, lastSequence } = salvage;
  return { tables: sink.tables, records, lost, lastSequence };
}

interface LogSalvageOptions {
  readonly salt: number;
  /** Oldest first. */
  readonly numbers: readonly number[];
  /** Bytes of each log that may hold frames, where that is known. */
  readonly ends: ReadonlyMap<number, number>;
  /** Everything up to it is in tables. */
  readonly flushedSequence: number;
  /** Whether the first record that is not may have a later number than the next: the number above is a guess. */
  readonly mayBeginLater: boolean;
  /** Whether records behind a gap are taken. */
  readonly takesBehindGaps: boolean;
  /** The last number that is known to have been written; 0: none is. */
  readonly recordedSequence: number;
}

class LogSalvage {
  readonly #ground: ExaminationGround;
  readonly #options: LogSalvageOptions;
  readonly #sink: RecordSink;
  /** The number that the next record should have. */
  #expected: number;
  #hasTaken = false;
  #isBehindGap = false;
  records = 0;
  readonly lost: LostPart[] = [];
  /** A log of which a part cannot be read, and behind which nothing has shown yet what that part had. */
  #unreadable: string | undefined;
  /** Records behind a gap that were left. */
  #left: { file: string; count: number; bytes: number; first: number; last: number } | undefined;

  constructor(ground: ExaminationGround, options: LogSalvageOptions, sink: RecordSink) {
    this.#ground = ground;
    this.#options = options;
    this.#sink = sink;
    this.#expected = options.flushedSequence + 1;
  }

  /** The last number that is in tables, or was taken. */
  get lastSequence(): number {
    return this.#expected - 1;
  }

  async run(): Promise<void> {
    const { numbers, ends, recordedSequence } = this.#options;
    for (const number of numbers) await this.#readLog(number, ends.get(number));
    this.#endLeft();
    if (this.#isBehindGap) return;
    if (recordedSequence < this.#expected) {
      if (this.#unreadable !== undefined) this.#addLost(this.#unreadable, null, 0, this.#expected, null);
      return;
    }
    const file = join(this.#ground.directory, logName(numbers.at(-1) ?? 0));
    this.#addLost(file, recordedSequence - this.#expected + 1, 0, this.#expected, recordedSequence);
  }

  async #readLog(number: number, end: number | undefined): Promise<void> {
    const { fileSystem, directory, breather, findings } = this.#ground;
    const file = join(directory, logName(number));
    let reader: PieceReader;
    try {
      reader = new PieceReader(fileSystem.openFile(file));
    } catch (error) {
      findings.addSystemError(file, error);
      this.#unreadable = file;
      return;
    }
    try {
      const limit = Math.min(end ?? reader.bytes, reader.bytes, LOG_BYTES_MAX);
      const place = { salt: this.#options.salt, fileNumber: number };
      for await (const event of scanFrames(reader, place, limit, breather)) {
        if (event.type === 'group') await this.#takeGroup(event, file);
        else if (event.type === 'unreadable') this.#unreadable = file;
      }
    } finally {
      reader.close();
    }
  }

  async #takeGroup(group: FrameGroup, file: string): Promise<void> {
    const { firstSequence, count, payload } = group;
    const last = firstSequence + count - 1;
    if (last < this.#expected || !isReadable(group)) return;
    this.#unreadable = undefined;
    if (firstSequence > this.#expected && !this.#passesGap(firstSequence, file)) {
      this.#noteLeft(group, file);
      return;
    }
    const record = new LogRecordReader(payload, 0, payload.length);
    for (let sequence = firstSequence; record.next(); sequence++) {
      if (sequence < this.#expected) continue;
      await this.#sink.take(payload, record, sequence);
      this.records++;
    }
    this.#hasTaken = true;
    this.#expected = last + 1;
  }

  /** Whether records behind the gap are taken. */
  #passesGap(firstSequence: number, file: string): boolean {
    const { mayBeginLater, takesBehindGaps } = this.#options;
    const isBeginning = mayBeginLater && !this.#hasTaken;
    if (isBeginning) return true;
    if (!this.#isBehindGap)
      this.#addLost(file, firstSequence - this.#expected, 0, this.#expected, firstSequence - 1);
    this.#isBehindGap = !takesBehindGaps;
    return takesBehindGaps;
  }

  #noteLeft({ firstSequence, count, payload }: FrameGroup, file: string): void {
    if (this.#left?.file !== file) this.#endLeft();
    const last = firstSequence + count - 1;
    if (this.#left === undefined) {
      this.#left = { file, count, bytes: payload.length, first: firstSequence, last };
      return;
    }
    this.#left.count += count;
    this.#left.bytes += payload.length;
    this.#left.last = last;
  }

  #endLeft(): void {
    if (this.#left === undefined) return;
    const { file, count, bytes, first, last } = this.#left;
    this.#left = undefined;
    this.#addLost(file, count, bytes, first, last);
  }

  #addLost(
    file: string,
    count: number | null,
    bytes: number,
    firstSequence: number,
    lastSequence: number | null,
  ): void {
    this.lost.push({
      file,
      what: 'log records',
      level: null,
      count,
      bytes,
      ranges: [],
      firstSequence,
      lastSequence,
      olderMayShow: true,
    });
  }
}

/** Whether the records are what the frame says. What is not was written so: it is no damage that can be told apart. */
function isReadable({ payload, count }: FrameGroup): boolean {
  const record = new LogRecordReader(payload, 0, payload.length);
  try {
    let found = 0;
    while (record.next()) found++;
    return found === count;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** Logs that hold frames which nothing can be held against: see log-salt.ts. */
function unreadableLogs(
  { fileSystem, directory }: ExaminationGround,
  numbers: readonly number[],
): LostPart[] {
  return numbers
    .map((number) => ({ number, file: join(directory, logName(number)) }))
    .filter(({ number, file }) => {
      const reader = new PieceReader(fileSystem.openFile(file));
      try {
        return mayHoldFrames(reader, number);
      } finally {
        reader.close();
      }
    })
    .map(({ file }) => ({
      file,
      what: 'log records' as const,
      level: null,
      count: null,
      bytes: fileSystem.status(file)?.bytes ?? 0,
      ranges: [],
      firstSequence: null,
      lastSequence: null,
      olderMayShow: true,
    }));
}
