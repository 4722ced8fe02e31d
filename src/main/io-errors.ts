/** Turns a role's answer into the error that the caller gets. Pure. */
import { getSystemErrorName } from 'node:util';
import { QuadringError, type ErrorCode, type ErrorFields } from '../errors.ts';
import {
  RESULT_CHECKSUM,
  RESULT_MALFORMED,
  RESULT_SHORT_READ,
  RESULT_SHORT_WRITE,
  RESULT_UNDECOMPRESSED,
  RESULT_WORKER_FAILED,
  STEP_DIRECTORY_FSYNC,
  STEP_NAMES,
} from '../protocol/requests.ts';

const EACCES = 13;
const EPERM = 1;
const EROFS = 30;
const ENFILE = 23;
const EMFILE = 24;
const ENOSPC = 28;
const EDQUOT = 122;

export function isOutOfSpace(result: number): boolean {
  return result === -ENOSPC || result === -EDQUOT;
}

/** What passes: there was no room for something that was needed before anything was done, of space or of open files. */
export function isShortage(result: number): boolean {
  return isOutOfSpace(result) || result === -EMFILE || result === -ENFILE;
}

/** The same as the error that it became: nothing was done, and it may be tried again. */
export function isRefusal(error: unknown): error is QuadringError {
  return error instanceof QuadringError && (error.code === 'NO_SPACE' || error.code === 'TOO_MANY_FILES');
}

/**
 * A directory was not synced: the kernel says it once, to one of those that asked, and may have meant any name that was new.
 * So nothing that comes to be written behind such a name may be acknowledged any more, whoever asked.
 */
export function isDirectoryUnsynced(error: QuadringError): boolean {
  const { syscall } = (error.cause ?? {}) as Partial<NodeJS.ErrnoException>;
  return syscall === STEP_NAMES[STEP_DIRECTORY_FSYNC];
}

/** `what` is the sentence's subject: "writing the log". */
export function roleError(
  what: string,
  result: number,
  detail0: number,
  detail1: number,
  fields: Pick<ErrorFields, 'file' | 'offset'> = {},
): QuadringError {
  switch (result) {
    case RESULT_CHECKSUM: {
      const expected = detail0 >>> 0;
      const actual = detail1 >>> 0;
      const message = `${what}: checksum is ${hex(actual)}, ${hex(expected)} was expected`;
      return new QuadringError('TABLE_CORRUPT', message, { ...fields, expected, actual });
    }
    case RESULT_UNDECOMPRESSED:
      return new QuadringError(
        'TABLE_CORRUPT',
        `${what}: the block's checksum holds, but it cannot be decompressed`,
        fields,
      );
    case RESULT_MALFORMED:
      return new QuadringError(
        'TABLE_CORRUPT',
        `${what}: the block's checksum holds, but it is no block`,
        fields,
      );
    case RESULT_SHORT_READ:
      return new QuadringError(
        'TABLE_CORRUPT',
        `${what}: the file ends ${detail0} bytes into the range`,
        fields,
      );
    case RESULT_SHORT_WRITE:
      return new QuadringError('IO_ERROR', `${what}: the write came back short`, fields);
    case RESULT_WORKER_FAILED:
      return new QuadringError('WORKER_FAILED', `${what}: a ring thread died`, fields);
    default: {
      const name = getSystemErrorName(result);
      const step = STEP_NAMES[detail0] ?? STEP_NAMES[0];
      const cause = Object.assign(new Error(`${step} failed with ${name}`), {
        code: name,
        errno: result,
        syscall: step,
      });
      const message = `${what}: ${step} failed with ${name}`;
      // Not that there is no room: whether the directory was synced before is what is not known then.
      if (isShortage(result) && detail0 !== STEP_DIRECTORY_FSYNC) {
        const code = isOutOfSpace(result) ? 'NO_SPACE' : 'TOO_MANY_FILES';
        return new QuadringError(code, message, { ...fields, cause });
      }
      const readOnly = result === -EROFS || result === -EACCES || result === -EPERM;
      return new QuadringError(readOnly ? 'READ_ONLY' : 'IO_ERROR', message, { ...fields, cause });
    }
  }
}

function hex(checksum: number): string {
  return `0x${checksum.toString(16).padStart(8, '0')}`;
}

/** What a system call of open or recovery says of the directory, as an error that says what it means. */
export function translated<T>(directory: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw translatedError(directory, error);
  }
}

/** The same of an error that was caught. */
export function translatedError(directory: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new QuadringError(CODES[error.code] ?? 'IO_ERROR', `${directory}: ${error.message}`, {
    path: directory,
    cause: error,
    ...(error.path === undefined ? {} : { file: error.path }),
  });
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  EROFS: 'READ_ONLY',
  EACCES: 'READ_ONLY',
  EPERM: 'READ_ONLY',
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  EMFILE: 'TOO_MANY_FILES',
  ENFILE: 'TOO_MANY_FILES',
  ENOTDIR: 'PARENT_MISSING',
  ENOENT: 'PARENT_MISSING',
  ENAMETOOLONG: 'INVALID_ARGUMENT',
};

function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return (
    error instanceof Error &&
    !(error instanceof QuadringError) &&
    typeof (error as { code?: unknown }).code === 'string'
  );
}
