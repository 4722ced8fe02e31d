/**
 * The edits of a manifest, put together one after another. Owner only; pure.
 */
import { QuadringError } from '../errors.ts';
import { LEVEL_COUNT, LEVEL_MAX } from '../format/limits.ts';
import type { TableDescription, VersionEdit } from '../format/version-edit.ts';
import { endsBefore } from './key-span.ts';
import { compareKeys } from './range.ts';
import type { ManifestState } from './version-set.ts';

export class ManifestReplay {
  readonly #number: number;
  readonly #file: string;
  readonly #tables = new Map<number, TableDescription>();
  readonly #deleted = new Set<number>();
  readonly #compactionPointers = new Map<number, Uint8Array>();
  readonly #logEnds = new Map<number, number>();
  readonly #counters = {
    databaseSalt: 0,
    logNumber: 0,
    nextFileNumber: 0,
    lastSequence: 0,
    flushedSequence: 0,
    cleanClose: false,
  };
  #edits = 0;
  #snapshotEdits = 1;

  constructor(number: number, file: string) {
    this.#number = number;
    this.#file = file;
  }

  /** Edits that were applied. */
  get edits(): number {
    return this.#edits;
  }

  /** Edits that the manifest had when CURRENT came to name it. */
  get snapshotEdits(): number {
    return this.#snapshotEdits;
  }

  get state(): ManifestState {
    return {
      manifestNumber: this.#number,
      ...this.#counters,
      tables: [...this.#tables.values()],
      deletedTables: this.#deleted,
      compactionPointers: this.#compactionPointers,
      logEnds: this.#logEnds,
    };
  }

  /** Throws MANIFEST_CORRUPT where the edit contradicts those before; what it says beside that has been taken then. */
  apply(edit: VersionEdit, offset: number): void {
    const counters = this.#counters;
    this.#edits++;
    this.#snapshotEdits = Math.max(this.#snapshotEdits, edit.snapshotEdits ?? 0);
    if (edit.databaseSalt !== undefined) counters.databaseSalt = edit.databaseSalt;
    if (edit.logNumber !== undefined) counters.logNumber = edit.logNumber;
    counters.nextFileNumber = Math.max(counters.nextFileNumber, edit.nextFileNumber ?? 0);
    if (edit.lastSequence !== undefined) counters.lastSequence = edit.lastSequence;
    if (edit.flushedSequence !== undefined) counters.flushedSequence = edit.flushedSequence;
    counters.cleanClose = edit.cleanClose === true;
    for (const log of edit.logEnds) this.#logEnds.set(log.number, log.end);
    for (const { level, key } of edit.compactionPointers) this.#compactionPointers.set(level, key);
    let contradiction: string | undefined;
    for (const { number } of edit.deleted) {
      this.#deleted.add(number);
      if (this.#tables.delete(number)) continue;
      contradiction ??= `an edit deletes table ${number}, which is not there`;
    }
    for (const table of edit.added) {
      if (this.#tables.has(table.number)) contradiction ??= `an edit adds table ${table.number} again`;
      this.#tables.set(table.number, table);
      this.#deleted.delete(table.number);
    }
    if (contradiction === undefined) return;
    throw new QuadringError('MANIFEST_CORRUPT', contradiction, { file: this.#file, offset });
  }
}

/** Below level 0 tables do not overlap: what is wrong with that, in words. */
export function levelContradictions(tables: readonly TableDescription[]): string[] {
  const wrong: string[] = [];
  for (let level = 1; level <= LEVEL_MAX; level++) {
    const sorted = tables
      .filter((table) => table.level === level)
      .sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
    if (sorted.length > 0 && level >= LEVEL_COUNT) wrong.push(`there is no level ${level}`);
    for (let i = 1; i < sorted.length; i++) {
      if (endsBefore(sorted[i - 1], sorted[i].smallestKey)) continue;
      wrong.push(`tables ${sorted[i - 1].number} and ${sorted[i].number} of level ${level} overlap`);
    }
  }
  return wrong;
}
