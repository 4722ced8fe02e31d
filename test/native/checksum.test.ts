/** CRC-32C: published values, the hardware against the portable implementation, chaining, arguments. */
import test from 'ava';
import { native } from '../../src/native.ts';
import { Random, testSeed } from '../support/random.ts';

const implementations = [
  ['native', native.crc32c.bind(native)],
  ['portable', native.crc32cPortable.bind(native)],
] as const;

/** By the definition, a bit at a time. */
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

const published: [string, Uint8Array, number][] = [
  ['nothing', new Uint8Array(0), 0],
  ['123456789', Buffer.from('123456789'), 0xe306_9283],
  // RFC 3720, B.4
  ['32 zeros', new Uint8Array(32), 0x8a91_36aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8_ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd_794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113f_db5c],
];

for (const [name, crc32c] of implementations) {
  test(`published values (${name})`, (t) => {
    for (const [what, bytes, expected] of published) t.is(crc32c(bytes, 0, bytes.length, 0), expected, what);
  });

  test(`arguments that do not fit are refused (${name})`, (t) => {
    const bytes = new Uint8Array(8);
    for (const [start, end] of [
      [0, 9],
      [-1, 4],
      [5, 4],
      [9, 9],
      [0, -1],
      [0, Infinity],
    ] as const) {
      t.throws(() => crc32c(bytes, start, end, 0), { instanceOf: RangeError }, `${start}, ${end}`);
    }
    t.throws(() => crc32c([] as unknown as Uint8Array, 0, 0, 0), { instanceOf: TypeError });
    t.throws(() => crc32c(new Float32Array(8) as unknown as Uint8Array, 0, 4, 0), { instanceOf: TypeError });
    t.throws(() => crc32c(bytes, '0' as unknown as number, 4, 0), { instanceOf: TypeError });
    t.throws(() => crc32c(bytes, 0, 4, undefined as unknown as number), { instanceOf: TypeError });
  });

  test(`parts chain to the whole (${name})`, (t) => {
    const random = new Random(0x5eed);
    const bytes = Uint8Array.from({ length: 40_000 }, () => random.below(256));
    const whole = crc32c(bytes, 0, bytes.length, 0);
    for (let round = 0; round < 200; round++) {
      const cuts = [random.below(bytes.length), random.below(bytes.length)].sort((a, b) => a - b);
      let crc = 0;
      let from = 0;
      for (const to of [...cuts, bytes.length]) {
        crc = crc32c(bytes, from, to, crc);
        from = to;
      }
      t.is(crc, whole, `cut at ${cuts.join(', ')}`);
    }
  });
}

test('both agree with the definition on every length up to 300', (t) => {
  const random = new Random(7);
  const bytes = Uint8Array.from({ length: 300 }, () => random.below(256));
  for (let length = 0; length <= bytes.length; length++) {
    const expected = bitwise(bytes.subarray(0, length));
    for (const [name, crc32c] of implementations)
      t.is(crc32c(bytes, 0, length, 0), expected, `${name}, ${length}`);
  }
});

test('both agree on any length and alignment', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const bytes = Uint8Array.from({ length: 70_000 }, () => random.below(256));
  for (let round = 0; round < 3000; round++) {
    // Half of them about the lengths where one way of working gives over to the next.
    const length =
      round % 2 === 0
        ? random.below(bytes.length - 64)
        : Math.max(0, [8, 768, 3072, 12_288, 24_576][random.below(5)] + random.below(40) - 20);
    const start = random.below(64);
    const from = random.bits();
    const fast = native.crc32c(bytes, start, start + length, from);
    if (fast !== native.crc32cPortable(bytes, start, start + length, from)) {
      t.fail(`${length} bytes from ${start}, continuing ${from}`);
      return;
    }
  }
  t.pass();
});

test('a seed that is no checksum is refused', (t) => {
  for (const [name, crc32c] of implementations) {
    for (const seed of [NaN, Infinity, -1, 2 ** 32]) {
      t.throws(() => crc32c(new Uint8Array(4), 0, 4, seed), { code: 'ERR_OUT_OF_RANGE' }, `${name}, ${seed}`);
    }
    t.notThrows(() => crc32c(new Uint8Array(4), 0, 4, 2 ** 32 - 1));
  }
});

test('the implementation is named', (t) => {
  t.true(['sse4.2', 'armv8', 'portable'].includes(native.crc32cImplementation));
});
