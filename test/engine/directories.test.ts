/** Directories that cannot be opened: not ours, missing, read-only, held by somebody else. Nothing in them is changed. */
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Database } from '../../src/index.ts';
import { nodeFileSystem } from '../../src/main/file-system.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { endedWell, runChild, scriptBeside, startChild } from '../support/children.ts';
import { contentsOf, namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';
import { mountTmpfs, remount } from '../support/mounts.ts';
import { expectRefused } from '../support/refusals.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';
import type { DeniedReport } from './denied-writer.ts';

const HOLDER = scriptBeside(import.meta.url, 'lock-holder');
const WRITER = scriptBeside(import.meta.url, 'denied-writer');
const UNPRIVILEGED = scriptBeside(import.meta.url, 'unprivileged-opener');

function openAgain(directory: string, backend: Backend): () => Promise<Database> {
  return () => Database.open(directory, { lockTimeoutMs: 30, io: ioOf(backend) });
}

async function createDatabase(t: ExecutionContext, directory: string, backend: Backend): Promise<void> {
  const database = await openDatabase(t, directory, backend);
  await database.put('a', '1');
  await database.close();
}

testBackends('a directory that holds something else is left as it is', async (t, backend) => {
  const foreign: Record<string, (directory: string) => void> = {
    'a file': (directory) => writeFileSync(join(directory, 'notes.txt'), 'mine'),
    'a directory': (directory) => mkdirSync(join(directory, 'notes')),
    'a file beside a table': (directory) => {
      writeFileSync(join(directory, '000001.sst'), '');
      writeFileSync(join(directory, 'index.html'), '');
    },
    'a directory called CURRENT': (directory) => mkdirSync(join(directory, 'CURRENT')),
    'a link called LOCK': (directory) => symlinkSync(join(directory, 'elsewhere'), join(directory, 'LOCK')),
    'a table with a number of five digits': (directory) => writeFileSync(join(directory, '00001.sst'), ''),
  };
  for (const [name, make] of Object.entries(foreign)) {
    const directory = temporaryDirectory(t);
    make(directory);
    const before = readdirSync(directory);
    const error = await expectRefused(t, directory, backend, 'NOT_A_DATABASE');
    t.deepEqual(readdirSync(directory), before, `nothing is created beside ${name}`);
    t.is(error.path, directory);
  }
});

testBackends('a path that is a file, or lies below one, or below nothing', async (t, backend) => {
  const parent = temporaryDirectory(t);
  writeFileSync(join(parent, 'file'), 'text');
  const open = (path: string) => () => Database.open(path, { io: ioOf(backend) });
  await expectCode(t, 'NOT_A_DATABASE', open(join(parent, 'file')));
  await expectCode(t, 'PARENT_MISSING', open(join(parent, 'file', 'db')));
  await expectCode(t, 'PARENT_MISSING', open(join(parent, 'missing', 'db')));
  await expectCode(t, 'PARENT_MISSING', open(join(parent, 'missing', 'too', 'db')));
  await expectCode(t, 'INVALID_ARGUMENT', open(join(parent, 'x'.repeat(300))));
  t.deepEqual(readdirSync(parent), ['file']);
});

testBackends('a database behind a symbolic link, and one below a linked directory', async (t, backend) => {
  const parent = temporaryDirectory(t);
  mkdirSync(join(parent, 'real'));
  symlinkSync(join(parent, 'real'), join(parent, 'link'));
  await createDatabase(t, join(parent, 'link', 'db'), backend);
  symlinkSync(join(parent, 'real', 'db'), join(parent, 'db'));
  const database = await openDatabase(t, join(parent, 'db'), backend);
  await expectValue(t, database, 'a', '1');
  await expectCode(t, 'LOCKED', () =>
    Database.open(join(parent, 'real', 'db'), { lockTimeoutMs: 0, io: ioOf(backend) }),
  );
});

testBackends('createIfMissing and errorIfExists', async (t, backend) => {
  const parent = temporaryDirectory(t);
  const directory = join(parent, 'db');
  await expectCode(t, 'NOT_FOUND', () =>
    Database.open(directory, { createIfMissing: false, io: ioOf(backend) }),
  );
  t.deepEqual(readdirSync(parent), []);
  mkdirSync(directory);
  await expectCode(t, 'NOT_FOUND', () =>
    Database.open(directory, { createIfMissing: false, io: ioOf(backend) }),
  );
  t.deepEqual(readdirSync(directory), []);
  const database = await openDatabase(t, directory, backend, { errorIfExists: true });
  await database.put('a', '1');
  await database.close();
  const error = await expectRefused(t, directory, backend, 'EXISTS', { errorIfExists: true });
  t.is(error.path, directory);
  const reopened = await openDatabase(t, directory, backend, { createIfMissing: false });
  await expectValue(t, reopened, 'a', '1');
});

testBackends('a second open in the same process is refused with this process’s pid', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend);
  await database.put('a', '1');
  const error = await expectCode(t, 'LOCKED', openAgain(directory, backend));
  t.is(error.pid, process.pid);
  t.is(error.path, directory);
  await database.put('b', '2');
  await expectValue(t, database, 'a', '1');
  await database.close();
  const reopened = await openDatabase(t, directory, backend);
  await expectValue(t, reopened, 'b', '2');
});

testBackends('two opens at once: one gets the directory, the other is refused', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const opens = [1, 2].map(() => Database.open(directory, { lockTimeoutMs: 0, io: ioOf(backend) }));
  const results = await Promise.allSettled(opens);
  const opened = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  t.teardown(() => Promise.all(opened.map((database) => database.close())));
  const refused = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as { code: string }] : [],
  );
  t.is(opened.length, 1);
  t.deepEqual(
    refused.map(({ code }) => code),
    ['LOCKED'],
  );
});

testBackends(
  'a database that another process holds is refused with its pid, and waited for',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const holder = startChild(t, HOLDER, [directory, backend]);
    await holder.printed('open');
    const error = await expectCode(t, 'LOCKED', openAgain(directory, backend));
    t.is(error.pid, holder.process.pid);
    // Somebody who waits gets it when the holder closes.
    const waiting = Database.open(directory, { lockTimeoutMs: 20_000, io: ioOf(backend) });
    holder.process.stdin?.end('close\n');
    const database = await waiting;
    t.teardown(() => database.close());
    await expectValue(t, database, 'holder', 'was here');
    endedWell(t, await holder.ended);
  },
);

testBackends('a lock does not outlive a process that was killed', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const holder = startChild(t, HOLDER, [directory, backend]);
  await holder.printed('open');
  holder.process.kill('SIGKILL');
  t.is((await holder.ended).signal, 'SIGKILL');
  const database = await openDatabase(t, directory, backend);
  await expectValue(t, database, 'holder', 'was here');
});

testBackends('a database that a dying process holds is waited for', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  for (let round = 0; round < 2; round++) {
    const holder = startChild(t, HOLDER, [directory, backend]);
    await holder.printed('open');
    holder.process.kill('SIGKILL');
    // Nobody waits until it is gone: what it had under way may hold the lock a moment longer than itself.
    const database = await Database.open(directory, { lockTimeoutMs: 20_000, io: ioOf(backend) });
    await expectValue(t, database, 'holder', 'was here');
    await database.close();
    t.is((await holder.ended).signal, 'SIGKILL');
  }
});

testBackends(
  'a database whose LOCK is removed goes on, lets nobody in, and the next open makes another',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const database = await openDatabase(t, directory, backend);
    await database.put('a', '1');
    rmSync(join(directory, 'LOCK'));
    // A second open would take what this one works on for its own.
    await expectCode(t, 'LOCKED', openAgain(directory, backend));
    await database.put('b', '2');
    await database.flush();
    await database.close();
    t.deepEqual(namesEnding(directory, 'LOCK'), []);
    const reopened = await openDatabase(t, directory, backend);
    await expectValue(t, reopened, 'a', '1');
    await expectValue(t, reopened, 'b', '2');
    t.deepEqual(namesEnding(directory, 'LOCK'), ['LOCK']);
    await expectCode(t, 'LOCKED', openAgain(directory, backend));
  },
);

testBackends('a directory that its owner may not write to any more while it is open', async (t, backend) => {
  const parent = temporaryDirectory(t);
  chmodSync(parent, 0o777);
  const directory = join(parent, 'db');
  const end = await runChild(t, WRITER, [backend, join(parent, 'scratch'), directory]);
  endedWell(t, end);
  const { acknowledged, refusal, reads, failure } = JSON.parse(end.stdout) as DeniedReport;
  t.true(acknowledged > 0);
  t.is(refusal, 'FAILED');
  t.regex(failure ?? '', /EACCES/);
  t.is(reads, acknowledged, 'reads go on');
  t.teardown(() => chmodSync(directory, 0o700));
  t.is(statSync(directory).mode & 0o777, 0o700);
  const database = await openDatabase(t, directory, backend);
  for (let i = 0; i < acknowledged; i++) await expectValue(t, database, keyOf(i), valueOf(10_000, i));
});

testBackends('a read-only file system', async (t, backend) => {
  const place = mountTmpfs(t, 64 << 20);
  if (place === undefined) return;
  const directory = join(place, 'db');
  await createDatabase(t, directory, backend);
  mkdirSync(join(place, 'empty'));
  remount(place, 'ro');
  const error = await expectRefused(t, directory, backend, 'READ_ONLY');
  t.is(error.path, directory);
  await expectCode(t, 'READ_ONLY', () => Database.open(join(place, 'empty'), { io: ioOf(backend) }));
  await expectCode(t, 'READ_ONLY', () => Database.open(join(place, 'new'), { io: ioOf(backend) }));
  t.deepEqual(readdirSync(place).sort(), ['db', 'empty']);
  remount(place, 'rw');
  const database = await openDatabase(t, directory, backend);
  await expectValue(t, database, 'a', '1');
});

testBackends('directories that the process may not write, or not even read', async (t, backend) => {
  const parent = temporaryDirectory(t);
  chmodSync(parent, 0o755);
  const directory = join(parent, 'db');
  await createDatabase(t, directory, backend);
  mkdirSync(join(parent, 'empty'));
  mkdirSync(join(parent, 'unreadable'));
  const before = contentsOf(directory);
  chmodSync(directory, 0o555);
  chmodSync(join(parent, 'empty'), 0o555);
  chmodSync(join(parent, 'unreadable'), 0o300);
  chmodSync(parent, 0o555);
  t.teardown(() => {
    for (const path of [parent, directory, join(parent, 'empty'), join(parent, 'unreadable')])
      chmodSync(path, 0o755);
  });
  const scratch = temporaryDirectory(t);
  chmodSync(scratch, 0o777);
  const end = await runChild(t, UNPRIVILEGED, [
    backend,
    join(scratch, 'scratch'),
    directory,
    join(parent, 'empty'),
    join(parent, 'unreadable'),
    join(parent, 'new'),
  ]);
  endedWell(t, end);
  t.deepEqual(JSON.parse(end.stdout), ['READ_ONLY', 'READ_ONLY', 'READ_ONLY', 'READ_ONLY']);
  t.deepEqual(contentsOf(directory), before);
  t.deepEqual(readdirSync(parent).sort(), ['db', 'empty', 'unreadable']);
  t.is(dirname(directory), parent);
});

test.serial(
  'a directory below one that cannot be synced, as mount points are in an image, is taken as it is',
  (t) => {
    // Directories of sysfs have no fsync: it says EINVAL.
    t.notThrows(() => nodeFileSystem.makeDirectory('/sys/kernel'));
  },
);
