/**
 * The stages of a request's life, and what is said of many of them. Pure.
 *
 *     published ─► taken ─► submitted ─► completed ─► answered ─► handled
 *              queue wait  submission   device    completion   wake-up
 *
 * Stamps are nanoseconds of one clock; what is said of stages is in microseconds.
 */
import { assert } from '../../src/assert.ts';

/** The owner is about to make the request visible. */
export const STAMP_PUBLISHED = 0;
/** The ring thread has it out of its queue. */
export const STAMP_TAKEN = 1;
/** The kernel has been entered to submit its record, and has returned. */
export const STAMP_SUBMITTED = 2;
/** The ring thread has its completion. */
export const STAMP_COMPLETED = 3;
/** The ring thread is about to make the answer visible. */
export const STAMP_ANSWERED = 4;
/** The owner's handler runs. */
export const STAMP_HANDLED = 5;
export const STAMPS = 6;

/** Each from its stamp to the next one. */
export const STAGE_NAMES = ['queue wait', 'submission', 'device', 'completion', 'wake-up'] as const;
export const TOTAL = STAGE_NAMES.length;
/** The stages, and behind them the whole. */
export const COLUMN_NAMES = [...STAGE_NAMES, 'total'] as const;

const NANOSECONDS_PER_MICROSECOND = 1000;

/** In microseconds. Null where there are too few to say. */
export interface StageSummary {
  readonly p50: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
}

/** Microseconds of one column, from the stamps that begin at `at`. */
export function columnMicroseconds(stamps: Float64Array, at: number, column: number): number {
  const from = column === TOTAL ? STAMP_PUBLISHED : column;
  const to = column === TOTAL ? STAMP_HANDLED : column + 1;
  return (stamps[at + to] - stamps[at + from]) / NANOSECONDS_PER_MICROSECOND;
}

/**
 * The smallest of the values that so large a share of them does not exceed (nearest rank). Null where not even one of them
 * would be expected beyond it: it would be the largest, and say nothing of the share. REQUIRES: ascending order.
 */
export function percentile(sorted: Float64Array, share: number): number | null {
  assert(share > 0 && share < 1, 'a share is between nothing and all');
  // A share like 0.999 is not exact, and neither is what is left of it.
  const rank = Math.ceil(Number((sorted.length * share).toFixed(6)));
  if (rank >= sorted.length) return null;
  return sorted[rank - 1];
}

/** REQUIRES: ascending order, and not empty. */
export function summaryOf(sorted: Float64Array): StageSummary {
  assert(sorted.length > 0, 'there is nothing to be said of nothing');
  return {
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    p999: percentile(sorted, 0.999),
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    min: sorted[0],
    max: sorted[sorted.length - 1],
  };
}

/** The stages of so many requests at most, in memory that is there before the first one. */
export class StageSamples {
  readonly #columns: readonly Float64Array[];
  #count = 0;

  constructor(capacity: number) {
    this.#columns = COLUMN_NAMES.map(() => new Float64Array(capacity));
  }

  get count(): number {
    return this.#count;
  }

  /** Takes the stages of the request whose stamps begin at `at`. */
  add(stamps: Float64Array, at: number): void {
    assert(this.#count < this.#columns[TOTAL].length, 'there is room for all that is measured');
    for (let column = 0; column <= TOTAL; column++) {
      this.#columns[column][this.#count] = columnMicroseconds(stamps, at, column);
    }
    this.#count++;
  }

  /** Ascending; a copy. */
  sorted(column: number): Float64Array {
    return this.#columns[column].slice(0, this.#count).sort();
  }
}
