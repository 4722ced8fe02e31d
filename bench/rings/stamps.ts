/**
 * Where and when the stamps of requests are made: shared memory of each role, and one clock for all threads. Benchmarks only.
 *
 * A role's requests are numbered in the order in which they are made, which is that in which its ring thread takes them: so
 * both sides know a request's number without telling each other. Its stamps stand at its number modulo STAMP_SLOTS; twice as
 * many as can be outstanding, and the owner reads them when the answer comes. Published with the request and with its
 * answer, they need no ordering of their own.
 */
import { QUEUE_CAPACITY } from '../../src/protocol/crew-layout.ts';
import { STAMPS } from './stages.ts';

/** A power of two. */
export const STAMP_SLOTS = 2 * QUEUE_CAPACITY;

export type Stamps = Float64Array<SharedArrayBuffer>;

/** Nanoseconds since a moment that all threads agree on. */
export type Clock = () => number;

const NANOSECONDS_PER_SECOND = 1e9;
const COST_READINGS = 100_000;

export function allocateStamps(): Stamps {
  return new Float64Array(new SharedArrayBuffer(STAMP_SLOTS * STAMPS * Float64Array.BYTES_PER_ELEMENT));
}

/** Index of the first stamp of the request with that number. */
export function stampsAt(ordinal: number): number {
  return (ordinal & (STAMP_SLOTS - 1)) * STAMPS;
}

/** For `sharedClock` in every thread. */
export function secondsNow(): number {
  return process.hrtime()[0];
}

/**
 * The system's monotonic clock since that second, which a double then counts in nanoseconds for months. Not
 * `performance.now()`, which begins at another moment in each thread.
 */
export function sharedClock(baseSeconds: number): Clock {
  return () => {
    const [seconds, nanoseconds] = process.hrtime();
    return (seconds - baseSeconds) * NANOSECONDS_PER_SECOND + nanoseconds;
  };
}

/** What one reading of the clock takes, in nanoseconds: of about one reading each stage consists beside what it is named for. */
export function clockCostNanoseconds(clock: Clock): number {
  // Compiled first.
  for (let i = 0; i < COST_READINGS; i++) clock();
  const began = clock();
  for (let i = 0; i < COST_READINGS; i++) clock();
  return (clock() - began) / COST_READINGS;
}
