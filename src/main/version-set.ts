/**
 * The current version and the counters that the manifest keeps. Owner only.
 *
 * A version is an immutable list of tables; a read takes the list that is current when it begins. A new one is
 * installed after its edit is durable in the manifest, never before.
 */
import { assert } from '../assert.ts';
import { FILE_NUMBER_MAX } from '../format/limits.ts';
import type { TableDescription, VersionEdit } from '../format/version-edit.ts';
import type { Table } from './table.ts';

/** What recovery reads from the manifest. */
export interface ManifestState {
  /** 0: there was no manifest. */
  readonly manifestNumber: number;
  readonly databaseSalt: number;
  readonly logNumber: number;
  readonly nextFileNumber: number;
  readonly lastSequence: number;
  readonly flushedSequence: number;
  readonly tables: readonly TableDescription[];
  /** Recorded end of logs, by number. */
  readonly logEnds: ReadonlyMap<number, number>;
  readonly cleanClose: boolean;
}

export class VersionSet {
  readonly databaseSalt: number;
  #nextFileNumber: number;
  #logNumber: number;
  #flushedSequence: number;
  #tables: readonly Table[];

  constructor(state: ManifestState, tables: readonly Table[]) {
    this.databaseSalt = state.databaseSalt;
    this.#nextFileNumber = state.nextFileNumber;
    this.#logNumber = state.logNumber;
    this.#flushedSequence = state.flushedSequence;
    this.#tables = newestFirst(tables);
  }

  /** Level 0, newest first. */
  get tables(): readonly Table[] {
    return this.#tables;
  }

  /** Everything up to it is in tables. */
  get flushedSequence(): number {
    return this.#flushedSequence;
  }

  get logNumber(): number {
    return this.#logNumber;
  }

  get nextFileNumber(): number {
    return this.#nextFileNumber;
  }

  takeFileNumber(): number {
    assert(this.#nextFileNumber <= FILE_NUMBER_MAX, 'file numbers last');
    return this.#nextFileNumber++;
  }

  /** Makes a flushed table visible. REQUIRES: its edit is durable. */
  install(table: Table, edit: VersionEdit): void {
    this.#tables = newestFirst([table, ...this.#tables]);
    this.noteApplied(edit);
  }

  /** Takes over an edit's counters. */
  noteApplied(edit: VersionEdit): void {
    if (edit.logNumber !== undefined) this.#logNumber = edit.logNumber;
    if (edit.flushedSequence !== undefined) this.#flushedSequence = edit.flushedSequence;
  }

  /** Edits that, in an empty manifest, give this version; one for each table, so that each stays small. */
  snapshot(
    logEnds: readonly { readonly number: number; readonly end: number }[],
    lastSequence: number,
  ): VersionEdit[] {
    const counters: VersionEdit = {
      databaseSalt: this.databaseSalt,
      logNumber: this.#logNumber,
      nextFileNumber: this.#nextFileNumber,
      lastSequence,
      flushedSequence: this.#flushedSequence,
      added: [],
      deleted: [],
      logEnds: [...logEnds],
      compactionPointers: [],
      snapshotEdits: 1 + this.#tables.length,
    };
    const tables = this.#tables.map(({ description }) => ({
      added: [description],
      deleted: [],
      logEnds: [],
      compactionPointers: [],
    }));
    return [counters, ...tables];
  }
}

/** Tables of level 0 overlap: the one with the later writes is asked first. */
function newestFirst(tables: readonly Table[]): readonly Table[] {
  return tables.toSorted((a, b) => b.description.largestSequence - a.description.largestSequence);
}
