/**
 * What the storage below a database, and the kernel, have made of its settings, and why: for `stats()`. Owner only.
 *
 * The disks are looked at when somebody asks for the first time, in /proc and /sys: about a millisecond.
 */
import { readFileSync } from 'node:fs';
import { native } from '../native.ts';
import type { RingDescription } from '../protocol/ring-thread-task.ts';
import type { BlockDevice, Storage } from './block-device.ts';
import type { Settings } from './options.ts';
import type { StorageUse } from './storage-use.ts';

const HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/enabled';
const MEBIBYTE = 1024 * 1024;
const NOT_ASKED_FOR = 'not asked for';
const AS_ASKED_FOR = 'as the option says';
const WITH_SYSTEM_CALLS = 'files are read and written with system calls';

export interface SettledSetting {
  /** The option's name, or what stands for it in the documentation. */
  readonly setting: string;
  readonly value: string | number | boolean;
  readonly reason: string;
}

export interface StorageStatistics {
  /** As /proc/self/mountinfo has it, `ext4` for example; null: not known. */
  readonly fileSystem: string | null;
  /** The disks at the bottom, which do the work. */
  readonly disks: readonly BlockDevice[];
  /** Why there may be more below than these, or null. */
  readonly gap: string | null;
  /** What came of settings that depend on the disks, the file system or the kernel. */
  readonly settings: readonly SettledSetting[];
}

export interface SettledGround {
  readonly settings: Settings;
  readonly use: StorageUse;
  readonly rings: readonly RingDescription[];
  /** What the ring threads read into and write from. */
  readonly pool: Uint8Array;
}

export function storageStatistics(ground: SettledGround): StorageStatistics {
  const storage = ground.use.describe();
  return {
    fileSystem: storage.fileSystem ?? null,
    disks: storage.disks,
    gap: storage.gap ?? null,
    settings: [
      directSetting(ground, storage),
      iopollSetting(ground, storage),
      sqpollSetting(ground),
      prioritySetting(ground, storage),
      durableWrites(storage),
      hugePages(ground),
    ],
  };
}

function directSetting({ settings, use }: SettledGround, { fileSystem }: Storage): SettledSetting {
  const where = fileSystem ?? 'the file system';
  const found = use.directIo ? `${where} takes it` : `${where} does not take pages of 4 KiB with O_DIRECT`;
  const reason = settings.io.direct === 'auto' ? found : AS_ASKED_FOR;
  return { setting: 'io.direct', value: use.directIo, reason };
}

/** Whether completions are polled for, and why not although it was asked for: the disk cannot, or a ring. */
export function polledCompletions(
  use: StorageUse,
  rings: readonly RingDescription[],
): { readonly polls: boolean; readonly refusal: string | null } {
  if (use.polledBytesMax === 0) return { polls: false, refusal: use.pollingRefusal };
  const refused = rings.find(({ pollerRefusal }) => pollerRefusal !== null)?.pollerRefusal;
  const refusal = withoutRings(rings) ?? refused ?? null;
  return { polls: refusal === null, refusal };
}

/** What is of io_uring is not there, and no ring says why. */
function withoutRings(rings: readonly RingDescription[]): string | undefined {
  return rings.some(({ backend }) => backend === 'syscall') ? WITH_SYSTEM_CALLS : undefined;
}

function iopollSetting({ settings, use, rings }: SettledGround, { disks }: Storage): SettledSetting {
  const { polls, refusal } = polledCompletions(use, rings);
  const reason = settings.io.pollsCompletions
    ? (refusal ?? `${namesOf(disks)} can be polled, up to ${use.polledBytesMax} bytes at once`)
    : NOT_ASKED_FOR;
  return { setting: 'io.iopoll', value: polls, reason };
}

function sqpollSetting({ settings, rings }: SettledGround): SettledSetting {
  const refused = rings.find(({ pollingRefusal }) => pollingRefusal !== null)?.pollingRefusal;
  const refusal = withoutRings(rings) ?? refused;
  const reason = settings.io.polling === 'off' ? NOT_ASKED_FOR : (refusal ?? 'the kernel allows it');
  return { setting: 'io.sqpoll', value: rings.some(({ flags }) => flags.includes('SQPOLL')), reason };
}

function prioritySetting({ settings, rings }: SettledGround, { disks }: Storage): SettledSetting {
  const setting = 'compaction.priority';
  if (settings.compaction.ioPriority !== 'idle')
    return { setting, value: 'best-effort', reason: AS_ASKED_FOR };
  const refusal = rings.find(({ idlePriorityRefusal }) => idlePriorityRefusal !== null)?.idlePriorityRefusal;
  if (refusal !== undefined && refusal !== null) return { setting, value: 'best-effort', reason: refusal };
  return { setting, value: 'idle', reason: schedulersOf(disks) };
}

function schedulersOf(disks: readonly BlockDevice[]): string {
  if (disks.length === 0) return 'whether a scheduler looks at it is not known';
  return disks
    .map(({ name, scheduler }) => {
      if (scheduler === undefined) return `${name} does not say which scheduler it has`;
      return scheduler === 'none'
        ? `${name} has no scheduler, so it makes no difference`
        : `${name} has ${scheduler}`;
    })
    .join('; ');
}

/** Not an option: what RWF_DSYNC comes down to, which decides how long a durable write takes. */
function durableWrites({ disks }: Storage): SettledSetting {
  const setting = 'durable writes';
  const known = disks.every(({ hasVolatileCache }) => hasVolatileCache !== undefined);
  if (disks.length === 0 || !known) return { setting, value: 'unknown', reason: 'the disk does not say' };
  const cached = disks.filter(({ hasVolatileCache }) => hasVolatileCache === true);
  if (cached.length === 0) {
    return {
      setting,
      value: 'written',
      reason: `${namesOf(disks)} has no cache that a loss of power empties`,
    };
  }
  const flushed = cached.filter(({ writesThrough }) => writesThrough !== true);
  if (flushed.length === 0) {
    return { setting, value: 'written through', reason: `${namesOf(cached)} has a volatile cache, and FUA` };
  }
  const reason = `${namesOf(flushed)} has a volatile cache and no FUA: each durable write flushes all of it`;
  return { setting, value: 'written and flushed', reason };
}

function hugePages({ settings, pool }: SettledGround): SettledSetting {
  const setting = 'hugePages';
  const bytes = hugePageBytesOf(pool);
  const value = bytes < 0 ? 'unknown' : bytes;
  if (settings.hugePages === 'off') return { setting, value, reason: NOT_ASKED_FOR };
  if (bytes < 0) return { setting, value, reason: 'the kernel does not say' };
  const text = `${bytes / MEBIBYTE} of ${pool.length / MEBIBYTE} MiB of cache and buffers`;
  return { setting, value, reason: bytes > 0 ? text : `${text}: ${hugePagesRefusal()}` };
}

function hugePagesRefusal(): string {
  try {
    const choice = readFileSync(HUGE_PAGES, 'utf8');
    return choice.includes('[never]') ? `${HUGE_PAGES} says never` : 'the kernel had none to give';
  } catch {
    return 'the kernel has no transparent huge pages';
  }
}

const hugePagesSeen = new WeakMap<Uint8Array, number>();

/** On kernels that take milliseconds to say it is kept: what is registered with a ring stays as it is. */
function hugePageBytesOf(pool: Uint8Array): number {
  const bytes = hugePagesSeen.get(pool) ?? native.hugePageBytes(pool, false);
  if (bytes >= 0) return bytes;
  const thorough = native.hugePageBytes(pool, true);
  hugePagesSeen.set(pool, thorough);
  return thorough;
}

function namesOf(disks: readonly BlockDevice[]): string {
  return disks.map(({ name }) => name).join(', ');
}
