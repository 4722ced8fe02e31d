/**
 * What a database that was killed must hold. Pure: it is told what the killed process reported, and says which state
 * the next open has to find.
 *
 * The fault. SIGKILL at any instant: the process's memory is gone, what it had handed to the kernel is not. Writes that
 * were in the kernel's hands may still be carried out, or not; those that were not issued never are. Neither the disk
 * nor the kernel fails, so this says nothing of power cuts.
 *
 * What is known. The killed process goes through a stream of operations that follows from a seed. Before it submits one
 * it says so, and after the promise has resolved it says that; both through a pipe that outlives it. So at the kill
 *
 *     acknowledged  ⊆  what the database acknowledged  ⊆  what was submitted  ⊆  submitting
 *
 * where the outer two are what the pipe has. The middle ones are not known, and need not be.
 *
 * What is promised. Writes take effect in the order of submission, each operation (a put, a deletion of a key or a range,
 * a batch) whole or not at all, and what survives is a prefix of that order, durable or not. Each record of an operation takes one
 * sequence number, so `lastSequence` of the next open says where the prefix ends. It is checked that
 *
 *     1. it ends between two operations: no batch is torn;
 *     2. it does not end before the floor: nothing acknowledged is missing. The floor lies behind
 *        - each acknowledged write that was to be durable, and so everything submitted before it, also what was not;
 *        - what had been acknowledged, durable or not, when an acknowledged flush, or compaction of everything, which
 *          begins with one, was submitted;
 *        - everything before an acknowledged close;
 *     3. it does not end behind what was submitted: nothing comes from nowhere;
 *     4. every key of the key set has the value, or the absence, that the prefix gives it, byte for byte, and keys that
 *        nobody wrote are absent. So what `lastSequence` says is not taken on trust: a prefix that is not there, an
 *        overwritten value, a deleted key that is back, half a batch all show here.
 *
 * What survived is then the state from which the next process goes on, and it must not change by itself: any number of
 * opens, killed or not, find the same `lastSequence` and the same contents.
 */
import {
  ABSENT_KEY_COUNT,
  describeValue,
  KEY_COUNT,
  keysOf,
  valueOf,
  type Operation,
  type ValueOrigin,
  type Workload,
  type Write,
} from './kill-workload.ts';

/** The database does not hold what it must. */
export class OracleFailure extends Error {
  override readonly name = 'OracleFailure';
}

/** An operation that was about to be submitted since the last open. */
interface Entry {
  readonly operation: Operation;
  /** Sequence numbers up to and with its last record; a barrier has none of its own. */
  readonly lastSequence: number;
  /** What was known to be acknowledged, durable or not, when it was submitted. */
  readonly coveredSequence: number;
  acknowledged: boolean;
}

/** What became of the writes between two opens. */
export interface Settlement {
  readonly acknowledged: number;
  /** Not acknowledged as far as is known, and there. */
  readonly keptUnacknowledged: number;
  /** Not there; none of them had to be. */
  readonly dropped: number;
}

export class Oracle {
  readonly #state = new Array<ValueOrigin | undefined>(KEY_COUNT).fill(undefined);
  /** `lastSequence` of that state. */
  #sequence = 0;
  /** The stream that writes now, and the next one's, which begins to write after its open. */
  #workload: Workload | undefined;
  #nextWorkload: Workload | undefined;
  /** Operations of the stream that were about to be submitted, since it began. */
  #submitted = 0;
  /** Those since the last open, by index, in order. */
  readonly #entries = new Map<number, Entry>();
  /** `lastSequence` if all of them survive. */
  #submittedSequence = 0;
  /** `lastSequence` if of them only those survive that must, and why they must. */
  #floor = 0;
  #floorReason = 'an earlier open';
  #acknowledgedSequence = 0;

  /** A process begins. It will write this stream, or nothing, once it has opened the database. */
  begin(workload: Workload | undefined): void {
    this.#nextWorkload = workload;
  }

  /** An open has found `lastSequence`. Throws OracleFailure when that cannot be. */
  opened(lastSequence: number): Settlement {
    const settlement = this.#settle(lastSequence);
    this.#entries.clear();
    this.#sequence = lastSequence;
    this.#submittedSequence = lastSequence;
    this.#acknowledgedSequence = lastSequence;
    this.#floor = lastSequence;
    this.#floorReason = 'an earlier open';
    if (this.#nextWorkload !== undefined) {
      this.#workload = this.#nextWorkload;
      this.#nextWorkload = undefined;
      this.#submitted = 0;
    }
    return settlement;
  }

  /** The operation at `index` of the stream is about to be submitted. */
  submitting(index: number): void {
    if (this.#workload === undefined || index !== this.#submitted) {
      throw new OracleFailure(`operation ${index} was reported, ${this.#submitted} was to be next`);
    }
    this.#submitted++;
    const operation = this.#workload.next();
    if (operation.kind === 'write') this.#submittedSequence += operation.writes.length;
    this.#entries.set(index, {
      operation,
      lastSequence: this.#submittedSequence,
      coveredSequence: this.#acknowledgedSequence,
      acknowledged: false,
    });
  }

  /** The promise of the operation at `index` has resolved. */
  acknowledged(index: number): void {
    const entry = this.#entries.get(index);
    if (entry === undefined) throw new OracleFailure(`operation ${index} was acknowledged but not submitted`);
    entry.acknowledged = true;
    const { operation, lastSequence, coveredSequence } = entry;
    if (operation.kind === 'write') {
      this.#acknowledgedSequence = Math.max(this.#acknowledgedSequence, lastSequence);
      if (operation.sync) this.#raiseFloor(lastSequence, `the durable write at operation ${index}`);
    } else if (operation.kind === 'reopen') {
      this.#raiseFloor(lastSequence, `the close at operation ${index}`);
    } else {
      this.#raiseFloor(coveredSequence, `the ${operation.kind} at operation ${index}`);
    }
  }

  /** Throws OracleFailure unless the key (one of the set, or one beyond it) has what it must. */
  check(key: number, found: Buffer | undefined, how: string): void {
    const origin = key < KEY_COUNT ? this.#state[key] : undefined;
    const expected = origin === undefined ? undefined : valueOf(origin);
    const equal = found === undefined || expected === undefined ? found === expected : found.equals(expected);
    if (equal) return;
    throw new OracleFailure(
      `key ${key} (of ${KEY_COUNT} + ${ABSENT_KEY_COUNT}) has ${describeValue(found)} by ${how}; ` +
        `at sequence number ${this.#sequence} it must have ${describeValue(expected)}` +
        (origin === undefined ? '' : ` (${JSON.stringify(origin)})`),
    );
  }

  #raiseFloor(sequence: number, reason: string): void {
    if (sequence <= this.#floor) return;
    this.#floor = sequence;
    this.#floorReason = reason;
  }

  #settle(lastSequence: number): Settlement {
    if (lastSequence < this.#floor) {
      throw new OracleFailure(
        `the database ends at sequence number ${lastSequence}; ${this.#floorReason} needs ${this.#floor}` +
          ` (${this.#submittedSequence} were submitted, ${this.#sequence} were there before)`,
      );
    }
    if (lastSequence > this.#submittedSequence) {
      throw new OracleFailure(
        `the database ends at sequence number ${lastSequence}; no more than ${this.#submittedSequence} were submitted`,
      );
    }
    const settlement = { acknowledged: 0, keptUnacknowledged: 0, dropped: 0 };
    let before = this.#sequence;
    for (const { operation, lastSequence: end, acknowledged } of this.#entries.values()) {
      if (operation.kind !== 'write') continue;
      if (acknowledged) settlement.acknowledged++;
      if (end > lastSequence) {
        if (before < lastSequence) {
          const kept = lastSequence - before;
          throw new OracleFailure(
            `operation ${operation.index} is torn: ${kept} of its ${operation.writes.length} records are there`,
          );
        }
        settlement.dropped++;
      } else {
        if (!acknowledged) settlement.keptUnacknowledged++;
        this.#apply(operation.index, operation.writes);
      }
      before = end;
    }
    return settlement;
  }

  #apply(index: number, writes: readonly Write[]): void {
    const stream = this.#workload?.stream ?? 0;
    writes.forEach((write, place) => {
      const { size } = write;
      const origin = size < 0 ? undefined : { stream, index, place, size };
      for (const key of keysOf(write)) this.#state[key] = origin;
    });
  }
}
