/**
 * The compaction role against a naive model: whatever was written, deleted and snapshotted, in however many runs and
 * tables, every reader sees the same in the outputs, and nothing is left that nobody sees.
 */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { checkBlockStructure, decompressBlock } from '../../src/format/block-check.ts';
import type { CompressionName } from '../../src/format/compression.ts';
import { tableName } from '../../src/format/file-names.ts';
import { BLOCK_BYTES_MAX, PAGE_BYTES } from '../../src/format/limits.ts';
import { RangeTombstones, type RangeTombstone } from '../../src/format/range-tombstones.ts';
import { overlaps } from '../../src/format/table-range.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import type { CompactionInput, CompactionParameters } from '../../src/protocol/requests.ts';
import { COMPRESSIONS, expectEntries, isWithin, scan, type Entry } from '../format/tables.ts';
import {
  expectedEntries,
  histories,
  readAt,
  readingNumbers,
  seenNumbers,
  tombstonesOf,
  type History,
  type Source,
} from '../support/compaction-model.ts';
import { CompactionRig } from '../support/compaction-rig.ts';
import { Random, testSeed } from '../support/random.ts';

interface Shape {
  readonly seed: number;
  /** Keys at which runs are cut into tables, and which bound grandparents. */
  readonly cuts: readonly Uint8Array[];
  readonly tableBytes: number;
  readonly blockBytes: number;
  readonly grandparentBytesMax: number;
  /** Of the inputs, and of the outputs. */
  readonly compressions: readonly [CompressionName, CompressionName];
}

const shapes = fc.record({
  seed: fc.nat(),
  cuts: fc.array(fc.uint8Array({ minLength: 1, maxLength: 2 }), { maxLength: 4 }),
  tableBytes: fc.constantFrom(1, 4096, 10_000, 1 << 24),
  blockBytes: fc.constantFrom(4096, 8192, 16_384),
  grandparentBytesMax: fc.constantFrom(0, 100, 1 << 30),
  compressions: fc.tuple(fc.constantFrom(...COMPRESSIONS), fc.constantFrom(...COMPRESSIONS)),
});

const runSeed = testSeed();

function base64(key: Uint8Array): string {
  return Buffer.from(key).toString('base64');
}

/** The source as tables of which no two have a user key in common. */
function addTables(rig: CompactionRig, { entries, tombstones }: Source, shape: Shape): CompactionInput[] {
  const bounds = [undefined, ...shape.cuts.toSorted(Buffer.compare), undefined];
  const inputs: CompactionInput[] = [];
  for (let i = 0; i + 1 < bounds.length; i++) {
    const [lower, upper] = [bounds[i], bounds[i + 1]];
    const isIn = ({ key }: Entry): boolean =>
      (lower === undefined || Buffer.compare(key, lower) >= 0) &&
      (upper === undefined || Buffer.compare(key, upper) < 0);
    const own = entries.filter(isIn);
    const rangeTombstones = RangeTombstones.of(tombstones).within(lower, upper).fragments;
    if (own.length === 0 && rangeTombstones.length === 0) continue;
    const [compression] = shape.compressions;
    inputs.push(rig.addTable(own, { blockBytes: shape.blockBytes, compression, rangeTombstones }));
  }
  return inputs;
}

/** Tables below the output: each ends at a cut, and has 100 bytes. */
function grandparentsOf({ cuts }: Shape): CompactionParameters['grandparents'] {
  return cuts.toSorted(Buffer.compare).map((key) => ({ largest: base64(key), bytes: 100 }));
}

function olderRanges({ entries, tombstones }: Source): { smallest: Uint8Array; largest: Uint8Array }[] {
  const points = entries.map(({ key }) => ({ smallest: key, largest: key }));
  return [...points, ...tombstones.map(({ start, end }) => ({ smallest: start, largest: end }))];
}

function expectStructure(t: ExecutionContext, rig: CompactionRig, tables: readonly TableDescription[]): void {
  for (const [i, description] of tables.entries()) {
    const { bytes, meta } = rig.table(description);
    const { index, properties } = meta;
    for (let block = 0; block < index.blockCount; block++) {
      const stored = index.pageCountOf(block) * PAGE_BYTES;
      const at = index.pageOf(block) * PAGE_BYTES;
      const room = new Uint8Array(Math.max(stored, BLOCK_BYTES_MAX));
      room.set(bytes.subarray(at, at + stored));
      checkBlockStructure(room, 0, decompressBlock(room, 0, stored, new Uint8Array(BLOCK_BYTES_MAX)));
    }
    t.is(properties.level, description.level);
    t.deepEqual(properties.smallestKey, description.smallestKey);
    t.deepEqual(properties.largestKey, description.largestKey);
    t.is(description.fileBytes, bytes.length);
    if (i > 0) t.false(overlaps(tables[i - 1], description), 'outputs have no key in common');
    if (i > 0) t.true(Buffer.compare(tables[i - 1].smallestKey, description.smallestKey) < 0, 'in order');
  }
}

function expectTombstones(
  t: ExecutionContext,
  history: History,
  left: readonly RangeTombstone[],
  hasOlder: boolean,
): void {
  const { runs, readers, end, probes } = history;
  const reading = readingNumbers(readers, end);
  const all = runs.flatMap(({ tombstones }) => tombstones);
  for (const key of probes) {
    const covering = all.filter((one) => isWithin(one, key)).map(({ sequence }) => sequence);
    const seen = seenNumbers(covering, covering, reading);
    const needed = seen.filter((number) => reading.some((at) => at < number));
    const actual = left.filter((one) => isWithin(one, key)).map(({ sequence }) => sequence);
    // Mostly nothing is wrong, and then nothing is said: an assertion takes longer than all of this.
    const needless = actual.filter((number) => !seen.includes(number));
    const missing = needed.filter((number) => !actual.includes(number));
    if (needless.length > 0) t.fail(`range tombstones ${needless.join()} at ${base64(key)} hide nothing`);
    if (missing.length > 0) t.fail(`range tombstones ${missing.join()} are missing at ${base64(key)}`);
    if (!hasOlder && actual.length !== needed.length) t.fail(`a range tombstone at ${base64(key)} is kept`);
  }
}

function checkCompaction(t: ExecutionContext, history: History, shape: Shape): CompactionRig {
  const random = new Random(shape.seed ^ runSeed);
  const rig = new CompactionRig({ random });
  const runs = history.runs.map((run) => addTables(rig, run, shape)).filter((run) => run.length > 0);
  if (runs.length === 0) return rig;
  const ranges = olderRanges(history.older);
  const tables = rig.compact({
    ...history.readers,
    runs,
    tableBytes: shape.tableBytes,
    blockBytes: shape.blockBytes,
    compression: shape.compressions[1],
    grandparents: grandparentsOf(shape),
    grandparentBytesMax: shape.grandparentBytesMax,
    older: ranges.map(({ smallest, largest }) => ({ smallest: base64(smallest), largest: base64(largest) })),
  });
  expectStructure(t, rig, tables);
  const left = tables.flatMap((description) => tombstonesOf(rig.table(description).meta.rangeTombstones));
  const mayBeOlder = (key: Uint8Array): boolean =>
    ranges.some(
      ({ smallest, largest }) => Buffer.compare(smallest, key) <= 0 && Buffer.compare(key, largest) <= 0,
    );
  expectTombstones(t, history, left, ranges.length > 0);
  expectEntries(t, rig.entriesOf(tables), expectedEntries(history, mayBeOlder, left));

  const before = [...history.runs, history.older];
  const after = [
    ...tables.map((description) => {
      const table = rig.table(description);
      return { entries: scan(table), tombstones: tombstonesOf(table.meta.rangeTombstones) };
    }),
    history.older,
  ];
  for (const at of readingNumbers(history.readers, history.end)) {
    for (const key of history.probes) {
      const [is, was] = [readAt(after, key, at), readAt(before, key, at)];
      if (is === undefined || was === undefined || Buffer.compare(is, was) !== 0) {
        t.deepEqual(is, was, `${base64(key)} read at ${at}`);
      }
    }
  }
  const names = new Set([...runs.flat(), ...tables].map(({ number }) => tableName(number)));
  t.deepEqual(new Set(rig.disk.names.keys()), names, 'no other file is left');
  t.is(rig.files.first(), undefined, 'all files are closed');
  return rig;
}

test('outputs hold what readers of the inputs see, and nothing else', (t) => {
  t.log(`seed ${runSeed}`);
  const some = histories({ operationsMax: 60, runsMax: 5, valueBytesMax: 600, keyBytesMax: 3 });
  fc.assert(
    fc.property(some, shapes, (history, shape) => {
      checkCompaction(t, history, shape);
    }),
    { seed: runSeed, numRuns: 200 },
  );
});

test('many runs of a few entries each', (t) => {
  const many = histories({ operationsMax: 120, runsMax: 40, valueBytesMax: 100, keyBytesMax: 2 });
  fc.assert(
    fc.property(many, shapes, (history, shape) => {
      checkCompaction(t, history, shape);
    }),
    { seed: runSeed, numRuns: 60 },
  );
});

test('values of any size, in blocks of their own', (t) => {
  const large = histories({ operationsMax: 25, runsMax: 6, valueBytesMax: 70_000, keyBytesMax: 2 });
  fc.assert(
    fc.property(large, shapes, (history, shape) => {
      checkCompaction(t, history, shape);
    }),
    { seed: runSeed, numRuns: 60 },
  );
});
