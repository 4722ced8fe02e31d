/** Directories of tests: temporary ones that go away, what they hold, and databases in them that are closed. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import type { Backend } from './backends.ts';
import { ioOf } from './io-setting.ts';

/** An empty directory that is removed when the test ends, however it ends. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'quadring-engine-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Opens a database that is closed when the test ends, if the test has not done so. */
export async function openDatabase(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  options: DatabaseOptions = {},
): Promise<Database> {
  const database = await Database.open(directory, { ...options, io: ioOf(backend, options.io) });
  t.teardown(() => database.close());
  return database;
}

/** Name, length and content of every file but LOCK, which says who is there and not what is. */
export function contentsOf(directory: string): Record<string, string> {
  const contents: Record<string, string> = {};
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    if (name === 'LOCK' || !statSync(path).isFile()) continue;
    const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
    contents[name] = `${statSync(path).size} bytes ${hash.slice(0, 16)}`;
  }
  return contents;
}

/**
 * What a crash at this moment would leave. REQUIRES: no write is in flight. Waits for flushes; what may still be under way
 * then only prepares or removes logs that hold nothing, so that a file more or less makes no difference.
 */
export async function crashImage(
  t: ExecutionContext,
  database: Database,
  directory: string,
): Promise<string> {
  while (database.stats().memtables.frozen > 0) await new Promise((resolve) => setImmediate(resolve));
  const image = temporaryDirectory(t);
  for (const name of readdirSync(directory)) {
    try {
      copyFileSync(join(directory, name), join(image, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return image;
}

/** Names in the directory that end so, in order. */
export function namesEnding(directory: string, ending: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .sort();
}
