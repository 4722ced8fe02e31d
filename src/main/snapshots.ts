/**
 * Sequence numbers that somebody reads at: open snapshots and iterators. Owner only.
 *
 * As long as a number is held, a flush keeps what it sees: no version that is the newest at or below it is left out.
 */
import { must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { LeakWatch } from './leaks.ts';

export class SnapshotList {
  /** How many hold each number. */
  readonly #holders = new Map<number, number>();

  /** Called when a number is not read at any more. */
  onRelease: () => void = () => undefined;

  /** The database is closed: what is still held keeps nothing. */
  isClosed = false;

  /** Open snapshots and iterators. */
  get size(): number {
    let size = 0;
    for (const holders of this.#holders.values()) size += holders;
    return size;
  }

  /** The numbers, ascending. */
  get sequences(): readonly number[] {
    return [...this.#holders.keys()].sort((a, b) => a - b);
  }

  /** Whether a number from `from` on and below `below` is held. */
  hasBetween(from: number, below: number): boolean {
    for (const sequence of this.#holders.keys()) if (sequence >= from && sequence < below) return true;
    return false;
  }

  /** REQUIRES: a number that is held already, or the newest that reads see. */
  hold(sequence: number): void {
    this.#holders.set(sequence, (this.#holders.get(sequence) ?? 0) + 1);
  }

  release(sequence: number): void {
    const holders = must(this.#holders.get(sequence), 'a number that is released was held');
    if (holders > 1) this.#holders.set(sequence, holders - 1);
    else this.#holders.delete(sequence);
    if (holders === 1) this.onRelease();
  }
}

/** The database as it was when the snapshot was made. Close it: as long as it is open, old versions are kept for it. */
export class Snapshot implements Disposable {
  /** Writes up to this number are seen. */
  readonly sequence: number;
  readonly #list: SnapshotList;
  readonly #leakWatch: LeakWatch;
  #isOpen = true;

  /** @internal Made by `Database.snapshot`. */
  constructor(list: SnapshotList, sequence: number) {
    list.hold(sequence);
    this.sequence = sequence;
    this.#list = list;
    this.#leakWatch = new LeakWatch(this, 'a snapshot', () => {
      list.release(sequence);
      return !list.isClosed;
    });
  }

  /** @internal The number to read at. Throws CLOSED, or INVALID_ARGUMENT for another database's snapshot. */
  sequenceFor(list: SnapshotList): number {
    if (list !== this.#list)
      throw new QuadringError('INVALID_ARGUMENT', 'the snapshot is of another database');
    if (!this.#isOpen) throw new QuadringError('CLOSED', 'the snapshot is closed');
    return this.sequence;
  }

  /** Lets go what was kept for it. Closing twice is one. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#leakWatch.end();
    this.#list.release(this.sequence);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
