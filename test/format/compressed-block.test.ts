/** Blocks that are stored compressed: what saves no page is not, and what is becomes the same block again, in place. */
import test from 'ava';
import fc from 'fast-check';
import { BlockBuilder } from '../../src/format/block-builder.ts';
import {
  BLOCK_TRAILER_BYTES,
  checkBlockStructure,
  decompressBlock,
  verifyBlock,
  writeBlockTrailer,
} from '../../src/format/block-check.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import {
  COMPRESSION_NONE,
  COMPRESSION_ZSTD,
  compress,
  compressionOf,
  isCompressionAvailable,
} from '../../src/format/compression.ts';
import { FormatError } from '../../src/format/format-error.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { readU32, writeU32 } from '../../src/format/integers.ts';
import { BLOCK_BYTES_MAX, PAGE_BYTES, roundUpToPage } from '../../src/format/limits.ts';
import { COMPRESSIONS, blockEntries, crowdedKey, expectEntries, put, sortedEntries } from './tables.ts';
import type { Entry } from './tables.ts';

const FILE_NUMBER = 5;
const FILE_OFFSET = 3 * PAGE_BYTES;
const kinds = COMPRESSIONS.filter((name) => name !== 'none');
const scratch = new Uint8Array(BLOCK_BYTES_MAX);

interface StoredBlock {
  readonly bytes: Uint8Array;
  readonly isCompressed: boolean;
  /** How many of the entries went in. */
  readonly count: number;
}

/** A block of as many of the entries as fit, as stored. */
function makeBlock(entries: readonly Entry[], compression: number, blockBytes = 16_384): StoredBlock {
  const builder = new BlockBuilder(blockBytes, compression);
  let count = 0;
  for (const { key, sequence, kind, value } of entries) {
    const shared = count === 0 ? 0 : builder.sharedWithLast(key, 0, key.length);
    const isNewKey = count === 0 || shared !== key.length || shared !== builder.lastKeyLength;
    if (count > 0 && !builder.fits(key.length, value.length, shared, isNewKey, sequence)) break;
    const hash = hashBytes(key, 0, key.length);
    builder.add(key, 0, key.length, shared, isNewKey, hash, sequence, kind, value, 0, value.length);
    count++;
  }
  const length = builder.finish(FILE_NUMBER, FILE_OFFSET);
  return { bytes: builder.output.slice(0, length), isCompressed: builder.isCompressed, count };
}

/** Entries that fill about `bytes` bytes and can be compressed well. */
function entriesOf(bytes: number): Entry[] {
  return Array.from({ length: Math.floor(bytes / 60) }, (_, i) =>
    put(`key ${String(i).padStart(5, '0')}`, 1000 + i, `value ${i % 10} `.repeat(4)),
  );
}

/** The block in the middle of a room for it between two pages of something else, shared between threads or not. */
function inRoom(block: Uint8Array, roomBytes: number, isShared: boolean): Uint8Array {
  const bytes = roomBytes + 2 * PAGE_BYTES;
  const memory = isShared ? new Uint8Array(new SharedArrayBuffer(bytes)) : new Uint8Array(bytes);
  memory.fill(0xa5);
  memory.set(block, PAGE_BYTES);
  return memory;
}

function isUntouchedAround(memory: Uint8Array): boolean {
  const isFill = (byte: number): boolean => byte === 0xa5;
  return memory.subarray(0, PAGE_BYTES).every(isFill) && memory.subarray(-PAGE_BYTES).every(isFill);
}

/** A block that verifies and is stored as these bytes, whatever they are. */
function sealed(
  stored: Uint8Array,
  kind: number,
  rawLength: number,
  storedLength = stored.length,
): Uint8Array {
  const bytes = new Uint8Array(roundUpToPage(stored.length + BLOCK_TRAILER_BYTES));
  bytes.set(stored);
  writeBlockTrailer(bytes, bytes.length - BLOCK_TRAILER_BYTES, rawLength, kind, storedLength);
  const sum = checksum(bytes, 0, bytes.length - 4, checksumSeed(0, FILE_NUMBER, FILE_OFFSET));
  writeU32(bytes, bytes.length - 4, sum);
  return bytes;
}

for (const name of kinds) {
  const kind = compressionOf(name);

  test(`${name}: a block becomes, in place, what it would be without compression`, (t) => {
    let compressed = 0;
    fc.assert(
      fc.property(
        sortedEntries(crowdedKey(6), { maxLength: 60, valueBytesMax: 900 }),
        fc.constantFrom(4096, 8192, 16_384, 65_536),
        fc.boolean(),
        (entries, blockBytes, isShared) => {
          const plain = makeBlock(entries, COMPRESSION_NONE, blockBytes);
          const stored = makeBlock(entries, kind, blockBytes);
          t.is(stored.count, plain.count, 'compression makes no room for more');
          t.true(verifyBlock(stored.bytes, 0, stored.bytes.length, FILE_NUMBER, FILE_OFFSET).ok);
          checkBlockStructure(stored.bytes, 0, stored.bytes.length);
          const memory = inRoom(stored.bytes, blockBytes, isShared);
          const length = decompressBlock(memory, PAGE_BYTES, stored.bytes.length, scratch, blockBytes);
          t.true(isUntouchedAround(memory));
          t.is(length, plain.bytes.length);
          expectEntries(t, blockEntries(memory, PAGE_BYTES), entries.slice(0, plain.count));
          if (!stored.isCompressed) {
            t.deepEqual(stored.bytes, plain.bytes);
            return;
          }
          compressed++;
          t.true(stored.bytes.length < plain.bytes.length);
          // All but the checksum, which nothing asks for in memory.
          const end = PAGE_BYTES + length - 4;
          t.is(Buffer.compare(memory.subarray(PAGE_BYTES, end), plain.bytes.subarray(0, -4)), 0);
          checkBlockStructure(memory, PAGE_BYTES, length);
        },
      ),
      { numRuns: 120 },
    );
    t.true(compressed > 30, `${compressed} of 120`);
  });

  test(`${name}: a block is compressed only if that saves a page`, (t) => {
    t.false(makeBlock(entriesOf(3000), kind).isCompressed, 'of one page');
    t.true(makeBlock(entriesOf(12_000), kind).isCompressed);
    const noise = Array.from({ length: 100 }, (_, i) => {
      const value = new Uint8Array(100);
      for (let at = 0; at < value.length; at++) value[at] = hashBytes(Uint8Array.of(i, at), 0, 2);
      return put(`key ${String(i).padStart(5, '0')}`, 1, value);
    });
    const stored = makeBlock(noise, kind);
    t.false(stored.isCompressed);
    t.deepEqual(stored.bytes, makeBlock(noise, COMPRESSION_NONE).bytes);
  });

  test(`${name}: after a block that is not compressed comes one that is, and the other way round`, (t) => {
    const builder = new BlockBuilder(8192, kind);
    for (const bytes of [7000, 1000, 7000, 7000, 1000]) {
      const entries = entriesOf(bytes);
      for (const { key, sequence, kind: entryKind, value } of entries) {
        const isFirst = builder.count === 0;
        const shared = isFirst ? 0 : builder.sharedWithLast(key, 0, key.length);
        const hash = hashBytes(key, 0, key.length);
        builder.add(key, 0, key.length, shared, true, hash, sequence, entryKind, value, 0, value.length);
      }
      const length = builder.finish(FILE_NUMBER, FILE_OFFSET);
      t.is(builder.isCompressed, bytes === 7000);
      const memory = inRoom(builder.output.subarray(0, length), 8192, false);
      decompressBlock(memory, PAGE_BYTES, length, scratch, 8192);
      expectEntries(t, blockEntries(memory, PAGE_BYTES), entries);
    }
  });

  test(`${name}: a flipped bit anywhere is found before anything is decompressed`, (t) => {
    const { bytes, isCompressed } = makeBlock(entriesOf(12_000), kind);
    t.true(isCompressed);
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] ^= 1 << (at & 7);
      if (verifyBlock(bytes, 0, bytes.length, FILE_NUMBER, FILE_OFFSET).ok) t.fail(`byte ${at}`);
      bytes[at] ^= 1 << (at & 7);
    }
    t.true(verifyBlock(bytes, 0, bytes.length, FILE_NUMBER, FILE_OFFSET).ok);
  });

  test(`${name}: a room that is too small is refused and nothing written beyond it`, (t) => {
    const { bytes } = makeBlock(entriesOf(16_000), kind);
    const memory = inRoom(bytes, 8192, false);
    const refused = { instanceOf: FormatError, message: /room of 8192/ };
    t.throws(() => decompressBlock(memory, PAGE_BYTES, bytes.length, scratch, 8192), refused);
    t.true(isUntouchedAround(memory));
  });

  test(`${name}: what verifies and is no compressed block is refused, within its room`, (t) => {
    const plain = makeBlock(entriesOf(12_000), COMPRESSION_NONE).bytes;
    const rawLength = readU32(plain, plain.length - BLOCK_TRAILER_BYTES);
    const target = new Uint8Array(plain.length);
    const packed = target.slice(0, compress(kind, plain, 0, rawLength, target, 0, target.length));
    const cases: [string, Uint8Array][] = [
      ['cut', sealed(packed.slice(0, -5), kind, rawLength)],
      [
        'noise',
        sealed(
          Uint8Array.from({ length: 500 }, (_, i) => i * 37),
          kind,
          rawLength,
        ),
      ],
      ['nothing', sealed(new Uint8Array(0), kind, rawLength)],
      ['a raw length too large', sealed(packed, kind, rawLength + 1)],
      ['a raw length too small', sealed(packed, kind, rawLength - 1)],
      ['no raw length', sealed(packed, kind, 0)],
      ['a raw length of 4 GiB', sealed(packed, kind, 2 ** 32 - 1)],
      ['a stored length beyond the block', sealed(packed, kind, rawLength, PAGE_BYTES)],
      ['a stored length of 4 GiB', sealed(packed, kind, rawLength, 2 ** 32 - 1)],
      ['an unknown kind', sealed(packed, 7, rawLength)],
    ];
    for (const [what, bytes] of cases) {
      t.true(verifyBlock(bytes, 0, bytes.length, FILE_NUMBER, FILE_OFFSET).ok, what);
      const memory = inRoom(bytes, 16_384, false);
      const decompressed = (): number => decompressBlock(memory, PAGE_BYTES, bytes.length, scratch, 16_384);
      t.throws(decompressed, { instanceOf: FormatError }, what);
      t.true(isUntouchedAround(memory), what);
      t.throws(() => checkBlockStructure(bytes, 0, bytes.length), { instanceOf: FormatError }, what);
    }
    const sound = sealed(packed, kind, rawLength);
    t.notThrows(() => checkBlockStructure(sound, 0, sound.length));
  });

  test(`${name}: compressed bytes that were changed are refused or are another block, never a broken one`, (t) => {
    const plain = makeBlock(entriesOf(9000), COMPRESSION_NONE).bytes;
    const rawLength = readU32(plain, plain.length - BLOCK_TRAILER_BYTES);
    const target = new Uint8Array(plain.length);
    const packed = target.slice(0, compress(kind, plain, 0, rawLength, target, 0, target.length));
    const change = fc.tuple(fc.nat(packed.length - 1), fc.nat(255));
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const stored = packed.slice();
        for (const [at, value] of changes) stored[at] = value;
        const bytes = sealed(stored, kind, rawLength);
        const memory = inRoom(bytes, 16_384, false);
        try {
          checkBlockStructure(bytes, 0, bytes.length);
          const length = decompressBlock(memory, PAGE_BYTES, bytes.length, scratch, 16_384);
          checkBlockStructure(memory, PAGE_BYTES, length);
          accepted++;
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
        t.true(isUntouchedAround(memory));
      }),
      { numRuns: 500 },
    );
    t.log(`${accepted} of 500 were still blocks`);
  });

  test(`${name}: the trailer of a compressed block is looked at field by field`, (t) => {
    const { bytes } = makeBlock(entriesOf(12_000), kind);
    const trailer = bytes.length - BLOCK_TRAILER_BYTES;
    t.notThrows(() => checkBlockStructure(bytes, 0, bytes.length));
    for (let at = trailer; at < bytes.length - 4; at++) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[at] ^= 1 << bit;
        t.throws(
          () => checkBlockStructure(bytes, 0, bytes.length),
          { instanceOf: FormatError },
          `${at} ${bit}`,
        );
        bytes[at] ^= 1 << bit;
      }
    }
    bytes[trailer - 1] = 1;
    t.throws(() => checkBlockStructure(bytes, 0, bytes.length), { message: /padding/ });
  });
}

test('a block that is not compressed is left as it is, whatever its size', (t) => {
  const { bytes } = makeBlock(entriesOf(12_000), COMPRESSION_NONE);
  const before = bytes.slice();
  t.is(decompressBlock(bytes, 0, bytes.length, scratch, 0), bytes.length);
  t.deepEqual(bytes, before);
});

test('a compression that this Node does not have is named', (t) => {
  if (isCompressionAvailable('zstd')) {
    t.pass();
    return;
  }
  const bytes = sealed(new Uint8Array(100), COMPRESSION_ZSTD, 9000);
  const memory = inRoom(bytes, 16_384, false);
  t.throws(() => decompressBlock(memory, PAGE_BYTES, bytes.length, scratch), {
    message: /zstd, which this Node/,
  });
  t.throws(() => new BlockBuilder(16_384, COMPRESSION_ZSTD).finish(1, 0), { name: 'AssertionFailure' });
});
