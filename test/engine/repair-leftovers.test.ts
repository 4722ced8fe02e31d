/**
 * Databases in which a crash left a table that a flush had finished and no manifest names, while the logs still hold all of
 * it: damage of that table is none, and costs nothing.
 */
import { basename } from 'node:path';
import test from 'ava';
import { unitsOf } from '../support/checked-units.ts';
import {
  contentsOn,
  copyOf,
  fileOn,
  namesOn,
  openOn,
  repairOn,
  smallDatabase,
  verifyOn,
  Writer,
  type Contents,
} from '../support/offline-databases.ts';
import { difference, flip } from '../support/repaired.ts';
import { metaOn } from '../support/surviving-model.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { keyOf, valueOf } from '../support/values.ts';

interface Crashed {
  readonly disk: SimulatedDisk;
  readonly contents: Contents;
  /** The table that no manifest names. */
  readonly leftover: string;
}

/** Reopened after a clean close, or just created; stopped when a flush had given its table a name, and had not written the edit that names it. */
async function crashedInFlush(isReopened: boolean): Promise<Crashed> {
  const disk = new SimulatedDisk();
  const contents = isReopened ? (await smallDatabase(disk)).contents : new Map<string, string>();
  const database = await openOn(disk);
  const writer = new Writer(database);
  for (const [key, value] of contents) writer.contents.set(key, value);
  for (let i = 0; i < 40; i++) await writer.put(keyOf(1000 + i), valueOf(500, i));
  const before = copyOf(disk);
  await database.flush();
  const leftover = namesOn(disk, 'table').at(-1)!;
  before.names.set(leftover, fileOn(copyOf(disk), leftover));
  await database.close();
  return { disk: before, contents: writer.contents, leftover };
}

test.serial('a damaged table that nobody needs is no damage', async (t) => {
  const { disk, contents, leftover } = await crashedInFlush(true);
  flip(disk, leftover, 100);
  t.deepEqual(difference(await contentsOn(copyOf(disk)), contents), []);
  t.deepEqual((await verifyOn(disk)).findings, []);
  t.false((await repairOn(disk)).isChanged);
});

test.serial(
  'records that logs hold are not lost with the damaged table of a flush that never counted',
  async (t) => {
    const { disk, contents, leftover } = await crashedInFlush(true);
    flip(disk, leftover, 100);
    disk.names.delete('CURRENT');
    const report = await repairOn(disk);
    t.deepEqual(report.lost, []);
    t.deepEqual((await verifyOn(disk)).findings, []);
    t.deepEqual(difference(await contentsOn(disk), contents), []);
  },
);

test.serial('a damaged block costs what it had, whatever a crash left of a flush', async (t) => {
  const { disk, contents, leftover } = await crashedInFlush(true);
  const [first] = namesOn(disk, 'table');
  for (const isDamaged of [false, true]) {
    const copy = copyOf(disk);
    if (isDamaged) flip(copy, leftover, 100);
    flip(copy, first, 100);
    const report = await repairOn(copy, { hideOlder: 'none' });
    t.is(report.manifest, 'kept');
    t.deepEqual(
      report.lost.map(({ file, what }) => ({ file: basename(file), what })),
      [{ file: first, what: 'blocks' }],
    );
    t.deepEqual((await verifyOn(copy)).findings, []);
    const left = await contentsOn(copy);
    for (let i = 0; i < 40; i++) t.is(left.get(keyOf(1000 + i)), contents.get(keyOf(1000 + i)));
  }
});

test.serial(
  'the table of a flush takes the place of records that logs have lost without a trace',
  async (t) => {
    const { disk, contents, leftover } = await crashedInFlush(false);
    const frames = unitsOf(disk).filter(({ kind }) => kind === 'frame');
    const { file, start } = frames[frames.length - 1];
    fileOn(disk, file).truncate(start);
    const { findings } = await verifyOn(disk);
    t.deepEqual(
      findings.map(({ code, file: path }) => ({ code, file: basename(path) })),
      [{ code: 'MANIFEST_CORRUPT', file: leftover }],
    );
    const report = await repairOn(disk);
    t.deepEqual(
      report.findings.map(({ message }) => message),
      findings.map(({ message }) => message),
    );
    t.deepEqual(report.lost, []);
    t.deepEqual((await verifyOn(disk)).findings, []);
    t.deepEqual(difference(await contentsOn(disk), contents), []);
  },
);

test.serial(
  'tables that the manifest has forgotten are no damage where logs hold all that is in them',
  async (t) => {
    const disk = new SimulatedDisk();
    const database = await openOn(disk);
    const writer = new Writer(database);
    for (let i = 0; i < 40; i++) await writer.put(keyOf(i), valueOf(100, i));
    for (let i = 0; i < 40; i += 2) await writer.del(keyOf(i));
    const before = copyOf(disk);
    await database.flush();
    await database.compactRange();
    const [table] = namesOn(disk, 'table').slice(-1);
    t.true(metaOn(disk, Number.parseInt(table, 10)).meta.properties.level > 0, 'a compaction made it');
    before.names.set(table, fileOn(copyOf(disk), table));
    await database.close();
    t.deepEqual(difference(await contentsOn(copyOf(before)), writer.contents), []);
    t.deepEqual((await verifyOn(before)).findings, []);
    t.false((await repairOn(before)).isChanged);
  },
);
