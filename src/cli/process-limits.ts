/**
 * What the system allows this process that rings depend on: locked memory, descriptors, io_uring itself. Owner only; reads
 * /proc and /sys. Undefined is what they do not say.
 */
import { readFileSync } from 'node:fs';

export type Limit = number | 'unlimited';

export interface ProcessLimits {
  /** Bytes that a user without CAP_IPC_LOCK may lock, of all processes together. */
  readonly lockedMemoryBytes: Limit | undefined;
  /** CAP_IPC_LOCK: that limit does not matter. */
  readonly mayLockAnything: boolean | undefined;
  readonly openFiles: Limit | undefined;
  /** kernel.io_uring_disabled: 0 for all, 1 for a group and the privileged, 2 for nobody. Undefined before Linux 6.6. */
  readonly uringDisabled: number | undefined;
  /** A filter of system calls is in force, which may refuse those of io_uring. */
  readonly isFiltered: boolean | undefined;
  /** always, madvise or never: whether memory that is asked for it gets huge pages. */
  readonly hugePages: string | undefined;
}

const CAP_IPC_LOCK = 14n;

/** Where the kernel says it; tests have files of their own. */
export interface LimitFiles {
  readonly limits: string;
  readonly status: string;
  readonly uringDisabled: string;
  readonly hugePages: string;
}

export const limitFiles: LimitFiles = {
  limits: '/proc/self/limits',
  status: '/proc/self/status',
  uringDisabled: '/proc/sys/kernel/io_uring_disabled',
  hugePages: '/sys/kernel/mm/transparent_hugepage/enabled',
};

export function readProcessLimits(files: LimitFiles = limitFiles): ProcessLimits {
  const limits = textOf(files.limits);
  const status = textOf(files.status);
  const capabilities = field(status, /^CapEff:\s*([0-9a-f]+)$/m);
  const filter = field(status, /^Seccomp:\s*(\d)$/m);
  const disabled = field(textOf(files.uringDisabled), /^(\d)$/m);
  return {
    lockedMemoryBytes: limitOf(field(limits, /^Max locked memory\s+(\S+)/m)),
    mayLockAnything:
      capabilities === undefined ? undefined : ((BigInt(`0x${capabilities}`) >> CAP_IPC_LOCK) & 1n) === 1n,
    openFiles: limitOf(field(limits, /^Max open files\s+(\S+)/m)),
    uringDisabled: disabled === undefined ? undefined : Number(disabled),
    isFiltered: filter === undefined ? undefined : filter !== '0',
    hugePages: field(textOf(files.hugePages), /\[(\w+)\]/),
  };
}

function field(text: string | undefined, pattern: RegExp): string | undefined {
  return text === undefined ? undefined : pattern.exec(text)?.[1];
}

function limitOf(text: string | undefined): Limit | undefined {
  return text === undefined ? undefined : text === 'unlimited' ? text : Number(text);
}

/** A container need not show any of them. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
