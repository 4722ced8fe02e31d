/**
 * Assertions that stay on in production. Pure; any thread.
 *
 * They state what must hold on both sides of a boundary (a queue, a buffer that is lent, a byte that goes to the
 * disk). A failed assertion is a bug in quadring, never a mistake of its user: those get a `QuadringError`.
 */

export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws `AssertionFailure` unless `condition` holds. `message` must be a constant: building one costs on hot paths. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** The value, which must be there. */
export function must<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionFailure(message);
  return value;
}

/** For the branch that types say cannot happen. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable: ${String(value)}`);
}
