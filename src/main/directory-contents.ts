/**
 * What a directory holds, by its names alone: whether it is a database's, and which of its files nobody needs. Owner
 * only; reads through the `FileSystem` seam and changes nothing.
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import {
  CURRENT_NAME,
  CURRENT_TEMPORARY_NAME,
  LOCK_NAME,
  parseFileName,
  parseLostDirectoryName,
  type ParsedFileName,
} from '../format/file-names.ts';
import { FILE_NUMBER_OPEN_MAX } from '../format/limits.ts';
import type { TableDescription } from '../format/version-edit.ts';
import type { FileSystem } from './file-system.ts';

export interface DirectoryContents {
  /** Whether the directory is there. */
  readonly present: boolean;
  /** Whether it holds a database. */
  readonly database: boolean;
  readonly files: readonly DirectoryFile[];
  /** Numbers of the directories in which repairs have put what they replaced. */
  readonly lost: readonly number[];
}

export interface DirectoryFile extends ParsedFileName {
  readonly name: string;
}

/** Looks before anything is touched. Throws NOT_A_DATABASE, PARENT_MISSING, CURRENT_CORRUPT or READ_ONLY. */
export function inspectDirectory(fileSystem: FileSystem, directory: string): DirectoryContents {
  const contents = listDirectory(fileSystem, directory);
  const orphan = contents.files.find(({ kind }) => kind === 'table' || kind === 'log');
  if (!contents.database && orphan !== undefined) {
    // A crash while a database is created leaves a manifest at most.
    const message = `${directory} holds ${orphan.name} but no CURRENT`;
    throw new QuadringError('CURRENT_CORRUPT', message, { file: join(directory, CURRENT_NAME) });
  }
  return contents;
}

/** The same where CURRENT may be what is missing. Throws NOT_A_DATABASE, PARENT_MISSING or READ_ONLY. */
export function listDirectory(fileSystem: FileSystem, directory: string): DirectoryContents {
  const isDirectory = fileSystem.isDirectory(directory);
  if (isDirectory === undefined) {
    const parent = join(directory, '..');
    if (fileSystem.isDirectory(parent) !== true) {
      throw new QuadringError('PARENT_MISSING', `${parent} is not a directory`, { path: directory });
    }
    return { present: false, database: false, files: [], lost: [] };
  }
  if (!isDirectory) {
    throw new QuadringError('NOT_A_DATABASE', `${directory} is not a directory`, { path: directory });
  }
  const files = [];
  const lost = [];
  for (const name of fileSystem.list(directory)) {
    const parsed = parseFileName(name);
    const status = fileSystem.status(join(directory, name));
    // Whoever holds the directory may have renamed or removed it since; the lock will say so.
    if (parsed !== undefined && status === undefined) continue;
    const lostNumber = parseLostDirectoryName(name);
    const number = parsed?.number ?? lostNumber ?? 0;
    if (number > FILE_NUMBER_OPEN_MAX) {
      const message = `${directory} holds ${name}: no database comes to that number`;
      throw new QuadringError('NOT_A_DATABASE', message, { path: directory, file: join(directory, name) });
    }
    if (lostNumber !== undefined && status?.kind === 'directory') {
      lost.push(lostNumber);
      continue;
    }
    if (parsed === undefined || status?.kind !== 'file') {
      const message = `${directory} holds ${name}, which is not a file of a database`;
      throw new QuadringError('NOT_A_DATABASE', message, { path: directory });
    }
    if (parsed.kind === 'lock' && status.isShared) {
      const message = `${directory}: LOCK has another name elsewhere (a hard link), whose content opening would change`;
      throw new QuadringError('NOT_A_DATABASE', message, { path: directory, file: join(directory, name) });
    }
    files.push({ ...parsed, name });
  }
  const database = files.some(({ kind }) => kind === 'current');
  return { present: true, database, files, lost };
}

/** The highest number that a file of the directory has; it is not given again. */
export function highestNumber({ files }: DirectoryContents): number {
  return files.reduce((highest, { number }) => Math.max(highest, number), 0);
}

/**
 * Files that no version names: garbage, at any instant of a crash. The lock, CURRENT and the manifest in force stay, and
 * so does what a crash left of a new CURRENT: installing one removes it.
 */
export function garbageFiles(
  contents: DirectoryContents,
  manifestNumber: number,
  tables: readonly TableDescription[],
  logs: readonly { readonly number: number }[],
): DirectoryContents['files'] {
  const tableNumbers = new Set(tables.map(({ number }) => number));
  const logNumbers = new Set(logs.map(({ number }) => number));
  return contents.files.filter(({ kind, number, name }) => {
    if (name === LOCK_NAME || name === CURRENT_NAME || name === CURRENT_TEMPORARY_NAME) return false;
    if (kind === 'manifest') return number !== manifestNumber;
    if (kind === 'table') return !tableNumbers.has(number);
    if (kind === 'log') return !logNumbers.has(number);
    return true;
  });
}
