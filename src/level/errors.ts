/**
 * Errors as abstract-level names them. Pure.
 *
 * Where abstract-level has a code for what happened, it is used, and the `QuadringError` is the `cause`. Every other
 * error is handed on as it is.
 */
import { QuadringError, type ErrorCode } from '../index.ts';

/** Carries one of abstract-level's codes. */
export class LevelError extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

const CODES: { readonly [Code in ErrorCode]?: string } = {
  CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
  LOCKED: 'LEVEL_LOCKED',
  CURRENT_CORRUPT: 'LEVEL_CORRUPTION',
  MANIFEST_CORRUPT: 'LEVEL_CORRUPTION',
  LOG_CORRUPT: 'LEVEL_CORRUPTION',
  TABLE_CORRUPT: 'LEVEL_CORRUPTION',
  IO_ERROR: 'LEVEL_IO_ERROR',
};

/** The error as this layer throws it. */
export function levelError(error: unknown): Error {
  if (!(error instanceof QuadringError)) return error instanceof Error ? error : new Error(String(error));
  if (error.code === 'ABORTED') return abortError(error);
  const code = CODES[error.code];
  return code === undefined ? error : new LevelError(code, error.message, error);
}

/** Rethrows; made for the second argument of `then`. */
export function rethrow(error: unknown): never {
  throw levelError(error);
}

/** Named as the platform names it. */
export function abortError(cause?: unknown): LevelError {
  const error = new LevelError('LEVEL_ABORTED', 'the operation has been aborted', cause);
  error.name = 'AbortError';
  return error;
}
