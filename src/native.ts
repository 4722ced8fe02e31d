/**
 * The addon, loaded and typed. Any thread: each environment gets its own instance of the classes; what is shared
 * between threads (a signal, an eventfd) is named by a number.
 *
 * `native/` holds the C++ side. It knows rings, system calls, checksums, LZ4, locks and probes, and no database.
 *
 * `QUADRING_ADDON=<path>` loads that file instead of the package's own build: one made with sanitizers, for example.
 */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a ring is made from. The arrays belong to the caller; the addon keeps references to them. */
export interface NativeRingOptions {
  /** Submission entries, a power of two from 8 to 256. */
  readonly entries: number;
  /** `entries` records of 8 words; see `workers/ring.ts` for their layout. */
  readonly records: Int32Array;
  /** `entries` × 128 bytes: two NUL-terminated file names of at most 63 bytes for each record. */
  readonly names: Uint8Array;
  /** {user data, result, buffer} triples; at least 4 × `entries` of them. See `workers/ring.ts`. */
  readonly completions: Int32Array;
  /** Read through the ring while it waits, so that `wakeEventfd` ends the wait. */
  readonly eventfd: number;
  /** False leaves out SINGLE_ISSUER and, with it, DEFER_TASKRUN. */
  readonly singleIssuer: boolean;
  /** A thread of the kernel that takes what is submitted (SQPOLL); null: the ring enters the kernel itself. */
  readonly polling: NativePolling | null;
  /** The kernel's own threads that carry out what would block; null: as it likes. */
  readonly workers: NativeWorkers | null;
  /** A second ring for reads and writes with FLAG_POLLED, whose completions are polled for (IOPOLL). */
  readonly pollsCompletions: boolean;
  /** Where it is given: the kernel writes to it when there are completions, or some that the ring's thread has to come by for. */
  readonly notifiedEventfd?: number;
  /** The addon counts here; see `protocol/ring-counters.ts`. Other threads may read it. */
  readonly counters: Float64Array;
}

export interface NativeWorkers {
  /** At most so many that read and write, and so many that do anything else; 0: as many as the kernel likes. */
  readonly threadsMax: number;
  /** The cores that they may run on; empty: all. */
  readonly cpus: readonly number[];
}

export interface NativePolling {
  /** The thread goes to sleep when it has found nothing for so long; from 1 on. */
  readonly idleMilliseconds: number;
  /** The core that it is bound to, or −1. */
  readonly cpu: number;
  /** `descriptor` of a ring of this process whose thread serves this one as well, or −1: it has one of its own. */
  readonly sharedWith: number;
}

export interface NativeRingDescription {
  /** Names of the set-up flags obtained, e.g. `['SINGLE_ISSUER', 'DEFER_TASKRUN']`; empty for system calls. */
  readonly flags: readonly string[];
  readonly entries: number;
  readonly completionEntries: number;
  /** Of the ring in this process, or −1. */
  readonly descriptor: number;
  /** Why no thread of the kernel polls although one was asked for, or null. */
  readonly pollingRefusal: string | null;
  /** As `flags`, of the ring whose completions are polled for; empty where there is none. */
  readonly pollerFlags: readonly string[];
  /** Why there is none although one was asked for, or null. */
  readonly pollerRefusal: string | null;
  /** How many threads of the kernel may read and write for the ring where that would block it; 0: it does not say. */
  readonly workersMax: number;
  /** Why these threads are not as they were asked for, or null. */
  readonly workersRefusal: string | null;
  /** Bytes that are registered as fixed buffers. */
  readonly registeredBytes: number;
  /** Why less than asked for was registered, or null. */
  readonly registrationRefusal: string | null;
  /** How many files may be open in the ring's own table, without a descriptor of the process; 0: they have descriptors. */
  readonly fixedFiles: number;
  /** Why there is no such table, or null. */
  readonly fixedFilesRefusal: string | null;
  /** How many buffers can be lent at once; 0 where a READ with FLAG_SELECT reads into its own. */
  readonly providedBuffers: number;
  /** Why the kernel has none although `selectBytes` asked for them, or null. */
  readonly providedBuffersRefusal: string | null;
  /** Whether a READ or WRITE with FLAG_IDLE gets the idle I/O priority. */
  readonly idlePriority: boolean;
  /** Why not, or null. */
  readonly idlePriorityRefusal: string | null;
}

/** One io_uring (class `Ring`), or the same operations as blocking system calls (class `SystemCalls`). */
export interface NativeRing {
  /**
   * Makes `memory` addressable as `region` (0–15) by records, and registers `fixedLength` bytes of it from
   * `fixedOffset` as fixed buffers (both multiples of 1 MiB; 0 registers nothing). Replaces what the region was.
   * Nothing may be in flight.
   *
   * `selectBytes` is the size of the buffers that a READ with FLAG_SELECT lends: a multiple of 4096 up to 1 MiB, or 0
   * for none. One region of a ring may have it at a time, and attaching that one again drops whatever was lent.
   */
  attach(
    region: number,
    memory: Uint8Array,
    fixedOffset: number,
    fixedLength: number,
    selectBytes: number,
  ): void;
  /**
   * Submits records 0 … count − 1, enters the kernel once, and returns how many completions it wrote. Waits up to
   * `waitMicroseconds` (0: not at all) for at least one completion or a wake-up.
   */
  turn(count: number, waitMicroseconds: number): number;
  describe(): NativeRingDescription;
  /** Waits until nothing is in flight (bounded), then gives the ring back, and closes files that it opened and did not close. */
  close(): void;
}

export interface NativeLock {
  /** Descriptor that holds the lock; closing it releases. */
  readonly descriptor: number;
  /** 0, or the pid that the lock file names when another holder was found. */
  readonly holder: number;
}

/** What a kernel's io_uring has. Of set-ups and registrations: null, or the errno's name that each was refused with. */
export interface KernelFeatures {
  /** Version of the liburing whose headers the addon was compiled with, `2.9` for example, or `before 2.4`. */
  readonly liburing: string;
  /** Why there can be no ring at all, or null. All else is empty then. */
  readonly refusal: string | null;
  /** By the names of flags; a name with `with` is a combination. */
  readonly setUps: Readonly<Record<string, string | null>>;
  readonly registrations: Readonly<Record<string, string | null>>;
  /** Only those that rings use or might. */
  readonly operations: Readonly<Record<string, boolean>>;
  readonly features: Readonly<Record<string, boolean>>;
}

export interface Native {
  /** Tries everything on small rings that are given back at once; takes some milliseconds. */
  probeKernel(): KernelFeatures;
  /**
   * Rings of this process that were closed with something in flight, by a thread that ended for example: the kernel may still
   * write into memory that was attached to them.
   */
  undrainedRings(): number;
  readonly Ring: new (options: NativeRingOptions) => NativeRing;
  readonly SystemCalls: new (options: NativeRingOptions) => NativeRing;
  /** CRC-32C (Castagnoli) of `bytes[start, end)`, continuing from `seed` (0 to begin); unsigned. */
  crc32c(bytes: Uint8Array, start: number, end: number, seed: number): number;
  /** Which implementation `crc32c` uses: 'sse4.2', 'armv8' or 'portable'. */
  readonly crc32cImplementation: string;
  /** The portable one, so that tests can hold both against each other. */
  crc32cPortable(bytes: Uint8Array, start: number, end: number, seed: number): number;
  /**
   * Copies `source[start, end)` to `target` at `at`; the two may overlap. `set` copies shared memory in steps of a word. Throws
   * a RangeError where the source has less or the target no room. Of what somebody writes to the source meanwhile any bytes may be
   * copied.
   */
  copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void;
  /** How long an LZ4 block of `length` bytes (0 to 2,113,929,216) may be at most. */
  lz4CompressBound(length: number): number;
  /**
   * Compresses `source[start, end)` into an LZ4 block at `target[targetStart, targetEnd)`; the bytes written, or 0 when
   * it does not fit, which cannot be where there is room for `lz4CompressBound` of them. Nothing becomes a block of one
   * byte. The ranges must not overlap. The rest of the target's range may hold anything afterwards.
   */
  lz4Compress(
    source: Uint8Array,
    start: number,
    end: number,
    target: Uint8Array,
    targetStart: number,
    targetEnd: number,
  ): number;
  /**
   * Decompresses the LZ4 block `source[start, end)` into `target[targetStart, targetEnd)`; the bytes produced, or −1 when
   * it is malformed or does not fit. Whatever the block is, nothing outside the two ranges is read or written. But this is
   * no checksum: a damaged block may decompress, to other bytes. The ranges must not overlap. The rest of the target's
   * range may hold anything afterwards, and all of it after a failure.
   */
  lz4Decompress(
    source: Uint8Array,
    start: number,
    end: number,
    target: Uint8Array,
    targetStart: number,
    targetEnd: number,
  ): number;
  /**
   * Asks for time slices of that length (1 to 100 000 µs) for the calling thread: short ones let it run sooner when it wakes
   * up, for the same share of the time. Without effect before Linux 6.12. Throws an Error with `code` where the kernel
   * refuses.
   */
  setTimeSlice(microseconds: number): void;
  createEventfd(): number;
  wakeEventfd(descriptor: number): void;
  closeDescriptor(descriptor: number): void;
  /**
   * Calls `callback` on this thread's event loop after any thread called `signal` with the id returned. Several
   * signals before the callback runs may be joined. Does not keep the process alive until `referSignal(id, true)`.
   */
  createSignal(callback: () => void): number;
  /** Any thread. A signal that is closed, or whose environment is gone, is ignored. */
  signal(id: number): void;
  /** Owner's thread only: whether the signal keeps the event loop alive. */
  referSignal(id: number, keepAlive: boolean): void;
  closeSignal(id: number): void;
  /**
   * Calls `callback` from this thread's event loop after the eventfd was written to, and sets it back to 0; it does not block
   * its readers any more. Does not keep the process alive. Ends with `unwatch(id)`, before the eventfd is closed.
   */
  watchEventfd(eventfd: number, callback: () => void): number;
  /** One that is not there is ignored. */
  unwatch(id: number): void;
  /**
   * Opens (creating, mode 0600) and locks `path` exclusively without waiting, and writes this process's pid into it.
   * `descriptor` is −1 when somebody else holds it. Throws an Error with `code` and `errno` on any other failure.
   */
  lockFile(path: string): NativeLock;
  /** The same of a directory, in which nothing is changed, and whose holder is not known: 0. Null where it cannot be locked. */
  lockDirectory(path: string): NativeLock | null;
  /** Asks the kernel to use huge pages for `memory` (madvise); 0 or a negative errno. */
  adviseHugePages(memory: Uint8Array): number;
  /**
   * Bytes of `memory` that lie on huge pages now, or −1: unknown. Before Linux 6.7 that is known only to whoever is
   * `thorough`, which takes milliseconds.
   */
  hugePageBytes(memory: Uint8Array, thorough: boolean): number;
  /** Alignment in bytes that O_DIRECT needs for `path` (statx STATX_DIOALIGN): memory and offset; 0 where unknown. */
  directAlignment(path: string): { readonly memory: number; readonly offset: number };
}

/** The package's own directory: the nearest one above this module that has a package.json. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

const require = createRequire(import.meta.url);

function findAddon(): string {
  const other = process.env['QUADRING_ADDON'];
  if (other !== undefined && other !== '') return resolve(other);
  const search = require('node-gyp-build') as { readonly resolve: (directory: string) => string };
  try {
    return search.resolve(packageRoot());
  } catch (cause) {
    const message =
      'quadring has no addon here: a package manager that runs no scripts of packages has to be told to run this one’s ' +
      '(`npm rebuild quadring`), which compiles it where no prebuilt one fits';
    throw new Error(message, { cause });
  }
}

/** Where the addon is. Other threads are told by `QUADRING_ADDON`, so that they need not look for it. */
export const addonFile: string = findAddon();

export const native: Native = require(addonFile) as Native;
