import test from 'ava';
import fc from 'fast-check';
import { FormatError } from '../../src/format/format-error.ts';
import { KEY_BYTES_MAX, SEQUENCE_MAX } from '../../src/format/limits.ts';
import {
  NOT_COVERED,
  RangeTombstones,
  compareEnds,
  compareWithEnd,
  decodeRangeTombstones,
  encodeRangeTombstones,
  newestVisible,
} from '../../src/format/range-tombstones.ts';
import type { RangeTombstone, TombstoneFragment } from '../../src/format/range-tombstones.ts';
import { bytesOf, crowdedKey, isWithin, rangeTombstones } from './tables.ts';
import type { Assertions } from './tables.ts';

const NO_END = new Uint8Array(0);
const crowded = crowdedKey(3);
const tombstoneLists = rangeTombstones(crowded, 14);

function tombstone(start: string, end: string, sequence: number): RangeTombstone {
  return { start: bytesOf(start), end: bytesOf(end), sequence };
}

/** What `covering` must answer. */
function coveringInModel(tombstones: readonly RangeTombstone[], key: Uint8Array, visible: number): number {
  let newest = NOT_COVERED;
  for (const one of tombstones) {
    if (one.sequence <= visible && one.sequence > newest && isWithin(one, key)) newest = one.sequence;
  }
  return newest;
}

/** All bounds, what is just behind and just before them, and some others. */
function probesOf(tombstones: readonly RangeTombstone[], others: readonly Uint8Array[] = []): Uint8Array[] {
  const bounds = tombstones.flatMap(({ start, end }) => [start, end]);
  return [...bounds, ...others].flatMap((key) => {
    const cut = key.subarray(0, -1);
    return [key, Uint8Array.from([...key, 0]), cut, Uint8Array.from([...cut, 0xff])];
  });
}

function checkFragments(t: Assertions, fragments: readonly TombstoneFragment[]): void {
  let previous: TombstoneFragment | undefined;
  for (const fragment of fragments) {
    const { start, end, sequences } = fragment;
    t.true(end.length === 0 || Buffer.compare(start, end) < 0, 'has keys');
    if (previous !== undefined) {
      t.true(previous.end.length > 0 && Buffer.compare(previous.end, start) <= 0, 'is behind the one before');
    }
    t.true(sequences.length > 0);
    t.deepEqual(
      sequences,
      [...new Set(sequences)].sort((a, b) => b - a),
    );
    previous = fragment;
  }
}

function checkCovering(
  t: Assertions,
  tombstones: readonly RangeTombstone[],
  all: RangeTombstones,
  probes: readonly Uint8Array[],
): void {
  const visibles = [SEQUENCE_MAX, 0, ...tombstones.flatMap(({ sequence }) => [sequence, sequence - 1])];
  for (const key of probes) {
    const framed = Uint8Array.from([1, 2, ...key, 3]);
    for (const visible of visibles) {
      const expected = coveringInModel(tombstones, key, visible);
      if (all.covering(framed, 2, key.length, visible) !== expected) {
        t.is(all.covering(framed, 2, key.length, visible), expected, `${key.join()} at ${visible}`);
      }
    }
    const fragment = all.fragmentAt(framed, 2, key.length);
    t.is(fragment !== undefined, coveringInModel(tombstones, key, SEQUENCE_MAX) !== NOT_COVERED);
    if (fragment !== undefined) {
      t.true(isWithin(fragment, key));
      t.is(newestVisible(fragment, SEQUENCE_MAX), fragment.sequences[0]);
    }
  }
}

test('what covers a key is the newest visible one of the tombstones that it is in', (t) => {
  fc.assert(
    fc.property(tombstoneLists, fc.array(crowded, { maxLength: 8 }), (tombstones, others) => {
      const all = RangeTombstones.of(tombstones);
      checkFragments(t, all.fragments);
      checkCovering(t, tombstones, all, probesOf(tombstones, others));
      t.is(all.isEmpty, tombstones.length === 0);
      t.is(
        all.tombstoneCount,
        all.fragments.reduce((count, { sequences }) => count + sequences.length, 0),
      );
    }),
    { numRuns: 600 },
  );
});

test('each fragment has exactly the tombstones that cover it', (t) => {
  fc.assert(
    fc.property(tombstoneLists, (tombstones) => {
      for (const { start, sequences } of RangeTombstones.of(tombstones).fragments) {
        const covering = tombstones.filter((one) => isWithin(one, start)).map(({ sequence }) => sequence);
        t.deepEqual(
          [...sequences],
          [...new Set(covering)].sort((a, b) => b - a),
        );
      }
    }),
    { numRuns: 400 },
  );
});

test('the order in which tombstones are added makes no difference', (t) => {
  const shuffled = tombstoneLists.chain((tombstones) =>
    fc.tuple(
      fc.constant(tombstones),
      fc.shuffledSubarray(tombstones, { minLength: tombstones.length, maxLength: tombstones.length }),
    ),
  );
  fc.assert(
    fc.property(shuffled, ([some, others]) => {
      t.deepEqual(RangeTombstones.of(others).fragments, RangeTombstones.of(some).fragments);
    }),
    { numRuns: 300 },
  );
});

test('what lies between two keys is covered as before, and nothing else is', (t) => {
  const bound = fc.option(crowded, { nil: undefined });
  fc.assert(
    fc.property(tombstoneLists, bound, bound, (tombstones, lower, upper) => {
      const all = RangeTombstones.of(tombstones);
      const before = structuredClone(all.fragments);
      const part = all.within(lower, upper);
      checkFragments(t, part.fragments);
      t.deepEqual(all.fragments, before, 'which is left as it was');
      for (const key of probesOf(tombstones, [lower ?? NO_END, upper ?? NO_END])) {
        const isInside =
          (lower === undefined || Buffer.compare(lower, key) <= 0) &&
          (upper === undefined || Buffer.compare(key, upper) < 0);
        const expected = isInside ? coveringInModel(tombstones, key, SEQUENCE_MAX) : NOT_COVERED;
        t.is(part.covering(key, 0, key.length, SEQUENCE_MAX), expected);
      }
    }),
    { numRuns: 600 },
  );
});

test('what is made of a part does not change the whole', (t) => {
  const all = RangeTombstones.of([tombstone('a', 'z', 5)]);
  const part = all.within(bytesOf('c'), bytesOf('m'));
  part.add(tombstone('b', 'd', 9));
  t.deepEqual(all.fragments, [{ start: bytesOf('a'), end: bytesOf('z'), sequences: [5] }]);
  t.deepEqual(part.fragments, [
    { start: bytesOf('b'), end: bytesOf('c'), sequences: [9] },
    { start: bytesOf('c'), end: bytesOf('d'), sequences: [9, 5] },
    { start: bytesOf('d'), end: bytesOf('m'), sequences: [5] },
  ]);
});

test('bounds that leave no key leave no fragment', (t) => {
  const all = RangeTombstones.of([tombstone('a', 'z', 5), tombstone('', '', 3)]);
  for (const [lower, upper] of [
    ['m', 'c'],
    ['m', 'm'],
    ['', ''],
    ['a', ''],
  ]) {
    t.true(all.within(bytesOf(lower), bytesOf(upper)).isEmpty);
  }
  t.true(all.within(undefined, bytesOf('')).isEmpty, 'no key is before the empty one');
});

test('a fragment that was handed out stays as it is', (t) => {
  const all = RangeTombstones.of([tombstone('b', 'p', 5)]);
  const fragment = all.fragments[0];
  all.add(tombstone('a', 'c', 9));
  all.add(tombstone('m', '', 2));
  t.deepEqual(fragment, { start: bytesOf('b'), end: bytesOf('p'), sequences: [5] });
});

test('the drawing of the module', (t) => {
  const all = RangeTombstones.of([tombstone('a', 'm', 7), tombstone('c', 'p', 9)]);
  t.deepEqual(all.fragments, [
    { start: bytesOf('a'), end: bytesOf('c'), sequences: [7] },
    { start: bytesOf('c'), end: bytesOf('m'), sequences: [9, 7] },
    { start: bytesOf('m'), end: bytesOf('p'), sequences: [9] },
  ]);
});

test('the same tombstone twice is one', (t) => {
  const all = RangeTombstones.of([tombstone('a', 'm', 7), tombstone('a', 'm', 7)]);
  t.is(all.tombstoneCount, 1);
});

test('the empty key can begin a range and no end can end it', (t) => {
  const all = RangeTombstones.of([tombstone('', '', 4), tombstone('', 'a', 6), tombstone('q', '', 5)]);
  t.is(all.covering(NO_END, 0, 0, SEQUENCE_MAX), 6);
  t.is(all.covering(NO_END, 0, 0, 5), 4);
  t.is(all.covering(bytesOf('a'), 0, 1, SEQUENCE_MAX), 4);
  const last = new Uint8Array(KEY_BYTES_MAX).fill(0xff);
  t.is(all.covering(last, 0, last.length, SEQUENCE_MAX), 5);
  t.is(all.covering(last, 0, last.length, 3), NOT_COVERED);
});

test('thousands of fragments, and one tombstone over all of them', (t) => {
  const all = new RangeTombstones();
  const name = (number: number): string => String(number).padStart(6, '0');
  for (let i = 0; i < 3000; i++) all.add(tombstone(name(2 * i), name(2 * i + 1), i));
  t.is(all.fragments.length, 3000);
  all.add(tombstone(name(1), name(5999), 5000));
  checkFragments(t, all.fragments);
  // Between each two there was a gap; the first alone is before it.
  t.is(all.fragments.length, 3000 + 2999);
  t.is(all.tombstoneCount, 1 + 2 * 2999 + 2999);
  t.is(all.covering(bytesOf(name(3001)), 0, 6, SEQUENCE_MAX), 5000);
  t.is(all.covering(bytesOf(name(3000)), 0, 6, 4999), 1500);
  t.is(all.covering(bytesOf(name(0)), 0, 6, SEQUENCE_MAX), 0);
});

/** Ascending numbers, as a memtable is given them. */
const growingLists = tombstoneLists.map((tombstones) =>
  tombstones.map((one, i): RangeTombstone => ({ ...one, sequence: 2 * i + 1 })),
);

test('without those that nobody sees, everybody sees what he saw', (t) => {
  const moments = fc.uniqueArray(fc.nat(30), { maxLength: 3 });
  fc.assert(
    fc.property(growingLists, moments, fc.array(crowded, { maxLength: 8 }), (tombstones, held, others) => {
      const all = new RangeTombstones();
      for (const one of tombstones) {
        all.add(one, (sequence, newer) => held.some((moment) => moment >= sequence && moment < newer));
      }
      checkFragments(t, all.fragments);
      t.is(
        all.tombstoneCount,
        all.fragments.reduce((count, { sequences }) => count + sequences.length, 0),
      );
      for (const { sequences } of all.fragments) t.true(sequences.length <= held.length + 1);
      for (const key of probesOf(tombstones, others)) {
        for (const moment of [SEQUENCE_MAX, ...held]) {
          const expected = coveringInModel(tombstones, key, moment);
          t.is(all.covering(key, 0, key.length, moment), expected, `${key.join()} at ${moment}`);
        }
      }
    }),
    { numRuns: 400 },
  );
});

test('a range that grows, and one that is deleted again and again, stay one fragment', (t) => {
  const name = (number: number): string => String(number).padStart(6, '0');
  const growing = new RangeTombstones();
  const again = new RangeTombstones();
  for (let i = 1; i <= 1000; i++) {
    growing.add(tombstone('', name(i), i), () => false);
    again.add(tombstone('a', 'b', i), () => false);
  }
  t.deepEqual(growing.fragments, [{ start: NO_END, end: bytesOf(name(1000)), sequences: [1000] }]);
  t.deepEqual(again.fragments, [{ start: bytesOf('a'), end: bytesOf('b'), sequences: [1000] }]);
  t.is(growing.tombstoneCount, 1);
});

test('neighbours of different tombstones stay two fragments', (t) => {
  const all = new RangeTombstones();
  all.add(tombstone('a', 'c', 1), () => false);
  all.add(tombstone('c', 'e', 2), () => false);
  all.add(tombstone('b', 'd', 3), () => true);
  t.deepEqual(
    all.fragments.map(({ sequences }) => sequences),
    [[1], [3, 1], [3, 2], [2]],
  );
});

test('a range without keys, or with a bound beyond the limit of keys, is a mistake', (t) => {
  const failure = { name: 'AssertionFailure' };
  const all = new RangeTombstones();
  const long = 'x'.repeat(KEY_BYTES_MAX + 1);
  t.throws(() => all.add(tombstone('b', 'a', 1)), failure);
  t.throws(() => all.add(tombstone('b', 'b', 1)), failure);
  t.throws(() => all.add(tombstone('b', long, 1)), failure);
  t.throws(() => all.add(tombstone(long, '', 1)), failure);
  t.notThrows(() => all.add(tombstone('b', 'x'.repeat(KEY_BYTES_MAX), 1)));
});

test('the order of ends', (t) => {
  t.is(compareEnds(NO_END, NO_END), 0);
  t.true(compareEnds(bytesOf('z'), NO_END) < 0);
  t.true(compareEnds(NO_END, bytesOf('z')) > 0);
  t.true(compareEnds(bytesOf('a'), bytesOf('b')) < 0);
  t.true(compareWithEnd(bytesOf('xzx'), 1, 1, NO_END) < 0);
  t.is(compareWithEnd(bytesOf('xzx'), 1, 1, bytesOf('z')), 0);
  t.true(compareWithEnd(bytesOf('xzx'), 1, 2, bytesOf('z')) > 0);
});

test('a section comes back, in memory of its own', (t) => {
  fc.assert(
    fc.property(tombstoneLists, fc.nat(5), (tombstones, shift) => {
      const { fragments } = RangeTombstones.of(tombstones);
      const bytes = encodeRangeTombstones(fragments);
      const framed = new Uint8Array(bytes.length + shift + 2).fill(0xee);
      framed.set(bytes, shift);
      const decoded = decodeRangeTombstones(framed, shift, shift + bytes.length);
      framed.fill(0x77);
      t.deepEqual(decoded.fragments, fragments);
    }),
    { numRuns: 300 },
  );
});

test('a section, byte for byte', (t) => {
  const { fragments } = RangeTombstones.of([tombstone('', 'b', 300), tombstone('a', '', 42)]);
  const bytes = [
    [3], // fragments
    [0, 1, 0x61, 1, 0xac, 0x02], // from the empty key to "a": 300
    [1, 0x61, 1, 0x62, 2, 0xac, 0x02, 0x82, 0x02], // "a" to "b": 300 and 258 less
    [1, 0x62, 0, 1, 42], // "b" to no end: 42
  ].flat();
  t.deepEqual([...encodeRangeTombstones(fragments)], bytes);
});

test('malformed sections are refused', (t) => {
  const refused = (numbers: number[], what: string): unknown =>
    t.throws(
      () => decodeRangeTombstones(Uint8Array.from(numbers), 0, numbers.length),
      { instanceOf: FormatError },
      what,
    );
  t.deepEqual(decodeRangeTombstones(Uint8Array.of(0), 0, 1).fragments, []);
  t.deepEqual(decodeRangeTombstones(Uint8Array.of(1, 0, 0, 1, 0), 0, 5).fragments, [
    { start: NO_END, end: NO_END, sequences: [0] },
  ]);
  refused([], 'nothing');
  refused([1], 'no fragment');
  refused([1, 0, 0, 0], 'nothing covers it');
  refused([1, 0, 0, 1, 0, 0], 'something left over');
  refused([1, 1, 0x61, 1, 0x61, 1, 5], 'no keys');
  refused([1, 1, 0x62, 1, 0x61, 1, 5], 'an end before the start');
  refused([1, 0, 0, 2, 5, 0], 'the same number twice');
  refused([1, 0, 0, 2, 5, 6], 'a number below zero');
  refused([1, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40], 'sequence number 2^48');
  refused([2, 0, 0, 1, 5, 1, 0x61, 0, 1, 5], 'a fragment behind one that has no end');
  refused([2, 0, 1, 0x62, 1, 5, 1, 0x61, 1, 0x63, 1, 5], 'two that overlap');
  refused([2, 1, 0x63, 1, 0x64, 1, 5, 1, 0x61, 1, 0x62, 1, 5], 'two out of order');
  refused([1, 0x80, 0x80, 0x04, 0, 1, 5], 'a start of 65,536 bytes');
  refused([1, 0, 0x80, 0x80, 0x04, 1, 5], 'an end of 65,536 bytes');
});

test('sets that are put together are what all of their tombstones would be one by one', (t) => {
  fc.assert(
    fc.property(fc.array(tombstoneLists, { maxLength: 5 }), (lists) => {
      const sets = lists.map((list) => RangeTombstones.of(list));
      const before = sets.map(({ fragments }) => [...fragments]);
      const merged = RangeTombstones.merged(sets);
      t.deepEqual(merged.fragments, RangeTombstones.of(lists.flat()).fragments);
      t.deepEqual(
        sets.map(({ fragments }) => fragments),
        before,
        'they stay as they are',
      );
    }),
    { numRuns: 300 },
  );
});

test('many sets of thousands of fragments are put together in time', (t) => {
  const sets = Array.from({ length: 24 }, (_, set) => {
    const fragments = Array.from({ length: 8192 }, (_, i) => {
      const number = 24 * i + set;
      return {
        ...tombstone(keyOfNumber(2 * number), keyOfNumber(2 * number + 1), number),
        sequences: [number],
      };
    });
    return new RangeTombstones(fragments.map(({ start, end, sequences }) => ({ start, end, sequences })));
  });
  const { fragments } = RangeTombstones.merged(sets);
  t.is(fragments.length, 24 * 8192);
  checkFragments(t, fragments.slice(0, 100));
  t.deepEqual(fragments[12_345].sequences, [12_345]);
});

function keyOfNumber(number: number): string {
  return String(number).padStart(8, '0');
}
