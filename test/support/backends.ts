/** Registers a test of the engine once for each backend, one after the other: a test may count threads and files. */
import test, { type ExecutionContext } from 'ava';

export const BACKENDS = ['uring', 'syscall'] as const;
export type Backend = (typeof BACKENDS)[number];

export function testBackends(
  title: string,
  run: (t: ExecutionContext, backend: Backend) => Promise<void> | void,
): void {
  for (const backend of BACKENDS) test.serial(`${backend}: ${title}`, (t) => run(t, backend));
}
