/** CPU time of this process, and of its threads one by one, between two moments. Benchmarks only. */
import { readdirSync, readFileSync } from 'node:fs';

const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;

export interface CpuTimes {
  /** Of all threads, the kernel's workers for the rings among them, in user and kernel mode. */
  readonly processSeconds: number;
  /** Of the caller's thread, which owns the databases. */
  readonly ownerSeconds: number;
  /** Of the thread that ran most beside it: where one thing goes on, the ring thread that does it. */
  readonly busiestSeconds: number;
}

/** Begins now; the function says what has been used since. */
export function cpuTimes(): () => CpuTimes {
  const before = process.cpuUsage();
  const threadsBefore = threadNanoseconds();
  return () => {
    const { user, system } = process.cpuUsage(before);
    let owner = 0;
    let busiest = 0;
    for (const [thread, nanoseconds] of threadNanoseconds()) {
      const used = nanoseconds - (threadsBefore.get(thread) ?? 0);
      if (thread === process.pid) owner = used;
      else busiest = Math.max(busiest, used);
    }
    return {
      processSeconds: (user + system) / MICROSECONDS,
      ownerSeconds: owner / NANOSECONDS,
      busiestSeconds: busiest / NANOSECONDS,
    };
  };
}

/** By thread; the kernel counts in nanoseconds here, and in hundredths of a second in `stat`. */
function threadNanoseconds(): Map<number, number> {
  const times = new Map<number, number>();
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      const [running] = readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ');
      times.set(Number(thread), Number(running));
    } catch (error) {
      // A thread that has ended since.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return times;
}
