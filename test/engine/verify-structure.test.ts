/**
 * What no checksum gives away: tables whose parts contradict each other, or that contradict the manifest or each other. All of
 * it is resealed, so that every checksum holds.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Database, type VerifyReport } from '../../src/index.ts';
import { tableName } from '../../src/format/file-names.ts';
import { readU16, writeU16, writeU48 } from '../../src/format/integers.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import { nodeRepairFiles } from '../../src/main/repair-files.ts';
import { installCurrent, writeManifest } from '../../src/main/repair-manifest.ts';
import { buildTable, put, tombstone, type Entry, type Table } from '../format/tables.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { reseal, sectionsOf } from '../support/resealed.ts';
import { keyOf } from '../support/values.ts';

const MANIFEST = 900;

/** A few blocks of 4 KiB. */
function entriesFrom(first: number, count: number, sequence: number): Entry[] {
  return Array.from({ length: count }, (_, i) => put(keyOf(first + i), sequence + i, 'v'.repeat(100)));
}

function write(
  t: ExecutionContext,
  tables: readonly Table[],
  change: (description: TableDescription) => TableDescription = (description) => description,
  lastSequence = 100_000,
): string {
  const directory = temporaryDirectory(t);
  for (const { bytes, fileNumber } of tables) writeFileSync(join(directory, tableName(fileNumber)), bytes);
  const descriptions = tables.map(({ description }) => change(description));
  const state = { manifestNumber: MANIFEST, databaseSalt: 1, lastSequence, tables: descriptions };
  writeManifest(nodeRepairFiles, directory, state);
  installCurrent(nodeRepairFiles, directory, MANIFEST);
  return directory;
}

async function expectFinding(t: ExecutionContext, directory: string, pattern: RegExp): Promise<VerifyReport> {
  const report = await Database.verify(directory);
  t.true(
    report.findings.some(({ message }) => pattern.test(message)),
    `${String(pattern)} is not among ${report.findings.map(({ message }) => message).join('; ')}`,
  );
  return report;
}

const TABLE = 7;

/** A table that was changed, and of which every checksum holds. */
function changed(change: (bytes: Uint8Array) => void, entries = entriesFrom(0, 100, 1)): Table {
  const table = buildTable(entries, { fileNumber: TABLE });
  const bytes = Uint8Array.from(table.bytes);
  change(bytes);
  reseal(bytes, TABLE);
  return { ...table, bytes };
}

test('tables of the builder are sound', async (t) => {
  const report = await Database.verify(write(t, [changed(() => undefined)]));
  t.deepEqual(report.findings, []);
});

const INDEX_RECORD = 8;
const BLOCK_CHANGES: Record<string, { change: (bytes: Uint8Array) => void; finding: RegExp }> = {
  'an empty bucket that should lead to a key': {
    change: (bytes) => {
      const used = Array.from({ length: 1 << readU16(bytes, 2) }, (_, i) => 16 + 2 * i).find(
        (at) => readU16(bytes, at) !== 0,
      )!;
      writeU16(bytes, used, 0);
    },
    finding: /used buckets/,
  },
  'an offset that is no entry': {
    change: (bytes) => {
      const offsets = 16 + (2 << readU16(bytes, 2));
      writeU16(bytes, offsets + 2, readU16(bytes, offsets + 2) + 1);
    },
    finding: /offset that is not an entry/,
  },
  'two entries out of order': {
    change: (bytes) => {
      const second = readU16(bytes, 16 + (2 << readU16(bytes, 2)) + 2);
      bytes[second + 2] = 0;
    },
    finding: /out of order|bucket does not lead/,
  },
  'numbers beyond those of the table': {
    change: (bytes) => writeU48(bytes, 8, 5000),
    finding: /sequence number outside/,
  },
  'bytes in a block’s padding': {
    change: (bytes) => (bytes[4096 - 20] = 1),
    finding: /padding is not zero/,
  },
  'a first key in the index that is not the block’s': {
    change: (bytes) => {
      const { filter } = sectionsOf(bytes);
      bytes[filter - 5]++;
    },
    finding: /another first key/,
  },
  'another prefix length in the index': {
    change: (bytes) => writeU16(bytes, sectionsOf(bytes).index + INDEX_RECORD + 6, 1),
    finding: /another prefix length/,
  },
  'another number of buckets in the index': {
    change: (bytes) => {
      bytes[sectionsOf(bytes).index + INDEX_RECORD + 10]++;
    },
    finding: /another number of buckets/,
  },
  'a filter without a key': {
    change: (bytes) => {
      const { filter, properties } = sectionsOf(bytes);
      bytes.fill(0, filter, properties - 8);
    },
    finding: /filter does not know/,
  },
};

for (const [name, { change, finding }] of Object.entries(BLOCK_CHANGES)) {
  test(`${name}, with checksums that hold`, async (t) => {
    const directory = write(t, [changed(change)]);
    await expectFinding(t, directory, finding);
    await Database.repair(directory);
    t.deepEqual((await Database.verify(directory)).findings, [], 'and is repaired');
  });
}

test('properties that say something else than the entries, or than the manifest', async (t) => {
  const other = buildTable(entriesFrom(0, 100, 1), { fileNumber: TABLE });
  const shorter = changed((bytes) => {
    const { properties } = sectionsOf(bytes);
    // Level, block bytes (two bytes), compression, filter bits, blocks, data bytes (two), entries.
    bytes[properties + 8]--;
  });
  await expectFinding(
    t,
    write(t, [shorter], () => ({ ...other.description, entries: 99 })),
    /entries 99 of a table with 100/,
  );
  const cases: [Partial<TableDescription>, RegExp][] = [
    [{ entries: 101 }, /entries/],
    [{ deletions: 1 }, /deletions/],
    [{ largestSequence: 101 }, /largestSequence/],
    [{ rawBytes: 1 }, /rawBytes/],
    [{ largestKey: Buffer.from('key-1') }, /other keys/],
    [{ createdAtSequence: 1 }, /createdAtSequence/],
  ];
  for (const [change, finding] of cases)
    await expectFinding(
      t,
      write(t, [other], (description) => ({ ...description, ...change })),
      finding,
    );
});

test('what open refuses of a manifest is found, and mended', async (t) => {
  const table = buildTable(entriesFrom(0, 100, 1), { fileNumber: TABLE });
  const cases: { change: Partial<TableDescription>; lastSequence?: number; finding: RegExp }[] = [
    { change: {}, lastSequence: 50, finding: /sequence numbers up to 100, tables end at 50/ },
    { change: { metaOffset: table.description.metaOffset + 1 }, finding: /its blocks end at/ },
    { change: { number: MANIFEST }, finding: /has the manifest's number/ },
  ];
  for (const { change, lastSequence, finding } of cases) {
    const directory = write(t, [table], (description) => ({ ...description, ...change }), lastSequence);
    await expectCode(t, 'MANIFEST_CORRUPT', () => Database.open(directory, { io: { backend: 'syscall' } }));
    await expectFinding(t, directory, finding);
    await Database.repair(directory);
    t.deepEqual((await Database.verify(directory)).findings, []);
    const database = await Database.open(directory, { io: { backend: 'syscall' } });
    t.is((await database.get(keyOf(99)))?.length, 100);
    await database.close();
  }
});

test('tables of a sorted level that overlap', async (t) => {
  const tables = [
    buildTable(entriesFrom(0, 10, 1), { fileNumber: 1 }),
    buildTable(entriesFrom(9, 10, 100), { fileNumber: 2 }),
  ];
  const directory = write(t, tables, (description) => ({ ...description, level: 6 }));
  await expectFinding(t, directory, /tables 1 and 2 of level 6 overlap/);
  const report = await Database.repair(directory);
  t.is(report.manifest, 'rebuilt');
  t.deepEqual((await Database.verify(directory)).findings, []);
});

test('an older version above a newer one, of a key or of a range of keys', async (t) => {
  const level = (number: number) => (description: TableDescription) => ({
    ...description,
    level: description.number === number ? 6 : 0,
  });
  const above = buildTable([put('a', 5, 'old'), put('b', 60)], { fileNumber: 1 });
  const newer = buildTable([put('a', 50, 'new')], { fileNumber: 2 });
  const directory = write(t, [above, newer], level(2));
  await expectFinding(t, directory, /older version of a key above a newer one: "a"/);
  // Put together by their numbers, the newer one is read.
  await Database.repair(directory);
  t.deepEqual((await Database.verify(directory)).findings, []);
  const database = await Database.open(directory, { io: { backend: 'syscall' } });
  t.is(database.getString('a'), 'new');
  await database.close();

  const deleted = buildTable([tombstone('a', 50)], { fileNumber: 2 });
  await expectFinding(t, write(t, [above, deleted], level(2)), /older version of a key above/);
  const same = buildTable([put('a', 5, 'old')], { fileNumber: 2 });
  await expectFinding(t, write(t, [above, same], level(2)), /version of a key that another table has too/);
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
  const range = buildTable([put('z', 1)], {
    fileNumber: 2,
    rangeTombstones: [{ start: bytes('a'), end: bytes('b'), sequences: [50] }],
  });
  await expectFinding(t, write(t, [above, range], level(2)), /above a newer range tombstone: "a"/);
});
