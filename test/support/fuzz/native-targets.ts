/**
 * The addon's own functions with arguments of any kind: an Error with a code, or the right answer, and no byte outside of
 * what was named is touched. What is documented to be the caller's duty (ranges that do not overlap, memory that stays
 * while a ring has it, descriptors that are its own) is kept.
 */
import fc from 'fast-check';
import { native } from '../../../src/native.ts';
import { damaged } from './damaged-bytes.ts';
import { detachedView, hostile, meaningOf, mostly, outOfBoundsView, resizable } from './hostile-values.ts';
import { expect, expectSameBytes, fuzzTarget, type Counter, type FuzzTarget } from './target.ts';

/** Mostly one of the small numbers from `least` on. */
function numberFrom(least: number): fc.Arbitrary<unknown> {
  const odd = fc.constantFrom(
    ...[-1, -0, 0.5, 59.99, NaN, Infinity, -Infinity],
    ...[2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53, -(2 ** 63)],
  );
  return mostly(
    fc.integer({ min: least, max: least + 20 }),
    fc.oneof(fc.nat(80), fc.double(), fc.integer(), odd, hostile),
  );
}

const start = numberFrom(0);
const end = numberFrom(20);
const number = numberFrom(40);

/** Views of any memory: of this thread's, of shared memory, of memory that changes its size or is gone. */
const view: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ minLength: 60, maxLength: 80 }) },
  fc.uint8Array({ maxLength: 80 }),
  fc.uint8Array({ minLength: 9, maxLength: 80 }).map((bytes) => bytes.subarray(7)),
  fc.uint8Array({ maxLength: 80 }).map((bytes) => {
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    return shared;
  }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => {
    const buffer = resizable(bytes.length, 80);
    const tracking = new Uint8Array(buffer);
    tracking.set(bytes);
    buffer.resize(bytes.length >> 1);
    return tracking;
  }),
  fc.constantFrom(detachedView(), outOfBoundsView()),
);
const anyView = mostly(view);

/** Runs a call; undefined if it refused its arguments as the addon does. */
function answered(call: () => unknown, count: Counter): unknown {
  try {
    const result = call();
    count('done');
    return result;
  } catch (error) {
    const { code } = error as { code?: unknown };
    expect(error instanceof Error && typeof code === 'string', `threw ${String(error)}`);
    count(code);
    return undefined;
  }
}

/** A number as the addon takes it: a fraction is cut off. */
function whole(value: unknown, least: number, most: number): number {
  expect(
    typeof value === 'number' && value >= least && value <= most,
    `${String(value)} was taken for a number`,
  );
  return Math.trunc(value);
}

/** What is no array, or none any more, has no bytes. */
function copyOf(value: unknown): Uint8Array {
  return new Uint8Array(meaningOf(typeof value === 'string' ? undefined : value) ?? []);
}

/** The part of an array that a range names, which was accepted. */
function partOf(bytes: unknown, start: unknown, end: unknown): Uint8Array {
  expect(bytes instanceof Uint8Array, 'what is no array was taken for one');
  const last = whole(end, 0, bytes.length);
  return copyOf(bytes).subarray(whole(start, 0, last), last);
}

/** CRC-32C bit by bit. */
function crc32c(bytes: Uint8Array, seed: number): number {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0x82f6_3b78 & -(crc & 1));
  }
  return ~crc >>> 0;
}

const checksums = fuzzTarget({
  name: 'checksums of the addon',
  runs: 1500,
  arbitrary: fc.tuple(anyView, start, end, fc.oneof(number, fc.nat({ max: 0xffffffff }))),
  check(args, count) {
    const [bytes, first, last, seed] = args as [Uint8Array, number, number, number];
    const sum = answered(() => native.crc32c(bytes, first, last, seed), count);
    const portable = answered(
      () => native.crc32cPortable(bytes, first, last, seed),
      () => undefined,
    );
    expect(sum === portable, 'two implementations differ');
    if (sum === undefined) return;
    const expected = crc32c(partOf(bytes, first, last), whole(seed, 0, 2 ** 32 - 1));
    expect(sum === expected, `another checksum than ${expected}`);
  },
});

/** What lies around a range of the target is as it was. */
function expectUntouched(target: unknown, before: Uint8Array, start: unknown, end: unknown): void {
  expect(target instanceof Uint8Array, 'what is no array was taken for one');
  const last = whole(end, 0, target.length);
  const first = whole(start, 0, last);
  expectSameBytes(copyOf(target).subarray(0, first), before.subarray(0, first), 'before the range');
  expectSameBytes(copyOf(target).subarray(last), before.subarray(last), 'behind the range');
}

const compressed = new Uint8Array(200);
const plain = Buffer.from('abcdefgh'.repeat(20));
const compressedLength = native.lz4Compress(plain, 0, plain.length, compressed, 0, compressed.length);

const lz4 = fuzzTarget({
  name: 'LZ4 of the addon',
  runs: 1500,
  arbitrary: fc.record({
    isCompressing: fc.boolean(),
    source: fc.oneof(anyView, damaged(compressed.slice(0, compressedLength), 90)),
    first: start,
    last: end,
    target: anyView,
    targetStart: start,
    targetEnd: numberFrom(36),
    length: number,
  }),
  check(given, count) {
    const { isCompressing, source, first, last, target, targetStart, targetEnd, length } = given;
    const bound = answered(
      () => native.lz4CompressBound(length as number),
      () => undefined,
    );
    if (bound !== undefined)
      expect((bound as number) >= whole(length, 0, 2_113_929_216), 'a bound below the length');
    // The same object twice would be ranges that overlap.
    if (source === target) return;
    const before = copyOf(target);
    const run = isCompressing ? native.lz4Compress : native.lz4Decompress;
    const args = [source, first, last, target, targetStart, targetEnd] as Parameters<
      typeof native.lz4Compress
    >;
    const done = answered(() => run(...args), count);
    if (done === undefined) {
      expectSameBytes(copyOf(target), before, 'a target that was refused');
      return;
    }
    expectUntouched(target, before, targetStart, targetEnd);
    const room = partOf(target, targetStart, targetEnd);
    expect(
      typeof done === 'number' && done >= -1 && done <= room.length,
      'more bytes than there is room for',
    );
    if (!isCompressing || done <= 0) return;
    const input = partOf(source, first, last);
    const output = new Uint8Array(input.length);
    const back = native.lz4Decompress(room, 0, done, output, 0, output.length);
    expect(back === input.length, 'another length comes back');
    expectSameBytes(output, input, 'what comes back');
  },
});

/** No descriptor of this process has such a number. */
const UNUSED_DESCRIPTOR = 1 << 20;
const notDescriptor = number.filter(
  (value) => typeof value !== 'number' || !(value > -1 && value < UNUSED_DESCRIPTOR),
);
/** Names nothing that a lock could be made in. */
const path = mostly(
  fc.string({ unit: 'binary', maxLength: 20 }).map((name) => `/dev/null/${name}`),
  hostile.filter((value) => typeof value !== 'string'),
);

const others = fuzzTarget({
  name: 'descriptors, signals, locks and advice of the addon',
  runs: 800,
  arbitrary: fc.record({
    descriptor: notDescriptor,
    signal: fc.oneof(notDescriptor, fc.integer({ min: 2 ** 30, max: 2 ** 33 })),
    callback: hostile.filter((value) => typeof value !== 'function'),
    path,
    memory: anyView,
    microseconds: fc.oneof(hostile, fc.constantFrom(0, -1, 100_001, NaN, 0.5)),
    keepAlive: hostile,
  }),
  check({ descriptor, signal, callback, path: name, memory, microseconds, keepAlive }, count) {
    const refused = (call: () => unknown): void => {
      expect(answered(call, count) === undefined, 'what is no such thing was taken for one');
    };
    refused(() => native.wakeEventfd(descriptor as number));
    refused(() => native.closeDescriptor(descriptor as number));
    refused(() => native.createSignal(callback as () => void));
    refused(() => native.lockFile(name as string));
    refused(() => native.lockDirectory(name as string));
    refused(() => native.directAlignment(name as string));
    refused(() => native.setTimeSlice(microseconds as number));
    // A signal that is closed is ignored, and no other is among these.
    refused(() => native.signal(signal as number));
    refused(() => native.referSignal(signal as number, keepAlive as boolean));
    refused(() => native.closeSignal(signal as number));
    const advised = answered(() => native.adviseHugePages(memory as Uint8Array), count);
    expect(
      advised === undefined || (typeof advised === 'number' && advised <= 0),
      'an answer that is no errno',
    );
  },
});

export const nativeTargets: readonly FuzzTarget[] = [checksums, lz4, others];
