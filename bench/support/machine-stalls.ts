/**
 * When the machine itself stood still: moments at which a process of the highest priority that slept for half a millisecond
 * was woken late. No thread of this machine can cause that, only who runs the machine. Benchmarks only.
 *
 * On a shared host a virtual machine that uses all of its cores is stopped as a whole for some 10 ms again and again. What
 * is under way then waits, whatever it is: a figure says little about the database where such moments are not told apart.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SLEEP_MS = 0.5;
/** The sleeper's own collections and the kernel's timers stay well below. */
const LATE_MS = 3;
/** Intervals that are kept at most; 8 % of an hour of stops of 10 ms. */
const STALLS_MAX = 30_000;

/** In milliseconds of the monotonic clock. */
export interface Stall {
  readonly from: number;
  readonly to: number;
}

/** The monotonic clock, which all processes share, in milliseconds. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class StallMonitor {
  readonly #child: ChildProcess;
  readonly #stalls: Promise<readonly Stall[] | undefined>;

  /** Begins to look. */
  constructor() {
    const script = fileURLToPath(import.meta.url);
    this.#child = spawn('chrt', ['--fifo', '50', process.execPath, script, 'watch'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#stalls = new Promise((resolve) => {
      let text = '';
      this.#child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
      this.#child.on('error', () => resolve(undefined));
      this.#child.on('close', (code) => resolve(code === 0 ? (JSON.parse(text) as Stall[]) : undefined));
    });
  }

  /** Ends; gives what was seen, or undefined where a process may not have such a priority. */
  async stop(): Promise<readonly Stall[] | undefined> {
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdin?.end();
    return this.#stalls;
  }
}

/** Whether the time from one moment to another touches a stall. Stalls are in order. */
export function touchesStall(stalls: readonly Stall[], from: number, to: number): boolean {
  let low = 0;
  let high = stalls.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stalls[middle].to < from) low = middle + 1;
    else high = middle;
  }
  return low < stalls.length && stalls[low].from <= to;
}

/** The process that sleeps. Ends when nobody holds the other end of its input any more. */
function watch(): void {
  const stalls: Stall[] = [];
  const word = new Int32Array(new SharedArrayBuffer(4));
  let ended = false;
  process.stdin.on('end', () => (ended = true)).resume();
  const look = (): void => {
    // Looks at its input now and then, and sleeps in between.
    for (let i = 0; i < 200; i++) {
      const from = monotonicMs();
      Atomics.wait(word, 0, 0, SLEEP_MS);
      const to = monotonicMs();
      if (to - from - SLEEP_MS > LATE_MS && stalls.length < STALLS_MAX) stalls.push({ from, to });
    }
    if (ended) process.stdout.write(JSON.stringify(stalls));
    else setImmediate(look);
  };
  look();
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'watch') watch();
