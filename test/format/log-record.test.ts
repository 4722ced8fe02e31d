import test from 'ava';
import fc from 'fast-check';
import { FormatError } from '../../src/format/format-error.ts';
import { KEY_BYTES_MAX, KIND_PUT, KIND_RANGE_TOMBSTONE, KIND_TOMBSTONE } from '../../src/format/limits.ts';
import { LogRecordReader, logRecordLength, writeLogRecord } from '../../src/format/log-record.ts';
import { bytesOf, expectEntries } from './tables.ts';
import type { Assertions } from './tables.ts';

interface Write {
  readonly kind: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

function encode(writes: readonly Write[]): Uint8Array {
  const length = writes.reduce(
    (sum, { kind, key, value }) => sum + logRecordLength(kind, key.length, value.length),
    0,
  );
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const { kind, key, value } of writes) {
    at = writeLogRecord(bytes, at, kind, key, 0, key.length, value, 0, value.length);
  }
  if (at !== length) throw new Error('the length foretold is not the length written');
  return bytes;
}

function decode(bytes: Uint8Array, start = 0, end = bytes.length): Write[] {
  const reader = new LogRecordReader(bytes, start, end);
  const writes: Write[] = [];
  while (reader.next()) {
    writes.push({
      kind: reader.kind,
      key: bytes.slice(reader.keyStart, reader.keyStart + reader.keyLength),
      value: bytes.slice(reader.valueStart, reader.valueStart + reader.valueLength),
    });
  }
  return writes;
}

function expectWrites(t: Assertions, actual: readonly Write[], expected: readonly Write[]): void {
  const numbered = (writes: readonly Write[]) => writes.map((write, sequence) => ({ ...write, sequence }));
  expectEntries(t, numbered(actual), numbered(expected));
}

/** A range tombstone of bounds that share all but their last byte. */
function rangeTombstone(startLength: number, endLength: number, fill: number): Write {
  const start = new Uint8Array(startLength).fill(fill);
  const end = new Uint8Array(endLength).fill(fill);
  if (endLength > 0) {
    if (startLength > 0) start[Math.min(startLength, endLength) - 1] = 0;
    end[endLength - 1] = fill + 1;
  }
  return { kind: KIND_RANGE_TOMBSTONE, key: start, value: end };
}

const lengths = fc.constantFrom(0, 1, 63, 64, 65, 127, 128, 300, 20_000);
const write = fc.record({
  kind: fc.constantFrom(KIND_PUT, KIND_TOMBSTONE, KIND_RANGE_TOMBSTONE),
  keyLength: lengths,
  valueLength: lengths,
  fill: fc.nat(255),
});
const writes = fc.array(
  write.map(({ kind, keyLength, valueLength, fill }): Write => {
    if (kind === KIND_RANGE_TOMBSTONE) return rangeTombstone(keyLength, valueLength, fill & 127);
    const value = new Uint8Array(kind === KIND_PUT ? valueLength : 0).fill(fill + 1);
    return { kind, key: new Uint8Array(keyLength).fill(fill), value };
  }),
  { maxLength: 12 },
);

test('records come back', (t) => {
  fc.assert(
    fc.property(writes, (many) => expectWrites(t, decode(encode(many)), many)),
    { numRuns: 150 },
  );
});

test('the empty key, the empty value and the largest key are legal', (t) => {
  const many: Write[] = [
    { kind: KIND_PUT, key: new Uint8Array(0), value: new Uint8Array(0) },
    { kind: KIND_TOMBSTONE, key: new Uint8Array(0), value: new Uint8Array(0) },
    { kind: KIND_PUT, key: new Uint8Array(KEY_BYTES_MAX).fill(1), value: new Uint8Array(5_000_000).fill(2) },
  ];
  expectWrites(t, decode(encode(many)), many);
});

test('a range tombstone may begin at the empty key and have no end', (t) => {
  const long = new Uint8Array(KEY_BYTES_MAX).fill(0xff);
  const many: Write[] = [
    { kind: KIND_RANGE_TOMBSTONE, key: new Uint8Array(0), value: new Uint8Array(0) },
    { kind: KIND_RANGE_TOMBSTONE, key: bytesOf('a'), value: new Uint8Array(0) },
    { kind: KIND_RANGE_TOMBSTONE, key: new Uint8Array(0), value: Uint8Array.of(0) },
    { kind: KIND_RANGE_TOMBSTONE, key: bytesOf('a'), value: Uint8Array.of(0x61, 0) },
    { kind: KIND_RANGE_TOMBSTONE, key: long.subarray(1), value: long },
  ];
  expectWrites(t, decode(encode(many)), many);
  t.deepEqual([...encode(many.slice(0, 3))], [2, 0, 0, 2, 1, 0, 0x61, 2, 0, 1, 0]);
});

test("a tombstone's value is not written", (t) => {
  const bytes = new Uint8Array(8);
  t.is(writeLogRecord(bytes, 0, KIND_TOMBSTONE, bytesOf('xab'), 1, 2, bytesOf('value'), 0, 5), 4);
  t.deepEqual([...bytes], [0, 2, 0x61, 0x62, 0, 0, 0, 0]);
});

test('a record may lie across two frames: their payloads are one run', (t) => {
  fc.assert(
    fc.property(writes, fc.double({ min: 0, max: 1, noNaN: true }), (many, where) => {
      const bytes = encode(many);
      const cut = Math.floor(bytes.length * where);
      const joined = new Uint8Array(Buffer.concat([bytes.subarray(0, cut), bytes.subarray(cut)]));
      expectWrites(t, decode(joined), many);
    }),
    { numRuns: 20 },
  );
});

test('a cut run gives the records before the cut and then a typed error, or ends between two records', (t) => {
  fc.assert(
    fc.property(writes, fc.nat(), (many, number) => {
      const bytes = encode(many);
      const cut = bytes.length === 0 ? 0 : number % bytes.length;
      const reader = new LogRecordReader(bytes, 0, cut);
      let count = 0;
      try {
        while (reader.next()) count++;
        t.is(encode(many.slice(0, count)).length, cut);
      } catch (error) {
        t.true(error instanceof FormatError);
      }
      t.true(count <= many.length);
    }),
    { numRuns: 150 },
  );
});

test('malformed records are refused', (t) => {
  const refused = (numbers: number[], what: string): unknown =>
    t.throws(() => decode(Uint8Array.from(numbers)), { instanceOf: FormatError }, what);
  refused([3, 0], 'an unknown kind');
  refused([1], 'no key length');
  refused([1, 1], 'no value length');
  refused([1, 0x80, 0x00, 0], 'a second spelling of zero');
  refused([0, 0x80, 0x80, 0x04], 'a key of 65,536 bytes');
  refused([1, 0, 0x81, 0x80, 0x80, 0x20], 'a value above 64 MiB');
  refused([1, 0, 0xff, 0xff, 0xff, 0xff, 0x01], 'five digits');
  refused([1, 2, 0, 0x61], 'a key that ends after the payload');
  refused([1, 1, 2, 0x61, 0x62], 'a value that ends after the payload');
  refused([2, 1], 'a range without the length of its end');
  refused([2, 1, 1, 0x61], 'an end that ends after the payload');
  refused([2, 1, 1, 0x62, 0x61], 'a range that ends before it begins');
  refused([2, 1, 1, 0x61, 0x61], 'a range without keys');
  refused([2, 2, 1, 0x61, 0, 0x61], 'an end that is a prefix of the start');
  refused([2, 0, 0x80, 0x80, 0x04], 'an end of 65,536 bytes');
});

test('the reader can begin again elsewhere', (t) => {
  const bytes = encode([{ kind: KIND_PUT, key: bytesOf('k'), value: bytesOf('v') }]);
  const reader = new LogRecordReader(bytes, 0, bytes.length);
  t.true(reader.next());
  t.is(reader.position, bytes.length);
  t.false(reader.next());
  t.false(reader.next());
  reader.reset(bytes, 0, bytes.length);
  t.true(reader.next());
});
