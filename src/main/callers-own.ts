/** What a database does on its caller's own ring, where the crew has one. Owner only. */
import { must } from '../assert.ts';
import { ROLE_WAL } from '../protocol/requests.ts';
import { CallerFrames } from './caller-frames.ts';
import { CallerIo } from './caller-io.ts';
import { CallerReads } from './caller-reads.ts';
import type { Crew } from './crew.ts';
import type { AttachedPlace } from './crew-attachment.ts';
import type { IoScheduler } from './io-scheduler.ts';

export interface CallersOwn {
  readonly reads: CallerReads;
  /** Undefined without O_DIRECT: some file systems then sync within the submission, however it asks not to wait. */
  readonly frames: CallerFrames | undefined;
}

/** Undefined where there is no such ring. The scheduler publishes, drains and waits for what is done on it. */
export function callersOwn(
  { callerRing, memory }: Crew,
  scheduler: IoScheduler,
  { directories, directIo, salt, slotBytes }: AttachedPlace,
  now: () => number,
  onFailure: (error: Error) => void,
): CallersOwn | undefined {
  if (callerRing === undefined) return undefined;
  const io = new CallerIo({
    ring: callerRing,
    directory: must(directories[ROLE_WAL], 'each role has a handle of the directory'),
    directIo,
    now,
    onBegun: () => scheduler.noteCallerBegun(),
    onEnded: () => scheduler.noteCallerEnded(),
    onFailure,
  });
  scheduler.callerIo = io;
  const { pool } = memory;
  const frames = directIo ? new CallerFrames(io, pool, salt) : undefined;
  return { reads: new CallerReads(io, pool, slotBytes), frames };
}
