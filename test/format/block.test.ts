import test from 'ava';
import fc from 'fast-check';
import { BlockEntry, blockEntryCount, lowerBoundInBlock, searchBlock } from '../../src/format/block.ts';
import { BlockBuilder } from '../../src/format/block-builder.ts';
import { checkBlockStructure, verifyBlock } from '../../src/format/block-check.ts';
import { commonPrefixLength } from '../../src/format/compare.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { KIND_PUT, PAGE_BYTES, SEQUENCE_MAX } from '../../src/format/limits.ts';
import {
  blockEntries,
  bytesOf,
  compareEntries,
  crowdedKey,
  expectEntries,
  expectEntry,
  getFromModel,
  neighbours,
  put,
  sortedEntries,
} from './tables.ts';
import type { Assertions, Entry } from './tables.ts';

const FILE_NUMBER = 5;
const FILE_OFFSET = 3 * PAGE_BYTES;

interface Block {
  readonly bytes: Uint8Array;
  readonly words: Uint16Array;
  readonly base: number;
  readonly length: number;
  readonly prefixLength: number;
  readonly bucketBits: number;
  readonly firstKey: Uint8Array;
  /** How many of the entries went in. */
  readonly count: number;
}

/** A block of as many of the entries as fit, on the second page of a larger buffer. */
function makeBlock(entries: readonly Entry[], blockBytes = 65_536): Block {
  const builder = new BlockBuilder(blockBytes);
  let count = 0;
  for (const { key, sequence, kind, value } of entries) {
    const shared = count === 0 ? 0 : builder.sharedWithLast(key, 0, key.length);
    const isNewKey = count === 0 || shared !== key.length || shared !== builder.lastKeyLength;
    const fits =
      count === 0
        ? builder.fitsAlone(key.length, value.length)
        : builder.fits(key.length, value.length, shared, isNewKey, sequence);
    if (!fits) break;
    const hash = hashBytes(key, 0, key.length);
    builder.add(key, 0, key.length, shared, isNewKey, hash, sequence, kind, value, 0, value.length);
    count++;
  }
  const length = builder.finish(FILE_NUMBER, FILE_OFFSET);
  const bytes = new Uint8Array(length + 2 * PAGE_BYTES).fill(0xa5);
  bytes.set(builder.bytes.subarray(0, length), PAGE_BYTES);
  const { prefixLength, bucketBits } = builder;
  const words = new Uint16Array(bytes.buffer);
  return {
    bytes,
    words,
    base: PAGE_BYTES,
    length,
    prefixLength,
    bucketBits,
    firstKey: entries[0].key,
    count,
  };
}

/** Searches as the engine does, which asks only for keys that begin with the block's prefix. */
function search(block: Block, key: Uint8Array, visibleSequence: number): Entry | undefined {
  const { bytes, words, base, prefixLength, bucketBits } = block;
  if (commonPrefixLength(key, 0, key.length, block.firstKey, 0, prefixLength) < prefixLength)
    return undefined;
  const result = new BlockEntry();
  const hash = hashBytes(key, 0, key.length);
  if (
    !searchBlock(bytes, words, base, bucketBits, prefixLength, key, key.length, hash, visibleSequence, result)
  )
    return undefined;
  const value = bytes.slice(result.valueStart, result.valueStart + result.valueLength);
  return { key, sequence: result.sequence, kind: result.kind, value };
}

function checkAgainstModel(t: Assertions, entries: readonly Entry[], block: Block): void {
  const held = entries.slice(0, block.count);
  checkBlockStructure(block.bytes, block.base, block.length);
  t.is(verifyBlock(block.bytes, block.base, block.length, FILE_NUMBER, FILE_OFFSET).ok, true);
  expectEntries(t, blockEntries(block.bytes, block.base), held);
  const probes = held.flatMap(({ key, sequence }) =>
    [key, ...neighbours(key)].map((near) => ({ key: near, sequence })),
  );
  for (const { key, sequence } of probes) {
    for (const visible of [SEQUENCE_MAX, sequence, sequence - 1, 0]) {
      expectEntry(t, search(block, key, visible), getFromModel(held, key, visible));
    }
    const bound = lowerBoundInBlock(block.bytes, block.words, block.base, key, key.length);
    const expected = held.findIndex((entry) => Buffer.compare(entry.key, key) >= 0);
    if (bound !== (expected < 0 ? held.length : expected)) t.is(bound, expected);
  }
}

test('a block answers like the sorted list it was made from: crowded keys, many versions', (t) => {
  fc.assert(
    fc.property(sortedEntries(crowdedKey(5), { maxLength: 40, valueBytesMax: 200 }), (entries) => {
      checkAgainstModel(t, entries, makeBlock(entries));
    }),
    { numRuns: 120 },
  );
});

test('a block answers like the sorted list it was made from: any keys, a block that fills up', (t) => {
  const key = fc.uint8Array({ maxLength: 20 });
  fc.assert(
    fc.property(sortedEntries(key, { maxLength: 60, valueBytesMax: 300 }), (entries) => {
      if (entries[0].value.length > 4000) return;
      checkAgainstModel(t, entries, makeBlock(entries, PAGE_BYTES));
    }),
    { numRuns: 60 },
  );
});

test('suffixes and prefixes around 255 bytes', (t) => {
  const key = fc
    .tuple(
      fc.constantFrom(0, 1, 253, 254, 255, 256, 300),
      fc.constantFrom(0, 1, 253, 254, 255, 256, 1000),
      fc.nat(2),
    )
    .map(([shared, own, tail]) =>
      Uint8Array.from([...new Uint8Array(shared).fill(9), ...new Uint8Array(own).fill(1), tail]),
    );
  fc.assert(
    fc.property(sortedEntries(key, { maxLength: 8, valueBytesMax: 130 }), (entries) => {
      checkAgainstModel(t, entries, makeBlock(entries));
    }),
    { numRuns: 40 },
  );
});

test('every number of entries from 1 to 700 (the sketch hung at 257)', (t) => {
  const all = Array.from({ length: 700 }, (_, i) => put(`k${String(i * 7).padStart(6, '0')}`, i + 1, 'v'));
  for (let count = 1; count <= all.length; count += count < 300 ? 1 : 37) {
    const entries = all.slice(0, count);
    const block = makeBlock(entries);
    t.is(block.count, count);
    checkBlockStructure(block.bytes, block.base, block.length);
    for (const { key } of [entries[0], entries[count - 1], entries[count >> 1]])
      t.truthy(search(block, key, SEQUENCE_MAX));
    t.is(search(block, bytesOf('k000001'), SEQUENCE_MAX), undefined);
  }
});

test('as many entries as a block can hold', (t) => {
  const versions = Array.from({ length: 20_000 }, (_, i) => put('', 20_000 - i));
  const block = makeBlock(versions);
  t.true(block.count > 8000, `${block.count} entries`);
  checkBlockStructure(block.bytes, block.base, block.length);
  t.is(blockEntryCount(block.bytes, block.base), block.count);
  for (const visible of [20_000, 19_999, 15_000, 20_000 - block.count + 1]) {
    t.is(search(block, new Uint8Array(0), visible)?.sequence, visible);
  }
  t.is(search(block, new Uint8Array(0), 20_000 - block.count), undefined);

  const pairs = Array.from({ length: 10_000 }, (_, i) => put(Uint8Array.of(i >> 8, i & 255), 1));
  const distinct = makeBlock(pairs);
  checkBlockStructure(distinct.bytes, distinct.base, distinct.length);
  expectEntries(t, blockEntries(distinct.bytes, distinct.base), pairs.slice(0, distinct.count));
});

test('sequence numbers up to 2^48 - 1, with differences of 0 to 6 bytes', (t) => {
  const sequences = [
    0,
    1,
    255,
    256,
    65_536,
    2 ** 24,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 40,
    SEQUENCE_MAX - 1,
    SEQUENCE_MAX,
  ];
  const entries = sequences
    .flatMap((sequence) => [put('a', sequence, 'x'), put(`b${sequence}`, sequence)])
    .sort(compareEntries);
  checkAgainstModel(t, entries, makeBlock(entries));
  const high = [put('a', SEQUENCE_MAX, 'x'), put('b', SEQUENCE_MAX)];
  checkAgainstModel(t, high, makeBlock(high));
});

test('without the prefix check foreign keys would match, which is why the index makes it', (t) => {
  const block = makeBlock([put('user:1', 1), put('user:2', 2)]);
  t.is(block.prefixLength, 5);
  const result = new BlockEntry();
  const { bytes, words, base, bucketBits, prefixLength } = block;
  const hash = hashBytes(bytesOf('user:1'), 0, 6);
  t.true(
    searchBlock(
      bytes,
      words,
      base,
      bucketBits,
      prefixLength,
      bytesOf('abcde1'),
      6,
      hash,
      SEQUENCE_MAX,
      result,
    ),
  );
});

test('foreign keys never match', (t) => {
  const entries = Array.from({ length: 400 }, (_, i) =>
    put(`country/${String.fromCharCode(97 + (i % 7))}/${i * 3}`, i),
  );
  const sorted = [...entries].sort(compareEntries);
  const block = makeBlock(sorted);
  const present = new Set(sorted.map((entry) => Buffer.from(entry.key).toString('hex')));
  const near = fc.tuple(fc.nat(sorted.length - 1), fc.nat(40)).map(([ordinal, which]) => {
    const candidates = neighbours(sorted[ordinal].key);
    return candidates[which % candidates.length];
  });
  fc.assert(
    fc.property(near, (key) => {
      const isPresent = present.has(Buffer.from(key).toString('hex'));
      t.is(search(block, key, SEQUENCE_MAX) !== undefined, isPresent);
    }),
    { numRuns: 3000 },
  );
});

test('a flipped bit anywhere in a block is found by its checksum', (t) => {
  const block = makeBlock([put('alpha', 3, 'one'), put('beta', 2, 'two'), put('gamma', 1, 'three')]);
  for (let at = block.base; at < block.base + block.length; at++) {
    block.bytes[at] ^= 1 << (at & 7);
    const { ok, expected, actual } = verifyBlock(
      block.bytes,
      block.base,
      block.length,
      FILE_NUMBER,
      FILE_OFFSET,
    );
    if (ok || expected === actual) t.fail(`byte ${at}`);
    block.bytes[at] ^= 1 << (at & 7);
  }
  t.true(verifyBlock(block.bytes, block.base, block.length, FILE_NUMBER, FILE_OFFSET).ok);
  t.false(
    verifyBlock(block.bytes, block.base, block.length, FILE_NUMBER + 1, FILE_OFFSET).ok,
    'of another file',
  );
  t.false(verifyBlock(block.bytes, block.base, block.length, FILE_NUMBER, 0).ok, 'from another place');
});

test('a page of zeros does not verify', (t) => {
  t.false(verifyBlock(new Uint8Array(PAGE_BYTES), 0, PAGE_BYTES, 1, 0).ok);
});

test('keys that share far more than they store end a block early, and nothing else', (t) => {
  const shared = 'p'.repeat(3000);
  const entries = Array.from({ length: 60 }, (_, i) => put(`${shared}${String(i).padStart(2, '0')}`, 1));
  const block = makeBlock(entries, PAGE_BYTES);
  t.is(block.prefixLength, 3000);
  t.true(block.count > 20 && block.count < 60, `${block.count}`);
  checkAgainstModel(t, entries, block);
});

test('a tombstone is found and says so', (t) => {
  const block = makeBlock([put('a', 5, 'v'), { ...put('b', 7), kind: 0 }, put('b', 6, 'old')]);
  t.is(search(block, bytesOf('b'), SEQUENCE_MAX)?.kind, 0);
  t.is(search(block, bytesOf('b'), 6)?.kind, KIND_PUT);
});
