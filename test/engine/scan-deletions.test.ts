/** What a scan takes for deleted, against asking every tombstone for every key. */
import test from 'ava';
import fc from 'fast-check';
import { compareWithEnd, NOT_COVERED, RangeTombstones } from '../../src/format/range-tombstones.ts';
import { ScanDeletions, type DeletionSource } from '../../src/main/scan-deletions.ts';
import { crowdedKey, isWithin, rangeTombstones } from '../format/tables.ts';

const key = crowdedKey(3);

/** Newer sources have greater numbers. One in the middle is split, like the tables of a level. */
const sources = fc
  .tuple(
    fc.array(rangeTombstones(key, 6), { minLength: 1, maxLength: 4 }),
    fc.uniqueArray(key, { maxLength: 3, selector: (each) => each.join() }),
  )
  .map(([lists, cuts]) =>
    lists.map((list, rank) => {
      const tombstones = list.map((one, i) => ({ ...one, sequence: 100 * (lists.length - rank) + 3 * i }));
      const all = RangeTombstones.of(tombstones);
      const bounds = [...cuts].sort((a, b) => Buffer.compare(a, b));
      const parts = [undefined, ...bounds].map((lower, i) => all.within(lower, bounds[i]));
      const source: DeletionSource = { rank: 2 * rank, tombstones: parts.filter(({ isEmpty }) => !isEmpty) };
      return { tombstones, source };
    }),
  )
  .map((all) => all.filter(({ source }) => source.tombstones.length > 0))
  .filter((all) => all.length > 0);

/** The newest visible tombstone over the key that any source has, and the rank of the first that has one. */
function expectedAt(
  all: readonly {
    tombstones: readonly { start: Uint8Array; end: Uint8Array; sequence: number }[];
    source: DeletionSource;
  }[],
  at: Uint8Array,
  visible: number,
): { sequence: number; rank: number | undefined } {
  for (const { tombstones, source } of all) {
    const covering = tombstones.filter((one) => isWithin(one, at) && one.sequence <= visible);
    if (covering.length > 0)
      return { sequence: Math.max(...covering.map(({ sequence }) => sequence)), rank: source.rank };
  }
  return { sequence: NOT_COVERED, rank: undefined };
}

for (const isReverse of [false, true]) {
  test(`every key gets the newest tombstone over it, ${isReverse ? 'backward' : 'forward'}`, (t) => {
    fc.assert(
      fc.property(
        sources,
        fc.array(key, { maxLength: 30 }),
        fc.constantFrom(1000, 306, 203, 100),
        (all, keys, visible) => {
          const ordered = keys.sort((a, b) => Buffer.compare(a, b));
          if (isReverse) ordered.reverse();
          const deletions = new ScanDeletions(
            all.map(({ source }) => source),
            visible,
            isReverse,
          );
          for (const [i, each] of ordered.entries()) {
            const { sequence, rank } = expectedAt(all, each, visible);
            t.is(deletions.isDeleted(each, each.length, Math.max(sequence - 1, 0)), sequence !== NOT_COVERED);
            t.false(deletions.isDeleted(each, each.length, Math.max(sequence, 0)));
            t.is(deletions.sequence, sequence);
            if (rank !== undefined) t.is(deletions.rank, rank);
            // Whatever else is asked for up to the bound has the same answer.
            for (const later of ordered.slice(i)) {
              const holds = isReverse
                ? Buffer.compare(later, deletions.bound) >= 0
                : compareWithEnd(later, 0, later.length, deletions.bound) < 0;
              t.is(deletions.holdsFor(later, later.length), holds);
              if (holds) t.is(expectedAt(all, later, visible).sequence, sequence);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });
}
