/** Failing disks, as the side outside of the machine sees them: one machine that goes through all of it. */
import type { IoErrorTask } from '../../test/vm/io-errors.ts';
import type { KernelVersion } from './kernel.ts';
import { runInNewMachine } from './machine-run.ts';

/** MiB. XFS is not made smaller than 300. */
const DISKS = { data: 384 };
const TIMEOUT_MS = 1_200_000;

/** The status to exit with. */
export async function failDisks(kernel: KernelVersion, task: IoErrorTask): Promise<number> {
  const { exitCode } = await runInNewMachine({
    kernel,
    modules: 'production',
    disks: DISKS,
    command: `node dist/test/vm/io-errors.js '${JSON.stringify(task)}'`,
    timeoutMs: TIMEOUT_MS,
  });
  return exitCode;
}
