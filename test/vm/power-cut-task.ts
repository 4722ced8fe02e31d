/** What the two sides of a run of power cuts agree on: what is to be done, and what comes back. Pure. */
import type { FileSystemKind } from './devices.ts';

/** The status that the program in the machine ends with when a database is not what it must be. */
export const BROKEN = 2;
/** PowerCutTotals as JSON, among the machine's results. */
export const TOTALS_FILE = 'totals.json';

/** Given as JSON in the first argument. */
export interface PowerCutTask {
  readonly fileSystem: FileSystemKind;
  readonly cuts: number;
  readonly seed: number;
  readonly backend: 'auto' | 'uring' | 'syscall';
  /** `io.iopoll` of the processes that write. */
  readonly iopoll: boolean;
}

/** Of one machine's life. */
export interface PowerCutTotals {
  recordings: number;
  cuts: number;
  /** By what the disk had kept of what it need not have: 'nothing', 'everything' … */
  cutsByRemainder: Record<string, number>;
  /** Cuts with a FUA write in flight, and in recordings that began with a recovery, before it was done. */
  cutsInFlight: number;
  cutsDuringRecovery: number;
  opens: number;
  /** Operations that the open after a cut had to have, of the recording that was cut, summed over the cuts. */
  acknowledged: number;
  /** What became of the others. */
  keptUnacknowledged: number;
  dropped: number;
  tornFrames: number;
  logEntries: number;
  /** Behind a place where a log does not say which of two writes came first. */
  notReplayed: number;
  markers: number;
}
