/** What is behind the names of compressions: bytes come back, or it is said that they do not; nothing else is touched. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import {
  COMPRESSION_LZ4,
  COMPRESSION_NONE,
  COMPRESSION_ZSTD,
  MALFORMED,
  compress,
  compressionNames,
  compressionOf,
  decompress,
  isCompressionAvailable,
} from '../../src/format/compression.ts';
import { COMPRESSIONS } from './tables.ts';

const GUARD_BYTES = 16;
const kinds = COMPRESSIONS.filter((name) => name !== 'none');

/** Text of few words, runs, and what cannot be compressed. */
const contents = fc.oneof(
  fc
    .array(fc.constantFrom('lorem ', 'ipsum ', 'dolor ', 'x'), { maxLength: 400 })
    .map((words) => Buffer.from(words.join(''))),
  fc.tuple(fc.nat(255), fc.nat(5000)).map(([fill, length]) => Buffer.alloc(length, fill)),
  fc.uint8Array({ maxLength: 3000, size: 'max' }).map((bytes) => Buffer.from(bytes)),
);

/** Memory of `length` bytes between guards, optionally shared between threads. */
function guarded(length: number, isShared: boolean): Uint8Array {
  const bytes = length + 2 * GUARD_BYTES;
  return (isShared ? new Uint8Array(new SharedArrayBuffer(bytes)) : new Uint8Array(bytes)).fill(0xa5);
}

function guardsHold(memory: Uint8Array): boolean {
  const isGuard = (byte: number): boolean => byte === 0xa5;
  return memory.subarray(0, GUARD_BYTES).every(isGuard) && memory.subarray(-GUARD_BYTES).every(isGuard);
}

/** The bytes compressed, in memory of their own. */
function compressed(kind: number, plain: Uint8Array): Uint8Array {
  const target = new Uint8Array(2 * plain.length + 1000);
  return target.slice(0, compress(kind, plain, 0, plain.length, target, 0, target.length));
}

test('names and kinds', (t) => {
  t.deepEqual(compressionNames.map(compressionOf), [COMPRESSION_NONE, COMPRESSION_LZ4, COMPRESSION_ZSTD]);
  t.true(isCompressionAvailable('none'));
  t.true(isCompressionAvailable('lz4'));
});

for (const name of kinds) {
  const kind = compressionOf(name);

  test(`${name}: bytes come back, from and to any place`, (t) => {
    fc.assert(
      fc.property(contents, fc.boolean(), (plain, isShared) => {
        if (plain.length === 0) return;
        const source = guarded(plain.length, isShared);
        source.set(plain, GUARD_BYTES);
        const room = 2 * plain.length + 1000;
        const packed = guarded(room, isShared);
        const end = GUARD_BYTES + plain.length;
        const length = compress(kind, source, GUARD_BYTES, end, packed, GUARD_BYTES, GUARD_BYTES + room);
        t.true(length > 0 && guardsHold(packed));
        const target = guarded(plain.length, isShared);
        t.is(
          decompress(kind, packed, GUARD_BYTES, GUARD_BYTES + length, target, GUARD_BYTES, end),
          plain.length,
        );
        t.true(guardsHold(target));
        t.is(Buffer.compare(target.subarray(GUARD_BYTES, end), plain), 0);
      }),
      { numRuns: 150 },
    );
  });

  test(`${name}: what does not fit is not written beyond its room`, (t) => {
    fc.assert(
      fc.property(contents, fc.double({ min: 0, max: 0.999, noNaN: true }), (plain, part) => {
        if (plain.length === 0) return;
        const packed = compressed(kind, plain);
        const target = guarded(plain.length, false);
        const room = Math.floor(packed.length * part);
        t.is(compress(kind, plain, 0, plain.length, target, GUARD_BYTES, GUARD_BYTES + room), 0);
        const plainRoom = Math.floor(plain.length * part);
        const small = guarded(plainRoom, false);
        const end = GUARD_BYTES + plainRoom;
        t.is(decompress(kind, packed, 0, packed.length, small, GUARD_BYTES, end), MALFORMED);
        t.true(guardsHold(small));
      }),
      { numRuns: 100 },
    );
  });

  test(`${name}: bytes that are cut, changed or random are refused or become others, within their room`, (t) => {
    const plain = Buffer.from(Array.from({ length: 300 }, (_, i) => `key ${i} = ${i % 7}\n`).join(''));
    const packed = compressed(kind, plain);
    const changed = fc
      .tuple(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(packed.length),
      )
      .map(([changes, length]) => {
        const bytes = packed.slice();
        for (const [at, value] of changes) bytes[at] = value;
        return length % 3 === 0 ? bytes.slice(0, length) : bytes;
      });
    let refused = 0;
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 100 })), (bytes) => {
        const target = guarded(plain.length, false);
        const room = GUARD_BYTES + plain.length;
        const length = decompress(kind, bytes, 0, bytes.length, target, GUARD_BYTES, room);
        t.true(length === MALFORMED || (length >= 0 && length <= plain.length), `${length}`);
        t.true(guardsHold(target));
        if (length === MALFORMED) refused++;
      }),
      { numRuns: 1500 },
    );
    t.true(refused > 300, `${refused} were refused`);
  });
}

test('what is of no known kind, or of one that this Node does not have, is malformed', (t) => {
  const target = new Uint8Array(100);
  const unknown = [3, 4, 255, ...(isCompressionAvailable('zstd') ? [] : [COMPRESSION_ZSTD])];
  for (const kind of unknown) t.is(decompress(kind, new Uint8Array(50), 0, 50, target, 0, 100), MALFORMED);
});

/** The most memory that this process has had addresses for. */
function addressedMebibytes(): number {
  const [, kibibytes] = /^VmPeak:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  return Number(kibibytes) / 1024;
}

/** A Zstandard frame of five bytes as they are, which claims a window of 2 to the power of `windowLog`. */
function zstdFrame(windowLog: number): Uint8Array {
  return Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, 0x29, 0, 0, 1, 2, 3, 4, 5);
}

// Each such block made 128 MiB of memory.
test('bytes that claim a window larger than any block are malformed, and no memory is made for it', (t) => {
  const target = new Uint8Array(65_536);
  const length = (frame: Uint8Array): number =>
    decompress(COMPRESSION_ZSTD, frame, 0, frame.length, target, 0, target.length);
  if (!isCompressionAvailable('zstd')) {
    t.is(length(zstdFrame(16)), MALFORMED);
    return;
  }
  t.is(length(zstdFrame(16)), 5);
  const before = addressedMebibytes();
  for (let windowLog = 17; windowLog <= 30; windowLog++) t.is(length(zstdFrame(windowLog)), MALFORMED);
  t.true(addressedMebibytes() - before < 64);
});
