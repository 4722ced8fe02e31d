/**
 * Who may read a database's files, whatever the umask; and what a program that this process starts inherits of them:
 * nothing.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { parseFileName } from '../../src/format/file-names.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { endedWell, runChild, scriptBeside } from '../support/children.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { keyOf, valueOf } from '../support/values.ts';

const WRITER = scriptBeside(import.meta.url, 'masked-writer');
const O_CLOEXEC = 0o2000000;
const LIMIT_MS = 100_000;

async function write(
  t: ExecutionContext,
  backend: Backend,
  mask: string,
  directory: string,
): Promise<string> {
  const end = await runChild(t, WRITER, [backend, mask, directory], { limitMs: LIMIT_MS });
  endedWell(t, end);
  return end.stdout;
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

for (const mask of ['000', '022', '077']) {
  testBackends(`files have mode 600 and the directory 700 where the umask is ${mask}`, async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    t.is(await write(t, backend, mask, directory), 'done');
    t.is(modeOf(directory), '700');
    const names = readdirSync(directory);
    const kinds = new Set(names.map((name) => parseFileName(name)?.kind));
    t.deepEqual([...kinds].sort(), ['current', 'lock', 'log', 'manifest', 'table']);
    t.deepEqual(
      names.map((name) => modeOf(join(directory, name))),
      names.map(() => '600'),
    );
  });
}

testBackends('a umask that takes from the owner what the owner needs is refused', async (t, backend) => {
  const parent = temporaryDirectory(t);
  for (const mask of ['277', '477', '177', '777']) {
    t.regex(await write(t, backend, mask, join(parent, 'db')), /^READ_ONLY: .*umask/);
  }
  t.deepEqual(readdirSync(parent), []);
  const there = join(parent, 'there');
  mkdirSync(there);
  t.regex(await write(t, backend, '277', there), /^READ_ONLY: .*umask/);
  t.deepEqual(readdirSync(there), []);
  // Files need no more than this one leaves; only a directory would.
  t.is(await write(t, backend, '177', there), 'done');
  t.is(modeOf(join(there, 'CURRENT')), '600');
});

testBackends('no descriptor is inherited by programs that are started', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, { writeBufferBytes: 65_536 });
  for (let i = 0; i < 300; i++) void database.put(keyOf(i), valueOf(1000, i));
  await database.flush();
  await database.put('last', 'in the log');
  const ours = readdirSync('/proc/self/fd').flatMap((descriptor) => {
    let target: string;
    try {
      target = readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      // That of the listing itself.
      return [];
    }
    if (!target.startsWith(directory) && !/io_uring|eventfd/.test(target)) return [];
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1'));
    return [{ target, isInherited: (parseInt(flags?.[1] ?? '0', 8) & O_CLOEXEC) === 0 }];
  });
  const names = ours.map(({ target }) => target);
  t.true(names.includes(directory) && names.includes(join(directory, 'LOCK')), names.join());
  // Files in a ring's own table have no descriptors.
  if (database.stats().rings.every(({ fixedFiles }) => fixedFiles === 0)) {
    const isOpen = (part: string): boolean => names.some((name) => name.includes(part));
    t.true(['.sst', '.wal', 'MANIFEST-'].every(isOpen), names.join());
  }
  // Rings of a database that was closed before may be there as well.
  if (backend === 'uring')
    t.true(
      names.some((name) => name.includes('io_uring')),
      names.join(),
    );
  t.deepEqual(
    ours.filter(({ isInherited }) => isInherited),
    [],
  );
  const inherited = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  t.false(inherited.includes(directory), inherited);
  t.notRegex(inherited, /io_uring/);
});
