/**
 * Looks at one data block after another as verification and repair do: believes nothing. Owner only.
 *
 * Checksum, structure, and then every entry: in order behind the last block's, within what the table says of itself, and
 * known to its filter. What the block is found to be lies in memory of this object until the next one is looked at.
 */
import { QuadringError } from '../errors.ts';
import { BlockCursor } from '../format/block-cursor.ts';
import {
  BLOCK_TRAILER_BYTES,
  checkBlockStructure,
  decompressBlock,
  verifyBlock,
} from '../format/block-check.ts';
import { compareBytes } from '../format/compare.ts';
import { COMPRESSION_NONE, compressionNames, isCompressionAvailable } from '../format/compression.ts';
import { filterMayContain } from '../format/filter.ts';
import { ChecksumError } from '../format/footer.ts';
import { FormatError } from '../format/format-error.ts';
import { hashBytes } from '../format/hash.ts';
import { readU48 } from '../format/integers.ts';
import { BLOCK_BYTES_MAX, KEY_BYTES_MAX } from '../format/limits.ts';
import type { TableIndex } from '../format/table-index.ts';
import type { TableTail } from '../format/table-tail.ts';
import type { TableTally } from './table-tally.ts';

/** What is so of a block that is not damaged. */
export interface ExaminedBlock {
  readonly entries: number;
  readonly firstKey: Uint8Array;
  readonly lastKey: Uint8Array;
  /** What is wrong between it and the rest of the table: the index, the filter, the properties. */
  readonly contradictions: readonly string[];
}

export class BlockExaminer {
  readonly #cursor = new BlockCursor();
  readonly #room = new Uint8Array(BLOCK_BYTES_MAX);
  readonly #scratch = new Uint8Array(BLOCK_BYTES_MAX);
  readonly #key = new Uint8Array(KEY_BYTES_MAX);
  readonly #last = new Uint8Array(KEY_BYTES_MAX);
  #lastLength = -1;
  #lastSequence = 0;

  /** The next block is the first one of a table. */
  reset(): void {
    this.#lastLength = -1;
  }

  /** Whether there was a block before. */
  get hasLast(): boolean {
    return this.#lastLength >= 0;
  }

  /** The last key of the blocks that passed so far. */
  lastKey(): Uint8Array {
    return this.#last.slice(0, Math.max(this.#lastLength, 0));
  }

  /**
   * The block that `bytes` are; throws a `FormatError` with its place in them where it is damaged, or where its keys do not
   * come behind those of the blocks before. `ordinal`: its place in the index, if there is one. Throws UNKNOWN_FORMAT where
   * this Node cannot decompress it.
   */
  examine(
    bytes: Uint8Array,
    fileNumber: number,
    offset: number,
    tail: Partial<TableTail>,
    ordinal: number,
    tally: TableTally,
  ): ExaminedBlock {
    const { length } = bytes;
    const { ok, expected, actual } = verifyBlock(bytes, 0, length, fileNumber, offset);
    if (!ok) throw new ChecksumError('a block', 0, expected, actual);
    const compression = bytes[length - BLOCK_TRAILER_BYTES + 4];
    refuseUnavailable(compression);
    checkBlockStructure(bytes, 0, length);
    const plain = this.#decompressed(bytes, compression);
    const cursor = this.#cursor;
    cursor.enter(plain, 0);
    const firstKey = this.#keyAt(0);
    const continues = this.#checkOrder(firstKey, cursor.sequence);
    const contradictions: string[] = [];
    if (tail.index !== undefined)
      contradictions.push(...this.#compareWithIndex(tail.index, ordinal, firstKey, expected, compression));
    if (tail.index !== undefined && this.hasLast && continues !== tail.index.continues(ordinal))
      contradictions.push(
        'the index is wrong about the block’s first key being the last one of the block before',
      );
    const { properties } = tail;
    if (
      properties !== undefined &&
      compression !== COMPRESSION_NONE &&
      compression !== properties.compression
    )
      contradictions.push('the block is compressed with something else than the properties say');
    contradictions.push(...this.#walk(tail, tally, continues, plain));
    const lastKey = this.#keyAt(cursor.count - 1);
    this.#last.set(lastKey);
    this.#lastLength = lastKey.length;
    this.#lastSequence = cursor.sequence;
    return { entries: cursor.count, firstKey, lastKey, contradictions };
  }

  #decompressed(bytes: Uint8Array, compression: number): Uint8Array {
    if (compression === COMPRESSION_NONE) return bytes;
    this.#room.set(bytes);
    decompressBlock(this.#room, 0, bytes.length, this.#scratch);
    return this.#room;
  }

  #keyAt(ordinal: number): Uint8Array {
    this.#cursor.read(ordinal);
    return this.#key.slice(0, this.#cursor.copyKey(this.#key));
  }

  /** Whether the key goes on from the block before. */
  #checkOrder(firstKey: Uint8Array, sequence: number): boolean {
    if (this.#lastLength < 0) return false;
    const order = compareBytes(this.#last, 0, this.#lastLength, firstKey, 0, firstKey.length);
    if (order > 0 || (order === 0 && sequence >= this.#lastSequence))
      throw new FormatError('a block that is not behind the one before', 0);
    return order === 0;
  }

  #compareWithIndex(
    index: TableIndex,
    ordinal: number,
    firstKey: Uint8Array,
    checksum: number,
    compression: number,
  ): string[] {
    const { prefixLength } = this.#cursor;
    const wrong: string[] = [];
    if (index.checksumOf(ordinal) !== checksum) wrong.push('the index has another checksum of the block');
    const named = index.firstKeyOf(ordinal);
    if (compareBytes(named, 0, named.length, firstKey, 0, firstKey.length) !== 0)
      wrong.push('the index has another first key of the block');
    if (index.prefixLengthOf(ordinal) !== prefixLength)
      wrong.push('the index has another prefix length of the block');
    const bucketBits = this.#cursor.bytes[2];
    if (index.bucketBitsOf(ordinal) !== bucketBits)
      wrong.push('the index has another number of buckets of the block');
    const isCompressed = index.memoryPagesOf(ordinal) > index.pageCountOf(ordinal);
    if (isCompressed !== (compression !== COMPRESSION_NONE))
      wrong.push('the index is wrong about the block being compressed');
    return wrong;
  }

  /** Goes through all entries. The first thing of each kind that is wrong. */
  #walk(tail: Partial<TableTail>, tally: TableTally, continues: boolean, plain: Uint8Array): string[] {
    const cursor = this.#cursor;
    const key = this.#key;
    const { filter, properties } = tail;
    const smallest = properties?.smallestSequence ?? 0;
    const largest = properties?.largestSequence ?? Infinity;
    const wrong = new Set<string>();
    let suffixStart = -1;
    let suffixLength = -1;
    let base = Infinity;
    for (let ordinal = 0; ordinal < cursor.count; ordinal++) {
      cursor.read(ordinal);
      const { sequence } = cursor;
      const isNewKey = ordinal === 0 ? !continues : !cursor.hasSuffix(suffixStart, suffixLength);
      const keyLength = cursor.prefixLength + cursor.suffixLength;
      tally.note(keyLength, cursor.valueLength, sequence, cursor.kind, isNewKey);
      if (sequence < base) base = sequence;
      if (sequence < smallest || sequence > largest)
        wrong.add('the block has a sequence number outside of what the properties say');
      if (isNewKey && filter !== undefined && filter !== null) {
        cursor.copyKey(key);
        if (!filterMayContain(filter, hashBytes(key, 0, keyLength)))
          wrong.add('the filter does not know a key of the block');
      }
      suffixStart = cursor.suffixStart;
      suffixLength = cursor.suffixLength;
    }
    if (readU48(plain, 8) !== base) wrong.add('the block’s base is not its smallest sequence number');
    return [...wrong];
  }
}

/** A block that this Node cannot decompress is not damaged. */
export function refuseUnavailable(compression: number): void {
  const name = compressionNames.at(compression);
  if (name === undefined || isCompressionAvailable(name)) return;
  const message = `compressed with ${name}, which Node ${process.version} does not have`;
  throw new QuadringError('UNKNOWN_FORMAT', message);
}
