/** What ends a compaction before its time. Ring threads only; it never leaves the compaction role. */
import { QuadringError } from '../errors.ts';
import { FormatError } from '../format/format-error.ts';
import { RESULT_CHECKSUM, RESULT_SHORT_READ, type CompactionFailure } from '../protocol/requests.ts';

/** Thrown by the steps of a compaction, answered by its task. */
export class CompactionFault extends Error {
  override readonly name = 'CompactionFault';
  readonly result: number;
  readonly detail0: number;
  readonly detail1: number;
  readonly failure: CompactionFailure;

  constructor(result: number, detail0: number, detail1: number, failure: CompactionFailure) {
    super(`result ${result} at table ${failure.table}`);
    this.result = result;
    this.detail0 = detail0;
    this.detail1 = detail1;
    this.failure = failure;
  }
}

/** What the kernel refused; `step` is a STEP_. */
export function faultOfStep(result: number, step: number, table: number, offset = -1): CompactionFault {
  return new CompactionFault(result, step, 0, { table, offset, expected: 0, actual: 0, message: '' });
}

/** The file ended early; `done` bytes of what was read at `offset` were there. */
export function faultOfShortRead(table: number, offset: number, done: number): CompactionFault {
  const failure = { table, offset, expected: 0, actual: 0, message: '' };
  return new CompactionFault(RESULT_SHORT_READ, done, 0, failure);
}

/** A block whose checksum does not hold. */
export function faultOfChecksum(
  table: number,
  offset: number,
  expected: number,
  actual: number,
): CompactionFault {
  const failure = { table, offset, expected, actual, message: '' };
  return new CompactionFault(RESULT_CHECKSUM, expected | 0, actual | 0, failure);
}

/** A tail that cannot be decoded, as `decodeTableMeta` says it. Anything else is a bug and thrown on. */
export function faultOfTail(table: number, error: unknown): CompactionFault {
  if (!(error instanceof QuadringError)) throw error;
  const { offset = -1, expected = 0, actual = 0, message } = error;
  const failure = { table, offset, expected, actual, message };
  return new CompactionFault(RESULT_CHECKSUM, expected | 0, actual | 0, failure);
}

/** A block whose checksum holds and that is no block for all that. Anything but a FormatError is a bug and thrown on. */
export function faultOfBlock(table: number, offset: number, error: unknown): CompactionFault {
  if (!(error instanceof FormatError)) throw error;
  const failure = { table, offset, expected: 0, actual: 0, message: error.message };
  return new CompactionFault(RESULT_CHECKSUM, 0, 0, failure);
}
