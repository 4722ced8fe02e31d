/**
 * Directories that somebody made who means harm, by what their files are: links to places outside, pipes, sockets,
 * devices and directories with a file's name, and files that have another name outside. Nothing outside of the directory
 * is ever written, nothing is waited for, and what is refused is left as it is.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { must } from '../../src/assert.ts';
import { parseFileName } from '../../src/format/file-names.ts';
import { readU48 } from '../../src/format/integers.ts';
import { atRest, eventually } from '../support/at-rest.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { manifestPath } from '../support/damage.ts';
import { contentsOf, namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { statesBelow } from '../support/forge.ts';
import { ioOf } from '../support/io-setting.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 64 * KIBIBYTE,
  compaction: { tableBytes: 64 * KIBIBYTE, baseBytes: 64 * KIBIBYTE, spareBytes: 64 * MEBIBYTE },
};
const ENTRIES = 200;
const VALUE_BYTES = 1000;
/** Where a frame has the number of its file. */
const FRAME_NUMBER_AT = 8;

interface Place {
  readonly directory: string;
  readonly outside: string;
}

/** A closed database with tables, and with a log that the next open needs; beside it a directory that is none of its business. */
async function makeDatabase(t: ExecutionContext, backend: Backend): Promise<Place> {
  const parent = temporaryDirectory(t);
  const directory = join(parent, 'db');
  const outside = join(parent, 'outside');
  mkdirSync(outside);
  const database = await openDatabase(t, directory, backend, OPTIONS);
  for (let i = 0; i < ENTRIES; i++) void database.put(keyOf(i), valueOf(VALUE_BYTES, i));
  await database.flush();
  await database.put('last', 'in the log');
  await database.close();
  return { directory, outside };
}

function numberOf(name: string): number {
  return must(parseFileName(name), 'a name of ours').number;
}

/** One file of each kind; those that a closed database does not have are made up. */
function namesOfKinds(directory: string): string[] {
  const [table, log] = ['.sst', '.wal'].map((ending) => namesEnding(directory, ending).at(-1)!);
  return ['LOCK', 'CURRENT', basename(manifestPath(directory)), log, table, 'CURRENT.tmp', '000999.sst.tmp'];
}

/** What stands in a file's place; each may throw where it cannot be made. */
const IMPOSTORS: Record<
  string,
  (path: string, outside: string, t: ExecutionContext) => Promise<void> | void
> = {
  'a link to a file outside': (path, outside) => {
    const target = join(outside, basename(path));
    try {
      copyFileSync(path, target);
    } catch {
      // One that a closed database does not have.
      writeFileSync(target, 'precious');
    }
    rmSync(path, { force: true });
    symlinkSync(target, path);
  },
  'a link to nothing': (path, outside) => {
    rmSync(path, { force: true });
    symlinkSync(join(outside, 'missing'), path);
  },
  'a pipe': (path) => {
    rmSync(path, { force: true });
    execFileSync('mkfifo', [path]);
  },
  'a socket': async (path, _outside, t) => {
    rmSync(path, { force: true });
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(path, resolve);
    });
    t.teardown(() => server.close());
  },
  'a device': (path, _outside, t) => {
    rmSync(path, { force: true });
    try {
      execFileSync('mknod', [path, 'c', '1', '3'], { stdio: 'pipe' });
    } catch (error) {
      t.log(`no device can be made here: ${(error as Error).message}`);
      execFileSync('mkfifo', [path]);
    }
  },
  'a directory': (path) => {
    rmSync(path, { force: true });
    mkdirSync(path);
  },
};

for (const [what, put] of Object.entries(IMPOSTORS)) {
  testBackends(`${what} in the place of any file is refused`, async (t, backend) => {
    const { directory, outside } = await makeDatabase(t, backend);
    for (const name of namesOfKinds(directory)) {
      const path = join(directory, name);
      const kept = join(outside, 'kept');
      const isThere = readdirSync(directory).includes(name);
      if (isThere) copyFileSync(path, kept);
      await put(path, outside, t);
      const before = statesBelow(join(directory, '..'));
      const error = await expectCode(t, 'NOT_A_DATABASE', () =>
        Database.open(directory, { ...OPTIONS, lockTimeoutMs: 0, io: ioOf(backend) }),
      );
      t.true(error.message.includes(name), error.message);
      t.deepEqual(statesBelow(join(directory, '..')), before, `${name} is left as it is`);
      rmSync(path, { recursive: true });
      if (isThere) copyFileSync(kept, path);
    }
    // Put right again, it is what it was.
    const database = await openDatabase(t, directory, backend, OPTIONS);
    await expectValue(t, database, 'last', 'in the log');
    await expectValue(t, database, keyOf(7), valueOf(VALUE_BYTES, 7));
  });
}

testBackends('a file that has another name outside is not written to', async (t, backend) => {
  const { directory, outside } = await makeDatabase(t, backend);
  // Files of the next open's, for which it would use what it finds: an obsolete log, and what a crash may have left.
  const [log] = namesEnding(directory, '.wal');
  writeFileSync(join(directory, 'CURRENT.tmp'), 'precious');
  writeFileSync(join(directory, '000999.sst.tmp'), 'precious');
  copyFileSync(join(directory, log), join(directory, '000001.wal'));
  const linked = readdirSync(directory).filter((name) => name !== 'LOCK');
  for (const name of linked) linkSync(join(directory, name), join(outside, name));
  const before = contentsOf(outside);
  let database = await openDatabase(t, directory, backend, OPTIONS);
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 4 * ENTRIES; i++) void database.put(keyOf(i), valueOf(VALUE_BYTES, i + round));
    await database.compactRange();
  }
  // All of the logs and tables that were there at the beginning have been replaced.
  await eventually(() => namesEnding(directory, '.sst').every((name) => !linked.includes(name)));
  t.true(database.stats().tableFiles.reused > 0, 'files that have no other name are written over');
  t.true(database.stats().log.recycled > 0, 'and logs used again');
  await database.close();
  database = await openDatabase(t, directory, backend, OPTIONS);
  await expectValue(t, database, keyOf(7), valueOf(VALUE_BYTES, 10));
  await database.close();
  t.deepEqual(contentsOf(outside), before);
});

testBackends(
  'a table and a log that get another name while they are in use are not written over',
  async (t, backend) => {
    const { directory, outside } = await makeDatabase(t, backend);
    // Nothing is replaced while its names are taken down.
    const compaction = { ...OPTIONS.compaction, automatic: false };
    const database = await openDatabase(t, directory, backend, { ...OPTIONS, compaction });
    for (let i = 0; i < 4 * ENTRIES; i++) void database.put(keyOf(i), valueOf(VALUE_BYTES, i + 1));
    await database.flush();
    await atRest(database);
    const linked = [...namesEnding(directory, '.sst'), ...namesEnding(directory, '.wal')];
    for (const name of linked) linkSync(join(directory, name), join(outside, name));
    // The log in use is written to; what it had stays.
    const tables = linked.filter((name) => name.endsWith('.sst'));
    const contents = (): Record<string, string | undefined> => {
      const all = contentsOf(outside);
      return Object.fromEntries(tables.map((name) => [name, all[name]]));
    };
    const before = contents();
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 4 * ENTRIES; i++) void database.put(keyOf(i), valueOf(VALUE_BYTES, i + 2 + round));
      await database.compactRange();
    }
    await eventually(() => namesEnding(directory, '.sst').every((name) => !linked.includes(name)));
    t.true(database.stats().tableFiles.reused > 0);
    t.deepEqual(contents(), before);
    // Its frames all carry its own number: it was not used again under another.
    for (const name of linked.filter((one) => one.endsWith('.wal'))) {
      const written = readFileSync(join(outside, name));
      t.is(readU48(written, FRAME_NUMBER_AT), numberOf(name), name);
    }
    await database.close();
  },
);

testBackends('a LOCK that has another name outside is refused', async (t, backend) => {
  const { directory, outside } = await makeDatabase(t, backend);
  const precious = join(outside, 'precious');
  writeFileSync(precious, 'a file that locking would empty');
  rmSync(join(directory, 'LOCK'));
  linkSync(precious, join(directory, 'LOCK'));
  const error = await expectCode(t, 'NOT_A_DATABASE', () => Database.open(directory, { io: ioOf(backend) }));
  t.regex(error.message, /hard link/);
  t.is(readFileSync(precious, 'utf8'), 'a file that locking would empty');
  rmSync(join(directory, 'LOCK'));
  const database = await openDatabase(t, directory, backend, OPTIONS);
  await expectValue(t, database, 'last', 'in the log');
});

testBackends('a log with holes is not used again: its space is not there', async (t, backend) => {
  const { directory } = await makeDatabase(t, backend);
  // As a copy is made by tools that leave zeros out.
  const logs = namesEnding(directory, '.wal');
  for (const name of logs) {
    execFileSync('cp', ['--sparse=always', join(directory, name), join(directory, '..', 'copy')]);
    execFileSync('mv', [join(directory, '..', 'copy'), join(directory, name)]);
  }
  const database = await openDatabase(t, directory, backend, OPTIONS);
  await expectValue(t, database, 'last', 'in the log');
  for (let i = 0; i < 4 * ENTRIES; i++) void database.put(keyOf(i), valueOf(VALUE_BYTES, i));
  await database.flush();
  t.deepEqual(
    namesEnding(directory, '.wal').filter((name) => logs.includes(name)),
    [],
  );
  t.is(database.stats().log.recycled, 0);
});

testBackends('a file with a number that no database comes to is refused', async (t, backend) => {
  const { directory, outside } = await makeDatabase(t, backend);
  for (const [place, name] of [
    [directory, '4294967295.sst'],
    [directory, 'MANIFEST-4294967295'],
    [directory, '4294967295.wal'],
    [directory, '4294967294.sst.tmp'],
    [outside, 'MANIFEST-4294967295'],
  ]) {
    const path = join(place, name);
    writeFileSync(path, '');
    const before = statesBelow(place);
    const error = await expectCode(t, 'NOT_A_DATABASE', () => Database.open(place, { io: ioOf(backend) }));
    t.regex(error.message, /429496729/);
    const after = statesBelow(place);
    t.deepEqual({ ...after, '.': '' }, { ...before, '.': '' }, name);
    rmSync(path);
  }
  const database = await openDatabase(t, directory, backend, OPTIONS);
  await expectValue(t, database, 'last', 'in the log');
});
