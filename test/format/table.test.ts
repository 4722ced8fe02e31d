import test from 'ava';
import fc from 'fast-check';
import { BLOCK_TRAILER_BYTES, checkBlockStructure, verifyBlock } from '../../src/format/block-check.ts';
import { COMPRESSION_NONE, compressionOf } from '../../src/format/compression.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { KEY_BYTES_MAX, KIND_PUT, PAGE_BYTES, SEQUENCE_MAX } from '../../src/format/limits.ts';
import { TableBuilder } from '../../src/format/table-builder.ts';
import { decodeTableMeta } from '../../src/format/table-meta.ts';
import { RangeTombstones } from '../../src/format/range-tombstones.ts';
import type { TombstoneFragment } from '../../src/format/range-tombstones.ts';
import {
  COMPRESSIONS,
  CREATED_AT_SEQUENCE,
  buildTable,
  bytesOf,
  compareEntries,
  crowdedKey,
  expectEntries,
  expectEntry,
  get,
  getFromModel,
  neighbours,
  put,
  rangeTombstones,
  scan,
  sortedEntries,
  tombstone,
} from './tables.ts';
import type { Assertions, Entry, Table, TableOptions } from './tables.ts';

/** Against what it was built from and how. */
function checkTable(
  t: Assertions,
  entries: readonly Entry[],
  table: Table,
  options: TableOptions = {},
): void {
  const { index } = table.meta;
  t.is(table.bytes.length % PAGE_BYTES, 0);
  for (let block = 0; block < index.blockCount; block++) {
    const base = index.pageOf(block) * PAGE_BYTES;
    const length = index.pageCountOf(block) * PAGE_BYTES;
    const { ok, actual } = verifyBlock(table.bytes, base, length, table.fileNumber, base);
    t.true(ok, 'block verifies');
    t.is(actual, index.checksumOf(block));
    checkBlockStructure(table.bytes, base, length);
    const isCompressed = table.bytes[base + length - BLOCK_TRAILER_BYTES + 4] !== COMPRESSION_NONE;
    const blockPages = (options.blockBytes ?? PAGE_BYTES) / PAGE_BYTES;
    t.is(index.memoryPagesOf(block), isCompressed ? blockPages : index.pageCountOf(block));
  }
  expectEntries(t, scan(table), entries);
  const fragments = options.rangeTombstones ?? [];
  t.deepEqual(table.meta.rangeTombstones?.fragments ?? [], fragments);
  t.is(table.meta.properties.compression, compressionOf(options.compression ?? 'none'));
  checkDescription(t, entries, table, fragments);
}

/** What the description and the properties say, against what went in. */
function checkDescription(
  t: Assertions,
  entries: readonly Entry[],
  table: Table,
  fragments: readonly TombstoneFragment[],
): void {
  const { properties } = table.meta;
  const sequences = [...entries.map((entry) => entry.sequence), ...fragments.flatMap((one) => one.sequences)];
  const lengthOf = (...parts: Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0);
  const entryBytes = entries.reduce((sum, { key, value }) => sum + lengthOf(key, value), 0);
  const starts = [
    ...entries.slice(0, 1).map(({ key }) => key),
    ...fragments.slice(0, 1).map(({ start }) => start),
  ];
  const lastKey = entries.at(-1)?.key;
  const lastEnd = fragments.at(-1)?.end;
  const isExclusive =
    lastEnd !== undefined &&
    (lastKey === undefined || lastEnd.length === 0 || Buffer.compare(lastKey, lastEnd) < 0);
  const expected = {
    entries: entries.length,
    deletions: entries.filter((entry) => entry.kind !== KIND_PUT).length,
    overwritten: entries.filter((entry, i) => i > 0 && Buffer.compare(entries[i - 1].key, entry.key) === 0)
      .length,
    rangeTombstones: fragments.reduce((sum, fragment) => sum + fragment.sequences.length, 0),
    smallestKey: starts.sort((a, b) => Buffer.compare(a, b))[0],
    largestKey: isExclusive ? lastEnd : lastKey,
    largestKeyIsExclusive: isExclusive,
    smallestSequence: Math.min(...sequences),
    largestSequence: Math.max(...sequences),
    rawBytes: fragments.reduce((sum, { start, end }) => sum + lengthOf(start, end), entryBytes),
    createdAtSeconds: 1_700_000_000,
    createdAtSequence: CREATED_AT_SEQUENCE,
    level: 1,
  };
  for (const [field, value] of Object.entries(expected)) {
    t.deepEqual(table.description[field as keyof typeof expected], value, field);
    t.deepEqual(properties[field as keyof typeof expected], value, field);
  }
  t.is(table.description.fileBytes, table.bytes.length);
}

function checkLookups(t: Assertions, entries: readonly Entry[], table: Table): void {
  for (const { key, sequence } of entries) {
    for (const visible of [SEQUENCE_MAX, sequence, sequence - 1]) {
      expectEntry(t, get(table, key, visible), getFromModel(entries, key, visible));
    }
    for (const near of neighbours(key)) {
      expectEntry(t, get(table, near, SEQUENCE_MAX), getFromModel(entries, near, SEQUENCE_MAX));
    }
  }
}

test('a table answers like the sorted list it was made from: few keys, versions over many blocks', (t) => {
  fc.assert(
    fc.property(sortedEntries(crowdedKey(2), { maxLength: 60, valueBytesMax: 3000 }), (entries) => {
      const table = buildTable(entries, { filterBitsPerKey: 0 });
      t.is(table.meta.filter, null);
      checkTable(t, entries, table);
      checkLookups(t, entries, table);
    }),
    { numRuns: 40 },
  );
});

test('a table answers like the sorted list it was made from: crowded keys, with a filter, odd drains', (t) => {
  fc.assert(
    fc.property(
      sortedEntries(crowdedKey(7), { maxLength: 60, valueBytesMax: 5000 }),
      fc.integer({ min: 1, max: 9000 }),
      (entries, drainBytes) => {
        const table = buildTable(entries, { drainBytes });
        checkTable(t, entries, table);
        checkLookups(t, entries, table);
      },
    ),
    { numRuns: 30 },
  );
});

test('a table answers like the sorted list it was made from: any keys', (t) => {
  fc.assert(
    fc.property(
      sortedEntries(fc.uint8Array({ maxLength: 12 }), { maxLength: 80, valueBytesMax: 700 }),
      (entries) => {
        const table = buildTable(entries, { filterBitsPerKey: 0, blockBytes: 8192 });
        checkTable(t, entries, table, { blockBytes: 8192 });
        checkLookups(t, entries, table);
      },
    ),
    { numRuns: 30 },
  );
});

for (const compression of COMPRESSIONS) {
  test(`a table answers like the sorted list it was made from: ${compression}, many versions, range tombstones`, (t) => {
    let pages = 0;
    let memoryPages = 0;
    fc.assert(
      fc.property(
        sortedEntries(crowdedKey(3), { maxLength: 80, valueBytesMax: 2500 }),
        rangeTombstones(crowdedKey(3), 5),
        fc.constantFrom(4096, 8192, 16_384, 65_536),
        (entries, tombstones, blockBytes) => {
          const { fragments } = RangeTombstones.of(tombstones);
          const options = { compression, blockBytes, rangeTombstones: fragments };
          const table = buildTable(entries, options);
          checkTable(t, entries, table, options);
          checkLookups(t, entries, table);
          const { index, properties } = table.meta;
          pages += properties.dataBytes / PAGE_BYTES;
          for (let block = 0; block < index.blockCount; block++) memoryPages += index.memoryPagesOf(block);
        },
      ),
      { numRuns: 40 },
    );
    // Values are of one byte each: nearly everything is compressed where blocks are larger than a page.
    if (compression === 'none') t.is(pages, memoryPages);
    else t.true(pages < memoryPages / 1.5, `${pages} of ${memoryPages}`);
  });
}

test('a table has range tombstones beside its entries, before, among and behind them', (t) => {
  fc.assert(
    fc.property(
      sortedEntries(crowdedKey(4), { maxLength: 30, valueBytesMax: 1500 }),
      rangeTombstones(crowdedKey(4), 8),
      (entries, tombstones) => {
        const { fragments } = RangeTombstones.of(tombstones);
        const options = { rangeTombstones: fragments, drainBytes: 5000 };
        const table = buildTable(entries, options);
        checkTable(t, entries, table, options);
        checkLookups(t, entries, table);
        t.is(table.meta.rangeTombstones === null, tombstones.length === 0);
      },
    ),
    { numRuns: 60 },
  );
});

test('a table of nothing but range tombstones', (t) => {
  const two = RangeTombstones.of([
    { start: bytesOf('b'), end: bytesOf('f'), sequence: 7 },
    { start: bytesOf('d'), end: bytesOf('m'), sequence: 9 },
  ]).fragments;
  const all = RangeTombstones.of([{ start: bytesOf(''), end: bytesOf(''), sequence: 1 }]).fragments;
  for (const fragments of [two, all]) {
    const table = buildTable([], { rangeTombstones: fragments });
    checkTable(t, [], table, { rangeTombstones: fragments });
    t.is(table.description.metaOffset, 0);
    t.is(table.meta.filter, null);
    const { index } = table.meta;
    t.is(index.blockCount, 0);
    for (const key of ['', 'a', 'd', 'z'.repeat(100)]) {
      t.is(index.locate(bytesOf(key), key.length), -1);
      t.false(index.isContinuedBy(-1, bytesOf(key), key.length));
      t.is(get(table, bytesOf(key), SEQUENCE_MAX), undefined);
      t.is(index.bytesBetween(bytesOf(''), bytesOf(key)), 0);
    }
    t.is(index.bytesBetween(undefined, undefined), 0);
    t.is(index.memoryBytes, 0);
  }
});

test('the largest key is exclusive only where the last range tombstone ends behind the last entry', (t) => {
  const range = (end: string, entries: readonly Entry[]): string => {
    const fragments = RangeTombstones.of([{ start: bytesOf('a'), end: bytesOf(end), sequence: 1 }]).fragments;
    const { largestKey, largestKeyIsExclusive } = buildTable(entries, {
      rangeTombstones: fragments,
    }).description;
    return `${Buffer.from(largestKey).toString()}${largestKeyIsExclusive ? ')' : ']'}`;
  };
  t.is(range('m', [put('c', 1)]), 'm)');
  t.is(range('m', [put('m', 1)]), 'm]');
  t.is(range('m', [put('z', 1)]), 'z]');
  t.is(range('', [put('z', 1)]), ')');
  t.is(range('m', []), 'm)');
});

test('range tombstones that are out of order, overlap or have no keys are not written', (t) => {
  const fragment = (start: string, end: string, sequences = [1]): TombstoneFragment => ({
    start: bytesOf(start),
    end: bytesOf(end),
    sequences,
  });
  for (const fragments of [
    [fragment('b', 'a')],
    [fragment('a', 'a')],
    [fragment('a', 'c'), fragment('b', 'd')],
    [fragment('c', 'd'), fragment('a', 'b')],
    [fragment('a', ''), fragment('b', 'c')],
    [fragment('a', 'b', [])],
    [fragment('a', 'b', [1, 1])],
    [fragment('a', 'b', [1, 2])],
    [fragment('a', 'b', [2 ** 48])],
    [fragment('a', 'b'.repeat(KEY_BYTES_MAX + 1))],
  ]) {
    t.throws(() => buildTable([put('k', 1)], { rangeTombstones: fragments }), { name: 'AssertionFailure' });
  }
});

test('one key whose versions fill many blocks', (t) => {
  const value = new Uint8Array(500).fill(1);
  const entries = [
    put('a', 1),
    ...Array.from({ length: 100 }, (_, i) => put('k', 1000 - i, value)),
    put('z', 2),
  ];
  const table = buildTable(entries);
  const { index } = table.meta;
  const continued = Array.from({ length: index.blockCount }, (_, block) => index.continues(block));
  t.true(continued.filter(Boolean).length > 8);
  t.is(index.locate(bytesOf('k'), 1), 0, 'the newest version is in the first block');
  checkTable(t, entries, table);
  checkLookups(t, entries, table);
  t.is(get(table, bytesOf('k'), 900), undefined);
  t.is(get(table, bytesOf('k'), 901)?.sequence, 901);
});

test('every number of entries from 1 to 5000, in blocks of 16 KiB', (t) => {
  const all = Array.from({ length: 5000 }, (_, i) =>
    put(`key${String(i * 3).padStart(9, '0')}`, i + 1, `value ${i}`.repeat(i % 9)),
  );
  for (const count of [1, 2, 3, 100, 128, 129, 255, 256, 257, 1000, 4999, 5000]) {
    const entries = all.slice(0, count);
    const table = buildTable(entries, { blockBytes: 16_384 });
    checkTable(t, entries, table, { blockBytes: 16_384 });
    for (let i = 0; i < count; i += 1 + (count >> 7)) {
      expectEntry(t, get(table, entries[i].key, SEQUENCE_MAX), entries[i]);
      expectEntry(
        t,
        get(table, bytesOf(`key${String(i * 3 + 1).padStart(9, '0')}`), SEQUENCE_MAX),
        undefined,
      );
    }
  }
});

test('the index finds the block of every key among thousands', (t) => {
  const value = new Uint8Array(900);
  for (const name of [
    (i: number): string => `prefix/${i}`,
    (i: number): string => String.fromCharCode(i >> 8, i & 255),
  ]) {
    const entries = Array.from({ length: 3000 }, (_, i) => put(name(i), 1, value)).sort(compareEntries);
    const table = buildTable(entries, { filterBitsPerKey: 0 });
    const { index } = table.meta;
    t.true(index.blockCount >= 700, `${index.blockCount}`);
    for (const entry of entries) expectEntry(t, get(table, entry.key, SEQUENCE_MAX), entry);
    for (const near of neighbours(entries[1234].key))
      expectEntry(t, get(table, near, 9), getFromModel(entries, near, 9));
    t.is(index.locate(new Uint8Array(0), 0), -1);
    t.is(index.locate(Uint8Array.of(255, 255, 255), 3), index.blockCount - 1);
    t.true(index.memoryBytes > index.blockCount * 22);
    t.deepEqual(index.firstKeyOf(0), entries[0].key);
  }
});

test('a key’s block is the same whichever was located before', (t) => {
  const value = new Uint8Array(1500);
  // Behind what all keys begin with, of some neighbours only the tenth byte differs: their heads are equal.
  const names = ['b', 'ca', 'cb', 'dddddddddd', 'ddddddddde', 'dddddddddf', 'dddddddddg', 'e', 'ea', 'f'];
  const entries = names.flatMap((name) => [put(`a${name}`, 2, value), put(`a${name}`, 1, value)]);
  const { index } = buildTable(entries, { filterBitsPerKey: 0 }).meta;
  t.true(index.blockCount > 5);
  const keys = [
    '',
    'a',
    'b',
    ...names.flatMap((name) => [`a${name}`, `a${name}\0`, `a${name.slice(0, -1)}`]),
  ].map(bytesOf);
  const firstKeys = Array.from({ length: index.blockCount }, (_, block) => index.firstKeyOf(block));
  // The last block that does not begin behind the key, or the first one that begins with it, where several go on with it.
  const expected = keys.map((key) => {
    const last = firstKeys.findLastIndex((first) => Buffer.compare(first, key) <= 0);
    let block = last;
    while (block >= 0 && index.continues(block) && Buffer.compare(firstKeys[block], key) === 0) block--;
    return block;
  });
  t.true(new Set(expected).size > 5);
  for (let before = 0; before < keys.length; before++) {
    for (let i = 0; i < keys.length; i++) {
      index.locate(keys[before], keys[before].length);
      t.is(index.locate(keys[i], keys[i].length), expected[i], `key ${i} after key ${before}`);
    }
  }
});

test('keys of 65,535 bytes, the empty key, the empty value', (t) => {
  const long = new Uint8Array(KEY_BYTES_MAX).fill(0x6b);
  const longer = long.slice();
  longer[KEY_BYTES_MAX - 1] = 0x6c;
  const entries = [
    put('', 9),
    tombstone('', 8),
    put('k', 7, 'small'),
    put(long, 6, 'value'),
    put(long, 5),
    tombstone(long, 4),
    put(longer, 3, new Uint8Array(70_000).fill(4)),
    put('l', 2),
  ];
  for (const blockBytes of [4096, 16_384, 65_536]) {
    const table = buildTable(entries, { blockBytes });
    checkTable(t, entries, table, { blockBytes });
    for (const { key, sequence } of entries)
      expectEntry(t, get(table, key, sequence), getFromModel(entries, key, sequence));
    t.is(get(table, long.subarray(0, KEY_BYTES_MAX - 1), SEQUENCE_MAX), undefined);
    t.is(get(table, bytesOf('kk'), SEQUENCE_MAX), undefined);
  }
});

test('values around a block and of several MiB, drained through small buffers', (t) => {
  const sizes = [
    3990,
    4000,
    4020,
    4040,
    4050,
    4060,
    4096,
    8192,
    16_000,
    65_500,
    65_536,
    3 * 1024 * 1024 + 17,
  ];
  const entries = sizes.map((size, i) =>
    put(`value ${String(i).padStart(2, '0')}`, i, new Uint8Array(size).fill(i + 1)),
  );
  for (const drainBytes of [1000, 65_536]) {
    const table = buildTable(entries, { drainBytes });
    checkTable(t, entries, table);
    for (const { key, sequence } of entries)
      expectEntry(t, get(table, key, sequence), getFromModel(entries, key, sequence));
  }
});

test('a large value is not copied by add, and everything else is', (t) => {
  const builder = new TableBuilder({
    fileNumber: 1,
    level: 0,
    blockBytes: 4096,
    filterBitsPerKey: 10,
    compression: 'none',
    createdAtSeconds: 1,
    createdAtSequence: 0,
  });
  const add = (text: string, value: Uint8Array): void => {
    const key = Buffer.from(text);
    builder.add(key, 0, key.length, hashBytes(key, 0, key.length), 1, KIND_PUT, value, 0, value.length);
    key.fill(0);
  };
  const small = Buffer.alloc(10, 1);
  add('a', small);
  small.fill(9);
  t.is(builder.pendingBytes, 0);
  const large = Buffer.alloc(10_000, 2);
  add('b', large);
  t.is(builder.pendingBytes, 4096 + 12_288);
  t.throws(() => add('c', small), { message: /drained/ });
  const file = Buffer.alloc(40_000);
  let length = builder.drain(file, 0, 5000);
  t.is(length, 5000);
  length += builder.drain(file, length, file.length);
  large.fill(9);
  t.is(file.indexOf(Buffer.alloc(10_000, 2)) > 4096, true);
  builder.finish();
  t.throws(() => builder.description(), { message: /drained/ });
  length += builder.drain(file, length, file.length);
  const description = builder.description();
  t.is(description.fileBytes, length);
  t.deepEqual(description.smallestKey, bytesOf('a'));
  t.deepEqual(description.largestKey, bytesOf('b'));
  t.deepEqual(
    decodeTableMeta(
      file.subarray(description.metaOffset, length),
      1,
      description.metaOffset,
      length,
    ).index.firstKeyOf(1),
    bytesOf('b'),
  );
});

test('entries out of order, empty tables and values beyond their limits are refused', (t) => {
  const failure = { name: 'AssertionFailure' };
  t.throws(() => buildTable([]), failure);
  t.throws(() => buildTable([put('b', 1), put('a', 2)]), failure);
  t.throws(() => buildTable([put('a', 1), put('a', 1)]), failure);
  t.throws(() => buildTable([put('a', 1), put('a', 2)]), failure);
  t.throws(() => buildTable([put('ab', 1), put('a', 2)]), failure);
  t.throws(() => buildTable([put('a', 2 ** 48)]), failure);
  t.throws(() => buildTable([{ ...put('a', 1, 'x'), kind: 0 }]), failure);
  t.throws(
    () => buildTable([put('b', 1, new Uint8Array(5000)), put('a', 1)]),
    failure,
    'behind a large entry',
  );
  for (const blockBytes of [0, 4095, 6000, 131_072])
    t.throws(() => buildTable([put('a', 1)], { blockBytes }), failure);
});
