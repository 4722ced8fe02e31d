/**
 * Kernels and containers that refuse io_uring: asking for it fails at open with what to do about it and leaves nothing
 * behind; 'auto' falls back to system calls, works, and says why.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { checkoutFile, endedWell, runChild, scriptBeside } from '../support/children.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectValue } from '../support/values.ts';
import type { RefusedReport } from './refused-opener.ts';

const OPENER = scriptBeside(import.meta.url, 'refused-opener');
const REFUSE = checkoutFile('test', 'support', 'refuse-io-uring.py');
/** What seccomp profiles, `kernel.io_uring_disabled` and old kernels answer. */
const ERRNOS = { EPERM: 1, ENOSYS: 38, EACCES: 13 };

async function openRefused(
  t: ExecutionContext,
  backend: string,
  directory: string,
  errno: number,
): Promise<RefusedReport> {
  const wrapper = ['python3', REFUSE, '--errno', String(errno)];
  const end = await runChild(t, OPENER, [backend, directory], { wrapper });
  endedWell(t, end);
  return JSON.parse(end.stdout) as RefusedReport;
}

for (const [name, errno] of Object.entries(ERRNOS)) {
  test.serial(`io.backend 'uring' where the kernel answers ${name}`, async (t) => {
    const parent = temporaryDirectory(t);
    const { opened, code, message, causeCode } = await openRefused(t, 'uring', join(parent, 'db'), errno);
    t.false(opened);
    t.is(code, 'URING_UNAVAILABLE');
    t.is(causeCode, name);
    t.regex(message, /io_uring/);
    // The hint says what it means and what to do.
    t.regex(message, name === 'ENOSYS' ? /kernel/i : /seccomp|io_uring_disabled/);
    t.deepEqual(readdirSync(parent), [], 'nothing is created');
  });

  test.serial(`io.backend 'auto' where the kernel answers ${name}`, async (t) => {
    const directory = join(temporaryDirectory(t), 'db');
    const report = await openRefused(t, 'auto', directory, errno);
    t.true(report.opened, report.message);
    t.is(report.backend, 'syscall');
    t.regex(report.reason, /io_uring/);
    t.is(report.read, 'was written');
    const database = await openDatabase(t, directory, 'syscall');
    await expectValue(t, database, 'a', 'was written');
  });
}

test.serial("io.backend 'syscall' does not ask for io_uring", async (t) => {
  const report = await openRefused(t, 'syscall', join(temporaryDirectory(t), 'db'), ERRNOS.EPERM);
  t.true(report.opened, report.message);
  t.is(report.backend, 'syscall');
  t.regex(report.reason, /asked for/);
});

test.serial("io.backend 'uring' on a database that exists changes nothing in it", async (t) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, 'syscall');
  await database.put('a', 'from before');
  await database.close();
  const before = readdirSync(directory);
  const { code } = await openRefused(t, 'uring', directory, ERRNOS.EPERM);
  t.is(code, 'URING_UNAVAILABLE');
  t.deepEqual(readdirSync(directory), before);
  const again = await openDatabase(t, directory, 'syscall');
  await expectValue(t, again, 'a', 'from before');
});
