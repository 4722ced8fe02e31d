/**
 * What a directory holds, read without changing anything: the manifest's state and the logs' frames. Owner only; all of
 * it through the `FileSystem` seam.
 *
 *     CURRENT ─► manifest ─► tables (exist, right length) ─► logs, oldest first ─► frames, in order
 *
 * A frame is only issued when the one before it is durable. So a bad frame is a torn tail if nothing valid follows it
 * in its log, and corruption if a valid frame does, if the manifest recorded an end beyond it, or if sequence numbers
 * do not go on from one frame, or one log, to the next.
 */
import { join } from 'node:path';
import { assert } from '../assert.ts';
import { QuadringError, type ErrorCode } from '../errors.ts';
import { decodeCurrent } from '../format/current.ts';
import {
  CURRENT_NAME,
  CURRENT_TEMPORARY_NAME,
  LOCK_NAME,
  logName,
  manifestName,
  parseFileName,
  tableName,
  type ParsedFileName,
} from '../format/file-names.ts';
import { FormatError, UnknownVersionError } from '../format/format-error.ts';
import {
  FRAME_FIRST,
  FRAME_FULL,
  FRAME_LAST,
  FRAME_MIDDLE,
  readFrame,
  type FrameRead,
} from '../format/frame.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { LogRecordReader } from '../format/log-record.ts';
import { decodeVersionEdit, type TableDescription, type VersionEdit } from '../format/version-edit.ts';
import type { FileSystem } from './file-system.ts';
import type { ManifestState } from './version-set.ts';

export interface DirectoryContents {
  /** Whether the directory is there. */
  readonly present: boolean;
  /** Whether it holds a database. */
  readonly database: boolean;
  readonly files: readonly (ParsedFileName & { readonly name: string })[];
}

/** Looks before anything is touched. Throws NOT_A_DATABASE, PARENT_MISSING, CURRENT_CORRUPT or READ_ONLY. */
export function inspectDirectory(fileSystem: FileSystem, directory: string): DirectoryContents {
  const status = fileSystem.status(directory);
  if (status === undefined) {
    const parent = join(directory, '..');
    if (fileSystem.status(parent)?.kind !== 'directory') {
      throw new QuadringError('PARENT_MISSING', `${parent} is not a directory`, { path: directory });
    }
    return { present: false, database: false, files: [] };
  }
  if (status.kind !== 'directory') {
    throw new QuadringError('NOT_A_DATABASE', `${directory} is not a directory`, { path: directory });
  }
  const files = [];
  for (const name of fileSystem.list(directory)) {
    const parsed = parseFileName(name);
    const isFile = fileSystem.status(join(directory, name))?.kind === 'file';
    if (parsed === undefined || !isFile) {
      const message = `${directory} holds ${name}, which is not a file of a database`;
      throw new QuadringError('NOT_A_DATABASE', message, { path: directory });
    }
    files.push({ ...parsed, name });
  }
  const database = files.some(({ kind }) => kind === 'current');
  const orphan = files.find(({ kind }) => kind === 'table' || kind === 'log');
  if (!database && orphan !== undefined) {
    // A crash while a database is created leaves a manifest at most.
    const message = `${directory} holds ${orphan.name} but no CURRENT`;
    throw new QuadringError('CURRENT_CORRUPT', message, { file: join(directory, CURRENT_NAME) });
  }
  return { present: true, database, files };
}

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
    logEnds: new Map(),
    cleanClose: true,
  };
}

function highestNumber({ files }: DirectoryContents): number {
  return files.reduce((highest, { number }) => Math.max(highest, number), 0);
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
  const logEnds = new Map<number, number>();
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
    applyEdit(state, tables, logEnds, edit, file, group.offset);
  }
  return { ...state, tables: [...tables.values()], logEnds };
}

function applyEdit(
  state: { -readonly [K in keyof ManifestState]?: ManifestState[K] },
  tables: Map<number, TableDescription>,
  logEnds: Map<number, number>,
  edit: VersionEdit,
  file: string,
  offset: number,
): void {
  const { databaseSalt, logNumber, nextFileNumber, lastSequence, flushedSequence } = edit;
  if (databaseSalt !== undefined) state.databaseSalt = databaseSalt;
  if (logNumber !== undefined) state.logNumber = logNumber;
  if (nextFileNumber !== undefined) state.nextFileNumber = nextFileNumber;
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
  for (const log of edit.logEnds) logEnds.set(log.number, log.end);
  state.cleanClose = edit.cleanClose === true;
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

/** One frame, or the frames of one batch, put together. */
export interface FrameGroup {
  /** Where its first frame begins. */
  readonly offset: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly payload: Uint8Array;
}

interface FramesPlace {
  readonly salt: number;
  readonly fileNumber: number;
  readonly file: string;
  readonly code: ErrorCode;
  /** The file was known to hold frames up to here. */
  readonly recordedEnd?: number;
}

interface Frames {
  readonly groups: FrameGroup[];
  readonly end: number;
  /** Bytes of a frame, or of a batch without its last frame, that were cut. */
  readonly tornBytes: number;
}

/** Reads frames up to the first that is not valid, and tells a torn tail from corruption. */
function readFrames(bytes: Uint8Array, place: FramesPlace): Frames {
  const limit = place.recordedEnd ?? bytes.length;
  const groups: FrameGroup[] = [];
  let parts: Uint8Array[] = [];
  let first: { offset: number; firstSequence: number; count: number } | undefined;
  let at = 0;
  let frame: FrameRead | undefined;
  while (at < limit) {
    frame = readFrame(bytes, at, bytes.length, {
      salt: place.salt,
      fileNumber: place.fileNumber,
      offset: at,
    });
    if (frame.status !== 'valid') break;
    const starts = frame.kind === FRAME_FULL || frame.kind === FRAME_FIRST;
    if (starts !== (first === undefined)) {
      throw new QuadringError(place.code, 'the frames of a batch are out of order', {
        file: place.file,
        offset: at,
      });
    }
    first ??= { offset: at, firstSequence: frame.firstSequence, count: frame.count };
    parts.push(bytes.subarray(frame.payloadStart, frame.payloadStart + frame.payloadLength));
    at += frame.paddedLength;
    if (frame.kind === FRAME_MIDDLE || frame.kind === FRAME_FIRST) continue;
    assert(frame.kind === FRAME_FULL || frame.kind === FRAME_LAST, 'a valid frame has one of four kinds');
    groups.push({ ...first, payload: parts.length === 1 ? parts[0] : Buffer.concat(parts) });
    parts = [];
    first = undefined;
  }
  const stopped = at;
  const end = first?.offset ?? at;
  if (frame?.status === 'unknown-version') {
    const message = `a frame has format version ${frame.version}, which this release does not know`;
    throw new QuadringError('UNKNOWN_FORMAT', message, { file: place.file, offset: stopped });
  }
  if (place.recordedEnd !== undefined) {
    if (end !== place.recordedEnd)
      throw damaged(place, stopped, frame, `before its recorded end at ${limit}`);
    return { groups, end, tornBytes: 0 };
  }
  for (let later = stopped + PAGE_BYTES; later < bytes.length; later += PAGE_BYTES) {
    const { status } = readFrame(bytes, later, bytes.length, {
      salt: place.salt,
      fileNumber: place.fileNumber,
      offset: later,
    });
    if (status === 'valid') throw damaged(place, stopped, frame, `before a valid frame at ${later}`);
  }
  const cut = first === undefined ? 0 : stopped - first.offset;
  const torn =
    stopped < bytes.length && frame?.status === 'bad' ? Math.max(frame.paddedLength, PAGE_BYTES) : 0;
  return { groups, end, tornBytes: cut + torn };
}

function damaged(
  place: FramesPlace,
  offset: number,
  frame: FrameRead | undefined,
  where: string,
): QuadringError {
  const fields = frame === undefined ? {} : { expected: frame.expected, actual: frame.actual };
  const reason = frame === undefined || frame.reason === '' ? 'the file ends' : frame.reason;
  return new QuadringError(place.code, `no valid frame at byte ${offset}, ${where}: ${reason}`, {
    file: place.file,
    offset,
    ...fields,
  });
}

/** Turns what a decoder throws into the error of the file it read. */
function decodeOr<T>(code: ErrorCode, file: string, decode: () => T, base = 0): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const fields = { file, offset: base + error.at, cause: error };
    throw new QuadringError(
      error instanceof UnknownVersionError ? 'UNKNOWN_FORMAT' : code,
      error.message,
      fields,
    );
  }
}

/**
 * Files that no version names: garbage, at any instant of a crash. The lock, CURRENT and the manifest in force stay, and
 * so does what a crash left of a new CURRENT: installing one writes it over and renames it.
 */
export function garbageFiles(
  contents: DirectoryContents,
  manifestNumber: number,
  tables: readonly TableDescription[],
  logs: readonly RecoveredLog[],
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
