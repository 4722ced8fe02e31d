/**
 * Verification: every byte of every file of a database that nobody has open, changing nothing. Owner only.
 *
 *     CURRENT ─ manifest ─ tables, each by itself ─ all of them together ─ logs ─ files that nothing names
 *
 * It runs on the caller's thread with plain reads, on purpose: it must work where a database cannot be opened, or no ring
 * be had; what it costs is mostly the looking, not the reading; and files are read from beginning to end, which the kernel
 * reads ahead of. Every few milliseconds the event loop has a turn.
 */
import { join, resolve } from 'node:path';
import { QuadringError } from '../errors.ts';
import { CURRENT_TEMPORARY_NAME } from '../format/file-names.ts';
import { Breather } from './breather.ts';
import { checkNames } from './call-options.ts';
import { garbageFiles, listDirectory, type DirectoryContents } from './directory-contents.ts';
import { takeLock } from './directory-lock.ts';
import type { Environment } from './environment.ts';
import type { DirectoryLock } from './file-system.ts';
import { addUnexplained, Findings } from './findings.ts';
import { translated } from './io-errors.ts';
import { checkSequencesLeft } from './manifest-checks.ts';
import { isOfUnfinishedRecovery, sequenceKnownTo } from './recovery.ts';
import { TableExaminer, type ExaminationGround, type TableExamination } from './table-examination.ts';
import { verifyLogs } from './verify-logs.ts';
import { verifyCurrent, verifyManifest } from './verify-manifest.ts';
import { placed, verifyOrder } from './verify-order.ts';
import type { VerifiedFile, VerifyReport } from './verify-report.ts';
import type { ManifestState } from './version-set.ts';

export interface VerifyOptions {
  /** How long to wait for the directory's lock, in milliseconds. Default 2000. */
  readonly lockTimeoutMs?: number;
  /** Ends it within some milliseconds, with ABORTED. */
  readonly signal?: AbortSignal;
}

export type OfflineEnvironment = Pick<Environment, 'fileSystem' | 'now' | 'delay'>;

const LOCK_TIMEOUT_MS = 2000;
/** Of one that is to be written over, and of one that came before those in force. */
const SPARE_LOG_MESSAGE = 'all that this log ever held is in tables';

/**
 * Rejects where nothing can be said: INVALID_ARGUMENT, PARENT_MISSING, NOT_FOUND, NOT_A_DATABASE, LOCKED, READ_ONLY (the lock
 * cannot be taken), ABORTED or IO_ERROR (of the directory).
 */
export async function verifyDatabase(
  environment: OfflineEnvironment,
  path: string,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const { signal, lockTimeoutMs } = checkOfflineOptions(path, options);
  const directory = resolve(path);
  const before = translated(directory, () => listDirectory(environment.fileSystem, directory));
  checkHoldsDatabase(before, directory);
  const lock = await lockFor(before, directory, lockTimeoutMs, environment);
  try {
    const ground = {
      fileSystem: environment.fileSystem,
      directory,
      breather: new Breather(signal),
      findings: new Findings(),
    };
    await ground.breather.breathe();
    const contents = translated(directory, () => listDirectory(ground.fileSystem, directory));
    checkHoldsDatabase(contents, directory);
    const wasLocked = lock !== 'read-only' && lock.isHeld;
    return await new Verification(ground, contents, wasLocked).run();
  } finally {
    if (lock !== 'read-only') lock.release();
  }
}

const OPTION_NAMES = new Set(['lockTimeoutMs', 'signal']);

/** Throws INVALID_ARGUMENT. */
export function checkOfflineOptions(
  path: string,
  options: VerifyOptions,
  names: ReadonlySet<string> = OPTION_NAMES,
): { readonly lockTimeoutMs: number; readonly signal: AbortSignal | undefined } {
  if (typeof path !== 'string' || path === '' || path.includes('\0'))
    throw new QuadringError('INVALID_ARGUMENT', 'the directory must be a path');
  checkNames(options, names);
  const { lockTimeoutMs = LOCK_TIMEOUT_MS, signal } = options;
  if (!Number.isFinite(lockTimeoutMs) || lockTimeoutMs < 0)
    throw new QuadringError('INVALID_ARGUMENT', 'lockTimeoutMs must be a number of milliseconds');
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new QuadringError('INVALID_ARGUMENT', 'signal must be an AbortSignal');
  return { lockTimeoutMs, signal };
}

/** Throws NOT_FOUND. What a crash leaves of a database that was being created is none yet: a manifest at most. */
export function checkHoldsDatabase({ present, files }: DirectoryContents, directory: string): void {
  const isNeeded = (kind: string): boolean => kind === 'current' || kind === 'table' || kind === 'log';
  if (present && files.some(({ kind }) => isNeeded(kind))) return;
  throw new QuadringError('NOT_FOUND', `${directory} holds no database`, { path: directory });
}

/** Where there is no lock file none is made; and nobody can change anything on a read-only file system. */
async function lockFor(
  { files }: DirectoryContents,
  directory: string,
  timeoutMs: number,
  environment: OfflineEnvironment,
): Promise<DirectoryLock | 'read-only'> {
  const use = files.some(({ kind }) => kind === 'lock') ? 'look' : 'bare';
  try {
    return await takeLock(directory, timeoutMs, environment, use);
  } catch (error) {
    const cause =
      error instanceof QuadringError ? (error.cause as { code?: unknown } | undefined) : undefined;
    if (cause?.code === 'EROFS') return 'read-only';
    throw error;
  }
}

class Verification {
  readonly #ground: ExaminationGround;
  readonly #contents: DirectoryContents;
  readonly #wasLocked: boolean;
  readonly #files: VerifiedFile[] = [];
  #entries = 0;
  #tableBytes = 0;
  #lastSequence = 0;

  constructor(ground: ExaminationGround, contents: DirectoryContents, wasLocked: boolean) {
    this.#ground = ground;
    this.#contents = contents;
    this.#wasLocked = wasLocked;
  }

  async run(): Promise<VerifyReport> {
    const ground = this.#ground;
    const number = verifyCurrent(ground, this.#files);
    const manifest =
      number === undefined ? undefined : await verifyManifest(ground, this.#contents, number, this.#files);
    if (manifest?.isWhole === true) {
      await this.#verifyNamed(manifest.state);
    } else {
      await this.#verifyEach(manifest?.state);
    }
    const { findings } = ground;
    return {
      directory: ground.directory,
      isSound: findings.count === 0,
      findings: findings.all,
      findingsLeftOut: findings.leftOut,
      notes: findings.notes,
      notesLeftOut: findings.notesLeftOut,
      files: this.#files,
      manifest: this.#files.find(({ kind }) => kind === 'manifest')?.file,
      entries: this.#entries,
      tableBytes: this.#tableBytes,
      lastSequence: this.#lastSequence,
      wasLocked: this.#wasLocked,
    };
  }

  /** What the version in force names, and then what nothing names. */
  async #verifyNamed(state: ManifestState): Promise<void> {
    const ground = this.#ground;
    const examiner = new TableExaminer(ground);
    const intact = [];
    for (const description of state.tables) {
      const examined = await examiner.examine(description.number, description);
      this.#noteTable(examined, true);
      if (examined.isIntact) intact.push(description);
    }
    await verifyOrder(ground, placed(intact));
    const logs = await verifyLogs(ground, this.#contents, state, true, this.#files);
    this.#lastSequence = logs.lastSequence;
    try {
      checkSequencesLeft(state, logs.lastSequence, ground.directory);
    } catch (error) {
      if (!(error instanceof QuadringError)) throw error;
      const code = error.code === 'LOG_CORRUPT' ? error.code : 'MANIFEST_CORRUPT';
      ground.findings.add({ code, message: error.message, file: ground.directory });
    }
    this.#noteUnnamed(state);
  }

  /** Without a manifest that says which files belong together, each by itself. */
  async #verifyEach(state: ManifestState | undefined): Promise<void> {
    const ground = this.#ground;
    const examiner = new TableExaminer(ground);
    for (const { kind, number } of this.#contents.files) {
      if (kind === 'table') this.#noteTable(await examiner.examine(number), true);
    }
    if (state !== undefined && state.databaseSalt !== 0) {
      const open = { ...state, logEnds: new Map<number, number>(), cleanClose: false };
      const logs = await verifyLogs(ground, this.#contents, open, false, this.#files);
      this.#lastSequence = logs.lastSequence;
      return;
    }
    for (const { kind, name } of this.#contents.files) {
      if (kind !== 'log') continue;
      const message = 'a log cannot be checked without the number that the manifest has for that';
      ground.findings.note({ code: 'UNCHECKED', message, file: join(ground.directory, name) });
    }
  }

  #noteTable({ number, file, fileBytes, tail, blocks, tally }: TableExamination, isNamed: boolean): void {
    this.#entries += tally.entries;
    this.#tableBytes += fileBytes;
    this.#files.push({
      file,
      kind: 'table',
      number,
      bytes: fileBytes,
      isNamed,
      checkedBytes: fileBytes,
      paddingBytes: tail?.paddingBytes ?? 0,
      staleBytes: 0,
      blocks: blocks.length,
      entries: tally.entries,
      rangeTombstones: tail?.properties?.rangeTombstones ?? 0,
    });
  }

  /**
   * A table that no version names is what a crash left of a flush, and the logs still hold all of it: if they do not, the
   * manifest lost the edit that named it, unless a recovery did not come to its end (see recovery.ts).
   */
  #noteUnnamed(state: ManifestState): void {
    const { fileSystem, directory, findings } = this.#ground;
    const named = this.#files.filter(({ kind }) => kind === 'log');
    if (this.#contents.files.some(({ name }) => name === CURRENT_TEMPORARY_NAME)) {
      const file = join(directory, CURRENT_TEMPORARY_NAME);
      findings.note({ code: 'UNNAMED', message: 'it never came to be CURRENT', file });
    }
    for (const { kind, number, name } of garbageFiles(
      this.#contents,
      state.manifestNumber,
      state.tables,
      named,
    )) {
      const file = join(directory, name);
      const bytes = fileSystem.status(file)?.bytes ?? 0;
      this.#files.push({
        file,
        kind,
        number,
        bytes,
        isNamed: false,
        checkedBytes: 0,
        paddingBytes: 0,
        staleBytes: bytes,
      });
      const known = kind === 'table' ? this.#sequenceKnownTo(number, file) : undefined;
      const isExplained =
        known === undefined ||
        known <= this.#lastSequence ||
        isOfUnfinishedRecovery(this.#contents, state, number);
      if (isExplained) {
        const message = kind === 'log' ? SPARE_LOG_MESSAGE : 'no version names it';
        findings.note({ code: 'UNNAMED', message, file });
        continue;
      }
      addUnexplained(findings, file, known, this.#lastSequence);
    }
  }

  #sequenceKnownTo(number: number, file: string): number | undefined {
    const { fileSystem, directory, findings } = this.#ground;
    try {
      return sequenceKnownTo(fileSystem, directory, number);
    } catch (error) {
      if (error instanceof QuadringError && error.code === 'UNKNOWN_FORMAT') {
        findings.add({ code: 'UNKNOWN_FORMAT', message: error.message, file });
      } else {
        findings.addSystemError(file, error);
      }
      return undefined;
    }
  }
}
