/**
 * What the kernel itself counts of a disk: I/Os that completed, and the interrupts that told of them. A completion that was
 * polled for raises none: queues that are polled have no interrupt at all. The parsers are pure; the rest is for inside of
 * the virtual machine, whose disks share one controller, so that what another disk does is among the interrupts.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';

export interface KernelCounters {
  /** I/Os of the disk that completed, those that went along with a neighbour included. */
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
  /** Of the controller's queues for I/O. */
  readonly interrupts: number;
}

/** Places in /sys/block/…/stat, as the kernel's documentation numbers them. */
const READS_AT = 0;
const READS_MERGED_AT = 1;
const WRITES_AT = 4;
const WRITES_MERGED_AT = 5;
const FLUSHES_AT = 15;

export function parseDiskCounters(text: string): Omit<KernelCounters, 'interrupts'> {
  const fields = text.trim().split(/\s+/).map(Number);
  const at = (place: number): number => {
    const value = fields[place];
    if (value === undefined || !Number.isSafeInteger(value)) {
      throw new Error(`the statistics of the disk have no number at ${place}: ${text}`);
    }
    return value;
  };
  return {
    reads: at(READS_AT) + at(READS_MERGED_AT),
    writes: at(WRITES_AT) + at(WRITES_MERGED_AT),
    flushes: at(FLUSHES_AT),
  };
}

/** Of /proc/interrupts: all cores' of the queues nvme…q1 and on; that with the number 0 is for commands to the controller. */
export function parseQueueInterrupts(text: string): number {
  const [header = '', ...lines] = text.split('\n');
  const cores = header.trim().split(/\s+/).length;
  const queues = lines.filter((line) => /\snvme\d+q[1-9]\d*$/.test(line.trimEnd()));
  if (queues.length === 0) throw new Error(`no queue of an NVMe disk has interrupts:\n${text}`);
  return queues
    .flatMap((line) =>
      line
        .trim()
        .split(/\s+/)
        .slice(1, 1 + cores),
    )
    .reduce((sum, count) => sum + Number(count), 0);
}

function diskName(device: string): string {
  return basename(realpathSync(device));
}

export function readKernelCounters(device: string): KernelCounters {
  return {
    ...parseDiskCounters(readFileSync(`/sys/block/${diskName(device)}/stat`, 'utf8')),
    interrupts: parseQueueInterrupts(readFileSync('/proc/interrupts', 'utf8')),
  };
}

/** 1 where the disk has queues that can be polled. */
export function ioPollOf(device: string): string {
  return readFileSync(`/sys/block/${diskName(device)}/queue/io_poll`, 'utf8').trim();
}

export function countedSince(before: KernelCounters, after: KernelCounters): KernelCounters {
  return {
    reads: after.reads - before.reads,
    writes: after.writes - before.writes,
    flushes: after.flushes - before.flushes,
    interrupts: after.interrupts - before.interrupts,
  };
}
