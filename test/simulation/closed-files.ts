/**
 * What a database that was closed without a failure has on its simulated disk: one manifest and the CURRENT that names it,
 * the tables that it names, the logs whose ends it has, and few logs besides. Anything else was leaked: by a flush, a
 * compaction, a recovery, or by the open before, which removes what a crash has left.
 */
import { garbageFiles, inspectDirectory, type DirectoryContents } from '../../src/main/directory-contents.ts';
import { readManifest } from '../../src/main/recovery.ts';
import { verifyDatabase } from '../../src/main/verify.ts';
import { CURRENT_TEMPORARY_NAME } from '../../src/format/file-names.ts';
import type { DatabaseStats } from '../../src/index.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import { fileSystemOver, SIMULATED_DIRECTORY } from '../support/simulated-environment.ts';

/** The log that comes next, one with more room that a large batch asked for, and two that are to be used again. */
const SPARE_LOGS_MAX = 4;
/** Nothing was written: the log that comes next, and two that are to be used again. */
const SPARE_LOGS_UNWRITTEN = 3;
/** And no log that a crash has left is used again. */
const SPARE_LOGS_AFTER_CRASH = 1;

export interface ClosedFiles {
  /** Right before it was closed; undefined where compactions may have changed the tables since. */
  readonly stats?: Pick<DatabaseStats, 'levels' | 'memtables'>;
  readonly spareLogsMax?: number;
  /** Right before it was closed. */
  readonly log?: DatabaseStats['log'];
}

/** Spare logs that an open of this disk may have, if nothing is written. Throws what the open would. */
export function spareLogsOfOpen(disk: SimulatedDisk): number {
  const contents = contentsOf(disk);
  if (!contents.database) return SPARE_LOGS_AFTER_CRASH;
  return stateOf(disk, contents).cleanClose ? SPARE_LOGS_UNWRITTEN : SPARE_LOGS_AFTER_CRASH;
}

/** Throws unless a database that was closed has left what it needs and nothing more. */
export function expectNoLeftovers(
  disk: SimulatedDisk,
  { stats, log, spareLogsMax = SPARE_LOGS_MAX }: ClosedFiles = {},
): void {
  const contents = contentsOf(disk);
  const { manifestNumber, cleanClose, logNumber, logEnds, tables: named } = stateOf(disk, contents);
  if (!cleanClose) throw new Error('it was closed, and its manifest does not say so');
  const needed = [...logEnds.keys()].filter((number) => number >= logNumber).map((number) => ({ number }));
  const unnamed = garbageFiles(contents, manifestNumber, named, needed);
  const spareLogs = unnamed.filter(({ kind }) => kind === 'log').map(({ name }) => name);
  const leftOver = unnamed.filter(({ kind }) => kind !== 'log').map(({ name }) => name);
  if (disk.names.has(CURRENT_TEMPORARY_NAME)) leftOver.push(CURRENT_TEMPORARY_NAME);
  if (leftOver.length > 0) throw new Error(`files are left over: ${leftOver.join(', ')}`);
  if (spareLogs.length > spareLogsMax) {
    const others = `${needed.length} are needed and ${spareLogsMax} may be spare`;
    throw new Error(`logs are left over: ${others}, there are besides ${spareLogs.join(', ')}`);
  }
  // A log that was let go of without being removed, or kept to be used again, is in none of these.
  const known = log === undefined ? Infinity : log.live + 1 + log.prepared + log.recyclable;
  const logs = contents.files.filter(({ kind }) => kind === 'log').length;
  if (logs > known) throw new Error(`${logs} logs are there, ${known} are known`);
  if (stats === undefined) return;
  const tables = stats.levels.reduce((sum, level) => sum + level.tables, 0);
  // What was frozen may have been flushed while it was closed.
  if (named.length < tables || named.length > tables + stats.memtables.frozen)
    throw new Error(`the manifest names ${named.length} tables, ${tables} were in the levels`);
}

/**
 * Throws unless verification, which reads every byte and knows all checksums, has nothing to say of a database that was
 * closed at that moment. In turns of the event loop.
 */
export async function expectSound(name: string, disk: SimulatedDisk, moment: number): Promise<void> {
  const environment = {
    fileSystem: fileSystemOver(disk),
    now: () => performance.now(),
    delay: () => Promise.resolve(),
  };
  const { findings, lastSequence } = await verifyDatabase(environment, SIMULATED_DIRECTORY);
  const [first] = findings;
  if (first !== undefined)
    throw new Error(`${name}: not sound: ${first.code}, ${first.file} at ${first.offset}: ${first.message}`);
  if (lastSequence !== moment)
    throw new Error(`${name}: verification finds the end at ${lastSequence}, it is at ${moment}`);
}

/** Throws where there is a name that is none of ours. */
function contentsOf(disk: SimulatedDisk): DirectoryContents {
  return inspectDirectory(fileSystemOver(disk), SIMULATED_DIRECTORY);
}

function stateOf(disk: SimulatedDisk, contents: DirectoryContents): ReturnType<typeof readManifest> {
  return readManifest(fileSystemOver(disk), SIMULATED_DIRECTORY, contents);
}
