/** What must be true of the figures of all settings, and which of it is not. Pure. */
import { ROLE_NAMES, type RoleName } from '../../src/protocol/requests.ts';
import type { FiguresRun, Phase, Setting } from './io-uring-task.ts';

/** The rings that have a second one beside them, for what is polled for. */
const POLLED_ROLES: readonly RoleName[] = ['foreground', 'wal'];
/** A read that joins another one's is none of the disk's. */
const READS_FROM_DISK_MIN = 0.9;
/** For each I/O of the disk: the file system and other disks of the controller have a few of their own. */
const INTERRUPTS_MAX = 0.1;
/** Without polling each I/O that comes alone has its interrupt. */
const INTERRUPTS_MIN = 0.8;

/** Interrupts for each I/O of the disk that a phase was about. */
export function interruptsPerTransfer(phase: Phase): number {
  const transfers = transfersOf(phase);
  return transfers === 0 ? Infinity : phase.kernel.interrupts / transfers;
}

/** I/Os of the disk that the phase was about. */
function transfersOf({ kind, kernel }: Phase): number {
  return kind === 'read' ? kernel.reads : kernel.writes;
}

/**
 * Whether the disk's queues are polled for writes of files. io_uring says of a write that is polled for nothing that lets
 * iomap, through which ext4 and xfs write, complete it where it is found, and since Linux 6.6 iomap polls for nothing else
 * (fs/iomap/direct-io.c: IOMAP_DIO_CALLER_COMP; io_uring/rw.c). The ring then polls for a completion that an interrupt brings.
 */
export function diskPollsWrites(kernelRelease: string): boolean {
  const [, major = '', minor = ''] = /^(\d+)\.(\d+)/.exec(kernelRelease) ?? [];
  if (minor === '') throw new Error(`the kernel has no version: ${kernelRelease}`);
  return Number(major) < 6 || (Number(major) === 6 && Number(minor) < 6);
}

/** Sentences; none where all is as it has to be. */
export function brokenClaims({ name, io }: Setting, run: FiguresRun, kernelRelease: string): string[] {
  const broken: string[] = [];
  const claim = (condition: boolean, sentence: string): void => {
    if (!condition) broken.push(`${name}: ${sentence}`);
  };
  const polls = io.iopoll === true;
  claim(
    run.iopoll === polls,
    `stats().iopoll is ${run.iopoll}: ${run.iopollRefusal ?? 'no reason is given'}`,
  );
  for (const role of ROLE_NAMES) {
    const { flags, pollerFlags } = run.rings[role];
    const mayPoll = polls && POLLED_ROLES.includes(role);
    claim(
      pollerFlags.includes('IOPOLL') === mayPoll,
      `the poller of ${role} has [${pollerFlags.join(', ')}]`,
    );
    claim(!flags.includes('IOPOLL'), `the ring of ${role} takes nothing but polled operations`);
    const asksForThread = (io.sqpoll ?? false) !== false;
    claim(flags.includes('SQPOLL') === asksForThread, `the ring of ${role} has [${flags.join(', ')}]`);
  }
  for (const phase of run.phases) {
    if (phase.kind === 'prepare') {
      claimPreparation(phase, polls, claim);
    } else {
      claimTransfers(phase, polls, claim);
      const isPolled = polls && (phase.kind === 'read' || diskPollsWrites(kernelRelease));
      claimInterrupts(phase, isPolled, claim);
    }
  }
  return broken;
}

type Claim = (condition: boolean, sentence: string) => void;

/** Opens, syncs and renames cannot be polled for. They were done, so they went to the rings that do not poll. */
function claimPreparation({ name, rings, kernel }: Phase, polls: boolean, claim: Claim): void {
  for (const role of ['flush', 'compaction'] as const) {
    const { operations, polledOperations } = rings[role];
    claim(
      operations > 0 && polledOperations === 0,
      `${name}: of ${operations} of ${role} ${polledOperations} were polled for`,
    );
  }
  claim(kernel.flushes > 0, `${name}: nothing was synced to the disk`);
  const { operations, polledOperations } = rings.foreground;
  // Each new table is opened there, and its index and filter are read.
  claim(
    operations > polledOperations && polledOperations > 0 === polls,
    `${name}: of ${operations} of foreground ${polledOperations} were polled for`,
  );
}

function claimTransfers(phase: Phase, polls: boolean, claim: Claim): void {
  const { name, kind, depth, operations, rings } = phase;
  const role = kind === 'read' ? 'foreground' : 'wal';
  const { operations: submitted, polledOperations } = rings[role];
  claim(submitted > 0, `${name}: ${role} did nothing`);
  claim(
    polledOperations === (polls ? submitted : 0),
    `${name}: of ${submitted} of ${role} ${polledOperations} were polled for`,
  );
  const transfers = transfersOf(phase);
  claim(transfers >= submitted, `${name}: the disk counts ${transfers}, the ring ${submitted}`);
  if (kind === 'read') {
    claim(
      submitted >= READS_FROM_DISK_MIN * operations,
      `${name}: ${submitted} reads for ${operations} gets`,
    );
  } else if (depth === 1) {
    claim(submitted >= operations, `${name}: ${submitted} frames for ${operations} puts`);
  }
}

function claimInterrupts(phase: Phase, isPolled: boolean, claim: Claim): void {
  const interrupts = interruptsPerTransfer(phase);
  if (isPolled) {
    claim(interrupts <= INTERRUPTS_MAX, `${phase.name}: ${interrupts.toFixed(2)} interrupts for each I/O`);
  } else if (phase.depth === 1) {
    claim(
      interrupts >= INTERRUPTS_MIN,
      `${phase.name}: only ${interrupts.toFixed(2)} interrupts for each I/O`,
    );
  }
}
