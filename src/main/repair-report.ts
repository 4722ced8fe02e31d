/** What a repair answers. Types only. */
import type { Finding, Note } from './findings.ts';
import type { RangeBounds } from './range.ts';

/** Something that could not be had again. */
export interface LostPart {
  /** Path of the file that it was in, as it was called. */
  readonly file: string;
  readonly what: 'blocks' | 'table' | 'range tombstones' | 'log records';
  /** Of the table. */
  readonly level: number | null;
  /** Entries, range tombstones or records; null: not known. */
  readonly count: number | null;
  /** Bytes of the file. */
  readonly bytes: number;
  /**
   * Where the keys are that were lost, as options of an iterator have it; `{}`: anywhere. Empty for records of logs, whose
   * keys nobody knows.
   */
  readonly ranges: readonly RangeBounds[];
  /** Sequence numbers of records that were lost, as far as they are known. */
  readonly firstSequence: number | null;
  readonly lastSequence: number | null;
  /**
   * Whether older versions of keys in the ranges may show now: what was lost may have been newer, a deletion among it. Where
   * false, keys of which that may be so were hidden.
   */
  readonly olderMayShow: boolean;
}

export interface RepairReport {
  readonly directory: string;
  /** False: nothing was wrong, and nothing was changed. */
  readonly isChanged: boolean;
  /**
   * 'kept': the manifest said which files make up the database, and what is where. 'rebuilt': it was lost or damaged, and the
   * database was put together from what tables and logs say of themselves.
   */
  readonly manifest: 'kept' | 'rebuilt';
  /** What was found wrong; as verification says it. */
  readonly findings: readonly Finding[];
  readonly findingsLeftOut: number;
  readonly notes: readonly Note[];
  /** Tables that stay as they were; that were rewritten or merged; and that were made of those, and of logs. */
  readonly tablesKept: number;
  readonly tablesReplaced: number;
  readonly tablesWritten: number;
  /** Entries in the tables that there are now, older versions and deletions among them, and their bytes. */
  readonly entries: number;
  readonly tableBytes: number;
  /** Records of logs that were put into tables. */
  readonly logRecords: number;
  /** Keys that were hidden, because their newest version was, or may have been, in something that is lost. */
  readonly hiddenKeys: number;
  readonly lost: readonly LostPart[];
  /** Names of tables that were there and are not used: they had been replaced, or never were in force. */
  readonly unusedTables: readonly string[];
  /** Where everything is that was replaced, or not understood; null where nothing was. */
  readonly lostDirectory: string | null;
  /** Names of the files there. */
  readonly putAside: readonly string[];
  readonly lastSequence: number;
}
