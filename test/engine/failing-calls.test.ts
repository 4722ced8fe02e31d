/**
 * Disks that report errors, on real files: system calls of the whole process fail with EIO for a while, without having done
 * anything. Only on the backend that makes system calls; io_uring's operations are failed under a virtual disk instead.
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { checkoutFile, endedWell, runChild, scriptBeside } from '../support/children.ts';
import { temporaryDirectory } from '../support/directories.ts';
import type { FailingCallsReport } from './failing-calls-child.ts';

const CHILD = scriptBeside(import.meta.url, 'failing-calls-child');
const FAIL = checkoutFile('test', 'support', 'fail-system-calls.py');
const LIMIT_MS = 60_000;

/** Undefined, with the reason logged, where the kernel knows no such filter. */
async function run(
  t: ExecutionContext,
  scenario: string,
  calls: readonly string[],
): Promise<FailingCallsReport | undefined> {
  const parent = temporaryDirectory(t);
  const switchFile = join(parent, 'fail');
  const wrapper = ['python3', FAIL, '--while', switchFile, '--calls', calls.join(',')];
  const end = await runChild(t, CHILD, [scenario, join(parent, 'db'), switchFile], {
    wrapper,
    limitMs: LIMIT_MS,
  });
  if (/^(seccomp: |no seccomp)/m.test(end.stderr)) {
    t.log(end.stderr.trim());
    t.pass();
    return undefined;
  }
  endedWell(t, end);
  const report = JSON.parse(end.stdout) as FailingCallsReport;
  t.deepEqual(report.missing, [], 'everything acknowledged is there, before and after');
  t.is(report.close, 'succeeded');
  t.is(report.writeAfterOpen, 'succeeded');
  return report;
}

/** Final for the open database: nothing is tried again, for a second try might succeed without the data. */
const FINAL: Record<string, [scenario: string, calls: string[]]> = {
  'a write of the log': ['write', ['pwritev2']],
  'a write of a table': ['flush', ['pwrite64']],
  'the fsync of a table': ['flush', ['fsync']],
  'the manifest’s append': ['flush', ['pwritev2']],
  'the manifest’s append after a compaction': ['compact', ['pwritev2']],
};

for (const [what, [scenario, calls]] of Object.entries(FINAL)) {
  test.serial(`${what} that fails with EIO is final, and nothing acknowledged is lost`, async (t) => {
    const report = await run(t, scenario, calls);
    if (report === undefined) return;
    t.true(['FAILED', 'IO_ERROR'].includes(report.outcome), report.outcome);
    t.like(report, { cause: 'EIO', write: 'FAILED', writeAfterwards: 'FAILED', isFinal: true });
  });
}

test.serial('a compaction whose table cannot be synced is given up, and all else goes on', async (t) => {
  const report = await run(t, 'compact', ['fsync']);
  if (report === undefined) return;
  t.like(report, { outcome: 'IO_ERROR', cause: 'EIO', write: 'succeeded', writeAfterwards: 'succeeded' });
  t.false(report.isFinal);
});
