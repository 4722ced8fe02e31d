/** Waiting for what a database does by itself, and what its directory and its levels then hold. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database } from '../../src/index.ts';
import { namesEnding } from './directories.ts';

/** What has not happened by now will not. */
const WAIT_MS_MAX = 20_000;
/** Looks in a row, one for each turn of the event loop; then there is a millisecond between two. */
const TURNS = 50;

/** Resolves when it has happened; the event loop goes on meanwhile. */
export async function eventually(hasHappened: () => boolean): Promise<void> {
  const begun = performance.now();
  for (let turn = 0; !hasHappened(); turn++) {
    if (performance.now() - begun > WAIT_MS_MAX) {
      throw new Error(`it has not happened: ${hasHappened.toString()}`);
    }
    await new Promise((resolve) => {
      if (turn < TURNS) setImmediate(resolve);
      else setTimeout(resolve, 1);
    });
  }
}

/** Resolves when nothing is flushed, compacted or removed, and nothing is kept to be removed. */
export function atRest(database: Database): Promise<void> {
  return eventually(() => {
    const { memtables, compactions, tableFiles, writes } = database.stats();
    const isBusy = memtables.frozen > 0 || compactions.running !== null || writes.waiting > 0;
    return !isBusy && tableFiles.removing === 0 && tableFiles.spare === 0;
  });
}

/** Expects that the directory has the tables of the version and no others, when the database has come to rest. */
export async function expectOnlyTables(
  t: ExecutionContext,
  database: Database,
  directory: string,
): Promise<void> {
  await atRest(database);
  const { levels, tableFiles } = database.stats();
  const files = namesEnding(directory, '.sst');
  const found = {
    tables: files.length,
    bytes: files.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0),
    temporary: namesEnding(directory, '.tmp'),
    notRemoved: tableFiles.failed,
  };
  t.deepEqual(found, {
    tables: levels.reduce((sum, { tables }) => sum + tables, 0),
    bytes: levels.reduce((sum, { bytes }) => sum + bytes, 0),
    temporary: [],
    notRemoved: 0,
  });
}

/** Tables of each level that has any, as "0:3 6:12". */
export function shapeOf(database: Database): string {
  const { levels } = database.stats();
  return levels.map(({ level, tables }) => `${level}:${tables}`).join(' ');
}

/** Entries of all tables, older versions and deletions among them. */
export function entriesOf(database: Database): number {
  return database.stats().levels.reduce((sum, { entries }) => sum + entries, 0);
}
