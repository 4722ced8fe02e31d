/** Which of a level's tables a key may be in. */
import test from 'ava';
import { headOf } from '../../src/format/key-head.ts';
import { SortedLevel } from '../../src/main/version.ts';
import type { Table } from '../../src/main/table.ts';

const FIRST_ORDINAL = 3;

/** Tables of which only the smallest keys are looked at. */
function levelOf(smallestKeys: readonly string[]): SortedLevel {
  const tables = smallestKeys.map((key) => ({
    description: { smallestKey: Buffer.from(key), entries: 1 },
    index: { blockCount: 1 },
    rangeTombstones: null,
  }));
  return new SortedLevel(tables as unknown as Table[], FIRST_ORDINAL);
}

test('the last table that does not begin behind the key, whether heads tell them apart or not', (t) => {
  const levels = [
    ['m'],
    ['a', 'b', 'c', 'd', 'e'],
    ['aa', 'ab', 'ac', 'b', 'ba', 'bb', 'bc'],
    ['xa', 'xb', 'xcccccccc1', 'xcccccccc2', 'xcccccccc3', 'xcccccccc4', 'xd'],
    ['xcccccccc1', 'xcccccccc2', 'xcccccccc3'],
    ['', 'a', 'a\0'],
  ];
  const equal = levels[3].map((key) => headOf(Buffer.from(key), 1, key.length));
  t.true(new Set(equal).size < equal.length, 'some heads are equal');
  for (const smallestKeys of levels) {
    const level = levelOf(smallestKeys);
    const near = smallestKeys.flatMap((key) => [
      key,
      `${key}\0`,
      key.slice(0, -1),
      `${key.slice(0, -1)}\x7f`,
    ]);
    for (const text of ['', '\x01', 'zz', ...near]) {
      const key = Buffer.from(text);
      const last = smallestKeys.findLastIndex((smallest) => Buffer.compare(Buffer.from(smallest), key) <= 0);
      const expected = last < 0 ? -1 : FIRST_ORDINAL + last;
      t.is(level.locate(key, key.length), expected, `${JSON.stringify(text)} among ${smallestKeys.join()}`);
    }
  }
});
