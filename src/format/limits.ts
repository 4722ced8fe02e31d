/**
 * The numbers that bound everything on disk, each with its reason. Pure; any thread.
 */

/** Unit of every offset and length on disk: the largest alignment that O_DIRECT asks for on common devices. */
export const PAGE_BYTES = 4096;

/** Largest key: its length fits 16 bits in blocks and indexes. The empty key is legal. */
export const KEY_BYTES_MAX = 65_535;

/** Largest value: it still fits a log frame and a block of its own, both of which are checksummed in one piece. */
export const VALUE_BYTES_MAX = 64 * 1024 * 1024;

/** Largest batch, keys and values and their record heads together: it must fit one arena and one run of log frames. */
export const BATCH_BYTES_MAX = 128 * 1024 * 1024;

/** Largest frame of a log or a manifest, header and padding included: what one write takes, and what one read has to hold. */
export const FRAME_BYTES_MAX = 1024 * 1024;

/** No log is longer: the largest batch has one of its own, and its frames' headers and padding are little beside it. */
export const LOG_BYTES_MAX = 2 * BATCH_BYTES_MAX;

/** No manifest is longer: millions of tables with keys of ordinary lengths, some thousands with the longest. */
export const MANIFEST_BYTES_MAX = 2 ** 31;

/** Index, filter and all else behind a table's data blocks is read into memory in one piece. */
export const TABLE_TAIL_BYTES_MAX = 1024 * 1024 * 1024;

/** Operations in a batch: each takes room in a memtable beside its bytes, and an arena stays below 1 GiB. */
export const BATCH_OPERATIONS_MAX = 4 * 1024 * 1024;

/** Ranges that a batch deletes: all of it goes into one memtable, which keeps them apart at a cost for each other one. */
export const BATCH_RANGE_DELETIONS_MAX = 4096;

/** Sequence numbers have 48 bits: at ten million writes a second, 326 days; at ten thousand, 890 years. */
export const SEQUENCE_MAX = 2 ** 48 - 1;
/** What a database that is opened may have come to: the rest is kept for what one open database writes. */
export const SEQUENCE_OPEN_MAX = SEQUENCE_MAX - 2 ** 32;

/** File numbers have 32 bits and come from one counter in the manifest. */
export const FILE_NUMBER_MAX = 2 ** 32 - 1;
/** The same of them. */
export const FILE_NUMBER_OPEN_MAX = FILE_NUMBER_MAX - 2 ** 20;

/** Ordinary data blocks: at least a page, at most what 16-bit offsets reach. Always a multiple of a page. */
export const BLOCK_BYTES_MIN = 4096;
export const BLOCK_BYTES_MAX = 65_536;

/** Levels that a version edit may name: 0 to this. */
export const LEVEL_MAX = 63;

/** Filter bits for each key that a table may be built with; 0 is no filter. */
export const FILTER_BITS_PER_KEY_MAX = 32;

/** Levels that the engine uses: 0, whose tables overlap, and the sorted ones 1 to 6. */
export const LEVEL_COUNT = 7;

/** Kinds of an entry, in logs, in memory and in tables. 3 to 15 are free for later formats. */
export const KIND_TOMBSTONE = 0;
export const KIND_PUT = 1;
/** Of keys from the entry's key on and before its value, which may be of no bytes: no end. Not among a table's entries. */
export const KIND_RANGE_TOMBSTONE = 2;

/** How many pages hold `bytes` bytes. */
export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

/** The smallest multiple of a page that is not less than `bytes`. */
export function roundUpToPage(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
