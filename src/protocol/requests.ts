/**
 * Role requests: what the owner asks of a ring thread, and what comes back. Pure; the owner and the ring threads.
 *
 *     request     { opcode | request id | six arguments }             8 words
 *     completion  { request id | result | two words of detail }       4 words
 *
 * A result is ≥ 0, or a negative errno, or one of the RESULT_ codes below (all under −4096, where no errno is).
 * The detail of an errno is the STEP_ that met it. Page numbers and page counts are in units of PAGE_BYTES. A buffer
 * is lent by a request and returned by its completion; READ_AHEAD lends one and returns the one that the kernel chose
 * among those lent that way: as its result, or after a failure as detail 0 (−1: the kernel kept it). READ_AHEAD, and
 * READ_PAGES if it is told to, verify the block that they read and decompress it in its slot; with VERIFY_BOUNDS also that
 * it can be searched (format/block-bounds.ts). Detail 0 is then how many pages it has in memory.
 *
 *     request           argument 0      1              2               3              4            result
 *     ATTACH            –               –              –               –              –            0
 *     DETACH            –               –              –               –              –            0
 *     OPEN_TABLE        table           –              –               –              –            0
 *     CLOSE_TABLE       table           –              –               –              –            0
 *     READ_PAGES        table           first page     page count      page in pool   VERIFY_       0
 *     READ_AHEAD        table           first page     page count      page in pool   VERIFY_       page in pool
 *     WRITE_FRAME       log             page in log    page in pool    –              –            pages written
 *     OPEN_LOG          log             –              –               –              –            0
 *     CLOSE_LOG         log             –              –               –              –            0
 *     PREPARE_LOG       log             page count     old log or 0    –              –            0
 *     WRITE_TABLE       table           region         mailbox page    old table or 0 –            bytes in mailbox
 *     APPEND_MANIFEST   manifest        page in file   page in pool    create 0/1     –            pages written
 *     INSTALL_CURRENT   manifest        –              –               –              –            0
 *     REMOVE_FILE       number          FILE_ kind     sync 0/1        –              –            0
 *     BEGIN_COMPACTION  mailbox page    –              –               –              –            0
 *     WRITE_COMPACTED   table           mailbox page   old table or 0  –              –            bytes in mailbox
 *     END_COMPACTION    –               –              –               –              –            0
 *
 * A table may be written over the file of an old one, closed and of no version, which then is no table any more; after a
 * failure it may be gone, or not.
 *
 * A compaction is one BEGIN, any number of WRITE_COMPACTED, each of which writes the next table of its output, and one
 * END, also after a failure. WRITE_COMPACTED answers with an encoded version edit that adds the table; detail 0 is 1 as
 * long as more may come, and a result of 0 says that nothing was left to write. After a failure of either the mailbox
 * holds a CompactionFailure.
 */
import type { CompressionName } from '../format/compression.ts';

export const ROLE_FOREGROUND = 0;
export const ROLE_FLUSH = 1;
export const ROLE_COMPACTION = 2;
export const ROLE_WAL = 3;
export const ROLE_NAMES = ['foreground', 'flush', 'compaction', 'wal'] as const;
export const ROLE_COUNT = ROLE_NAMES.length;
export type RoleName = (typeof ROLE_NAMES)[number];
export type RoleId = 0 | 1 | 2 | 3;
export const ROLE_IDS: readonly RoleId[] = [ROLE_FOREGROUND, ROLE_FLUSH, ROLE_COMPACTION, ROLE_WAL];

export const REQUEST_WORDS = 8;
export const REQUEST_OPCODE = 0;
export const REQUEST_ID = 1;
/** Word of argument 0. */
export const REQUEST_ARGUMENTS = 2;

export const COMPLETION_WORDS = 4;

export const ATTACH = 2;
export const DETACH = 3;
export const OPEN_TABLE = 4;
export const CLOSE_TABLE = 5;
export const READ_PAGES = 6;
export const WRITE_FRAME = 7;
export const CLOSE_LOG = 8;
export const PREPARE_LOG = 9;
export const WRITE_TABLE = 10;
export const APPEND_MANIFEST = 11;
export const INSTALL_CURRENT = 12;
export const REMOVE_FILE = 13;
export const READ_AHEAD = 14;
export const BEGIN_COMPACTION = 15;
export const WRITE_COMPACTED = 16;
export const END_COMPACTION = 17;
export const OPEN_LOG = 18;

/** The block's checksum did not hold; detail: expected, actual. In a compaction: something of a table is damaged. */
export const RESULT_CHECKSUM = -5001;
/** The file ended before the pages asked for; detail: bytes that were there. */
export const RESULT_SHORT_READ = -5002;
/** A write came back short, twice over; detail: bytes written. */
export const RESULT_SHORT_WRITE = -5003;

/** The ring thread died; the owner itself gives this to what was outstanding. */
export const RESULT_WORKER_FAILED = -5004;
/** The block's checksum holds, but it is compressed and cannot be decompressed. */
export const RESULT_UNDECOMPRESSED = -5005;
/** The block's checksum holds, but searches of it would not stay within it. */
export const RESULT_MALFORMED = -5006;

/** What is read is no block; is a block of this process's; is one that somebody else may have made. */
export const VERIFY_NOTHING = 0;
export const VERIFY_CHECKSUM = 1;
export const VERIFY_BOUNDS = 2;

export const FILE_LOG = 1;
export const FILE_TABLE = 2;
export const FILE_MANIFEST = 3;

export const STEP_NAMES = [
  'unknown',
  'open',
  'read',
  'write',
  'fsync',
  'fallocate',
  'rename',
  'fsync of the directory',
  'unlink',
  'close',
  'ftruncate',
] as const;
export const STEP_OPEN = 1;
export const STEP_READ = 2;
export const STEP_WRITE = 3;
export const STEP_FSYNC = 4;
export const STEP_FALLOCATE = 5;
export const STEP_RENAME = 6;
export const STEP_DIRECTORY_FSYNC = 7;
export const STEP_UNLINK = 8;
export const STEP_CLOSE = 9;
export const STEP_TRUNCATE = 10;

/** What an ATTACH request brings through the thread's port: what the records of a request cannot hold. */
export interface Attachment {
  /** Handle of the database's directory. */
  readonly directory: number;
  /** Seeds the checksums of log frames, so that nobody's value can pass for a frame. */
  readonly salt: number;
  /** Open tables and logs with O_DIRECT. */
  readonly directIo: boolean;
  /** Completions are polled for of reads and writes up to so many bytes; 0: of none. */
  readonly polledBytesMax: number;
  /** Size of a block-cache slot. */
  readonly slotBytes: number;
  /** The first one of a database that was opened: counters begin again. */
  readonly isFirst: boolean;
  /** Memory by region, where it is new since the last attachment. */
  readonly memory: readonly { readonly region: number; readonly buffer: SharedArrayBuffer }[];
}

/** Parameters of WRITE_TABLE, as JSON in the mailbox that the request lends; the answer is an encoded version edit. */
export interface WriteTableParameters {
  readonly blockBytes: number;
  readonly filterBitsPerKey: number;
  readonly compression: CompressionName;
  readonly createdAtSeconds: number;
  readonly createdAtSequence: number;
  /** Sequence numbers that open snapshots and iterators read at, ascending: what one of them sees is kept. */
  readonly snapshots: readonly number[];
  /** Every version above it is kept. */
  readonly keepAbove: number;
}

/** A table that a compaction reads. */
export interface CompactionInput {
  readonly number: number;
  readonly metaOffset: number;
  readonly fileBytes: number;
}

/** Keys from the first to the last, both included, as base64; null: to the end of all keys. */
export interface CompactionKeyRange {
  readonly smallest: string;
  readonly largest: string | null;
}

/** Parameters of BEGIN_COMPACTION, as JSON behind a u32 length in the mailbox that the request lends. */
export interface CompactionParameters {
  /** Newest first. A run is tables in the order of their keys, which do not overlap; each table of level 0 is one. */
  readonly runs: readonly (readonly CompactionInput[])[];
  readonly outputLevel: number;
  /** Bytes of a table from which on the next key begins another. */
  readonly tableBytes: number;
  readonly blockBytes: number;
  readonly filterBitsPerKey: number;
  readonly compression: CompressionName;
  readonly createdAtSeconds: number;
  /** Everything up to it was in tables when the compaction was picked. */
  readonly createdAtSequence: number;
  /** See WriteTableParameters. */
  readonly snapshots: readonly number[];
  readonly keepAbove: number;
  /** Where older versions of a key may be that is not in the inputs; elsewhere a deletion that all see is left out. */
  readonly older: readonly CompactionKeyRange[];
  /** Largest keys, as base64, of the tables one level below the output, ascending, and their bytes. */
  readonly grandparents: readonly { readonly largest: string; readonly bytes: number }[];
  /** An output overlaps no more bytes of them, or ends at the next of their largest keys. */
  readonly grandparentBytesMax: number;
  /** 'idle': the disk's queue serves all others first. */
  readonly ioPriority: 'idle' | 'best-effort';
}

/** What went wrong with which file: JSON behind a u32 length in the mailbox. */
export interface CompactionFailure {
  readonly table: number;
  /** Byte of the file, where one is concerned; −1 otherwise. */
  readonly offset: number;
  /** Checksums of a block that is damaged; 0 otherwise. */
  readonly expected: number;
  readonly actual: number;
  /** What is wrong with a table's tail; empty otherwise. */
  readonly message: string;
}
