/** A closed database made of given tables, without an engine: for tables that no engine would write as it is set now. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeCurrent } from '../../src/format/current.ts';
import { CURRENT_NAME, manifestName, tableName } from '../../src/format/file-names.ts';
import { FRAME_HEADER_BYTES, frameKindOf, sealFrame, writeFrameHeader } from '../../src/format/frame.ts';
import { roundUpToPage } from '../../src/format/limits.ts';
import { encodeVersionEdit, type TableDescription } from '../../src/format/version-edit.ts';

export interface WrittenTable {
  readonly bytes: Uint8Array;
  readonly description: TableDescription;
}

/** Writes the tables, all of level 0, a manifest that names them, and CURRENT. */
export function writeDatabase(directory: string, tables: readonly WrittenTable[]): void {
  const numbers = tables.map(({ description }) => description.number);
  const lastSequence = Math.max(...tables.map(({ description }) => description.largestSequence));
  const manifestNumber = Math.max(...numbers) + 1;
  const payload = encodeVersionEdit({
    databaseSalt: 0x5a17,
    logNumber: manifestNumber + 1,
    nextFileNumber: manifestNumber + 1,
    lastSequence,
    flushedSequence: lastSequence,
    added: tables.map(({ description }) => ({ ...description, level: 0 })),
    deleted: [],
    logEnds: [],
    compactionPointers: [],
    cleanClose: true,
    snapshotEdits: 1,
  });
  const frame = new Uint8Array(roundUpToPage(FRAME_HEADER_BYTES + payload.length));
  const kind = frameKindOf(true, true);
  const header = { kind, fileNumber: manifestNumber, firstSequence: 0, count: 1 };
  writeFrameHeader(frame, 0, { ...header, payloadLength: payload.length });
  frame.set(payload, FRAME_HEADER_BYTES);
  sealFrame(frame, 0, 0, 0);
  for (const { bytes, description } of tables)
    writeFileSync(join(directory, tableName(description.number)), bytes);
  writeFileSync(join(directory, manifestName(manifestNumber)), frame);
  writeFileSync(join(directory, CURRENT_NAME), encodeCurrent(manifestNumber));
}
