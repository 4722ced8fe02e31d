/** Threads of this process, without those that the kernel makes for its rings, which come and go as they are needed. */
import { readdirSync, readFileSync } from 'node:fs';

/** PF_IO_WORKER. Their names begin with `iou-` as well, but not before they have run for the first time. */
const KERNEL_WORKER = 0x10;
/** Fields of /proc/…/stat that come behind the name, which may have blanks and parentheses of its own. */
const FLAGS_AFTER_NAME = 6;

/** Numbers and names. */
export function ownThreads(): string[] {
  return readdirSync('/proc/self/task').flatMap((id) => {
    try {
      const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
      const nameEnd = stat.lastIndexOf(')');
      const flags = Number(stat.slice(nameEnd + 2).split(' ')[FLAGS_AFTER_NAME]);
      return (flags & KERNEL_WORKER) !== 0 ? [] : [stat.slice(0, nameEnd + 1)];
    } catch (error) {
      // A thread that has ended since the listing is none of ours any more.
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
      throw error;
    }
  });
}
