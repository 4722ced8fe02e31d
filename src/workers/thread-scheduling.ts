/** Which of the ring threads gets a core first where there are not enough for all. Ring threads only. */
import { constants, getPriority, setPriority } from 'node:os';
import { native } from '../native.ts';
import { ROLE_COMPACTION, ROLE_FLUSH, ROLE_FOREGROUND, type RoleId } from '../protocol/requests.ts';

/**
 * What is added to the niceness of the threads that work for long: where cores are few, one that has been asleep, to read
 * or to append to the log, then gets a core at once. Not so much that other processes can keep them from working at all.
 */
const NICENESS: Partial<Record<RoleId, number>> = { [ROLE_FLUSH]: 5, [ROLE_COMPACTION]: 10 };
/**
 * Time slices that are asked for: from Linux 6.12 on, who asks for a shorter one than the thread that is running gets the
 * core when it wakes up. So those that work for long ask for long ones (others have some 3 ms), for the same share.
 */
const SLICE_MICROSECONDS: Partial<Record<RoleId, number>> = {
  [ROLE_FOREGROUND]: 100,
  [ROLE_FLUSH]: 20_000,
  [ROLE_COMPACTION]: 20_000,
};
/** Of setpriority: on Linux, the calling thread. */
const THIS_THREAD = 0;
const REFUSALS = new Set(['EPERM', 'EACCES', 'ENOSYS', 'EINVAL', 'ERR_SYSTEM_ERROR']);

/** Of the calling thread. Where the kernel refuses, a sandbox's for example, everything works without. */
export function settleScheduling(role: RoleId): void {
  try {
    const niceness = getPriority(THIS_THREAD) + (NICENESS[role] ?? 0);
    setPriority(THIS_THREAD, Math.min(niceness, constants.priority.PRIORITY_LOW));
    const slice = SLICE_MICROSECONDS[role];
    if (slice !== undefined) native.setTimeSlice(slice);
  } catch (error) {
    if (!REFUSALS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
