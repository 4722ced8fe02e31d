/** Small file systems of their own for tests that need a full or a read-only one. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { temporaryDirectory } from './directories.ts';

/** A tmpfs that is unmounted when the test ends; undefined, with the reason logged, where it cannot be mounted. */
export function mountTmpfs(t: ExecutionContext, bytes: number): string | undefined {
  const place = join(temporaryDirectory(t), 'tmpfs');
  mkdirSync(place);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', place], { stdio: 'pipe' });
  } catch (error) {
    t.log(`no tmpfs can be mounted here: ${messageOf(error)}`);
    t.pass();
    return undefined;
  }
  t.teardown(() => {
    try {
      execFileSync('umount', [place], { stdio: 'pipe' });
    } catch (error) {
      // Something still has a file open in it: let go of it all the same, and say so.
      execFileSync('umount', ['--lazy', place], { stdio: 'pipe' });
      throw error;
    }
  });
  return place;
}

export function remount(place: string, mode: 'ro' | 'rw'): void {
  execFileSync('mount', ['-o', `remount,${mode}`, place], { stdio: 'pipe' });
}

function messageOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: Buffer; message: string };
  const said = stderr?.toString().trim() ?? '';
  return said === '' ? message : said;
}
