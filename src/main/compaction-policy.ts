/**
 * The numbers that compaction goes by. Pure.
 *
 * Chosen with bench/compaction-simulator.ts (2,000,000 keys, 3,000,000 operations, defaults otherwise), by the bytes that
 * are written for each byte that is flushed:
 *
 *     table that goes first     uniform   zipf   hot spot   half in order, half at random
 *     least overlap               12.6     9.9      6.2        9.8
 *     in turn                     12.8    11.1      7.9       10.5
 *
 *     base level at most        6 MiB in all   61 MiB   488 MiB
 *     8 write buffers                 2.7         8.4      14.5
 *     4 write buffers                 4.0         9.9      16.0
 *
 * With 4, what level 0 brings is often more than the base level's target, and is written there only to be written again
 * one level below. With 16 a tenth less is written, at best, and single compactions are twice as large.
 */

/** Which table of a sorted level goes first: the one that makes the least be rewritten, or the one after the last. */
export type TableChoice = 'least-overlap' | 'round-robin';

export interface CompactionPolicy {
  /** Tables from which on level 0 is compacted. */
  readonly l0Trigger: number;
  /** Most bytes that the level which level 0 is compacted to should have. */
  readonly baseBytes: number;
  /** How much larger each level below should be. */
  readonly multiplier: number;
  /** Bytes of a table from which on the next key begins another. */
  readonly tableBytes: number;
  /** Most bytes of the level below its own that a table should overlap: they are rewritten when it is compacted. */
  readonly grandparentBytesMax: number;
  /** Inputs are not extended beyond this; a compaction that needs more all the same has as few as it can. */
  readonly compactionBytesMax: number;
  readonly tableChoice: TableChoice;
}

/** What of the database's settings decides the policy. */
export interface PolicySettings {
  readonly writeBufferBytes: number;
}

const L0_TRIGGER = 4;
/** Level 0 when it is compacted, twice. */
const BASE_WRITE_BUFFERS = 2 * L0_TRIGGER;
const MULTIPLIER = 10;
const TABLE_BYTES_MIN = 64 * 1024;
const TABLE_BYTES_MAX = 64 * 1024 * 1024;

export function compactionPolicyOf({ writeBufferBytes }: PolicySettings): CompactionPolicy {
  const tableBytes = Math.min(Math.max(writeBufferBytes, TABLE_BYTES_MIN), TABLE_BYTES_MAX);
  return {
    l0Trigger: L0_TRIGGER,
    baseBytes: BASE_WRITE_BUFFERS * writeBufferBytes,
    multiplier: MULTIPLIER,
    tableBytes,
    grandparentBytesMax: 10 * tableBytes,
    compactionBytesMax: 25 * tableBytes,
    tableChoice: 'least-overlap',
  };
}
