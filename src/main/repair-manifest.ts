/**
 * A new manifest for a repaired database, and CURRENT to name it. Owner only.
 *
 * The same steps as manifest-writer.ts and the flush thread take, with plain calls: the manifest and its name are durable
 * before CURRENT's new text is, and that with its name before CURRENT is replaced. The rename is the commit point of a repair.
 */
import { join } from 'node:path';
import { encodeCurrent } from '../format/current.ts';
import { CURRENT_NAME, CURRENT_TEMPORARY_NAME, manifestName } from '../format/file-names.ts';
import { FRAME_HEADER_BYTES, frameKindOf, sealFrame, writeFrameHeader } from '../format/frame.ts';
import { roundUpToPage } from '../format/limits.ts';
import {
  emptyVersionEdit,
  encodeVersionEdit,
  type TableDescription,
  type VersionEdit,
} from '../format/version-edit.ts';
import type { RepairFiles } from './repair-files.ts';
import { groupsOf } from './version-set.ts';

/** As much as other manifests have in one frame. */
const PAYLOAD_BYTES_MAX = 1024 * 1024 - FRAME_HEADER_BYTES;

/** What the database is from now on. It has no logs: what they held is in tables. */
export interface RepairedState {
  readonly manifestNumber: number;
  readonly databaseSalt: number;
  readonly lastSequence: number;
  readonly tables: readonly TableDescription[];
}

export function writeManifest(files: RepairFiles, directory: string, state: RepairedState): void {
  const file = files.create(join(directory, manifestName(state.manifestNumber)));
  try {
    let offset = 0;
    for (const edit of editsOf(state)) {
      for (const frame of framesOf(encodeVersionEdit(edit), state.manifestNumber, offset)) {
        file.write(frame);
        offset += frame.length;
      }
    }
    file.sync();
  } finally {
    file.close();
  }
  files.syncDirectory(directory);
}

/** REQUIRES: no temporary CURRENT; the manifest is durable. */
export function installCurrent(files: RepairFiles, directory: string, manifestNumber: number): void {
  const temporary = join(directory, CURRENT_TEMPORARY_NAME);
  const file = files.create(temporary);
  try {
    file.write(encodeCurrent(manifestNumber));
    file.sync();
  } finally {
    file.close();
  }
  files.syncDirectory(directory);
  files.rename(temporary, join(directory, CURRENT_NAME));
  files.syncDirectory(directory);
}

/**
 * Not cleanly closed, as if a crash had followed: should this end before the files that it replaces are put aside, the next
 * open then writes over none of them (see engine.ts).
 */
function editsOf({ manifestNumber, databaseSalt, lastSequence, tables }: RepairedState): VersionEdit[] {
  const groups = groupsOf(tables);
  const counters: VersionEdit = {
    ...emptyVersionEdit(),
    databaseSalt,
    logNumber: manifestNumber + 1,
    nextFileNumber: manifestNumber + 1,
    lastSequence,
    flushedSequence: lastSequence,
    snapshotEdits: 1 + groups.length,
  };
  return [counters, ...groups.map((added) => ({ ...emptyVersionEdit(), added }))];
}

function* framesOf(
  payload: Uint8Array,
  fileNumber: number,
  offset: number,
): Generator<Uint8Array, void, void> {
  let at = offset;
  let start = 0;
  do {
    const end = Math.min(start + PAYLOAD_BYTES_MAX, payload.length);
    const frame = new Uint8Array(roundUpToPage(FRAME_HEADER_BYTES + end - start));
    const kind = frameKindOf(start === 0, end === payload.length);
    const count = start === 0 ? 1 : 0;
    writeFrameHeader(frame, 0, { kind, fileNumber, firstSequence: 0, count, payloadLength: end - start });
    frame.set(payload.subarray(start, end), FRAME_HEADER_BYTES);
    sealFrame(frame, 0, 0, at);
    yield frame;
    at += frame.length;
    start = end;
  } while (start < payload.length);
}
