/** io_uring with IOPOLL, as the side outside of the machine sees it: one machine, and where its results stay. */
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { REPORT_FILE, SUMMARY_FILE, type IoUringTask } from '../../test/vm/io-uring-task.ts';
import { MachineError } from './commands.ts';
import type { KernelVersion } from './kernel.ts';
import { runInNewMachine, say } from './machine-run.ts';
import { cacheFolder } from './places.ts';

/** MiB. */
const DISKS = { data: 2048 };
const TIMEOUT_MS = 3 * 60 * 60_000;

/** The status to exit with. */
export async function runIoUring(kernel: KernelVersion, task: IoUringTask): Promise<number> {
  const { exitCode, results } = await runInNewMachine({
    kernel,
    modules: 'all',
    disks: DISKS,
    command: `node dist/test/vm/io-uring.js '${JSON.stringify(task)}'`,
    timeoutMs: TIMEOUT_MS,
  });
  const kept = cacheFolder('results', `io-uring-${kernel}`);
  rmSync(kept, { recursive: true });
  cpSync(results, kept, { recursive: true });
  if (!existsSync(join(kept, REPORT_FILE))) {
    throw new MachineError(`there is no report (status ${exitCode}); what there is of it: ${kept}`);
  }
  say(`summary: ${join(kept, SUMMARY_FILE)}; all of it: ${kept}`);
  return exitCode;
}
