/**
 * Files that nobody needs any more go when a database is opened. Owner only; through the `FileSystem` seam.
 */
import { join } from 'node:path';
import { garbageFiles } from './directory-contents.ts';
import type { EngineGround } from './engine.ts';
import type { FileSystem } from './file-system.ts';
import { translated } from './io-errors.ts';
import type { LogFiles } from './log-files.ts';
import type { RecoveredLog } from './recovery.ts';

/**
 * Files that no version names go. Logs among them are used again after a clean close only: a write that was under way
 * when a process was killed may reach the disk after its lock is gone, and must not meet a file that is in use.
 */
export function removeGarbage(
  { directory, environment, contents, state, unfinishedTables }: EngineGround,
  logs: LogFiles,
  manifestNumber: number,
  needed: readonly RecoveredLog[],
): void {
  const { fileSystem } = environment;
  const removed: string[] = [];
  for (const { name, kind, number } of garbageFiles(contents, manifestNumber, state.tables, needed)) {
    const isReusable = kind === 'log' && state.cleanClose;
    if (isReusable) logs.addObsolete(number, fileSystem.status(join(directory, name))?.bytes ?? 0);
    else if (!unfinishedTables.includes(name)) removed.push(name);
  }
  removeFiles(fileSystem, directory, removed);
}

/** Throws IO_ERROR or READ_ONLY. */
export function removeFiles(fileSystem: FileSystem, directory: string, names: readonly string[]): void {
  for (const name of names) translated(directory, () => fileSystem.remove(join(directory, name)));
}
