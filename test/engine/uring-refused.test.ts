/**
 * Kernels and containers that refuse io_uring: asking for it fails at open with what to do about it and leaves nothing
 * behind; 'auto' falls back to system calls, works, and says why.
 */
import { existsSync, readdirSync } from 'node:fs';
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
/** What is said where memory could not be locked. */
const LOCKED_MEMORY = /ENOMEM.*64 KiB.*ulimit -l/;

function openRefused(
  t: ExecutionContext,
  backend: string,
  directory: string,
  errno: number,
): Promise<RefusedReport> {
  return openUnder(t, ['--errno', String(errno)], backend, directory);
}

async function openUnder(
  t: ExecutionContext,
  hostile: readonly string[],
  backend: string,
  directory: string,
): Promise<RefusedReport> {
  const wrapper = ['python3', REFUSE, ...hostile];
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

/** Some kernels charge the rings themselves to what a user may lock; four of them may then be too many. */
test.serial(
  'a user who may lock 64 KiB of memory has a database all the same, and is told what was refused',
  async (t) => {
    const directory = join(temporaryDirectory(t), 'db');
    for (const backend of ['auto', 'syscall']) {
      const report = await openUnder(t, ['--memlock', '64'], backend, directory);
      t.true(report.opened, report.message);
      t.is(report.read, 'was written');
      t.is(report.rings.length, 4);
      t.log(`${backend}: ${report.rings.map((ring) => ring.backend).join()}`);
      for (const ring of report.rings) {
        t.is(ring.bytes, 0);
        if (ring.backend === 'syscall') t.is(ring.refusal, null);
        else t.regex(ring.refusal ?? '', LOCKED_MEMORY);
      }
      if (backend === 'syscall') t.is(report.backend, 'syscall');
      else if (report.backend !== 'uring') t.regex(report.reason, LOCKED_MEMORY);
    }
    const database = await openDatabase(t, directory, 'syscall');
    await expectValue(t, database, 'b', 'again');
  },
);

test.serial(
  "io.backend 'uring' with 64 KiB of memory to lock opens, or says what the limit is",
  async (t) => {
    const directory = join(temporaryDirectory(t), 'db');
    const report = await openUnder(t, ['--memlock', '64'], 'uring', directory);
    if (report.opened) {
      t.is(report.read, 'was written');
      t.is(report.backend, 'uring');
    } else {
      t.is(report.code, 'URING_UNAVAILABLE');
      t.is(report.causeCode, 'ENOMEM');
      t.regex(report.message, LOCKED_MEMORY);
      t.false(existsSync(directory));
    }
  },
);
