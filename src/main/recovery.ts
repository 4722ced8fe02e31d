/**
 * What a database's files say, read without changing anything: the manifest's state and the logs' frames. Owner only;
 * all of it through the `FileSystem` seam.
 *
 *     CURRENT ─► manifest ─► tables (exist, right length) ─► logs, oldest first ─► frames, in order
 *
 * Within a file frame-groups.ts tells a torn tail from corruption. Beyond that, sequence numbers must go on from one
 * frame, and one log, to the next, and files must be there as far as the manifest knows of them.
 */
import { join } from 'node:path';
import { must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { CURRENT_BYTES_MAX, decodeCurrent } from '../format/current.ts';
import { CURRENT_NAME, logName, manifestName, tableName } from '../format/file-names.ts';
import { LOG_BYTES_MAX, MANIFEST_BYTES_MAX } from '../format/limits.ts';
import { LogRecordReader } from '../format/log-record.ts';
import { decodeVersionEdit, type TableDescription } from '../format/version-edit.ts';
import { highestNumber, type DirectoryContents } from './directory-contents.ts';
import type { FileStatus, FileSystem } from './file-system.ts';
import { decodeOr, readFrames, type FrameGroup } from './frame-groups.ts';
import { FrameWindow } from './frame-window.ts';
import { checkAddedTable, checkManifestState } from './manifest-checks.ts';
import { ManifestReplay } from './manifest-replay.ts';
import { readUnnamedMeta } from './table-tails.ts';
import type { ManifestState } from './version-set.ts';

/** The state of a database that is to be created. */
export function freshState(databaseSalt: number, contents: DirectoryContents): ManifestState {
  return {
    manifestNumber: 0,
    databaseSalt,
    logNumber: 0,
    nextFileNumber: highestNumber(contents) + 1,
    lastSequence: 0,
    flushedSequence: 0,
    tables: [],
    deletedTables: new Set(),
    compactionPointers: new Map(),
    logEnds: new Map(),
    cleanClose: true,
  };
}

/** Replays the manifest that CURRENT names. Throws CURRENT_CORRUPT, MANIFEST_CORRUPT, TABLE_CORRUPT, UNKNOWN_FORMAT. */
export function readManifest(
  fileSystem: FileSystem,
  directory: string,
  contents: DirectoryContents,
): ManifestState {
  const currentFile = join(directory, CURRENT_NAME);
  const number = decodeOr('CURRENT_CORRUPT', currentFile, () =>
    decodeCurrent(fileSystem.read(currentFile, 0, CURRENT_BYTES_MAX + 1)),
  );
  const file = join(directory, manifestName(number));
  if (!contents.files.some(({ kind, number: other }) => kind === 'manifest' && other === number)) {
    throw new QuadringError('CURRENT_CORRUPT', `CURRENT names ${manifestName(number)}, which is missing`, {
      file: currentFile,
    });
  }
  const bytes = fileSystem.status(file)?.bytes ?? 0;
  if (bytes > MANIFEST_BYTES_MAX) {
    const message = `${manifestName(number)} has ${bytes} bytes, more than any manifest`;
    throw new QuadringError('MANIFEST_CORRUPT', message, { file, offset: MANIFEST_BYTES_MAX });
  }
  const state = replayEdits(new FrameWindow(fileSystem, file, bytes), number, file);
  for (const table of state.tables) checkTableFile(fileSystem, directory, table);
  // A file may have been made after the last edit; its number is not given again.
  return { ...state, nextFileNumber: Math.max(state.nextFileNumber, highestNumber(contents) + 1) };
}

function checkTableFile(fileSystem: FileSystem, directory: string, table: TableDescription): void {
  const file = join(directory, tableName(table.number));
  const bytes = fileSystem.status(file)?.bytes;
  if (bytes === table.fileBytes) return;
  const message =
    bytes === undefined
      ? `${tableName(table.number)} is missing`
      : `${tableName(table.number)} has ${bytes} bytes, ${table.fileBytes} were expected`;
  throw new QuadringError('TABLE_CORRUPT', message, { file, offset: Math.min(bytes ?? 0, table.fileBytes) });
}

function replayEdits(window: FrameWindow, number: number, file: string): ManifestState {
  const replay = new ManifestReplay(number, file);
  const place = { salt: 0, fileNumber: number, file, code: 'MANIFEST_CORRUPT', isRecycled: false } as const;
  const { groups, end } = readFrames(window, place);
  if (groups.length === 0) {
    throw new QuadringError('MANIFEST_CORRUPT', `${manifestName(number)} has no valid edit`, {
      file,
      offset: end,
    });
  }
  for (const { payload, offset } of groups) {
    const edit = decodeOr(
      'MANIFEST_CORRUPT',
      file,
      () => decodeVersionEdit(payload, 0, payload.length),
      offset,
    );
    for (const table of edit.added) checkAddedTable(table, file, offset);
    replay.apply(edit, offset);
  }
  // The edits that a manifest began with were durable before CURRENT named it: if one is missing, it was damaged.
  if (groups.length < replay.snapshotEdits) {
    const message = `${manifestName(number)} has ${groups.length} valid edits, it began with ${replay.snapshotEdits}`;
    throw new QuadringError('MANIFEST_CORRUPT', message, { file, offset: end });
  }
  const { state } = replay;
  checkManifestState(state, file);
  return state;
}

/** What one log holds. */
export interface RecoveredLog {
  readonly number: number;
  /** Length of the file. */
  readonly bytes: number;
  /** Where its last valid frame ends. */
  readonly end: number;
  /** Its file is nobody else's, and takes all the space that it needs: it may be another log when it is obsolete. */
  readonly isReusable: boolean;
  readonly groups: readonly FrameGroup[];
}

export interface RecoveredLogs {
  /** Logs that are still needed, oldest first. */
  readonly logs: readonly RecoveredLog[];
  readonly lastSequence: number;
  /** Frames, or runs of frames of one batch, that a crash had cut short. */
  readonly tornFrames: number;
  readonly tornBytes: number;
}

/** Reads every log that is still needed. Throws LOG_CORRUPT or UNKNOWN_FORMAT. */
export function readLogs(
  fileSystem: FileSystem,
  directory: string,
  contents: DirectoryContents,
  state: ManifestState,
): RecoveredLogs {
  const numbers = contents.files
    .filter(({ kind, number }) => kind === 'log' && number >= state.logNumber)
    .map(({ number }) => number)
    .sort((a, b) => a - b);
  checkRecordedLogs(directory, numbers, state);
  const logs: RecoveredLog[] = [];
  let lastSequence: number | undefined;
  let tornFrames = 0;
  let tornBytes = 0;
  for (const number of numbers) {
    const file = join(directory, logName(number));
    // After a clean close a log without a recorded end was never written to.
    const recordedEnd = state.logEnds.get(number) ?? (state.cleanClose ? 0 : undefined);
    const status = must(fileSystem.status(file), 'nobody removes files of a directory that is locked');
    const length = Math.min(status.bytes, recordedEnd ?? Infinity);
    if (length > LOG_BYTES_MAX) {
      const message = `${logName(number)} has ${length} bytes, more than any log`;
      throw new QuadringError('LOG_CORRUPT', message, { file, offset: LOG_BYTES_MAX });
    }
    const frames = readFrames(new FrameWindow(fileSystem, file, length), {
      salt: state.databaseSalt,
      fileNumber: number,
      file,
      code: 'LOG_CORRUPT',
      isRecycled: true,
      ...(recordedEnd === undefined ? {} : { recordedEnd }),
    });
    for (const group of frames.groups) {
      lastSequence = checkSequence(group, lastSequence, state.flushedSequence, file);
      checkRecords(group, file);
    }
    if (frames.tornBytes > 0) {
      tornFrames++;
      tornBytes += frames.tornBytes;
    }
    const isReusable = isReusableLog(status, state);
    logs.push({ number, bytes: status.bytes, end: frames.end, groups: frames.groups, isReusable });
  }
  const last = Math.max(lastSequence ?? 0, state.flushedSequence);
  if (last < state.lastSequence) {
    const message = `the logs end at sequence number ${last}, ${state.lastSequence} had been recorded`;
    throw new QuadringError('LOG_CORRUPT', message, { path: directory });
  }
  return { logs, lastSequence: last, tornFrames, tornBytes };
}

/**
 * Whether a log that nobody needs may be written over. After a kill a write that was under way may reach the disk when its
 * lock is gone, and must not meet a file that is in use.
 */
export function isReusableLog({ isShared, hasHoles }: FileStatus, { cleanClose }: ManifestState): boolean {
  return cleanClose && !isShared && !hasHoles;
}

/**
 * A table that no version names is what a crash left of a flush or a compaction: the logs and the other tables still hold
 * all of it. If they do not, then the manifest lost the edit that named the table, and it is the only copy. Throws
 * MANIFEST_CORRUPT.
 *
 * Unless the flush was that of a recovery: what can be read of a log that nobody closed need not be durable, is written
 * into tables all the same, and may be gone from the log after a power cut in the middle of that. Such a recovery has
 * written its manifest, and no log older than that has gone. Returns the names of these tables, also of those that the logs
 * still account for: after a power cut they may not, and by then another manifest may be in force.
 *
 * Nor are those among them that an edit has deleted: it need not be durable either, and without it they are named. They
 * go when another manifest is in force, with all that nobody names.
 */
export function checkUnnamedTables(
  fileSystem: FileSystem,
  directory: string,
  contents: DirectoryContents,
  state: ManifestState,
  lastSequence: number,
): string[] {
  const named = new Set(state.tables.map(({ number }) => number));
  const unfinished: string[] = [];
  for (const { kind, number, name } of contents.files) {
    if (kind !== 'table' || named.has(number) || state.deletedTables.has(number)) continue;
    if (isOfUnfinishedRecovery(contents, state, number)) {
      unfinished.push(name);
      continue;
    }
    const known = sequenceKnownTo(fileSystem, directory, number);
    if (known === undefined || known <= lastSequence) continue;
    const message = `${name} holds sequence numbers up to ${known}, which neither the manifest nor the logs know of`;
    const file = join(directory, manifestName(state.manifestNumber));
    throw new QuadringError('MANIFEST_CORRUPT', message, { file });
  }
  return unfinished;
}

/** Whether the flush of a recovery that did not come to its end may have made the table. */
export function isOfUnfinishedRecovery(
  { files }: DirectoryContents,
  { logNumber, manifestNumber }: ManifestState,
  tableNumber: number,
): boolean {
  return (
    tableNumber > manifestNumber &&
    files.some(({ kind, number }) => kind === 'log' && number >= logNumber && number < manifestNumber)
  );
}

/**
 * The last sequence number that whoever made an unnamed table knew to be in tables; undefined if it is no whole table. Not
 * the largest in it: compactions give old entries the number 0.
 */
export function sequenceKnownTo(
  fileSystem: FileSystem,
  directory: string,
  number: number,
): number | undefined {
  return readUnnamedMeta(fileSystem, directory, number)?.meta.properties.createdAtSequence;
}

/** A log whose end was recorded is there. */
function checkRecordedLogs(directory: string, numbers: readonly number[], state: ManifestState): void {
  for (const [number, end] of state.logEnds) {
    if (number < state.logNumber || end === 0 || numbers.includes(number)) continue;
    const file = join(directory, logName(number));
    throw new QuadringError('LOG_CORRUPT', `${logName(number)} is missing, ${end} bytes of it are needed`, {
      file,
    });
  }
}

/** Frames continue each other; the first one of all may begin within what tables already hold. Returns its end. */
function checkSequence(
  group: FrameGroup,
  previous: number | undefined,
  flushed: number,
  file: string,
): number {
  const { firstSequence, count, offset } = group;
  const continues = previous === undefined ? firstSequence <= flushed + 1 : firstSequence === previous + 1;
  if (!continues) {
    const message = `sequence number ${firstSequence} follows ${previous ?? flushed}`;
    throw new QuadringError('LOG_CORRUPT', message, { file, offset });
  }
  return firstSequence + count - 1;
}

/** A frame whose checksum holds has as many records as it says, or it is not ours. */
function checkRecords(group: FrameGroup, file: string): void {
  const { payload, offset } = group;
  let count = 0;
  decodeOr(
    'LOG_CORRUPT',
    file,
    () => {
      const reader = new LogRecordReader(payload, 0, payload.length);
      while (reader.next()) count++;
    },
    offset,
  );
  if (count === group.count) return;
  const message = `a frame says it has ${group.count} records, it has ${count}`;
  throw new QuadringError('LOG_CORRUPT', message, { file, offset });
}
