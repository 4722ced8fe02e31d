/**
 * Makes data blocks (`block.ts` draws one) from entries in order. Pure; any thread.
 *
 * One memory has two parts. Entries gather in the staging part, keys whole, because what all of them share is only
 * known with the last one. `finish` lays the block out in the output part; moving bytes within one array needs no views.
 *
 *   ┌───────────────────────┬────────────────────────────────────────────────┐
 *   │ output, blockBytes    │ staging: key value key value …                 │
 *   └───────────────────────┴────────────────────────────────────────────────┘
 *
 * `fits` never says yes to what would not fit: it takes every suffix and every sequence difference for as long as it
 * may become. So a block may end with a few bytes to spare.
 *
 * With compression, the block is compressed into memory beside, and stored so if that saves a page. It never becomes
 * larger than `blockBytes` again when it is decompressed.
 */
import { assert } from '../assert.ts';
import { BLOCK_HEADER_BYTES, LONG_SUFFIX } from './block.ts';
import {
  BLOCK_PREFIX_BYTES_MAX,
  BLOCK_TRAILER_BYTES,
  bucketBitsFor,
  writeBlockTrailer,
} from './block-check.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { commonPrefixLength } from './compare.ts';
import { COMPRESSION_NONE, compress } from './compression.ts';
import { writeU16, writeU32, writeU48 } from './integers.ts';
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, KEY_BYTES_MAX, PAGE_BYTES, roundUpToPage } from './limits.ts';
import { varintLength, writeVarint } from './varint.ts';

/** The shortest entry (two bytes of head, one of value length) and its place in the offset table. */
const ENTRY_BYTES_MIN = 5;

/** Keys stand whole in staging: a block whose keys share this much more than it stores ends early. */
const STAGING_PER_BLOCK = 8;

/** Below so many bytes a plain loop beats `set`, which needs a view, and `copyWithin`, which does not. */
const LOOP_BYTES_MAX = 48;
const LOOP_WITHIN_BYTES_MAX = 20;

/** What a builder of blocks of `blockBytes` needs of the memory that it is given. */
export function blockBuilderBytes(blockBytes: number): number {
  return blockBytes + STAGING_PER_BLOCK * blockBytes + KEY_BYTES_MAX;
}

export class BlockBuilder {
  /** The memory. */
  readonly bytes: Uint8Array;
  /** The block that `finish` made is `output[0, its length)` until the next `finish`. */
  output: Uint8Array;
  /** Of the block that `finish` made last. */
  prefixLength = 0;
  bucketBits = 0;
  checksum = 0;
  isCompressed = false;

  readonly #blockBytes: number;
  readonly #compression: number;
  readonly #compressed: Uint8Array;
  readonly #words: Uint16Array;
  readonly #keyStarts: Int32Array;
  readonly #keyLengths: Int32Array;
  readonly #valueLengths: Int32Array;
  readonly #hashes: Int32Array;
  readonly #sequences: Float64Array;
  readonly #kinds: Uint8Array;
  /** 1 for the newest entry of a key in this block. */
  readonly #fresh: Uint8Array;
  #count = 0;
  #distinct = 0;
  #bucketBits = 1;
  #prefix = 0;
  #smallestSequence = 0;
  #largestSequence = 0;
  /** Sum over the entries of what does not depend on prefix and base: key, value, heads. */
  #entryBytes = 0;
  readonly #stagingLimit: number;
  #stagingEnd: number;
  /** The last key added, kept over `finish` so that the next one can be compared with it. */
  #lastStart: number;
  #lastLength = -1;

  /** `memory` may have more than `blockBuilderBytes`; values that lie in it behind those are copied without a view. */
  constructor(
    blockBytes: number,
    compression: number = COMPRESSION_NONE,
    memory: Uint8Array = new Uint8Array(blockBuilderBytes(blockBytes)),
  ) {
    assert(
      blockBytes % PAGE_BYTES === 0 && blockBytes >= BLOCK_BYTES_MIN && blockBytes <= BLOCK_BYTES_MAX,
      'block bytes must be a multiple of 4096 within the limits',
    );
    const entriesMax = Math.floor(blockBytes / ENTRY_BYTES_MIN) + 1;
    this.#blockBytes = blockBytes;
    assert(memory.length >= blockBuilderBytes(blockBytes), 'a block builder has room to gather entries');
    this.bytes = memory;
    this.output = memory;
    this.#compression = compression;
    this.#compressed = new Uint8Array(compression === COMPRESSION_NONE ? 0 : blockBytes);
    this.#stagingLimit = blockBuilderBytes(blockBytes);
    this.#words = new Uint16Array(memory.buffer, memory.byteOffset, blockBytes / 2);
    this.#keyStarts = new Int32Array(entriesMax);
    this.#keyLengths = new Int32Array(entriesMax);
    this.#valueLengths = new Int32Array(entriesMax);
    this.#hashes = new Int32Array(entriesMax);
    this.#sequences = new Float64Array(entriesMax);
    this.#kinds = new Uint8Array(entriesMax);
    this.#fresh = new Uint8Array(entriesMax);
    this.#stagingEnd = blockBytes;
    this.#lastStart = blockBytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Where, in `bytes`, the last key added stands; −1 long before the first. */
  get lastKeyStart(): number {
    return this.#lastStart;
  }

  get lastKeyLength(): number {
    return this.#lastLength;
  }

  /** The last entry's sequence number; of entries in blocks of their own too. */
  lastSequence = 0;

  /** Whether an entry would fit an empty block; otherwise it needs one of its own. */
  fitsAlone(keyLength: number, valueLength: number): boolean {
    return (
      BLOCK_HEADER_BYTES + 4 + 2 + entryBytes(keyLength, valueLength) + BLOCK_TRAILER_BYTES <=
      this.#blockBytes
    );
  }

  /**
   * Whether one more entry fits, given how much its key shares with the last one.
   * REQUIRES: at least one entry in the block.
   */
  fits(
    keyLength: number,
    valueLength: number,
    sharedWithLast: number,
    isNewKey: boolean,
    sequence: number,
  ): boolean {
    const count = this.#count + 1;
    const prefix = sharedWithLast < this.#prefix ? sharedWithLast : this.#prefix;
    const distinct = isNewKey ? this.#distinct + 1 : this.#distinct;
    const bits = distinct * 4 > (1 << this.#bucketBits) * 3 ? this.#bucketBits + 1 : this.#bucketBits;
    const smallest = sequence < this.#smallestSequence ? sequence : this.#smallestSequence;
    const largest = sequence > this.#largestSequence ? sequence : this.#largestSequence;
    const total =
      BLOCK_HEADER_BYTES +
      (2 << bits) +
      2 * count +
      prefix +
      this.#entryBytes +
      entryBytes(keyLength, valueLength) -
      count * prefix +
      count * deltaBytes(largest - smallest) +
      BLOCK_TRAILER_BYTES;
    return total <= this.#blockBytes && this.#stagingEnd + keyLength + valueLength <= this.#stagingLimit;
  }

  /**
   * Adds an entry; its key and value are copied. REQUIRES: it fits, and comes behind the last one.
   */
  add(
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    sharedWithLast: number,
    isNewKey: boolean,
    hash: number,
    sequence: number,
    kind: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): void {
    const ordinal = this.#count++;
    if (ordinal === 0) {
      this.#stagingEnd = this.#blockBytes;
      this.#prefix = keyLength < BLOCK_PREFIX_BYTES_MAX ? keyLength : BLOCK_PREFIX_BYTES_MAX;
      this.#smallestSequence = sequence;
      this.#largestSequence = sequence;
    } else {
      if (sharedWithLast < this.#prefix) this.#prefix = sharedWithLast;
      if (sequence < this.#smallestSequence) this.#smallestSequence = sequence;
      if (sequence > this.#largestSequence) this.#largestSequence = sequence;
    }
    const isFresh = isNewKey || ordinal === 0;
    if (isFresh) {
      this.#distinct++;
      if (this.#distinct * 4 > (1 << this.#bucketBits) * 3) this.#bucketBits++;
    }
    const start = this.#stagingEnd;
    const bytes = this.bytes;
    if (keyLength < LOOP_BYTES_MAX) for (let i = 0; i < keyLength; i++) bytes[start + i] = key[keyStart + i];
    else bytes.set(key.subarray(keyStart, keyStart + keyLength), start);
    const valueAt = start + keyLength;
    if (value === bytes && valueLength >= LOOP_WITHIN_BYTES_MAX)
      bytes.copyWithin(valueAt, valueStart, valueStart + valueLength);
    else if (valueLength < LOOP_BYTES_MAX)
      for (let i = 0; i < valueLength; i++) bytes[valueAt + i] = value[valueStart + i];
    else bytes.set(value.subarray(valueStart, valueStart + valueLength), valueAt);
    this.#stagingEnd = valueAt + valueLength;
    this.#keyStarts[ordinal] = start;
    this.#keyLengths[ordinal] = keyLength;
    this.#valueLengths[ordinal] = valueLength;
    this.#hashes[ordinal] = hash;
    this.#sequences[ordinal] = sequence;
    this.#kinds[ordinal] = kind;
    this.#fresh[ordinal] = isFresh ? 1 : 0;
    this.#entryBytes += entryBytes(keyLength, valueLength);
    this.#lastStart = start;
    this.#lastLength = keyLength;
    this.lastSequence = sequence;
  }

  /** Remembers a key that went into a block of its own. REQUIRES: no entries in the block. */
  rememberKey(key: Uint8Array, keyStart: number, keyLength: number, sequence: number): void {
    assert(this.#count === 0, 'a block must be finished before an entry gets a block of its own');
    this.bytes.set(key.subarray(keyStart, keyStart + keyLength), this.#blockBytes);
    this.#lastStart = this.#blockBytes;
    this.#lastLength = keyLength;
    this.lastSequence = sequence;
  }

  /** How many bytes `key` has in common with the last one added. */
  sharedWithLast(key: Uint8Array, keyStart: number, keyLength: number): number {
    return commonPrefixLength(this.bytes, this.#lastStart, this.#lastLength, key, keyStart, keyLength);
  }

  /** A copy of the first user key of the block. REQUIRES: at least one entry. */
  firstKey(): Uint8Array {
    return this.bytes.slice(this.#blockBytes, this.#blockBytes + this.#keyLengths[0]);
  }

  /**
   * Makes the block that `output` begins with, returns its length, a multiple of 4096, and begins an empty one.
   * REQUIRES: at least one entry.
   */
  finish(fileNumber: number, fileOffset: number): number {
    const bytes = this.bytes;
    const words = this.#words;
    const count = this.#count;
    const prefix = this.#prefix;
    const base = this.#smallestSequence;
    assert(count > 0, 'a block must have an entry');
    const buckets = BLOCK_HEADER_BYTES >> 1;
    const size = 1 << this.#bucketBits;
    const offsets = buckets + size;
    words[0] = count;
    words[1] = this.#bucketBits;
    words[2] = prefix;
    words[3] = 0;
    writeU48(bytes, 8, base);
    words[7] = 0;
    words.fill(0, buckets, offsets);

    let at = (offsets + count) << 1;
    bytes.copyWithin(at, this.#keyStarts[0], this.#keyStarts[0] + prefix);
    at += prefix;
    for (let ordinal = 0; ordinal < count; ordinal++) {
      const offset = at;
      words[offsets + ordinal] = offset;
      if (this.#fresh[ordinal] === 1) {
        let bucket = this.#hashes[ordinal] & (size - 1);
        while (words[buckets + bucket] !== 0) bucket = (bucket + 1) & (size - 1);
        words[buckets + bucket] = offset;
      }
      at = this.#writeEntry(ordinal, at, prefix, base);
    }
    assert(at + BLOCK_TRAILER_BYTES <= this.#blockBytes, 'a block must not outgrow its size');
    const length = this.#store(at, checksumSeed(0, fileNumber, fileOffset));
    this.prefixLength = prefix;
    this.bucketBits = this.#bucketBits;
    this.#count = 0;
    this.#distinct = 0;
    this.#bucketBits = 1;
    this.#entryBytes = 0;
    return length;
  }

  /** Compresses the block of `rawLength` bytes, if that is worth it, and gives it its trailer; returns its length. */
  #store(rawLength: number, seed: number): number {
    const rawPagesLength = roundUpToPage(rawLength + BLOCK_TRAILER_BYTES);
    // The room for it is a page less.
    const room = rawPagesLength - PAGE_BYTES - BLOCK_TRAILER_BYTES;
    let compressedLength = 0;
    if (this.#compression !== COMPRESSION_NONE && room > 0)
      compressedLength = compress(this.#compression, this.bytes, 0, rawLength, this.#compressed, 0, room);
    this.isCompressed = compressedLength > 0;
    const output = this.isCompressed ? this.#compressed : this.bytes;
    const end = this.isCompressed ? compressedLength : rawLength;
    const length = roundUpToPage(end + BLOCK_TRAILER_BYTES);
    const trailer = length - BLOCK_TRAILER_BYTES;
    output.fill(0, end, trailer);
    const compression = this.isCompressed ? this.#compression : COMPRESSION_NONE;
    writeBlockTrailer(output, trailer, rawLength, compression, compressedLength);
    this.checksum = checksum(output, 0, length - 4, seed);
    writeU32(output, length - 4, this.checksum);
    this.output = output;
    return length;
  }

  #writeEntry(ordinal: number, start: number, prefix: number, base: number): number {
    const bytes = this.bytes;
    const keyLength = this.#keyLengths[ordinal];
    const valueLength = this.#valueLengths[ordinal];
    const suffixLength = keyLength - prefix;
    let from = this.#keyStarts[ordinal] + prefix;
    let at = writeEntryHead(
      bytes,
      start,
      suffixLength,
      this.#kinds[ordinal],
      this.#sequences[ordinal] - base,
    );
    if (suffixLength < LOOP_WITHIN_BYTES_MAX)
      for (let i = 0; i < suffixLength; i++) bytes[at + i] = bytes[from + i];
    else bytes.copyWithin(at, from, from + suffixLength);
    from += suffixLength;
    at = writeEntryTail(bytes, at + suffixLength, valueLength, this.#sequences[ordinal] - base);
    if (valueLength < LOOP_WITHIN_BYTES_MAX)
      for (let i = 0; i < valueLength; i++) bytes[at + i] = bytes[from + i];
    else bytes.copyWithin(at, from, from + valueLength);
    return at + valueLength;
  }
}

/** The part of a block with one entry of any size that comes before its value. */
export interface LoneEntryHead {
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
  readonly bucketBits: number;
}

/** Everything before the value of a block that has one entry, which may be of any size. */
export function loneEntryHead(
  key: Uint8Array,
  keyStart: number,
  keyLength: number,
  hash: number,
  sequence: number,
  kind: number,
  valueLength: number,
): LoneEntryHead {
  const bucketBits = bucketBitsFor(1);
  const prefixLength = Math.min(keyLength, BLOCK_PREFIX_BYTES_MAX);
  const bytes = new Uint8Array(
    BLOCK_HEADER_BYTES + (2 << bucketBits) + 2 + entryBytes(keyLength, valueLength),
  );
  const entry = BLOCK_HEADER_BYTES + (2 << bucketBits) + 2 + prefixLength;
  writeU16(bytes, 0, 1);
  writeU16(bytes, 2, bucketBits);
  writeU16(bytes, 4, prefixLength);
  writeU48(bytes, 8, sequence);
  writeU16(bytes, BLOCK_HEADER_BYTES + 2 * (hash & ((1 << bucketBits) - 1)), entry);
  writeU16(bytes, BLOCK_HEADER_BYTES + (2 << bucketBits), entry);
  bytes.set(key.subarray(keyStart, keyStart + prefixLength), entry - prefixLength);
  const suffixLength = keyLength - prefixLength;
  let at = writeEntryHead(bytes, entry, suffixLength, kind, 0);
  bytes.set(key.subarray(keyStart + prefixLength, keyStart + keyLength), at);
  at = writeEntryTail(bytes, at + suffixLength, valueLength, 0);
  return { bytes: bytes.subarray(0, at), prefixLength, bucketBits };
}

/** What an entry takes at most, but for its sequence difference and its place in the offset table. */
function entryBytes(keyLength: number, valueLength: number): number {
  const head = keyLength < LONG_SUFFIX ? 2 : 4;
  return head + keyLength + varintLength(valueLength) + valueLength;
}

/** How many bytes hold a difference of sequence numbers. */
function deltaBytes(delta: number): number {
  if (delta < 0x1_0000) return delta === 0 ? 0 : delta < 0x100 ? 1 : 2;
  if (delta < 0x1_0000_0000) return delta < 0x100_0000 ? 3 : 4;
  return delta < 0x100_0000_0000 ? 5 : 6;
}

function writeEntryHead(
  bytes: Uint8Array,
  at: number,
  suffixLength: number,
  kind: number,
  delta: number,
): number {
  const isLong = suffixLength >= LONG_SUFFIX;
  bytes[at] = isLong ? LONG_SUFFIX : suffixLength;
  bytes[at + 1] = kind | (deltaBytes(delta) << 4);
  if (!isLong) return at + 2;
  writeU16(bytes, at + 2, suffixLength);
  return at + 4;
}

function writeEntryTail(bytes: Uint8Array, at: number, valueLength: number, delta: number): number {
  if (valueLength < 128) bytes[at++] = valueLength;
  else at = writeVarint(bytes, at, valueLength);
  if (delta < 0x8000_0000) {
    for (let rest = delta | 0; rest > 0; rest >>>= 8) bytes[at++] = rest;
    return at;
  }
  for (let rest = delta; rest > 0; rest = Math.floor(rest / 256)) bytes[at++] = rest % 256;
  return at;
}
