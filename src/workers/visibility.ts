/**
 * Who can see a version: what a flush and a compaction may leave out. Pure; ring threads only.
 *
 * A version is hidden when everybody who could see it, by the sequence number they read at, sees something newer of its
 * key instead: another version, or a range tombstone. Readers that come later read at numbers above all that is merged.
 */
export class Visibility {
  readonly #snapshots: readonly number[];
  readonly #keepAbove: number;

  /** `snapshots`: numbers that are read at, ascending; every version above `keepAbove` is kept. */
  constructor(snapshots: readonly number[], keepAbove: number) {
    this.#snapshots = snapshots;
    this.#keepAbove = keepAbove;
  }

  /** Whether somebody reads at a number from that of a version on and below that of the next newer thing. */
  isSeen(sequence: number, newerSequence: number): boolean {
    if (newerSequence > this.#keepAbove) return true;
    const snapshots = this.#snapshots;
    let low = 0;
    let high = snapshots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (snapshots[middle] < sequence) low = middle + 1;
      else high = middle;
    }
    return low < snapshots.length && snapshots[low] < newerSequence;
  }

  /** Whether nobody reads at a number below: then what is older than a deletion of this number is hidden by it. */
  isSeenByAll(sequence: number): boolean {
    return sequence <= this.#keepAbove && sequence <= (this.#snapshots[0] ?? this.#keepAbove);
  }

  /** Of a range tombstone's numbers, descending, those that hide something from somebody. */
  keptSequences(sequences: readonly number[]): number[] {
    return sequences.filter((sequence, i) => i === 0 || this.isSeen(sequence, sequences[i - 1]));
  }
}
