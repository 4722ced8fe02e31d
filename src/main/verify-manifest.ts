/**
 * CURRENT and the manifest, looked at by verification. Owner only.
 *
 * A manifest is a new file, written front to back: behind the last edit there is nothing but zeros, or what a crash left of
 * one more append (torn-frames.ts tells that from damage).
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { decodeCurrent } from '../format/current.ts';
import { CURRENT_NAME, manifestName } from '../format/file-names.ts';
import { FormatError, UnknownVersionError } from '../format/format-error.ts';
import type { FrameRead } from '../format/frame.ts';
import { MANIFEST_BYTES_MAX } from '../format/limits.ts';
import { decodeVersionEdit, type VersionEdit } from '../format/version-edit.ts';
import type { DirectoryContents } from './directory-contents.ts';
import { firstNonZero, scanFrames, type FrameEvent, type FrameFile } from './frame-scan.ts';
import { checkAddedTable, checkManifestState } from './manifest-checks.ts';
import { levelContradictions, ManifestReplay } from './manifest-replay.ts';
import { PieceReader } from './piece-reader.ts';
import { isReadFailure } from './table-blocks.ts';
import type { ExaminationGround } from './table-examination.ts';
import { wasChangedInManifest } from './torn-frames.ts';
import type { VerifiedFile } from './verify-report.ts';
import type { ManifestState } from './version-set.ts';

/** CURRENT is one line; of a longer file this much is enough to say that it is damaged. */
const CURRENT_BYTES_READ = 4096;
/** What follows the edits is looked through in such steps. */
const STEP_BYTES = 64 * 1024;

/** The manifest that CURRENT names, if it says so. */
export function verifyCurrent(ground: ExaminationGround, files: VerifiedFile[]): number | undefined {
  const { fileSystem, directory, findings } = ground;
  const file = join(directory, CURRENT_NAME);
  const bytes = fileSystem.status(file)?.bytes;
  if (bytes === undefined) {
    findings.add({ code: 'CURRENT_CORRUPT', message: 'CURRENT is missing', file });
    return undefined;
  }
  files.push({
    file,
    kind: 'current',
    number: 0,
    bytes,
    isNamed: true,
    checkedBytes: bytes,
    paddingBytes: 0,
    staleBytes: 0,
  });
  try {
    return decodeCurrent(fileSystem.read(file, 0, Math.min(bytes, CURRENT_BYTES_READ)));
  } catch (error) {
    if (!(error instanceof FormatError)) {
      findings.addSystemError(file, error);
      return undefined;
    }
    // Its line is one unit: where in it something is wrong, nobody can tell.
    const code = error instanceof UnknownVersionError ? 'UNKNOWN_FORMAT' : 'CURRENT_CORRUPT';
    findings.add({ code, message: error.message, file, offset: 0 });
    return undefined;
  }
}

/** What a manifest adds up to. */
export interface VerifiedManifest {
  readonly state: ManifestState;
  /** Those that are valid. */
  readonly edits: readonly VersionEdit[];
  /** All of it is there: the state is the one in force. */
  readonly isWhole: boolean;
}

/** Undefined where there is no such file, or it has no edit. */
export async function verifyManifest(
  ground: ExaminationGround,
  contents: DirectoryContents,
  number: number,
  files: VerifiedFile[],
): Promise<VerifiedManifest | undefined> {
  const { directory, findings } = ground;
  const file = join(directory, manifestName(number));
  if (!contents.files.some((other) => other.kind === 'manifest' && other.number === number)) {
    const message = `CURRENT names ${manifestName(number)}, which is missing`;
    findings.add({ code: 'CURRENT_CORRUPT', message, file: join(directory, CURRENT_NAME) });
    return undefined;
  }
  const before = findings.count;
  const edits: VersionEdit[] = [];
  const replay = await readEdits(ground, number, file, files, edits);
  if (replay === undefined) return undefined;
  const { state } = replay;
  if (replay.edits < replay.snapshotEdits) {
    const message = `the manifest has ${replay.edits} valid edits, it began with ${replay.snapshotEdits}`;
    findings.add({ code: 'MANIFEST_CORRUPT', message, file });
  }
  if (findings.count === before) {
    for (const message of levelContradictions(state.tables))
      findings.add({ code: 'MANIFEST_CORRUPT', message, file });
  }
  if (findings.count === before) checkAsOpenDoes(ground, state, file);
  return { state, edits, isWhole: findings.count === before };
}

/** Where everything else agrees: what open refuses beside that. */
function checkAsOpenDoes({ findings }: ExaminationGround, state: ManifestState, file: string): void {
  try {
    checkManifestState(state, file);
  } catch (error) {
    if (!(error instanceof QuadringError)) throw error;
    findings.add({ code: 'MANIFEST_CORRUPT', message: error.message, file });
  }
}

async function readEdits(
  ground: ExaminationGround,
  number: number,
  file: string,
  files: VerifiedFile[],
  edits: VersionEdit[],
): Promise<ManifestReplay | undefined> {
  const { fileSystem, findings, breather } = ground;
  const replay = new ManifestReplay(number, file);
  const before = findings.count;
  let reader: PieceReader;
  try {
    reader = new PieceReader(fileSystem.openFile(file));
  } catch (error) {
    findings.addSystemError(file, error);
    return undefined;
  }
  try {
    const place = { salt: 0, fileNumber: number };
    let end = 0;
    let paddingBytes = 0;
    const limit = Math.min(reader.bytes, MANIFEST_BYTES_MAX);
    if (limit < reader.bytes) {
      const message = `a manifest of ${reader.bytes} bytes, longer than any`;
      findings.add({ code: 'MANIFEST_CORRUPT', message, file, offset: limit });
    }
    let unreadableAt = -1;
    for await (const event of scanFrames(reader, place, limit, breather)) {
      if (event.type === 'unreadable') unreadableAt = event.offset;
      if (event.type === 'end') {
        end = event.from;
        // That something there cannot be read has been said; nobody can say more of it.
        if (unreadableAt >= event.offset) continue;
        await checkTail(ground, reader, file, place, event, replay.state.cleanClose);
      } else {
        if (event.type === 'group') paddingBytes += event.paddingBytes;
        takeEvent(ground, file, event, replay, edits, before);
      }
    }
    const { bytes } = reader;
    paddingBytes += bytes - end;
    files.push({
      file,
      kind: 'manifest',
      number,
      bytes,
      isNamed: true,
      checkedBytes: bytes,
      paddingBytes,
      staleBytes: 0,
    });
  } finally {
    reader.close();
  }
  if (replay.edits > 0) return replay;
  findings.add({
    code: 'MANIFEST_CORRUPT',
    message: `${manifestName(number)} has no valid edit`,
    file,
    offset: 0,
  });
  return undefined;
}

/** Everything but the end. */
function takeEvent(
  { findings }: ExaminationGround,
  file: string,
  event: Exclude<FrameEvent, { type: 'end' }>,
  replay: ManifestReplay,
  edits: VersionEdit[],
  before: number,
): void {
  const add = (message: string, offset: number, sums = {}): void =>
    findings.add({ code: 'MANIFEST_CORRUPT', message, file, offset, ...sums });
  switch (event.type) {
    case 'group':
      try {
        const edit = decodeVersionEdit(event.payload, 0, event.payload.length);
        edits.push(edit);
        replay.apply(edit, event.offset);
        for (const table of edit.added) checkAddedTable(table, file, event.offset);
      } catch (error) {
        if (!(error instanceof FormatError || error instanceof QuadringError)) throw error;
        // Where an edit is missing, those behind it cannot but contradict those before.
        if (error instanceof FormatError || findings.count === before) add(error.message, event.offset);
      }
      break;
    case 'padding':
      findings.note({
        code: 'PADDING',
        message: 'the padding of a frame is not zero',
        file,
        offset: event.offset,
      });
      break;
    case 'unknown-version': {
      const message = `a frame has format version ${event.version}, which this release does not know`;
      findings.add({ code: 'UNKNOWN_FORMAT', message, file, offset: event.offset });
      break;
    }
    case 'unreadable':
      findings.addSystemError(file, event.error, event.offset);
      break;
    case 'disorder':
      add('the frames of an edit are out of order', event.offset);
      break;
    case 'break': {
      const { reason } = event.frame;
      add(`no valid frame, before one at ${event.resumesAt}: ${reason}`, event.offset, sumsOf(event.frame));
    }
  }
}

/** Where a frame is one but for its checksum. */
export function sumsOf(frame: FrameRead | undefined): {
  readonly expected?: number;
  readonly actual?: number;
} {
  if (frame === undefined || frame.expected === frame.actual) return {};
  return { expected: frame.expected, actual: frame.actual };
}

/** What stands behind the last valid frame. */
async function checkTail(
  ground: ExaminationGround,
  reader: PieceReader,
  file: string,
  place: FrameFile,
  event: Extract<FrameEvent, { type: 'end' }>,
  isClosed: boolean,
): Promise<void> {
  const { findings } = ground;
  const { from, offset, frame } = event;
  const odd = await firstOddByte(ground, reader, offset);
  if (odd === undefined && from === offset) return;
  // Without an odd byte there are whole frames of an edit that is not.
  const wasChanged =
    odd !== undefined && frame !== undefined && wasChangedInManifest(reader, place, offset, odd, frame);
  if (!isClosed && !wasChanged) {
    findings.note({ code: 'TORN_TAIL', message: 'an append that a crash cut short', file, offset: from });
    return;
  }
  const sums = sumsOf(frame);
  const message = `what follows the last valid edit is neither zeros nor a torn append: ${frame?.reason ?? ''}`;
  findings.add({ code: 'MANIFEST_CORRUPT', message, file, offset: Math.min(from, odd ?? offset), ...sums });
}

/** The first byte behind the edits that is not zero. */
async function firstOddByte(
  { breather }: ExaminationGround,
  reader: PieceReader,
  from: number,
): Promise<number | undefined> {
  for (let at = from; at < Math.min(reader.bytes, MANIFEST_BYTES_MAX); at += STEP_BYTES) {
    await breather.afterLongStep();
    const odd = nonZeroIn(reader, at, STEP_BYTES);
    if (odd !== undefined) return at + odd;
  }
  return undefined;
}

/** What cannot be read is not zero either. */
function nonZeroIn(reader: PieceReader, at: number, length: number): number | undefined {
  try {
    const view = reader.view(at, length);
    return firstNonZero(view, 0, view.length);
  } catch (error) {
    if (isReadFailure(error)) return 0;
    throw error;
  }
}
