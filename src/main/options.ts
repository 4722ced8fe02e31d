/** What `Database.open` may be told, checked and completed. Pure. */
import { availableParallelism } from 'node:os';
import { must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { isCompressionAvailable, type CompressionName } from '../format/compression.ts';
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, LEVEL_COUNT } from '../format/limits.ts';
import { MEBIBYTE, SLOTS_AT } from '../protocol/crew-layout.ts';
import { LEVEL0_INPUTS_MAX } from './compaction-inputs.ts';
import { compactionPolicyOf, type CompactionPolicy } from './compaction-policy.ts';
import type { RateSetting } from './compaction-rate.ts';
import type { ThrottleLimits } from './write-throttle.ts';

export interface SqpollOptions {
  /** The thread of the kernel sleeps when it has found nothing for so many milliseconds, 1 to 60,000. Default 1. */
  readonly idleMs?: number;
  /** The core that it is bound to. Default: none. */
  readonly cpu?: number;
}

export interface IoOptions {
  /** 'auto' uses io_uring where the kernel allows it and plain system calls elsewhere; `stats()` says which and why. Default 'auto'. */
  readonly backend?: 'auto' | 'uring' | 'syscall';
  /** O_DIRECT for tables, logs and the manifest; 'auto' where the file system takes it. Default 'auto'. */
  readonly direct?: 'auto' | boolean;
  /** IORING_SETUP_SINGLE_ISSUER and, with it, DEFER_TASKRUN. Default true. */
  readonly singleIssuer?: boolean;
  /**
   * A thread of the kernel polls for what the rings submit, one for all of them (IORING_SETUP_SQPOLL): no system call for a
   * submission, and a core that is busy for as long as anything happens. Of use where there are more cores than threads;
   * `stats()` says whether the kernel allows it. Default false.
   */
  readonly sqpoll?: boolean | SqpollOptions;
  /**
   * Completions of reads, and before Linux 6.6 of the log's writes, are polled for (IORING_SETUP_IOPOLL): the thread asks the
   * disk again and again in place of sleeping until an interrupt. Of use with fast NVMe disks whose driver has queues for it
   * (`nvme.poll_queues`), O_DIRECT, and cores to spare. Elsewhere `stats()` says why not. Default false.
   */
  readonly iopoll?: boolean;
  /**
   * The kernel's own threads that carry out for a ring what would block it: opens, renames, syncs, and reads through the page
   * cache. `max` is how many each ring may have of those that read and write, and of the others, 1 to 1024; `cpus` the cores
   * that they may run on. Default: as the kernel likes.
   */
  readonly workers?: { readonly max?: number; readonly cpus?: readonly number[] };
  /** Entries of each ring, a power of two from 64 to 256. Default 256 for reads, 64 for the others. */
  readonly queueDepth?: number;
  /** Longest adaptive spin before a thread sleeps, in microseconds, 0 to 1000. Default 0. */
  readonly spinMicroseconds?: number;
  /** What is short is read and written on a ring of the calling thread's own; not on system calls, with `sqpoll` or `iopoll`. Default true. */
  readonly callerRing?: boolean;
}

export interface ReadAheadOptions {
  /** Most bytes that a scan has ahead of it in each table, 0 to 64 MiB. Default 512 KiB. */
  readonly windowBytes?: number;
  /** Most bytes that all scans together have under way or unread, 0 to 1 GiB; never more than half of the cache. Default 8 MiB. */
  readonly totalBytes?: number;
}

export interface CompactionOptions {
  /** Whether tables are compacted without being asked to; if not, writes wait at `l0Stop` for `compactRange`. Default true. */
  readonly automatic?: boolean;
  /**
   * Bytes a second that compactions read and write at most, from 1 MiB on; 0: no limit; 'auto': as fast as writes ask for,
   * and without a limit while somebody waits for `compactRange`.
   * `Database.setCompactionRate` changes it. Default 'auto'.
   */
  readonly rateBytesPerSecond?: number | 'auto';
  /** I/O priority of compactions, where the disk's scheduler knows such a thing. Default 'idle'. */
  readonly priority?: 'idle' | 'best-effort';
  /** Tables of level 0 from which on it is compacted, 2 to 32. Default 4. */
  readonly l0Trigger?: number;
  /** Tables of level 0 from which on writes are slowed down, and at which they wait: at most 48; by default 12 and 24, and never without automatic compaction. */
  readonly l0Slowdown?: number;
  readonly l0Stop?: number;
  /** Bytes that wait to be compacted, from which on writes are slowed down, and at which they wait: by default 8 and 32 GiB, and never without automatic compaction. */
  readonly pendingSlowdownBytes?: number;
  readonly pendingStopBytes?: number;
  /** Size at which a table of a sorted level ends, 64 KiB to 1 GiB. Default: that of a memtable, at most 64 MiB. */
  readonly tableBytes?: number;
  /** What the first sorted level in use holds at most, from 64 KiB on. Default eight memtables. */
  readonly baseBytes?: number;
  /** How much more each level holds than the one above it, 2 to 100. Default 10. */
  readonly multiplier?: number;
  /** Milliseconds without a write after which the levels are brought to rest; 0: never. Default 1000. */
  readonly idleMs?: number;
  /**
   * Bytes of files of replaced tables that are kept for new tables to be written over them, until nothing has been for a
   * while, for moments twice as many; 0: files go as soon as nobody reads them. With it a hard link to a table does not keep
   * what it had. Default 'auto': 25 tables, of files from 4 MiB on.
   */
  readonly spareBytes?: number | 'auto';
}

export interface DatabaseOptions {
  /** Create the database if the directory has none. Default true. */
  readonly createIfMissing?: boolean;
  /** Refuse to open a database that exists. Default false. */
  readonly errorIfExists?: boolean;
  /** How long to wait for the directory's lock, in milliseconds. Default 2000. */
  readonly lockTimeoutMs?: number;
  /** Memory for cached blocks, in bytes; 0 reads every block from the disk. Default 32 MiB. */
  readonly blockCacheBytes?: number;
  /** Bytes of a data block, a power of two from 4 KiB to 64 KiB. Default 16 KiB. */
  readonly blockBytes?: number;
  /** Bytes of a memtable, 64 KiB to 1 GiB. There are three, in memory as they are filled. Default 32 MiB. */
  readonly writeBufferBytes?: number;
  /** Bits of a table's filter for each key, 0 (no filter) to 30; a list: by level, the last one for all below. Default 10. */
  readonly filterBitsPerKey?: number | readonly number[];
  /**
   * Compression of blocks; a list: by level, the last one for all below. 'zstd' where Node has it (from 22.15 on). Default
   * 'none'.
   */
  readonly compression?: CompressionName | readonly CompressionName[];
  readonly compaction?: CompactionOptions;
  /** Blocks read ahead of scans, which take their room from the block cache. */
  readonly readAhead?: ReadAheadOptions;
  /** Huge pages for the block cache, where the kernel gives them. Default 'auto'. */
  readonly hugePages?: 'auto' | 'off';
  readonly io?: IoOptions;
}

export interface CompactionSettings {
  readonly policy: CompactionPolicy;
  readonly throttle: ThrottleLimits;
  readonly isAutomatic: boolean;
  readonly rate: RateSetting;
  readonly ioPriority: 'idle' | 'best-effort';
  readonly idleMs: number;
  readonly spareBytes: number | 'auto';
}

export type PollingSettings = 'off' | { readonly idleMilliseconds: number; readonly cpu: number | 'any' };

/** Options with every default filled in and what follows from them. */
export interface Settings {
  readonly createIfMissing: boolean;
  readonly errorIfExists: boolean;
  readonly lockTimeoutMs: number;
  readonly blockBytes: number;
  /** By level; see `forLevel`. */
  readonly filterBitsPerKey: readonly number[];
  readonly compression: readonly CompressionName[];
  readonly compaction: CompactionSettings;
  readonly writeBufferBytes: number;
  readonly blockCacheBytes: number;
  /** Buffers of `blockBytes` that block reads land in. */
  readonly slotCount: number;
  /** Slots that scans may have for what they read ahead, and blocks that one of them reads ahead in a table. */
  readonly readAheadSlots: number;
  readonly readAheadWindow: number;
  /** Whether a block stays in its slot after the read that brought it. */
  readonly retainBlocks: boolean;
  /** Size of the shared pool, a whole number of MiB. */
  readonly poolBytes: number;
  /** Bytes of an ordinary log file. */
  readonly logBytes: number;
  /** Beyond this many bytes of live log files a memtable is flushed, however small. */
  readonly liveLogBytesMax: number;
  readonly hugePages: 'auto' | 'off';
  readonly io: {
    readonly backend: 'auto' | 'uring' | 'syscall';
    readonly direct: 'auto' | boolean;
    readonly singleIssuer: boolean;
    readonly polling: PollingSettings;
    readonly pollsCompletions: boolean;
    readonly workers: { readonly threadsMax: number; readonly cpus: readonly number[] };
    readonly foregroundEntries: number;
    readonly backgroundEntries: number;
    readonly spinMicroseconds: number;
    readonly callerRing: boolean;
  };
}

/** Memtable arenas of a crew: one active, two that wait for their flush. */
export const ARENA_COUNT = 3;

/** Block reads need somewhere to land even without a cache: this many buffers, or as many as fill one MiB. */
const SLOTS_MIN = 64;
const LOG_BYTES_MIN = MEBIBYTE;
const LOG_BYTES_MAX = 16 * MEBIBYTE;
const LIVE_LOGS_MAX = 4;
const POOL_BYTES_MAX = 1024 * MEBIBYTE;
const CACHE_BYTES_MAX = POOL_BYTES_MAX - SLOTS_AT;
const GIBIBYTE = 1024 * MEBIBYTE;
const BYTES_MAX = 2 ** 50;
/** Marks that nothing reaches. */
const NEVER_SLOW = 2 ** 51;
const NEVER_STOP = 2 ** 52;
/** Where writes do not go beyond it, a compaction can merge all of level 0 at once. */
const L0_TABLES_MAX = LEVEL0_INPUTS_MAX;

const OPTION_NAMES = new Set<string>([
  'createIfMissing',
  'errorIfExists',
  'lockTimeoutMs',
  'blockCacheBytes',
  'blockBytes',
  'writeBufferBytes',
  'filterBitsPerKey',
  'compression',
  'compaction',
  'readAhead',
  'hugePages',
  'io',
] satisfies (keyof DatabaseOptions)[]);
const COMPACTION_OPTION_NAMES = new Set<string>([
  'automatic',
  'rateBytesPerSecond',
  'priority',
  'l0Trigger',
  'l0Slowdown',
  'l0Stop',
  'pendingSlowdownBytes',
  'pendingStopBytes',
  'tableBytes',
  'baseBytes',
  'multiplier',
  'idleMs',
  'spareBytes',
] satisfies (keyof CompactionOptions)[]);
const READ_AHEAD_OPTION_NAMES = new Set<string>([
  'windowBytes',
  'totalBytes',
] satisfies (keyof ReadAheadOptions)[]);
const WORKER_OPTION_NAMES = new Set<string>(['max', 'cpus'] satisfies (keyof NonNullable<
  IoOptions['workers']
>)[]);
/** What a set of cores can name. */
const CPU_MAX = 1023;
const SQPOLL_OPTION_NAMES = new Set<string>(['idleMs', 'cpu'] satisfies (keyof SqpollOptions)[]);
const IO_OPTION_NAMES = new Set<string>([
  'backend',
  'direct',
  'singleIssuer',
  'sqpoll',
  'workers',
  'iopoll',
  'queueDepth',
  'spinMicroseconds',
  'callerRing',
] satisfies (keyof IoOptions)[]);

/** Throws `QuadringError` INVALID_ARGUMENT naming the option that is wrong, or that does not exist. */
export function resolveOptions(options: DatabaseOptions = {}): Settings {
  refuseUnknown(options, OPTION_NAMES, 'options', '');
  const io = options.io === undefined ? {} : options.io;
  refuseUnknown(io, IO_OPTION_NAMES, 'io', 'io.');
  const readAhead = options.readAhead === undefined ? {} : options.readAhead;
  refuseUnknown(readAhead, READ_AHEAD_OPTION_NAMES, 'readAhead', 'readAhead.');
  const blockBytes = powerOfTwo('blockBytes', options.blockBytes, 16_384, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
  const blockCacheBytes = integer(
    'blockCacheBytes',
    options.blockCacheBytes,
    32 * MEBIBYTE,
    0,
    CACHE_BYTES_MAX,
  );
  const writeBufferBytes = integer(
    'writeBufferBytes',
    options.writeBufferBytes,
    32 * MEBIBYTE,
    65_536,
    1 << 30,
  );
  const retainBlocks = blockCacheBytes >= blockBytes;
  const slotBytes = roundUpToMebibyte(Math.max(blockCacheBytes, Math.min(SLOTS_MIN * blockBytes, MEBIBYTE)));
  const logBytes = clamp(roundUpToMebibyte(writeBufferBytes / 2), LOG_BYTES_MIN, LOG_BYTES_MAX);
  const queueDepth = io.queueDepth;
  const { windowBytes, totalBytes } = readAhead;
  const windowMax = integer('readAhead.windowBytes', windowBytes, 512 * 1024, 0, 64 * MEBIBYTE);
  const aheadMax = integer('readAhead.totalBytes', totalBytes, 8 * MEBIBYTE, 0, 1024 * MEBIBYTE);
  const slotCount = Math.floor(slotBytes / blockBytes);
  return {
    createIfMissing: boolean('createIfMissing', options.createIfMissing, true),
    errorIfExists: boolean('errorIfExists', options.errorIfExists, false),
    lockTimeoutMs: integer('lockTimeoutMs', options.lockTimeoutMs, 2000, 0, 3_600_000),
    blockBytes,
    filterBitsPerKey: byLevel(
      'filterBitsPerKey',
      options.filterBitsPerKey,
      (name, value: number | undefined) => integer(name, value, 10, 0, 30),
    ),
    compression: byLevel('compression', options.compression, compressionNamed),
    compaction: compactionSettings(options.compaction, writeBufferBytes),
    writeBufferBytes: Math.ceil(writeBufferBytes / 65_536) * 65_536,
    blockCacheBytes,
    slotCount,
    readAheadSlots: Math.min(Math.floor(aheadMax / blockBytes), slotCount >> 1),
    readAheadWindow: Math.floor(windowMax / blockBytes),
    retainBlocks,
    poolBytes: SLOTS_AT + slotBytes,
    logBytes,
    liveLogBytesMax: Math.max(LIVE_LOGS_MAX * logBytes, 2 * roundUpToMebibyte(writeBufferBytes)),
    hugePages: choice('hugePages', options.hugePages, 'auto', ['auto', 'off']),
    io: {
      backend: choice('io.backend', io.backend, 'auto', ['auto', 'uring', 'syscall']),
      direct: choice('io.direct', io.direct, 'auto', ['auto', true, false]),
      singleIssuer: boolean('io.singleIssuer', io.singleIssuer, true),
      polling: pollingOf(io.sqpoll),
      workers: workersOf(io.workers),
      pollsCompletions: boolean('io.iopoll', io.iopoll, false),
      foregroundEntries: powerOfTwo('io.queueDepth', queueDepth, 256, 64, 256),
      backgroundEntries: powerOfTwo('io.queueDepth', queueDepth, 64, 64, 256),
      // Where cores are few the core that a spin takes is the one that the answer needs.
      spinMicroseconds:
        availableParallelism() === 1 ? 0 : integer('io.spinMicroseconds', io.spinMicroseconds, 0, 0, 1000),
      callerRing: boolean('io.callerRing', io.callerRing, true),
    },
  };
}

function pollingOf(sqpoll: IoOptions['sqpoll']): PollingSettings {
  if (sqpoll === undefined || sqpoll === false) return 'off';
  const given = sqpoll === true ? {} : sqpoll;
  refuseUnknown(given, SQPOLL_OPTION_NAMES, 'io.sqpoll', 'io.sqpoll.');
  const { idleMs, cpu } = given;
  return {
    idleMilliseconds: integer('io.sqpoll.idleMs', idleMs, 1, 1, 60_000),
    cpu: cpu === undefined ? 'any' : integer('io.sqpoll.cpu', cpu, 0, 0, CPU_MAX),
  };
}

function workersOf(workers: IoOptions['workers']): Settings['io']['workers'] {
  const given = workers === undefined ? {} : workers;
  refuseUnknown(given, WORKER_OPTION_NAMES, 'io.workers', 'io.workers.');
  const { max, cpus = [] } = given;
  if (!Array.isArray(cpus) || cpus.length > CPU_MAX) {
    throw new QuadringError('INVALID_ARGUMENT', 'io.workers.cpus must be a list of cores');
  }
  return {
    threadsMax: max === undefined ? 0 : integer('io.workers.max', max, 0, 1, 1024),
    // Not `map`, which leaves out what an array has no value for.
    cpus: Array.from(cpus as readonly (number | undefined)[], (cpu, i) =>
      integer(`io.workers.cpus[${i}]`, cpu ?? NaN, 0, 0, CPU_MAX),
    ),
  };
}

/** What a setting by level says of one of them. */
export function forLevel<T>(byLevel: readonly T[], level: number): T {
  return must(byLevel[Math.min(level, byLevel.length - 1)], 'a setting by level has a value');
}

function compactionSettings(
  options: CompactionOptions | undefined,
  writeBufferBytes: number,
): CompactionSettings {
  const given = options === undefined ? {} : options;
  refuseUnknown(given, COMPACTION_OPTION_NAMES, 'compaction', 'compaction.');
  const whole = (name: keyof CompactionOptions, fallback: number, min: number, max: number): number =>
    integer(`compaction.${name}`, given[name] as number | undefined, fallback, min, max);
  const defaults = compactionPolicyOf({ writeBufferBytes });
  const tableBytes = whole('tableBytes', defaults.tableBytes, 65_536, 1 << 30);
  const l0Trigger = whole('l0Trigger', defaults.l0Trigger, 2, 32);
  return {
    policy: {
      ...defaults,
      l0Trigger,
      baseBytes: whole('baseBytes', defaults.baseBytes, 65_536, BYTES_MAX),
      multiplier: whole('multiplier', defaults.multiplier, 2, 100),
      tableBytes,
      grandparentBytesMax: 10 * tableBytes,
      compactionBytesMax: 25 * tableBytes,
    },
    throttle: throttleLimits(given, l0Trigger, whole),
    isAutomatic: boolean('compaction.automatic', given.automatic, true),
    rate: compactionRate(given.rateBytesPerSecond),
    ioPriority: choice('compaction.priority', given.priority, 'idle', ['idle', 'best-effort']),
    idleMs: whole('idleMs', 1000, 0, 3_600_000),
    spareBytes: (given.spareBytes ?? 'auto') === 'auto' ? 'auto' : whole('spareBytes', 0, 0, BYTES_MAX),
  };
}

type WholeOption = (name: keyof CompactionOptions, fallback: number, min: number, max: number) => number;

/** Where nobody works it off unasked, writes wait only if they are told to. */
function throttleLimits(given: CompactionOptions, l0Trigger: number, whole: WholeOption): ThrottleLimits {
  const l0Slowdown = whole('l0Slowdown', Math.max(12, l0Trigger + 1), l0Trigger, L0_TABLES_MAX - 1);
  const l0Stop = whole('l0Stop', Math.min(2 * l0Slowdown, L0_TABLES_MAX), l0Slowdown + 1, L0_TABLES_MAX);
  const pendingSlowdownBytes = whole('pendingSlowdownBytes', 8 * GIBIBYTE, MEBIBYTE, BYTES_MAX - 1);
  const pendingStopBytes = whole(
    'pendingStopBytes',
    Math.min(4 * pendingSlowdownBytes, BYTES_MAX),
    pendingSlowdownBytes + 1,
    BYTES_MAX,
  );
  const isAutomatic = given.automatic !== false;
  const hasL0Marks = isAutomatic || (given.l0Slowdown ?? given.l0Stop) !== undefined;
  const hasPendingMarks = isAutomatic || (given.pendingSlowdownBytes ?? given.pendingStopBytes) !== undefined;
  return {
    l0Slowdown: hasL0Marks ? l0Slowdown : NEVER_SLOW,
    l0Stop: hasL0Marks ? l0Stop : NEVER_STOP,
    pendingSlowdownBytes: hasPendingMarks ? pendingSlowdownBytes : NEVER_SLOW,
    pendingStopBytes: hasPendingMarks ? pendingStopBytes : NEVER_STOP,
  };
}

/** Bytes a second. */
const RATE_MAX = 2 ** 40;

/** Throws INVALID_ARGUMENT. */
export function compactionRate(
  setting: number | 'auto' | undefined,
  name = 'compaction.rateBytesPerSecond',
): RateSetting {
  if (setting === undefined || setting === 'auto') return 'auto';
  if (setting === 0) return 0;
  if (Number.isInteger(setting) && setting >= MEBIBYTE && setting <= RATE_MAX) return setting;
  const message = `${name} must be 'auto', 0, or a whole number from ${MEBIBYTE} to ${RATE_MAX}`;
  throw new QuadringError('INVALID_ARGUMENT', message);
}

/** One value, or a list with one for each level, the last of which counts for all below. */
function byLevel<T>(
  name: string,
  value: T | readonly T[] | undefined,
  check: (name: string, value: T | undefined) => T,
): readonly T[] {
  if (!Array.isArray(value)) return [check(name, value as T | undefined)];
  if (value.length === 0 || value.length > LEVEL_COUNT) {
    throw new QuadringError('INVALID_ARGUMENT', `${name} must have 1 to ${LEVEL_COUNT} values`);
  }
  // Not `map`, which leaves out what an array has no value for.
  return Array.from(value as readonly (T | undefined)[], (each, level) => check(`${name}[${level}]`, each));
}

function compressionNamed(name: string, value: CompressionName | undefined): CompressionName {
  const compression = choice<CompressionName>(name, value, 'none', ['none', 'lz4', 'zstd']);
  if (!isCompressionAvailable(compression)) {
    throw new QuadringError('INVALID_ARGUMENT', `${name}: this Node has no ${compression}`);
  }
  return compression;
}

function refuseUnknown(
  options: unknown,
  known: ReadonlySet<string>,
  what: string,
  prefix: string,
): asserts options is object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new QuadringError('INVALID_ARGUMENT', `${what} must be an object`);
  }
  for (const name of Object.keys(options)) {
    if (!known.has(name))
      throw new QuadringError('INVALID_ARGUMENT', `option ${prefix}${name} does not exist`);
  }
}

function boolean(name: string, value: boolean | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean')
    throw new QuadringError('INVALID_ARGUMENT', `${name} must be true or false`);
  return value;
}

function integer(
  name: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return fallback;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new QuadringError('INVALID_ARGUMENT', `${name} must be a whole number from ${min} to ${max}`);
  }
  return value;
}

function powerOfTwo(
  name: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  const checked = integer(name, value, fallback, min, max);
  if ((checked & (checked - 1)) !== 0) {
    throw new QuadringError('INVALID_ARGUMENT', `${name} must be a power of two`);
  }
  return checked;
}

function choice<T>(name: string, value: T | undefined, fallback: T, choices: readonly T[]): T {
  if (value === undefined) return fallback;
  if (!choices.includes(value)) {
    throw new QuadringError('INVALID_ARGUMENT', `${name} must be one of ${choices.map(String).join(', ')}`);
  }
  return value;
}

function roundUpToMebibyte(bytes: number): number {
  return Math.ceil(bytes / MEBIBYTE) * MEBIBYTE;
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
