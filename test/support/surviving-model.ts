/**
 * What a small database holds, entry by entry, and what of that is left when parts of its files are gone: read from sound
 * files with the format's own functions, without what is tested.
 */
import { BlockCursor } from '../../src/format/block-cursor.ts';
import { decompressBlock } from '../../src/format/block-check.ts';
import { parseFileName, tableName } from '../../src/format/file-names.ts';
import { FOOTER_BYTES, readFooter } from '../../src/format/footer.ts';
import { BLOCK_BYTES_MAX, KIND_PUT, KIND_RANGE_TOMBSTONE, PAGE_BYTES } from '../../src/format/limits.ts';
import { LogRecordReader } from '../../src/format/log-record.ts';
import { decodeTableMeta, type TableMeta } from '../../src/format/table-meta.ts';
import { decodeVersionEdit, type TableDescription, type VersionEdit } from '../../src/format/version-edit.ts';
import { framesIn } from './damage.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import { bytesOn, namesOn, type Contents } from './offline-databases.ts';

/** One version of a key, or a deletion of keys, and the unit of a file that it is in. */
export interface PlacedEntry {
  readonly file: string;
  /** Of the block, the section or the frame. */
  readonly offset: number;
  readonly sequence: number;
  readonly key: string;
  /** Undefined: a deletion. */
  readonly value: string | undefined;
  /** Of a range tombstone; no characters: no end. */
  readonly end?: string;
}

export interface SoundDatabase {
  readonly tables: readonly TableDescription[];
  readonly flushedSequence: number;
  readonly logNumber: number;
  /** Of tables that the manifest names, and of logs beyond those. */
  readonly entries: readonly PlacedEntry[];
}

export function editsOn(disk: SimulatedDisk): VersionEdit[] {
  const manifest = namesOn(disk, 'manifest').at(-1) ?? '';
  return framesIn(bytesOn(disk, manifest), manifest, 0).map(({ payload }) =>
    decodeVersionEdit(payload, 0, payload.length),
  );
}

/** REQUIRES: files that are sound. */
export function readSound(disk: SimulatedDisk): SoundDatabase {
  const tables = new Map<number, TableDescription>();
  let salt = 0;
  let flushedSequence = 0;
  let logNumber = 0;
  for (const edit of editsOn(disk)) {
    for (const { number } of edit.deleted) tables.delete(number);
    for (const table of edit.added) tables.set(table.number, table);
    salt = edit.databaseSalt ?? salt;
    flushedSequence = edit.flushedSequence ?? flushedSequence;
    logNumber = edit.logNumber ?? logNumber;
  }
  const entries = [...tables.values()].flatMap(({ number }) => tableEntries(disk, number));
  for (const name of namesOn(disk, 'log')) {
    if ((parseFileName(name)?.number ?? 0) < logNumber) continue;
    for (const entry of logEntries(disk, name, salt))
      if (entry.sequence > flushedSequence) entries.push(entry);
  }
  return { tables: [...tables.values()], flushedSequence, logNumber, entries };
}

/** What is seen when some of the entries are gone. */
export function visibleIn(entries: readonly PlacedEntry[]): Contents {
  const newest = new Map<string, PlacedEntry>();
  const ranges: PlacedEntry[] = [];
  for (const entry of entries) {
    if (entry.end !== undefined) {
      ranges.push(entry);
      continue;
    }
    const other = newest.get(entry.key);
    if (other === undefined || entry.sequence > other.sequence) newest.set(entry.key, entry);
  }
  const contents: Contents = new Map();
  for (const [key, { value, sequence }] of newest) {
    const isDeleted = ranges.some(
      (range) =>
        range.sequence > sequence && range.key <= key && (range.end === '' || key < (range.end ?? '')),
    );
    if (value !== undefined && !isDeleted) contents.set(key, value);
  }
  return contents;
}

export function metaOn(
  disk: SimulatedDisk,
  number: number,
): { readonly meta: TableMeta; readonly metaOffset: number } {
  const bytes = bytesOn(disk, tableName(number));
  const footerAt = bytes.length - FOOTER_BYTES;
  const metaOffset = readFooter(bytes, footerAt, number, footerAt).metaPage * PAGE_BYTES;
  return { meta: decodeTableMeta(bytes.subarray(metaOffset), number, metaOffset, bytes.length), metaOffset };
}

export function tableEntries(disk: SimulatedDisk, number: number): PlacedEntry[] {
  const file = tableName(number);
  const bytes = bytesOn(disk, file);
  const { meta, metaOffset } = metaOn(disk, number);
  const entries: PlacedEntry[] = [];
  const cursor = new BlockCursor();
  for (let block = 0; block < meta.index.blockCount; block++) {
    const offset = meta.index.pageOf(block) * PAGE_BYTES;
    const length = meta.index.pageCountOf(block) * PAGE_BYTES;
    const plain = new Uint8Array(Math.max(length, BLOCK_BYTES_MAX));
    plain.set(bytes.subarray(offset, offset + length));
    decompressBlock(plain, 0, length, new Uint8Array(BLOCK_BYTES_MAX), BLOCK_BYTES_MAX);
    cursor.enter(plain, 0);
    for (let ordinal = 0; ordinal < cursor.count; ordinal++) {
      cursor.read(ordinal);
      const key = new Uint8Array(cursor.prefixLength + cursor.suffixLength);
      cursor.copyKey(key);
      const value = plain.subarray(cursor.valueStart, cursor.valueStart + cursor.valueLength);
      entries.push({
        file,
        offset,
        sequence: cursor.sequence,
        key: latin1(key),
        value: cursor.kind === KIND_PUT ? latin1(value) : undefined,
      });
    }
  }
  for (const { start, end, sequences } of meta.rangeTombstones?.fragments ?? []) {
    for (const sequence of sequences)
      entries.push({
        file,
        offset: metaOffset,
        sequence,
        key: latin1(start),
        value: undefined,
        end: latin1(end),
      });
  }
  return entries;
}

function logEntries(disk: SimulatedDisk, file: string, salt: number): PlacedEntry[] {
  const entries: PlacedEntry[] = [];
  for (const { offset, firstSequence, payload } of framesIn(bytesOn(disk, file), file, salt)) {
    const record = new LogRecordReader(payload, 0, payload.length);
    for (let sequence = firstSequence; record.next(); sequence++) {
      const { kind, keyStart, keyLength, valueStart, valueLength } = record;
      const key = latin1(payload.subarray(keyStart, keyStart + keyLength));
      const value = latin1(payload.subarray(valueStart, valueStart + valueLength));
      const common = { file, offset, sequence, key };
      if (kind === KIND_RANGE_TOMBSTONE) entries.push({ ...common, value: undefined, end: value });
      else entries.push({ ...common, value: kind === KIND_PUT ? value : undefined });
    }
  }
  return entries;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
