/**
 * The data block's trailer, its checksum, and a strict look at its structure. Pure; any thread.
 *
 *   the last 16 bytes of the block's pages
 *    0 ┌─────────────────────┐
 *      │ u32 raw length      │  bytes before the padding
 *    4 │ u8  compression     │  0: none
 *    5 │ u8  zero            │
 *    6 │ u16 magic           │  0x5142, "BQ"
 *    8 │ u32 zero            │
 *   12 │ u32 checksum        │  CRC-32C of every byte before it, seeded with salt 0, file number and offset
 *      └─────────────────────┘
 *
 * `verifyBlock` is what every read from a disk passes. `checkBlockStructure` is for verification, repair and fuzzing: it
 * believes nothing, and a block that it accepts can be searched and scanned without leaving its bounds.
 */
import { compareBytes } from './compare.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { BLOCK_HEADER_BYTES, LONG_SUFFIX } from './block.ts';
import { ByteReader } from './byte-reader.ts';
import { FormatError } from './format-error.ts';
import { hashBytes } from './hash.ts';
import { readU16, readU32, readU48, writeU16, writeU32 } from './integers.ts';
import {
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
export const COMPRESSION_NONE = 0;

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

/** Writes the trailer but for its checksum into the 16 bytes at `at`. */
export function writeBlockTrailer(bytes: Uint8Array, at: number, rawLength: number): void {
  writeU32(bytes, at, rawLength);
  bytes[at + 4] = COMPRESSION_NONE;
  bytes[at + 5] = 0;
  writeU16(bytes, at + 6, BLOCK_MAGIC);
  writeU32(bytes, at + 8, 0);
  writeU32(bytes, at + 12, 0);
}

/** The smallest number of bucket bits for `keys` distinct keys: at least 4/3 as many buckets, so one is always empty. */
export function bucketBitsFor(keys: number): number {
  let bits = 1;
  while ((1 << bits) * 3 < keys * 4) bits++;
  return bits;
}

/** Throws a `FormatError` unless the `length` bytes at `base` have the structure of a block; looks at no checksum. */
export function checkBlockStructure(bytes: Uint8Array, base: number, length: number): void {
  const rawLength = checkTrailer(bytes, base, length);
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

function checkTrailer(bytes: Uint8Array, base: number, length: number): number {
  if (length < PAGE_BYTES || length % PAGE_BYTES !== 0 || base + length > bytes.length) {
    throw new FormatError(`a block of ${length} bytes`, base);
  }
  const trailer = base + length - BLOCK_TRAILER_BYTES;
  const rawLength = readU32(bytes, trailer);
  if (readU16(bytes, trailer + 6) !== BLOCK_MAGIC)
    throw new FormatError('a block without its magic', trailer + 6);
  if (bytes[trailer + 4] !== COMPRESSION_NONE)
    throw new FormatError('a block of unknown compression', trailer + 4);
  if (bytes[trailer + 5] !== 0 || readU32(bytes, trailer + 8) !== 0) {
    throw new FormatError('a block trailer whose reserved fields are not zero', trailer + 5);
  }
  if (rawLength < BLOCK_HEADER_BYTES || roundUpToPage(rawLength + BLOCK_TRAILER_BYTES) !== length) {
    throw new FormatError(`a block of ${length} bytes whose raw length is ${rawLength}`, trailer);
  }
  for (let at = base + rawLength; at < trailer; at++) {
    if (bytes[at] !== 0) throw new FormatError('a block whose padding is not zero', at);
  }
  return rawLength;
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
