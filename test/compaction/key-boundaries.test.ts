/** Boundaries that keys in ascending order pass, against counting them. */
import test from 'ava';
import fc from 'fast-check';
import { headOf } from '../../src/format/key-head.ts';
import { KeyBoundaries, KeySpace, type KeyBoundary } from '../../src/workers/key-boundaries.ts';
import { bytesOf, crowdedKey } from '../format/tables.ts';
import { testSeed } from '../support/random.ts';

/** What all the keys begin with. */
function commonOf(keys: readonly Uint8Array[]): Uint8Array {
  const [first] = keys;
  let length = first.length;
  for (const key of keys) {
    let same = 0;
    while (same < length && same < key.length && key[same] === first[same]) same++;
    length = same;
  }
  return first.subarray(0, length);
}

function isPassedBy({ key: boundary, isBehind }: KeyBoundary, key: Uint8Array): boolean {
  if (boundary === undefined) return false;
  const order = Buffer.compare(key, boundary);
  return isBehind ? order > 0 : order >= 0;
}

function inOrder(a: KeyBoundary, b: KeyBoundary): number {
  if (a.key === undefined || b.key === undefined)
    return Number(a.key === undefined) - Number(b.key === undefined);
  return Buffer.compare(a.key, b.key) || Number(a.isBehind) - Number(b.isBehind);
}

test('as many boundaries are passed as are at or before the key', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const boundary = fc.record({
    key: fc.option(crowdedKey(9), { nil: undefined, freq: 20 }),
    isBehind: fc.boolean(),
  });
  const keys = fc.tuple(crowdedKey(3), fc.array(crowdedKey(9), { minLength: 1, maxLength: 12 }));
  fc.assert(
    fc.property(fc.array(boundary, { maxLength: 12 }), keys, (unordered, [beginning, ends]) => {
      const all = ends.map((end) => Uint8Array.from([...beginning, ...end])).sort(Buffer.compare);
      const boundaries = unordered.sort(inOrder);
      const space = new KeySpace(commonOf(all));
      const asked = new KeyBoundaries(boundaries, space);
      for (const key of all) {
        const head = headOf(key, space.skip, key.length);
        t.is(space.headOf(key), head);
        const expected = boundaries.filter((one) => isPassedBy(one, key)).length;
        for (let time = 0; time < 2; time++) t.is(asked.passedBy(key, key.length, head), expected);
      }
    }),
    { seed, numRuns: 500 },
  );
});

test('keys outside the space have heads before or behind all others', (t) => {
  const space = new KeySpace(bytesOf('key-'));
  for (const before of ['', 'k', 'key', 'key,zzz', 'a']) t.is(space.headOf(bytesOf(before)), -1, before);
  for (const behind of ['l', 'kez', 'key.', 'z']) t.is(space.headOf(bytesOf(behind)), Infinity, behind);
  t.is(space.headOf(bytesOf('key-')), 0);
});
