/** What a database does on its caller's own ring, where the crew has one. Owner only. */
import { must } from '../assert.ts';
import { ROLE_WAL } from '../protocol/requests.ts';
import { CallerFrames } from './caller-frames.ts';
import { CallerIo } from './caller-io.ts';
import { CallerReads } from './caller-reads.ts';
import type { Crew } from './crew.ts';
import type { AttachedPlace } from './crew-attachment.ts';
import type { IoScheduler } from './io-scheduler.ts';

/** Undefined where there is no such ring. The scheduler publishes, drains and waits for what is done on it. */
export function callersOwn(
  { callerRing, memory }: Crew,
  scheduler: IoScheduler,
  { directories, directIo, salt, slotBytes }: AttachedPlace,
  now: () => number,
  onFailure: (error: Error) => void,
): { readonly reads: CallerReads; readonly frames: CallerFrames } | undefined {
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
  return { reads: new CallerReads(io, pool, slotBytes), frames: new CallerFrames(io, pool, salt) };
}
