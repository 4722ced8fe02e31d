/**
 * What "cold" needs: the page cache dropped, a folder that goes away. Benchmarks only.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DROP_CACHES = '/proc/sys/vm/drop_caches';
/** To drop_caches: the page cache, and not the inodes and names as well. */
const PAGE_CACHE = '1';

/** Writes out what is dirty; only clean pages can be dropped. */
export function syncDisks(): void {
  const { status } = spawnSync('sync', { stdio: 'ignore' });
  if (status !== 0) throw new Error('sync failed: dirty pages would stay in the page cache');
}

/** Drops the page cache, of what no process has mapped; null, or why that is not permitted. */
export function dropPageCache(): string | null {
  try {
    writeFileSync(DROP_CACHES, PAGE_CACHE);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A new folder for a benchmark's files; it is removed when the process ends, by a signal too. */
export function temporaryFolder(prefix: string): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  return folder;
}

/**
 * Collects garbage where node allows it (--expose-gc), so that no arm pays for what the one before it left. Without
 * --no-flush-bytecode that would also throw away compiled code, and each row would begin in the interpreter.
 */
export function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}
