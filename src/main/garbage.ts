/**
 * Files that nobody needs any more go when a database is opened. Owner only; through the `FileSystem` seam.
 */
import { join } from 'node:path';
import { garbageFiles } from './directory-contents.ts';
import type { EngineGround } from './engine-ground.ts';
import type { FileSystem } from './file-system.ts';
import { translated } from './io-errors.ts';
import type { LogFiles } from './log-files.ts';
import { isReusableLog, type RecoveredLog } from './recovery.ts';

/** Files that no version names go, but for logs that may be used again. */
export function removeGarbage(
  { directory, environment, contents, state, unfinishedTables }: EngineGround,
  logs: LogFiles,
  manifestNumber: number,
  needed: readonly RecoveredLog[],
): void {
  const { fileSystem } = environment;
  const removed: string[] = [];
  for (const { name, kind, number } of garbageFiles(contents, manifestNumber, state.tables, needed)) {
    const status = kind === 'log' ? fileSystem.status(join(directory, name)) : undefined;
    if (status !== undefined && isReusableLog(status, state)) logs.addObsolete(number, status.bytes);
    else if (!unfinishedTables.includes(name)) removed.push(name);
  }
  removeFiles(fileSystem, directory, removed);
}

/** Throws IO_ERROR or READ_ONLY. */
export function removeFiles(fileSystem: FileSystem, directory: string, names: readonly string[]): void {
  for (const name of names) translated(directory, () => fileSystem.remove(join(directory, name)));
}
