/**
 * Bounded queue of fixed-size records between exactly one producer thread and one consumer thread. Any thread, Atomics
 * only: never blocks, never allocates. Parking and waking are the doorbell's business.
 *
 *     at              at + 16         at + 32
 *     ┌───────────────┬───────────────┬──────────┬──────────┬─────┬──────────────────────┐
 *     │ head, 15 idle │ tail, 15 idle │ record 0 │ record 1 │ ... │ record capacity − 1  │
 *     └───────────────┴───────────────┴──────────┴──────────┴─────┴──────────────────────┘
 *       consumer        producer        recordWords words each, plain loads and stores
 *       writes          writes
 *
 * Invariants
 * 1. `head` and `tail` count records since the beginning and never stop: they are int32 and wrap. Their difference,
 *    taken modulo 2^32, is the number of records published and not yet released, from 0 to `capacity`. A capacity is a
 *    power of two, so the slot of a counter (`counter & (capacity − 1)`) stays continuous across the wrap.
 * 2. Only the producer stores `tail`, and only after the records before it are written; only the consumer stores
 *    `head`, and only after it has done with the records before it. Both stores and the loads that meet them are
 *    sequentially consistent, which orders the plain accesses to the records around them.
 * 3. Each side keeps its own counter and a cached copy of the other's, and looks at the shared word again only when
 *    the cached one says full or empty. A cached copy is old, never wrong: it errs towards full or empty.
 *
 * A batch costs one atomic store for the producer (`publish`) and one for the consumer (`release`).
 */
import { assert } from '../assert.ts';
import { LINE_WORDS, wholeLines } from './words.ts';
import type { SharedWords } from './words.ts';

export interface SpscQueueShape {
  readonly words: SharedWords;
  /** The queue's first word, a multiple of `LINE_WORDS`. */
  readonly at: number;
  /** In records, a power of two. */
  readonly capacity: number;
  readonly recordWords: number;
}

/** Beyond this the difference of two counters could be mistaken for a negative one. */
const CAPACITY_MAX = 2 ** 30;

const HEAD = 0;
const TAIL = LINE_WORDS;
const RECORDS = 2 * LINE_WORDS;

/** Words that a queue takes: a multiple of `LINE_WORDS`. */
export function spscQueueWords(capacity: number, recordWords: number): number {
  return RECORDS + wholeLines(capacity * recordWords);
}

/**
 * Empties the queue. REQUIRES: neither side exists yet; both read their counters when they are constructed. Zeroed
 * memory is an empty queue already. `counter` is where both counters begin, so that tests can begin next to the wrap.
 */
export function resetSpscQueue(shape: SpscQueueShape, counter = 0): void {
  checkShape(shape);
  Atomics.store(shape.words, shape.at + HEAD, counter | 0);
  Atomics.store(shape.words, shape.at + TAIL, counter | 0);
}

function checkShape({ words, at, capacity, recordWords }: SpscQueueShape): void {
  assert(Number.isInteger(at) && at >= 0 && at % LINE_WORDS === 0, 'a queue must begin at a cache line');
  assert(
    Number.isInteger(capacity) &&
      capacity >= 1 &&
      capacity <= CAPACITY_MAX &&
      Number.isInteger(Math.log2(capacity)),
    'the capacity of a queue must be a power of two of at most 2^30',
  );
  assert(Number.isInteger(recordWords) && recordWords >= 1, 'a record must have at least one word');
  assert(at + spscQueueWords(capacity, recordWords) <= words.length, 'the queue does not fit in its memory');
}

/** The side that writes records. One thread. */
export class SpscProducer {
  readonly #words: SharedWords;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #recordsAt: number;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #recordWords: number;
  /** Counter of the next record to reserve. */
  #next: number;
  /** What the shared tail says. */
  #published: number;
  #cachedHead: number;

  constructor(shape: SpscQueueShape) {
    checkShape(shape);
    this.#words = shape.words;
    this.#headAt = shape.at + HEAD;
    this.#tailAt = shape.at + TAIL;
    this.#recordsAt = shape.at + RECORDS;
    this.#capacity = shape.capacity;
    this.#mask = shape.capacity - 1;
    this.#recordWords = shape.recordWords;
    this.#published = Atomics.load(this.#words, this.#tailAt);
    this.#next = this.#published;
    this.#cachedHead = this.#published;
    this.#lookAtHead();
  }

  /**
   * Index in `words` of the next free record's first word, or −1 when the queue is full. The caller writes the record
   * with plain stores; the consumer sees it after `publish`. A caller that waits for room must have published first,
   * or it waits for a consumer that has nothing to consume.
   */
  reserve(): number {
    const next = this.#next;
    if (((next - this.#cachedHead) | 0) === this.#capacity) {
      this.#lookAtHead();
      if (((next - this.#cachedHead) | 0) === this.#capacity) return -1;
    }
    this.#next = (next + 1) | 0;
    return this.#recordsAt + (next & this.#mask) * this.#recordWords;
  }

  /** Makes everything reserved visible to the consumer at once; false if there was nothing new. */
  publish(): boolean {
    if (this.#next === this.#published) return false;
    this.#published = this.#next;
    Atomics.store(this.#words, this.#tailAt, this.#published);
    return true;
  }

  /** Records reserved since the last `publish`. */
  get unpublished(): number {
    return (this.#next - this.#published) | 0;
  }

  #lookAtHead(): void {
    this.#cachedHead = Atomics.load(this.#words, this.#headAt);
    assert((this.#next - this.#cachedHead) >>> 0 <= this.#capacity, 'the head of a queue has left its range');
  }
}

/** The side that reads records. One thread. */
export class SpscConsumer {
  readonly #words: SharedWords;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #recordsAt: number;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #recordWords: number;
  /** Counter of the next record to take. */
  #next: number;
  /** What the shared head says. */
  #released: number;
  #cachedTail: number;

  constructor(shape: SpscQueueShape) {
    checkShape(shape);
    this.#words = shape.words;
    this.#headAt = shape.at + HEAD;
    this.#tailAt = shape.at + TAIL;
    this.#recordsAt = shape.at + RECORDS;
    this.#capacity = shape.capacity;
    this.#mask = shape.capacity - 1;
    this.#recordWords = shape.recordWords;
    this.#released = Atomics.load(this.#words, this.#headAt);
    this.#next = this.#released;
    this.#cachedTail = this.#released;
    this.#lookAtTail();
  }

  /**
   * Index in `words` of the next record's first word, or −1 when the queue is empty. The record stays the consumer's
   * until `release`.
   */
  next(): number {
    const next = this.#next;
    if (next === this.#cachedTail) {
      this.#lookAtTail();
      if (next === this.#cachedTail) return -1;
    }
    this.#next = (next + 1) | 0;
    return this.#recordsAt + (next & this.#mask) * this.#recordWords;
  }

  /** Gives every record that `next` has returned back to the producer. */
  release(): void {
    if (this.#next === this.#released) return;
    this.#released = this.#next;
    Atomics.store(this.#words, this.#headAt, this.#released);
  }

  /**
   * Whether `next` would return a record: always a fresh look at the tail, which makes it the check between announcing
   * a park and sleeping (see doorbell.ts).
   */
  hasMore(): boolean {
    this.#lookAtTail();
    return this.#next !== this.#cachedTail;
  }

  #lookAtTail(): void {
    this.#cachedTail = Atomics.load(this.#words, this.#tailAt);
    assert(
      (this.#cachedTail - this.#released) >>> 0 <= this.#capacity,
      'the tail of a queue has left its range',
    );
  }
}
