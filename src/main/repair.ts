/**
 * Repair: what still verifies of a database that nobody has open, made into one that opens. Owner only.
 *
 *     diagnose     reads everything, changes nothing (repair-diagnosis.ts)
 *     put aside    a second name, in lost-NNNNNN, for every file that will not be used any more
 *     write        logs into tables of level 0; tables that are damaged, or in no known order, anew; what is to be hidden
 *     commit       a new manifest, and CURRENT to name it
 *     clear        the first names of what was put aside
 *
 * No file is written over, and none loses its last name. Each step is durable before the next. So wherever it ends, the
 * next repair finds everything that this one had: before the commit the files as they were, and perhaps tables that hold
 * some of the same once more, under the same sequence numbers; behind it the repaired database.
 */
import { join, resolve } from 'node:path';
import { must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { CURRENT_NAME, CURRENT_TEMPORARY_NAME, lostDirectoryName, tableName } from '../format/file-names.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { Breather } from './breather.ts';
import { listDirectory, type DirectoryContents } from './directory-contents.ts';
import { takeLock } from './directory-lock.ts';
import type { Environment } from './environment.ts';
import { Findings } from './findings.ts';
import { translated } from './io-errors.ts';
import { overlaps } from './key-span.ts';
import { salvageLogs } from './log-salvage.ts';
import { diagnose, type Diagnosis } from './repair-diagnosis.ts';
import type { RepairFiles } from './repair-files.ts';
import { hideLost, isOlder, spanOf, type Hidden } from './repair-hide.ts';
import { groupTables, usable, type TableGroup } from './repair-levels.ts';
import { lostPartsOf } from './repair-losses.ts';
import { installCurrent, writeManifest } from './repair-manifest.ts';
import type { LostPart, RepairReport } from './repair-report.ts';
import { TableRepair } from './repair-tables.ts';
import type { ExaminationGround, TableExamination, TableGap } from './table-examination.ts';
import { descriptionOf } from './table-tally.ts';
import { checkHoldsDatabase, checkOfflineOptions, type VerifyOptions } from './verify.ts';

export interface RepairOptions extends VerifyOptions {
  /**
   * What becomes of older versions of keys that may have been overwritten or deleted in a block, or a table, that is lost:
   * 'likely' hides those that the table's filter says it had, where it has one; 'all' hides every key of the range that only
   * older tables have; 'none' shows them all. Where the manifest is lost nothing is hidden. Default 'likely'.
   */
  readonly hideOlder?: 'likely' | 'all' | 'none';
  /**
   * Whether records of a log behind others that are lost are taken, too. Without them what the logs give is a beginning of
   * the order of writes. Where the manifest is lost they are always taken. Default false.
   */
  readonly takeBehindGaps?: boolean;
}

export interface RepairEnvironment extends Pick<
  Environment,
  'fileSystem' | 'now' | 'delay' | 'random32' | 'wallClockSeconds'
> {
  readonly files: RepairFiles;
}

const OPTION_NAMES = new Set(['lockTimeoutMs', 'signal', 'hideOlder', 'takeBehindGaps']);

/** What a table became. */
export interface RewrittenTable {
  readonly from: TableExamination;
  /** Undefined where nothing was left. */
  readonly to: TableDescription | undefined;
}

/**
 * Rejects with INVALID_ARGUMENT, PARENT_MISSING, NOT_FOUND, NOT_A_DATABASE, LOCKED, READ_ONLY, UNKNOWN_FORMAT, NO_SPACE,
 * TOO_MANY_FILES, ABORTED or IO_ERROR. Whenever it does, or the process ends, it can be called again, and nothing more is lost.
 */
export async function repairDatabase(
  environment: RepairEnvironment,
  path: string,
  options: RepairOptions = {},
): Promise<RepairReport> {
  const { lockTimeoutMs, signal } = checkOfflineOptions(path, options, OPTION_NAMES);
  checkRepairOptions(options);
  const directory = resolve(path);
  const { fileSystem } = environment;
  checkHoldsDatabase(
    translated(directory, () => listDirectory(fileSystem, directory)),
    directory,
  );
  const lock = await takeLock(directory, lockTimeoutMs, environment);
  try {
    const ground = { fileSystem, directory, breather: new Breather(signal), findings: new Findings(true) };
    await ground.breather.breathe();
    const contents = translated(directory, () => listDirectory(fileSystem, directory));
    checkHoldsDatabase(contents, directory);
    const diagnosis = await diagnose(ground, contents);
    return await new Repair(environment, ground, contents, diagnosis, options).run();
  } catch (error) {
    return translated(directory, () => {
      throw error;
    });
  } finally {
    lock.release();
  }
}

/** Throws INVALID_ARGUMENT. */
function checkRepairOptions({ hideOlder = 'likely', takeBehindGaps = false }: RepairOptions): void {
  if (!['likely', 'all', 'none'].includes(hideOlder))
    throw new QuadringError('INVALID_ARGUMENT', "hideOlder must be 'likely', 'all' or 'none'");
  if (typeof takeBehindGaps !== 'boolean')
    throw new QuadringError('INVALID_ARGUMENT', 'takeBehindGaps must be true or false');
}

class Repair {
  readonly #environment: RepairEnvironment;
  readonly #ground: ExaminationGround;
  readonly #contents: DirectoryContents;
  readonly #diagnosis: Diagnosis;
  readonly #options: RepairOptions;
  readonly #lostDirectory: string;
  readonly #tables: TableRepair;
  #nextFileNumber: number;
  #lastSequence: number;
  /** Tables that stay, those that are replaced, and those that are written. */
  #kept: TableDescription[] = [];
  readonly #rewritten: RewrittenTable[] = [];
  #merged = 0;
  readonly #written: TableDescription[] = [];
  readonly #lost: LostPart[] = [];
  #logRecords = 0;
  #hidden: Hidden = { keys: 0, table: undefined, covers: () => false };

  constructor(
    environment: RepairEnvironment,
    ground: ExaminationGround,
    contents: DirectoryContents,
    diagnosis: Diagnosis,
    options: RepairOptions,
  ) {
    this.#environment = environment;
    this.#ground = ground;
    this.#contents = contents;
    this.#diagnosis = diagnosis;
    this.#options = options;
    this.#nextFileNumber = diagnosis.nextFileNumber;
    this.#lastSequence = diagnosis.flushedSequence;
    const number = contents.lost.reduce((highest, other) => Math.max(highest, other), 0) + 1;
    this.#lostDirectory = join(ground.directory, lostDirectoryName(number));
    this.#tables = new TableRepair({
      ground,
      files: environment.files,
      takeFileNumber: () => this.#nextFileNumber++,
      createdAtSeconds: environment.wallClockSeconds(),
      flushedSequence: diagnosis.flushedSequence,
    });
  }

  async run(): Promise<RepairReport> {
    if (this.#diagnosis.isSound) {
      this.#kept = this.#diagnosis.tables.map(({ description }) => must(description, 'a trusted table'));
      this.#lastSequence = this.#diagnosis.lastSequence;
      return this.#report([]);
    }
    const groups = this.#decide();
    const aside = this.#putAside();
    await this.#salvageLogs();
    await this.#rewrite(groups);
    await this.#hide();
    this.#commit();
    this.#clear(aside);
    this.#addLosses();
    return this.#report(aside);
  }

  /** Which tables stay as they are, and at which levels the others go. */
  #decide(): readonly TableGroup[] {
    const { isTrusted, tables } = this.#diagnosis;
    if (!isTrusted) {
      const groups = groupTables(tables.map(usable).filter((table) => table !== undefined));
      for (const { level, tables: members } of groups) {
        for (const { table } of members) {
          const properties = table.tail?.properties;
          if (level === undefined || !table.isIntact || properties === undefined) continue;
          this.#kept.push(descriptionOf(table.number, level, table.fileBytes, properties));
        }
      }
      return groups;
    }
    for (const { isIntact, description } of tables) {
      if (isIntact) this.#kept.push(must(description, 'a trusted table is described'));
    }
    return [];
  }

  /** Gives everything that will not be used any more a second name; returns the first ones. */
  #putAside(): readonly string[] {
    const { files } = this.#environment;
    const { directory } = this.#ground;
    const kept = new Set(this.#kept.map(({ number }) => tableName(number)));
    const names = this.#contents.files
      .filter(({ kind, name }) => kind !== 'lock' && !kept.has(name))
      .map(({ name }) => name);
    files.makeDirectory(this.#lostDirectory);
    for (const name of names) files.link(join(directory, name), join(this.#lostDirectory, name));
    files.syncDirectory(this.#lostDirectory);
    files.syncDirectory(directory);
    // Its name is needed, and it was never in force.
    if (names.includes(CURRENT_TEMPORARY_NAME)) files.remove(join(directory, CURRENT_TEMPORARY_NAME));
    return names;
  }

  async #salvageLogs(): Promise<void> {
    const { isTrusted } = this.#diagnosis;
    const takesBehindGaps = !isTrusted || this.#options.takeBehindGaps === true;
    const salvaged = await salvageLogs(this.#ground, this.#diagnosis, this.#tables, takesBehindGaps);
    this.#written.push(...salvaged.tables);
    this.#lost.push(...salvaged.lost);
    this.#logRecords = salvaged.records;
    this.#lastSequence = Math.max(
      salvaged.lastSequence,
      this.#diagnosis.flushedSequence,
      this.#diagnosis.recordedSequence,
    );
  }

  async #rewrite(groups: readonly TableGroup[]): Promise<void> {
    for (const { level, tables } of groups) {
      if (level === undefined) {
        this.#merged += tables.length;
        this.#written.push(...(await this.#tables.merge(tables)));
        continue;
      }
      for (const { table } of tables) if (!table.isIntact) await this.#rewriteTable(table, level);
    }
    if (!this.#diagnosis.isTrusted) return;
    for (const table of this.#diagnosis.tables) {
      if (!table.isIntact) await this.#rewriteTable(table, must(table.description, 'a trusted table').level);
    }
  }

  async #rewriteTable(from: TableExamination, level: number): Promise<void> {
    const isLeft = usable(from) !== undefined;
    const to = isLeft ? await this.#tables.rewrite(from, level) : undefined;
    this.#rewritten.push({ from, to });
    if (to !== undefined) this.#written.push(to);
  }

  async #hide(): Promise<void> {
    const { hideOlder = 'likely' } = this.#options;
    if (!this.#diagnosis.isTrusted || hideOlder === 'none') return;
    this.#hidden = await hideLost({
      ground: this.#ground,
      repair: this.#tables,
      tables: [...this.#kept, ...this.#written],
      rewritten: this.#rewritten,
      onlyLikely: hideOlder === 'likely',
      sequence: this.#lastSequence + 1,
      lostDirectory: this.#lostDirectory,
    });
    if (this.#hidden.table === undefined) return;
    this.#written.push(this.#hidden.table);
    this.#lastSequence++;
  }

  #commit(): void {
    const { files, random32 } = this.#environment;
    const { directory } = this.#ground;
    const manifestNumber = this.#nextFileNumber++;
    writeManifest(files, directory, {
      manifestNumber,
      databaseSalt: this.#diagnosis.salt ?? random32(),
      lastSequence: this.#lastSequence,
      tables: [...this.#kept, ...this.#written],
    });
    installCurrent(files, directory, manifestNumber);
  }

  /** Takes the first names of what was put aside; CURRENT's is in use again. */
  #clear(aside: readonly string[]): void {
    const { files } = this.#environment;
    const { directory } = this.#ground;
    for (const name of aside) {
      if (name !== CURRENT_NAME && name !== CURRENT_TEMPORARY_NAME) files.remove(join(directory, name));
    }
    files.syncDirectory(directory);
  }

  #addLosses(): void {
    const { tables, isTrusted } = this.#diagnosis;
    for (const table of tables) {
      if (table.isIntact) continue;
      const isMissing = !this.#contents.files.some(({ name }) => name === tableName(table.number));
      this.#lost.push(
        ...lostPartsOf(table, isMissing, (gap, what) => {
          if (!isTrusted) return true;
          return !this.#hidden.covers(table, what) && this.#hasOlder(table, gap);
        }),
      );
    }
  }

  /** Whether there are tables that may have older versions of the gap's keys. */
  #hasOlder({ number, description }: TableExamination, gap: TableGap): boolean {
    const lost = must(description, 'a trusted table is described');
    return [...this.#kept, ...this.#written].some(
      (table) => table.number !== number && isOlder(table, lost) && overlaps(spanOf(gap), table),
    );
  }

  #report(aside: readonly string[]): RepairReport {
    const { findings, directory } = this.#ground;
    const { isSound, isTrusted, unused } = this.#diagnosis;
    const tables = [...this.#kept, ...this.#written];
    return {
      directory,
      isChanged: !isSound,
      manifest: isTrusted ? 'kept' : 'rebuilt',
      findings: findings.all,
      findingsLeftOut: findings.leftOut,
      notes: findings.notes,
      tablesKept: this.#kept.length,
      tablesReplaced: this.#rewritten.length + this.#merged,
      tablesWritten: this.#written.length,
      entries: tables.reduce((sum, { entries }) => sum + entries, 0),
      tableBytes: tables.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
      logRecords: this.#logRecords,
      hiddenKeys: this.#hidden.keys,
      lost: this.#lost,
      unusedTables: isSound ? [] : unused.map(tableName),
      lostDirectory: isSound ? null : this.#lostDirectory,
      putAside: aside,
      lastSequence: this.#lastSequence,
    };
  }
}
