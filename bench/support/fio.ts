/** What the disk gives to fio: O_DIRECT through io_uring, one job, a fixed number of reads in flight. Benchmarks only. */
import { spawnSync } from 'node:child_process';

const RUN_SECONDS = 2;

export interface DiskReading {
  readonly files: readonly string[];
  readonly order: 'sequential' | 'random';
  readonly blockBytes: number;
  readonly depth: number;
}

interface FioOutput {
  readonly jobs: readonly [
    {
      readonly error: number;
      readonly read: { readonly bw_bytes: number; readonly total_ios: number; readonly runtime: number };
      readonly usr_cpu: number;
      readonly sys_cpu: number;
    },
  ];
}

export interface FioResult {
  readonly bytesPerSecond: number;
  readonly reads: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** fio's version, or null where there is none. */
export function fioVersion(): string | null {
  const { status, stdout } = spawnSync('fio', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

/** Reads for two seconds, the same again where it comes to an end. Throws when fio fails. */
export function readWithFio({ files, order, blockBytes, depth }: DiskReading): FioResult {
  const { status, stdout, stderr, error } = spawnSync(
    'fio',
    [
      `--name=${order}`,
      `--filename=${files.map((file) => file.replaceAll(':', '\\:')).join(':')}`,
      `--file_service_type=${order}`,
      '--readonly',
      `--rw=${order === 'sequential' ? 'read' : 'randread'}`,
      '--direct=1',
      '--ioengine=io_uring',
      `--bs=${blockBytes}`,
      `--iodepth=${depth}`,
      '--time_based',
      `--runtime=${RUN_SECONDS}`,
      '--output-format=json',
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`fio failed: ${error?.message ?? stderr}`);
  const [job] = (JSON.parse(stdout.slice(stdout.indexOf('{'))) as FioOutput).jobs;
  if (job.error !== 0) throw new Error(`fio reports error ${job.error}`);
  const seconds = job.read.runtime / 1000;
  return {
    bytesPerSecond: job.read.bw_bytes,
    reads: job.read.total_ios,
    seconds,
    cpuSeconds: (seconds * (job.usr_cpu + job.sys_cpu)) / 100,
  };
}
