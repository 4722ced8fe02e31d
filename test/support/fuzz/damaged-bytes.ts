/** Bytes that decoders are given: random ones, and sound ones that something has happened to. Pure. */
import fc from 'fast-check';
import { expect } from './target.ts';

/** Memory that a decoder may take besides a multiple of its input: tables of a fixed size, and what the engine allocates. */
const FIXED_BYTES_MAX = 1 << 20;
const BYTES_PER_INPUT_BYTE_MAX = 64;

type Damage =
  | { readonly kind: 'byte'; readonly at: number; readonly value: number }
  | { readonly kind: 'bit'; readonly at: number; readonly bit: number }
  | { readonly kind: 'copy'; readonly from: number; readonly to: number; readonly length: number }
  | { readonly kind: 'word'; readonly at: number; readonly value: number };

/** Random bytes, or a sound example with some of it changed and an end cut off or added. */
export function damaged(example: Uint8Array, lengthMax: number): fc.Arbitrary<Uint8Array> {
  const place = fc.nat(example.length - 1);
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 127, 128, 255));
  const word = fc.oneof(fc.nat(), fc.constantFrom(0, 1, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff));
  const damage: fc.Arbitrary<Damage> = fc.oneof(
    fc.record({ kind: fc.constant('byte' as const), at: place, value: byte }),
    fc.record({ kind: fc.constant('bit' as const), at: place, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('word' as const), at: place, value: word }),
    fc.record({ kind: fc.constant('copy' as const), from: place, to: place, length: fc.nat(64) }),
  );
  const changed = fc
    .record({
      damages: fc.array(damage, { maxLength: 4 }),
      length: fc.oneof(fc.constant(example.length), fc.nat(example.length + 8)),
    })
    .map(({ damages, length }) => {
      const bytes = new Uint8Array(length);
      bytes.set(example.subarray(0, length));
      for (const one of damages) inflict(bytes, one);
      return bytes;
    });
  return fc.oneof(
    { weight: 3, arbitrary: changed },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: lengthMax }) },
  );
}

function inflict(bytes: Uint8Array, damage: Damage): void {
  switch (damage.kind) {
    case 'byte':
      if (damage.at < bytes.length) bytes[damage.at] = damage.value;
      return;
    case 'bit':
      if (damage.at < bytes.length) bytes[damage.at] ^= 1 << damage.bit;
      return;
    case 'word':
      for (let i = 0; i < 4 && damage.at + i < bytes.length; i++)
        bytes[damage.at + i] = damage.value >>> (8 * i);
      return;
    case 'copy':
      bytes.copyWithin(damage.to, damage.from, damage.from + damage.length);
      return;
  }
}

/**
 * Runs a decoder and fails if it took more memory than its input explains, also if it refuses the input in the end: what
 * that merely claims is no reason. A collection in the meantime can only hide what was taken, so nothing fails without a
 * cause.
 */
export function inBoundedMemory<Result>(inputBytes: number, decode: () => Result): Result {
  const before = process.memoryUsage();
  try {
    return decode();
  } finally {
    const after = process.memoryUsage();
    const taken = after.heapUsed - before.heapUsed + (after.arrayBuffers - before.arrayBuffers);
    const most = FIXED_BYTES_MAX + BYTES_PER_INPUT_BYTE_MAX * inputBytes;
    expect(taken <= most, `an input of ${inputBytes} bytes took ${taken} bytes of memory`);
  }
}
