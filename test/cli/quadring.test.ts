/** The command line, as a script sees it: what it prints, and how it exits. */
import { mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { RepairReport, VerifyReport } from '../../src/index.ts';
import { startChild, scriptBeside, type ChildEnd } from '../support/children.ts';
import { contentsOf, namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { keyOf, valueOf } from '../support/values.ts';

const SCRIPT = scriptBeside(import.meta.url, '../../src/cli/quadring');

function run(t: ExecutionContext, ...args: string[]): Promise<ChildEnd> {
  return startChild(t, SCRIPT, args).ended;
}

async function closedDatabase(t: ExecutionContext): Promise<string> {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, 'syscall', { blockBytes: 4096 });
  for (let i = 0; i < 200; i++) void database.put(keyOf(i), valueOf(100, i));
  await database.flush();
  await database.put('in the log', 'value');
  await database.close();
  return directory;
}

function damage(directory: string): string {
  const [table] = namesEnding(directory, '.sst');
  const file = join(directory, table);
  const bytes = readFileSync(file);
  bytes[5000] ^= 1;
  writeFileSync(file, bytes);
  return file;
}

test.serial(
  'verify exits with 0 and says sound, then with 1 and says where, and changes nothing',
  async (t) => {
    const directory = await closedDatabase(t);
    const lock = readFileSync(join(directory, 'LOCK'), 'latin1');
    const sound = await run(t, 'verify', directory);
    t.is(sound.code, 0, sound.stderr);
    t.regex(sound.stdout, /: sound\n/);
    const file = damage(directory);
    const before = contentsOf(directory);
    const damaged = await run(t, 'verify', directory, '--json');
    t.is(damaged.code, 1, damaged.stderr);
    const report = JSON.parse(damaged.stdout) as VerifyReport;
    t.false(report.isSound);
    t.is(report.findings[0].file, file);
    t.is(report.findings[0].offset, 4096);
    t.deepEqual(contentsOf(directory), before);
    t.is(readFileSync(join(directory, 'LOCK'), 'latin1'), lock);
  },
);

test.serial('repair exits with 1 when something was lost, and with 0 when nothing is wrong', async (t) => {
  const directory = await closedDatabase(t);
  damage(directory);
  const repaired = await run(t, 'repair', directory, '--json', '--hide-older', 'none');
  t.is(repaired.code, 1, repaired.stderr);
  const report = JSON.parse(repaired.stdout) as RepairReport;
  t.is(report.lost.length, 1);
  const { gte } = report.lost[0].ranges[0] as { gte: string };
  t.regex(Buffer.from(gte, 'base64').toString(), /^key-\d{8}$/);
  t.deepEqual(readdirSync(join(directory, 'lost-000001')).sort(), [...report.putAside].sort());
  const again = await run(t, 'repair', directory);
  t.is(again.code, 0, again.stderr);
  t.regex(again.stdout, /nothing was changed/);
  const verified = await run(t, 'verify', directory);
  t.is(verified.code, 0, verified.stdout);
});

test.serial('repair exits with 0 when it mends something without a loss', async (t) => {
  const directory = await closedDatabase(t);
  unlinkSync(join(directory, 'CURRENT'));
  const repaired = await run(t, 'repair', directory);
  t.is(repaired.code, 0, repaired.stderr);
  t.regex(repaired.stdout, /repaired; nothing was lost\n/);
});

test.serial('what cannot be told exits with 2 and says why', async (t) => {
  const directory = temporaryDirectory(t);
  const missing = await run(t, 'verify', join(directory, 'missing'));
  t.is(missing.code, 2);
  t.regex(missing.stderr, /NOT_FOUND/);
  mkdirSync(join(directory, 'other'));
  writeFileSync(join(directory, 'other', 'notes.txt'), 'mine');
  for (const name of ['verify', 'repair']) {
    const other = await run(t, name, join(directory, 'other'), '--json');
    t.is(other.code, 2);
    t.is((JSON.parse(other.stdout) as { code: string }).code, 'NOT_A_DATABASE');
  }
  const held = await closedDatabase(t);
  const database = await openDatabase(t, held, 'syscall');
  const locked = await run(t, 'verify', held, '--lock-timeout', '0');
  t.is(locked.code, 2);
  t.regex(locked.stderr, /LOCKED/);
  await database.close();
  const refusals = [
    { args: ['mend', 'x'], says: /there is no command "mend"/ },
    { args: ['verify'], says: /one directory is needed/ },
    { args: ['verify', 'a', '--no-such'], says: /--no-such/ },
    { args: ['verify', 'a', '--take-behind-gaps'], says: /only a repair/ },
    { args: ['repair', held, '--hide-older', 'some'], says: /--hide-older must be likely/ },
  ];
  const refused = await Promise.all(refusals.map(({ args }) => run(t, ...args)));
  for (const [i, { args, says }] of refusals.entries()) {
    t.is(refused[i].code, 2, args.join(' '));
    t.regex(refused[i].stderr, says);
  }
  const help = await run(t, '--help');
  t.is(help.code, 0);
  t.regex(help.stdout, /^usage: quadring verify/);
});
