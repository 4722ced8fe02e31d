/**
 * Kill cycles: a process writes and is killed, perhaps others recover and are killed, then the database is opened here
 * and held against the oracle (kill-oracle.ts: the fault, and what is promised). State accumulates in one directory
 * over an era of a few cycles; then a fresh directory begins the next era.
 *
 * Everything follows from a seed but the exact moments of the kills, which depend on the machine as well. An era's seed
 * alone gives that era: so a failure is replayed by running the first cycles of a run that has the era's seed.
 */
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settle } from '../../bench/support/settled-tree.ts';
import { CURRENT_TEMPORARY_NAME } from '../../src/format/file-names.ts';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { aimOf, AIMS, type AimKind } from './kill-aim.ts';
import { liveAndDie } from './kill-child-process.ts';
import { checkContents } from './kill-contents.ts';
import { checkFiles, checkFilesOfOpen } from './kill-files.ts';
import { Oracle } from './kill-oracle.ts';
import {
  ACKNOWLEDGED,
  OPENED,
  SUBMITTING,
  workOf,
  WORKED,
  type KillRecord,
  type Work,
} from './kill-protocol.ts';
import { optionsOf, Workload, type WorkloadKind } from './kill-workload.ts';
import { mix, Random } from './random.ts';

export interface KillRunOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly backend: 'auto' | 'uring' | 'syscall';
  readonly workload: WorkloadKind;
  readonly onCycle?: (cycle: number, totals: KillTotals) => void;
}

export interface KillTotals {
  cycles: number;
  /** Processes killed; those that recovered among them. */
  kills: number;
  recoveryKills: number;
  /** Kills before the first open of a recovering process was done. */
  killsDuringOpen: number;
  /** Opens that were compared with the oracle, here and in children. */
  opens: number;
  directories: number;
  /** Kills by what was aimed at and met (kill-aim.ts); of the others nothing was aimed at, or it did not come. */
  readonly aimed: Record<AimKind, number>;
  /** Kills that left a CURRENT.tmp: in the middle of the switch from one manifest to the next. */
  killsDuringSwitch: number;
  /** Write operations by what became of them. */
  acknowledged: number;
  keptUnacknowledged: number;
  dropped: number;
  replayedRecords: number;
  tornFrames: number;
  /** What the writing processes had done since their last open, as of their last reports before they were killed. */
  flushes: number;
  compactions: number;
  /** Kills of processes whose last report was that a compaction was under way. */
  killsDuringCompaction: number;
  /** Opens that were left to bring the levels to rest, and what they compacted. */
  settles: number;
  settlingCompactions: number;
  milliseconds: number;
  workload: WorkloadKind;
  /** Backend that the databases had. */
  backend: string;
}

/** A cycle failed. The message has all that is known, the command that replays it and the directory it left. */
export class KillCycleFailure extends Error {
  override readonly name = 'KillCycleFailure';
}

/** Compactions need some time to begin with. */
const WRITE_MS_MAX = { mixed: 300, compaction: 800 };
const RECOVERY_MS_MAX = 150;
/** How long nothing must be compacted until a database has settled, more than any of the workload waits; and a bound. */
const SETTLING = { quietMs: 150, limitMs: 60_000 };
/** Of the opens that verify: always the same, so that they hand their threads on. Starting some costs more than the rest. */
const SHAPE = { writeBufferBytes: 65_536, blockBytes: 16_384, blockCacheBytes: 4 * 1024 * 1024 };

export async function runKillCycles(options: KillRunOptions): Promise<KillTotals> {
  const totals: KillTotals = {
    cycles: 0,
    kills: 0,
    recoveryKills: 0,
    killsDuringOpen: 0,
    opens: 0,
    directories: 0,
    aimed: { clock: 0, log: 0, table: 0, manifest: 0, CURRENT: 0 },
    killsDuringSwitch: 0,
    acknowledged: 0,
    keptUnacknowledged: 0,
    dropped: 0,
    replayedRecords: 0,
    tornFrames: 0,
    flushes: 0,
    compactions: 0,
    killsDuringCompaction: 0,
    settles: 0,
    settlingCompactions: 0,
    milliseconds: 0,
    workload: options.workload,
    backend: '',
  };
  const began = performance.now();
  for (let seed = options.seed; totals.cycles < options.cycles; seed = mix(seed + 1) >>> 0) {
    const era = new Era(seed, options, totals);
    const length = Math.min(era.length, options.cycles - totals.cycles);
    for (let cycle = 1; cycle <= length; cycle++) {
      await era.cycle(cycle);
      totals.cycles++;
      totals.milliseconds = performance.now() - began;
      options.onCycle?.(totals.cycles, totals);
    }
    era.remove();
  }
  return totals;
}

/** A directory and what happens to it until the next one is begun. */
class Era {
  readonly length: number;
  readonly #seed: number;
  readonly #backend: KillRunOptions['backend'];
  readonly #workload: WorkloadKind;
  readonly #totals: KillTotals;
  readonly #random: Random;
  readonly #oracle = new Oracle();
  readonly #root: string;
  readonly #directory: string;
  /** The directory as the last kill left it. */
  readonly #evidence: string;

  constructor(seed: number, { backend, workload }: KillRunOptions, totals: KillTotals) {
    this.#seed = seed;
    this.#backend = backend;
    this.#workload = workload;
    this.#totals = totals;
    this.#random = new Random(seed);
    this.length = this.#random.between(3, 12);
    this.#root = mkdtempSync(join(tmpdir(), 'quadring-kill-'));
    this.#directory = join(this.#root, 'database');
    this.#evidence = join(this.#root, 'as-the-kill-left-it');
    totals.directories++;
  }

  remove(): void {
    rmSync(this.#root, { recursive: true });
  }

  async cycle(cycle: number): Promise<void> {
    try {
      const random = this.#random;
      await this.#writeAndDie(random.bits());
      // Now and then recovery is killed, which may happen again and again; and then somebody goes on to write.
      while (random.oneIn(3)) {
        await this.#recoverAndDie(random.bits());
        if (random.oneIn(4)) await this.#writeAndDie(random.bits());
      }
      this.#keepEvidence();
      const opens = random.oneIn(4) ? 2 : 1;
      for (let i = 0; i < opens; i++) await this.#verify(random.bits());
      if (this.#workload === 'compaction' && random.oneIn(2)) await this.#settle(random.bits());
    } catch (error) {
      throw this.#failure(cycle, error as Error);
    }
  }

  async #writeAndDie(seed: number): Promise<void> {
    this.#oracle.begin(new Workload(seed, this.#workload));
    await this.#liveAndDie('write', seed, WRITE_MS_MAX[this.#workload]);
  }

  async #recoverAndDie(seed: number): Promise<void> {
    this.#oracle.begin(undefined);
    const opened = await this.#liveAndDie('recover', seed, RECOVERY_MS_MAX);
    this.#totals.recoveryKills++;
    if (!opened) this.#totals.killsDuringOpen++;
  }

  /** Resolves with whether the child had opened the database when it was killed. */
  async #liveAndDie(kind: 'write' | 'recover', seed: number, msMax: number): Promise<boolean> {
    const scratch = join(this.#root, 'scratch');
    const options = this.#options(seed);
    const task = { kind, workload: this.#workload, directory: this.#directory, scratch, seed, options };
    let opened = false;
    let work: Work | undefined;
    const random = this.#random;
    const aim = aimOf(random, kind === 'recover', msMax);
    const isMet = await liveAndDie(task, aim, (record) => {
      opened ||= record.kind === OPENED;
      if (record.kind === WORKED) work = workOf(record);
      else this.#onRecord(record);
    });
    rmSync(scratch, { recursive: true, force: true });
    this.#totals.kills++;
    if (isMet) this.#totals.aimed[aim.kind]++;
    if (readdirSync(this.#directory).includes(CURRENT_TEMPORARY_NAME)) this.#totals.killsDuringSwitch++;
    this.#totals.flushes += work?.flushes ?? 0;
    this.#totals.compactions += work?.compactions ?? 0;
    if (work?.isCompacting === true) this.#totals.killsDuringCompaction++;
    return opened;
  }

  #onRecord({ kind, index, lastSequence, tornFrames }: KillRecord): void {
    if (kind === SUBMITTING) this.#oracle.submitting(index);
    else if (kind === ACKNOWLEDGED) this.#oracle.acknowledged(index);
    else if (kind === OPENED) this.#onOpened(lastSequence, index, tornFrames);
  }

  #onOpened(lastSequence: number, replayedRecords: number, tornFrames: number): void {
    const { acknowledged, keptUnacknowledged, dropped } = this.#oracle.opened(lastSequence);
    const totals = this.#totals;
    totals.opens++;
    totals.acknowledged += acknowledged;
    totals.keptUnacknowledged += keptUnacknowledged;
    totals.dropped += dropped;
    totals.replayedRecords += replayedRecords;
    totals.tornFrames += tornFrames;
  }

  /** Opens the database here, as the kill left it, and holds all of it against the oracle. */
  async #verify(seed: number): Promise<void> {
    const options = { ...this.#options(seed), ...SHAPE };
    await this.#useAndCheck({ ...options, compaction: { ...options.compaction, automatic: false } }, () =>
      Promise.resolve(),
    );
  }

  /** Has everything compacted that there is to compact, and holds what that leaves against the oracle. */
  async #settle(seed: number): Promise<void> {
    await this.#useAndCheck({ ...this.#options(seed), ...SHAPE }, async (database) => {
      await settle(database, SETTLING);
      this.#totals.settles++;
      this.#totals.settlingCompactions += database.stats().compactions.compactions;
    });
  }

  /** REQUIRES: compacts nothing once it has been used. */
  async #useAndCheck(options: DatabaseOptions, use: (database: Database) => Promise<void>): Promise<void> {
    this.#oracle.begin(undefined);
    const database = await Database.open(this.#directory, options);
    let liveLogs: number;
    try {
      const { backend, lastSequence, recovery } = database.stats();
      this.#totals.backend = backend;
      this.#onOpened(lastSequence, recovery.replayedRecords, recovery.tornFrames);
      await use(database);
      await checkFilesOfOpen(this.#directory, database);
      await checkContents(database, this.#oracle);
      liveLogs = database.stats().log.live;
    } finally {
      await database.close();
    }
    checkFiles(this.#directory, liveLogs);
  }

  /** What is looked at when a cycle fails: opening a database changes it. Tables never change, so links do for them. */
  #keepEvidence(): void {
    rmSync(this.#evidence, { recursive: true, force: true });
    mkdirSync(this.#evidence);
    for (const name of readdirSync(this.#directory)) {
      const copy = name.endsWith('.sst') ? linkSync : copyFileSync;
      copy(join(this.#directory, name), join(this.#evidence, name));
    }
  }

  #options(seed: number): DatabaseOptions {
    return optionsOf(seed, this.#workload, this.#backend);
  }

  #failure(cycle: number, cause: Error): KillCycleFailure {
    const replay = `npm run kill -- --workload ${this.#workload} --cycles ${cycle} --seed ${this.#seed} --backend ${this.#backend}`;
    const message = [
      `kill cycle ${cycle} of the directory begun with seed ${this.#seed}: ${cause.message}`,
      `replay (the moments of the kills will differ): ${replay}`,
      `kept: ${this.#directory}`,
      `and, if the kill was the cycle's last: ${this.#evidence}`,
    ];
    return new KillCycleFailure(message.join('\n'), { cause });
  }
}

/** The figures of a run, for people. */
export function describeTotals(totals: KillTotals): string[] {
  const { cycles, kills, recoveryKills, killsDuringOpen, opens, directories, milliseconds } = totals;
  const { acknowledged, keptUnacknowledged, dropped } = totals;
  return [
    `cycles                  ${cycles} of the workload '${totals.workload}' on ${totals.backend}, in ${directories} directories`,
    `processes killed        ${kills}, of which ${recoveryKills} while they recovered or closed (${killsDuringOpen} in their first open)`,
    `killed right after     ${AIMS.map((kind) => `${kind === 'clock' ? 'some time' : `a change of ${kind}`}: ${totals.aimed[kind]}`).join(', ')}; ${totals.killsDuringSwitch} left a CURRENT.tmp`,
    `opens compared          ${opens}`,
    `writes acknowledged     ${acknowledged}; missing 0, torn 0`,
    `writes unacknowledged   ${keptUnacknowledged} kept, ${dropped} not`,
    `torn frames cut         ${totals.tornFrames}`,
    `records replayed        ${totals.replayedRecords}`,
    `flushes, compactions    ${totals.flushes}, ${totals.compactions} in processes that were killed; ${totals.killsDuringCompaction} killed during a compaction`,
    `brought to rest         ${totals.settles} times, by ${totals.settlingCompactions} compactions`,
    `files                   none that no version names, after ${opens} opens and as many closes`,
    `mean time of a cycle    ${Math.round(milliseconds / Math.max(cycles, 1))} ms`,
  ];
}
