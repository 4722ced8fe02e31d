import test from 'ava';
import fc from 'fast-check';
import { FilterBuilder, filterMayContain, filterProbes } from '../../src/format/filter.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { bytesOf } from './tables.ts';

function build(hashes: Iterable<number>, bitsPerKey: number): Int32Array {
  const builder = new FilterBuilder(bitsPerKey);
  for (const hash of hashes) builder.add(hash);
  return new Int32Array(builder.finish().buffer);
}

function hashOf(text: string): number {
  const bytes = bytesOf(text);
  return hashBytes(bytes, 0, bytes.length);
}

/** Per cent of `count` foreign keys that the filter lets through. */
function falsePositives(words: Int32Array, count: number): number {
  let positives = 0;
  for (let i = 0; i < count; i++) if (filterMayContain(words, hashOf(`foreign ${i}`))) positives++;
  return (100 * positives) / count;
}

test('a filter never denies a key that it has', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { minLength: 1, maxLength: 3000, size: 'max' }),
      fc.integer({ min: 1, max: 32 }),
      (hashes, bits) => {
        const words = build(hashes, bits);
        t.is(words.length % 16, 1);
        t.true(hashes.every((hash) => filterMayContain(words, hash)));
      },
    ),
    { numRuns: 100 },
  );
});

test('hashes at the ends of the range stay within the filter', (t) => {
  const ends = [0, -1, 1, 0x7fff_ffff, -0x8000_0000];
  for (let copies = 1; copies < 400; copies += 7) {
    const words = build(Array.from({ length: copies }, () => ends).flat(), 10);
    t.true(ends.every((hash) => filterMayContain(words, hash)));
  }
});

test('false positives at 10 bits a key are at most 1.5 %, at any size', (t) => {
  for (const keys of [1000, 10_000, 100_000]) {
    const words = build(
      Array.from({ length: keys }, (_, i) => hashOf(`key ${i}`)),
      10,
    );
    const rate = falsePositives(words, 100_000);
    t.log(`${keys} keys: ${rate.toFixed(2)} %`);
    t.true(rate <= 1.5, `${rate} %`);
  }
});

test('more bits a key let fewer foreign keys through', (t) => {
  const rates = [2, 5, 10, 16, 24].map((bits) => {
    const words = build(
      Array.from({ length: 20_000 }, (_, i) => hashOf(`key ${i}`)),
      bits,
    );
    const rate = falsePositives(words, 50_000);
    t.log(`${bits} bits, ${filterProbes(bits)} probes: ${rate.toFixed(3)} %`);
    return rate;
  });
  t.deepEqual(
    rates,
    [...rates].sort((a, b) => b - a),
  );
  t.is(filterProbes(10), 6);
});

test('no bits, or no keys, no filter', (t) => {
  t.is(new FilterBuilder(10).finish().length, 0);
  const none = new FilterBuilder(0);
  none.add(1);
  t.is(none.finish().length, 0);
  t.throws(() => new FilterBuilder(33));
  t.throws(() => new FilterBuilder(1.5));
});
