/** What verification answers. Types only. */
import type { FileKind } from '../format/file-names.ts';
import type { Finding, Note } from './findings.ts';

export interface VerifiedFile {
  /** Path. */
  readonly file: string;
  readonly kind: FileKind;
  /** In its name; 0 for the files that have none. */
  readonly number: number;
  readonly bytes: number;
  /** Whether the database needs it. What it does not need is not looked into, but for the tails of tables. */
  readonly isNamed: boolean;
  /** Bytes that were read and held against a checksum, or against what must be there. */
  readonly checkedBytes: number;
  /** Of them those that are nothing but zeros between or behind what is written. */
  readonly paddingBytes: number;
  /** Bytes that mean nothing: of a log, what an earlier one left in its file. */
  readonly staleBytes: number;
  /** Of a table: data blocks, entries and range tombstones. Of a log or manifest: frames' batches, and their records. */
  readonly blocks?: number;
  readonly entries?: number;
  readonly rangeTombstones?: number;
}

export interface VerifyReport {
  readonly directory: string;
  /** Nothing is damaged: there are no findings. */
  readonly isSound: boolean;
  /** Damage, in the order in which it was found; at most a thousand. */
  readonly findings: readonly Finding[];
  /** Findings beyond those. */
  readonly findingsLeftOut: number;
  /** What is odd and no damage; at most a thousand. */
  readonly notes: readonly Note[];
  readonly notesLeftOut: number;
  readonly files: readonly VerifiedFile[];
  /** The manifest in force, as far as CURRENT names one. */
  readonly manifest: string | undefined;
  /** Entries and bytes of all tables that were looked into. */
  readonly entries: number;
  readonly tableBytes: number;
  /** The last write that is in tables or logs. */
  readonly lastSequence: number;
  /** False on a file system that is mounted read-only: nothing kept others from writing through another mount. */
  readonly wasLocked: boolean;
}
