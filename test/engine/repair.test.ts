/**
 * Repairs of a database whose manifest is good, in memory: each kind of damage to tables and logs. What is left opens,
 * verifies, and is held against a model that is told which blocks are gone.
 */
import test from 'ava';
import { tableName } from '../../src/format/file-names.ts';
import { filterMayContain } from '../../src/format/filter.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { unitsOf, type Unit } from '../support/checked-units.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  contentsOn,
  copyOf,
  fileOn,
  namesOn,
  repairOn,
  smallDatabase,
  type Contents,
} from '../support/offline-databases.ts';
import { difference, flip, isIn, repaired } from '../support/repaired.ts';
import { metaOn, readSound, visibleIn, type PlacedEntry } from '../support/surviving-model.ts';

interface Sound {
  readonly disk: SimulatedDisk;
  readonly contents: Contents;
  readonly units: Unit[];
}

let sound: Promise<Sound> | undefined;

/** One for all tests, which damage copies. */
function soundDisk(): Promise<Sound> {
  sound ??= (async () => {
    const disk = new SimulatedDisk();
    const { contents } = await smallDatabase(disk);
    return { disk, contents, units: unitsOf(disk) };
  })();
  return sound;
}

/** Whether the table's filter says that it has the key. */
function mayHave(disk: SimulatedDisk, number: number, key: string): boolean {
  const { filter } = metaOn(disk, number).meta;
  const bytes = Buffer.from(key, 'latin1');
  return filter === null || filterMayContain(filter, hashBytes(bytes, 0, bytes.length));
}

test.serial('a sound database is left as it is', async (t) => {
  const { disk } = await soundDisk();
  const before = new Map([...disk.names].map(([name, file]) => [name, Buffer.from(file.bytes())]));
  const report = await repairOn(disk);
  t.false(report.isChanged);
  t.is(report.lostDirectory, null);
  t.deepEqual(report.findings, []);
  t.deepEqual([...disk.directories], []);
  const after = new Map([...disk.names].map(([name, file]) => [name, Buffer.from(file.bytes())]));
  t.deepEqual(after, before);
});

test.serial(
  'of a table with a damaged block everything else is held, and with hideOlder none also what it hid',
  async (t) => {
    const { disk, units } = await soundDisk();
    const { entries } = readSound(disk);
    for (const { file, start } of units.filter(({ kind }) => kind === 'block')) {
      const damage = (copy: SimulatedDisk): void => flip(copy, file, start + 77);
      const { report, contents } = await repaired(t, disk, damage, { hideOlder: 'none' });
      const left = entries.filter(
        (entry) => entry.file !== file || entry.offset !== start || entry.end !== undefined,
      );
      t.deepEqual(difference(contents, visibleIn(left)), [], `${file}@${start}`);
      const [lost] = report.lost;
      t.is(report.lost.length, 1);
      t.is(lost.what, 'blocks');
      t.is(lost.count, entries.length - left.length);
      t.is(lost.bytes % 4096, 0);
      const gone = entries.filter((entry) => !left.includes(entry));
      t.true(
        gone.every(({ key }) => isIn(key, lost.ranges)),
        'the ranges have every key that is lost',
      );
    }
  },
);

test.serial('what was deleted or overwritten in a damaged block does not come back', async (t) => {
  const { disk, contents: expected, units } = await soundDisk();
  const { entries, tables } = readSound(disk);
  let hidden = 0;
  for (const { file, start } of units.filter(({ kind }) => kind === 'block')) {
    const damage = (copy: SimulatedDisk): void => flip(copy, file, start + 77);
    const { report, contents } = await repaired(t, disk, damage);
    hidden += report.hiddenKeys;
    const gone = new Set(
      entries
        .filter((entry) => entry.file === file && entry.offset === start && entry.end === undefined)
        .map(({ key }) => key),
    );
    const number = tables.find((table) => tableName(table.number) === file)?.number ?? 0;
    for (const key of difference(contents, expected)) {
      t.is(contents.get(key), undefined, `${key} is right or absent`);
      t.true(isIn(key, report.lost[0].ranges), `${key} is in a range that is said to be lost`);
      t.true(
        gone.has(key) || mayHave(disk, number, key),
        `${key} was in the block, as far as the filter tells`,
      );
    }
    t.false(report.lost[0].olderMayShow);
  }
  t.true(hidden > 0, 'something was hidden');
});

test.serial('what is hidden is put aside', async (t) => {
  const { disk, units } = await soundDisk();
  const tables = namesOn(disk, 'table');
  const block = units.find(({ kind, file }) => kind === 'block' && file === tables[tables.length - 1]);
  const damage = (copy: SimulatedDisk): void => flip(copy, block!.file, block!.start + 77);
  const { report, disk: after } = await repaired(t, disk, damage);
  t.true(report.hiddenKeys > 0);
  const kept = [...after.names.keys()].filter((name) => /^lost-000001\/.*\.sst$/.test(name));
  t.is(kept.length, 2, 'the damaged table, and one of what is hidden');
});

for (const kind of ['index', 'filter', 'properties', 'padding of a table', 'footer'] as const) {
  test.serial(`a table with a damaged ${kind} loses nothing`, async (t) => {
    const { disk, contents: expected, units } = await soundDisk();
    for (const { file, start, end } of units.filter((unit) => unit.kind === kind)) {
      for (const at of new Set([start, (start + end) >> 1, end - 1])) {
        const { report, contents } = await repaired(t, disk, (copy) => flip(copy, file, at), {
          hideOlder: 'none',
        });
        t.deepEqual(difference(contents, expected), [], `${file}@${at}`);
        t.deepEqual(report.lost, [], `${file}@${at}`);
        t.is(report.tablesReplaced, 1);
      }
    }
  });
}

test.serial(
  'a table that lost its range tombstones says so, and what they deleted comes back unless it is hidden',
  async (t) => {
    const { disk, contents: expected, units } = await soundDisk();
    const { entries } = readSound(disk);
    for (const { file, start } of units.filter(({ kind }) => kind === 'range tombstones')) {
      const damage = (copy: SimulatedDisk): void => flip(copy, file, start + 1);
      const left = entries.filter((entry) => entry.file !== file || entry.end === undefined);
      const { report, contents } = await repaired(t, disk, damage);
      t.deepEqual(difference(contents, visibleIn(left)), []);
      const [lost] = report.lost;
      t.is(lost.what, 'range tombstones');
      t.is(lost.count, entries.length - left.length);
      t.true(lost.olderMayShow);
      t.true(difference(contents, expected).every((key) => isIn(key, lost.ranges)));
      const strict = await repaired(t, disk, damage, { hideOlder: 'all' });
      for (const key of difference(strict.contents, expected)) t.is(strict.contents.get(key), undefined, key);
      t.false(strict.report.lost[0].olderMayShow);
    }
  },
);

test.serial(
  'a footer and an index that are damaged together leave the blocks to be found by themselves',
  async (t) => {
    const { disk, contents: expected, units } = await soundDisk();
    for (const file of namesOn(disk, 'table')) {
      const of = (kind: Unit['kind']): Unit =>
        units.find((unit) => unit.file === file && unit.kind === kind)!;
      const hasRanges = units.some((unit) => unit.file === file && unit.kind === 'range tombstones');
      const damage = (copy: SimulatedDisk): void => {
        flip(copy, file, of('footer').start);
        flip(copy, file, of('index').start + 9);
      };
      const { report, contents } = await repaired(t, disk, damage, { hideOlder: 'none' });
      if (!hasRanges) t.deepEqual(difference(contents, expected), []);
      t.true(report.lost.every(({ what }) => what === 'range tombstones'));
    }
  },
);

test.serial('a table that is missing, empty or cut costs what is not there', async (t) => {
  const { disk, contents: expected } = await soundDisk();
  const { entries, tables } = readSound(disk);
  for (const { number, metaOffset } of tables) {
    const file = tableName(number);
    const cases: readonly [string, (copy: SimulatedDisk) => void, (entry: PlacedEntry) => boolean][] = [
      ['missing', (copy) => copy.names.delete(file), () => false],
      ['empty', (copy) => fileOn(copy, file).truncate(0), () => false],
      [
        'cut',
        (copy) => fileOn(copy, file).truncate(4096),
        ({ offset, end }) => offset === 0 && end === undefined,
      ],
      ['without a tail', (copy) => fileOn(copy, file).truncate(metaOffset), ({ end }) => end === undefined],
    ];
    for (const [name, damage, isLeft] of cases) {
      const left = entries.filter((entry) => entry.file !== file || isLeft(entry));
      const { report, contents } = await repaired(t, disk, damage, { hideOlder: 'none' });
      t.deepEqual(difference(contents, visibleIn(left)), [], `${file} ${name}`);
      t.is(
        report.lost.reduce((sum, { count }) => sum + (count ?? 0), 0),
        entries.length - left.length,
        `${file} ${name}`,
      );
      const strict = await repaired(t, disk, damage, { hideOlder: 'all' });
      for (const key of difference(strict.contents, expected)) t.is(strict.contents.get(key), undefined, key);
    }
  }
});

test.serial('a table with bytes behind its end is cut to its length', async (t) => {
  const { disk, contents: expected } = await soundDisk();
  for (const file of namesOn(disk, 'table')) {
    const damage = (copy: SimulatedDisk): void => fileOn(copy, file).truncate(fileOn(copy, file).size + 4096);
    const { report, contents } = await repaired(t, disk, damage);
    t.deepEqual(difference(contents, expected), []);
    t.deepEqual(report.lost, []);
  }
});

test.serial(
  'of a damaged log what comes before the damage is held, and what lies behind it only if that is asked for',
  async (t) => {
    const { disk, units } = await soundDisk();
    const { entries } = readSound(disk);
    const frames = units.filter(({ kind }) => kind === 'frame');
    t.true(frames.length >= 6);
    for (const { file, start } of frames) {
      const damage = (copy: SimulatedDisk): void => flip(copy, file, start + 33);
      const first = entries.find((entry) => entry.file === file && entry.offset === start)?.sequence;
      if (first === undefined) continue;
      const { report, contents } = await repaired(t, disk, damage);
      t.deepEqual(
        difference(contents, visibleIn(entries.filter(({ sequence }) => sequence < first))),
        [],
        `${start}`,
      );
      t.true(report.lost.every(({ what }) => what === 'log records'));
      const all = await repaired(t, disk, damage, { takeBehindGaps: true });
      const isLeft = (entry: PlacedEntry): boolean => entry.file !== file || entry.offset !== start;
      t.deepEqual(difference(all.contents, visibleIn(entries.filter(isLeft))), [], `${start}`);
      t.is(all.report.lost[0].firstSequence, first);
      const lostRecords = report.lost.reduce((sum, { count }) => sum + (count ?? 0), 0);
      t.is(lostRecords, entries.filter(({ sequence }) => sequence >= first).length);
    }
  },
);

test.serial('damage to a part of a log that tables hold costs nothing', async (t) => {
  const { disk, contents: expected, units } = await soundDisk();
  const { flushedSequence, entries } = readSound(disk);
  const frames = units.filter(({ kind }) => kind === 'frame');
  const needed = new Set(
    entries
      .filter(({ sequence }) => sequence > flushedSequence)
      .map(({ file, offset }) => `${file}@${offset}`),
  );
  const flushed = frames.filter(({ file, start }) => !needed.has(`${file}@${start}`));
  t.true(flushed.length > 0, 'the log begins with what is in tables');
  for (const { file, start } of [flushed[0], flushed[flushed.length - 1]]) {
    const { report, contents } = await repaired(t, disk, (copy) => flip(copy, file, start + 40));
    t.deepEqual(difference(contents, expected), []);
    t.deepEqual(report.lost, []);
  }
});

test.serial('a log that is missing costs what only it had', async (t) => {
  const { disk } = await soundDisk();
  const { entries, flushedSequence } = readSound(disk);
  const file = entries.find(({ sequence }) => sequence > flushedSequence)?.file ?? '';
  const { report, contents } = await repaired(t, disk, (copy) => copy.names.delete(file));
  t.deepEqual(difference(contents, visibleIn(entries.filter((entry) => entry.file !== file))), []);
  t.deepEqual(
    report.lost.map(({ what, firstSequence }) => ({ what, firstSequence })),
    [{ what: 'log records', firstSequence: flushedSequence + 1 }],
  );
});

test.serial('several damages at once', async (t) => {
  const { disk, units } = await soundDisk();
  const { entries } = readSound(disk);
  const blocks = units.filter(({ kind }) => kind === 'block');
  const chosen = [blocks[0], blocks[blocks.length - 1], units.filter(({ kind }) => kind === 'frame').at(-1)!];
  const damage = (copy: SimulatedDisk): void => {
    for (const { file, start } of chosen) flip(copy, file, start + 50);
    copy.names.delete('CURRENT');
  };
  const isSection = ({ file, end }: PlacedEntry): boolean => file.endsWith('.sst') && end !== undefined;
  const isGone = (entry: PlacedEntry): boolean =>
    !isSection(entry) && chosen.some(({ file, start }) => entry.file === file && entry.offset === start);
  const { report, contents } = await repaired(t, disk, damage, { hideOlder: 'none' });
  t.deepEqual(difference(contents, visibleIn(entries.filter((entry) => !isGone(entry)))), []);
  t.is(report.manifest, 'kept');
  const again = await repairOn(copyOf(disk));
  t.false(again.isChanged);
});

test.serial('what was replaced is put aside whole, and the same repair can be done from there', async (t) => {
  const { disk, units } = await soundDisk();
  const block = units.find(({ kind }) => kind === 'block')!;
  const { report, disk: after } = await repaired(t, disk, (copy) => flip(copy, block.file, block.start));
  t.is(report.lostDirectory, '/memory/database/lost-000001');
  t.true(report.putAside.includes(block.file));
  t.true(report.putAside.includes('CURRENT'));
  for (const name of report.putAside) {
    const before = fileOn(disk, name);
    const aside = fileOn(after, `lost-000001/${name}`);
    t.is(aside.size, before.size);
    const expected = before.bytes();
    const changed = aside.bytes().filter((byte, at) => byte !== expected[at]).length;
    t.is(changed, name === block.file ? 1 : 0, name);
  }
  // An engine that has run in the repaired database has left it alone.
  await contentsOn(after);
  t.true(after.names.has(`lost-000001/${block.file}`));
});
