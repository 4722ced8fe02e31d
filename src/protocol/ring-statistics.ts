/**
 * Counters and latencies of one ring thread, in shared memory. Written by its ring thread alone, read by the owner.
 *
 * Doubles in a SharedArrayBuffer: a 64-bit store is not torn on the machines we run on, and a reader wants a recent
 * figure, not a consistent set. Latencies go into a log-linear histogram: four buckets for each doubling of
 * microseconds, so that a percentile is known to within 19 %.
 */
import {
  COUNTER_ENTERS,
  COUNTER_FIXED_FILES,
  COUNTER_POLL_WAKE_UPS,
  COUNTER_POLLED,
} from './ring-counters.ts';

export const STATISTIC_TURNS = 0;
export const STATISTIC_RECORDS = 1;
export const STATISTIC_REQUESTS = 2;
export const STATISTIC_PARKS = 3;
export const STATISTIC_BYTES_READ = 4;
export const STATISTIC_BYTES_WRITTEN = 5;
/** Sum over submitting turns of the records submitted, and how many such turns there were. */
export const STATISTIC_SUBMITTING_TURNS = 6;
export const STATISTIC_SPIN_HITS = 7;
/** RING_COUNTERS of the addon's, in its order (see ring-counters.ts). */
export const STATISTIC_ADDON_COUNTERS = 8;
const HISTOGRAM_AT = 16;
const BUCKETS_PER_DOUBLING = 4;
const DOUBLINGS = 26;
export const STATISTICS_DOUBLES = HISTOGRAM_AT + BUCKETS_PER_DOUBLING * DOUBLINGS;

/** Bucket of a latency: 0–3 µs one each, then four to a doubling. */
function bucketOf(microseconds: number): number {
  const whole = microseconds < 1 ? 1 : Math.floor(microseconds);
  const exponent = 31 - Math.clz32(whole);
  const fraction = exponent >= 2 ? (whole >>> (exponent - 2)) & 3 : (whole << (2 - exponent)) & 3;
  return Math.min(exponent, DOUBLINGS - 1) * BUCKETS_PER_DOUBLING + fraction;
}

export function recordLatency(statistics: Float64Array, microseconds: number): void {
  statistics[HISTOGRAM_AT + bucketOf(microseconds)] += 1;
}

export interface RingCounters {
  /** Operations that were submitted to the ring. */
  readonly operations: number;
  /** Requests that the owner made of the role. */
  readonly requests: number;
  /** Calls into the addon. */
  readonly turns: number;
  /** Times that the kernel was entered for the ring (io_uring_enter); 0 without io_uring. */
  readonly enters: number;
  /** Of these, to wake the kernel’s thread that polls for submissions; see `io.sqpoll`. */
  readonly pollWakeUps: number;
  /** Operations whose completion was polled for; see `io.iopoll`. */
  readonly polledOperations: number;
  /** Operations whose file was in the ring’s table (`fixedFiles`) and needed no look-up of a descriptor. */
  readonly fixedFileOperations: number;
  /** Times the thread went to sleep. */
  readonly parks: number;
  /** Times a spin found a request before the thread went to sleep. */
  readonly spinHits: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Operations for each turn that submitted any. */
  readonly meanBatch: number;
  /** From submission to completion, in microseconds; 0 where nothing was measured. */
  readonly latencyMicroseconds: { readonly p50: number; readonly p99: number; readonly p999: number };
}

export function readCounters(statistics: Float64Array): RingCounters {
  const operations = statistics[STATISTIC_RECORDS];
  const submittingTurns = statistics[STATISTIC_SUBMITTING_TURNS];
  return {
    operations,
    requests: statistics[STATISTIC_REQUESTS],
    turns: statistics[STATISTIC_TURNS],
    enters: statistics[STATISTIC_ADDON_COUNTERS + COUNTER_ENTERS],
    pollWakeUps: statistics[STATISTIC_ADDON_COUNTERS + COUNTER_POLL_WAKE_UPS],
    polledOperations: statistics[STATISTIC_ADDON_COUNTERS + COUNTER_POLLED],
    fixedFileOperations: statistics[STATISTIC_ADDON_COUNTERS + COUNTER_FIXED_FILES],
    parks: statistics[STATISTIC_PARKS],
    spinHits: statistics[STATISTIC_SPIN_HITS],
    bytesRead: statistics[STATISTIC_BYTES_READ],
    bytesWritten: statistics[STATISTIC_BYTES_WRITTEN],
    meanBatch: submittingTurns === 0 ? 0 : operations / submittingTurns,
    latencyMicroseconds: {
      p50: percentile(statistics, 0.5),
      p99: percentile(statistics, 0.99),
      p999: percentile(statistics, 0.999),
    },
  };
}

/** Lower edge of the bucket in which the given share of all latencies has been seen. */
function percentile(statistics: Float64Array, share: number): number {
  let total = 0;
  for (let i = HISTOGRAM_AT; i < STATISTICS_DOUBLES; i++) total += statistics[i];
  if (total === 0) return 0;
  let seen = 0;
  for (let i = 0; i < STATISTICS_DOUBLES - HISTOGRAM_AT; i++) {
    seen += statistics[HISTOGRAM_AT + i];
    if (seen >= share * total) {
      const exponent = Math.floor(i / BUCKETS_PER_DOUBLING);
      return Math.round(2 ** exponent * (1 + (i % BUCKETS_PER_DOUBLING) / BUCKETS_PER_DOUBLING));
    }
  }
  return 0;
}
