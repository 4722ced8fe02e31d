/** Registers a test of the engine once for each backend, one after the other: a test may count threads and files. */
import test, { type ExecutionContext } from 'ava';

export const BACKENDS = ['uring', 'syscall'] as const;
export type Backend = (typeof BACKENDS)[number];

/** Registrations of this file's tests for the second backend. */
const later: (() => void)[] = [];

/**
 * All tests of a file run on one backend before any runs on the other: crews are kept for the next database of their
 * shape, and starting one takes more of a core than most tests do.
 */
export function testBackends(
  title: string,
  run: (t: ExecutionContext, backend: Backend) => Promise<void> | void,
): void {
  const register = (backend: Backend): void => test.serial(`${backend}: ${title}`, (t) => run(t, backend));
  register('uring');
  // ava takes tests until the turn of the event loop ends in which the first was registered.
  if (later.length === 0) queueMicrotask(() => later.splice(0).forEach((registerLater) => registerLater()));
  later.push(() => register('syscall'));
}
