/**
 * Version edits: what a manifest's frames carry, one edit in a FULL frame or in a run from FIRST to LAST. Pure; any
 * thread.
 *
 * An edit says what changes from one version of the database to the next. It is a run of fields, each a varint tag and
 * what the tag says; all numbers are varints, keys are a varint length and their bytes.
 *
 *   tag  field               value
 *    1   databaseSalt        number below 2^32
 *    2   logNumber           number of the oldest log still needed
 *    3   nextFileNumber      number
 *    4   lastSequence        sequence number
 *    5   flushedSequence     sequence number: every entry up to it is in tables
 *    6   added               level, number, file bytes, meta offset, entries, deletions, overwritten, range tombstones,
 *                            smallest sequence, largest sequence, raw bytes, created at (s), created at (sequence),
 *                            smallest key, largest key, whether that is exclusive (0 or 1)
 *    7   deleted             level, number
 *    8   logEnd              number, end in bytes
 *    9   compactionPointer   level, key
 *   10   cleanClose          0 or 1
 *   11   snapshotEdits       number of edits, below 2^32
 *
 * 6 to 9 may stand any number of times, the others once. A tag that this release does not know is refused: an edit that
 * is understood by half is worse than none. The format version is the one in CURRENT.
 */
import { ByteReader } from './byte-reader.ts';
import { FormatError } from './format-error.ts';
import { FILE_NUMBER_MAX, KEY_BYTES_MAX, LEVEL_MAX, SEQUENCE_MAX } from './limits.ts';
import { ByteWriter } from './varint.ts';

/** What the manifest knows of a table, which is all that routing a read and picking a compaction need. */
export interface TableDescription {
  readonly number: number;
  readonly level: number;
  readonly fileBytes: number;
  /** Byte at which the data blocks end and index, filter, properties and footer begin. */
  readonly metaOffset: number;
  readonly entries: number;
  /** Tombstones among the entries. */
  readonly deletions: number;
  /** Entries that are not the newest of their key in this table: somebody could still see them. */
  readonly overwritten: number;
  /** Range tombstones, cut into fragments. */
  readonly rangeTombstones: number;
  /** User keys. The smallest belongs to the table, as an entry's or as the start of a range tombstone. */
  readonly smallestKey: Uint8Array;
  /** Belongs to the table unless it is exclusive. */
  readonly largestKey: Uint8Array;
  /** Whether the largest key is the end of a range tombstone, and so outside; with no bytes it then is no end. */
  readonly largestKeyIsExclusive: boolean;
  readonly smallestSequence: number;
  readonly largestSequence: number;
  /** Keys and values, before any encoding. */
  readonly rawBytes: number;
  readonly createdAtSeconds: number;
  /**
   * Everything up to it was in tables when this one was there, and no entry of this one had a greater number before a
   * compaction made it 0: where the manifest is lost, this says from where on the logs are needed.
   */
  readonly createdAtSequence: number;
}

export interface DeletedTable {
  readonly level: number;
  readonly number: number;
}

export interface LogEnd {
  readonly number: number;
  /** Bytes of the log that hold frames; a valid log is not shorter. */
  readonly end: number;
}

export interface CompactionPointer {
  readonly level: number;
  readonly key: Uint8Array;
}

export interface VersionEdit {
  databaseSalt?: number;
  /** The oldest log that is still needed. */
  logNumber?: number;
  nextFileNumber?: number;
  lastSequence?: number;
  /** Every entry up to this one is in tables. */
  flushedSequence?: number;
  added: TableDescription[];
  deleted: DeletedTable[];
  logEnds: LogEnd[];
  compactionPointers: CompactionPointer[];
  cleanClose?: boolean;
  /** In a manifest's first edit: how many edits, this one included, CURRENT was made to wait for. */
  snapshotEdits?: number;
}

const TAG_DATABASE_SALT = 1;
const TAG_LOG_NUMBER = 2;
const TAG_NEXT_FILE_NUMBER = 3;
const TAG_LAST_SEQUENCE = 4;
const TAG_FLUSHED_SEQUENCE = 5;
const TAG_ADDED = 6;
const TAG_DELETED = 7;
const TAG_LOG_END = 8;
const TAG_COMPACTION_POINTER = 9;
const TAG_CLEAN_CLOSE = 10;
const TAG_SNAPSHOT_EDITS = 11;

/** An edit that changes nothing yet. */
export function emptyVersionEdit(): VersionEdit {
  return { added: [], deleted: [], logEnds: [], compactionPointers: [] };
}

/** Fields in the order of their tags, so that equal edits have equal bytes. */
export function encodeVersionEdit(edit: VersionEdit): Uint8Array {
  const writer = new ByteWriter();
  writeNumber(writer, TAG_DATABASE_SALT, edit.databaseSalt);
  writeNumber(writer, TAG_LOG_NUMBER, edit.logNumber);
  writeNumber(writer, TAG_NEXT_FILE_NUMBER, edit.nextFileNumber);
  writeNumber(writer, TAG_LAST_SEQUENCE, edit.lastSequence);
  writeNumber(writer, TAG_FLUSHED_SEQUENCE, edit.flushedSequence);
  for (const table of edit.added) writeTable(writer, table);
  for (const table of edit.deleted) {
    writer.varint(TAG_DELETED);
    writer.varint(table.level);
    writer.varint(table.number);
  }
  for (const log of edit.logEnds) {
    writer.varint(TAG_LOG_END);
    writer.varint(log.number);
    writer.varint(log.end);
  }
  for (const pointer of edit.compactionPointers) {
    writer.varint(TAG_COMPACTION_POINTER);
    writer.varint(pointer.level);
    writer.sized(pointer.key);
  }
  writeNumber(writer, TAG_CLEAN_CLOSE, edit.cleanClose === undefined ? undefined : Number(edit.cleanClose));
  writeNumber(writer, TAG_SNAPSHOT_EDITS, edit.snapshotEdits);
  return writer.written();
}

/** Throws a `FormatError` unless `bytes[start, end)` is exactly one edit. The keys of the result are copies. */
export function decodeVersionEdit(bytes: Uint8Array, start: number, end: number): VersionEdit {
  const reader = new ByteReader(bytes, start, end);
  const edit = emptyVersionEdit();
  while (reader.remaining > 0) {
    const at = reader.at;
    const tag = reader.varint();
    switch (tag) {
      case TAG_DATABASE_SALT:
        expectOnce(edit.databaseSalt, tag, at);
        edit.databaseSalt = reader.varint(2 ** 32 - 1);
        break;
      case TAG_LOG_NUMBER:
        expectOnce(edit.logNumber, tag, at);
        edit.logNumber = reader.varint(FILE_NUMBER_MAX);
        break;
      case TAG_NEXT_FILE_NUMBER:
        expectOnce(edit.nextFileNumber, tag, at);
        edit.nextFileNumber = reader.varint(FILE_NUMBER_MAX);
        break;
      case TAG_LAST_SEQUENCE:
        expectOnce(edit.lastSequence, tag, at);
        edit.lastSequence = reader.varint(SEQUENCE_MAX);
        break;
      case TAG_FLUSHED_SEQUENCE:
        expectOnce(edit.flushedSequence, tag, at);
        edit.flushedSequence = reader.varint(SEQUENCE_MAX);
        break;
      case TAG_ADDED:
        edit.added.push(readTable(reader));
        break;
      case TAG_DELETED:
        edit.deleted.push({ level: reader.varint(LEVEL_MAX), number: reader.varint(FILE_NUMBER_MAX) });
        break;
      case TAG_LOG_END:
        edit.logEnds.push({ number: reader.varint(FILE_NUMBER_MAX), end: reader.varint() });
        break;
      case TAG_COMPACTION_POINTER:
        edit.compactionPointers.push({ level: reader.varint(LEVEL_MAX), key: reader.sized(KEY_BYTES_MAX) });
        break;
      case TAG_CLEAN_CLOSE:
        expectOnce(edit.cleanClose, tag, at);
        edit.cleanClose = reader.varint(1) === 1;
        break;
      case TAG_SNAPSHOT_EDITS:
        expectOnce(edit.snapshotEdits, tag, at);
        edit.snapshotEdits = reader.varint(2 ** 32 - 1);
        break;
      default:
        throw new FormatError(`a version edit with unknown tag ${tag}`, at);
    }
  }
  return edit;
}

/** The edit as text, one field a line, for dumps and for tests that are data. */
export function describeVersionEdit(edit: VersionEdit): string {
  const lines: string[] = [];
  if (edit.databaseSalt !== undefined) lines.push(`databaseSalt ${edit.databaseSalt}`);
  if (edit.logNumber !== undefined) lines.push(`logNumber ${edit.logNumber}`);
  if (edit.nextFileNumber !== undefined) lines.push(`nextFileNumber ${edit.nextFileNumber}`);
  if (edit.lastSequence !== undefined) lines.push(`lastSequence ${edit.lastSequence}`);
  if (edit.flushedSequence !== undefined) lines.push(`flushedSequence ${edit.flushedSequence}`);
  for (const table of edit.added) {
    lines.push(
      `added level=${table.level} number=${table.number} fileBytes=${table.fileBytes} metaOffset=${table.metaOffset} ` +
        `entries=${table.entries} deletions=${table.deletions} overwritten=${table.overwritten} ` +
        `rangeTombstones=${table.rangeTombstones} keys=${describeKey(table.smallestKey)}..` +
        `${table.largestKeyIsExclusive ? '<' : ''}${describeKey(table.largestKey)} sequences=${table.smallestSequence}..${table.largestSequence} ` +
        `rawBytes=${table.rawBytes} createdAtSeconds=${table.createdAtSeconds} ` +
        `createdAtSequence=${table.createdAtSequence}`,
    );
  }
  for (const table of edit.deleted) lines.push(`deleted level=${table.level} number=${table.number}`);
  for (const log of edit.logEnds) lines.push(`logEnd number=${log.number} end=${log.end}`);
  for (const pointer of edit.compactionPointers) {
    lines.push(`compactionPointer level=${pointer.level} key=${describeKey(pointer.key)}`);
  }
  if (edit.cleanClose !== undefined) lines.push(`cleanClose ${edit.cleanClose}`);
  if (edit.snapshotEdits !== undefined) lines.push(`snapshotEdits ${edit.snapshotEdits}`);
  return lines.join('\n');
}

/** Printable ASCII in quotes, everything else as \xNN; long keys are cut. */
export function describeKey(key: Uint8Array): string {
  const shownBytesMax = 64;
  let text = '';
  for (const byte of key.subarray(0, shownBytesMax)) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    text += isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return key.length > shownBytesMax ? `"${text}"…(${key.length} bytes)` : `"${text}"`;
}

function writeNumber(writer: ByteWriter, tag: number, value: number | undefined): void {
  if (value === undefined) return;
  writer.varint(tag);
  writer.varint(value);
}

function writeTable(writer: ByteWriter, table: TableDescription): void {
  writer.varint(TAG_ADDED);
  writer.varint(table.level);
  writer.varint(table.number);
  writer.varint(table.fileBytes);
  writer.varint(table.metaOffset);
  writer.varint(table.entries);
  writer.varint(table.deletions);
  writer.varint(table.overwritten);
  writer.varint(table.rangeTombstones);
  writer.varint(table.smallestSequence);
  writer.varint(table.largestSequence);
  writer.varint(table.rawBytes);
  writer.varint(table.createdAtSeconds);
  writer.varint(table.createdAtSequence);
  writer.sized(table.smallestKey);
  writer.sized(table.largestKey);
  writer.varint(Number(table.largestKeyIsExclusive));
}

function readTable(reader: ByteReader): TableDescription {
  // The literal's fields are read in this order, which is the order on disk.
  return {
    level: reader.varint(LEVEL_MAX),
    number: reader.varint(FILE_NUMBER_MAX),
    fileBytes: reader.varint(),
    metaOffset: reader.varint(),
    entries: reader.varint(),
    deletions: reader.varint(),
    overwritten: reader.varint(),
    rangeTombstones: reader.varint(),
    smallestSequence: reader.varint(SEQUENCE_MAX),
    largestSequence: reader.varint(SEQUENCE_MAX),
    rawBytes: reader.varint(),
    createdAtSeconds: reader.varint(),
    createdAtSequence: reader.varint(SEQUENCE_MAX),
    smallestKey: reader.sized(KEY_BYTES_MAX),
    largestKey: reader.sized(KEY_BYTES_MAX),
    largestKeyIsExclusive: reader.varint(1) === 1,
  };
}

function expectOnce(present: unknown, tag: number, at: number): void {
  if (present !== undefined) throw new FormatError(`a version edit with tag ${tag} twice`, at);
}
