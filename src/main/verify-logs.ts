/**
 * The logs, looked at by verification. Owner only.
 *
 * What recovery would replay is checked frame by frame. Behind it lies what means nothing: zeros that the file was made of,
 * or what an earlier log left in it. Where the manifest recorded a log's end, everything before that must be valid;
 * elsewhere the log ends at the first page at which no valid frame begins, if none begins behind it.
 */
import { join } from 'node:path';
import { logName } from '../format/file-names.ts';
import { FormatError } from '../format/format-error.ts';
import { LOG_BYTES_MAX } from '../format/limits.ts';
import { LogRecordReader } from '../format/log-record.ts';
import type { DirectoryContents } from './directory-contents.ts';
import { scanFrames, type FrameEvent, type FrameFile } from './frame-scan.ts';
import type { FrameGroup } from './frame-groups.ts';
import { PieceReader } from './piece-reader.ts';
import type { ExaminationGround } from './table-examination.ts';
import { wasChangedInLog } from './torn-frames.ts';
import { sumsOf } from './verify-manifest.ts';
import type { VerifiedFile } from './verify-report.ts';
import type { ManifestState } from './version-set.ts';

export interface VerifiedLogs {
  /** The last sequence number that tables and logs have. */
  readonly lastSequence: number;
  /** Up to it there is every record, and each can be read. */
  readonly wholeTo: number;
}

/**
 * Looks at the logs that are still needed. `isWhole`: the manifest says all of it; where it does not, each
 * log is looked at by itself.
 */
export async function verifyLogs(
  ground: ExaminationGround,
  contents: DirectoryContents,
  state: ManifestState,
  isWhole: boolean,
  files: VerifiedFile[],
): Promise<VerifiedLogs> {
  const { directory, findings } = ground;
  const numbers = contents.files
    .filter(({ kind, number }) => kind === 'log' && number >= state.logNumber)
    .map(({ number }) => number)
    .sort((a, b) => a - b);
  const before = findings.count;
  for (const [number, end] of state.logEnds) {
    if (number < state.logNumber || end === 0 || numbers.includes(number)) continue;
    const message = `${logName(number)} is missing, ${end} bytes of it are needed`;
    findings.add({ code: 'LOG_CORRUPT', message, file: join(directory, logName(number)) });
  }
  const sequences = new SequenceCheck(ground, state.flushedSequence);
  for (const number of numbers) {
    sequences.isBroken ||= !isWhole;
    await new LogVerification(ground, number, state, sequences).run(files);
  }
  const last = Math.max(sequences.last ?? 0, state.flushedSequence);
  if (isWhole && last < state.lastSequence && findings.count === before) {
    const message = `the logs end at sequence number ${last}, ${state.lastSequence} had been recorded`;
    findings.add({
      code: 'LOG_CORRUPT',
      message,
      file: directory,
      expected: state.lastSequence,
      actual: last,
    });
  }
  return { lastSequence: Math.max(last, state.lastSequence), wholeTo: sequences.wholeTo };
}

/** Whether frames continue each other, from log to log; the first one may begin within what tables already hold. */
class SequenceCheck {
  readonly #ground: ExaminationGround;
  readonly #flushed: number;
  last: number | undefined;
  /** Up to it frames continue each other, and their records can be read. */
  wholeTo: number;
  #hasGap = false;
  /** Something is missing that has been said to be damaged: the next frame is where it goes on. */
  isBroken = false;

  constructor(ground: ExaminationGround, flushed: number) {
    this.#ground = ground;
    this.#flushed = flushed;
    this.wholeTo = flushed;
  }

  note({ firstSequence, count, offset }: FrameGroup, file: string, isReadable: boolean): void {
    const { last } = this;
    const continues = last === undefined ? firstSequence <= this.#flushed + 1 : firstSequence === last + 1;
    if (!continues && !this.isBroken) {
      const expected = (last ?? this.#flushed) + 1;
      const message = `sequence number ${firstSequence} where ${expected} should follow`;
      this.#ground.findings.add({
        code: 'LOG_CORRUPT',
        message,
        file,
        offset,
        expected,
        actual: firstSequence,
      });
    }
    this.isBroken = false;
    this.last = firstSequence + count - 1;
    this.#hasGap ||= !continues || !isReadable;
    if (!this.#hasGap) this.wholeTo = Math.max(this.wholeTo, this.last);
  }
}

class LogVerification {
  readonly #ground: ExaminationGround;
  readonly #number: number;
  readonly #file: string;
  readonly #place: FrameFile;
  readonly #recordedEnd: number | undefined;
  readonly #sequences: SequenceCheck;
  #end = 0;
  #batches = 0;
  #records = 0;
  #paddingBytes = 0;
  /** Where something was that could not be read, which has been said. */
  #unreadableAt: number | undefined;

  constructor(ground: ExaminationGround, number: number, state: ManifestState, sequences: SequenceCheck) {
    this.#ground = ground;
    this.#number = number;
    this.#file = join(ground.directory, logName(number));
    this.#place = { salt: state.databaseSalt, fileNumber: number };
    // After a clean close a log without a recorded end was never written to.
    this.#recordedEnd = state.logEnds.get(number) ?? (state.cleanClose ? 0 : undefined);
    this.#sequences = sequences;
  }

  async run(files: VerifiedFile[]): Promise<void> {
    const { fileSystem, breather, findings } = this.#ground;
    let reader: PieceReader;
    try {
      reader = new PieceReader(fileSystem.openFile(this.#file));
    } catch (error) {
      findings.addSystemError(this.#file, error);
      return;
    }
    try {
      const { bytes } = reader;
      if (this.#recordedEnd !== undefined && this.#recordedEnd > bytes) {
        const message = `${logName(this.#number)} has ${bytes} bytes, ${this.#recordedEnd} of it are needed`;
        this.#add(message, bytes, { expected: this.#recordedEnd, actual: bytes });
      }
      const needed = Math.min(this.#recordedEnd ?? bytes, bytes);
      if (needed > LOG_BYTES_MAX) this.#add(`a log of ${needed} bytes, longer than any`, LOG_BYTES_MAX);
      const limit = Math.min(needed, LOG_BYTES_MAX);
      for await (const event of scanFrames(reader, this.#place, limit, breather)) this.#take(event, reader);
      files.push({
        file: this.#file,
        kind: 'log',
        number: this.#number,
        bytes,
        isNamed: true,
        checkedBytes: this.#end,
        paddingBytes: this.#paddingBytes,
        staleBytes: bytes - this.#end,
        blocks: this.#batches,
        entries: this.#records,
      });
    } finally {
      reader.close();
    }
  }

  #take(event: FrameEvent, reader: PieceReader): void {
    const { findings } = this.#ground;
    switch (event.type) {
      case 'group':
        this.#end = event.end;
        this.#paddingBytes += event.paddingBytes;
        this.#sequences.note(event, this.#file, this.#checkRecords(event));
        break;
      case 'padding':
        findings.note({
          code: 'PADDING',
          message: 'the padding of a frame is not zero',
          file: this.#file,
          offset: event.offset,
        });
        break;
      case 'unknown-version': {
        const message = `a frame has format version ${event.version}, which this release does not know`;
        findings.add({ code: 'UNKNOWN_FORMAT', message, file: this.#file, offset: event.offset });
        this.#sequences.isBroken = true;
        break;
      }
      case 'unreadable':
        findings.addSystemError(this.#file, event.error, event.offset);
        this.#unreadableAt = event.offset;
        break;
      case 'disorder':
        this.#add('the frames of a batch are out of order', event.offset);
        this.#sequences.isBroken = true;
        break;
      case 'break': {
        this.#sequences.isBroken = true;
        if (this.#unreadableAt === event.offset) break;
        const { reason } = event.frame;
        const message = `no valid frame, before one at ${event.resumesAt}: ${reason}`;
        this.#add(message, event.offset, sumsOf(event.frame));
        break;
      }
      case 'end':
        this.#takeEnd(event, reader);
    }
  }

  #takeEnd({ from, offset, frame }: Extract<FrameEvent, { type: 'end' }>, reader: PieceReader): void {
    const sums = sumsOf(frame);
    if (this.#unreadableAt !== undefined && this.#unreadableAt >= offset) {
      this.#sequences.isBroken = true;
      return;
    }
    if (this.#recordedEnd !== undefined) {
      if (from >= Math.min(this.#recordedEnd, reader.bytes)) return;
      const reason = frame?.reason ?? 'a batch without its end';
      this.#add(`no valid frame, before the recorded end at ${this.#recordedEnd}: ${reason}`, offset, sums);
      this.#sequences.isBroken = true;
      return;
    }
    if (frame !== undefined && wasChangedInLog(reader, this.#place, offset, frame)) {
      this.#add(`the last frame was whole, and is not any more: ${frame.reason}`, offset, sums);
    } else if (from < offset || frame?.status === 'bad') {
      const message = 'a write that a crash cut short';
      this.#ground.findings.note({ code: 'TORN_TAIL', message, file: this.#file, offset: from });
    }
  }

  /** Whether a frame whose checksum holds has as many records as it says. */
  #checkRecords({ payload, count, offset }: FrameGroup): boolean {
    this.#batches++;
    const records = new LogRecordReader(payload, 0, payload.length);
    let found = 0;
    let isReadable = false;
    try {
      while (records.next()) found++;
      isReadable = found === count;
      if (!isReadable) this.#add(`a batch says it has ${count} records, it has ${found}`, offset);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#add(error.message, offset);
    }
    this.#records += found;
    return isReadable;
  }

  #add(message: string, offset: number, sums: { expected?: number; actual?: number } = {}): void {
    this.#ground.findings.add({ code: 'LOG_CORRUPT', message, file: this.#file, offset, ...sums });
  }
}
