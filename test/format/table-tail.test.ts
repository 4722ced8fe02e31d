/** The tail of a table: what is damaged in it, or contradicts the rest, is refused with the place where it was found. */
import test from 'ava';
import { QuadringError } from '../../src/errors.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { COMPRESSION_ZSTD, isCompressionAvailable } from '../../src/format/compression.ts';
import { FOOTER_BYTES, readFooter } from '../../src/format/footer.ts';
import { writeU16, writeU32 } from '../../src/format/integers.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { RangeTombstones, encodeRangeTombstones } from '../../src/format/range-tombstones.ts';
import type { TombstoneFragment } from '../../src/format/range-tombstones.ts';
import { decodeTableMeta, encodeTableMeta } from '../../src/format/table-meta.ts';
import type { TableMeta } from '../../src/format/table-meta.ts';
import { encodeTableProperties } from '../../src/format/table-properties.ts';
import type { TableProperties } from '../../src/format/table-properties.ts';
import { buildTable, bytesOf, put } from './tables.ts';

/** Of the first block's record, in the index section. */
const INDEX_FLAGS_AT = 8 + 11;

test('a flipped bit in the tail is reported with its place', (t) => {
  const tombstones = [{ start: bytesOf('key 7'), end: bytesOf('key 8'), sequence: 60 }];
  const entries = Array.from({ length: 50 }, (_, i) =>
    put(`key ${String(i).padStart(3, '0')}`, i, 'v'.repeat(100)),
  );
  const { bytes, description } = buildTable(entries, {
    rangeTombstones: RangeTombstones.of(tombstones).fragments,
  });
  const tail = bytes.slice(description.metaOffset);
  for (let at = 0; at < tail.length; at++) {
    tail[at] ^= 1 << (at & 7);
    const error = t.throws(() => decodeTableMeta(tail, 7, description.metaOffset, bytes.length), {
      instanceOf: QuadringError,
    });
    if (error?.code !== 'TABLE_CORRUPT' || error.file !== '000007.sst') t.fail(`byte ${at}: ${error?.code}`);
    t.true(
      error?.offset !== undefined && error.offset >= description.metaOffset && error.offset < bytes.length,
    );
    tail[at] ^= 1 << (at & 7);
  }
  const damaged = tail.slice();
  damaged[3] ^= 1;
  const error = t.throws(() => decodeTableMeta(damaged, 7, description.metaOffset, bytes.length), {
    instanceOf: QuadringError,
  });
  t.is(error?.offset, description.metaOffset);
  t.is(typeof error?.expected, 'number');
  t.not(error?.expected, error?.actual);
});

test('a tail of another file, place or length is refused', (t) => {
  const { bytes, description } = buildTable([put('a', 1)]);
  const { metaOffset } = description;
  const tail = bytes.subarray(metaOffset);
  const refused = { instanceOf: QuadringError, code: 'TABLE_CORRUPT' };
  t.throws(() => decodeTableMeta(tail, 8, metaOffset, bytes.length), refused);
  t.throws(() => decodeTableMeta(tail, 7, metaOffset + PAGE_BYTES, bytes.length + PAGE_BYTES), refused);
  t.throws(() => decodeTableMeta(tail.subarray(0, 100), 7, metaOffset, bytes.length), refused);
  t.throws(() => decodeTableMeta(tail.subarray(0, 0), 7, metaOffset, metaOffset), refused);
  t.throws(() => decodeTableMeta(tail, 7, metaOffset, bytes.length + 1), refused);
});

/** The tail with a footer whose checksum holds. */
function sealFooter(tail: Uint8Array, fileNumber: number, metaOffset: number): void {
  const at = tail.length - FOOTER_BYTES;
  const fields = checksum(tail, at, at + 20, checksumSeed(0, fileNumber, metaOffset + at));
  writeU32(tail, at + 20, checksum(tail, at + 24, at + 32, fields));
}

test('another version is told apart from damage', (t) => {
  const { bytes, description } = buildTable([put('a', 1)]);
  const { metaOffset } = description;
  for (const version of [1, 3]) {
    const tail = bytes.slice(metaOffset);
    writeU16(tail, tail.length - FOOTER_BYTES + 16, version);
    t.throws(() => decodeTableMeta(tail, 7, metaOffset, bytes.length), { code: 'TABLE_CORRUPT' });
    sealFooter(tail, 7, metaOffset);
    t.throws(() => decodeTableMeta(tail, 7, metaOffset, bytes.length), {
      instanceOf: QuadringError,
      code: 'UNKNOWN_FORMAT',
    });
  }
});

test('properties that do not fit the rest of the tail are refused though every checksum holds', (t) => {
  const tombstones = RangeTombstones.of([
    { start: bytesOf('d'), end: bytesOf('f'), sequence: 7 },
    { start: bytesOf('k'), end: bytesOf('q'), sequence: 9 },
  ]);
  const { bytes, meta, description } = buildTable([put('e', 3, 'x'), put('m', 8, 'y')], {
    rangeTombstones: tombstones.fragments,
  });
  const { metaOffset } = description;
  const tail = bytes.subarray(metaOffset);
  const footer = readFooter(tail, tail.length - FOOTER_BYTES, 7, bytes.length - FOOTER_BYTES);
  const indexEnd = footer.indexLength;
  const filterEnd = indexEnd + footer.filterLength;
  const changed = (change: Partial<TableProperties>, fragments = tombstones.fragments): void => {
    const sections = {
      index: tail.slice(0, indexEnd - 4),
      filter: tail.slice(indexEnd, filterEnd - 4),
      properties: encodeTableProperties({ ...meta.properties, ...change }),
      rangeTombstones: fragments.length === 0 ? new Uint8Array(0) : encodeRangeTombstones(fragments),
    };
    const again = encodeTableMeta(sections, 7, metaOffset);
    decodeTableMeta(again, 7, metaOffset, metaOffset + again.length);
  };
  t.notThrows(() => changed({}));
  t.notThrows(() => changed({ smallestKey: bytesOf('a') }));
  const refused: [string, Partial<TableProperties>, (readonly TombstoneFragment[])?][] = [
    ['other blocks', { blocks: 2 }],
    ['no blocks', { blocks: 0 }],
    ['other data', { dataBytes: 8192 }],
    ['more deletions than entries', { deletions: 3 }],
    ['all overwritten', { overwritten: 2 }],
    ['fewer range tombstones', { rangeTombstones: 1 }],
    ['no range tombstones', { rangeTombstones: 0 }],
    ['a section of no bytes', { rangeTombstoneBytes: 0 }],
    ['a shorter section', { rangeTombstoneBytes: meta.properties.rangeTombstoneBytes - 1 }],
    ['a section of its checksum', { rangeTombstoneBytes: 4 }],
    ['a section beyond the tail', { rangeTombstoneBytes: PAGE_BYTES }],
    ['a start before the smallest key', { smallestKey: bytesOf('e') }],
    ['an end behind the largest key', { largestKey: bytesOf('p') }],
    [
      'an end behind the largest key, which is included',
      { largestKey: bytesOf('n'), largestKeyIsExclusive: false },
    ],
    ['keys the wrong way round', { smallestKey: bytesOf('z') }],
    ['sequence numbers the wrong way round', { smallestSequence: 10 }],
    ['block bytes that are no pages', { blockBytes: 6000 }],
    ['blocks below a page', { blockBytes: 0 }],
    ['no section', {}, []],
  ];
  for (const [what, change, fragments] of refused) {
    t.throws(() => changed(change, fragments), { instanceOf: QuadringError, code: 'TABLE_CORRUPT' }, what);
  }
});

/** A tail that says of its table that it has a compressed block, and of its compression something. */
function tailWithFlags(
  flags: number,
  change: Partial<TableProperties>,
): { tail: Uint8Array; fileBytes: number } {
  const { bytes, meta, description } = buildTable([put('a', 1, new Uint8Array(9000))], {
    filterBitsPerKey: 0,
  });
  const { metaOffset } = description;
  const footer = readFooter(bytes, bytes.length - FOOTER_BYTES, 7, bytes.length - FOOTER_BYTES);
  const index = bytes.slice(metaOffset, metaOffset + footer.indexLength - 4);
  index[INDEX_FLAGS_AT] = flags;
  const sections = {
    index,
    filter: new Uint8Array(0),
    properties: encodeTableProperties({ ...meta.properties, ...change }),
    rangeTombstones: new Uint8Array(0),
  };
  const tail = encodeTableMeta(sections, 7, metaOffset);
  return { tail, fileBytes: metaOffset + tail.length };
}

test('an index that says of a block what cannot be is refused', (t) => {
  const decoded = (flags: number, change: Partial<TableProperties>): TableMeta => {
    const { tail, fileBytes } = tailWithFlags(flags, change);
    return decodeTableMeta(tail, 7, fileBytes - tail.length, fileBytes);
  };
  const refused = { instanceOf: QuadringError, code: 'TABLE_CORRUPT' };
  const isCompressed = 2;
  t.is(decoded(0, {}).index.memoryPagesOf(0), 3);
  t.is(decoded(isCompressed, { compression: 1, blockBytes: 16_384 }).index.memoryPagesOf(0), 4);
  t.throws(() => decoded(1, {}), refused, 'the first block continues none');
  t.throws(() => decoded(4, {}), refused, 'an unknown flag');
  t.throws(() => decoded(128, {}), refused, 'the flag that stands in memory only');
  t.throws(() => decoded(isCompressed, { blockBytes: 16_384 }), refused, 'nothing is compressed');
  t.throws(() => decoded(isCompressed, { compression: 1, blockBytes: 12_288 }), refused, 'without gain');
  t.throws(() => decoded(0, { compression: 3 }), refused, 'an unknown compression');
});

test('a table that this Node cannot decompress is told apart from damage', (t) => {
  const { tail, fileBytes } = tailWithFlags(0, { compression: COMPRESSION_ZSTD });
  const open = (): TableMeta => decodeTableMeta(tail, 7, fileBytes - tail.length, fileBytes);
  if (isCompressionAvailable('zstd')) t.is(open().properties.compression, COMPRESSION_ZSTD);
  else t.throws(open, { instanceOf: QuadringError, code: 'UNKNOWN_FORMAT', message: /zstd/ });
});
