/**
 * When a process is killed: at a moment of chance, or right after the kernel says that a file of one kind was changed, in
 * the middle of what the engine does there. inotify tells of a change some hundred microseconds later, and what it tells
 * of is over by then; chance adds up to as much again, so that the writes, syncs and renames that follow are met as well.
 */
import { watch } from 'node:fs';
import type { Random } from './random.ts';

/** What is changed when the kill comes; 'clock' is whatever happens to be. */
export const AIMS = ['clock', 'log', 'table', 'manifest', 'CURRENT'] as const;
export type AimKind = (typeof AIMS)[number];

export interface KillAim {
  readonly kind: AimKind;
  /** Of the clock: so long after the process has begun its work. Otherwise: when the file was not changed so often. */
  readonly afterMs: number;
  /** The kill follows this change of such a file, counted from 1. */
  readonly change: number;
  /** And comes so much later. */
  readonly delayUs: number;
}

const NAMES: Readonly<Record<Exclude<AimKind, 'clock'>, RegExp>> = {
  log: /\.wal$/,
  table: /\.sst$/,
  manifest: /^MANIFEST-/,
  CURRENT: /^CURRENT/,
};
/** How many changes may go by. Logs are written all the time; a manifest for each table, CURRENT with each opening. */
const CHANGES_MAX = { clock: 1, log: 30, table: 12, manifest: 3, CURRENT: 2 };
const DELAY_US_MAX = 300;
/** What was aimed at may not happen at all: so much longer than a kill by the clock at most. */
const PATIENCE = 1.5;

export function clockAim(afterMs: number): KillAim {
  return { kind: 'clock', afterMs, change: 1, delayUs: 0 };
}

/** Every other kill is one by the clock. A process that writes seldom opens: CURRENT is for those that recover. */
export function aimOf(random: Random, isRecovering: boolean, msMax: number): KillAim {
  const kinds = isRecovering ? AIMS : AIMS.slice(0, -1);
  const kind = random.oneIn(2) ? 'clock' : kinds[random.below(kinds.length)];
  return {
    kind,
    afterMs: kind === 'clock' ? random.below(msMax) : PATIENCE * msMax,
    change: 1 + random.below(CHANGES_MAX[kind]),
    delayUs: random.below(DELAY_US_MAX),
  };
}

/**
 * Calls `kill` once, when the aim says so, with whether what was aimed at was met. REQUIRES: the directory exists.
 * Returns what gives it up.
 */
export function takeAim(directory: string, aim: KillAim, kill: (isMet: boolean) => void): () => void {
  const { kind, afterMs, delayUs } = aim;
  const timer = setTimeout(() => fire(kind === 'clock'), afterMs);
  let changesLeft = aim.change;
  const watcher =
    kind === 'clock'
      ? undefined
      : watch(directory, (_, name) => {
          if (changesLeft === 0 || name === null || !NAMES[kind].test(name)) return;
          if (--changesLeft > 0) return;
          // Timers are too coarse for this.
          const until = performance.now() + delayUs / 1000;
          while (performance.now() < until);
          fire(true);
        });
  const giveUp = (): void => {
    clearTimeout(timer);
    watcher?.close();
  };
  const fire = (isMet: boolean): void => {
    changesLeft = 0;
    giveUp();
    kill(isMet);
  };
  return giveUp;
}
