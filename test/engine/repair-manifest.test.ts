/**
 * Repairs of a database whose CURRENT or manifest is lost or damaged, in memory. After a clean close all of it comes back,
 * and nothing else; after a crash tables may be there that had been replaced, and what may come back is what those hold.
 */
import test from 'ava';
import { tableName } from '../../src/format/file-names.ts';
import type { Database } from '../../src/index.ts';
import { framesIn } from '../support/damage.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  bytesOn,
  fileOn,
  namesOn,
  openOn,
  SMALL,
  smallDatabase,
  verifyOn,
  Writer,
  type Contents,
} from '../support/offline-databases.ts';
import { Random } from '../support/random.ts';
import { difference, flip, repaired } from '../support/repaired.ts';
import { editsOn, readSound, tableEntries, type PlacedEntry } from '../support/surviving-model.ts';
import { keyOf, valueOf } from '../support/values.ts';

interface Built {
  readonly disk: SimulatedDisk;
  readonly contents: Contents;
}

let closed: Promise<Built> | undefined;

/** Closed cleanly. One for all tests, which damage copies. */
function closedDatabase(): Promise<Built> {
  closed ??= (async () => {
    const disk = new SimulatedDisk();
    const { contents } = await smallDatabase(disk);
    return { disk, contents };
  })();
  return closed;
}

function manifestOn(disk: SimulatedDisk): string {
  return namesOn(disk, 'manifest').at(-1) ?? '';
}

test.serial('CURRENT is lost or damaged, and the manifest says everything', async (t) => {
  const { disk, contents: expected } = await closedDatabase();
  const length = bytesOn(disk, 'CURRENT').length;
  const damages: ((copy: SimulatedDisk) => void)[] = [
    (copy) => copy.names.delete('CURRENT'),
    (copy) => fileOn(copy, 'CURRENT').truncate(0),
    (copy) => fileOn(copy, 'CURRENT').truncate(100_000),
    ...[0, 9, 12, length - 3, length - 1].map((at) => (copy: SimulatedDisk) => flip(copy, 'CURRENT', at)),
  ];
  for (const damage of damages) {
    const { report, contents } = await repaired(t, disk, damage);
    t.deepEqual(difference(contents, expected), []);
    t.is(report.manifest, 'kept');
    t.deepEqual(report.lost, []);
    t.is(report.tablesReplaced, 0);
  }
});

test.serial(
  'the manifest is lost, empty, cut anywhere or changed anywhere after a clean close, and nothing is missing or comes back',
  async (t) => {
    const { disk, contents: expected } = await closedDatabase();
    const manifest = manifestOn(disk);
    const { size } = fileOn(disk, manifest);
    const frames = framesIn(bytesOn(disk, manifest), manifest, 0);
    t.true(frames.length >= 5);
    const damages: [string, (copy: SimulatedDisk) => void][] = [
      ['lost', (copy) => copy.names.delete(manifest)],
      ['zeros', (copy) => fileOn(copy, manifest).write(new Uint8Array(fileOn(copy, manifest).size), 0, true)],
      ['lost with CURRENT', (copy) => [manifest, 'CURRENT'].forEach((name) => copy.names.delete(name))],
    ];
    for (let length = 0; length < size; length += 2048)
      damages.push([`cut to ${length}`, (copy) => fileOn(copy, manifest).truncate(length)]);
    for (const { offset, bytes } of frames) {
      for (const at of [0, 4, 8, 28, 29, 33, bytes - 1])
        damages.push([`changed at ${offset + at}`, (copy) => flip(copy, manifest, offset + at)]);
    }
    for (const [name, damage] of damages) {
      const { report, contents } = await repaired(t, disk, damage);
      t.deepEqual(difference(contents, expected), [], name);
      t.deepEqual(report.lost, [], name);
    }
  },
);

test.serial(
  'tables of which nothing says where they were are merged where they mix old and new',
  async (t) => {
    const disk = new SimulatedDisk();
    const compaction = {
      l0Trigger: 2,
      tableBytes: 65_536,
      baseBytes: 65_536,
      multiplier: 2,
      idleMs: 0,
      spareBytes: 0,
    };
    const database = await openOn(disk, { ...SMALL, compaction });
    const writer = new Writer(database);
    const random = new Random(7);
    for (let i = 0; i < 900; i++) {
      const key = keyOf(random.below(200));
      if (random.oneIn(8)) await writer.del(key);
      else if (random.oneIn(60)) await writer.deleteRange(key, `${key}5`);
      else await writer.put(key, valueOf(1000, i));
    }
    await database.close();
    const levels = new Set(readSound(disk).tables.map(({ level }) => level));
    t.true(levels.size >= 2, `tables are at levels ${[...levels].join(', ')}`);
    const damage = (copy: SimulatedDisk): void => void copy.names.delete(manifestOn(copy));
    const { report, contents, disk: after } = await repaired(t, disk, damage);
    t.deepEqual(difference(contents, writer.contents), []);
    t.is(report.manifest, 'rebuilt');
    t.true(report.tablesReplaced > 1);
    t.true(readSound(after).tables.some(({ level }) => level === 6));
  },
);

test.serial('tables that flushes made stay as they are', async (t) => {
  const disk = new SimulatedDisk();
  const database = await openOn(disk);
  const writer = new Writer(database);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 30; i++) await writer.put(keyOf(i), valueOf(50, 100 * round + i));
    await database.flush();
  }
  await database.close();
  const { report, contents } = await repaired(t, disk, (copy) => copy.names.delete(manifestOn(copy)));
  t.deepEqual(difference(contents, writer.contents), []);
  t.is(report.tablesKept, 3);
  t.is(report.tablesReplaced, 0);
});

test.serial(
  'without a manifest a log is read by the number that its frames agree on, if there are two',
  async (t) => {
    for (const frames of [1, 2, 20]) {
      const disk = new SimulatedDisk();
      const database = await openOn(disk);
      const writer = new Writer(database);
      for (let i = 0; i < frames; i++) await writer.put(keyOf(i), valueOf(50, i));
      await database.close();
      const damage = (copy: SimulatedDisk): void => void copy.names.delete(manifestOn(copy));
      const { report, contents } = await repaired(t, disk, damage);
      t.deepEqual(difference(contents, frames === 1 ? new Map<string, never>() : writer.contents), []);
      t.deepEqual(
        report.lost.map(({ what, count }) => ({ what, count })),
        frames === 1 ? [{ what: 'log records', count: null }] : [],
      );
    }
  },
);

/** What a crash leaves while files of replaced tables are kept, and which of the tables those are. */
async function crashedWithSpares(): Promise<Built & { readonly stale: readonly number[] }> {
  const disk = new SimulatedDisk();
  const compaction = { automatic: false, spareBytes: 1 << 24 };
  const database = await openOn(disk, { ...SMALL, compaction });
  const writer = new Writer(database);
  for (let i = 0; i < 90; i++) await writer.put(keyOf(i), valueOf(60, i));
  await database.compactRange();
  for (let i = 0; i < 90; i += 2) await writer.put(keyOf(i), valueOf(60, 1000 + i));
  for (let i = 0; i < 90; i += 5) await writer.del(keyOf(i));
  await writer.deleteRange(keyOf(30), keyOf(36));
  await writer.put(keyOf(33), valueOf(60, 3000));
  await database.compactRange();
  for (let i = 1; i < 90; i += 9) await writer.put(keyOf(i), valueOf(60, 2000 + i));
  await writer.put('new', valueOf(10, 1));
  const image = disk.crashed('everything');
  await database.close();
  const named = new Set(readSound(image).tables.map(({ number }) => number));
  const stale = namesOn(image, 'table')
    .map((name) => Number.parseInt(name, 10))
    .filter((number) => !named.has(number));
  return { disk: image, contents: writer.contents, stale };
}

/** Keys that a table says something of, each with what it says: values, and undefined for a deletion. */
function saidBy(
  entries: readonly PlacedEntry[],
  keys: Iterable<string>,
): Map<string, Set<string | undefined>> {
  const said = new Map<string, Set<string | undefined>>();
  const note = (key: string, value: string | undefined): void => {
    said.set(key, (said.get(key) ?? new Set()).add(value));
  };
  for (const { key, value, end } of entries) if (end === undefined) note(key, value);
  for (const { key: start, end } of entries) {
    if (end === undefined) continue;
    for (const key of keys) if (key >= start && (end === '' || key < end)) note(key, undefined);
  }
  return said;
}

test.serial('after a crash with a good manifest no table that was replaced is used', async (t) => {
  const { disk, contents: expected, stale } = await crashedWithSpares();
  t.true(stale.length >= 2, 'tables are there that had been replaced');
  const { report, contents } = await repaired(t, disk, (copy) => copy.names.delete('CURRENT'));
  t.deepEqual(difference(contents, expected), []);
  t.is(report.manifest, 'kept');
  t.deepEqual([...report.unusedTables].sort(), stale.map(tableName).sort());
});

test.serial(
  'after a crash with a lost manifest nothing comes back but what tables hold that had been replaced',
  async (t) => {
    const { disk, contents: expected, stale } = await crashedWithSpares();
    let cameBack = 0;
    // All of them are there, or some are gone already: among them those that deleted what others hold.
    for (const gone of [undefined, ...stale]) {
      const left = stale.filter((number) => number !== gone);
      const said = saidBy(
        left.flatMap((number) => tableEntries(disk, number)),
        expected.keys(),
      );
      const { report, contents } = await repaired(t, disk, (copy) => {
        copy.names.delete(manifestOn(copy));
        if (gone !== undefined) copy.names.delete(tableName(gone));
      });
      t.is(report.manifest, 'rebuilt');
      const different = difference(contents, expected);
      for (const key of different)
        t.true(said.get(key)?.has(contents.get(key)), `${key} is as a replaced table has it`);
      t.is(contents.get('new'), expected.get('new'), 'what is in the log alone is as it was');
      cameBack += different.length;
    }
    t.true(cameBack > 0, 'something comes back: the test has what it is about');
  },
);

test.serial(
  'after a crash with a damaged manifest what is left of it tells which tables had been replaced',
  async (t) => {
    const { disk, contents: expected, stale } = await crashedWithSpares();
    const manifest = manifestOn(disk);
    const frames = framesIn(bytesOn(disk, manifest), manifest, 0);
    const entries = stale.flatMap((number) => tableEntries(disk, number));
    const said = saidBy(entries, expected.keys());
    const edits = editsOn(disk);
    for (const [i, { offset }] of frames.entries()) {
      const { report, contents } = await repaired(t, disk, (copy) => flip(copy, manifest, offset + 40));
      const lostDeletion = edits[i].deleted.length > 0;
      for (const key of difference(contents, expected)) {
        t.true(lostDeletion, `${key}: the edit that is lost replaced tables`);
        t.true(said.get(key)?.has(contents.get(key)), `${key} is as a replaced table has it`);
      }
      if (!lostDeletion) t.true(report.unusedTables.length > 0);
    }
  },
);

/** Closed databases of which the manifest lost its last edits, as if they had been torn. */
async function withoutLastEdits(
  write: (database: Database, writer: Writer) => Promise<void>,
  isLost: (edit: ReturnType<typeof editsOn>[number]) => boolean,
): Promise<Built> {
  const disk = new SimulatedDisk();
  const database = await openOn(disk);
  const writer = new Writer(database);
  await write(database, writer);
  const image = disk.crashed('everything');
  await database.close();
  const manifest = manifestOn(image);
  const frames = framesIn(bytesOn(image, manifest), manifest, 0);
  const first = editsOn(image).findLastIndex(isLost);
  fileOn(image, manifest).truncate(frames[first].offset);
  return { disk: image, contents: writer.contents };
}

test.serial('a flush that no manifest came to name stands in for a log that is damaged', async (t) => {
  const { disk, contents: expected } = await withoutLastEdits(
    async (database, writer) => {
      for (let i = 0; i < 20; i++) await writer.put(keyOf(i), valueOf(60, i));
      await database.flush();
      for (let i = 10; i < 30; i++) await writer.put(keyOf(i), valueOf(60, 100 + i));
      await database.flush();
      await writer.put('behind', Buffer.from('it'));
    },
    ({ added }) => added.length > 0,
  );
  t.true((await verifyOn(disk)).isSound, 'the logs hold all of it');
  const { flushedSequence, entries } = readSound(disk);
  const { file, offset } = entries.find(({ sequence }) => sequence === flushedSequence + 5)!;
  const { report, contents } = await repaired(t, disk, (copy) => flip(copy, file, offset + 33));
  t.is(report.manifest, 'kept');
  t.deepEqual(difference(contents, expected), []);
  t.deepEqual(report.lost, []);
});

test.serial(
  'a compaction that the manifest has forgotten is found by the tables that are there',
  async (t) => {
    const { disk, contents: expected } = await withoutLastEdits(
      async (database, writer) => {
        for (let i = 0; i < 60; i++) await writer.put(keyOf(i), valueOf(60, i));
        await database.flush();
        for (let i = 0; i < 60; i += 2) await writer.del(keyOf(i));
        await database.compactRange();
        while (database.stats().tableFiles.removing > 0)
          await new Promise((resolve) => setImmediate(resolve));
      },
      ({ deleted }) => deleted.length > 0,
    );
    const verified = await verifyOn(disk);
    t.true(
      verified.findings.some(({ message }) => message.includes('missing')),
      'its inputs are gone',
    );
    const { report, contents } = await repaired(t, disk, () => undefined);
    t.is(report.manifest, 'rebuilt');
    t.deepEqual(difference(contents, expected), []);
  },
);

test.serial(
  'a table that a compaction made while writes were only in the log does not claim those',
  async (t) => {
    const disk = new SimulatedDisk();
    const compaction = { automatic: true, l0Trigger: 2, idleMs: 0, spareBytes: 0 };
    const database = await openOn(disk, { ...SMALL, compaction });
    const writer = new Writer(database);
    for (let i = 0; i < 30; i++) await writer.put(keyOf(i), valueOf(60, i));
    await database.flush();
    for (let i = 0; i < 30; i++) await writer.put(keyOf(i), valueOf(60, 100 + i));
    const flushed = database.flush();
    // In memory and in the log, while the flush and the compaction behind it are under way.
    for (let i = 0; i < 40; i++) await writer.put(keyOf(i), valueOf(60, 200 + i));
    await flushed;
    while (database.stats().levels.every(({ level }) => level === 0))
      await new Promise((resolve) => setImmediate(resolve));
    const image = disk.crashed('everything');
    await database.close();
    const compacted = readSound(image).tables.find(({ level }) => level > 0);
    t.true(compacted !== undefined && compacted.createdAtSequence <= readSound(image).flushedSequence);
    const { contents } = await repaired(t, image, (copy) => copy.names.delete(manifestOn(copy)));
    t.deepEqual(difference(contents, writer.contents), []);
  },
);
