/** What the compaction role writes, for inputs that a test can write down. */
import test, { type ExecutionContext } from 'ava';
import { RangeTombstones, type TombstoneFragment } from '../../src/format/range-tombstones.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import type { CompactionInput, CompactionParameters } from '../../src/protocol/requests.ts';
import { bytesOf, expectEntries, put, scan, tombstone, type Entry } from '../format/tables.ts';
import { CompactionRig } from '../support/compaction-rig.ts';
import { FailingDisk } from '../support/failing-disk.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const seed = testSeed();

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function newRig(): CompactionRig {
  return new CompactionRig({ random: new Random(seed) });
}

/** `start-end@number`; without an end there is none. */
function fragments(...texts: string[]): readonly TombstoneFragment[] {
  const all = texts.map((text) => {
    const [range, number] = text.split('@');
    const [start, end = ''] = range.split('-');
    return { start: bytesOf(start), end: bytesOf(end), sequence: Number(number) };
  });
  return RangeTombstones.of(all).fragments;
}

/** The other way round. */
function describe(rig: CompactionRig, table: TableDescription): string[] {
  const { rangeTombstones } = rig.table(table).meta;
  return (rangeTombstones?.fragments ?? []).map(
    ({ start, end, sequences }) =>
      `${Buffer.from(start).toString()}-${Buffer.from(end).toString()}@${sequences.join(',')}`,
  );
}

/** One run of one table. */
function expectOutput(
  t: ExecutionContext,
  entries: readonly Entry[],
  parameters: Partial<CompactionParameters>,
  expected: readonly Entry[],
): void {
  const rig = newRig();
  const tables = rig.compact({ runs: [[rig.addTable(entries)]], ...parameters });
  expectEntries(t, rig.entriesOf(tables), expected);
}

const READ_BY_ALL = { snapshots: [], keepAbove: 100 };

test('the newest version of each key is written, in order', (t) => {
  const rig = newRig();
  const newer = rig.addTable([put('a', 9, 'new'), tombstone('c', 8), put('d', 7)]);
  const older = rig.addTable([put('a', 5, 'old'), put('b', 4, 'b'), put('c', 3), put('e', 2)]);
  const tables = rig.compact({ runs: [[newer], [older]], ...READ_BY_ALL });
  expectEntries(t, rig.entriesOf(tables), [put('a', 0, 'new'), put('b', 0, 'b'), put('d', 0), put('e', 0)]);
});

test('what a snapshot sees is kept, and what nobody sees is not', (t) => {
  const versions = [put('a', 9), put('a', 7), put('a', 5), put('a', 3), put('a', 1)];
  const snapshots = [4, 6];
  const kept = [put('a', 9), put('a', 5), put('a', 0)];
  expectOutput(t, versions, { snapshots, keepAbove: 20 }, kept);
  expectOutput(t, versions, { snapshots: [], keepAbove: 6 }, [put('a', 9), put('a', 7), put('a', 0)]);
  expectOutput(t, versions, { snapshots: [], keepAbove: 0 }, versions);
});

test('a deletion stays as long as somebody does not see it, or older tables may hold the key', (t) => {
  const versions = [tombstone('k', 9), put('k', 5)];
  expectOutput(t, versions, READ_BY_ALL, []);
  expectOutput(t, versions, { snapshots: [7], keepAbove: 100 }, [tombstone('k', 9), put('k', 0)]);
  expectOutput(t, versions, { snapshots: [9], keepAbove: 100 }, []);
  const older = [
    { smallest: base64('a'), largest: base64('b') },
    { smallest: base64('k'), largest: base64('k') },
  ];
  expectOutput(t, versions, { ...READ_BY_ALL, older }, [tombstone('k', 9)]);
  expectOutput(t, versions, { ...READ_BY_ALL, older: [{ smallest: base64('l'), largest: null }] }, []);
  expectOutput(t, versions, { ...READ_BY_ALL, older: [{ smallest: base64('b'), largest: null }] }, [
    tombstone('k', 9),
  ]);
});

test('sequence numbers become 0 only where nothing older can be', (t) => {
  const entries = [put('a', 5), put('k', 6), put('z', 7)];
  const older = [{ smallest: base64('b'), largest: base64('m') }];
  expectOutput(t, entries, { ...READ_BY_ALL, older }, [put('a', 0), put('k', 6), put('z', 0)]);
  expectOutput(t, entries, { snapshots: [6], keepAbove: 100 }, [put('a', 0), put('k', 0), put('z', 7)]);
});

test('a range tombstone deletes what is older, and goes when it has nothing left to delete', (t) => {
  const rig = newRig();
  const newer = rig.addTable([put('c', 12)], { rangeTombstones: fragments('b-d@10') });
  const older = rig.addTable([put('a', 1), put('b', 2), put('c', 3), put('d', 4)]);
  const [table] = rig.compact({ runs: [[newer], [older]], ...READ_BY_ALL });
  expectEntries(t, scan(rig.table(table)), [put('a', 0), put('c', 0), put('d', 0)]);
  t.deepEqual(describe(rig, table), []);
  t.is(table.rangeTombstones, 0);
});

test('under a range tombstone that stays, entries keep their numbers', (t) => {
  const rig = newRig();
  const newer = rig.addTable([put('c', 12)], { rangeTombstones: fragments('b-d@10') });
  const older = rig.addTable([put('a', 1), put('b', 2), put('c', 3), put('d', 4)]);
  const range = [{ smallest: base64('cc'), largest: base64('cd') }];
  const [table] = rig.compact({ runs: [[newer], [older]], ...READ_BY_ALL, older: range });
  expectEntries(t, scan(rig.table(table)), [put('a', 0), put('c', 12), put('d', 0)]);
  t.deepEqual(describe(rig, table), ['b-d@10']);
});

test('range tombstones are cut where outputs are, and reach from one to the next', (t) => {
  const rig = newRig();
  const value = new Uint8Array(5000);
  const entries = [put('c', 12, value), put('f', 13, value), put('k', 14, value)];
  const input = rig.addTable(entries, { rangeTombstones: fragments('a-g@10', 'j@9') });
  const tables = rig.compact({ runs: [[input]], snapshots: [5], keepAbove: 100, tableBytes: 1 });
  t.deepEqual(
    tables.map((table) => describe(rig, table)),
    [['a-f@10'], ['f-g@10', 'j-k@9'], ['k-@9']],
  );
  t.deepEqual(
    tables.map(({ smallestKey, largestKey, largestKeyIsExclusive }) => [
      Buffer.from(smallestKey).toString(),
      Buffer.from(largestKey).toString(),
      largestKeyIsExclusive,
    ]),
    [
      ['a', 'f', true],
      ['f', 'k', true],
      ['k', '', true],
    ],
  );
});

test('an output of nothing but range tombstones', (t) => {
  const rig = newRig();
  const newer = rig.addTable([], { rangeTombstones: fragments('b-d@10', 'c-x@11') });
  const older = rig.addTable([put('c', 3)], { rangeTombstones: fragments('p-q@2') });
  const range = [{ smallest: base64('a'), largest: base64('c') }];
  const tables = rig.compact({ runs: [[newer], [older]], ...READ_BY_ALL, older: range });
  t.is(tables.length, 1);
  t.is(tables[0].entries, 0);
  t.deepEqual(describe(rig, tables[0]), ['b-c@10', 'c-d@11']);
});

test('keys that are compared by what follows their common beginning, where one table has no end', (t) => {
  const rig = newRig();
  const newer = rig.addTable([put('kaa', 9), put('zaa', 8)], { rangeTombstones: fragments('zab@7') });
  const older = rig.addTable([put('kab', 3), put('kac', 4)]);
  const tables = rig.compact({ runs: [[newer], [older]], ...READ_BY_ALL });
  expectEntries(t, rig.entriesOf(tables), [put('kaa', 0), put('kab', 0), put('kac', 0), put('zaa', 0)]);
});

test('behind the last table there is nothing more to write', (t) => {
  const rig = newRig();
  const input = rig.addTable([put('a', 3)], { rangeTombstones: fragments('b-c@9') });
  rig.begin({ runs: [[input]], snapshots: [5], keepAbove: 100 });
  const answer = rig.write(rig.newTable());
  t.true(answer.result > 0);
  t.is(answer.detail0, 0);
  t.is(rig.described(answer).rangeTombstones, 1);
  t.is(rig.write(rig.newTable()).result, 0);
  rig.end();
  t.is(rig.disk.names.size, 2);
});

test('nothing is left: no table is written', (t) => {
  const rig = newRig();
  const newer = rig.addTable([tombstone('a', 9)], { rangeTombstones: fragments('b@8') });
  const older = rig.addTable([put('a', 3), put('c', 4)]);
  t.is(rig.begin({ runs: [[newer], [older]], ...READ_BY_ALL }).result, 0);
  const number = rig.newTable();
  for (let time = 0; time < 2; time++) {
    t.deepEqual(rig.write(number), { result: 0, detail0: 0, detail1: 0 });
  }
  rig.end();
  t.is(rig.disk.names.size, 2);
});

test('tables end at a key behind their size, and never within the versions of a key', (t) => {
  const rig = newRig();
  const entries: Entry[] = [];
  for (let key = 0; key < 40; key++) {
    for (let version = 30; version > 0; version--)
      entries.push(put(keyOf(key), version, valueOf(500, version)));
  }
  const input = rig.addTable(entries);
  const tables = rig.compact({ runs: [[input]], snapshots: [], keepAbove: 0, tableBytes: 40_000 });
  expectEntries(t, rig.entriesOf(tables), entries);
  for (const table of tables) {
    t.is(table.entries % 30, 0, 'all versions of a key are in one table');
    if (table !== tables.at(-1)) t.true(table.metaOffset >= 40_000 && table.metaOffset < 40_000 + 20 * 4096);
  }
  t.true(tables.length > 10);
});

test('outputs end where grandparents do rather than overlap too much of them', (t) => {
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const entries = letters.map((letter, i) => put(letter, i + 1));
  const cut = (bytes: number[], grandparentBytesMax: number): string[] => {
    const rig = newRig();
    const ends = ['c', 'g', 'h', 'p', 'v'];
    const grandparents = ends.map((end, i) => ({ largest: base64(end), bytes: bytes[i] }));
    const runs = [[rig.addTable(entries)]];
    const tables = rig.compact({ runs, ...READ_BY_ALL, grandparents, grandparentBytesMax });
    const keys = tables.map((table) =>
      scan(rig.table(table))
        .map(({ key }) => Buffer.from(key).toString())
        .join(''),
    );
    t.is(keys.join(''), letters.join(''));
    return keys;
  };
  const same = [10, 10, 10, 10, 10];
  t.deepEqual(cut(same, 50), [letters.join('')]);
  t.deepEqual(cut(same, 30), ['abcdefgh', 'ijklmnopqrstuvwxyz']);
  t.deepEqual(cut(same, 20), ['abcdefg', 'hijklmnop', 'qrstuvwxyz']);
  t.deepEqual(cut(same, 0), ['abc', 'defg', 'h', 'ijklmnop', 'qrstuvwxyz'], 'one of them always fits');
  t.deepEqual(cut([5, 100, 5, 5, 5], 20), ['abc', 'defg', 'hijklmnopqrstuvwxyz']);
});

test('outputs end where grandparents do as soon as they have half of their size', (t) => {
  const entries = Array.from({ length: 2000 }, (_, i) =>
    put(keyOf(i), i + 1, new Uint8Array(valueOf(200, i))),
  );
  const rig = newRig();
  // Every hundredth key ends one; a table of full size has 460 or so.
  const grandparents = Array.from({ length: 19 }, (_, i) => ({
    largest: base64(keyOf(100 * i + 99)),
    bytes: 1,
  }));
  const runs = [[rig.addTable(entries)]];
  const tables = rig.compact({ runs, ...READ_BY_ALL, grandparents, tableBytes: 100_000 });
  t.true(tables.length > 5);
  for (const table of tables.slice(0, -1)) {
    t.is(table.entries % 100, 0, 'it ends where a grandparent does');
    t.true(table.metaOffset >= 50_000 && table.metaOffset < 50_000 + 100 * 240, `${table.metaOffset} bytes`);
  }
  const alone = rig.compact({ runs, ...READ_BY_ALL, tableBytes: 100_000 });
  t.true(
    alone.slice(0, -1).every(({ metaOffset }) => metaOffset >= 100_000),
    'without any they are full',
  );
  expectEntries(t, rig.entriesOf(tables), rig.entriesOf(alone));
  t.is(rig.entriesOf(tables).length, entries.length);
});

test('large values in many runs, where a buffer is small, and in few', (t) => {
  for (const [runCount, valueBytes] of [
    [64, 70_000],
    [20, 300_000],
    [3, 1_700_000],
  ]) {
    const disk = new FailingDisk();
    const rig = new CompactionRig({ random: new Random(seed), disk });
    const runs: CompactionInput[][] = [];
    const expected: Entry[] = [];
    for (let run = 0; run < runCount; run++) {
      const sequence = 1000 - run;
      const own = [0, 1, 2].map((i) => {
        const bytes = i === 1 ? valueBytes + run : 50 * i;
        return put(`${keyOf(i * 100 + run)}${'x'.repeat(i)}`, sequence, new Uint8Array(valueOf(bytes, run)));
      });
      const shared = put('shared', sequence, new Uint8Array(valueOf(valueBytes, run)));
      runs.push([rig.addTable([...own, shared])]);
      expected.push(...own);
      if (run === 0) expected.push(shared);
    }
    const tables = rig.compact({ runs, snapshots: [], keepAbove: 2000, tableBytes: 3 * valueBytes });
    const inOrder = expected
      .map((entry) => ({ ...entry, sequence: 0 }))
      .sort((a, b) => Buffer.compare(a.key, b.key));
    expectEntries(t, rig.entriesOf(tables), inOrder);
    t.true(tables.length > 1);
  }
});

test('keys of every length, at the limit too', (t) => {
  const long = 'k'.repeat(65_534);
  const keys = ['', 'k', 'k\0', long.slice(0, 300), long.slice(0, 5000), long, `${long}a`, `${long}b`];
  const rig = newRig();
  const newer = rig.addTable(keys.map((key, i) => put(key, 100 + i, 'new')));
  const older = rig.addTable([...keys.slice(2), 'zz'].map((key, i) => put(key, 10 + i, 'old')));
  const tables = rig.compact({ runs: [[newer], [older]], snapshots: [50], keepAbove: 1000 });
  const expected = keys.flatMap((key, i) => {
    const versions = [put(key, 100 + i, 'new')];
    return i < 2 ? versions : [...versions, put(key, 0, 'old')];
  });
  expectEntries(t, rig.entriesOf(tables), [...expected, put('zz', 0, 'old')]);
});

test('every byte of the inputs is read once, however many tables are written', (t) => {
  const disk = new FailingDisk();
  const rig = new CompactionRig({ random: new Random(seed), disk });
  const entries = Array.from({ length: 3000 }, (_, i) => put(keyOf(i), i + 1, valueOf(1000, i)));
  const even = rig.addTable(entries.filter((_, i) => i % 2 === 0));
  const odd = entries.filter((_, i) => i % 2 === 1);
  const runs = [[even], [rig.addTable(odd.slice(0, 700)), rig.addTable(odd.slice(700))]];
  const tables = rig.compact({ runs, ...READ_BY_ALL, keepAbove: 0, tableBytes: 50_000 });
  t.true(tables.length > 30);
  expectEntries(t, rig.entriesOf(tables), entries);
  t.is(
    disk.bytesRead,
    runs.flat().reduce((sum, { fileBytes }) => sum + fileBytes, 0),
  );
});

test('range tombstones without entries end in tables of not too many each', (t) => {
  const rig = newRig();
  const bound = (number: number): Uint8Array => bytesOf(String(number).padStart(8, '0'));
  const fragmentOf = (number: number): TombstoneFragment => ({
    start: bound(2 * number),
    end: bound(2 * number + 1),
    sequences: [number + 1],
  });
  const COUNT = 10_000;
  const even = Array.from({ length: COUNT }, (_, i) => fragmentOf(2 * i));
  const odd = Array.from({ length: COUNT }, (_, i) => fragmentOf(2 * i + 1));
  const runs = [even, odd].map((rangeTombstones) => [rig.addTable([], { rangeTombstones })]);
  // What is older may be anywhere: all of them go on.
  const older = [{ smallest: base64('0'), largest: null }];
  t.true(rig.begin({ runs, older }).result >= 0);
  const written: TombstoneFragment[] = [];
  const ends: string[] = [];
  for (let hasMore = true; hasMore;) {
    const answer = rig.write(rig.newTable());
    t.true(answer.result > 0, 'a table is written');
    const description = rig.described(answer);
    const { rangeTombstones } = rig.table(description).meta;
    const fragments = rangeTombstones?.fragments ?? [];
    t.true(fragments.length > 0 && fragments.length <= 8192);
    written.push(...fragments);
    ends.push(
      Buffer.from(description.smallestKey).toString(),
      Buffer.from(description.largestKey).toString(),
    );
    hasMore = answer.detail0 === 1;
  }
  t.is(rig.end().result, 0);
  t.deepEqual(
    written,
    Array.from({ length: 2 * COUNT }, (_, i) => fragmentOf(i)),
  );
  t.is(ends.length, 6);
  t.deepEqual(ends, [...ends].sort(), 'tables follow each other');
});
