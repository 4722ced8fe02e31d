/**
 * Every decoder against random bytes, flipped bits and cuts: a typed error or the right data, never a hang, never
 * anything else. fast-check prints seed and path of a failure; `{ seed, path }` repeats it.
 */
import test from 'ava';
import fc from 'fast-check';
import { QuadringError } from '../../src/errors.ts';
import { BlockEntry, blockEntryCount, lowerBoundInBlock, searchBlock } from '../../src/format/block.ts';
import { checkBlockStructure, writeBlockTrailer } from '../../src/format/block-check.ts';
import { decodeCurrent, encodeCurrent } from '../../src/format/current.ts';
import { FormatError } from '../../src/format/format-error.ts';
import { readFrame, sealFrame, writeFrameHeader } from '../../src/format/frame.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { KIND_RANGE_TOMBSTONE, PAGE_BYTES, SEQUENCE_MAX } from '../../src/format/limits.ts';
import { LogRecordReader } from '../../src/format/log-record.ts';
import { readFooter } from '../../src/format/footer.ts';
import {
  RangeTombstones,
  decodeRangeTombstones,
  encodeRangeTombstones,
} from '../../src/format/range-tombstones.ts';
import { TableIndex } from '../../src/format/table-index.ts';
import { decodeTableMeta } from '../../src/format/table-meta.ts';
import { decodeTableProperties, encodeTableProperties } from '../../src/format/table-properties.ts';
import { decodeVersionEdit, encodeVersionEdit } from '../../src/format/version-edit.ts';
import { blockEntries, buildTable, bytesOf, put, tombstone } from './tables.ts';

/** Runs a decoder; true when it accepted, false on a typed error; anything else is thrown on. */
function accepts(decode: () => unknown): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    if (error instanceof FormatError || error instanceof QuadringError) return false;
    throw error;
  }
}

/** Random bytes, or a sound example with some bytes changed and an end cut off or added. */
function damaged(example: Uint8Array, lengthMax: number): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(example.length - 1),
    value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 127, 128, 255)),
  });
  const changed = fc
    .record({
      changes: fc.array(change, { maxLength: 4 }),
      length: fc.oneof(fc.constant(example.length), fc.nat(example.length + 8)),
    })
    .map(({ changes, length }) => {
      const bytes = new Uint8Array(length);
      bytes.set(example.subarray(0, length));
      for (const { at, value } of changes) if (at < length) bytes[at] = value;
      return bytes;
    });
  return fc.oneof(changed, changed, fc.uint8Array({ maxLength: lengthMax }));
}

const entries = Array.from({ length: 40 }, (_, i) =>
  put(`key ${String(i >> 1).padStart(4, '0')}`, 100 - i, `value ${i} `.repeat(11)),
);
entries.push(tombstone('keyed', 7), put(`l${'o'.repeat(300)}ng`, 9, 'x'.repeat(200)));
const { fragments } = RangeTombstones.of([
  { start: bytesOf('key 0003'), end: bytesOf('key 7'), sequence: 5000 },
  { start: bytesOf(''), end: bytesOf('key 0005'), sequence: 77 },
  { start: bytesOf('key 5'), end: bytesOf(''), sequence: 2 ** 40 },
]);
const table = buildTable(entries, { fileNumber: 1, rangeTombstones: fragments });
const { metaOffset } = table.description;

const RUNS = { numRuns: 1500 };

test('log records', (t) => {
  const example = Uint8Array.from(
    [
      [1, 3, 5, 1, 2, 3, 9, 9, 9, 9, 9],
      [0, 2, 8, 8],
      [2, 2, 3, 4, 5, 4, 5, 0],
      [1, 0, 0],
      [2, 1, 0, 4],
      [1, 1, 1, 4, 4],
    ].flat(),
  );
  fc.assert(
    fc.property(damaged(example, 60), (bytes) => {
      const reader = new LogRecordReader(bytes, 0, bytes.length);
      let end = 0;
      const whole = accepts(() => {
        while (reader.next()) {
          if (reader.keyStart < end || reader.valueStart !== reader.keyStart + reader.keyLength)
            throw new Error('overlap');
          end = reader.valueStart + reader.valueLength;
          const key = bytes.subarray(reader.keyStart, reader.valueStart);
          const value = bytes.subarray(reader.valueStart, end);
          if (reader.kind === KIND_RANGE_TOMBSTONE && value.length > 0 && Buffer.compare(key, value) >= 0)
            throw new Error('a range without keys');
          if (end > bytes.length) throw new Error('beyond the end');
        }
      });
      if (whole) t.is(end, bytes.length);
    }),
    RUNS,
  );
});

test('frames', (t) => {
  const example = new Uint8Array(PAGE_BYTES);
  writeFrameHeader(example, 0, { kind: 1, fileNumber: 3, firstSequence: 5, count: 1, payloadLength: 50 });
  example.fill(7, 32, 82);
  sealFrame(example, 0, 1, 0);
  const place = { salt: 1, fileNumber: 3, offset: 0 };
  fc.assert(
    fc.property(damaged(example.slice(0, 90), 200), (bytes) => {
      const read = readFrame(bytes, 0, bytes.length, place);
      if (read.status !== 'valid') return;
      t.deepEqual(bytes.slice(0, 82), example.slice(0, 82));
      t.true(read.payloadStart + read.payloadLength <= bytes.length);
    }),
    RUNS,
  );
});

test('version edits', (t) => {
  const example = encodeVersionEdit({
    databaseSalt: 77,
    lastSequence: 2 ** 40,
    added: [table.description],
    deleted: [{ level: 1, number: 300 }],
    logEnds: [{ number: 2, end: 4096 }],
    compactionPointers: [{ level: 1, key: Uint8Array.of(1, 2, 3) }],
    cleanClose: false,
  });
  fc.assert(
    fc.property(damaged(example, 80), (bytes) => {
      accepts(() => decodeVersionEdit(bytes, 0, bytes.length));
      // What is accepted says the same when it is written again, whatever order its fields came in.
      if (!accepts(() => decodeVersionEdit(bytes, 0, bytes.length))) return;
      const edit = decodeVersionEdit(bytes, 0, bytes.length);
      const again = encodeVersionEdit(edit);
      t.is(again.length, bytes.length);
      t.deepEqual(decodeVersionEdit(again, 0, again.length), edit);
    }),
    RUNS,
  );
});

test('CURRENT', (t) => {
  const example = encodeCurrent(41);
  fc.assert(
    fc.property(damaged(example, 300), (bytes) => {
      if (accepts(() => decodeCurrent(bytes))) t.deepEqual(bytes, example);
    }),
    RUNS,
  );
});

test('the tail of a table: index, filter, properties, range tombstones, footer', (t) => {
  const example = table.bytes.slice(metaOffset);
  fc.assert(
    fc.property(damaged(example, 5000), (bytes) => {
      const fileBytes = metaOffset + bytes.length;
      if (accepts(() => decodeTableMeta(bytes, 1, metaOffset, fileBytes))) t.deepEqual(bytes, example);
      accepts(() => readFooter(bytes, bytes.length - 32, 1, fileBytes - 32));
    }),
    { numRuns: 600 },
  );
});

test('an index behind a checksum that holds', (t) => {
  const { index } = table.meta;
  const tail = table.bytes.subarray(metaOffset);
  const keyBytes = index.firstKeyOf(0).length + index.firstKeyOf(1).length;
  t.is(index.blockCount, 2);
  const indexExample = tail.slice(0, 8 + 2 * 12 + keyBytes);
  t.true(accepts(() => new TableIndex(indexExample, 0, indexExample.length, metaOffset, 1)));
  fc.assert(
    fc.property(
      damaged(indexExample, 100),
      fc.uint8Array({ maxLength: 20 }),
      fc.nat(16),
      (bytes, key, decompressedPages) => {
        accepts(() => {
          const decoded = new TableIndex(bytes, 0, bytes.length, metaOffset, decompressedPages);
          const block = decoded.locate(key, key.length);
          if (block < -1 || block >= decoded.blockCount) throw new Error('beyond the index');
          if (block >= 0) decoded.sharesPrefix(block, key, key.length);
          for (let each = 0; each < decoded.blockCount; each++) {
            const pages = decoded.pageCountOf(each);
            const memoryPages = decoded.memoryPagesOf(each);
            if (memoryPages !== pages && (memoryPages !== decompressedPages || pages >= memoryPages))
              throw new Error('a block that is compressed without gain');
          }
        });
      },
    ),
    RUNS,
  );
});

test('properties behind a checksum that holds', (t) => {
  const example = encodeTableProperties(table.meta.properties);
  fc.assert(
    fc.property(damaged(example, 60), (bytes) => {
      if (!accepts(() => decodeTableProperties(bytes, 0, bytes.length))) return;
      t.deepEqual(encodeTableProperties(decodeTableProperties(bytes, 0, bytes.length)), bytes);
    }),
    RUNS,
  );
});

test('range tombstones behind a checksum that holds', (t) => {
  const example = encodeRangeTombstones(fragments);
  t.true(accepts(() => decodeRangeTombstones(example, 0, example.length)));
  let accepted = 0;
  fc.assert(
    fc.property(damaged(example, 40), fc.uint8Array({ maxLength: 10 }), (bytes, key) => {
      if (!accepts(() => decodeRangeTombstones(bytes, 0, bytes.length))) return;
      accepted++;
      const decoded = decodeRangeTombstones(bytes, 0, bytes.length);
      // What is accepted is in order, which encoding asserts, and has one spelling.
      t.deepEqual(encodeRangeTombstones(decoded.fragments), bytes);
      const fragment = decoded.fragmentAt(key, 0, key.length);
      t.is(fragment?.sequences[0] ?? -1, decoded.covering(key, 0, key.length, SEQUENCE_MAX));
    }),
    RUNS,
  );
  t.log(`${accepted} of ${RUNS.numRuns} damaged sections were still sections`);
});

test('the structure of blocks: what is accepted can be searched and scanned within its bounds', (t) => {
  const length = table.meta.index.pageCountOf(0) * PAGE_BYTES;
  const example = table.bytes.slice(0, length);
  const rawLength = new DataView(example.buffer).getUint32(length - 16, true);
  t.true(accepts(() => checkBlockStructure(example, 0, length)));
  let accepted = 0;
  fc.assert(
    fc.property(damaged(example.slice(0, rawLength), 300), fc.uint8Array({ maxLength: 10 }), (raw, key) => {
      const bytes = new Uint8Array(Math.ceil((raw.length + 16) / PAGE_BYTES) * PAGE_BYTES);
      bytes.set(raw);
      writeBlockTrailer(bytes, bytes.length - 16, raw.length);
      if (!accepts(() => checkBlockStructure(bytes, 0, bytes.length))) return;
      accepted++;
      const words = new Uint16Array(bytes.buffer);
      const result = new BlockEntry();
      for (const entry of [...blockEntries(bytes, 0), put(key, SEQUENCE_MAX)]) {
        const hash = hashBytes(entry.key, 0, entry.key.length);
        const prefixLength = words[2];
        if (entry.key.length < prefixLength) continue;
        searchBlock(
          bytes,
          words,
          0,
          words[1],
          prefixLength,
          entry.key,
          entry.key.length,
          hash,
          entry.sequence,
          result,
        );
        const bound = lowerBoundInBlock(bytes, words, 0, entry.key, entry.key.length);
        if (bound > blockEntryCount(bytes, 0) || result.valueStart + result.valueLength > raw.length)
          t.fail('out of bounds');
      }
    }),
    RUNS,
  );
  t.log(`${accepted} of ${RUNS.numRuns} damaged blocks were still blocks`);
});

test('every byte of a block that matters is looked at by the structure check or is content', (t) => {
  const length = table.meta.index.pageCountOf(0) * PAGE_BYTES;
  const example = table.bytes.slice(0, length);
  const before = blockEntries(example, 0);
  for (let at = 0; at < length - 4; at++) {
    const bytes = example.slice();
    bytes[at] ^= 0x10;
    if (!accepts(() => checkBlockStructure(bytes, 0, length))) continue;
    const after = blockEntries(bytes, 0);
    const isContent = after.some((entry, i) => {
      const old = before[i];
      const isSameKey = Buffer.compare(entry.key, old.key) === 0;
      return !isSameKey || entry.sequence !== old.sequence || Buffer.compare(entry.value, old.value) !== 0;
    });
    if (!isContent) t.fail(`byte ${at} changed nothing`);
  }
  t.pass();
});
