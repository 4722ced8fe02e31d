/**
 * The data block, searched in place: nothing is parsed when it is read. Pure; any thread.
 *
 *     0 ┌──────────────────────────────┐
 *       │ u16 entry count              │
 *     2 │ u16 bucket bits              │
 *     4 │ u16 prefix length            │
 *     6 │ u16 zero                     │
 *     8 │ u48 base sequence            │  the smallest sequence number in the block
 *    14 │ u16 zero                     │
 *    16 ├──────────────────────────────┤
 *       │ u16 buckets[1 << bits]       │  0, or offset of the newest entry of a user key; linear probing from hash's low bits
 *       │ u16 offsets[count]           │  of all entries, user key ascending, sequence descending
 *       │ prefix                       │  what all user keys of the block begin with
 *       │ entries                      │
 *       │ zeros                        │  up to 16 bytes before a multiple of 4096
 *       ├──────────────────────────────┤
 *       │ trailer, 16 bytes            │  see block-check.ts
 *       └──────────────────────────────┘
 *
 *   entry  ┌──────────────────┬────────┬────────────────────┬────────┬─────────────────────┬──────────────────┬───────┐
 *          │ u8 suffix length │ u8 tag │ u16 suffix length  │ suffix │ varint value length │ sequence − base, │ value │
 *          │ (255: see u16)   │        │ (only if u8 = 255) │        │                     │ 0 to 6 bytes LE  │       │
 *          └──────────────────┴────────┴────────────────────┴────────┴─────────────────────┴──────────────────┴───────┘
 *   tag    low 4 bits: kind; bits 4 to 6: how many bytes the sequence difference has; bit 7: zero
 *
 * A lookup reads two places that depend on each other, the bucket and the entry, plus the header line, which does not.
 * The prefix is not looked at: whoever searches has checked that the key begins with it (`TableIndex.sharesPrefix`).
 * Without that check foreign keys would match.
 *
 * The functions here trust the block: its checksum has been verified when it was read (`block-check.ts`), and what was
 * verified is what the builder wrote. Blocks begin at multiples of 4096 in their buffer, and `words` is a view of the
 * same buffer from the same byte as `bytes`, so that a block's 16-bit tables can be indexed directly.
 */
import { readU16, readU48 } from './integers.ts';
import { SEQUENCE_MAX } from './limits.ts';

export const BLOCK_HEADER_BYTES = 16;

/** The u8 suffix length that says: look at the u16. */
export const LONG_SUFFIX = 255;

/** Where the entry that a search found has its parts; made once and used again. */
export class BlockEntry {
  kind = 0;
  /** Begins as a number that needs a double, so that the field never has to change its representation. */
  sequence: number = SEQUENCE_MAX;
  valueStart = 0;
  valueLength = 0;
}

/**
 * HOT. Finds the newest version of the key with sequence <= visibleSequence; false when the block has none.
 * REQUIRES: the key begins with the block's prefix; `hash` is its `hashBytes`; a verified block at `base`.
 * Sets kind, sequence, valueStart and valueLength of `result`.
 */
export function searchBlock(
  bytes: Uint8Array,
  words: Uint16Array,
  base: number,
  bucketBits: number,
  prefixLength: number,
  key: Uint8Array,
  keyLength: number,
  hash: number,
  visibleSequence: number,
  result: BlockEntry,
): boolean {
  const buckets = (base + BLOCK_HEADER_BYTES) >> 1;
  const mask = (1 << bucketBits) - 1;
  const suffixLength = keyLength - prefixLength;
  const isLong = suffixLength >= LONG_SUFFIX;
  const shown = isLong ? LONG_SUFFIX : suffixLength;
  let bucket = hash & mask;
  for (;;) {
    const offset = words[buckets + bucket];
    // The builder leaves at least one bucket empty, so every probe ends.
    if (offset === 0) return false;
    const entry = base + offset;
    if (bytes[entry] === shown && (!isLong || longSuffixLength(bytes, entry) === suffixLength)) {
      const suffix = isLong ? entry + 4 : entry + 2;
      let i = 0;
      while (i < suffixLength && bytes[suffix + i] === key[prefixLength + i]) i++;
      if (i === suffixLength) {
        readTail(bytes, base, entry, suffix + suffixLength, result);
        if (result.sequence <= visibleSequence) return true;
        return searchOlder(bytes, words, base, offset, visibleSequence, result);
      }
    }
    bucket = (bucket + 1) & mask;
  }
}

/**
 * The newest version that is visible among the ones behind the entry at `offset`, which is too new. Versions of a key
 * are neighbours in the offset table, newest first, so the first one old enough is found by halving.
 */
function searchOlder(
  bytes: Uint8Array,
  words: Uint16Array,
  base: number,
  offset: number,
  visibleSequence: number,
  result: BlockEntry,
): boolean {
  const half = base >> 1;
  const count = words[half];
  const offsets = half + (BLOCK_HEADER_BYTES >> 1) + (1 << words[half + 1]);
  // Entries lie in the block in the order of the offset table, so the table is ascending.
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[offsets + middle] <= offset) low = middle + 1;
    else high = middle;
  }
  // Now `low` is the ordinal behind the newest version. Find the first that is not a too new version of the same key.
  high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = base + words[offsets + middle];
    if (sameSuffix(bytes, base + offset, entry)) {
      readTail(bytes, base, entry, suffixEnd(bytes, entry), result);
      if (result.sequence > visibleSequence) {
        low = middle + 1;
        continue;
      }
    }
    high = middle;
  }
  if (low === count) return false;
  const entry = base + words[offsets + low];
  if (!sameSuffix(bytes, base + offset, entry)) return false;
  readTail(bytes, base, entry, suffixEnd(bytes, entry), result);
  return true;
}

/** What the index says of a block as well, and searches take from there. */
export function blockShape(words: Uint16Array, base: number): { bucketBits: number; prefixLength: number } {
  const half = base >> 1;
  return { bucketBits: words[half + 1], prefixLength: words[half + 2] };
}

/** How many entries the block has. */
export function blockEntryCount(bytes: Uint8Array, base: number): number {
  return readU16(bytes, base);
}

/** Ordinal of the first entry (the newest version) whose user key is not before `key`; the entry count if there is none. */
export function lowerBoundInBlock(
  bytes: Uint8Array,
  words: Uint16Array,
  base: number,
  key: Uint8Array,
  keyLength: number,
): number {
  const half = base >> 1;
  const count = words[half];
  const offsets = half + (BLOCK_HEADER_BYTES >> 1) + (1 << words[half + 1]);
  const prefixLength = words[half + 2];
  const prefixStart = (offsets + count) << 1;
  // Against the prefix: a key before it is before all entries, one behind it behind all.
  const shared = keyLength < prefixLength ? keyLength : prefixLength;
  for (let i = 0; i < shared; i++) {
    const difference = key[i] - bytes[prefixStart + i];
    if (difference !== 0) return difference < 0 ? 0 : count;
  }
  if (keyLength < prefixLength) return 0;

  const restLength = keyLength - prefixLength;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = base + words[offsets + middle];
    const short = bytes[entry];
    const isLong = short === LONG_SUFFIX;
    const suffix = isLong ? entry + 4 : entry + 2;
    const suffixLength = isLong ? longSuffixLength(bytes, entry) : short;
    const common = suffixLength < restLength ? suffixLength : restLength;
    let order = 0;
    for (let i = 0; i < common && order === 0; i++) order = bytes[suffix + i] - key[prefixLength + i];
    if (order === 0) order = suffixLength - restLength;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** HOT. What follows the suffix: value length, sequence and value. */
function readTail(bytes: Uint8Array, base: number, entry: number, suffixEnd: number, out: BlockEntry): void {
  const tag = bytes[entry + 1];
  let at = suffixEnd;
  let valueLength = bytes[at++];
  if (valueLength >= 128) {
    valueLength &= 127;
    let shift = 7;
    let byte = 128;
    while (byte >= 128) {
      byte = bytes[at++];
      valueLength |= (byte & 127) << shift;
      shift += 7;
    }
  }
  const deltaEnd = at + (tag >>> 4);
  let sequence = readU48(bytes, base + 8);
  let scale = 1;
  while (at < deltaEnd) {
    sequence += bytes[at++] * scale;
    scale *= 256;
  }
  out.kind = tag & 15;
  out.sequence = sequence;
  out.valueStart = at;
  out.valueLength = valueLength;
}

function longSuffixLength(bytes: Uint8Array, entry: number): number {
  return bytes[entry + 2] | (bytes[entry + 3] << 8);
}

function suffixEnd(bytes: Uint8Array, entry: number): number {
  const short = bytes[entry];
  return short === LONG_SUFFIX ? entry + 4 + longSuffixLength(bytes, entry) : entry + 2 + short;
}

/** Whether two entries of one block have the same user key. */
function sameSuffix(bytes: Uint8Array, a: number, b: number): boolean {
  const short = bytes[a];
  if (bytes[b] !== short) return false;
  let aStart = a + 2;
  let bStart = b + 2;
  let length = short;
  if (short === LONG_SUFFIX) {
    length = longSuffixLength(bytes, a);
    if (longSuffixLength(bytes, b) !== length) return false;
    aStart += 2;
    bStart += 2;
  }
  for (let i = 0; i < length; i++) if (bytes[aStart + i] !== bytes[bStart + i]) return false;
  return true;
}
