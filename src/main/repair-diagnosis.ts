/**
 * What a repair has to work with: whether the manifest can be trusted, which tables there are and what of them is sound,
 * where the logs go on. Reads only. Owner only.
 *
 * A manifest is trusted if every edit of it is there, and tables and logs do not contradict it. Then each table keeps its
 * level, and tables that it does not name are not used: a compaction had replaced them, and what it dropped must not come
 * back. One exception is what a crash left of flushes, whose numbers are above all that the manifest knows of: where logs
 * that hold the same are damaged it is adopted. Where they are whole they are what counts, as for whoever opens the
 * database; the table may be what is damaged.
 *
 * Otherwise every table is used that is there, but for those of which an edit that is left says that it was replaced.
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { CURRENT_NAME, tableName } from '../format/file-names.ts';
import { FILE_NUMBER_OPEN_MAX } from '../format/limits.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { highestNumber, type DirectoryContents } from './directory-contents.ts';
import { addUnexplained, Findings } from './findings.ts';
import { SaltVotes } from './log-salt.ts';
import { PieceReader } from './piece-reader.ts';
import { isOfUnfinishedRecovery } from './recovery.ts';
import { readUnnamedMeta } from './table-tails.ts';
import { TableExaminer, type ExaminationGround, type TableExamination } from './table-examination.ts';
import { descriptionOf } from './table-tally.ts';
import { verifyLogs } from './verify-logs.ts';
import { verifyCurrent, verifyManifest, type VerifiedManifest } from './verify-manifest.ts';
import { placed, verifyOrder } from './verify-order.ts';
import type { ManifestState } from './version-set.ts';

export interface Diagnosis {
  /** Nothing is to be repaired. */
  readonly isSound: boolean;
  /** Whether the manifest says which tables there are, and at which levels. */
  readonly isTrusted: boolean;
  /** With the manifest's description, where it is trusted. */
  readonly tables: readonly TableExamination[];
  /** Tables that are there and are not used. */
  readonly unused: readonly number[];
  /** What logs are seeded with; undefined: they cannot be read. */
  readonly salt: number | undefined;
  readonly logNumbers: readonly number[];
  readonly logEnds: ReadonlyMap<number, number>;
  /** Everything up to it is in tables. */
  readonly flushedSequence: number;
  /** The last number that was recorded; nothing says that there was none behind it. */
  readonly recordedSequence: number;
  /** The last number that tables, logs or the manifest know of, as they are. */
  readonly lastSequence: number;
  readonly nextFileNumber: number;
}

/** What edits that are left of manifests say, though there may have been others. */
class Evidence {
  readonly replaced = new Set<number>();
  salt: number | undefined;
  logNumber = 0;
  flushedSequence = 0;
  lastSequence = 0;
  nextFileNumber = 0;

  add({ edits }: VerifiedManifest): void {
    for (const edit of edits) {
      if (edit.databaseSalt !== undefined) this.salt = edit.databaseSalt;
      this.logNumber = Math.max(this.logNumber, edit.logNumber ?? 0);
      this.flushedSequence = Math.max(this.flushedSequence, edit.flushedSequence ?? 0);
      this.lastSequence = Math.max(this.lastSequence, edit.lastSequence ?? 0);
      // No database comes to more: what claims it would leave no numbers for what is to be written.
      if ((edit.nextFileNumber ?? 0) <= FILE_NUMBER_OPEN_MAX)
        this.nextFileNumber = Math.max(this.nextFileNumber, edit.nextFileNumber ?? 0);
      const added = new Set(edit.added.map(({ number }) => number));
      // One that the same edit adds again only changed its level.
      for (const { number } of edit.deleted) if (!added.has(number)) this.replaced.add(number);
    }
  }
}

/** Rejects with UNKNOWN_FORMAT, ABORTED, or what the system says where that is no damage. */
export async function diagnose(ground: ExaminationGround, contents: DirectoryContents): Promise<Diagnosis> {
  const diagnosis = await new Diagnostician(ground, contents).run();
  const unknown = ground.findings.all.find(({ code }) => code === 'UNKNOWN_FORMAT');
  if (unknown === undefined) return diagnosis;
  // It is not damaged: whoever knows it reads it.
  const message = `nothing was changed, since not everything is known to this release: ${unknown.message}`;
  throw new QuadringError('UNKNOWN_FORMAT', message, { file: unknown.file });
}

class Diagnostician {
  readonly #ground: ExaminationGround;
  readonly #contents: DirectoryContents;
  readonly #examiner: TableExaminer;
  readonly #tableNumbers: readonly number[];
  readonly #evidence = new Evidence();
  readonly #examined = new Set<number>();
  readonly #described = new Map<number, TableDescription | undefined>();

  constructor(ground: ExaminationGround, contents: DirectoryContents) {
    this.#ground = ground;
    this.#contents = contents;
    this.#examiner = new TableExaminer(ground);
    this.#tableNumbers = contents.files.filter(({ kind }) => kind === 'table').map(({ number }) => number);
  }

  async run(): Promise<Diagnosis> {
    const manifest = await this.#manifestInForce();
    const trusted = manifest === undefined ? undefined : await this.#trust(manifest.state);
    return trusted ?? this.#rebuild();
  }

  /** The one whose edits are all there; undefined if that cannot be said of any. */
  async #manifestInForce(): Promise<VerifiedManifest | undefined> {
    const ground = this.#ground;
    const named = verifyCurrent(ground, []);
    const numbers = this.#contents.files
      .filter(({ kind }) => kind === 'manifest')
      .map(({ number }) => number);
    const whole: VerifiedManifest[] = [];
    for (const number of numbers) {
      // What is wrong with one that is not in force is no finding.
      const findings = number === named ? ground.findings : new Findings(true);
      const manifest = await verifyManifest({ ...ground, findings }, this.#contents, number, []);
      if (manifest === undefined) continue;
      this.#evidence.add(manifest);
      if (manifest.isWhole && (named === undefined || number === named)) whole.push(manifest);
    }
    if (named !== undefined && !numbers.includes(named)) {
      const file = join(ground.directory, CURRENT_NAME);
      ground.findings.add({
        code: 'CURRENT_CORRUPT',
        message: 'CURRENT names a manifest that is missing',
        file,
      });
    }
    // A manifest that was begun and never installed stays behind one that goes on: the file numbers tell.
    const [first] = whole.sort(
      (a, b) =>
        b.state.nextFileNumber - a.state.nextFileNumber || b.state.manifestNumber - a.state.manifestNumber,
    );
    return first;
  }

  /** Undefined where the files contradict the manifest. */
  async #trust(state: ManifestState): Promise<Diagnosis | undefined> {
    const ground = this.#ground;
    const before = ground.findings.count;
    const logs = await verifyLogs(ground, this.#contents, state, true, []);
    const areSound = ground.findings.count === before;
    const leftovers = this.#leftovers(state);
    const isHeldByLogs = ({ number, createdAtSequence }: TableDescription): boolean =>
      createdAtSequence <= logs.wholeTo ||
      (areSound && isOfUnfinishedRecovery(this.#contents, state, number));
    // One that is adopted makes the logs' records before it superfluous: it is all of them or none.
    const adopted = leftovers.every(isHeldByLogs) ? [] : leftovers;
    for (const { number, createdAtSequence } of adopted) {
      const file = join(ground.directory, tableName(number));
      // As verification says it, and open, which does not take the table's part.
      if (areSound && createdAtSequence > logs.lastSequence)
        addUnexplained(ground.findings, file, createdAtSequence, logs.lastSequence);
    }
    const known: TableDescription[] = [...state.tables, ...adopted];
    const examined: TableExamination[] = [];
    for (const description of known) {
      examined.push(slim(await this.#examiner.examine(description.number, description)));
      this.#examined.add(description.number);
    }
    const names = new Set([...known, ...leftovers].map(({ number }) => number));
    const unnamed = this.#tableNumbers.filter((number) => !names.has(number));
    const isMissing = known.some(({ number }) => !this.#tableNumbers.includes(number));
    if (isMissing && unnamed.some((number) => this.#mayBeNeeded(number))) return undefined;
    const beforeOrder = ground.findings.count;
    const intact = new Set(examined.filter(({ isIntact }) => isIntact).map(({ number }) => number));
    await verifyOrder(ground, placed(known.filter(({ number }) => intact.has(number))));
    if (ground.findings.count > beforeOrder) return undefined;
    const flushedSequence = Math.max(
      state.flushedSequence,
      ...adopted.map(({ createdAtSequence }) => createdAtSequence),
    );
    const last = Math.max(logs.lastSequence, flushedSequence);
    if (unnamed.some((number) => this.#isAhead(number, logs.wholeTo, last))) return undefined;
    return {
      isSound: ground.findings.count === 0,
      isTrusted: true,
      tables: examined,
      unused: this.#tableNumbers.filter((number) => !known.some((table) => table.number === number)),
      salt: state.databaseSalt,
      logNumbers: this.#logNumbers(state.logNumber),
      logEnds: state.logEnds,
      flushedSequence,
      recordedSequence: state.lastSequence,
      lastSequence: last,
      nextFileNumber: Math.max(state.nextFileNumber, highestNumber(this.#contents) + 1),
    };
  }

  /** Tables that flushes made and no manifest came to name, oldest first, each beginning behind what is flushed. */
  #leftovers({ tables, flushedSequence }: ManifestState): TableDescription[] {
    const named = new Set(tables.map(({ number }) => number));
    const found = this.#tableNumbers
      .filter((number) => !named.has(number))
      .map((number) => this.#describe(number))
      .filter((table) => table !== undefined)
      .filter(({ level, smallestSequence }) => level === 0 && smallestSequence > flushedSequence)
      .sort((a, b) => a.smallestSequence - b.smallestSequence || b.number - a.number);
    const leftovers: TableDescription[] = [];
    let flushed = flushedSequence;
    for (const table of found) {
      if (table.smallestSequence <= flushed) continue;
      leftovers.push(table);
      flushed = table.createdAtSequence;
    }
    return leftovers;
  }

  /** What a table that nothing names says of itself; undefined if it is no whole one. */
  #describe(number: number): TableDescription | undefined {
    if (!this.#described.has(number)) this.#described.set(number, this.#readDescription(number));
    return this.#described.get(number);
  }

  #readDescription(number: number): TableDescription | undefined {
    const { fileSystem, directory, findings } = this.#ground;
    try {
      const found = readUnnamedMeta(fileSystem, directory, number);
      if (found === undefined) return undefined;
      const { properties } = found.meta;
      return descriptionOf(number, properties.level, found.fileBytes, properties);
    } catch (error) {
      findings.addSystemError(join(directory, tableName(number)), error);
      return undefined;
    }
  }

  /** Whether the table may hold what a table that is missing held: nothing says that it was replaced. */
  #mayBeNeeded(number: number): boolean {
    return !this.#evidence.replaced.has(number) && this.#describe(number) !== undefined;
  }

  /**
   * Whether a table that is not adopted was made when more was in tables than the manifest knows of and logs still hold,
   * though nothing says that it was replaced: then edits are missing at the manifest's end.
   */
  #isAhead(number: number, wholeTo: number, last: number): boolean {
    const table = this.#describe(number);
    if (table === undefined || this.#evidence.replaced.has(number)) return false;
    return table.createdAtSequence > (table.level === 0 ? last : wholeTo);
  }

  /** Without a manifest: what tables and logs say of themselves. */
  async #rebuild(): Promise<Diagnosis> {
    const ground = this.#ground;
    const evidence = this.#evidence;
    const unused = this.#tableNumbers.filter((number) => evidence.replaced.has(number));
    const tables: TableExamination[] = [];
    // What is wrong with those that were looked at has been said.
    const again = new TableExaminer({ ...ground, findings: new Findings(true) });
    let { flushedSequence } = evidence;
    for (const number of this.#tableNumbers) {
      if (evidence.replaced.has(number)) continue;
      const examiner = this.#examined.has(number) ? again : this.#examiner;
      const table = await examiner.examine(number);
      tables.push(slim(table));
      const createdAt = table.tail?.properties?.createdAtSequence ?? 0;
      flushedSequence = Math.max(flushedSequence, createdAt, table.tally.largestSequence);
    }
    const logNumbers = this.#logNumbers(evidence.logNumber);
    if (ground.findings.count === 0) {
      const message = 'the tables that are there are not those that the manifest knows of';
      ground.findings.add({ code: 'MANIFEST_CORRUPT', message, file: ground.directory });
    }
    return {
      isSound: false,
      isTrusted: false,
      tables,
      unused,
      salt: evidence.salt ?? (await this.#saltOfLogs()),
      logNumbers,
      logEnds: new Map(),
      flushedSequence,
      recordedSequence: evidence.lastSequence,
      lastSequence: Math.max(flushedSequence, evidence.lastSequence),
      nextFileNumber: Math.max(evidence.nextFileNumber, highestNumber(this.#contents) + 1),
    };
  }

  /** Logs that are not needed any more were seeded with the same number. */
  async #saltOfLogs(): Promise<number | undefined> {
    const { fileSystem, directory, breather, findings } = this.#ground;
    const votes = new SaltVotes();
    for (const { kind, name } of this.#contents.files) {
      if (kind !== 'log') continue;
      const file = join(directory, name);
      try {
        const reader = new PieceReader(fileSystem.openFile(file));
        try {
          await votes.add(reader, breather);
        } finally {
          reader.close();
        }
      } catch (error) {
        findings.addSystemError(file, error);
      }
    }
    return votes.winner;
  }

  /** Oldest first. */
  #logNumbers(from: number): number[] {
    return this.#contents.files
      .filter(({ kind, number }) => kind === 'log' && number >= from)
      .map(({ number }) => number)
      .sort((a, b) => a - b);
  }
}

/** What is needed of a table that is intact: not its index, nor its filter, which all tables' together may be too large. */
function slim(table: TableExamination): TableExamination {
  const { tail, isIntact } = table;
  if (!isIntact || tail === undefined) return table;
  return { ...table, blocks: [], tail: { ...tail, index: undefined, filter: undefined } };
}
