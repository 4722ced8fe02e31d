/**
 * Verification of directories on a real file system: what it says of sound ones, of those that a crash left, of damaged and
 * of hostile ones; and that it changes nothing.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Database, type Finding, type VerifyReport } from '../../src/index.ts';
import { FOOTER_BYTES, writeFooter } from '../../src/format/footer.ts';
import { tableName } from '../../src/format/file-names.ts';
import { writeU32 } from '../../src/format/integers.ts';
import { nodeFileSystem } from '../../src/main/file-system.ts';
import {
  flipByte,
  logFrames,
  manifestEdits,
  manifestFrames,
  manifestPath,
  patch,
  setFrameVersion,
} from '../support/damage.ts';
import { crashImage, namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { keyOf, valueOf } from '../support/values.ts';

const OPTIONS = { blockBytes: 4096, writeBufferBytes: 1 << 20, compaction: { automatic: false } };

async function filledDatabase(t: ExecutionContext): Promise<{ directory: string; database: Database }> {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, 'syscall', OPTIONS);
  for (let i = 0; i < 500; i++) void database.put(keyOf(i), valueOf(100, i));
  await database.put('large', valueOf(100_000, 1));
  await database.compactRange();
  for (let i = 0; i < 500; i += 3) void database.put(keyOf(i), valueOf(100, 1000 + i));
  await database.deleteRange({ gte: keyOf(100), lt: keyOf(150) });
  await database.flush();
  for (let i = 0; i < 5; i++) await database.put(`in the log ${i}`, 'value');
  return { directory, database };
}

async function closedDatabase(t: ExecutionContext): Promise<string> {
  const { directory, database } = await filledDatabase(t);
  await database.close();
  return directory;
}

/** Every file with what can be seen of it, LOCK among them, and of the directory itself. */
function everything(directory: string): Record<string, string> {
  const seen: Record<string, string> = {};
  for (const name of ['.', ...readdirSync(directory)]) {
    const { mode, size, mtimeMs: changedAt, nlink } = lstatSync(join(directory, name));
    // Node sets a time to within a fraction of a microsecond.
    const mtimeMs = Math.round(changedAt);
    const content = name === '.' ? '' : readFileSync(join(directory, name)).toString('latin1');
    seen[name] = JSON.stringify({ mode, size, mtimeMs, nlink, content: content.length < 100 ? content : '' });
  }
  return seen;
}

function describe({ findings }: VerifyReport): string[] {
  return findings.map(
    ({ code, file, offset }: Finding) =>
      `${code} ${basename(file)}${offset === undefined ? '' : `@${offset}`}`,
  );
}

test.serial('a sound database is sound, with every file and what it holds', async (t) => {
  const directory = await closedDatabase(t);
  const report = await Database.verify(directory);
  t.true(report.isSound);
  t.deepEqual(report.findings, []);
  t.deepEqual(
    report.notes.filter(({ code }) => code !== 'UNNAMED'),
    [],
  );
  t.true(report.wasLocked);
  t.is(report.lastSequence, 501 + 167 + 1 + 5);
  const tables = report.files.filter(({ kind }) => kind === 'table');
  t.deepEqual(
    tables.map(({ entries, rangeTombstones }) => ({ entries, rangeTombstones })),
    [
      { entries: 501, rangeTombstones: 0 },
      { entries: 167 - 16, rangeTombstones: 1 },
    ],
  );
  t.true(tables.every(({ bytes, checkedBytes, isNamed }) => isNamed && bytes === checkedBytes));
  const log = report.files.find(({ kind, entries }) => kind === 'log' && (entries ?? 0) > 0);
  t.true(log !== undefined && log.checkedBytes + log.staleBytes === log.bytes);
  t.true(log !== undefined && log.paddingBytes > 0);
});

test.serial('nothing in the directory is changed, the text of the lock not either', async (t) => {
  const directory = await closedDatabase(t);
  writeFileSync(join(directory, 'LOCK'), '4194000\n');
  flipByte(join(directory, namesEnding(directory, '.sst')[0]), 3000);
  const before = everything(directory);
  t.false((await Database.verify(directory)).isSound);
  t.deepEqual(everything(directory), before);
  rmSync(join(directory, 'LOCK'));
  const without = everything(directory);
  await Database.verify(directory);
  t.deepEqual(everything(directory), without, 'no lock file is made');
});

test.serial(
  'a database that is open is not verified, and one that is being verified not opened',
  async (t) => {
    const { directory, database } = await filledDatabase(t);
    const error = await expectCode(t, 'LOCKED', () => Database.verify(directory, { lockTimeoutMs: 0 }));
    t.is(error.pid, process.pid);
    await expectCode(t, 'LOCKED', () => Database.repair(directory, { lockTimeoutMs: 0 }));
    await database.close();
    const verifying = Database.verify(directory);
    t.is(nodeFileSystem.lock(join(directory, 'LOCK'), 'open'), process.pid);
    t.true((await verifying).isSound);
  },
);

test.serial('a report comes back though the lock file has gone meanwhile', async (t) => {
  const directory = await closedDatabase(t);
  const verifying = Database.verify(directory);
  rmSync(join(directory, 'LOCK'));
  const report = await verifying;
  t.true(report.isSound);
  t.true(report.wasLocked);
});

test.serial('where there is no lock file the directory is locked all the same', async (t) => {
  const { directory, database } = await filledDatabase(t);
  rmSync(join(directory, 'LOCK'));
  await expectCode(t, 'LOCKED', () => Database.verify(directory, { lockTimeoutMs: 0 }));
  await database.close();
  rmSync(join(directory, 'LOCK'), { force: true });
  const verifying = Database.verify(directory);
  t.is(nodeFileSystem.lock(join(directory, 'LOCK'), 'open'), 0, 'it is held, and nobody knows by whom');
  t.true((await verifying).wasLocked);
});

test.serial('what open refuses for its number is refused here as well, and by a repair', async (t) => {
  for (const name of ['4294967295.wal', '4294967295.sst', 'lost-4294967295']) {
    const directory = await closedDatabase(t);
    if (name.startsWith('lost-')) mkdirSync(join(directory, name));
    else writeFileSync(join(directory, name), '');
    const attempts: (() => Promise<unknown>)[] = [
      () => Database.open(directory),
      () => Database.verify(directory),
      () => Database.repair(directory),
    ];
    for (const attempt of attempts) {
      const error = await expectCode(t, 'NOT_A_DATABASE', attempt);
      t.is(error.file, join(directory, name));
    }
    t.false(readdirSync(directory).includes('lost-000001'), 'nothing was begun');
    rmSync(join(directory, name), { recursive: true });
    t.true((await Database.verify(directory)).isSound);
  }
});

test.serial('what a crash leaves is sound', async (t) => {
  const { directory, database } = await filledDatabase(t);
  const image = await crashImage(t, database, directory);
  await database.close();
  // A write that was cut short: its first page is there, the next ones are what was there before.
  const frames = logFrames(image);
  const last = frames[frames.length - 1];
  const end = last.offset + last.paddedBytes;
  patch(last.file, (bytes) => {
    bytes.copyWithin(end, last.offset, last.offset + 4096);
    writeU32(bytes, end + 28, 20_000);
  });
  copyFileSync(join(image, namesEnding(image, '.sst')[0]), join(image, '000900.sst.tmp'));
  const report = await Database.verify(image);
  t.deepEqual(describe(report), []);
  const notes = report.notes.map(({ code, file, offset }) => ({ code, file, offset }));
  t.deepEqual(
    notes.filter(({ code }) => code === 'TORN_TAIL'),
    [{ code: 'TORN_TAIL', file: last.file, offset: end }],
  );
  t.true(notes.some(({ code, file }) => code === 'UNNAMED' && basename(file) === '000900.sst.tmp'));
});

test.serial('the last frame of a log that nobody closed is damaged if it fits one sector', async (t) => {
  const { directory, database } = await filledDatabase(t);
  const image = await crashImage(t, database, directory);
  await database.close();
  const last = logFrames(image).at(-1)!;
  t.true(last.bytes < 512);
  for (const at of [0, 7, 20, 28, 29, 31, 32, last.bytes - 1]) {
    flipByte(last.file, last.offset + at);
    const report = await Database.verify(image);
    t.deepEqual(describe(report), [`LOG_CORRUPT ${basename(last.file)}@${last.offset}`], `byte ${at}`);
    flipByte(last.file, last.offset + at);
  }
  t.true((await Database.verify(image)).isSound);
});

test.serial('behind the last edit of a manifest there is nothing, or what a crash cut short', async (t) => {
  const { directory, database } = await filledDatabase(t);
  const image = await crashImage(t, database, directory);
  await database.close();
  const manifest = manifestPath(image);
  const sound = readFileSync(manifest);
  const last = manifestFrames(image).at(-1)!;
  const end = last.offset + last.paddedBytes;
  const tail = async (change: (page: Uint8Array) => void): Promise<VerifyReport> => {
    const page = new Uint8Array(8192);
    change(page);
    writeFileSync(manifest, Buffer.concat([sound.subarray(0, end), page]));
    return Database.verify(image);
  };
  t.true((await tail(() => undefined)).isSound, 'zeros that were reserved');
  const oneByte = await tail((page) => (page[700] = 1));
  t.deepEqual(describe(oneByte), []);
  t.deepEqual(
    oneByte.notes.filter(({ code }) => code === 'TORN_TAIL').length,
    1,
    'its first sector is missing',
  );
  const noFrame = await tail((page) => page.fill(0x5a));
  t.deepEqual(describe(noFrame), [`MANIFEST_CORRUPT ${basename(manifest)}@${end}`]);
  const changed = await tail((page) => {
    page.set(sound.subarray(last.offset, end));
  });
  t.false(changed.isSound, 'a frame that is whole, and is none at this place');
  writeFileSync(manifest, sound);
  await Database.open(image).then((opened) => opened.close());
  appendFileSync(manifestPath(image), new Uint8Array(4096).fill(1));
  t.false((await Database.verify(image)).isSound, 'after a clean close there is nothing');
});

test.serial('it goes on after what it finds, and says all of it', async (t) => {
  const directory = await closedDatabase(t);
  const [first, second] = namesEnding(directory, '.sst');
  const frame = logFrames(directory).at(-1)!;
  flipByte(join(directory, first), 100);
  flipByte(join(directory, first), 4096 * 3 + 100);
  flipByte(join(directory, second), lstatSync(join(directory, second)).size - 1);
  flipByte(frame.file, frame.offset + 40);
  const report = await Database.verify(directory);
  const size = lstatSync(join(directory, second)).size;
  t.deepEqual(
    describe(report).sort(),
    [
      `LOG_CORRUPT ${basename(frame.file)}@${frame.offset}`,
      `TABLE_CORRUPT ${first}@0`,
      `TABLE_CORRUPT ${first}@12288`,
      `TABLE_CORRUPT ${second}@${size - 8}`,
    ].sort(),
  );
  t.true(
    report.findings
      .filter(({ expected }) => expected !== undefined)
      .every(({ expected, actual }) => expected !== actual),
  );
});

test.serial('without CURRENT, or a manifest, every table is looked at by itself', async (t) => {
  const directory = await closedDatabase(t);
  const [table] = namesEnding(directory, '.sst');
  flipByte(join(directory, table), 100);
  const current = readFileSync(join(directory, 'CURRENT'));
  rmSync(join(directory, 'CURRENT'));
  const withoutCurrent = await Database.verify(directory);
  t.deepEqual(describe(withoutCurrent), ['CURRENT_CORRUPT CURRENT', `TABLE_CORRUPT ${table}@0`]);
  t.true(
    withoutCurrent.notes.some(({ code }) => code === 'UNCHECKED'),
    'logs need the manifest',
  );
  writeFileSync(join(directory, 'CURRENT'), current);
  const manifest = manifestPath(directory);
  flipByte(manifest, 4096 + 40);
  const withoutEdit = await Database.verify(directory);
  t.deepEqual(describe(withoutEdit), [
    `MANIFEST_CORRUPT ${basename(manifest)}@4096`,
    `TABLE_CORRUPT ${table}@0`,
  ]);
});

test.serial('files that are missing, cut, too long or of a later format', async (t) => {
  const directory = await closedDatabase(t);
  const tables = manifestEdits(directory)
    .flatMap(({ added }) => added)
    .slice(-1);
  const [{ number, fileBytes }] = tables;
  const table = join(directory, tableName(number));
  const sound = readFileSync(table);
  for (const length of [0, 1, 4096, fileBytes - 4096, fileBytes - 1, fileBytes + 1, fileBytes + 4096]) {
    truncateSync(table, length);
    const { findings } = await Database.verify(directory);
    t.true(findings.length > 0 && findings.every(({ file }) => file === table), `${length}`);
    t.is(findings[0].offset, Math.min(length, fileBytes));
    t.is(findings[0].actual, length);
    writeFileSync(table, sound);
  }
  renameSync(table, `${table}.away`);
  renameSync(`${table}.away`, table);
  rmSync(table);
  t.deepEqual(describe(await Database.verify(directory)), [`TABLE_CORRUPT ${tableName(number)}@0`]);
  writeFileSync(table, sound);
  const frame = manifestFrames(directory)[1];
  const manifest = readFileSync(frame.file);
  setFrameVersion(frame, 0, 9);
  t.deepEqual(describe(await Database.verify(directory)), [
    `UNKNOWN_FORMAT ${basename(frame.file)}@${frame.offset}`,
  ]);
  await expectCode(t, 'UNKNOWN_FORMAT', () => Database.repair(directory));
  writeFileSync(frame.file, manifest);
  const log = logFrames(directory).at(-1)!;
  rmSync(log.file);
  t.deepEqual(describe(await Database.verify(directory)), [`LOG_CORRUPT ${basename(log.file)}`]);
});

test.serial('it rejects where nothing can be said', async (t) => {
  const directory = temporaryDirectory(t);
  for (const act of [Database.verify, Database.repair]) {
    await expectCode(t, 'NOT_FOUND', () => act(join(directory, 'missing')));
    await expectCode(t, 'PARENT_MISSING', () => act(join(directory, 'missing', 'too')));
    await expectCode(t, 'NOT_FOUND', () => act(directory));
    await expectCode(t, 'INVALID_ARGUMENT', () => act(''));
    await expectCode(t, 'INVALID_ARGUMENT', () => act(directory, { lockTimeoutMs: -1 }));
    await expectCode(t, 'INVALID_ARGUMENT', () => act(directory, { signal: {} as AbortSignal }));
    const file = join(directory, 'file');
    writeFileSync(file, '');
    await expectCode(t, 'NOT_A_DATABASE', () => act(file));
    await expectCode(t, 'NOT_A_DATABASE', () => act(directory));
    rmSync(file);
  }
  const database = await closedDatabase(t);
  await expectCode(t, 'ABORTED', () => Database.verify(database, { signal: AbortSignal.abort() }));
});

test.serial('links, pipes and directories under a file’s name are refused, and not followed', async (t) => {
  const directory = await closedDatabase(t);
  const secret = join(temporaryDirectory(t), 'secret');
  const [table] = namesEnding(directory, '.sst');
  const path = join(directory, table);
  const log = join(directory, namesEnding(directory, '.wal')[0]);
  for (const victim of [
    path,
    log,
    manifestPath(directory),
    join(directory, 'CURRENT'),
    join(directory, 'LOCK'),
  ]) {
    const content = readFileSync(victim);
    writeFileSync(secret, content);
    const replacements = [
      () => symlinkSync(secret, victim),
      () => execFileSync('mkfifo', [victim]),
      () => mkdirSync(victim),
    ];
    for (const replace of replacements) {
      rmSync(victim);
      replace();
      await expectCode(t, 'NOT_A_DATABASE', () => Database.verify(directory, { lockTimeoutMs: 0 }));
      await expectCode(t, 'NOT_A_DATABASE', () => Database.repair(directory, { lockTimeoutMs: 0 }));
      rmSync(victim, { recursive: true });
      writeFileSync(victim, content);
    }
    t.deepEqual(readFileSync(secret), content);
  }
  // A directory for what was replaced is only that if it is one.
  symlinkSync(temporaryDirectory(t), join(directory, 'lost-000001'));
  await expectCode(t, 'NOT_A_DATABASE', () => Database.repair(directory));
  rmSync(join(directory, 'lost-000001'));
  t.true((await Database.verify(directory)).isSound);
});

test.serial('lengths that files only claim take no memory', async (t) => {
  const directory = await closedDatabase(t);
  const [table] = namesEnding(directory, '.sst');
  const path = join(directory, table);
  const number = Number.parseInt(table, 10);
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const verify = async (): Promise<VerifyReport> => {
    const verifying = Database.verify(directory);
    let isDone = false;
    void verifying.finally(() => (isDone = true));
    while (!isDone) {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return verifying;
  };
  // A tail that begins at the first page of a file of a TiB, which has none of it on the disk.
  const sound = readFileSync(path);
  const huge = 2 ** 40;
  truncateSync(path, huge);
  const footer = new Uint8Array(FOOTER_BYTES);
  const lengths = { metaPage: 1, indexLength: 2 ** 31, filterLength: 2 ** 31, propertiesLength: 2 ** 31 };
  writeFooter(footer, 0, lengths, number, huge - FOOTER_BYTES);
  const handle = openSync(path, 'r+');
  writeSync(handle, footer, 0, FOOTER_BYTES, huge - FOOTER_BYTES);
  closeSync(handle);
  t.false((await verify()).isSound, 'a table');
  const current = readFileSync(join(directory, 'CURRENT'));
  rmSync(join(directory, 'CURRENT'));
  t.false((await verify()).isSound, 'a table that only its footer describes');
  writeFileSync(join(directory, 'CURRENT'), current);
  writeFileSync(path, sound);
  const frame = logFrames(directory).at(-1)!;
  const log = readFileSync(frame.file);
  patch(frame.file, (bytes) => writeU32(bytes, frame.offset + 28, 0xffff_ff00));
  truncateSync(frame.file, huge);
  t.false((await verify()).isSound, 'a log');
  writeFileSync(frame.file, log);
  const manifest = manifestPath(directory);
  patch(manifest, (bytes) => writeU32(bytes, 28, 0x7fff_ff00));
  truncateSync(manifest, 2 ** 28);
  t.false((await verify()).isSound, 'a manifest');
  truncateSync(join(directory, 'CURRENT'), huge);
  t.false((await verify()).isSound, 'CURRENT');
  t.true(most < 64 << 20, `${most >> 20} MiB`);
});

test.serial('others have their turns while a database is verified', async (t) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, 'syscall', { ...OPTIONS, writeBufferBytes: 8 << 20 });
  const puts = Array.from({ length: 50_000 }, (_, i) => database.put(keyOf(i), valueOf(100, i)));
  await Promise.all(puts);
  await database.flush();
  await database.close();
  let turns = 0;
  let isDone = false;
  const verifying = Database.verify(directory).finally(() => (isDone = true));
  while (!isDone) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  t.is((await verifying).entries, 50_000);
  t.true(turns >= 5, `${turns} turns`);
});
