/**
 * What a step took: time on the clock, processor time of the whole process, and what the kernel says of the disk. Benchmarks
 * only.
 */
import { readFileSync } from 'node:fs';
import { LATENCY_SHARES, type Measured } from '../workload/session.ts';

const IO_FILE = '/proc/self/io';
const STATUS_FILE = '/proc/self/status';

interface DiskBytes {
  readonly read: number;
  readonly written: number;
}

function diskBytes(): DiskBytes {
  const text = readFileSync(IO_FILE, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1]);
  return { read: field('read_bytes'), written: field('write_bytes') };
}

/** Anonymous and shared memory. */
function residentBytes(): number {
  const text = readFileSync(STATUS_FILE, 'utf8');
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1]);
  return (kibibytes('RssAnon') + kibibytes('RssShmem')) * 1024;
}

/** Runs from its making on; it can be stopped and started again. */
export class Stopwatch {
  readonly #cpu = process.cpuUsage();
  readonly #disk = diskBytes();
  #milliseconds = 0;
  #since = performance.now();

  /** REQUIRES: it runs. */
  stop(): void {
    this.#milliseconds += performance.now() - this.#since;
  }

  /** REQUIRES: it is stopped. */
  start(): void {
    this.#since = performance.now();
  }

  /** On the clock so far. REQUIRES: it runs. */
  get seconds(): number {
    return (this.#milliseconds + performance.now() - this.#since) / 1000;
  }

  /** Stops it. REQUIRES: it runs. */
  measured(row: string, operations: number, calls: number, latenciesMs: Float64Array | null): Measured {
    this.stop();
    const { user, system } = process.cpuUsage(this.#cpu);
    const disk = diskBytes();
    return {
      row,
      operations,
      calls,
      seconds: this.#milliseconds / 1000,
      cpuSeconds: (user + system) / 1e6,
      diskReadBytes: disk.read - this.#disk.read,
      diskWriteBytes: disk.written - this.#disk.written,
      latencyMicros: latenciesMs === null ? null : microsecondsAtShares(latenciesMs),
      residentBytes: residentBytes(),
    };
  }
}

/** REQUIRES: at least one. */
function microsecondsAtShares(milliseconds: Float64Array): number[] {
  const sorted = milliseconds.toSorted();
  return LATENCY_SHARES.map((share) => {
    const at = Math.min(Math.ceil(share * sorted.length) - 1, sorted.length - 1);
    return sorted[Math.max(at, 0)] * 1000;
  });
}
