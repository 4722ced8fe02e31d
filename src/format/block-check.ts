/**
 * The data block's trailer, its checksum, its compression, and a strict look at its structure. Pure; any thread.
 *
 *   as it is searched, and as stored without compression       stored with compression: at least a page less
 *   ┌─────────────────────────────────────────┬───────┬─────────┐   ┌──────────────────┬───────┬─────────┐
 *   │ the block, raw length bytes             │ zeros │ trailer │   │ the same, packed │ zeros │ trailer │
 *   └─────────────────────────────────────────┴───────┴─────────┘   └──────────────────┴───────┴─────────┘
 *
 *   the trailer is the last 16 bytes of the block's pages
 *    0 ┌─────────────────────┐
 *      │ u32 raw length      │  bytes of the block before its zeros
 *    4 │ u8  compression     │  0: none, 1: LZ4, 2: Zstandard
 *    5 │ u8  zero            │
 *    6 │ u16 magic           │  0x5142, "BQ"
 *    8 │ u32 stored length   │  bytes before the zeros if they are compressed, otherwise 0
 *   12 │ u32 checksum        │  CRC-32C of every byte before it, seeded with salt 0, file number and offset
 *      └─────────────────────┘
 *
 * The checksum is that of the bytes on the disk: it is verified before anything is decompressed.
 *
 * `verifyBlock` and then `decompressBlock` are what every read from a disk passes. `checkBlockStructure` is for
 * verification, repair and fuzzing: it believes nothing, and a block that it accepts can be searched and scanned without
 * leaving its bounds.
 */
import { compareBytes } from './compare.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { BLOCK_HEADER_BYTES, LONG_SUFFIX } from './block.ts';
import { ByteReader } from './byte-reader.ts';
import { COMPRESSION_NONE, compressionNames, decompress, isCompressionAvailable } from './compression.ts';
import { FormatError } from './format-error.ts';
import { hashBytes } from './hash.ts';
import { readU16, readU32, readU48, writeU16, writeU32 } from './integers.ts';
import {
  BLOCK_BYTES_MAX,
  KEY_BYTES_MAX,
  KIND_PUT,
  KIND_TOMBSTONE,
  PAGE_BYTES,
  SEQUENCE_MAX,
  VALUE_BYTES_MAX,
  roundUpToPage,
} from './limits.ts';

export const BLOCK_TRAILER_BYTES = 16;
export const BLOCK_MAGIC = 0x5142;

/** The prefix stands before the entries, whose offsets have 16 bits: so it is bounded, and longer ones are cut. */
export const BLOCK_PREFIX_BYTES_MAX = 4096;

const CHECKSUM_BYTES = 4;

export interface BlockVerification {
  readonly ok: boolean;
  /** The checksum that the trailer has, and the one that the bytes have. */
  readonly expected: number;
  readonly actual: number;
}

/** Whether the `length` bytes at `base` are what was written as the block at byte `offset` of the file. */
export function verifyBlock(
  bytes: Uint8Array,
  base: number,
  length: number,
  fileNumber: number,
  offset: number,
): BlockVerification {
  const end = base + length - CHECKSUM_BYTES;
  const expected = readU32(bytes, end);
  const actual = checksum(bytes, base, end, checksumSeed(0, fileNumber, offset));
  return { ok: expected === actual, expected, actual };
}

/** Writes the trailer but for its checksum into the 16 bytes at `at`. `storedLength`: only of a compressed block. */
export function writeBlockTrailer(
  bytes: Uint8Array,
  at: number,
  rawLength: number,
  compression: number = COMPRESSION_NONE,
  storedLength = 0,
): void {
  writeU32(bytes, at, rawLength);
  bytes[at + 4] = compression;
  bytes[at + 5] = 0;
  writeU16(bytes, at + 6, BLOCK_MAGIC);
  writeU32(bytes, at + 8, storedLength);
  writeU32(bytes, at + 12, 0);
}

/**
 * Makes a block of `length` bytes at `base` what it was before it was compressed, if it is: in place, with a trailer of
 * its own that has no checksum. Returns its length now, a multiple of 4096 and at most `roomBytes`.
 *
 * REQUIRES: a block that has been verified; the caller's own bytes up to `roomBytes` from `base`; `scratch` of
 * BLOCK_BYTES_MAX. Throws a `FormatError` if it is no compressed block for all that, or none that fits the room; what is
 * in the room is then lost. Costs a view and a copy of the compressed bytes, and what zlib makes where it is used.
 */
export function decompressBlock(
  bytes: Uint8Array,
  base: number,
  length: number,
  scratch: Uint8Array,
  roomBytes: number = scratch.length,
): number {
  const storedTrailer = base + length - BLOCK_TRAILER_BYTES;
  const compression = bytes[storedTrailer + 4];
  if (compression === COMPRESSION_NONE) return length;
  const rawLength = readU32(bytes, storedTrailer);
  const storedLength = readU32(bytes, storedTrailer + 8);
  const rawPagesLength = roundUpToPage(rawLength + BLOCK_TRAILER_BYTES);
  if (rawPagesLength > roomBytes)
    throw new FormatError(
      `a compressed block of ${rawLength} bytes, in a room of ${roomBytes}`,
      storedTrailer,
    );
  if (storedLength > length - BLOCK_TRAILER_BYTES || storedLength > scratch.length)
    throw new FormatError(`a compressed block that is stored in ${storedLength} bytes`, storedTrailer + 8);
  // Out of the way of what it becomes. It is the smaller of the two, and zlib does not take shared memory.
  scratch.set(bytes.subarray(base, base + storedLength));
  const done = decompress(compression, scratch, 0, storedLength, bytes, base, base + rawLength);
  if (done !== rawLength) throw undecompressed(compression, storedTrailer + 4);
  const trailer = base + rawPagesLength - BLOCK_TRAILER_BYTES;
  bytes.fill(0, base + rawLength, trailer);
  writeBlockTrailer(bytes, trailer, rawLength);
  return rawPagesLength;
}

function undecompressed(compression: number, at: number): FormatError {
  const name = compressionNames.at(compression);
  if (name === undefined) return new FormatError(`a block of unknown compression ${compression}`, at);
  if (!isCompressionAvailable(name))
    return new FormatError(`a block compressed with ${name}, which this Node does not have`, at);
  return new FormatError(`a block that cannot be decompressed with ${name}`, at);
}

/** The smallest number of bucket bits for `keys` distinct keys: at least 4/3 as many buckets, so one is always empty. */
export function bucketBitsFor(keys: number): number {
  let bits = 1;
  while ((1 << bits) * 3 < keys * 4) bits++;
  return bits;
}

/** Throws a `FormatError` unless the `length` bytes at `base` have the structure of a block; looks at no checksum. */
export function checkBlockStructure(bytes: Uint8Array, base: number, length: number): void {
  const { rawLength, isCompressed } = checkTrailer(bytes, base, length);
  if (!isCompressed) return checkContents(bytes, base, rawLength);
  const plain = new Uint8Array(BLOCK_BYTES_MAX);
  plain.set(bytes.subarray(base, base + length));
  try {
    decompressBlock(plain, 0, length, new Uint8Array(BLOCK_BYTES_MAX));
    checkContents(plain, 0, rawLength);
  } catch (error) {
    // Where it happened is a place in memory that nobody else has.
    if (error instanceof FormatError) throw new FormatError(`a compressed block: ${error.message}`, base);
    throw error;
  }
}

function checkContents(bytes: Uint8Array, base: number, rawLength: number): void {
  const count = readU16(bytes, base);
  const bucketBits = readU16(bytes, base + 2);
  const prefixLength = readU16(bytes, base + 4);
  if (count === 0) throw new FormatError('a block without entries', base);
  if (bucketBits < 1 || bucketBits > 15)
    throw new FormatError(`a block with ${bucketBits} bucket bits`, base + 2);
  if (prefixLength > BLOCK_PREFIX_BYTES_MAX)
    throw new FormatError('a block with too long a prefix', base + 4);
  if (readU16(bytes, base + 6) !== 0 || readU16(bytes, base + 14) !== 0) {
    throw new FormatError('a block header whose reserved fields are not zero', base + 6);
  }
  const buckets = base + BLOCK_HEADER_BYTES;
  const offsets = buckets + (2 << bucketBits);
  const prefixStart = offsets + 2 * count;
  const entriesStart = prefixStart + prefixLength;
  const end = base + rawLength;
  if (entriesStart > end) throw new FormatError('a block whose tables do not fit it', base);

  const newest = checkEntries(bytes, base, end, offsets, count, prefixStart, prefixLength);
  checkBuckets(bytes, buckets, bucketBits, newest);
}

function checkTrailer(
  bytes: Uint8Array,
  base: number,
  length: number,
): { rawLength: number; isCompressed: boolean } {
  if (length < PAGE_BYTES || length % PAGE_BYTES !== 0 || base + length > bytes.length) {
    throw new FormatError(`a block of ${length} bytes`, base);
  }
  const trailer = base + length - BLOCK_TRAILER_BYTES;
  const rawLength = readU32(bytes, trailer);
  const isCompressed = bytes[trailer + 4] !== COMPRESSION_NONE;
  const storedLength = isCompressed ? readU32(bytes, trailer + 8) : rawLength;
  const rawPagesLength = roundUpToPage(rawLength + BLOCK_TRAILER_BYTES);
  if (readU16(bytes, trailer + 6) !== BLOCK_MAGIC)
    throw new FormatError('a block without its magic', trailer + 6);
  if (bytes[trailer + 5] !== 0 || (!isCompressed && readU32(bytes, trailer + 8) !== 0)) {
    throw new FormatError('a block trailer whose reserved fields are not zero', trailer + 5);
  }
  if (rawLength < BLOCK_HEADER_BYTES || roundUpToPage(storedLength + BLOCK_TRAILER_BYTES) !== length) {
    throw new FormatError(`a block of ${length} bytes whose raw length is ${rawLength}`, trailer);
  }
  if (isCompressed && (rawPagesLength <= length || rawPagesLength > BLOCK_BYTES_MAX)) {
    throw new FormatError(`a block of ${rawLength} bytes that is compressed to ${storedLength}`, trailer);
  }
  for (let at = base + storedLength; at < trailer; at++) {
    if (bytes[at] !== 0) throw new FormatError('a block whose padding is not zero', at);
  }
  return { rawLength, isCompressed };
}

/** Checks all entries and returns what the buckets must hold: offset to hash of the newest entry of each key. */
function checkEntries(
  bytes: Uint8Array,
  base: number,
  end: number,
  offsets: number,
  count: number,
  prefixStart: number,
  prefixLength: number,
): Map<number, number> {
  const newest = new Map<number, number>();
  const baseSequence = readU48(bytes, base + 8);
  const key = new Uint8Array(KEY_BYTES_MAX);
  key.set(bytes.subarray(prefixStart, prefixStart + prefixLength));
  const reader = new ByteReader(bytes, prefixStart + prefixLength, end);
  let previousSuffix = 0;
  let previousLength = -1;
  let previousSequence = 0;
  for (let ordinal = 0; ordinal < count; ordinal++) {
    const entry = reader.at;
    if (readU16(bytes, offsets + 2 * ordinal) !== entry - base)
      throw new FormatError('an offset that is not an entry', entry);
    let suffixLength = reader.u8();
    const tag = reader.u8();
    const kind = tag & 15;
    const deltaBytes = tag >>> 4;
    if (kind !== KIND_PUT && kind !== KIND_TOMBSTONE)
      throw new FormatError(`an entry of unknown kind ${kind}`, entry);
    if (deltaBytes > 6) throw new FormatError('an entry whose sequence number is too long', entry);
    if (suffixLength === LONG_SUFFIX) {
      suffixLength = reader.u16();
      if (suffixLength < LONG_SUFFIX)
        throw new FormatError('an entry with a needless long suffix length', entry);
    }
    if (prefixLength + suffixLength > KEY_BYTES_MAX)
      throw new FormatError('an entry whose key is too long', entry);
    const suffix = reader.take(suffixLength);
    const valueLength = reader.varint(VALUE_BYTES_MAX);
    if (kind === KIND_TOMBSTONE && valueLength !== 0)
      throw new FormatError('a tombstone with a value', entry);
    let sequence = baseSequence;
    for (let i = 0, scale = 1; i < deltaBytes; i++, scale *= 256) sequence += reader.u8() * scale;
    if (sequence > SEQUENCE_MAX) throw new FormatError('an entry whose sequence number is too large', entry);
    reader.take(valueLength);

    const order =
      previousLength < 0
        ? -1
        : compareBytes(bytes, previousSuffix, previousLength, bytes, suffix, suffixLength);
    if (order > 0 || (order === 0 && sequence >= previousSequence))
      throw new FormatError('entries out of order', entry);
    if (order < 0) {
      key.set(bytes.subarray(suffix, suffix + suffixLength), prefixLength);
      newest.set(entry - base, hashBytes(key, 0, prefixLength + suffixLength));
    }
    previousSuffix = suffix;
    previousLength = suffixLength;
    previousSequence = sequence;
  }
  reader.expectEnd('the entries of a block');
  return newest;
}

/** Checks that each key's newest entry is found by probing from its hash, and that there is nothing else. */
function checkBuckets(
  bytes: Uint8Array,
  buckets: number,
  bucketBits: number,
  newest: Map<number, number>,
): void {
  const size = 1 << bucketBits;
  let used = 0;
  for (let bucket = 0; bucket < size; bucket++) if (readU16(bytes, buckets + 2 * bucket) !== 0) used++;
  if (used !== newest.size) throw new FormatError(`${used} used buckets for ${newest.size} keys`, buckets);
  if (used === size) throw new FormatError('a block without an empty bucket', buckets);
  for (const [offset, hash] of newest) {
    let bucket = hash & (size - 1);
    for (;;) {
      const found = readU16(bytes, buckets + 2 * bucket);
      if (found === offset) break;
      if (found === 0) throw new FormatError('a key that its bucket does not lead to', buckets + 2 * bucket);
      bucket = (bucket + 1) & (size - 1);
    }
  }
}
