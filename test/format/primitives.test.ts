import test from 'ava';
import fc from 'fast-check';
import { ByteReader } from '../../src/format/byte-reader.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { commonPrefixLength, compareBytes } from '../../src/format/compare.ts';
import {
  logName,
  manifestName,
  parseFileName,
  tableName,
  temporaryTableName,
} from '../../src/format/file-names.ts';
import { FormatError } from '../../src/format/format-error.ts';
import { copyAndHash, hashBytes } from '../../src/format/hash.ts';
import { readU48, writeU48 } from '../../src/format/integers.ts';
import { SEQUENCE_MAX, pagesOf, roundUpToPage } from '../../src/format/limits.ts';
import { ByteWriter, varintLength, writeVarint } from '../../src/format/varint.ts';
import { bytesOf } from './tables.ts';

test('pages are counted and rounded up', (t) => {
  for (const [bytes, pages] of [
    [0, 0],
    [1, 1],
    [4096, 1],
    [4097, 2],
    [2 ** 40 + 1, 2 ** 28 + 1],
  ] as const) {
    t.is(pagesOf(bytes), pages);
    t.is(roundUpToPage(bytes), pages * 4096);
  }
});

test('file names have one spelling and are read back', (t) => {
  t.is(manifestName(1), 'MANIFEST-000001');
  t.is(logName(12), '000012.wal');
  t.is(tableName(1_234_567), '1234567.sst');
  t.is(temporaryTableName(3), '000003.sst.tmp');
  t.deepEqual(parseFileName('LOCK'), { kind: 'lock', number: 0 });
  t.deepEqual(parseFileName('CURRENT'), { kind: 'current', number: 0 });
  t.deepEqual(parseFileName('CURRENT.tmp'), { kind: 'temporary', number: 0 });
  t.deepEqual(parseFileName('4294967295.wal'), { kind: 'log', number: 4_294_967_295 });
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), (number) => {
      t.deepEqual(parseFileName(manifestName(number)), { kind: 'manifest', number });
      t.deepEqual(parseFileName(logName(number)), { kind: 'log', number });
      t.deepEqual(parseFileName(tableName(number)), { kind: 'table', number });
      t.deepEqual(parseFileName(temporaryTableName(number)), { kind: 'temporary', number });
    }),
  );
});

test('other names are not ours', (t) => {
  const names = [
    '',
    'lock',
    '00001.wal',
    '0000001.sst',
    '4294967296.sst',
    'MANIFEST-1',
    'MANIFEST-000001.sst',
    '000001',
  ];
  names.push(
    '000001.sst.tmp2',
    '000001.tmp',
    '000001.wal\n',
    ' 000001.wal',
    '00000a.wal',
    'xMANIFEST-000001',
  );
  for (const name of names) t.is(parseFileName(name), undefined, name);
  t.throws(() => logName(2 ** 32), { message: /2\^32/ });
  t.throws(() => logName(-1));
});

test('the hash is MurmurHash3_x86_32 with seed 0', (t) => {
  const vectors: [string, number][] = [
    ['', 0],
    ['hello', 0x248bfa47],
    ['hello, world', 0x149bbb7f],
    ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
  ];
  for (const [text, hash] of vectors) {
    const bytes = bytesOf(`..${text}.`);
    t.is(hashBytes(bytes, 2, text.length), hash | 0, text);
  }
  // Every length within a word and some beyond; values fixed so that none of them changes unnoticed.
  const alphabet = bytesOf('abcdefghijklmnopqrstuvwxyz');
  const hashes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 26].map((length) => hashBytes(alphabet, 0, length));
  const known = [0, 1009084850, -1681926305, -1277324294, 1139631978, -392455434, 1635893381, -2009294074];
  t.deepEqual(hashes, [...known, 1239272644, -412970515, -1555168403]);
});

test('a copy that is hashed on the way is a copy, and has the hash', (t) => {
  for (let length = 0; length <= 40; length++) {
    const source = Uint8Array.from({ length: length + 3 }, (_, i) => 255 - i * 7);
    const target = new Uint8Array(length + 1).fill(99);
    t.is(copyAndHash(source, length, target), hashBytes(source, 0, length), `${length} bytes`);
    t.deepEqual(target, Uint8Array.of(...source.subarray(0, length), 99));
  }
});

test('keys compare by bytes, a prefix first', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6, max: 3 }), fc.uint8Array({ maxLength: 6, max: 3 }), (a, b) => {
      const expected = Buffer.compare(a, b);
      const shiftedA = new Uint8Array([9, ...a]);
      const shiftedB = new Uint8Array([8, 8, ...b]);
      t.is(Math.sign(compareBytes(shiftedA, 1, a.length, shiftedB, 2, b.length)), expected);
      const common = commonPrefixLength(shiftedA, 1, a.length, shiftedB, 2, b.length);
      t.deepEqual(a.slice(0, common), b.slice(0, common));
      t.true(common === a.length || common === b.length || a[common] !== b[common]);
    }),
  );
});

test('varints: every number from 0 to 2^53 - 1 comes back', (t) => {
  const edges = [
    0,
    1,
    127,
    128,
    16_383,
    16_384,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 48 - 1,
    2 ** 49,
    2 ** 53 - 1,
  ];
  const number = fc.oneof(fc.constantFrom(...edges), fc.maxSafeNat(), fc.nat());
  fc.assert(
    fc.property(number, (value) => {
      const bytes = new Uint8Array(12).fill(0xff);
      const end = writeVarint(bytes, 1, value);
      t.is(end - 1, varintLength(value));
      const reader = new ByteReader(bytes, 1, end);
      t.is(reader.varint(), value);
      t.is(reader.remaining, 0);
      const writer = new ByteWriter(1);
      writer.varint(value);
      t.deepEqual(writer.written(), bytes.slice(1, end));
    }),
  );
});

test('varints: what has no meaning is refused', (t) => {
  const read = (numbers: number[], maximum?: number): number =>
    new ByteReader(Uint8Array.from(numbers), 0, numbers.length).varint(maximum);
  const refused = { instanceOf: FormatError };
  t.throws(() => read([]), refused);
  t.throws(() => read([0x80]), refused, 'cut');
  t.throws(() => read([0x80, 0x00]), refused, 'a second spelling of zero');
  t.throws(() => read([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), refused, 'above 2^53');
  t.throws(() => read([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), refused, 'nine digits');
  t.throws(() => read([5], 4), refused, 'above its maximum');
  t.throws(() => new ByteWriter().varint(-1));
  t.throws(() => new ByteWriter().varint(1.5));
});

test('48-bit integers come back', (t) => {
  const bytes = new Uint8Array(8);
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom(0, SEQUENCE_MAX, 2 ** 32, 2 ** 32 - 1, 2 ** 31), fc.nat()),
      (value) => {
        writeU48(bytes, 1, value);
        t.is(readU48(bytes, 1), value);
      },
    ),
  );
});

test('the checksum is CRC-32C, continues, and depends on the place', (t) => {
  const bytes = bytesOf('123456789');
  t.is(checksum(bytes, 0, 9, 0), 0xe3069283, 'the check value of CRC-32C');
  t.is(checksum(bytes, 4, 9, checksum(bytes, 0, 4, 0)), 0xe3069283);
  const seeds = new Set([0]);
  for (const salt of [0, 1, 0xffff_ffff]) {
    for (const file of [0, 1, 0xffff_ffff]) {
      for (const offset of [0, 4096, 2 ** 32, 2 ** 32 + 4096]) seeds.add(checksumSeed(salt, file, offset));
    }
  }
  t.is(seeds.size, 37);
});
