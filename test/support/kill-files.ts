/**
 * What a directory may hold besides what its manifest names: logs that are prepared or to be used again, and while it is
 * open files that are kept to be written over. At any moment at which no flush and no compaction is under way. Throws
 * OracleFailure.
 */
import type { Database } from '../../src/index.ts';
import { garbageFiles, inspectDirectory } from '../../src/main/directory-contents.ts';
import { nodeFileSystem } from '../../src/main/file-system.ts';
import { readManifest } from '../../src/main/recovery.ts';
import { CURRENT_TEMPORARY_NAME } from '../../src/format/file-names.ts';
import { OracleFailure } from './kill-oracle.ts';

/** Log files an open, idle database may have beside the live ones: active, prepared, and two to be used again. */
const SPARE_LOGS_MAX = 4;

const WAIT_MS_MAX = 10_000;

/** REQUIRES: nothing compacts. Waits for flushes and removals that are under way. */
export async function checkFilesOfOpen(directory: string, database: Database): Promise<void> {
  const begun = performance.now();
  for (;;) {
    const { memtables, tableFiles } = database.stats();
    if (tableFiles.failed > 0) throw new OracleFailure(`tables were not removed: ${tableFiles.lastFailure}`);
    if (memtables.frozen === 0 && tableFiles.removing === 0) break;
    if (performance.now() - begun > WAIT_MS_MAX) {
      throw new OracleFailure(`still under way: ${JSON.stringify({ memtables, tableFiles })}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { levels, log, tableFiles } = database.stats();
  const named = checkFiles(directory, log.live, tableFiles.spare);
  const open = levels.reduce((sum, { tables }) => sum + tables, 0);
  if (named !== open)
    throw new OracleFailure(`the manifest names ${named} tables, ${open} are in the levels`);
}

/** Gives the number of tables that the manifest names. REQUIRES: nothing changes the directory. */
export function checkFiles(directory: string, liveLogs: number, spareTables = 0): number {
  const contents = inspectDirectory(nodeFileSystem, directory);
  const { manifestNumber, tables } = readManifest(nodeFileSystem, directory, contents);
  const garbage = garbageFiles(contents, manifestNumber, tables, []);
  const logs = garbage.filter(({ kind }) => kind === 'log');
  const spare = garbage.filter(({ kind }) => kind === 'table');
  const other = garbage.filter(({ kind }) => kind !== 'log' && kind !== 'table').map(({ name }) => name);
  if (spare.length !== spareTables) other.push(...spare.map(({ name }) => name));
  if (contents.files.some(({ name }) => name === CURRENT_TEMPORARY_NAME)) other.push(CURRENT_TEMPORARY_NAME);
  if (other.length > 0) throw new OracleFailure(`no version names ${other.join(', ')}`);
  const present = contents.files.filter(({ kind }) => kind === 'table').length;
  if (present !== tables.length + spareTables) {
    throw new OracleFailure(`the manifest names ${tables.length} tables, ${present} are there`);
  }
  if (logs.length > liveLogs + SPARE_LOGS_MAX) {
    const names = logs.map(({ name }) => name).join(', ');
    throw new OracleFailure(`${liveLogs} logs are live, but there are ${names}`);
  }
  return tables.length;
}
