/** Power cuts, as the side outside of the machine sees them: one machine for each file system, and the figures of all. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileSystemKind } from '../../test/vm/devices.ts';
import { BROKEN, TOTALS_FILE, type PowerCutTask, type PowerCutTotals } from '../../test/vm/power-cut-task.ts';
import { MachineError } from './commands.ts';
import type { KernelVersion } from './kernel.ts';
import { keepEvidence, runInNewMachine } from './machine-run.ts';
import type { Mutation } from './mutations.ts';

export interface PowerCutRun {
  readonly kernel: KernelVersion;
  readonly backend: PowerCutTask['backend'];
  readonly iopoll: boolean;
  readonly fileSystems: readonly FileSystemKind[];
  /** In all; each file system gets its share. */
  readonly cuts: number;
  readonly seed: number;
  readonly mutation: Mutation | undefined;
}

/** MiB. XFS is not made smaller than 300; the log has room for everything that a recording writes. */
const DISKS = { data: 384, copy: 384, snapshots: 512, log: 8192 };
/** A cut takes some seconds where everything is emulated, a recording a minute. */
const TIMEOUT_MS = 300_000;
const TIMEOUT_MS_PER_CUT = 90_000;

/** The status to exit with: 0 if nothing was missing or, with a mutation, if something was. */
export async function cutPower(run: PowerCutRun): Promise<number> {
  const { kernel, backend, iopoll, fileSystems, seed, mutation } = run;
  const began = performance.now();
  let failed = 0;
  for (const [i, fileSystem] of fileSystems.entries()) {
    const share =
      Math.floor((run.cuts * (i + 1)) / fileSystems.length) - Math.floor((run.cuts * i) / fileSystems.length);
    if (share === 0) continue;
    console.log(
      `${share} power cuts on ${fileSystem}, kernel ${kernel}, seed ${seed}, backend ${backend}${iopoll ? ', iopoll' : ''}`,
    );
    if (mutation !== undefined) console.log(`with a mutation: ${mutation.description}`);
    const task: PowerCutTask = { fileSystem, cuts: share, seed, backend, iopoll };
    const { exitCode, results } = await runInNewMachine({
      kernel,
      modules: 'production',
      ...(mutation === undefined ? {} : { mutation }),
      disks: DISKS,
      command: `node dist/test/vm/power-cuts.js '${JSON.stringify(task)}'`,
      timeoutMs: TIMEOUT_MS + share * TIMEOUT_MS_PER_CUT,
    });
    const totalsFile = join(results, TOTALS_FILE);
    if ((exitCode !== 0 && exitCode !== BROKEN) || !existsSync(totalsFile)) {
      const kept = keepEvidence(`power-cut-${fileSystem}-${seed}`);
      throw new MachineError(
        `the power could not be cut as it was to be (status ${exitCode}); kept: ${kept}`,
      );
    }
    const totals = JSON.parse(readFileSync(totalsFile, 'utf8')) as PowerCutTotals;
    console.log(describeTotals(fileSystem, totals, performance.now() - began).join('\n'));
    if (exitCode === 0) continue;
    failed++;
    if (mutation !== undefined) continue;
    console.log(
      `kept: ${keepEvidence(`power-cut-${fileSystem}-${seed}`)} (disks/copy.img is as the cut left it)`,
    );
  }
  if (mutation === undefined) return failed === 0 ? 0 : 1;
  console.log(
    failed === fileSystems.length ? `${mutation.name} was caught` : `${mutation.name} was not caught`,
  );
  return failed === fileSystems.length ? 0 : 1;
}

function describeTotals(fileSystem: FileSystemKind, totals: PowerCutTotals, milliseconds: number): string[] {
  const { recordings, cuts, opens, acknowledged, keptUnacknowledged, dropped } = totals;
  const remainders = Object.entries(totals.cutsByRemainder).map(([name, count]) => `${name} ${count}`);
  return [
    `power cuts on ${fileSystem.padEnd(10)}${cuts}, in ${recordings} recordings of ${totals.logEntries} log entries with ${totals.markers} markers (${totals.notReplayed} more not replayed)`,
    `of what was cached      ${remainders.join(', ')} kept; ${totals.cutsInFlight} with a write in flight`,
    `during a recovery       ${totals.cutsDuringRecovery}, or just after it`,
    `opens compared          ${opens}`,
    `writes acknowledged     ${acknowledged} before these cuts; missing 0, torn 0`,
    `writes unacknowledged   ${keptUnacknowledged} kept, ${dropped} not`,
    `torn frames cut         ${totals.tornFrames}`,
    `time                    ${Math.round(milliseconds / 1000)} s so far`,
  ];
}
