/**
 * What verification finds: damage, and what is odd but none. Owner only.
 *
 * A finding says of which file, and where. Their number is bounded: a file of noise would give one for each page.
 */
import { basename } from 'node:path';
import { QuadringError, type ErrorCode } from '../errors.ts';
import { ChecksumError } from '../format/footer.ts';
import { UnknownVersionError, type FormatError } from '../format/format-error.ts';

/** What is kept; more is counted. */
const FINDINGS_MAX = 1000;

/** Something that is damage: data was changed, or is missing. */
export type FindingCode = Extract<
  ErrorCode,
  'CURRENT_CORRUPT' | 'MANIFEST_CORRUPT' | 'LOG_CORRUPT' | 'TABLE_CORRUPT' | 'UNKNOWN_FORMAT' | 'IO_ERROR'
>;

/** Codes of notes, with what they mean. */
export const NOTE_CODES = {
  TORN_TAIL: 'a write that a crash cut short; it was never acknowledged',
  PADDING: 'bytes that should be zero and that nobody reads are not',
  UNNAMED: 'no version names the file; the next open removes it, or uses it again',
  UNCHECKED: 'the file could not be checked',
} as const;

export type NoteCode = keyof typeof NOTE_CODES;

export interface Finding<Code = FindingCode> {
  readonly code: Code;
  readonly message: string;
  /** Path of the file. */
  readonly file: string;
  /** Byte at which what is wrong begins, or the unit with a checksum of its own that it is in. */
  readonly offset?: number;
  /** Checksum, length or number that should be there, and what is there instead. */
  readonly expected?: number;
  readonly actual?: number;
}

export type Note = Finding<NoteCode>;

/** A table that no version names has more than manifest and logs, of which the last number is `last`. */
export function addUnexplained(findings: Findings, file: string, known: number, last: number): void {
  const message = `${basename(file)} holds sequence numbers up to ${known}, which neither the manifest nor the logs know of`;
  findings.add({ code: 'MANIFEST_CORRUPT', message, file, expected: last, actual: known });
}

export class Findings {
  readonly all: Finding[] = [];
  readonly notes: Note[] = [];
  /** How many were not kept. */
  leftOut = 0;
  notesLeftOut = 0;
  readonly #onlyMedia: boolean;

  /** `onlyMedia`: what the system refuses for another reason than a disk that cannot be read is thrown, and is no damage. */
  constructor(onlyMedia = false) {
    this.#onlyMedia = onlyMedia;
  }

  get count(): number {
    return this.all.length + this.leftOut;
  }

  add(finding: Finding): void {
    if (this.all.length < FINDINGS_MAX) this.all.push(finding);
    else this.leftOut++;
  }

  note(note: Note): void {
    if (this.notes.length < FINDINGS_MAX) this.notes.push(note);
    else this.notesLeftOut++;
  }

  /** What a decoder says of bytes that begin at `base` in the file. */
  addFormatError(code: FindingCode, file: string, error: FormatError, base: number): void {
    const sums = error instanceof ChecksumError ? { expected: error.expected, actual: error.actual } : {};
    this.add({
      code: error instanceof UnknownVersionError ? 'UNKNOWN_FORMAT' : code,
      message: error.message,
      file,
      offset: base + error.at,
      ...sums,
    });
  }

  /** What the system says where a file, or a part of it, should be read. Throws everything else again. */
  addSystemError(file: string, error: unknown, offset?: number): void {
    if (error instanceof QuadringError || !(error instanceof Error) || !('code' in error)) throw error;
    if (this.#onlyMedia && error.code !== 'EIO') throw error;
    this.add({
      code: 'IO_ERROR',
      message: `it cannot be read: ${error.message}`,
      file,
      ...(offset === undefined ? {} : { offset }),
    });
  }
}
