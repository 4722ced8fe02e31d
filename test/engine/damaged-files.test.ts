/**
 * Files that are damaged, missing or of a later release: refused at open with the directory untouched, or, where only a
 * block of a table is hit, refused to whoever reads from it. Never returned as data.
 */
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { DatabaseOptions, QuadringError } from '../../src/index.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { CURRENT_FORMAT_VERSION } from '../../src/format/current.ts';
import { FOOTER_BYTES, TABLE_FORMAT_VERSION } from '../../src/format/footer.ts';
import { tableName } from '../../src/format/file-names.ts';
import { readU32, writeU16, writeU32 } from '../../src/format/integers.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import {
  flipByte,
  logFrames,
  manifestEdits,
  manifestFrames,
  manifestPath,
  patch,
  saltOf,
  setFrameVersion,
} from '../support/damage.ts';
import { crashImage, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { expectRefused } from '../support/refusals.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const OPTIONS: DatabaseOptions = { blockBytes: 4096, blockCacheBytes: 65_536, writeBufferBytes: 1 << 20 };
const ENTRIES = 400;
const LARGE_BYTES = 100_000;

/** A database with two tables and something in the log, closed cleanly. */
async function closedDatabase(t: ExecutionContext, backend: Backend): Promise<string> {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, OPTIONS);
  for (let i = 0; i < ENTRIES; i++) void database.put(keyOf(i), valueOf(100, i));
  await database.put('large', valueOf(LARGE_BYTES, 1));
  await database.flush();
  await database.put('second', 'table');
  await database.flush();
  await database.put('in the log', '1');
  await database.put('in the log', '2');
  await database.close();
  return directory;
}

async function expectSound(t: ExecutionContext, directory: string, backend: Backend): Promise<void> {
  const database = await openDatabase(t, directory, backend, OPTIONS);
  await expectValue(t, database, keyOf(17), valueOf(100, 17));
  await expectValue(t, database, 'second', 'table');
  await expectValue(t, database, 'in the log', '2');
  await database.close();
}

/** Tables by number: the first has the keys and the large value. */
function tablesOf(directory: string): TableDescription[] {
  return manifestEdits(directory)
    .flatMap(({ added }) => added)
    .sort((a, b) => a.number - b.number);
}

/** Damages a file, expects the refusal, puts the file back and expects that everything is well again. */
async function expectRefusedWhile(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  code: Parameters<typeof expectRefused>[3],
  file: string,
  damage: (file: string) => void,
): Promise<QuadringError> {
  const sound = readFileSync(file);
  damage(file);
  const error = await expectRefused(t, directory, backend, code, OPTIONS);
  writeFileSync(file, sound);
  return error;
}

testBackends('CURRENT is damaged, empty or names what is not there', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const current = join(directory, 'CURRENT');
  const length = readFileSync(current).length;
  for (let at = 0; at < length; at += 3) {
    const error = await expectRefusedWhile(t, directory, backend, 'CURRENT_CORRUPT', current, (file) =>
      flipByte(file, at),
    );
    t.is(error.file, current);
  }
  await expectRefusedWhile(t, directory, backend, 'CURRENT_CORRUPT', current, (file) => truncateSync(file));
  await expectRefusedWhile(t, directory, backend, 'CURRENT_CORRUPT', current, (file) =>
    truncateSync(file, length - 1),
  );
  await expectRefusedWhile(t, directory, backend, 'CURRENT_CORRUPT', current, (file) =>
    writeFileSync(file, Buffer.alloc(100_000)),
  );
  const manifest = manifestPath(directory);
  renameSync(manifest, join(directory, 'MANIFEST-000900'));
  const error = await expectRefused(t, directory, backend, 'CURRENT_CORRUPT', OPTIONS);
  t.true(error.message.includes(basename(manifest)), error.message);
  renameSync(join(directory, 'MANIFEST-000900'), manifest);
  await expectSound(t, directory, backend);
});

testBackends('CURRENT is missing beside tables or logs', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const current = join(directory, 'CURRENT');
  const sound = readFileSync(current);
  rmSync(current);
  const error = await expectRefused(t, directory, backend, 'CURRENT_CORRUPT', OPTIONS);
  t.is(error.file, current);
  await expectRefused(t, directory, backend, 'CURRENT_CORRUPT', { ...OPTIONS, createIfMissing: false });
  writeFileSync(current, sound);
  await expectSound(t, directory, backend);
});

testBackends('CURRENT of another format version', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const current = join(directory, 'CURRENT');
  const version = CURRENT_FORMAT_VERSION - 1;
  const error = await expectRefusedWhile(t, directory, backend, 'UNKNOWN_FORMAT', current, (file) => {
    const text = `quadring ${version} ${basename(manifestPath(directory))}`;
    const bytes = Buffer.from(text);
    const hex = checksum(bytes, 0, bytes.length, 0).toString(16).padStart(8, '0');
    writeFileSync(file, `${text} ${hex}\n`);
  });
  t.is(error.file, current);
  t.true(error.message.includes(`version ${version}`), error.message);
  await expectSound(t, directory, backend);
});

testBackends(
  'the manifest is damaged in its first frame, in a middle one, or cut to nothing',
  async (t, backend) => {
    const directory = await closedDatabase(t, backend);
    const frames = manifestFrames(directory);
    t.true(frames.length >= 4, `${frames.length} frames`);
    const manifest = manifestPath(directory);
    for (const { offset, bytes } of frames.slice(0, -1)) {
      for (const at of [0, 5, 28, bytes - 1]) {
        const damage = (file: string): void => flipByte(file, offset + at);
        const error = await expectRefusedWhile(t, directory, backend, 'MANIFEST_CORRUPT', manifest, damage);
        t.is(error.file, manifest);
        t.is(error.offset, offset);
      }
    }
    await expectRefusedWhile(t, directory, backend, 'MANIFEST_CORRUPT', manifest, (file) =>
      truncateSync(file),
    );
    await expectRefusedWhile(t, directory, backend, 'MANIFEST_CORRUPT', manifest, (file) =>
      truncateSync(file, 40),
    );
    await expectSound(t, directory, backend);
  },
);

testBackends('a manifest that lost what it had when CURRENT came to name it', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const database = await openDatabase(t, directory, backend, OPTIONS);
  const image = await crashImage(t, database, directory);
  await database.close();
  // One frame for the counters and one for the tables, both durable before CURRENT was switched: no tail to be torn.
  const frames = manifestFrames(image);
  t.is(frames.length, 2);
  const manifest = manifestPath(image);
  for (const { offset } of frames.slice(1)) {
    await expectRefusedWhile(t, image, backend, 'MANIFEST_CORRUPT', manifest, (file) =>
      truncateSync(file, offset),
    );
  }
  const { offset } = frames[1];
  await expectRefusedWhile(t, image, backend, 'MANIFEST_CORRUPT', manifest, (file) =>
    flipByte(file, offset + 40),
  );
  await expectSound(t, image, backend);
});

testBackends('a manifest begins with several edits where the keys of tables are long', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = { ...OPTIONS, compaction: { automatic: false } };
  const keyAt = (i: number, end: string): string => `${i}`.padEnd(60_000, end);
  const database = await openDatabase(t, directory, backend, options);
  for (let i = 0; i < 8; i++) {
    await database.batch([
      { type: 'put', key: keyAt(i, 'a'), value: 'first' },
      { type: 'put', key: keyAt(i, 'b'), value: 'last' },
    ]);
    await database.flush();
  }
  await database.close();
  await (await openDatabase(t, directory, backend, options)).close();
  // Two tables of two such keys to an edit; the counters; the clean close.
  t.is(manifestFrames(directory).length, 4 + 2);
  const reopened = await openDatabase(t, directory, backend, options);
  for (let i = 0; i < 8; i++) {
    t.is(reopened.getString(keyAt(i, 'a')), 'first');
    t.is(reopened.getString(keyAt(i, 'b')), 'last');
  }
  await reopened.close();
});

testBackends('a frame of the manifest of a later format version', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const manifest = manifestPath(directory);
  for (const frame of manifestFrames(directory)) {
    const damage = (): void => setFrameVersion(frame, 0, 2);
    const error = await expectRefusedWhile(t, directory, backend, 'UNKNOWN_FORMAT', manifest, damage);
    t.is(error.file, manifest);
    t.is(error.offset, frame.offset);
  }
  await expectSound(t, directory, backend);
});

testBackends(
  'a frame of the log of a later format version, after a clean close and after a crash',
  async (t, backend) => {
    const directory = await closedDatabase(t, backend);
    const database = await openDatabase(t, directory, backend, OPTIONS);
    await database.put('one more', '1');
    await database.put('one more', '2');
    const image = await crashImage(t, database, directory);
    await database.close();
    for (const place of [directory, image]) {
      const frames = logFrames(place);
      t.true(frames.length >= 2);
      for (const frame of frames) {
        const damage = (): void => setFrameVersion(frame, saltOf(place), 2);
        const error = await expectRefusedWhile(t, place, backend, 'UNKNOWN_FORMAT', frame.file, damage);
        t.is(error.file, frame.file);
        t.is(error.offset, frame.offset);
        t.regex(error.message, /version 2/);
      }
      await expectSound(t, place, backend);
    }
  },
);

testBackends('a table is missing or has the wrong length', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  for (const { number, fileBytes } of tablesOf(directory)) {
    const table = join(directory, tableName(number));
    const damages = [
      (file: string) => truncateSync(file, fileBytes - 4096),
      (file: string) => truncateSync(file, fileBytes + 4096),
      (file: string) => truncateSync(file, fileBytes - 1),
      (file: string) => truncateSync(file, 0),
      (file: string) => rmSync(file),
    ];
    for (const damage of damages) {
      const error = await expectRefusedWhile(t, directory, backend, 'TABLE_CORRUPT', table, damage);
      t.is(error.file, table);
      t.true(error.message.includes(basename(table)));
    }
  }
  await expectSound(t, directory, backend);
});

testBackends('a table’s index, filter, properties, padding or footer is damaged', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const { number, metaOffset, fileBytes } = tablesOf(directory)[0];
  const table = join(directory, tableName(number));
  const bytes = readFileSync(table);
  const footer = fileBytes - FOOTER_BYTES;
  const indexEnd = metaOffset + readU32(bytes, footer + 4);
  const filterEnd = indexEnd + readU32(bytes, footer + 8);
  const propertiesEnd = filterEnd + readU32(bytes, footer + 12);
  t.true(filterEnd > indexEnd && propertiesEnd < footer, 'the table has every section and padding');
  const places = {
    'the head of the index': metaOffset,
    'a key in the index': indexEnd - 5,
    'the checksum of the index': indexEnd - 1,
    'the filter': indexEnd + 10,
    'the properties': filterEnd + 1,
    'the padding': footer - 1,
    'the footer': footer,
    'the checksum of the footer': footer + 20,
    'the magic': fileBytes - 1,
  };
  for (const [name, place] of Object.entries(places)) {
    const error = await expectRefusedWhile(t, directory, backend, 'TABLE_CORRUPT', table, (file) =>
      flipByte(file, place),
    );
    t.is(error.file, table, name);
    t.true(error.offset !== undefined && error.offset >= metaOffset && error.offset < fileBytes, name);
    if (/index|filter|properties/.test(name)) {
      t.is(typeof error.expected, 'number', name);
      t.not(error.expected, error.actual, name);
    }
  }
  await expectSound(t, directory, backend);
});

testBackends('a table of a later format version', async (t, backend) => {
  const directory = await closedDatabase(t, backend);
  const { number, fileBytes } = tablesOf(directory)[0];
  const table = join(directory, tableName(number));
  const error = await expectRefusedWhile(t, directory, backend, 'UNKNOWN_FORMAT', table, (file) =>
    patch(file, (bytes) => {
      const at = fileBytes - FOOTER_BYTES;
      writeU16(bytes, at + 16, TABLE_FORMAT_VERSION + 1);
      const fields = checksum(bytes, at, at + 20, checksumSeed(0, number, at));
      writeU32(bytes, at + 20, checksum(bytes, at + 24, at + FOOTER_BYTES, fields));
    }),
  );
  t.is(error.file, table);
  await expectSound(t, directory, backend);
});

testBackends('a damaged block is told to whoever reads it, and to nobody else', async (t, backend) => {
  for (const blockCacheBytes of [0, 65_536]) {
    const directory = await closedDatabase(t, backend);
    const { number, metaOffset } = tablesOf(directory)[0];
    const table = join(directory, tableName(number));
    // Blocks follow each other in the order of the keys: the first page has the first keys.
    flipByte(table, 4096 / 2);
    const large = readFileSync(table).indexOf(valueOf(LARGE_BYTES, 1).subarray(5000, 5100));
    t.true(large > 0 && large < metaOffset);
    flipByte(table, large + 50);
    const database = await openDatabase(t, directory, backend, { ...OPTIONS, blockCacheBytes });
    const reads = [
      (key: string) => database.get(key),
      (key: string) => database.getSync(key),
      (key: string) => database.getInto(key, new Uint8Array(8)),
      (key: string) => database.getString(key),
    ];
    for (const read of [...reads, ...reads]) {
      const error = await expectCode(t, 'TABLE_CORRUPT', () => read(keyOf(0)));
      t.is(error.file, table);
      t.is(error.offset, 0);
      t.is(typeof error.expected, 'number');
      t.is(typeof error.actual, 'number');
      t.not(error.expected, error.actual);
      const ofLarge = await expectCode(t, 'TABLE_CORRUPT', () => read('large'));
      t.is(ofLarge.file, table);
      t.true(ofLarge.offset! > 0 && ofLarge.offset! % 4096 === 0 && ofLarge.offset! <= large);
      t.not(ofLarge.expected, ofLarge.actual);
    }
    // Many at once share the read that fails.
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => database.get(keyOf(0))));
    t.true(results.every((result) => result.status === 'rejected'));
    await expectValue(t, database, keyOf(ENTRIES - 1), valueOf(100, ENTRIES - 1));
    await expectValue(t, database, keyOf(200), valueOf(100, 200));
    await expectValue(t, database, 'second', 'table');
    await database.put(keyOf(0), 'written again');
    await expectValue(t, database, keyOf(0), 'written again');
    t.is(database.stats().failure, null);
    await database.close();
  }
});
