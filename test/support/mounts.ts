/** Small file systems of their own for tests that need a full or a read-only one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
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
  unmountAtTheEnd(t, place);
  return place;
}

function unmountAtTheEnd(t: ExecutionContext, place: string): void {
  t.teardown(() => {
    try {
      execFileSync('umount', [place], { stdio: 'pipe' });
    } catch (error) {
      // Something still has a file open in it: let go of it all the same, and say so.
      execFileSync('umount', ['--lazy', place], { stdio: 'pipe' });
      throw error;
    }
  });
}

export interface LoopFileSystem {
  readonly place: string;
  /** The journal gives up, as after an error of the disk: nothing can be written any more, what is there can be read. */
  abort(): void;
  /** Taken out, repaired and put back. REQUIRES: nobody has a file open in it. */
  repair(): void;
}

/** An ext4 of its own in a file, over a loop device; likewise. */
export function mountExt4(t: ExecutionContext, bytes: number): LoopFileSystem | undefined {
  const parent = temporaryDirectory(t);
  const image = join(parent, 'image');
  const place = join(parent, 'ext4');
  mkdirSync(place);
  writeFileSync(image, '');
  truncateSync(image, bytes);
  const mount = (): void => void execFileSync('mount', ['-o', 'loop', image, place], { stdio: 'pipe' });
  try {
    // No blocks that only root may have.
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image], { stdio: 'pipe' });
    mount();
  } catch (error) {
    t.log(`no ext4 can be mounted here: ${messageOf(error)}`);
    t.pass();
    return undefined;
  }
  unmountAtTheEnd(t, place);
  return {
    place,
    abort: () => void execFileSync('mount', ['-o', 'remount,abort', place], { stdio: 'pipe' }),
    repair() {
      execFileSync('umount', [place], { stdio: 'pipe' });
      const { status, stdout } = spawnSync('fsck.ext4', ['-p', image], { encoding: 'utf8' });
      // 1: there was something to correct.
      if (status === null || status > 1) throw new Error(`fsck.ext4 ended with ${status}: ${stdout}`);
      mount();
    },
  };
}

export function remount(place: string, mode: 'ro' | 'rw'): void {
  execFileSync('mount', ['-o', `remount,${mode}`, place], { stdio: 'pipe' });
}

function messageOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: Buffer; message: string };
  const said = stderr?.toString().trim() ?? '';
  return said === '' ? message : said;
}
