/**
 * Whether a block that somebody else made can be searched and scanned. Pure; any thread.
 *
 * A checksum that holds says that a block is as it was written, not who wrote it. Searches trust the block's own tables,
 * and with made-up ones would run round its buckets for ever, or give out as a value what lies behind it in memory. This is
 * the part of `checkBlockStructure` that keeps them from it, at a tenth of its time: what it accepts may have the wrong
 * keys in the wrong order, but every search of it ends, within its bytes.
 */
import { BLOCK_HEADER_BYTES } from './block.ts';
import { BLOCK_TRAILER_BYTES } from './block-check.ts';
import { BlockCursor } from './block-cursor.ts';
import { readU16, readU32 } from './integers.ts';
import { BLOCK_BYTES_MAX } from './limits.ts';

const BUCKET_BITS_MAX = 15;
const STAMP_MAX = 0xffff;

export class BlockBounds {
  readonly #entry = new BlockCursor();
  /** By offset: the stamp of the block that last had an entry there. */
  readonly #stamps = new Uint16Array(BLOCK_BYTES_MAX);
  #stamp = 0;

  /** REQUIRES: a verified, decompressed block of `length` bytes at `base`, both multiples of 4096. */
  hold(bytes: Uint8Array, base: number, length: number): boolean {
    const rawLength = readU32(bytes, base + length - BLOCK_TRAILER_BYTES);
    const count = readU16(bytes, base);
    const bucketBits = readU16(bytes, base + 2);
    if (rawLength > length - BLOCK_TRAILER_BYTES || count === 0) return false;
    if (bucketBits < 1 || bucketBits > BUCKET_BITS_MAX) return false;
    const buckets = base + BLOCK_HEADER_BYTES;
    const offsets = buckets + (2 << bucketBits);
    const entriesStart = offsets + 2 * count + readU16(bytes, base + 4);
    const end = base + rawLength;
    return (
      entriesStart <= end &&
      this.#entriesAreWithin(bytes, base, count, entriesStart, end) &&
      this.#bucketsLeadToEntries(bytes, buckets, offsets)
    );
  }

  #entriesAreWithin(bytes: Uint8Array, base: number, count: number, start: number, end: number): boolean {
    const entry = this.#entry;
    entry.enter(bytes, base);
    this.#nextStamp();
    const offsets = entry.prefixStart - 2 * count;
    for (let ordinal = 0; ordinal < count; ordinal++) {
      const offset = readU16(bytes, offsets + 2 * ordinal);
      if (base + offset < start) return false;
      entry.read(ordinal);
      // Whatever lengths are in front of the value, they have led here. Not a number where they led out of the memory.
      const { valueStart, valueLength } = entry;
      if (!(valueLength >= 0 && valueStart + valueLength <= end)) return false;
      this.#stamps[offset] = this.#stamp;
    }
    return true;
  }

  /** And that one of them is empty, where every search ends. */
  #bucketsLeadToEntries(bytes: Uint8Array, start: number, end: number): boolean {
    let hasEmpty = false;
    for (let bucket = start; bucket < end; bucket += 2) {
      const offset = bytes[bucket] | (bytes[bucket + 1] << 8);
      if (offset === 0) hasEmpty = true;
      else if (this.#stamps[offset] !== this.#stamp) return false;
    }
    return hasEmpty;
  }

  #nextStamp(): void {
    if (this.#stamp === STAMP_MAX) this.#stamps.fill(0);
    this.#stamp = (this.#stamp % STAMP_MAX) + 1;
  }
}
