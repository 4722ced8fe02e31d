/** Takes the lock of a directory, which somebody else may hold. Owner only. */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { LOCK_NAME } from '../format/file-names.ts';
import type { Environment } from './environment.ts';
import type { DirectoryLock, LockUse } from './file-system.ts';
import { translated } from './io-errors.ts';

/** Time between two tries to take a lock that somebody holds. */
const LOCK_RETRY_MS = 20;

/**
 * A lock may outlive the process that held it for a moment, so it is tried for a bounded time. Rejects with LOCKED, READ_ONLY
 * or IO_ERROR.
 */
export async function takeLock(
  directory: string,
  timeoutMs: number,
  environment: Pick<Environment, 'fileSystem' | 'now' | 'delay'>,
  use: LockUse = 'open',
): Promise<DirectoryLock> {
  const path = join(directory, LOCK_NAME);
  const deadline = environment.now() + timeoutMs;
  for (;;) {
    const lock = translated(directory, () => environment.fileSystem.lock(path, use));
    if (typeof lock !== 'number') return lock;
    if (environment.now() >= deadline) {
      const holder =
        lock === process.pid
          ? `this process (pid ${lock})`
          : lock === 0
            ? 'another process'
            : `process ${lock}`;
      throw new QuadringError('LOCKED', `${directory} is held open by ${holder}`, {
        path: directory,
        pid: lock,
      });
    }
    await environment.delay(LOCK_RETRY_MS);
  }
}
