/** A ring that asks for nothing beyond the usual: for probes, benchmarks and tests. Pure. */
import { RING_COUNTERS } from './ring-counters.ts';

/** All of a ring's options but its size, its arrays and its eventfd; counters of its own. */
export function plainRing(): {
  readonly singleIssuer: true;
  readonly polling: null;
  readonly workers: null;
  readonly pollsCompletions: false;
  readonly counters: Float64Array;
} {
  const counters = new Float64Array(RING_COUNTERS);
  return { singleIssuer: true, polling: null, workers: null, pollsCompletions: false, counters };
}
