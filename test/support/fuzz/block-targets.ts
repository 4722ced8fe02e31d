/** Data blocks: checksum, compression, structure, and what search and cursor make of those that pass for blocks. */
import fc from 'fast-check';
import { BlockCursor } from '../../../src/format/block-cursor.ts';
import { BlockEntry, blockEntryCount, lowerBoundInBlock, searchBlock } from '../../../src/format/block.ts';
import {
  BLOCK_TRAILER_BYTES,
  checkBlockStructure,
  decompressBlock,
  verifyBlock,
  writeBlockTrailer,
} from '../../../src/format/block-check.ts';
import { checksum, checksumSeed } from '../../../src/format/checksum.ts';
import {
  COMPRESSION_LZ4,
  COMPRESSION_NONE,
  COMPRESSION_ZSTD,
  compress,
  isCompressionAvailable,
} from '../../../src/format/compression.ts';
import { hashBytes } from '../../../src/format/hash.ts';
import { readU32, writeU32 } from '../../../src/format/integers.ts';
import {
  BLOCK_BYTES_MAX,
  KEY_BYTES_MAX,
  PAGE_BYTES,
  SEQUENCE_MAX,
  roundUpToPage,
} from '../../../src/format/limits.ts';
import { blockEntries, buildTable, put, type Entry } from '../../format/tables.ts';
import { damaged, inBoundedMemory } from './damaged-bytes.ts';
import { exampleTable } from './example-table.ts';
import { accepted, accepts, expect, expectSameBytes, fuzzTarget, type FuzzTarget } from './target.ts';

const FILE_NUMBER = 1;
const FILE_OFFSET = 3 * PAGE_BYTES;

const exampleBlock = exampleTable.bytes.slice(0, exampleTable.meta.index.pageCountOf(0) * PAGE_BYTES);
const exampleRaw = exampleBlock.slice(0, readU32(exampleBlock, exampleBlock.length - BLOCK_TRAILER_BYTES));

/** Where the cursor says that an entry is, it lies within the block's own bytes. */
function expectWithin(cursor: BlockCursor, rawLength: number): void {
  const { prefixStart, prefixLength, suffixStart, suffixLength, valueStart, valueLength } = cursor;
  expect(prefixStart + prefixLength <= rawLength, 'a prefix beyond the block');
  expect(suffixStart + suffixLength <= rawLength, 'a suffix beyond the block');
  expect(valueStart + valueLength <= rawLength, 'a value beyond the block');
  expect(prefixLength + suffixLength <= KEY_BYTES_MAX, 'a key that is too long');
}

/** Looks every entry of a block up, and a key besides, and goes through it; all of that agrees. */
function useBlock(bytes: Uint8Array<ArrayBuffer>, rawLength: number, key: Uint8Array): void {
  const words = new Uint16Array(bytes.buffer);
  const [, bucketBits, prefixLength] = words;
  const entries = blockEntries(bytes, 0);
  const result = new BlockEntry();
  const lookUp = (entry: Entry): boolean => {
    const { key: sought, sequence } = entry;
    const hash = hashBytes(sought, 0, sought.length);
    const { length } = sought;
    return searchBlock(bytes, words, 0, bucketBits, prefixLength, sought, length, hash, sequence, result);
  };
  for (const entry of entries) {
    expect(lookUp(entry), 'an entry that is not found');
    expect(result.sequence === entry.sequence && result.kind === entry.kind, 'another entry is found');
    expect(result.valueStart + result.valueLength <= rawLength, 'a value beyond the block');
  }
  // As in the engine, only what begins with the prefix is searched for.
  const beginsWithPrefix = Buffer.compare(
    key.subarray(0, prefixLength),
    entries[0].key.subarray(0, prefixLength),
  );
  if (key.length >= prefixLength && beginsWithPrefix === 0) {
    const isThere = entries.some((entry) => Buffer.compare(entry.key, key) === 0);
    expect(lookUp(put(key, SEQUENCE_MAX)) === isThere, 'a key that is not there');
  }
  const bound = lowerBoundInBlock(bytes, words, 0, key, key.length);
  const expected = entries.findIndex((entry) => Buffer.compare(entry.key, key) >= 0);
  expect(bound === (expected < 0 ? entries.length : expected), 'another lower bound');
  goThrough(bytes, rawLength);
}

function goThrough(bytes: Uint8Array, rawLength: number): void {
  const cursor = new BlockCursor();
  cursor.enter(bytes, 0);
  expect(cursor.count === blockEntryCount(bytes, 0), 'another count');
  const target = new Uint8Array(KEY_BYTES_MAX + 1).fill(0xee);
  for (let ordinal = cursor.count - 1; ordinal >= 0; ordinal--) {
    cursor.read(ordinal);
    expectWithin(cursor, rawLength);
    const length = cursor.copyKey(target);
    expect(cursor.hasKey(target, length), 'a key that is not its own');
    expect(cursor.hasSuffix(cursor.suffixStart, cursor.suffixLength), 'a suffix that is not its own');
  }
}

const structure = fuzzTarget({
  name: 'the structure of blocks: what is accepted can be searched and scanned within its bounds',
  runs: 1500,
  arbitrary: fc.record({
    raw: damaged(exampleRaw, 300),
    key: fc.oneof(fc.uint8Array({ maxLength: 10 }), damaged(Buffer.from('key 0007'), 10)),
  }),
  check({ raw, key }, count) {
    const bytes = new Uint8Array(roundUpToPage(raw.length + BLOCK_TRAILER_BYTES));
    bytes.set(raw);
    writeBlockTrailer(bytes, bytes.length - BLOCK_TRAILER_BYTES, raw.length);
    const look = () => checkBlockStructure(bytes, 0, bytes.length);
    if (!accepts(() => inBoundedMemory(bytes.length, look))) return;
    count('accepted');
    useBlock(bytes, raw.length, key);
  },
});

const wholeBlocks = fuzzTarget({
  name: 'whole blocks, trailer and padding included',
  runs: 1000,
  arbitrary: damaged(exampleBlock, 5000),
  check(bytes, count) {
    if (bytes.length >= PAGE_BYTES) {
      const { ok } = verifyBlock(bytes, 0, bytes.length, FILE_NUMBER, 0);
      if (ok) expectSameBytes(bytes, exampleBlock, 'a block that verifies');
    }
    const isBlock = accepts(() =>
      inBoundedMemory(bytes.length, () => checkBlockStructure(bytes, 0, bytes.length)),
    );
    if (!isBlock) return;
    count('accepted');
    const copy = bytes.slice();
    const roomBytes = BLOCK_BYTES_MAX;
    const memory = new Uint8Array(roomBytes);
    memory.set(copy);
    const length = decompressBlock(memory, 0, copy.length, new Uint8Array(BLOCK_BYTES_MAX), roomBytes);
    useBlock(memory, readU32(memory, length - BLOCK_TRAILER_BYTES), Uint8Array.of(0x6b));
  },
});

/** A block of 16 KiB that every compression makes smaller. */
const largeTable = buildTable(
  Array.from({ length: 150 }, (_, i) =>
    put(`key ${String(i).padStart(5, '0')}`, 1000 + i, `value ${i} `.repeat(9)),
  ),
  { blockBytes: 16_384 },
);
const largeBlock = largeTable.bytes.slice(0, largeTable.meta.index.pageCountOf(0) * PAGE_BYTES);
const largeRaw = largeBlock.slice(0, readU32(largeBlock, largeBlock.length - BLOCK_TRAILER_BYTES));
const KINDS = [COMPRESSION_LZ4, ...(isCompressionAvailable('zstd') ? [COMPRESSION_ZSTD] : [])];
const compressedOf = new Map(
  KINDS.map((kind) => {
    const target = new Uint8Array(BLOCK_BYTES_MAX);
    const length = compress(kind, largeRaw, 0, largeRaw.length, target, 0, target.length);
    expect(length > 0 && length < largeRaw.length, 'the example can be compressed');
    return [kind, target.slice(0, length)];
  }),
);

/** Stored bytes with a trailer and a checksum that holds. */
function sealed(
  stored: Uint8Array,
  compression: number,
  rawLength: number,
  storedLength: number,
): Uint8Array {
  const bytes = new Uint8Array(roundUpToPage(stored.length + BLOCK_TRAILER_BYTES));
  bytes.set(stored);
  const trailer = bytes.length - BLOCK_TRAILER_BYTES;
  writeBlockTrailer(bytes, trailer, rawLength, compression, storedLength);
  const seed = checksumSeed(0, FILE_NUMBER, FILE_OFFSET);
  writeU32(bytes, trailer + 12, checksum(bytes, 0, trailer + 12, seed));
  return bytes;
}

const lengthOr = (sound: number): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(sound) },
    {
      weight: 1,
      arbitrary: fc.oneof(fc.nat(70_000), fc.nat({ max: 0xffffffff }), fc.constantFrom(0, 16, 0xffffffff)),
    },
  );

const compressedBlock = fc.constantFrom(...compressedOf).chain(([kind, stored]) =>
  fc
    .record({
      kind: fc.oneof(
        { weight: 8, arbitrary: fc.constant(kind) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(COMPRESSION_NONE, COMPRESSION_LZ4, COMPRESSION_ZSTD, 3, 255),
        },
      ),
      stored: damaged(stored, 300),
      rawLength: lengthOr(largeRaw.length),
      storedLength: lengthOr(-1),
      roomPages: fc.oneof(fc.constant(4), fc.nat(16)),
      isShared: fc.boolean(),
    })
    .map((block) => ({ ...block, sound: stored })),
);

const ROOM_AT = PAGE_BYTES;
const FILL = 0xa5;

const compressed = fuzzTarget({
  name: 'compressed blocks behind a checksum that holds',
  runs: 1500,
  arbitrary: compressedBlock,
  check({ kind, stored, rawLength, storedLength, roomPages, isShared, sound }, count) {
    const saidLength = storedLength === -1 ? stored.length : storedLength;
    const bytes = sealed(stored, kind, rawLength, saidLength);
    expect(verifyBlock(bytes, 0, bytes.length, FILE_NUMBER, FILE_OFFSET).ok, 'the checksum holds');
    const roomBytes = Math.max(roomPages * PAGE_BYTES, bytes.length);
    const memoryBytes = roomBytes + 2 * PAGE_BYTES;
    const memory = new Uint8Array(
      isShared ? new SharedArrayBuffer(memoryBytes) : new ArrayBuffer(memoryBytes),
    );
    memory.fill(FILL);
    memory.set(bytes, ROOM_AT);
    const scratch = new Uint8Array(BLOCK_BYTES_MAX);
    const decompress = () => decompressBlock(memory, ROOM_AT, bytes.length, scratch, roomBytes);
    const decompressed = accepted(() => inBoundedMemory(memoryBytes, decompress));
    const isFill = (byte: number): boolean => byte === FILL;
    expect(memory.subarray(0, ROOM_AT).every(isFill), 'bytes before the room have changed');
    expect(memory.subarray(ROOM_AT + roomBytes).every(isFill), 'bytes behind the room have changed');
    accepts(() => inBoundedMemory(bytes.length, () => checkBlockStructure(bytes, 0, bytes.length)));
    if (decompressed === undefined) return;
    count('accepted');
    expect(decompressed.value <= roomBytes, 'more than the room');
    if (kind === COMPRESSION_NONE) return;
    const plain = new Uint8Array(memory.subarray(ROOM_AT, ROOM_AT + decompressed.value));
    const isAsItWas = Buffer.compare(stored, sound) === 0 && rawLength === largeRaw.length;
    if (isAsItWas && saidLength === sound.length)
      expectSameBytes(plain.subarray(0, rawLength), largeRaw, 'a block that was compressed');
    if (accepts(() => checkBlockStructure(plain, 0, plain.length)))
      useBlock(plain, rawLength, Uint8Array.of(0x6b));
  },
});

export const blockTargets: readonly FuzzTarget[] = [structure, wholeBlocks, compressed];
