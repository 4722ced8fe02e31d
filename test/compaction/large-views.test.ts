/** Picks over many tables: what they cost, that they change nothing, and that they always answer the same. */
import test from 'ava';
import { must } from '../../src/assert.ts';
import { LEVEL_COUNT } from '../../src/format/limits.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import { type Compaction, describeCompaction } from '../../src/main/compaction.ts';
import { pickCompaction } from '../../src/main/compaction-picker.ts';
import { compactionPolicyOf } from '../../src/main/compaction-policy.ts';
import { pendingCompactionBytes } from '../../src/main/level-targets.ts';
import type { LevelsView } from '../../src/main/levels-view.ts';
import { pickRange } from '../../src/main/range-picker.ts';

const policy = compactionPolicyOf({ writeBufferBytes: 32 * 2 ** 20 });
const KEY_SPACE = 1_000_000_000;
/** Some forty times what it takes on a machine of 2024. */
const PICK_MS_MAX = 200;
/** The shortest of these counts: on a busy machine one that is not interrupted is rare. */
const ROUNDS = 20;

function keyOf(key: number): Uint8Array {
  return Buffer.from(`user/${String(Math.floor(key)).padStart(12, '0')}`);
}

/** A level of neighbours over all keys. */
function levelOf(level: number, count: number, firstNumber: number): TableDescription[] {
  const width = KEY_SPACE / count;
  return Array.from({ length: count }, (_, i) =>
    Object.freeze({
      number: firstNumber + i,
      level,
      fileBytes: policy.tableBytes - (i % 1000),
      metaOffset: 0,
      entries: 100_000,
      deletions: i % 100,
      overwritten: 0,
      rangeTombstones: level < LEVEL_COUNT - 1 ? 1 : 0,
      smallestKey: keyOf(i * width),
      largestKey: keyOf(i * width + width / 2),
      largestKeyIsExclusive: i % 2 === 0,
      smallestSequence: 1,
      largestSequence: 2,
      rawBytes: policy.tableBytes,
      createdAtSeconds: 0,
      createdAtSequence: 2,
    }),
  );
}

/** 10,000 tables: 310 GiB. */
function largeView(level0Count: number): LevelsView {
  const counts = [level0Count, 0, 0, 9, 90, 901, 9000 - level0Count];
  const levels = counts.map((count, level) => Object.freeze(levelOf(level, count, 1 + 100_000 * level)));
  levels[0] = Object.freeze(levels[0].map((table) => ({ ...table, largestKey: keyOf(KEY_SPACE - 1) })));
  return Object.freeze({ levels: Object.freeze(levels) });
}

const state = {
  pointers: Object.freeze(new Array<undefined>(LEVEL_COUNT).fill(undefined)),
  oldestSnapshot: Infinity,
  isIdle: true,
};
const everything = { lower: undefined, upper: undefined, sequence: 100, createdBefore: 1_000_000 };

const wide = largeView(20);
const sorted = largeView(0);

const picks: Record<string, () => string> = {
  'of level 0': () => describe(pickCompaction(wide, policy, state)),
  'of a sorted level': () => describe(pickCompaction(sorted, policy, state)),
  'of a range': () => describe(pickRange(wide, policy, everything)),
  'of an estimate': () => String(pendingCompactionBytes(wide, policy)),
};

function describe(compaction: Compaction | undefined): string {
  return describeCompaction(must(compaction, 'there is something to compact'));
}

for (const [name, pick] of Object.entries(picks)) {
  test(`a pick ${name} over 10,000 tables is the same each time, and takes milliseconds`, (t) => {
    const first = pick();
    const times = Array.from({ length: ROUNDS }, () => {
      const begun = performance.now();
      const again = pick();
      const took = performance.now() - begun;
      t.is(again, first);
      return took;
    });
    const shortest = Math.min(...times);
    t.log(`${shortest.toFixed(1)} ms: ${first.slice(0, 120)}`);
    t.true(shortest < PICK_MS_MAX, `${shortest} ms`);
  });
}
