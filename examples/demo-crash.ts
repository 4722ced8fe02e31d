/**
 * The demo's crash: a process that writes is killed with SIGKILL in the middle, and the database that it leaves is held
 * against what it had been promised.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Readable } from 'node:stream';
import { Database } from '../src/index.ts';
import { operationAt, readReport, REPORT_BYTES, REPORT_DESCRIPTOR } from './demo-operations.ts';

/** The process is killed so long after its first acknowledgement. */
const KILL_MS_MIN = 300;
const KILL_MS_MAX = 1500;
/** It hangs if it has not been acknowledged anything by then. */
const START_MS_MAX = 20_000;

/** What is known of the process that was killed. */
export interface Killed {
  readonly seed: number;
  /** Operations 0 to this − 1 were about to be submitted. */
  readonly submitted: number;
  readonly acknowledged: ReadonlySet<number>;
  readonly milliseconds: number;
}

export interface Survivors {
  readonly acknowledged: number;
  readonly unacknowledgedThere: number;
  readonly absent: number;
  readonly batches: number;
  readonly replayedRecords: number;
  readonly tornFrames: number;
  /** What is wrong; empty when nothing is. */
  readonly faults: readonly string[];
}

/** Starts the writer, kills it at a random moment, and resolves when it is gone and all its reports have been read. */
export function writeAndKill(directory: string): Promise<Killed> {
  const seed = randomInt(2 ** 31);
  const killAfterMs = randomInt(KILL_MS_MIN, KILL_MS_MAX);
  const program = fileURLToPath(new URL(`demo-writer${import.meta.url.slice(-3)}`, import.meta.url));
  const child = spawn(process.execPath, [program, directory, String(seed)], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  const kill = (): boolean => child.kill('SIGKILL');
  process.once('exit', kill);
  let timer = setTimeout(kill, START_MS_MAX);
  let submitted = 0;
  let rest = Buffer.alloc(0);
  let began = 0;
  const acknowledged = new Set<number>();

  (child.stdio[REPORT_DESCRIPTOR] as Readable).on('data', (piece: Buffer) => {
    const bytes = Buffer.concat([rest, piece]);
    let at = 0;
    for (; at + REPORT_BYTES <= bytes.length; at += REPORT_BYTES) {
      const report = readReport(bytes, at);
      if (report.acknowledged) acknowledged.add(report.index);
      else submitted = report.index + 1;
    }
    rest = bytes.subarray(at);
    if (acknowledged.size === 0 || began > 0) return;
    began = performance.now();
    clearTimeout(timer);
    timer = setTimeout(kill, killAfterMs);
  });

  return new Promise((resolve, reject) => {
    child.on('error', reject);
    // After the exit, and after the pipe has given all that was in it.
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      process.off('exit', kill);
      if (signal === 'SIGKILL' && acknowledged.size > 0) {
        resolve({ seed, submitted, acknowledged, milliseconds: performance.now() - began });
      } else {
        const end = signal === null ? `ended by itself with ${code}` : `was ended by ${signal}`;
        reject(new Error(`the writing process ${end} after ${acknowledged.size} acknowledgements`));
      }
    });
  });
}

/** Opens what the killed process left and compares every operation that it had begun. */
export async function compareSurvivors(directory: string, killed: Killed): Promise<Survivors> {
  const { seed, submitted, acknowledged } = killed;
  const database = await Database.open(directory);
  const { replayedRecords, tornFrames } = database.stats().recovery;
  const faults: string[] = [];
  let unacknowledgedThere = 0;
  let batches = 0;
  let firstAbsent = submitted;
  let absent = 0;
  for (let index = 0; index < submitted; index++) {
    const { isBatch, entries } = operationAt(seed, index);
    const found = await Promise.all(entries.map(({ key }) => database.get(key)));
    const right = entries.filter(({ value }, i) => found[i]?.equals(value)).length;
    const there = found.filter((value) => value !== undefined).length;
    if (isBatch) batches++;
    if (there > right) faults.push(`operation ${index}: ${there - right} wrong values`);
    if (there > 0 && there < entries.length) {
      faults.push(`operation ${index} is torn: ${there} of its ${entries.length} keys are there`);
    }
    if (there === 0) {
      absent++;
      firstAbsent = Math.min(firstAbsent, index);
      if (acknowledged.has(index)) faults.push(`operation ${index} was acknowledged and is missing`);
    } else {
      if (!acknowledged.has(index)) unacknowledgedThere++;
      if (index > firstAbsent) faults.push(`operation ${index} is there, ${firstAbsent} before it is not`);
    }
  }
  await database.close();
  return {
    acknowledged: acknowledged.size,
    unacknowledgedThere,
    absent,
    batches,
    replayedRecords,
    tornFrames,
    faults,
  };
}
