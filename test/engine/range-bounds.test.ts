/** Ranges as they are deleted: bounds that fit into a record and hold the same keys. */
import test from 'ava';
import fc from 'fast-check';
import { KEY_BYTES_MAX } from '../../src/format/limits.ts';
import { compareWithEnd } from '../../src/format/range-tombstones.ts';
import { KeyScratch } from '../../src/main/bytes.ts';
import { deletedKeysOf, firstThatFits, keyRangeOf } from '../../src/main/range.ts';
import type { Range } from '../../src/index.ts';
import { membership } from '../support/version-model.ts';

/** A key of the greatest length that ends so. */
function longest(...end: number[]): Buffer {
  return Buffer.concat([Buffer.alloc(KEY_BYTES_MAX - end.length, 'k'), Buffer.from(end)]);
}

const LAST_OF_ALL = Buffer.alloc(KEY_BYTES_MAX, 0xff);
const scratch = new KeyScratch();

function isDeleted(range: Range, key: Buffer): boolean {
  const deleted = deletedKeysOf(keyRangeOf(range, scratch));
  if (deleted === undefined) return false;
  const { start, end } = deleted;
  return Buffer.compare(start, key) <= 0 && compareWithEnd(key, 0, key.length, end) < 0;
}

const some = fc.oneof(
  fc.array(fc.constantFrom(0, 1, 0x61, 0xff), { maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(
    longest(0),
    longest(7, 0xff),
    longest(8),
    longest(8, 0),
    longest(0xff, 0xff),
    LAST_OF_ALL,
    Buffer.alloc(KEY_BYTES_MAX - 1, 0xff),
    Buffer.alloc(0),
  ),
);
const bound = fc.option(some, { nil: undefined, freq: 2 });

test('a range is deleted with exactly the keys that it has', (t) => {
  fc.assert(
    fc.property(bound, bound, bound, bound, fc.array(some), (gt, gte, lt, lte, others) => {
      const range = {
        ...(gt === undefined ? {} : { gt }),
        ...(gte === undefined ? {} : { gte }),
        ...(lt === undefined ? {} : { lt }),
        ...(lte === undefined ? {} : { lte }),
      };
      const isInside = membership(range);
      const bounds = [gt, gte, lt, lte].filter((each) => each !== undefined);
      for (const key of [...bounds, ...others, Buffer.alloc(0), LAST_OF_ALL]) {
        if (isDeleted(range, key) !== isInside(key)) t.fail(`${key.subarray(-3).toString('hex')}`);
      }
      const deleted = deletedKeysOf(keyRangeOf(range, scratch));
      for (const key of [deleted?.start, deleted?.end]) t.true((key?.length ?? 0) <= KEY_BYTES_MAX);
    }),
    { numRuns: 500 },
  );
});

test('what is behind a key of the greatest length is the next key that fits', (t) => {
  const behind = (key: Buffer): Uint8Array | undefined =>
    firstThatFits(Buffer.concat([key, Buffer.from([0])]));
  t.deepEqual(behind(longest(7)), new Uint8Array(longest(8)));
  t.deepEqual(behind(longest(7, 0xff, 0xff)), new Uint8Array(longest(8, 0, 0).subarray(0, -2)));
  t.is(behind(LAST_OF_ALL), undefined);
  const short = Buffer.from('short');
  t.is(firstThatFits(short), short);
  t.is(firstThatFits(LAST_OF_ALL), LAST_OF_ALL);
});

test('without bounds all keys are deleted, and none before the empty key or behind the last of all', (t) => {
  const deleted = (range: Range): unknown => deletedKeysOf(keyRangeOf(range, scratch));
  const all = { start: new Uint8Array(0), end: new Uint8Array(0) };
  t.deepEqual(deleted({}), all);
  t.deepEqual(deleted({ lte: LAST_OF_ALL }), all);
  t.is(deleted({ lt: '' }), undefined);
  t.is(deleted({ gt: LAST_OF_ALL }), undefined);
  t.is(deleted({ gt: LAST_OF_ALL, lte: LAST_OF_ALL }), undefined);
  t.is(deleted({ gte: 'b', lt: 'a' }), undefined);
  t.is(deleted({ gte: 'b', lt: 'b' }), undefined);
  t.deepEqual(deleted({ lte: '' }), { start: new Uint8Array(0), end: Uint8Array.of(0) });
});
