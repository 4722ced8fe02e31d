/**
 * Tests that io_uring and plain system calls must pass alike: one for each, with a directory of its own, and one for a ring
 * for which a thread of the kernel polls.
 */
import { closeSync, constants as fs, openSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  openFixture,
  POLLING,
  temporaryDirectory,
  type Backend,
  type Fixture,
  type FixtureOptions,
} from './ring-fixture.ts';

export interface Context {
  readonly backend: Backend;
  readonly fixture: Fixture;
  readonly directory: string;
  /** Descriptor of `directory`. */
  readonly root: number;
  open(name: string, flags: number): number;
}

const ARMS: readonly { readonly name: string; readonly backend: Backend; readonly isPolled: boolean }[] = [
  { name: 'Ring', backend: 'Ring', isPolled: false },
  { name: 'Ring, polled', backend: 'Ring', isPolled: true },
  { name: 'SystemCalls', backend: 'SystemCalls', isPolled: false },
];

/** One test for each of these. */
export function onBoth(
  title: string,
  body: (t: ExecutionContext, context: Context) => void,
  options: FixtureOptions = {},
): void {
  for (const { name: arm, backend, isPolled } of ARMS) {
    test(`${title} (${arm})`, (t) => {
      const directory = temporaryDirectory(t);
      const fixture = openFixture(t, backend, { ...options, polling: isPolled ? POLLING : null });
      const open = (path: string, flags: number): number => {
        const descriptor = openSync(path, flags, 0o600);
        t.teardown(() => {
          closeSync(descriptor);
        });
        return descriptor;
      };
      const root = open(directory, fs.O_RDONLY | fs.O_DIRECTORY);
      body(t, {
        backend,
        fixture,
        directory,
        root,
        open: (name, flags) => open(join(directory, name), flags),
      });
    });
  }
}
