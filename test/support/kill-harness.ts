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
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { nodeFileSystem } from '../../src/main/file-system.ts';
import { garbageFiles, inspectDirectory } from '../../src/main/directory-contents.ts';
import { readManifest } from '../../src/main/recovery.ts';
import { liveAndDie } from './kill-child-process.ts';
import { Oracle, OracleFailure } from './kill-oracle.ts';
import { ACKNOWLEDGED, OPENED, SUBMITTING, type KillRecord } from './kill-protocol.ts';
import { ABSENT_KEY_COUNT, KEY_COUNT, keyOf, optionsOf, Workload } from './kill-workload.ts';
import { mix, Random } from './random.ts';

export interface KillRunOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly backend: 'auto' | 'uring' | 'syscall';
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
  /** Write operations by what became of them. */
  acknowledged: number;
  keptUnacknowledged: number;
  dropped: number;
  replayedRecords: number;
  tornFrames: number;
  milliseconds: number;
  /** Backend that the databases had. */
  backend: string;
}

/** A cycle failed. The message has all that is known, the command that replays it and the directory it left. */
export class KillCycleFailure extends Error {
  override readonly name = 'KillCycleFailure';
}

const WRITE_MS_MAX = 300;
const RECOVERY_MS_MAX = 150;
/** Log files an open, idle database may have beside the live ones: active, prepared, and two to be used again. */
const SPARE_LOGS_MAX = 4;

export async function runKillCycles(options: KillRunOptions): Promise<KillTotals> {
  const totals: KillTotals = {
    cycles: 0,
    kills: 0,
    recoveryKills: 0,
    killsDuringOpen: 0,
    opens: 0,
    directories: 0,
    acknowledged: 0,
    keptUnacknowledged: 0,
    dropped: 0,
    replayedRecords: 0,
    tornFrames: 0,
    milliseconds: 0,
    backend: '',
  };
  const began = performance.now();
  for (let seed = options.seed; totals.cycles < options.cycles; seed = mix(seed + 1) >>> 0) {
    const era = new Era(seed, options.backend, totals);
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
  readonly #totals: KillTotals;
  readonly #random: Random;
  readonly #oracle = new Oracle();
  readonly #root: string;
  readonly #directory: string;
  /** The directory as the last kill left it. */
  readonly #evidence: string;

  constructor(seed: number, backend: KillRunOptions['backend'], totals: KillTotals) {
    this.#seed = seed;
    this.#backend = backend;
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
      await this.#writeAndDie(random.bits(), random.below(WRITE_MS_MAX));
      // Now and then recovery is killed, which may happen again and again; and then somebody goes on to write.
      while (random.oneIn(3)) {
        await this.#recoverAndDie(random.bits(), random.below(RECOVERY_MS_MAX));
        if (random.oneIn(4)) await this.#writeAndDie(random.bits(), random.below(WRITE_MS_MAX));
      }
      this.#keepEvidence();
      const opens = random.oneIn(4) ? 2 : 1;
      for (let i = 0; i < opens; i++) await this.#verify(random.bits());
    } catch (error) {
      throw this.#failure(cycle, error as Error);
    }
  }

  async #writeAndDie(seed: number, killAfterMs: number): Promise<void> {
    this.#oracle.begin(new Workload(seed));
    await this.#liveAndDie('write', seed, killAfterMs);
  }

  async #recoverAndDie(seed: number, killAfterMs: number): Promise<void> {
    this.#oracle.begin(undefined);
    const opened = await this.#liveAndDie('recover', seed, killAfterMs);
    this.#totals.recoveryKills++;
    if (!opened) this.#totals.killsDuringOpen++;
  }

  /** Resolves with whether the child had opened the database when it was killed. */
  async #liveAndDie(kind: 'write' | 'recover', seed: number, killAfterMs: number): Promise<boolean> {
    const scratch = join(this.#root, 'scratch');
    const task = { kind, directory: this.#directory, scratch, seed, options: this.#options(seed) };
    let opened = false;
    await liveAndDie(task, killAfterMs, (record) => {
      opened ||= record.kind === OPENED;
      this.#onRecord(record);
    });
    rmSync(scratch, { recursive: true, force: true });
    this.#totals.kills++;
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

  /** Opens the database here and holds all of it against the oracle. */
  async #verify(seed: number): Promise<void> {
    this.#oracle.begin(undefined);
    const database = await Database.open(this.#directory, this.#options(seed));
    let liveLogs: number;
    try {
      const { backend, lastSequence, recovery } = database.stats();
      this.#totals.backend = backend;
      this.#onOpened(lastSequence, recovery.replayedRecords, recovery.tornFrames);
      await this.#checkContents(database);
      liveLogs = database.stats().log.live;
    } finally {
      await database.close();
    }
    this.#checkFiles(liveLogs);
  }

  async #checkContents(database: Database): Promise<void> {
    const keys = Array.from({ length: KEY_COUNT + ABSENT_KEY_COUNT }, (_, key) => key);
    const found = await Promise.all(keys.map((key) => database.get(keyOf(key))));
    const target = Buffer.alloc(512);
    for (const key of keys) {
      const value = found[key];
      this.#oracle.check(key, value, 'get');
      this.#oracle.check(key, database.getSync(keyOf(key)), 'getSync');
      const length = database.getInto(keyOf(key), target);
      const copied = target.subarray(0, Math.max(0, Math.min(length, target.length)));
      if (length !== (value?.length ?? -1) || value?.subarray(0, target.length).equals(copied) === false) {
        throw new OracleFailure(
          `key ${key} has ${length} bytes by getInto, ${value?.length ?? 'none'} by get`,
        );
      }
    }
  }

  /** After a close, the directory has what the manifest names, the logs of the moment, and nothing else. */
  #checkFiles(liveLogs: number): void {
    const contents = inspectDirectory(nodeFileSystem, this.#directory);
    const { manifestNumber, tables } = readManifest(nodeFileSystem, this.#directory, contents);
    const garbage = garbageFiles(contents, manifestNumber, tables, []);
    const logs = garbage.filter(({ kind }) => kind === 'log');
    const other = garbage.filter(({ kind }) => kind !== 'log');
    if (other.length > 0) {
      throw new OracleFailure(`no version names ${other.map(({ name }) => name).join(', ')}`);
    }
    if (logs.length > liveLogs + SPARE_LOGS_MAX) {
      const names = logs.map(({ name }) => name).join(', ');
      throw new OracleFailure(`${liveLogs} logs are live, but there are ${names}`);
    }
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
    return optionsOf(seed, this.#backend);
  }

  #failure(cycle: number, cause: Error): KillCycleFailure {
    const replay = `npm run kill -- --cycles ${cycle} --seed ${this.#seed} --backend ${this.#backend}`;
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
    `cycles                  ${cycles} on ${totals.backend}, in ${directories} directories`,
    `processes killed        ${kills}, of which ${recoveryKills} while they recovered or closed (${killsDuringOpen} in their first open)`,
    `opens compared          ${opens}`,
    `writes acknowledged     ${acknowledged}; missing 0, torn 0`,
    `writes unacknowledged   ${keptUnacknowledged} kept, ${dropped} not`,
    `torn frames cut         ${totals.tornFrames}`,
    `records replayed        ${totals.replayedRecords}`,
    `mean time of a cycle    ${Math.round(milliseconds / Math.max(cycles, 1))} ms`,
  ];
}
