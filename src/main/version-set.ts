/**
 * The current version and the counters that the manifest keeps. Owner only.
 *
 * A read takes the version that is current when it begins. A new one is installed after its edit is durable in the
 * manifest, never before.
 */
import { assert, must } from '../assert.ts';
import { FILE_NUMBER_MAX, LEVEL_COUNT } from '../format/limits.ts';
import { emptyVersionEdit, type TableDescription, type VersionEdit } from '../format/version-edit.ts';
import { compareKeys } from './range.ts';
import type { Table } from './table.ts';
import { Version } from './version.ts';

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
  /** Numbers of tables that were there, and that an edit has deleted. */
  readonly deletedTables: ReadonlySet<number>;
  /** Where the next compaction of a level begins, by level. */
  readonly compactionPointers: ReadonlyMap<number, Uint8Array>;
  /** Recorded end of logs, by number. */
  readonly logEnds: ReadonlyMap<number, number>;
  readonly cleanClose: boolean;
}

/** What the tables of one edit of a whole version take, but for one that takes more by itself. */
const EDIT_BYTES_MAX = 256 * 1024;
/** What a table takes beside its keys, at most. */
const TABLE_BYTES = 96;

export class VersionSet {
  readonly databaseSalt: number;
  #nextFileNumber: number;
  #logNumber: number;
  #flushedSequence: number;
  #current: Version;
  readonly #pointers: Map<number, Uint8Array>;

  constructor(state: ManifestState, tables: readonly Table[]) {
    this.databaseSalt = state.databaseSalt;
    this.#nextFileNumber = state.nextFileNumber;
    this.#logNumber = state.logNumber;
    this.#flushedSequence = state.flushedSequence;
    this.#pointers = new Map(state.compactionPointers);
    this.#current = versionOf(tables).hold();
  }

  get current(): Version {
    return this.#current;
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

  /** Where the next compaction of each level begins. */
  get compactionPointers(): ReadonlyMap<number, Uint8Array> {
    return this.#pointers;
  }

  takeFileNumber(): number {
    assert(this.#nextFileNumber <= FILE_NUMBER_MAX, 'file numbers last');
    return this.#nextFileNumber++;
  }

  /**
   * Makes an edit's version the current one; `opened` are the tables that it adds and that are new. Tables that nobody
   * holds any more go. REQUIRES: the edit is durable.
   */
  install(edit: VersionEdit, opened: readonly Table[]): void {
    const tables = new Map(this.#current.tables.map((table) => [table.number, table]));
    const deleted = new Map<number, Table>();
    for (const { number } of edit.deleted) {
      deleted.set(number, must(tables.get(number), 'a table that is deleted was there'));
      tables.delete(number);
    }
    const added = new Map(opened.map((table) => [table.number, table]));
    for (const { number, level } of edit.added) {
      const table = must(added.get(number) ?? deleted.get(number), 'a table that is added is open');
      if (table.description.level !== level) table.moveTo(level);
      tables.set(number, table);
    }
    const before = this.#current;
    this.#current = versionOf([...tables.values()]).hold();
    before.letGo();
    if (edit.logNumber !== undefined) this.#logNumber = edit.logNumber;
    if (edit.flushedSequence !== undefined) this.#flushedSequence = edit.flushedSequence;
    for (const { level, key } of edit.compactionPointers) this.#pointers.set(level, key);
  }

  /** Edits that, in an empty manifest, give this version; each with so many tables that it stays small. */
  snapshot(
    logEnds: readonly { readonly number: number; readonly end: number }[],
    lastSequence: number,
  ): VersionEdit[] {
    const groups = groupsOf(this.#current.tables.map(({ description }) => description));
    const counters: VersionEdit = {
      ...emptyVersionEdit(),
      databaseSalt: this.databaseSalt,
      logNumber: this.#logNumber,
      nextFileNumber: this.#nextFileNumber,
      lastSequence,
      flushedSequence: this.#flushedSequence,
      logEnds: [...logEnds],
      compactionPointers: [...this.#pointers].map(([level, key]) => ({ level, key })),
      snapshotEdits: 1 + groups.length,
    };
    return [counters, ...groups.map((added) => ({ ...emptyVersionEdit(), added }))];
  }
}

/** Tables in groups with few enough bytes of keys for one edit. */
export function groupsOf(tables: readonly TableDescription[]): TableDescription[][] {
  const groups: TableDescription[][] = [];
  let bytes = Infinity;
  for (const table of tables) {
    bytes += TABLE_BYTES + table.smallestKey.length + table.largestKey.length;
    if (bytes > EDIT_BYTES_MAX) {
      groups.push([]);
      bytes = TABLE_BYTES + table.smallestKey.length + table.largestKey.length;
    }
    must(groups.at(-1), 'a group was begun').push(table);
  }
  return groups;
}

function versionOf(tables: readonly Table[]): Version {
  const levels = Array.from({ length: LEVEL_COUNT }, (): Table[] => []);
  for (const table of tables) must(levels[table.description.level], 'a table has a level').push(table);
  // Of level 0 the table with the later writes is asked first.
  levels[0].sort((a, b) => b.description.largestSequence - a.description.largestSequence);
  for (let level = 1; level < LEVEL_COUNT; level++) {
    levels[level].sort((a, b) => compareKeys(a.description.smallestKey, b.description.smallestKey));
  }
  return new Version(levels);
}
