/** What the tail of a table is decoded with: footer, index, filter, properties, range tombstones. */
import fc from 'fast-check';
import { filterMayContain } from '../../../src/format/filter.ts';
import { FOOTER_BYTES, readFooter, writeFooter } from '../../../src/format/footer.ts';
import { PAGE_BYTES, SEQUENCE_MAX } from '../../../src/format/limits.ts';
import { decodeRangeTombstones, encodeRangeTombstones } from '../../../src/format/range-tombstones.ts';
import { TableIndex } from '../../../src/format/table-index.ts';
import { decodeTableMeta, encodeTableMeta, type TableMeta } from '../../../src/format/table-meta.ts';
import { decodeTableProperties, encodeTableProperties } from '../../../src/format/table-properties.ts';
import { damaged, inBoundedMemory } from './damaged-bytes.ts';
import { EXAMPLE_FILE_NUMBER, exampleFragments, exampleTable } from './example-table.ts';
import { accepted, accepts, expect, expectSameBytes, fuzzTarget, type FuzzTarget } from './target.ts';

const { metaOffset } = exampleTable.description;
const exampleTail = exampleTable.bytes.slice(metaOffset);

const tail = fuzzTarget({
  name: 'the tail of a table: index, filter, properties, range tombstones, footer',
  runs: 600,
  arbitrary: damaged(exampleTail, 5000),
  check(bytes, count) {
    const fileBytes = metaOffset + bytes.length;
    const decode = () => decodeTableMeta(bytes, EXAMPLE_FILE_NUMBER, metaOffset, fileBytes);
    if (accepts(() => inBoundedMemory(bytes.length, decode))) {
      count('accepted');
      expectSameBytes(bytes, exampleTail, 'a tail');
    }
    const footerAt = bytes.length - FOOTER_BYTES;
    accepts(() => readFooter(bytes, footerAt, EXAMPLE_FILE_NUMBER, fileBytes - FOOTER_BYTES));
  },
});

const { index: exampleIndex } = exampleTable.meta;
const keyBytes = exampleIndex.firstKeyOf(0).length + exampleIndex.firstKeyOf(1).length;
expect(exampleIndex.blockCount === 2, 'the example has two blocks');
const indexBytes = exampleTail.slice(0, 8 + 2 * 12 + keyBytes);

/** Uses an index as reads do. */
function useIndex(index: TableIndex, key: Uint8Array, decompressedPages: number): void {
  const block = index.locate(key, key.length);
  expect(block >= -1 && block < index.blockCount, 'beyond the index');
  if (block >= 0) index.sharesPrefix(block, key, key.length);
  for (let each = 0; each < index.blockCount; each++) {
    index.isContinuedBy(each, key, key.length);
    const pages = index.pageCountOf(each);
    const memoryPages = index.memoryPagesOf(each);
    const isWithoutGain = memoryPages !== decompressedPages || pages >= memoryPages;
    expect(memoryPages === pages || !isWithoutGain, 'a block that is compressed without gain');
    expect(index.prefixLengthOf(each) <= index.firstKeyOf(each).length, 'a prefix longer than the key');
  }
}

const index = fuzzTarget({
  name: 'an index behind a checksum that holds',
  runs: 1500,
  arbitrary: fc.record({
    bytes: damaged(indexBytes, 100),
    key: fc.uint8Array({ maxLength: 20 }),
    decompressedPages: fc.nat(16),
  }),
  check({ bytes, key, decompressedPages }, count) {
    const decode = () => new TableIndex(bytes, 0, bytes.length, metaOffset, decompressedPages);
    const decoded = accepted(() => inBoundedMemory(bytes.length, decode));
    if (decoded === undefined) return;
    count('accepted');
    useIndex(decoded.value, key, decompressedPages);
  },
});

const propertiesBytes = encodeTableProperties(exampleTable.meta.properties);

const properties = fuzzTarget({
  name: 'properties behind a checksum that holds',
  runs: 1500,
  arbitrary: damaged(propertiesBytes, 60),
  check(bytes, count) {
    const decode = () => decodeTableProperties(bytes, 0, bytes.length);
    const decoded = accepted(() => inBoundedMemory(bytes.length, decode));
    if (decoded === undefined) return;
    count('accepted');
    expectSameBytes(encodeTableProperties(decoded.value), bytes, 'properties that are written again');
  },
});

const tombstoneBytes = encodeRangeTombstones(exampleFragments);

const rangeTombstones = fuzzTarget({
  name: 'range tombstones behind a checksum that holds',
  runs: 1500,
  arbitrary: fc.record({ bytes: damaged(tombstoneBytes, 40), key: fc.uint8Array({ maxLength: 10 }) }),
  check({ bytes, key }, count) {
    const decode = () => decodeRangeTombstones(bytes, 0, bytes.length);
    const decoded = accepted(() => inBoundedMemory(bytes.length, decode));
    if (decoded === undefined) return;
    count('accepted');
    const { value } = decoded;
    // What is accepted is in order, which encoding asserts, and has one spelling.
    expectSameBytes(encodeRangeTombstones(value.fragments), bytes, 'range tombstones that are written again');
    const fragment = value.fragmentAt(key, 0, key.length);
    const covering = value.covering(key, 0, key.length, SEQUENCE_MAX);
    expect((fragment?.sequences[0] ?? -1) === covering, 'a fragment that does not cover');
  },
});

const filterBytes = new Uint8Array(exampleTable.meta.filter?.slice().buffer ?? new ArrayBuffer(0));
expect(filterBytes.length === 68, 'the example has a filter of one line');

/** Uses everything that a tail holds. */
function useMeta({ index: decoded, filter, properties: said, rangeTombstones: ranges }: TableMeta): void {
  expect(said.blocks === decoded.blockCount, 'properties of another index');
  useIndex(decoded, Uint8Array.of(0x6b, 0x65, 0x79), said.blockBytes / PAGE_BYTES);
  expect((ranges?.tombstoneCount ?? 0) === said.rangeTombstones, 'properties of other range tombstones');
  if (filter === null) return;
  for (let hash = 1; hash !== 0; hash = (hash << 3) & 0xffffffff) {
    const answer: unknown = filterMayContain(filter, hash - 1);
    expect(typeof answer === 'boolean', 'a filter that does not answer');
  }
}

const sections = fuzzTarget({
  name: 'the sections of a table behind checksums that hold',
  runs: 1500,
  arbitrary: fc.record({
    index: fc.oneof(fc.constant(indexBytes), damaged(indexBytes, 60)),
    filter: fc.oneof(damaged(filterBytes, 140), fc.constant(filterBytes), fc.constant(new Uint8Array(0))),
    properties: fc.oneof(
      { weight: 4, arbitrary: fc.constant(propertiesBytes) },
      { weight: 1, arbitrary: damaged(propertiesBytes, 60) },
    ),
    rangeTombstones: fc.oneof(
      { weight: 4, arbitrary: fc.constant(tombstoneBytes) },
      { weight: 1, arbitrary: damaged(tombstoneBytes, 40) },
    ),
  }),
  check(given, count) {
    const bytes = encodeTableMeta(given, EXAMPLE_FILE_NUMBER, metaOffset);
    const fileBytes = metaOffset + bytes.length;
    const decode = () => decodeTableMeta(bytes, EXAMPLE_FILE_NUMBER, metaOffset, fileBytes);
    const decoded = accepted(() => inBoundedMemory(bytes.length, decode));
    if (decoded === undefined) return;
    count('accepted');
    useMeta(decoded.value);
  },
});

/** Mostly what it should be. */
function lengthOr(sound: number): fc.Arbitrary<number> {
  const others = fc.oneof(
    fc.nat({ max: 0xffffffff }),
    fc.nat(exampleTail.length),
    fc.constantFrom(0, 1, 4, 0xffffffff),
  );
  return fc.oneof({ weight: 4, arbitrary: fc.constant(sound) }, { weight: 1, arbitrary: others });
}

const footer = fuzzTarget({
  name: 'a footer behind a checksum that holds',
  runs: 1500,
  arbitrary: fc.record({
    metaPage: lengthOr(metaOffset / PAGE_BYTES),
    indexLength: lengthOr(indexBytes.length + 4),
    filterLength: lengthOr(filterBytes.length + 4),
    propertiesLength: lengthOr(propertiesBytes.length + 4),
    offset: lengthOr(metaOffset),
  }),
  check({ offset, ...written }, count) {
    const bytes = exampleTail.slice();
    const at = bytes.length - FOOTER_BYTES;
    writeFooter(bytes, at, written, EXAMPLE_FILE_NUMBER, metaOffset + at);
    const read = readFooter(bytes, at, EXAMPLE_FILE_NUMBER, metaOffset + at);
    for (const [name, value] of Object.entries(written))
      expect(read[name as keyof typeof read] === value, `${name} is another`);
    const fileBytes = offset + bytes.length;
    const decode = () => decodeTableMeta(bytes, EXAMPLE_FILE_NUMBER, offset, fileBytes);
    if (accepts(() => inBoundedMemory(bytes.length, decode))) {
      count('accepted');
      expectSameBytes(bytes, exampleTail, 'a tail');
    }
  },
});

export const tableTargets: readonly FuzzTarget[] = [
  tail,
  index,
  properties,
  rangeTombstones,
  sections,
  footer,
];
