/**
 * One of each structure, byte for byte. When one of these fails, the format has changed: a database written by a
 * released version can no longer be read, unless the version number changes too and the old one is still understood.
 */
import test from 'ava';
import { checkBlockStructure, decompressBlock, verifyBlock } from '../../src/format/block-check.ts';
import { isCompressionAvailable } from '../../src/format/compression.ts';
import { decodeCurrent, encodeCurrent } from '../../src/format/current.ts';
import { FOOTER_BYTES } from '../../src/format/footer.ts';
import { readFrame, sealFrame, writeFrameHeader } from '../../src/format/frame.ts';
import {
  BLOCK_BYTES_MAX,
  KIND_PUT,
  KIND_RANGE_TOMBSTONE,
  KIND_TOMBSTONE,
  PAGE_BYTES,
} from '../../src/format/limits.ts';
import { LogRecordReader, writeLogRecord } from '../../src/format/log-record.ts';
import { decodeVersionEdit, encodeVersionEdit } from '../../src/format/version-edit.ts';
import type { VersionEdit } from '../../src/format/version-edit.ts';
import {
  blockEntries,
  buildTable,
  bytesOf,
  expectEntries,
  get,
  openTable,
  put,
  tombstone,
} from './tables.ts';

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Hexadecimal digits with blanks between them, for reading. */
function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
}

/** The bytes without the run of zeros in front of the last `tailBytes`. */
function withoutZeros(bytes: Uint8Array, tailBytes: number): Uint8Array {
  let end = bytes.length - tailBytes;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return new Uint8Array([...bytes.subarray(0, end), ...bytes.subarray(bytes.length - tailBytes)]);
}

/** The other way round. */
function withZeros(bytes: Uint8Array, tailBytes: number): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  page.set(bytes.subarray(0, bytes.length - tailBytes));
  page.set(bytes.subarray(bytes.length - tailBytes), PAGE_BYTES - tailBytes);
  return page;
}

const ENTRIES = [
  put('apple', 9, 'red'),
  put('apricot', 7, 'orange'),
  put('apricot', 3),
  tombstone('april', 300),
];
const RANGE_TOMBSTONES = [{ start: bytesOf('banana'), end: bytesOf('cherry'), sequences: [12] }];

const BLOCK = unhex(`
  04000200 02000000 03000000 00000000 22004300 2c000000 22002c00 3b004300
  61700311 706c6503 06726564 05117269 636f7406 046f7261 6e676505 01726963
  6f740003 2072696c 0029014b 00000000 00425100 00000005 e546f0
`);
const TAIL = unhex(`
  01000000 05000000 05e546f0 01000200 05000200 6170706c 65a48b02 0d000000
  01000041 00000020 10002000 00008000 00000000 00000041 00002000 00200400
  00000018 00000000 00000000 00000002 08000000 00010000 00001000 00060000
  007d9342 e1018020 000a0180 20040101 01152d03 ac0280e2 cfaa06e8 07056170
  706c6506 63686572 727901a0 a288b501 0662616e 616e6106 63686572 7279010c
  23dfdb94 01000000 1d000000 48000000 2a000000 02000000 f9171cc9 71756164
  7373740a
`);
/** Of two entries, one of them with a value of 5000 bytes; not what a compressor must write, but what must be read. */
const LZ4_BLOCK = unhex(`
  20020002 00420000 07000100 601e0000 00ae1308 00ff01ae 13617003 11706c65
  88270272 65642004 00ffffff ffffffff ffffffff ffffffff ffffffff 84e00501
  7269636f 74066f72 616e6765 bc130000 01004251 4c000000 82020caf
`);
const ZSTD_BLOCK = unhex(`
  28b52ffd 60bc12ed 01002403 02000200 02000000 07001e00 0000ae13 00001e00
  ae136170 0311706c 65882702 72656420 05017269 636f7406 6f72616e 67650200
  06ceae0f 0c7401bc 13000002 00425147 00000033 e80606
`);
const FRAME = unhex(`
  124c9333 46510101 0c000000 00000000 e8030000 00000000 03000000 21000000
  01050361 70706c65 72656400 05617072 696c0206 0662616e 616e6163 68657272
  79
`);
const EDIT = unhex(`
  01effdb6 f50d020c 030e04e9 0705e707 06010780 40802004 01010103 ac022d80
  e2cfaa06 e8070561 70706c65 06636865 72727901 07000508 0b808004 09010761
  70726963 6f740a00
`);
const CURRENT = 'quadring 2 MANIFEST-000007 f0f66ffd\n';

test('a data block', (t) => {
  const { bytes } = buildTable(ENTRIES, { rangeTombstones: RANGE_TOMBSTONES });
  t.is(hex(withoutZeros(bytes.subarray(0, PAGE_BYTES), 16)), hex(BLOCK));
  const block = withZeros(BLOCK, 16);
  t.true(verifyBlock(block, 0, PAGE_BYTES, 7, 0).ok);
  expectEntries(t, blockEntries(block, 0), ENTRIES);
});

test('a data block that is compressed', (t) => {
  const entries = [put('apple', 9, 'red '.repeat(1250)), put('apricot', 7, 'orange')];
  const stored = isCompressionAvailable('zstd') ? [LZ4_BLOCK, ZSTD_BLOCK] : [LZ4_BLOCK];
  for (const bytes of stored) {
    const block = new Uint8Array(2 * PAGE_BYTES);
    block.set(withZeros(bytes, 16));
    t.true(verifyBlock(block, 0, PAGE_BYTES, 7, 0).ok);
    checkBlockStructure(block, 0, PAGE_BYTES);
    t.is(decompressBlock(block, 0, PAGE_BYTES, new Uint8Array(BLOCK_BYTES_MAX), block.length), block.length);
    expectEntries(t, blockEntries(block, 0), entries);
  }
});

test('the tail of a table: index, filter, properties, range tombstones, footer', (t) => {
  const { bytes, description } = buildTable(ENTRIES, { rangeTombstones: RANGE_TOMBSTONES });
  t.is(hex(withoutZeros(bytes.subarray(PAGE_BYTES), FOOTER_BYTES)), hex(TAIL));
  const file = new Uint8Array([...withZeros(BLOCK, 16), ...withZeros(TAIL, FOOTER_BYTES)]);
  const table = openTable(file, description, 7);
  t.deepEqual(get(table, bytesOf('apricot'), 5), ENTRIES[2]);
  t.is(table.meta.properties.createdAtSeconds, 1_700_000_000);
  t.deepEqual(table.meta.rangeTombstones?.fragments, RANGE_TOMBSTONES);
});

test('a frame of a log', (t) => {
  const bytes = new Uint8Array(PAGE_BYTES);
  let end = writeLogRecord(bytes, 32, KIND_PUT, bytesOf('apple'), 0, 5, bytesOf('red'), 0, 3);
  end = writeLogRecord(bytes, end, KIND_TOMBSTONE, bytesOf('april'), 0, 5, bytesOf(''), 0, 0);
  end = writeLogRecord(bytes, end, KIND_RANGE_TOMBSTONE, bytesOf('banana'), 0, 6, bytesOf('cherry'), 0, 6);
  const header = { kind: 1, fileNumber: 12, firstSequence: 1000, count: 3, payloadLength: end - 32 };
  writeFrameHeader(bytes, 0, header);
  sealFrame(bytes, 0, 0xdeadbeef, 8192);
  t.is(hex(bytes.subarray(0, end)), hex(FRAME));
  const read = readFrame(withZeros(FRAME, 0), 0, PAGE_BYTES, {
    salt: 0xdeadbeef,
    fileNumber: 12,
    offset: 8192,
  });
  t.like(read, { status: 'valid', ...header });
  const records = new LogRecordReader(FRAME, read.payloadStart, read.payloadStart + read.payloadLength);
  t.true(records.next() && records.next() && records.next() && !records.next());
});

test('a version edit', (t) => {
  const edit: VersionEdit = {
    databaseSalt: 0xdeadbeef,
    logNumber: 12,
    nextFileNumber: 14,
    lastSequence: 1001,
    flushedSequence: 999,
    added: [buildTable(ENTRIES, { rangeTombstones: RANGE_TOMBSTONES }).description],
    deleted: [{ level: 0, number: 5 }],
    logEnds: [{ number: 11, end: 65_536 }],
    compactionPointers: [{ level: 1, key: bytesOf('apricot') }],
    cleanClose: false,
  };
  t.is(hex(encodeVersionEdit(edit)), hex(EDIT));
  t.deepEqual(decodeVersionEdit(EDIT, 0, EDIT.length), edit);
});

test('CURRENT', (t) => {
  t.is(Buffer.from(encodeCurrent(7)).toString(), CURRENT);
  t.is(decodeCurrent(bytesOf(CURRENT)), 7);
});
