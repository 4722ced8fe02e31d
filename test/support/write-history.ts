/**
 * What was written to a database, in order, and how much of it must survive. Pure.
 *
 * Each record of a write takes one sequence number, and the model's moments are counted likewise: so the `lastSequence` of
 * a database that was opened says which moment it is at, and the model says what it must hold then. That moment
 *
 *     - lies at the end of an atomic write;
 *     - is not before the floor: what was acknowledged as durable, flushed, or there when a database was opened or closed;
 *     - is not behind what was submitted.
 */
import type { BatchOperation, Range } from '../../src/index.ts';
import { VersionModel } from './version-model.ts';

export class WriteHistory {
  readonly model = new VersionModel();
  /** Moments at which an atomic write ends. */
  #ends = new Set<number>([0]);
  #floor = 0;

  /** The moment of the last write that was submitted. */
  get submitted(): number {
    return this.model.now;
  }

  /** The earliest moment that may survive. */
  get floor(): number {
    return this.#floor;
  }

  /** One atomic write; returns its moment, or 0 where it has no record: what is no write makes nothing durable. */
  submit(operations: readonly BatchOperation[]): number {
    const before = this.model.now;
    for (const operation of operations) this.#apply(operation);
    this.#ends.add(this.model.now);
    return this.model.now === before ? 0 : this.model.now;
  }

  /** Everything up to the moment must survive. */
  durable(moment: number): void {
    this.#floor = Math.max(this.#floor, moment);
  }

  /** The writes since that moment were refused: none of them has happened. */
  refused(moment: number): void {
    if (moment < this.#floor) throw new Error('what was acknowledged cannot be refused');
    this.#truncate(moment);
  }

  /** A database was opened at that moment, from which it goes on. Throws when that cannot be. */
  opened(moment: number): void {
    this.expectPossible(moment, this);
    this.#truncate(moment);
    this.#floor = moment;
  }

  /** Throws unless a database may be at that moment that could have been anywhere from `floor` to `submitted`. */
  expectPossible(moment: number, { floor, submitted }: { floor: number; submitted: number }): void {
    const range = `${floor} of ${submitted} writes must be there`;
    if (moment < floor) throw new Error(`acknowledged writes are missing: ${moment} are there, ${range}`);
    if (moment > submitted) throw new Error(`more was found than was written: ${moment} are there, ${range}`);
    if (!this.#ends.has(moment)) throw new Error(`a batch is torn: ${moment} writes are there, ${range}`);
  }

  /** Ends of atomic writes from `floor` to `submitted`, the latest first: what a read may be of, if not of now. */
  moments({ floor, submitted }: { floor: number; submitted: number }): number[] {
    return [...this.#ends].filter((end) => end >= floor && end <= submitted).reverse();
  }

  #truncate(moment: number): void {
    this.model.truncate(moment);
    this.#ends = new Set([...this.#ends].filter((end) => end <= moment));
  }

  #apply(operation: BatchOperation): void {
    switch (operation.type) {
      case 'put':
        this.model.write({ key: Buffer.from(operation.key), value: Buffer.from(operation.value) });
        return;
      case 'del':
        this.model.write({ key: Buffer.from(operation.key), value: undefined });
        return;
      case 'deleteRange':
        // A range without keys is no record.
        if (!isEmpty(operation)) this.model.deleteRange(operation);
        return;
    }
  }
}

/** Whether no key can lie between the bounds. */
function isEmpty({ gt, gte, lt, lte }: Range): boolean {
  const successor = (key: Range['gt'] & {}): Buffer => Buffer.concat([Buffer.from(key), Buffer.alloc(1)]);
  const start = gt !== undefined ? successor(gt) : Buffer.from(gte ?? '');
  if (lt === undefined && lte === undefined) return false;
  const end = lt !== undefined ? Buffer.from(lt) : successor(lte ?? '');
  return Buffer.compare(start, end) >= 0;
}
