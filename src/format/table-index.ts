/**
 * The index section of a table: where each data block is and which key it begins with. Pure; any thread.
 *
 *    0 ┌─────────────────────────────────────┐
 *      │ u32 block count                     │
 *    4 │ u32 bytes of all first keys         │
 *    8 ├─────────────────────────────────────┤
 *      │ 12 bytes for each block:            │
 *      │   u32 checksum                      │  the block's own, again
 *      │   u16 pages                         │  blocks follow each other from page 0 without gaps
 *      │   u16 prefix length                 │
 *      │   u16 first key's length            │
 *      │   u8  bucket bits                   │
 *      │   u8  flags                         │  1: the first user key is also the last one of the block before
 *      │                                     │  2: the block is compressed
 *      ├─────────────────────────────────────┤
 *      │ first user keys, one after another  │
 *      ├─────────────────────────────────────┤
 *      │ u32 checksum of the section         │  table-meta.ts
 *      └─────────────────────────────────────┘
 *
 * In memory a lookup goes through the first keys' *heads*: what all first keys have in common is taken off, and the
 * next 52 bits are a number. The halving over them has no branch that depends on the key, because a mispredicted branch
 * costs more than a load from this small array: over 7,500 blocks and random keys, 48 ns against 195 with branches in
 * the same run. Only a head that equals the key's makes it look at key bytes.
 *
 * What `locate` and `sharesPrefix` promise together: if a key is in the table, it is in the block that `locate` names
 * and in the blocks that `isContinuedBy` adds; and if `sharesPrefix` says no, it is not in the table. If it says yes,
 * the key begins with the block's prefix, which is what `searchBlock` requires.
 *
 * A table of nothing but range tombstones has an index of no blocks.
 */
import { compareBytes, commonPrefixLength } from './compare.ts';
import { FormatError } from './format-error.ts';
import { readU16, readU32, writeU16, writeU32 } from './integers.ts';
import { headOf } from './key-head.ts';
import { PAGE_BYTES } from './limits.ts';
import { ByteWriter } from './varint.ts';

export const INDEX_HEAD_BYTES = 8;
const RECORD_BYTES = 12;
const FLAG_CONTINUES = 1;
const FLAG_COMPRESSED = 2;

/** In memory, beside the flags of the disk: every key that `locate` leads here begins with the block's prefix. */
const FLAG_PREFIX_IMPLIED = 128;

/** The length of the section whose head is at `at`, without its checksum; undefined if that is more than `lengthMax`. */
export function indexLength(bytes: Uint8Array, at: number, lengthMax: number): number | undefined {
  if (lengthMax < INDEX_HEAD_BYTES) return undefined;
  const length = INDEX_HEAD_BYTES + readU32(bytes, at) * RECORD_BYTES + readU32(bytes, at + 4);
  return length <= lengthMax ? length : undefined;
}

/** Gathers one record for each block while a table is built. */
export class TableIndexBuilder {
  readonly #records = new ByteWriter(4096);
  readonly #keys = new ByteWriter(4096);
  readonly #record = new Uint8Array(RECORD_BYTES);
  #count = 0;

  add(
    firstKey: Uint8Array,
    pages: number,
    prefixLength: number,
    bucketBits: number,
    continues: boolean,
    isCompressed: boolean,
    checksum: number,
  ): void {
    const record = this.#record;
    writeU32(record, 0, checksum);
    writeU16(record, 4, pages);
    writeU16(record, 6, prefixLength);
    writeU16(record, 8, firstKey.length);
    record[10] = bucketBits;
    record[11] = (continues ? FLAG_CONTINUES : 0) | (isCompressed ? FLAG_COMPRESSED : 0);
    this.#records.bytes(record);
    this.#keys.bytes(firstKey);
    this.#count++;
  }

  /** The section without its checksum. */
  finish(): Uint8Array {
    const writer = new ByteWriter(INDEX_HEAD_BYTES + this.#records.length + this.#keys.length);
    writer.u32(this.#count);
    writer.u32(this.#keys.length);
    writer.bytes(this.#records.written());
    writer.bytes(this.#keys.written());
    return writer.written();
  }
}

export class TableIndex {
  readonly blockCount: number;
  /** Bytes that the index occupies in memory. */
  readonly memoryBytes: number;
  readonly #pages: Uint32Array;
  readonly #pageCounts: Uint16Array;
  readonly #prefixLengths: Uint16Array;
  readonly #bucketBits: Uint8Array;
  readonly #flags: Uint8Array;
  readonly #decompressedPages: number;
  readonly #checksums: Uint32Array;
  /** First keys one after another; key of block b is [keyStarts[b], keyStarts[b + 1]). */
  readonly #keys: Uint8Array;
  readonly #keyStarts: Uint32Array;
  /** What all first keys begin with. */
  readonly #commonLength: number;
  /** The first 52 bits behind the common prefix: as many bytes as a double holds exactly, and a half. Behind them Infinity. */
  readonly #heads: Float64Array;
  #lastLocated = 0;

  /**
   * Decodes `bytes[start, end)`, the section without its checksum, of a table whose blocks end at `dataBytes`, and whose
   * compressed ones take up to `decompressedPages` once they are not; 0: it has none. Throws a `FormatError`. The index
   * keeps nothing of `bytes`.
   */
  constructor(bytes: Uint8Array, start: number, end: number, dataBytes: number, decompressedPages: number) {
    if (end - start < INDEX_HEAD_BYTES) throw new FormatError('an index without a head', start);
    const count = readU32(bytes, start);
    const keyBytes = readU32(bytes, start + 4);
    if (INDEX_HEAD_BYTES + count * RECORD_BYTES + keyBytes !== end - start) {
      throw new FormatError(
        `an index of ${end - start} bytes for ${count} blocks and ${keyBytes} bytes of keys`,
        start,
      );
    }
    this.blockCount = count;
    this.#decompressedPages = decompressedPages;
    this.#pages = new Uint32Array(count);
    this.#pageCounts = new Uint16Array(count);
    this.#prefixLengths = new Uint16Array(count);
    this.#bucketBits = new Uint8Array(count);
    this.#flags = new Uint8Array(count);
    this.#checksums = new Uint32Array(count);
    this.#keyStarts = new Uint32Array(count + 1);
    const keysStart = start + INDEX_HEAD_BYTES + count * RECORD_BYTES;
    this.#keys = new Uint8Array(bytes.subarray(keysStart, end));
    this.#readRecords(bytes, start + INDEX_HEAD_BYTES, keyBytes, dataBytes);
    this.#commonLength = count === 0 ? 0 : this.#sharedByKeys(0, count - 1);
    this.#checkKeysAndSetFlags(start);

    // Without blocks there is one head, behind that of every key: `locate` needs no check of its own for that.
    this.#heads = new Float64Array(Math.max(count, 1) + 1).fill(Infinity);
    for (let block = 0; block < count; block++) {
      const keyStart = this.#keyStarts[block];
      this.#heads[block] = headOf(this.#keys, keyStart + this.#commonLength, this.#keyStarts[block + 1]);
    }
    const perBlock = 4 + 2 + 2 + 1 + 1 + 4 + 4 + 8; // the elements of the arrays above, in their order
    this.memoryBytes = count * perBlock + this.#keys.byteLength;
  }

  /**
   * HOT. The block that has the newest version of the key if the table has any; −1 when the key is before all blocks.
   */
  locate(key: Uint8Array, keyLength: number): number {
    const common = this.#commonLength;
    const keys = this.#keys;
    const shorter = keyLength < common ? keyLength : common;
    for (let i = 0; i < shorter; i++) {
      const difference = key[i] - keys[i];
      if (difference !== 0) return difference < 0 ? -1 : this.blockCount - 1;
    }
    if (keyLength < common) return -1;

    const head = headOf(key, common, keyLength);
    const heads = this.#heads;
    let block = this.#lastLocated;
    // Neighbours are often asked for one after another, and then it is the same block.
    if (!(heads[block] < head && head < heads[block + 1])) {
      // The last block whose head is at most the key's. The comparison becomes a mask of ones or zeros, not a branch.
      block = 0;
      let count = heads.length - 1;
      while (count > 1) {
        const half = count >>> 1;
        block += half & -Number(heads[block + half] <= head);
        count -= half;
      }
      this.#lastLocated = block;
    }
    const found = heads[block];
    if (found >= head) {
      if (found > head) return -1;
      if (this.#compareFirstKey(block, key, keyLength) > 0)
        block = this.#amongEqualHeads(block, key, keyLength);
      if (block < 0) return -1;
    }
    if ((this.#flags[block] & FLAG_CONTINUES) === 0) return block;
    return this.#stepBack(block, key, keyLength);
  }

  /**
   * HOT. Whether the key begins with what all keys of the block begin with. REQUIRES: `block` is what `locate` (or
   * `isContinuedBy` after it) gave for this key. Mostly one byte of memory answers: a key between the first keys of
   * this block and the next begins with what those two have in common.
   */
  sharesPrefix(block: number, key: Uint8Array, keyLength: number): boolean {
    if ((this.#flags[block] & FLAG_PREFIX_IMPLIED) !== 0) return true;
    const prefixLength = this.#prefixLengths[block];
    if (keyLength < prefixLength) return false;
    const start = this.#keyStarts[block];
    const keys = this.#keys;
    for (let i = 0; i < prefixLength; i++) if (keys[start + i] !== key[i]) return false;
    return true;
  }

  /** Whether block + 1 begins with further, older versions of this key. */
  isContinuedBy(block: number, key: Uint8Array, keyLength: number): boolean {
    const next = block + 1;
    if (next >= this.blockCount || (this.#flags[next] & FLAG_CONTINUES) === 0) return false;
    return this.#compareFirstKey(next, key, keyLength) === 0;
  }

  pageOf(block: number): number {
    return this.#pages[block];
  }

  /** Pages that the block takes on the disk. */
  pageCountOf(block: number): number {
    return this.#pageCounts[block];
  }

  /** Pages that hold the block in memory, where it is not compressed: so many, or fewer. */
  memoryPagesOf(block: number): number {
    const isCompressed = (this.#flags[block] & FLAG_COMPRESSED) !== 0;
    return isCompressed ? this.#decompressedPages : this.#pageCounts[block];
  }

  prefixLengthOf(block: number): number {
    return this.#prefixLengths[block];
  }

  bucketBitsOf(block: number): number {
    return this.#bucketBits[block];
  }

  checksumOf(block: number): number {
    return this.#checksums[block];
  }

  /** Bytes of the blocks that keys from `lower` on and before `upper` are in; undefined is no bound. */
  bytesBetween(lower: Uint8Array | undefined, upper: Uint8Array | undefined): number {
    const first = lower === undefined ? 0 : Math.max(this.locate(lower, lower.length), 0);
    const last = upper === undefined ? this.blockCount - 1 : this.locate(upper, upper.length);
    if (last < first) return 0;
    return (this.#pages[last] + this.#pageCounts[last] - this.#pages[first]) * PAGE_BYTES;
  }

  /** Whether the block's first user key is also the last one of the block before. */
  continues(block: number): boolean {
    return (this.#flags[block] & FLAG_CONTINUES) !== 0;
  }

  /** A view of the block's first user key. */
  firstKeyOf(block: number): Uint8Array {
    return this.#keys.subarray(this.#keyStarts[block], this.#keyStarts[block + 1]);
  }

  /** The last block not behind the key, when `last` is the last one with the key's head and is behind the key. */
  #amongEqualHeads(last: number, key: Uint8Array, keyLength: number): number {
    const head = this.#heads[last];
    let low = 0;
    let high = last;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#heads[middle];
      if (other < head || (other === head && this.#compareFirstKey(middle, key, keyLength) <= 0))
        low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Back over blocks that begin with the key, to the one that has its newest version. */
  #stepBack(from: number, key: Uint8Array, keyLength: number): number {
    let block = from;
    while ((this.#flags[block] & FLAG_CONTINUES) !== 0 && this.#compareFirstKey(block, key, keyLength) === 0)
      block--;
    return block;
  }

  #compareFirstKey(block: number, key: Uint8Array, keyLength: number): number {
    const start = this.#keyStarts[block];
    return compareBytes(this.#keys, start, this.#keyStarts[block + 1] - start, key, 0, keyLength);
  }

  #sharedByKeys(a: number, b: number): number {
    const starts = this.#keyStarts;
    const keys = this.#keys;
    return commonPrefixLength(
      keys,
      starts[a],
      starts[a + 1] - starts[a],
      keys,
      starts[b],
      starts[b + 1] - starts[b],
    );
  }

  #readRecords(bytes: Uint8Array, start: number, keyBytes: number, dataBytes: number): void {
    let page = 0;
    let keyStart = 0;
    for (let block = 0; block < this.blockCount; block++) {
      const at = start + block * RECORD_BYTES;
      const pages = readU16(bytes, at + 4);
      const prefixLength = readU16(bytes, at + 6);
      const keyLength = readU16(bytes, at + 8);
      const bucketBits = bytes[at + 10];
      const flags = bytes[at + 11];
      if (pages === 0) throw new FormatError('an index with an empty block', at);
      if (prefixLength > keyLength) throw new FormatError('an index with a prefix longer than the key', at);
      if (bucketBits < 1 || bucketBits > 15)
        throw new FormatError(`an index with ${bucketBits} bucket bits`, at);
      const continuesNothing = block === 0 && (flags & FLAG_CONTINUES) !== 0;
      if ((flags & ~(FLAG_CONTINUES | FLAG_COMPRESSED)) !== 0 || continuesNothing)
        throw new FormatError(`an index with flags ${flags}`, at);
      if ((flags & FLAG_COMPRESSED) !== 0 && pages >= this.#decompressedPages)
        throw new FormatError(`an index with a compressed block of ${pages} pages`, at);
      this.#checksums[block] = readU32(bytes, at);
      this.#pages[block] = page;
      this.#pageCounts[block] = pages;
      this.#prefixLengths[block] = prefixLength;
      this.#bucketBits[block] = bucketBits;
      this.#flags[block] = flags;
      this.#keyStarts[block] = keyStart;
      page += pages;
      keyStart += keyLength;
    }
    this.#keyStarts[this.blockCount] = keyStart;
    if (keyStart !== keyBytes)
      throw new FormatError('an index whose keys have another length than it says', start);
    if (page * PAGE_BYTES !== dataBytes) throw new FormatError(`an index of ${page} pages`, start);
  }

  #checkKeysAndSetFlags(at: number): void {
    const starts = this.#keyStarts;
    for (let block = 1; block < this.blockCount; block++) {
      const shared = this.#sharedByKeys(block - 1, block);
      if (this.#prefixLengths[block - 1] <= shared) this.#flags[block - 1] |= FLAG_PREFIX_IMPLIED;
      const previousLength = starts[block] - starts[block - 1];
      const length = starts[block + 1] - starts[block];
      const isSame = shared === length && shared === previousLength;
      if (isSame && (this.#flags[block] & FLAG_CONTINUES) !== 0) continue;
      const isAfter =
        shared === previousLength
          ? length > previousLength
          : shared < length && this.#keys[starts[block] + shared] > this.#keys[starts[block - 1] + shared];
      if (!isAfter)
        throw new FormatError(`an index whose blocks ${block - 1} and ${block} are out of order`, at);
    }
  }
}
