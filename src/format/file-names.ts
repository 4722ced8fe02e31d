/**
 * The names of a database's files. Pure; any thread.
 *
 *   LOCK                who has the directory open
 *   CURRENT             the manifest in force            CURRENT.tmp        the next one, not yet in force
 *   MANIFEST-000001     version edits
 *   000002.wal          a log
 *   000003.sst          a table                          000003.sst.tmp     one that is being written
 *   lost-000001         a directory: what a repair replaced
 *
 * Numbers have at least six digits, more when they need them. A name has exactly one spelling: `parseFileName` of any
 * other spelling (fewer digits, leading zeros beyond six) is undefined, so no two names mean the same file.
 */
import { assert } from '../assert.ts';
import { FILE_NUMBER_MAX } from './limits.ts';

export const LOCK_NAME = 'LOCK';
export const CURRENT_NAME = 'CURRENT';
export const CURRENT_TEMPORARY_NAME = 'CURRENT.tmp';
const LOST_PREFIX = 'lost-';

export type FileKind = 'lock' | 'current' | 'manifest' | 'log' | 'table' | 'temporary';

export interface ParsedFileName {
  readonly kind: FileKind;
  /** 0 for the files that have no number. */
  readonly number: number;
}

export function manifestName(number: number): string {
  return `MANIFEST-${digits(number)}`;
}

export function logName(number: number): string {
  return `${digits(number)}.wal`;
}

export function tableName(number: number): string {
  return `${digits(number)}.sst`;
}

export function temporaryTableName(number: number): string {
  return `${digits(number)}.sst.tmp`;
}

export function lostDirectoryName(number: number): string {
  return `${LOST_PREFIX}${digits(number)}`;
}

/** The number of a directory that a repair made, or undefined when the name is none of ours. */
export function parseLostDirectoryName(name: string): number | undefined {
  const match = /^lost-(\d{6,10})$/.exec(name);
  if (match === null) return undefined;
  const number = Number(match[1]);
  return number <= FILE_NUMBER_MAX && lostDirectoryName(number) === name ? number : undefined;
}

/** What a file in the directory is, or undefined when it is none of ours. */
export function parseFileName(name: string): ParsedFileName | undefined {
  if (name === LOCK_NAME) return { kind: 'lock', number: 0 };
  if (name === CURRENT_NAME) return { kind: 'current', number: 0 };
  if (name === CURRENT_TEMPORARY_NAME) return { kind: 'temporary', number: 0 };
  const match = /^(MANIFEST-)?(\d{6,10})(\.wal|\.sst|\.sst\.tmp)?$/.exec(name);
  if (match === null) return undefined;
  const isManifest = match[1] !== undefined;
  const extension = match[3];
  if (isManifest === (extension !== undefined)) return undefined;
  const number = Number(match[2]);
  if (number > FILE_NUMBER_MAX || digits(number) !== match[2]) return undefined;
  if (isManifest) return { kind: 'manifest', number };
  if (extension === '.wal') return { kind: 'log', number };
  return { kind: extension === '.sst' ? 'table' : 'temporary', number };
}

function digits(number: number): string {
  assert(
    Number.isInteger(number) && number >= 0 && number <= FILE_NUMBER_MAX,
    'a file number must be below 2^32',
  );
  return String(number).padStart(6, '0');
}
