/** Tests that io_uring and plain system calls must pass alike: one for each, with a directory of its own. */
import { closeSync, constants as fs, openSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  BACKENDS,
  openFixture,
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

/** One test for each backend. */
export function onBoth(
  title: string,
  body: (t: ExecutionContext, context: Context) => void,
  options: FixtureOptions = {},
): void {
  for (const backend of BACKENDS) {
    test(`${title} (${backend})`, (t) => {
      const directory = temporaryDirectory(t);
      const fixture = openFixture(t, backend, options);
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
