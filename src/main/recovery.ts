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
import { QuadringError } from '../errors.ts';
import { decodeCurrent } from '../format/current.ts';
import { CURRENT_NAME, logName, manifestName, tableName } from '../format/file-names.ts';
import { FOOTER_BYTES, readFooter } from '../format/footer.ts';
import { FormatError } from '../format/format-error.ts';
import { LEVEL_COUNT, LEVEL_MAX, PAGE_BYTES } from '../format/limits.ts';
import { LogRecordReader } from '../format/log-record.ts';
import { decodeTableMeta } from '../format/table-meta.ts';
import { decodeVersionEdit, type TableDescription, type VersionEdit } from '../format/version-edit.ts';
import { highestNumber, type DirectoryContents } from './directory-contents.ts';
import type { FileSystem } from './file-system.ts';
import { decodeOr, readFrames, type FrameGroup } from './frame-groups.ts';
import { compareKeys } from './range.ts';
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
    decodeCurrent(fileSystem.readFile(currentFile)),
  );
  const file = join(directory, manifestName(number));
  if (!contents.files.some(({ kind, number: other }) => kind === 'manifest' && other === number)) {
    throw new QuadringError('CURRENT_CORRUPT', `CURRENT names ${manifestName(number)}, which is missing`, {
      file: currentFile,
    });
  }
  const state = replayEdits(fileSystem.readFile(file), number, file);
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

function replayEdits(bytes: Uint8Array, number: number, file: string): ManifestState {
  const state = {
    manifestNumber: number,
    databaseSalt: 0,
    logNumber: 0,
    nextFileNumber: 0,
    lastSequence: 0,
    flushedSequence: 0,
    cleanClose: false,
  };
  const tables = new Map<number, TableDescription>();
  const compactionPointers = new Map<number, Uint8Array>();
  const logEnds = new Map<number, number>();
  let snapshotEdits = 1;
  const { groups, end } = readFrames(bytes, { salt: 0, fileNumber: number, file, code: 'MANIFEST_CORRUPT' });
  if (groups.length === 0) {
    throw new QuadringError('MANIFEST_CORRUPT', `${manifestName(number)} has no valid edit`, {
      file,
      offset: end,
    });
  }
  for (const group of groups) {
    const { payload } = group;
    const edit = decodeOr(
      'MANIFEST_CORRUPT',
      file,
      () => decodeVersionEdit(payload, 0, payload.length),
      group.offset,
    );
    applyEdit(state, tables, edit, file, group.offset);
    for (const log of edit.logEnds) logEnds.set(log.number, log.end);
    for (const { level, key } of edit.compactionPointers) compactionPointers.set(level, key);
    snapshotEdits = Math.max(snapshotEdits, edit.snapshotEdits ?? 0);
  }
  // The edits that a manifest began with were durable before CURRENT named it: if one is missing, it was damaged.
  if (groups.length < snapshotEdits) {
    const message = `${manifestName(number)} has ${groups.length} valid edits, it began with ${snapshotEdits}`;
    throw new QuadringError('MANIFEST_CORRUPT', message, { file, offset: end });
  }
  checkLevels([...tables.values()], file);
  return { ...state, tables: [...tables.values()], compactionPointers, logEnds };
}

function applyEdit(
  state: { -readonly [K in keyof ManifestState]?: ManifestState[K] },
  tables: Map<number, TableDescription>,
  edit: VersionEdit,
  file: string,
  offset: number,
): void {
  const { databaseSalt, logNumber, nextFileNumber, lastSequence, flushedSequence } = edit;
  if (databaseSalt !== undefined) state.databaseSalt = databaseSalt;
  if (logNumber !== undefined) state.logNumber = logNumber;
  if (nextFileNumber !== undefined)
    state.nextFileNumber = Math.max(nextFileNumber, state.nextFileNumber ?? 0);
  if (lastSequence !== undefined) state.lastSequence = lastSequence;
  if (flushedSequence !== undefined) state.flushedSequence = flushedSequence;
  for (const { number } of edit.deleted) {
    if (tables.delete(number)) continue;
    throw new QuadringError('MANIFEST_CORRUPT', `an edit deletes table ${number}, which is not there`, {
      file,
      offset,
    });
  }
  for (const table of edit.added) {
    if (tables.has(table.number)) {
      throw new QuadringError('MANIFEST_CORRUPT', `an edit adds table ${table.number} again`, {
        file,
        offset,
      });
    }
    tables.set(table.number, table);
  }
  state.cleanClose = edit.cleanClose === true;
}

/** Below level 0 tables do not overlap. Throws MANIFEST_CORRUPT. */
function checkLevels(tables: readonly TableDescription[], file: string): void {
  for (let level = 1; level <= LEVEL_MAX; level++) {
    const sorted = tables
      .filter((table) => table.level === level)
      .sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
    if (sorted.length > 0 && level >= LEVEL_COUNT)
      throw new QuadringError('MANIFEST_CORRUPT', `there is no level ${level}`, { file });
    for (let i = 1; i < sorted.length; i++) {
      if (isBehindTable(sorted[i].smallestKey, sorted[i - 1])) continue;
      const message = `tables ${sorted[i - 1].number} and ${sorted[i].number} of level ${level} overlap`;
      throw new QuadringError('MANIFEST_CORRUPT', message, { file });
    }
  }
}

/** Whether a key is behind all that the table holds. */
function isBehindTable(key: Uint8Array, { largestKey, largestKeyIsExclusive }: TableDescription): boolean {
  if (!largestKeyIsExclusive) return compareKeys(key, largestKey) > 0;
  return largestKey.length > 0 && compareKeys(key, largestKey) >= 0;
}

/** What one log holds. */
export interface RecoveredLog {
  readonly number: number;
  /** Length of the file. */
  readonly bytes: number;
  /** Where its last valid frame ends. */
  readonly end: number;
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
    const bytes = fileSystem.readFile(file, recordedEnd);
    const frames = readFrames(bytes, {
      salt: state.databaseSalt,
      fileNumber: number,
      file,
      code: 'LOG_CORRUPT',
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
    const length = fileSystem.status(file)?.bytes ?? bytes.length;
    logs.push({ number, bytes: length, end: frames.end, groups: frames.groups });
  }
  const last = Math.max(lastSequence ?? 0, state.flushedSequence);
  if (last < state.lastSequence) {
    const message = `the logs end at sequence number ${last}, ${state.lastSequence} had been recorded`;
    throw new QuadringError('LOG_CORRUPT', message, { path: directory });
  }
  return { logs, lastSequence: last, tornFrames, tornBytes };
}

/**
 * A table that no version names is what a crash left of a flush: the logs still hold all of it. If they do not, then the
 * manifest lost the edit that named the table, and it is the only copy. Throws MANIFEST_CORRUPT.
 *
 * Unless the flush was that of a recovery: what can be read of a log that nobody closed need not be durable, is written
 * into tables all the same, and may be gone from the log after a power cut in the middle of that. Such a recovery has
 * written its manifest, and no log older than that has gone. Returns the names of these tables.
 */
export function checkUnnamedTables(
  fileSystem: FileSystem,
  directory: string,
  contents: DirectoryContents,
  state: ManifestState,
  lastSequence: number,
): string[] {
  const named = new Set(state.tables.map(({ number }) => number));
  const isUnfinished = contents.files.some(
    ({ kind, number }) => kind === 'log' && number >= state.logNumber && number < state.manifestNumber,
  );
  const unfinished: string[] = [];
  for (const { kind, number, name } of contents.files) {
    if (kind !== 'table' || named.has(number)) continue;
    const largest = largestSequenceOf(fileSystem.readFile(join(directory, name)), number);
    if (largest === undefined || largest <= lastSequence) continue;
    if (isUnfinished && number > state.manifestNumber) {
      unfinished.push(name);
      continue;
    }
    const message = `${name} holds sequence numbers up to ${largest}, which neither the manifest nor the logs know of`;
    const file = join(directory, manifestName(state.manifestNumber));
    throw new QuadringError('MANIFEST_CORRUPT', message, { file });
  }
  return unfinished;
}

/** Undefined if the bytes are no whole table. */
function largestSequenceOf(bytes: Uint8Array, number: number): number | undefined {
  try {
    const footerAt = bytes.length - FOOTER_BYTES;
    const metaOffset = readFooter(bytes, footerAt, number, footerAt).metaPage * PAGE_BYTES;
    return decodeTableMeta(bytes.subarray(metaOffset), number, metaOffset, bytes.length).properties
      .largestSequence;
  } catch (error) {
    const isDamaged = error instanceof QuadringError && error.code === 'TABLE_CORRUPT';
    if (isDamaged || error instanceof FormatError) return undefined;
    throw error;
  }
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
