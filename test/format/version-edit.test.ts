import test from 'ava';
import fc from 'fast-check';
import { FormatError } from '../../src/format/format-error.ts';
import {
  decodeVersionEdit,
  describeVersionEdit,
  emptyVersionEdit,
  encodeVersionEdit,
} from '../../src/format/version-edit.ts';
import type { VersionEdit } from '../../src/format/version-edit.ts';
import { bytesOf } from './tables.ts';

const fileNumber = fc.nat(2 ** 32 - 1);
const sequence = fc.maxSafeNat().map((number) => number % 2 ** 48);
const level = fc.nat(6);
const key = fc.uint8Array({ maxLength: 40 });
const table = fc.record({
  number: fileNumber,
  level,
  fileBytes: fc.maxSafeNat(),
  metaOffset: fc.maxSafeNat(),
  entries: fc.maxSafeNat(),
  deletions: fc.nat(),
  overwritten: fc.maxSafeNat(),
  rangeTombstones: fc.nat(),
  smallestKey: key,
  largestKey: key,
  largestKeyIsExclusive: fc.boolean(),
  smallestSequence: sequence,
  largestSequence: sequence,
  rawBytes: fc.maxSafeNat(),
  createdAtSeconds: fc.nat(),
  createdAtSequence: sequence,
});
const edit: fc.Arbitrary<VersionEdit> = fc.record(
  {
    databaseSalt: fc.nat(2 ** 32 - 1),
    logNumber: fileNumber,
    nextFileNumber: fileNumber,
    lastSequence: sequence,
    flushedSequence: sequence,
    added: fc.array(table, { maxLength: 4 }),
    deleted: fc.array(fc.record({ level, number: fileNumber }), { maxLength: 4 }),
    logEnds: fc.array(fc.record({ number: fileNumber, end: fc.maxSafeNat() }), { maxLength: 3 }),
    compactionPointers: fc.array(fc.record({ level, key }), { maxLength: 3 }),
    cleanClose: fc.boolean(),
  },
  { requiredKeys: ['added', 'deleted', 'logEnds', 'compactionPointers'], noNullPrototype: true },
);

const ALL_FIELDS: VersionEdit = {
  databaseSalt: 0xcafe,
  logNumber: 4,
  nextFileNumber: 9,
  lastSequence: 2 ** 48 - 1,
  flushedSequence: 0,
  added: [
    {
      number: 8,
      level: 2,
      fileBytes: 40_960,
      metaOffset: 32_768,
      entries: 300,
      deletions: 5,
      overwritten: 7,
      rangeTombstones: 2,
      smallestKey: bytesOf(''),
      largestKey: bytesOf('a"\\\xff\x00'),
      largestKeyIsExclusive: true,
      smallestSequence: 1,
      largestSequence: 300,
      rawBytes: 31_000,
      createdAtSeconds: 1_700_000_000,
      createdAtSequence: 305,
    },
  ],
  deleted: [{ level: 0, number: 3 }],
  logEnds: [{ number: 4, end: 8192 }],
  compactionPointers: [{ level: 1, key: bytesOf('m'.repeat(65)) }],
  cleanClose: true,
};

test('edits come back, and equal edits have equal bytes', (t) => {
  fc.assert(
    fc.property(edit, fc.nat(9), (one, shift) => {
      const bytes = encodeVersionEdit(one);
      const framed = new Uint8Array(bytes.length + shift + 2).fill(0xee);
      framed.set(bytes, shift);
      const decoded = decodeVersionEdit(framed, shift, shift + bytes.length);
      t.deepEqual(decoded, one);
      t.deepEqual(encodeVersionEdit(decoded), bytes);
    }),
    { numRuns: 300 },
  );
});

test('an edit that changes nothing has no bytes', (t) => {
  t.is(encodeVersionEdit(emptyVersionEdit()).length, 0);
  t.deepEqual(decodeVersionEdit(new Uint8Array(0), 0, 0), emptyVersionEdit());
});

test('the keys of a decoded edit are its own', (t) => {
  const bytes = encodeVersionEdit(ALL_FIELDS);
  const decoded = decodeVersionEdit(bytes, 0, bytes.length);
  bytes.fill(0xff);
  t.deepEqual(decoded, ALL_FIELDS);
});

test('an edit cut anywhere is refused, or is a shorter edit at a field boundary', (t) => {
  const bytes = encodeVersionEdit(ALL_FIELDS);
  let boundaries = 0;
  for (let cut = 0; cut < bytes.length; cut++) {
    try {
      const decoded = decodeVersionEdit(bytes, 0, cut);
      t.is(encodeVersionEdit(decoded).length, cut);
      boundaries++;
    } catch (error) {
      t.true(error instanceof FormatError, String(error));
    }
  }
  t.is(boundaries, 10, 'ten fields, of which the last one is missing each time');
});

test('unknown tags, fields twice and numbers out of range are refused', (t) => {
  const refused = (numbers: number[], what: string): unknown =>
    t.throws(
      () => decodeVersionEdit(Uint8Array.from(numbers), 0, numbers.length),
      { instanceOf: FormatError },
      what,
    );
  refused([0], 'tag 0');
  refused([12, 1], 'tag 12');
  refused([2, 1, 2, 1], 'a field twice');
  refused([10, 2], 'a boolean of 2');
  refused([10, 1, 10, 1], 'a boolean twice');
  refused([7, 64, 1], 'level 64');
  refused([2, 0x80, 0x80, 0x80, 0x80, 0x10], 'file number 2^32');
  refused([4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40], 'sequence number 2^48');
  refused([9, 1, 0x80, 0x80, 0x04], 'a key of 65,536 bytes');
});

test('an edit as text', (t) => {
  t.is(
    describeVersionEdit(ALL_FIELDS),
    [
      'databaseSalt 51966',
      'logNumber 4',
      'nextFileNumber 9',
      'lastSequence 281474976710655',
      'flushedSequence 0',
      'added level=2 number=8 fileBytes=40960 metaOffset=32768 entries=300 deletions=5 overwritten=7 ' +
        'rangeTombstones=2 keys=""..<"a\\x22\\x5c\\xff\\x00" sequences=1..300 rawBytes=31000 ' +
        'createdAtSeconds=1700000000 createdAtSequence=305',
      'deleted level=0 number=3',
      'logEnd number=4 end=8192',
      `compactionPointer level=1 key="${'m'.repeat(64)}"…(65 bytes)`,
      'cleanClose true',
    ].join('\n'),
  );
  t.is(describeVersionEdit(emptyVersionEdit()), '');
});
