/** quadring: an embedded, ordered, durable key-value store on four io_uring rings. The public surface. */
export { Database } from './main/database.ts';
export type { CursorOptions, IteratorOptions, ReadOptions } from './main/call-options.ts';
export type { Encoding } from './main/materialize.ts';
export type { EntryCursor } from './main/entry-cursor.ts';
export type { EntryIterator, KeyIterator, ScanIterator, ValueIterator } from './main/iterator.ts';
export type { Range } from './main/range.ts';
export type { Snapshot } from './main/snapshots.ts';
export { ERROR_CODES, QuadringError, type ErrorCode } from './errors.ts';
export type { Bytes } from './main/bytes.ts';
export type { CompressionName } from './format/compression.ts';
export type {
  CompactionOptions,
  DatabaseOptions,
  IoOptions,
  ReadAheadOptions,
  SqpollOptions,
} from './main/options.ts';
export { NOTE_CODES, type Finding, type FindingCode, type Note, type NoteCode } from './main/findings.ts';
export type { SettledSetting, StorageStatistics } from './main/settled-settings.ts';
export type { BlockDevice } from './main/block-device.ts';
export type { DatabaseStats, LevelStatistics, RingStatistics } from './main/statistics.ts';
export type { BatchOperation, WriteBatch, WriteOptions } from './main/write-batch.ts';
export type { RepairOptions } from './main/repair.ts';
export type { LostPart, RepairReport } from './main/repair-report.ts';
export type { VerifyOptions } from './main/verify.ts';
export type { VerifiedFile, VerifyReport } from './main/verify-report.ts';
