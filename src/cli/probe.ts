/**
 * What `quadring probe` finds out about a machine, and about a directory on it. The caller's thread; nothing is written.
 */
import { availableParallelism, release } from 'node:os';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LOCK_NAME } from '../format/file-names.ts';
import { native, type KernelFeatures, type NativeRingDescription } from '../native.ts';
import { alignedSharedMemory } from '../main/aligned-memory.ts';
import { plainRing } from '../protocol/plain-ring.ts';
import { describeStorage, type Storage } from '../main/block-device.ts';
import { readProcessLimits, type ProcessLimits } from './process-limits.ts';

export interface ProbeReport {
  readonly linux: string;
  readonly node: string;
  /** Cores that this process may use. */
  readonly cores: number;
  readonly kernel: KernelFeatures;
  /** What a ring like those of a database obtains; null where there can be none. */
  readonly ring: NativeRingDescription | null;
  /** Why there can be none, or null. */
  readonly ringRefusal: string | null;
  readonly limits: ProcessLimits;
  /** Null where no directory was given. */
  readonly storage: (Storage & { readonly direct: DirectAlignment }) | null;
}

/** What O_DIRECT asks of addresses and offsets, in bytes; 0 where nobody says, and where there is no database yet. */
export interface DirectAlignment {
  readonly memory: number;
  readonly offset: number;
}

/** As a database with default options has them: of the foreground ring, and of a cache of 32 MiB. */
const ENTRIES = 256;
const CACHE_BYTES = 32 << 20;
const BLOCK_BYTES = 16_384;
/** Sizes of what a ring is made from, for each entry; see `NativeRingOptions`. */
const RECORD_WORDS = 8;
const NAMES_BYTES = 128;
const COMPLETION_WORDS = 4 * 3;

/** Throws an Error with `code` ENOENT where neither the directory is there nor any above it. */
export function probe(directory: string | undefined): ProbeReport {
  const kernel = native.probeKernel();
  const ring = tryRing(kernel.refusal);
  return {
    linux: release(),
    node: process.version,
    cores: availableParallelism(),
    kernel,
    ring: typeof ring === 'string' ? null : ring,
    ringRefusal: typeof ring === 'string' ? ring : null,
    limits: readProcessLimits(),
    storage: directory === undefined ? null : probeDirectory(nearestExisting(resolve(directory))),
  };
}

/** A database that is not there yet will be made where the folder above it is. */
function nearestExisting(path: string): string {
  let found = path;
  while (!existsSync(found) && dirname(found) !== found) found = dirname(found);
  return found;
}

function probeDirectory(path: string): ProbeReport['storage'] {
  // The kernel says it of files only, and every database has this one.
  const file = join(path, LOCK_NAME);
  const direct = existsSync(file) ? native.directAlignment(file) : { memory: 0, offset: 0 };
  return { ...describeStorage(path), direct };
}

/** A small ring can be had where one of a database's size cannot. */
function tryRing(refusal: string | null): NativeRingDescription | string {
  if (refusal !== null) return refusal;
  try {
    return probeRing();
  } catch (error) {
    if (error instanceof Error && (error as NodeJS.ErrnoException).syscall !== undefined)
      return error.message;
    throw error;
  }
}

function probeRing(): NativeRingDescription {
  const eventfd = native.createEventfd();
  try {
    const ring = new native.Ring({
      entries: ENTRIES,
      records: new Int32Array(ENTRIES * RECORD_WORDS),
      names: new Uint8Array(ENTRIES * NAMES_BYTES),
      completions: new Int32Array(ENTRIES * COMPLETION_WORDS),
      eventfd,
      ...plainRing(),
    });
    try {
      ring.attach(0, alignedSharedMemory(CACHE_BYTES), 0, CACHE_BYTES, BLOCK_BYTES);
      return ring.describe();
    } finally {
      ring.close();
    }
  } finally {
    native.closeDescriptor(eventfd);
  }
}
