import test from 'ava';
import fc from 'fast-check';
import {
  FRAME_FIRST,
  FRAME_FULL,
  FRAME_HEADER_BYTES,
  FRAME_LAST,
  FRAME_MIDDLE,
  FRAME_PAYLOAD_BYTES_MAX,
  readFrame,
  sealFrame,
  writeFrameHeader,
} from '../../src/format/frame.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { writeU32 } from '../../src/format/integers.ts';
import { PAGE_BYTES, SEQUENCE_MAX } from '../../src/format/limits.ts';

const SALT = 0xdeadbeef;
const PLACE = { salt: SALT, fileNumber: 12, offset: 8192 };

/** One sealed frame at the beginning of an array of its padded length. */
function makeFrame(
  payload: Uint8Array,
  change: { kind?: number; fileNumber?: number; offset?: number } = {},
): Uint8Array {
  const bytes = new Uint8Array(
    Math.ceil((FRAME_HEADER_BYTES + payload.length) / PAGE_BYTES) * PAGE_BYTES,
  ).fill(0xaa);
  writeFrameHeader(bytes, 0, {
    kind: change.kind ?? FRAME_FULL,
    fileNumber: change.fileNumber ?? PLACE.fileNumber,
    firstSequence: 1000,
    count: 3,
    payloadLength: payload.length,
  });
  bytes.set(payload, FRAME_HEADER_BYTES);
  sealFrame(bytes, 0, SALT, change.offset ?? PLACE.offset);
  return bytes;
}

/** Makes the checksum hold again after a deliberate change of the header. */
function reseal(bytes: Uint8Array, payloadLength: number): void {
  const seed = checksumSeed(SALT, PLACE.fileNumber, PLACE.offset);
  writeU32(bytes, 0, checksum(bytes, 4, FRAME_HEADER_BYTES + payloadLength, seed));
}

test('a frame comes back, at any place and of any length', (t) => {
  const frame = fc.record({
    kind: fc.constantFrom(FRAME_FULL, FRAME_FIRST, FRAME_MIDDLE, FRAME_LAST),
    fileNumber: fc.nat(2 ** 32 - 1),
    firstSequence: fc.oneof(fc.nat(), fc.constant(SEQUENCE_MAX)),
    count: fc.nat(2 ** 32 - 1),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(4064, 4065, 9000).map((n) => new Uint8Array(n).fill(7)),
    ),
    at: fc.nat(50),
    page: fc.nat(2 ** 40),
    salt: fc.nat(2 ** 32 - 1),
  });
  fc.assert(
    fc.property(frame, ({ at, page, salt, payload, ...header }) => {
      const offset = page * PAGE_BYTES;
      const bytes = new Uint8Array(at + 4 * PAGE_BYTES).fill(0x55);
      writeFrameHeader(bytes, at, { ...header, payloadLength: payload.length });
      bytes.set(payload, at + FRAME_HEADER_BYTES);
      const padded = sealFrame(bytes, at, salt, offset);
      t.is(padded % PAGE_BYTES, 0);
      t.true(
        bytes.subarray(at + FRAME_HEADER_BYTES + payload.length, at + padded).every((byte) => byte === 0),
      );
      const read = readFrame(bytes, at, bytes.length, { salt, fileNumber: header.fileNumber, offset });
      t.is(read.status, 'valid');
      t.like(read, header);
      t.is(read.paddedLength, padded);
      t.deepEqual(bytes.slice(read.payloadStart, read.payloadStart + read.payloadLength), payload);
      t.is(read.expected, read.actual);
    }),
    { numRuns: 200 },
  );
});

test('a frame of an empty payload is a frame', (t) => {
  t.like(readFrame(makeFrame(new Uint8Array(0)), 0, PAGE_BYTES, PLACE), {
    status: 'valid',
    payloadLength: 0,
  });
});

test('zeros, the end of the file and other data are blank', (t) => {
  t.is(readFrame(new Uint8Array(PAGE_BYTES), 0, PAGE_BYTES, PLACE).status, 'blank');
  t.is(readFrame(new Uint8Array(PAGE_BYTES), PAGE_BYTES, PAGE_BYTES, PLACE).status, 'blank');
  t.is(readFrame(new Uint8Array(16), 0, 16, PLACE).status, 'blank');
  t.is(readFrame(new Uint8Array(PAGE_BYTES).fill(0x61), 0, PAGE_BYTES, PLACE).status, 'blank');
  t.is(readFrame(new Uint8Array(16).fill(1), 0, 16, PLACE).status, 'bad', 'a torn header is not nothing');
});

test("a recycled file's old frame is foreign, and one of another place or database does not verify", (t) => {
  const payload = new Uint8Array(100).fill(3);
  const old = readFrame(makeFrame(payload, { fileNumber: 11 }), 0, PAGE_BYTES, PLACE);
  t.like(old, { status: 'foreign', fileNumber: 11, paddedLength: PAGE_BYTES });
  t.is(readFrame(makeFrame(payload, { offset: 4096 }), 0, PAGE_BYTES, PLACE).status, 'bad');
  t.is(readFrame(makeFrame(payload), 0, PAGE_BYTES, { ...PLACE, salt: 1 }).status, 'bad');
});

test('every bit of a frame but its padding counts', (t) => {
  const payload = Uint8Array.from({ length: 61 }, (_, i) => i * 5);
  const bytes = makeFrame(payload);
  for (let at = 0; at < FRAME_HEADER_BYTES + payload.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] ^= 1 << bit;
      const { status } = readFrame(bytes, 0, bytes.length, PLACE);
      t.true(
        status === 'bad' || status === 'blank' || status === 'foreign',
        `byte ${at}, bit ${bit}: ${status}`,
      );
      bytes[at] ^= 1 << bit;
    }
  }
  bytes[FRAME_HEADER_BYTES + payload.length] = 1;
  t.is(readFrame(bytes, 0, bytes.length, PLACE).status, 'valid', 'padding is not part of the frame');
});

test('a frame torn at any sector is bad', (t) => {
  const payload = new Uint8Array(3 * PAGE_BYTES).fill(0x42);
  const bytes = makeFrame(payload);
  for (let torn = 512; torn < FRAME_HEADER_BYTES + payload.length; torn += 512) {
    const rest = bytes.slice().fill(0, torn);
    const read = readFrame(rest, 0, rest.length, PLACE);
    t.is(read.status, 'bad');
    t.not(read.expected, read.actual);
    t.is(readFrame(bytes, 0, torn, PLACE).status, 'bad', 'the file ends within the frame');
  }
});

test('another version is told apart from damage', (t) => {
  const bytes = makeFrame(new Uint8Array(20).fill(1));
  bytes[6] = 9;
  t.is(readFrame(bytes, 0, bytes.length, PLACE).status, 'bad');
  reseal(bytes, 20);
  t.like(readFrame(bytes, 0, bytes.length, PLACE), { status: 'unknown-version', version: 9 });
});

test('reserved fields and unknown kinds are refused even when the checksum holds', (t) => {
  for (const [at, value] of [
    [14, 1],
    [15, 1],
    [22, 1],
    [23, 1],
    [7, 0],
    [7, 5],
  ] as const) {
    const bytes = makeFrame(new Uint8Array(20).fill(1));
    bytes[at] = value;
    reseal(bytes, 20);
    t.is(readFrame(bytes, 0, bytes.length, PLACE).status, 'bad', `byte ${at}`);
  }
});

test('a frame is not sealed off a page, beyond its buffer, or without a header', (t) => {
  const bytes = new Uint8Array(PAGE_BYTES);
  t.throws(() => sealFrame(bytes, 0, SALT, 0), { name: 'AssertionFailure' });
  writeFrameHeader(bytes, 0, {
    kind: 1,
    fileNumber: 1,
    firstSequence: 1,
    count: 1,
    payloadLength: PAGE_BYTES,
  });
  t.throws(() => sealFrame(bytes, 0, SALT, 0), { name: 'AssertionFailure' });
  t.throws(() => sealFrame(bytes, 0, SALT, 100), { name: 'AssertionFailure' });
  t.throws(() =>
    writeFrameHeader(bytes, 0, { kind: 5, fileNumber: 1, firstSequence: 1, count: 1, payloadLength: 1 }),
  );
});

// A value of 64 MiB that looked like a frame on each of its pages kept a database from opening for minutes, after a crash.
test('a frame that claims to be longer than any is none, before anything is summed up', (t) => {
  const bytes = makeFrame(new Uint8Array(FRAME_PAYLOAD_BYTES_MAX).fill(3));
  const longest = readFrame(bytes, 0, bytes.length, PLACE);
  t.is(longest.status, 'valid');
  t.is(longest.payloadLength, FRAME_PAYLOAD_BYTES_MAX);

  const longer = new Uint8Array(bytes.length + PAGE_BYTES);
  longer.set(bytes);
  writeU32(longer, 28, FRAME_PAYLOAD_BYTES_MAX + 1);
  reseal(longer, FRAME_PAYLOAD_BYTES_MAX + 1);
  const read = readFrame(longer, 0, longer.length, PLACE);
  t.is(read.status, 'bad');
  t.is(read.actual, 0, 'there is no checksum to compare');
  const header = { kind: FRAME_FULL, fileNumber: 1, firstSequence: 1, count: 1 };
  t.throws(() => writeFrameHeader(longer, 0, { ...header, payloadLength: FRAME_PAYLOAD_BYTES_MAX + 1 }), {
    name: 'AssertionFailure',
  });
});
