/**
 * What a manifest may say. Its checksums tell that it is as it was written, not that what it says can be: lengths that no
 * memory holds, tables that overlap, numbers that leave none for what is to come. Pure; recovery uses it before anything
 * is changed.
 */
import { QuadringError } from '../errors.ts';
import {
  FILE_NUMBER_OPEN_MAX,
  PAGE_BYTES,
  SEQUENCE_OPEN_MAX,
  TABLE_TAIL_BYTES_MAX,
} from '../format/limits.ts';
import type { TableProperties } from '../format/table-properties.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { levelContradictions } from './manifest-replay.ts';
import { compareKeys } from './range.ts';
import type { ManifestState } from './version-set.ts';

/** A table as an edit adds it. Throws MANIFEST_CORRUPT. */
export function checkAddedTable(table: TableDescription, file: string, offset: number): void {
  const { number, fileBytes, metaOffset } = table;
  const tailBytes = fileBytes - metaOffset;
  const isPossible =
    fileBytes % PAGE_BYTES === 0 &&
    metaOffset % PAGE_BYTES === 0 &&
    tailBytes > 0 &&
    tailBytes <= TABLE_TAIL_BYTES_MAX;
  if (isPossible) return;
  const message = `an edit says that table ${number} has ${fileBytes} bytes and its blocks end at ${metaOffset}`;
  throw new QuadringError('MANIFEST_CORRUPT', message, { file, offset });
}

/** All that the manifest says, taken together. Throws MANIFEST_CORRUPT. */
export function checkManifestState(state: ManifestState, file: string): void {
  const { tables, flushedSequence, manifestNumber, nextFileNumber } = state;
  if (nextFileNumber > FILE_NUMBER_OPEN_MAX) {
    const message = `the manifest says that the next file has the number ${nextFileNumber}`;
    throw new QuadringError('MANIFEST_CORRUPT', message, { file });
  }
  for (const { number, largestSequence } of tables) {
    if (number === manifestNumber)
      throw new QuadringError('MANIFEST_CORRUPT', `table ${number} has the manifest's number`, { file });
    if (largestSequence <= flushedSequence) continue;
    const message = `table ${number} has sequence numbers up to ${largestSequence}, tables end at ${flushedSequence}`;
    throw new QuadringError('MANIFEST_CORRUPT', message, { file });
  }
  for (const message of levelContradictions(tables))
    throw new QuadringError('MANIFEST_CORRUPT', message, { file });
}

/** Whether there are sequence numbers left for writes to come. Throws MANIFEST_CORRUPT or LOG_CORRUPT, whichever claims too much. */
export function checkSequencesLeft(
  { flushedSequence }: ManifestState,
  lastSequence: number,
  directory: string,
): void {
  if (lastSequence <= SEQUENCE_OPEN_MAX) return;
  const isOfTables = lastSequence === flushedSequence;
  const message = `${isOfTables ? 'tables' : 'logs'} end at sequence number ${lastSequence}: no more can be written`;
  throw new QuadringError(isOfTables ? 'MANIFEST_CORRUPT' : 'LOG_CORRUPT', message, { path: directory });
}

/** Whether a table's own properties say what the manifest says of it. */
export function agreesWithProperties(table: TableDescription, properties: TableProperties): boolean {
  return (
    table.metaOffset === properties.dataBytes &&
    table.entries === properties.entries &&
    table.deletions === properties.deletions &&
    table.overwritten === properties.overwritten &&
    table.rangeTombstones === properties.rangeTombstones &&
    table.rawBytes === properties.rawBytes &&
    table.smallestSequence === properties.smallestSequence &&
    table.largestSequence === properties.largestSequence &&
    table.createdAtSeconds === properties.createdAtSeconds &&
    table.createdAtSequence === properties.createdAtSequence &&
    table.largestKeyIsExclusive === properties.largestKeyIsExclusive &&
    compareKeys(table.smallestKey, properties.smallestKey) === 0 &&
    compareKeys(table.largestKey, properties.largestKey) === 0
  );
}
