/**
 * Blocks whose checksum may hold and whose tables lie: what `BlockBounds` lets through, no search leaves or fails to end.
 */
import test from 'ava';
import { BlockBounds } from '../../src/format/block-bounds.ts';
import { BlockCursor } from '../../src/format/block-cursor.ts';
import { BlockEntry, blockShape, lowerBoundInBlock, searchBlock } from '../../src/format/block.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { readU16, writeU16 } from '../../src/format/integers.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { Random, testSeed } from '../support/random.ts';
import { buildTable, COMPRESSIONS, put, tombstone, type Entry, type Table } from './tables.ts';

const TRIALS = 30_000;

function entriesOf(random: Random): Entry[] {
  const entries: Entry[] = [];
  for (let i = 0; i < 60; i++) {
    const key = `some/prefix/${String(i).padStart(3, '0')}${'x'.repeat(random.oneIn(9) ? 300 : 0)}`;
    for (let version = random.between(1, 3); version > 0; version--) {
      const sequence = 10 * i + version;
      if (random.oneIn(5)) entries.push(tombstone(key, sequence));
      else entries.push(put(key, sequence, 'v'.repeat(random.below(200))));
    }
  }
  return entries;
}

function lengthOf(table: Table, block: number): number {
  return (table.bases[block + 1] ?? table.memory.length) - table.bases[block];
}

test('every block that is built is let through', (t) => {
  const random = new Random(testSeed());
  const bounds = new BlockBounds();
  for (const compression of COMPRESSIONS) {
    for (const blockBytes of [PAGE_BYTES, 16_384, 65_536]) {
      const large = put('z', 1, 'v'.repeat(200_000));
      const table = buildTable([...entriesOf(random), large], { blockBytes, compression });
      table.bases.forEach((base, block) => {
        // A compressed block may have fewer pages than it could.
        const pages = lengthOf(table, block) / PAGE_BYTES;
        const isHeld = Array.from({ length: pages }, (_, less) => (pages - less) * PAGE_BYTES).some(
          (length) => bounds.hold(table.memory, base, length),
        );
        t.true(isHeld, `${compression}, block ${block}`);
      });
    }
  }
});

test('of blocks that were changed, those that are let through can be searched and scanned within their bytes', (t) => {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const random = new Random(seed);
  const table = buildTable(entriesOf(random));
  const bounds = new BlockBounds();
  const block = random.below(table.bases.length);
  const base = table.bases[block];
  const length = lengthOf(table, block);
  const original = table.memory.slice();
  let refused = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    const { memory, words } = table;
    memory.set(original);
    for (let changes = random.between(1, 4); changes > 0; changes--) {
      // Mostly where lengths and offsets are.
      const at = base + random.below(random.oneIn(2) ? 512 : length);
      if (random.oneIn(2)) memory[at] = random.below(256);
      else writeU16(memory, at & ~1, random.oneIn(2) ? random.below(length) : 0xffff);
    }
    if (!bounds.hold(memory, base, length)) {
      refused++;
      continue;
    }
    const { bucketBits, prefixLength } = blockShape(words, base);
    const result = new BlockEntry();
    const isWithin = (start: number, bytes: number): boolean =>
      start >= base && bytes >= 0 && start + bytes <= base + length;
    const entry = new BlockCursor();
    entry.enter(memory, base);
    for (let ordinal = 0; ordinal < entry.count; ordinal++) {
      entry.read(ordinal);
      if (!isWithin(entry.valueStart, entry.valueLength)) t.fail(`trial ${trial}, entry ${ordinal}`);
      if (!isWithin(entry.suffixStart, entry.suffixLength)) t.fail(`trial ${trial}, key ${ordinal}`);
    }
    for (const text of ['some/prefix/007', 'some/prefix/059', 'some/prefix/', 'none', '']) {
      const key = Buffer.from(text);
      const hash = hashBytes(key, 0, key.length);
      lowerBoundInBlock(memory, words, base, key, key.length);
      for (const visible of [Number.MAX_SAFE_INTEGER, 300, 1]) {
        const { length: keyLength } = key;
        if (
          searchBlock(memory, words, base, bucketBits, prefixLength, key, keyLength, hash, visible, result) &&
          !isWithin(result.valueStart, result.valueLength)
        ) {
          t.fail(`trial ${trial}, ${text}`);
        }
      }
    }
  }
  t.true(refused > TRIALS / 100 && refused < TRIALS, `${refused} of ${TRIALS} were refused`);
});

test('a block without an empty bucket, with a bucket that leads into an entry, or a count beyond its end', (t) => {
  const table = buildTable([put('a', 1, 'first'), put('b', 2, 'second'), put('c', 3, 'third')]);
  const { memory } = table;
  const bounds = new BlockBounds();
  const original = memory.slice();
  const [base] = table.bases;
  const bucketCount = 1 << readU16(memory, base + 2);
  const offset = readU16(memory, base + 16 + 2 * bucketCount);
  const lies: (() => void)[] = [
    () => {
      for (let bucket = 0; bucket < bucketCount; bucket++) writeU16(memory, base + 16 + 2 * bucket, offset);
    },
    () => {
      for (let bucket = 0; bucket < bucketCount; bucket++) {
        const at = base + 16 + 2 * bucket;
        if (readU16(memory, at) === offset) writeU16(memory, at, offset + 1);
      }
    },
    () => writeU16(memory, base, 0xffff),
    () => writeU16(memory, base, 0),
    () => writeU16(memory, base + 2, 0),
    () => writeU16(memory, base + 2, 16),
    () => writeU16(memory, base + 4, 0xffff),
    () => writeU16(memory, base + PAGE_BYTES - 16, PAGE_BYTES),
    () => (memory[base + offset] = 0xff),
    () => writeU16(memory, base + 16 + 2 * bucketCount, PAGE_BYTES - 1),
  ];
  t.true(bounds.hold(memory, base, PAGE_BYTES));
  lies.forEach((lie, i) => {
    memory.set(original);
    lie();
    t.false(bounds.hold(memory, base, PAGE_BYTES), `lie ${i}`);
  });
});
