/**
 * The one error class of the public surface and its codes. Pure; any thread.
 *
 * A code is part of the contract: it never changes its meaning. Fields that matter travel beside it.
 */

/** Every `code` a `QuadringError` can carry, with what it means. */
export const ERROR_CODES = {
  INVALID_ARGUMENT: 'an argument has the wrong type or is out of range; nothing was changed',
  KEY_TOO_LARGE: 'the key is longer than 65,535 bytes; nothing was changed',
  VALUE_TOO_LARGE: 'the value is longer than 64 MiB; nothing was changed',
  BATCH_TOO_LARGE:
    'the batch is larger than 128 MiB or has more than 4,194,304 operations or 4,096 ranges; nothing was changed',
  ABORTED: 'the signal was aborted before the operation had begun',
  CLOSED: 'the database, iterator or snapshot is closed',
  LOCKED: 'another open database holds the directory; `pid` names its process',
  NOT_A_DATABASE: 'the directory holds files that are not ours; nothing was changed',
  NOT_FOUND: 'there is no database in the directory and `createIfMissing` is false',
  EXISTS: 'there is a database in the directory and `errorIfExists` is true',
  PARENT_MISSING: 'the directory that should hold the database directory does not exist',
  READ_ONLY: 'the file system, or the directory, cannot be written',
  UNKNOWN_FORMAT:
    'a file has a format version that this release does not know, or a compression that this Node does not have',
  CURRENT_CORRUPT: 'the file CURRENT does not name a manifest',
  MANIFEST_CORRUPT: 'the manifest is damaged',
  LOG_CORRUPT: 'the write-ahead log is damaged before its end',
  TABLE_CORRUPT: 'a table file is damaged or has the wrong length',
  NO_SPACE: 'the file system is full; the write was refused and nothing was lost',
  TOO_MANY_FILES:
    'the process, or the machine, may not open another file (`ulimit -n`); what needed one was refused and nothing was lost',
  IO_ERROR: 'the kernel reported an I/O error; `cause` has the errno',
  FAILED: 'an earlier I/O failure was final for this open database (`cause`); reopen it',
  WORKER_FAILED:
    'a ring thread died, and the open database can only be closed and reopened; or one did not start, and open failed',
  URING_UNAVAILABLE: 'io_uring was asked for and the kernel refuses it; the message says why and what to do',
  BUSY: 'an earlier call of the iterator has not ended; an iterator does one thing at a time',
  NO_ENTRY: 'the cursor stands at no entry: `next` was not called, or came to the end',
  OVERLOADED: 'more is waiting than may wait, or there is no memory for a batch; nothing of it was done',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorFields {
  readonly cause?: unknown;
  /** Path of the file concerned. */
  readonly file?: string;
  /** Byte offset in `file`. */
  readonly offset?: number;
  /** Path of the directory concerned. */
  readonly path?: string;
  /** Process that holds the lock. */
  readonly pid?: number;
  /** Checksum that the file says it should have, and the one its bytes have. */
  readonly expected?: number;
  readonly actual?: number;
}

/** Every error that quadring throws or rejects with on purpose. */
export class QuadringError extends Error {
  override readonly name = 'QuadringError';
  readonly code: ErrorCode;
  declare readonly file?: string;
  declare readonly offset?: number;
  declare readonly path?: string;
  declare readonly pid?: number;
  declare readonly expected?: number;
  declare readonly actual?: number;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    if (fields.file !== undefined) this.file = fields.file;
    if (fields.offset !== undefined) this.offset = fields.offset;
    if (fields.path !== undefined) this.path = fields.path;
    if (fields.pid !== undefined) this.pid = fields.pid;
    if (fields.expected !== undefined) this.expected = fields.expected;
    if (fields.actual !== undefined) this.actual = fields.actual;
  }
}

/** What a promise-returning method gives that refuses in the call. */
export function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new Error(String(error)));
}
