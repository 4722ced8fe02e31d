import test from 'ava';
import fc from 'fast-check';
import { compareLargest, isBeforeTable, isBehindTable, overlaps } from '../../src/format/table-range.ts';
import type { TableRange } from '../../src/format/table-range.ts';
import { bytesOf } from './tables.ts';

/** Keys of up to three letters of "ab", in order: "", "a", "aa", … */
const KEYS = [
  '',
  'a',
  'aa',
  'aaa',
  'aab',
  'ab',
  'aba',
  'abb',
  'b',
  'ba',
  'baa',
  'bab',
  'bb',
  'bba',
  'bbb',
].map((text) => bytesOf(text));
const END = KEYS.length;

/** A range of places in KEYS: [from, to), and whether `to` is an end or behind a largest key. */
interface Places {
  readonly from: number;
  readonly to: number;
  readonly isExclusive: boolean;
}

const places: fc.Arbitrary<Places> = fc
  .record({ from: fc.nat(END - 1), length: fc.integer({ min: 1, max: END }), isExclusive: fc.boolean() })
  .map(({ from, length, isExclusive }) => ({ from, to: Math.min(from + length, END), isExclusive }));

function rangeOf({ from, to, isExclusive }: Places): TableRange {
  const largest = isExclusive ? (to === END ? bytesOf('') : KEYS[to]) : KEYS[to - 1];
  return { smallestKey: KEYS[from], largestKey: largest, largestKeyIsExclusive: isExclusive };
}

test('a key is before, in or behind a table', (t) => {
  fc.assert(
    fc.property(places, fc.nat(END - 1), (table, key) => {
      const range = rangeOf(table);
      const framed = Uint8Array.from([0xee, ...KEYS[key], 0xee]);
      t.is(isBeforeTable(framed, 1, KEYS[key].length, range), key < table.from);
      t.is(isBehindTable(framed, 1, KEYS[key].length, range), key >= table.to);
    }),
    { numRuns: 1000 },
  );
});

test('two tables overlap when they have a key in common, either way round', (t) => {
  fc.assert(
    fc.property(places, places, (a, b) => {
      const expected = a.from < b.to && b.from < a.to;
      t.is(overlaps(rangeOf(a), rangeOf(b)), expected);
      t.is(overlaps(rangeOf(b), rangeOf(a)), expected);
    }),
    { numRuns: 1000 },
  );
});

test('tables are ordered by where they end', (t) => {
  fc.assert(
    fc.property(places, places, (a, b) => {
      const order = Math.sign(compareLargest(rangeOf(a), rangeOf(b)));
      t.is(order, -Math.sign(compareLargest(rangeOf(b), rangeOf(a))) + 0);
      // Between a key and an end that is the next key of these few there are others, so only ends of a kind are equal.
      if (a.to !== b.to) t.is(order, Math.sign(a.to - b.to));
      else if (a.isExclusive === b.isExclusive) t.is(order, 0);
      else t.is(order, a.isExclusive ? 1 : -1);
    }),
    { numRuns: 1000 },
  );
});

test('an end of the bytes of a largest key is before it; no end is behind all', (t) => {
  const range = (largest: string, isExclusive: boolean): TableRange => ({
    smallestKey: bytesOf('a'),
    largestKey: bytesOf(largest),
    largestKeyIsExclusive: isExclusive,
  });
  t.true(compareLargest(range('m', true), range('m', false)) < 0);
  t.true(compareLargest(range('m', false), range('m', true)) > 0);
  t.true(compareLargest(range('', true), range('z', false)) > 0);
  t.true(compareLargest(range('', true), range('z', true)) > 0);
  t.is(compareLargest(range('', true), range('', true)), 0);
  t.false(overlaps(range('m', true), { ...range('z', false), smallestKey: bytesOf('m') }));
  t.true(overlaps(range('m', false), { ...range('z', false), smallestKey: bytesOf('m') }));
  t.true(overlaps(range('', true), { ...range('z', false), smallestKey: bytesOf('y') }));
});
