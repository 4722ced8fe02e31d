/**
 * Files that somebody made who means harm, by what they say: every checksum holds, and lengths, numbers and names lie.
 * The answer is a clear error, soon, without taking the memory that they claim, and with everything left as it was.
 */
import { closeSync, cpSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Database, QuadringError, type DatabaseOptions, type ErrorCode } from '../../src/index.ts';
import { FRAME_FULL, FRAME_HEADER_BYTES, writeFrameHeader } from '../../src/format/frame.ts';
import { PAGE_BYTES, SEQUENCE_MAX } from '../../src/format/limits.ts';
import { parseFileName } from '../../src/format/file-names.ts';
import { encodeVersionEdit, type TableDescription, type VersionEdit } from '../../src/format/version-edit.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { manifestEdits, manifestPath } from '../support/damage.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { forgeCurrent, forgeManifest, lengthen, statesBelow } from '../support/forge.ts';
import { ioOf } from '../support/io-setting.ts';
import { Random, testSeed } from '../support/random.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const GIBIBYTE = 2 ** 30;
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 65_536,
  blockCacheBytes: MEBIBYTE,
  compaction: { automatic: false, l0Stop: 48 },
};
/** What an open may take at most where a file claims gigabytes: in time on a busy machine, and in memory. */
const REFUSAL_MS_MAX = 20_000;
const REFUSAL_BYTES_MAX = 96 * MEBIBYTE;
const ENTRIES = 100;
const TABLES = 3;
/** Changed manifests. */
const TRIALS = 40;

/** A closed database of some tables in level 0, and entries in a log. */
async function makeDatabase(t: ExecutionContext, backend: Backend): Promise<string> {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, OPTIONS);
  for (let table = 0; table < TABLES; table++) {
    for (let i = 0; i < ENTRIES; i++) void database.put(keyOf(i), valueOf(100, i + table));
    await database.flush();
  }
  await database.put('last', 'in the log');
  await database.close();
  return directory;
}

/** Refused with the code, soon, in little memory, and nothing has changed. Gives the error. */
async function expectHarmless(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  code: ErrorCode,
): Promise<QuadringError> {
  const before = statesBelow(directory);
  const rss = process.memoryUsage.rss();
  const begun = performance.now();
  let most = rss;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5);
  try {
    const error = await expectCode(t, code, async () =>
      (await Database.open(directory, { ...OPTIONS, io: ioOf(backend) })).close(),
    );
    most = Math.max(most, process.memoryUsage.rss());
    const took = performance.now() - begun;
    t.true(took < REFUSAL_MS_MAX, `${took.toFixed(0)} ms: ${error.message}`);
    t.true(most - rss < REFUSAL_BYTES_MAX, `${((most - rss) / MEBIBYTE).toFixed(0)} MiB: ${error.message}`);
    t.deepEqual(statesBelow(directory), before, error.message);
    return error;
  } finally {
    clearInterval(watch);
  }
}

testBackends('a CURRENT that names something outside, or is endless', async (t, backend) => {
  const directory = await makeDatabase(t, backend);
  const manifest = basename(manifestPath(directory));
  const current = join(directory, 'CURRENT');
  const names = [
    `../db/${manifest}`,
    `./${manifest}`,
    `/etc/${manifest}`,
    `${manifest}\0`,
    `${manifest}/..`,
    '..',
    '',
  ];
  for (const name of [...names, 'MANIFEST-99999999999', '000001.sst', 'LOCK']) {
    forgeCurrent(directory, name);
    await expectHarmless(t, directory, backend, 'CURRENT_CORRUPT');
  }
  forgeCurrent(directory, manifest);
  const whole = readFileSync(current);
  lengthen(current, 10 * GIBIBYTE);
  await expectHarmless(t, directory, backend, 'CURRENT_CORRUPT');
  writeFileSync(current, whole);
  await expectValue(t, await openDatabase(t, directory, backend, OPTIONS), 'last', 'in the log');
});

testBackends('a manifest, a log or a table of gigabytes of nothing', async (t, backend) => {
  const directory = await makeDatabase(t, backend);
  const [log] = namesEnding(directory, '.wal');
  const [table] = namesEnding(directory, '.sst');
  for (const [name, code] of [
    [basename(manifestPath(directory)), 'MANIFEST_CORRUPT'],
    [table, 'TABLE_CORRUPT'],
  ] as const) {
    const path = join(directory, name);
    const whole = readFileSync(path);
    lengthen(path, 10 * GIBIBYTE);
    await expectHarmless(t, directory, backend, code);
    writeFileSync(path, whole);
  }
  // Without a clean close all of a log is looked at.
  forgeManifest(directory, (edits) => edits.map((edit) => ({ ...edit, cleanClose: false, logEnds: [] })));
  lengthen(join(directory, log), 10 * GIBIBYTE);
  await expectHarmless(t, directory, backend, 'LOG_CORRUPT');
});

testBackends(
  'a manifest that ends in a quarter of a gibibyte of zeros is read in little memory',
  async (t, backend) => {
    const directory = await makeDatabase(t, backend);
    lengthen(manifestPath(directory), GIBIBYTE / 4);
    const rss = process.memoryUsage.rss();
    const database = await openDatabase(t, directory, backend, OPTIONS);
    const grown = process.memoryUsage.rss() - rss;
    t.true(grown < REFUSAL_BYTES_MAX, `${(grown / MEBIBYTE).toFixed(0)} MiB`);
    await expectValue(t, database, 'last', 'in the log');
  },
);

testBackends('a table that no version names, of gigabytes, is not read to be removed', async (t, backend) => {
  const directory = await makeDatabase(t, backend);
  const [table] = namesEnding(directory, '.sst');
  const garbage = join(directory, '000900.sst');
  writeFileSync(garbage, readFileSync(join(directory, table)));
  lengthen(garbage, 10 * GIBIBYTE);
  const rss = process.memoryUsage.rss();
  const database = await openDatabase(t, directory, backend, OPTIONS);
  const grown = process.memoryUsage.rss() - rss;
  t.true(grown < REFUSAL_BYTES_MAX, `${(grown / MEBIBYTE).toFixed(0)} MiB`);
  t.false(namesEnding(directory, '.sst').includes('000900.sst'));
  await expectValue(t, database, 'last', 'in the log');
});

/** Pages that begin like frames of the file, and say that they are as long as a frame can be. */
function writeImitations(file: string, from: number, pages: number): void {
  const { number } = parseFileName(basename(file))!;
  const page = new Uint8Array(PAGE_BYTES).fill(0x41);
  const payloadLength = MEBIBYTE - FRAME_HEADER_BYTES;
  writeFrameHeader(page, 0, {
    kind: FRAME_FULL,
    fileNumber: number,
    firstSequence: 1,
    count: 1,
    payloadLength,
  });
  const descriptor = openSync(file, 'r+');
  try {
    for (let i = 0; i < pages; i++) writeSync(descriptor, page, 0, PAGE_BYTES, from + i * PAGE_BYTES);
  } finally {
    closeSync(descriptor);
  }
}

testBackends(
  'files full of what looks like the beginnings of frames do not take for ever',
  async (t, backend) => {
    const directory = await makeDatabase(t, backend);
    const manifest = manifestPath(directory);
    const whole = readFileSync(manifest);
    writeImitations(manifest, whole.length, 16_384);
    await expectHarmless(t, directory, backend, 'MANIFEST_CORRUPT');
    writeFileSync(manifest, whole);
    // In a log that was used again they may be somebody's values, and then are no reason to refuse it.
    forgeManifest(directory, (edits) => edits.map((edit) => ({ ...edit, cleanClose: false, logEnds: [] })));
    const [log] = namesEnding(directory, '.wal');
    writeImitations(join(directory, log), 64 * PAGE_BYTES, 2048);
    const begun = performance.now();
    const database = await openDatabase(t, directory, backend, OPTIONS);
    const took = performance.now() - begun;
    t.true(took < REFUSAL_MS_MAX, `${took.toFixed(0)} ms`);
    await expectValue(t, database, 'last', 'in the log');
  },
);

testBackends('a frame that says it is longer than any', async (t, backend) => {
  const directory = await makeDatabase(t, backend);
  const manifest = manifestPath(directory);
  for (const length of [0xffff_ffff, 0x8000_0000, MEBIBYTE]) {
    const bytes = readFileSync(manifest);
    bytes.writeUInt32LE(length, 28);
    writeFileSync(manifest, bytes);
    await expectHarmless(t, directory, backend, 'MANIFEST_CORRUPT');
  }
});

/** Changes the first table that an edit adds. */
function withTable(change: (table: TableDescription) => Partial<TableDescription>) {
  return (edits: VersionEdit[]): VersionEdit[] => {
    const at = edits.findIndex(({ added }) => added.length > 0);
    const [first, ...others] = edits[at].added;
    edits[at] = { ...edits[at], added: [{ ...first, ...change(first) }, ...others] };
    return edits;
  };
}

testBackends('a manifest whose checksums hold and whose numbers cannot be', async (t, backend) => {
  const directory = await makeDatabase(t, backend);
  const manifest = manifestPath(directory);
  const whole = readFileSync(manifest);
  const { number } = parseFileName(basename(manifest))!;
  const last = (edits: VersionEdit[], change: Partial<VersionEdit>): VersionEdit[] =>
    edits.map((edit, i) => (i === edits.length - 1 ? { ...edit, ...change } : edit));
  const lies: Record<string, [ErrorCode, (edits: VersionEdit[]) => VersionEdit[]]> = {
    'a table with the number of the manifest': ['MANIFEST_CORRUPT', withTable(() => ({ number }))],
    'a table that is not there': ['TABLE_CORRUPT', withTable(() => ({ number: 2 ** 32 - 1 }))],
    'a table of the largest length there is': [
      'MANIFEST_CORRUPT',
      withTable(() => ({ fileBytes: Number.MAX_SAFE_INTEGER })),
    ],
    'a table of a terabyte that is all index': [
      'MANIFEST_CORRUPT',
      withTable(() => ({ fileBytes: 2 ** 40, metaOffset: 0 })),
    ],
    'a table of no bytes': ['MANIFEST_CORRUPT', withTable(() => ({ fileBytes: 0, metaOffset: 0 }))],
    'a table that ends before its index': [
      'MANIFEST_CORRUPT',
      withTable(({ fileBytes }) => ({ metaOffset: fileBytes + PAGE_BYTES })),
    ],
    'an index off a page': [
      'MANIFEST_CORRUPT',
      withTable(({ metaOffset }) => ({ metaOffset: metaOffset + 1 })),
    ],
    'an index at another place': [
      'TABLE_CORRUPT',
      withTable(({ metaOffset }) => ({ metaOffset: metaOffset - PAGE_BYTES })),
    ],
    'a level that there is not': ['MANIFEST_CORRUPT', withTable(() => ({ level: 63 }))],
    'more entries than the table has': ['TABLE_CORRUPT', withTable(() => ({ entries: 2 ** 50 }))],
    'other keys than the table has': ['TABLE_CORRUPT', withTable(() => ({ smallestKey: Buffer.from('a') }))],
    'keys the wrong way round': ['TABLE_CORRUPT', withTable(() => ({ smallestKey: Buffer.from('z') }))],
    'sequence numbers that were never written': [
      'MANIFEST_CORRUPT',
      withTable(() => ({ largestSequence: SEQUENCE_MAX })),
    ],
    'tables of one level that overlap': [
      'MANIFEST_CORRUPT',
      (edits) =>
        edits.map((edit) => ({ ...edit, added: edit.added.map((table) => ({ ...table, level: 1 })) })),
    ],
    'the last file number there is': [
      'MANIFEST_CORRUPT',
      (edits) => last(edits, { nextFileNumber: 2 ** 32 - 1 }),
    ],
    'the last sequence number there is': [
      'MANIFEST_CORRUPT',
      (edits) => last(edits, { lastSequence: SEQUENCE_MAX, flushedSequence: SEQUENCE_MAX }),
    ],
    'a log that ends nowhere': [
      'LOG_CORRUPT',
      (edits) =>
        edits.map((edit) => ({
          ...edit,
          logEnds: edit.logEnds.map((log) => ({ ...log, end: Number.MAX_SAFE_INTEGER })),
        })),
    ],
    'a log that is needed and was never there': [
      'LOG_CORRUPT',
      (edits) => last(edits, { logEnds: [{ number: 2 ** 32 - 1, end: PAGE_BYTES }] }),
    ],
    'more edits than there are': [
      'MANIFEST_CORRUPT',
      (edits) => [{ ...edits[0], snapshotEdits: 2 ** 32 - 1 }],
    ],
    'a table that is deleted twice': [
      'MANIFEST_CORRUPT',
      (edits) =>
        last(edits, { deleted: [edits, edits].map(() => ({ level: 0, number: edits[0].nextFileNumber! })) }),
    ],
  };
  for (const [what, [code, lie]] of Object.entries(lies)) {
    forgeManifest(directory, lie);
    const error = await expectHarmless(t, directory, backend, code);
    t.true(error.message.length > 0, what);
    writeFileSync(manifest, whole);
  }
  await expectValue(t, await openDatabase(t, directory, backend, OPTIONS), 'last', 'in the log');
});

testBackends(
  'a table file of the length that the manifest claims, with nothing in it',
  async (t, backend) => {
    const directory = await makeDatabase(t, backend);
    const fileBytes = 100 * GIBIBYTE;
    const metaOffset = fileBytes - 16 * MEBIBYTE;
    forgeManifest(
      directory,
      withTable(() => ({ fileBytes, metaOffset })),
    );
    const table = manifestEdits(directory).flatMap(({ added }) => added)[0];
    const name = `${String(table.number).padStart(6, '0')}.sst`;
    rmSync(join(directory, name));
    writeFileSync(join(directory, name), '', { mode: 0o600 });
    lengthen(join(directory, name), fileBytes);
    await expectHarmless(t, directory, backend, 'TABLE_CORRUPT');
  },
);

testBackends(
  'manifests with any field changed lead to an error or to a database that works',
  async (t, backend) => {
    const seed = testSeed();
    t.log(`QUADRING_TEST_SEED=${seed}`);
    const random = new Random(seed);
    const original = await makeDatabase(t, backend);
    const directory = join(temporaryDirectory(t), 'db');
    const outcomes: Record<string, number> = {};
    for (let trial = 0; trial < TRIALS; trial++) {
      rmSync(directory, { recursive: true, force: true });
      cpSync(original, directory, { recursive: true });
      forgeManifest(directory, (edits) => edits.map((edit) => mutated(edit, random)));
      const before = statesBelow(directory);
      const outcome = await useAll(t, directory, backend);
      if (outcome !== 'opened') t.deepEqual(statesBelow(directory), before, `trial ${trial}: ${outcome}`);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    t.log(JSON.stringify(outcomes));
    t.true((outcomes['MANIFEST_CORRUPT'] ?? 0) > 0);
  },
);

/** Opens and does everything to it; what came of the open. Throws what is no QuadringError. */
async function useAll(t: ExecutionContext, directory: string, backend: Backend): Promise<string> {
  let database: Database;
  try {
    database = await Database.open(directory, { ...OPTIONS, io: ioOf(backend) });
  } catch (error) {
    if (error instanceof QuadringError) return error.code;
    throw error;
  }
  for (const act of [
    () => database.get(keyOf(1)),
    () => database.iterator().nextv(1000),
    () => database.put('a', 'b'),
    () => database.flush(),
    () => database.compactRange(),
    () => database.iterator().nextv(1000),
  ]) {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof QuadringError)) throw error;
      t.true(error.message.length > 0);
    }
  }
  await database.close();
  return 'opened';
}

/** One number of an edit, or of a table that it adds, is another. */
function mutated(edit: VersionEdit, random: Random): VersionEdit {
  const numbers = [
    0,
    1,
    random.below(100),
    random.below(2 ** 16) * PAGE_BYTES,
    2 ** 31,
    2 ** 32 - 1,
    SEQUENCE_MAX,
  ];
  const number = numbers[random.below(numbers.length)];
  const change = <T extends object>(of: T): T => {
    const names = Object.entries(of).flatMap(([name, value]) => (typeof value === 'number' ? [name] : []));
    if (names.length === 0) return of;
    const name = names[random.below(names.length)];
    return { ...of, [name]: number };
  };
  const changed = random.oneIn(2)
    ? change(edit)
    : { ...edit, added: edit.added.map((table) => (random.oneIn(2) ? change(table) : table)) };
  try {
    encodeVersionEdit(changed);
    return changed;
  } catch {
    return edit;
  }
}
