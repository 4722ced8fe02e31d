/** Expects the error that the public surface promises: a `QuadringError` with its code. */
import type { ExecutionContext } from 'ava';
import { QuadringError, type ErrorCode } from '../../src/index.ts';

/** Whether it rejects or throws at once, it is with this code. Gives the error for a closer look. */
export async function expectCode(
  t: ExecutionContext,
  code: ErrorCode,
  act: () => unknown,
): Promise<QuadringError> {
  let outcome: unknown;
  try {
    outcome = await act();
  } catch (error) {
    if (!(error instanceof QuadringError)) throw error;
    t.is(error.code, code, error.message);
    t.true(error.message.length > 0);
    return error;
  }
  throw new Error(`expected ${code}, but it succeeded with ${String(outcome)}`);
}
