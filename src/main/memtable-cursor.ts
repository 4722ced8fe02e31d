/**
 * A scan's way through one memtable, frozen or active. Owner only.
 *
 * It never waits. What is written while it stands somewhere is newer than what the scan sees, and is passed over: nodes never
 * move, and where new ones have moved its place in the order, it looks for it again.
 */
import { compareBytes } from '../format/compare.ts';
import { Cursor, ENDED, PAUSED } from './cursor.ts';
import type { KeyPosition } from './key-order.ts';
import type { Memtable, MemtableEntry } from './memtable.ts';
import type { KeyRange } from './range.ts';

/** Versions passed over at a time: about a millisecond's worth. */
const PASSED_MAX = 8192;

export class MemtableCursor extends Cursor {
  /** The arena will be used again. */
  isPrivate = false;
  readonly memtable: Memtable;
  readonly #range: KeyRange;
  readonly #isReverse: boolean;
  readonly #visibleSequence: number;
  readonly #found: MemtableEntry = {
    kind: 0,
    valueStart: 0,
    valueLength: 0,
    sequence: Number.MAX_SAFE_INTEGER,
  };
  /** At the first version of the entry's key. */
  readonly #position: KeyPosition = { node: 0, block: 0, at: 0 };
  /** PAUSED: the version of that key to go on with. */
  #version = 0;

  constructor(
    memtable: Memtable,
    range: KeyRange,
    {
      isReverse,
      visibleSequence,
      headSkip,
    }: { isReverse: boolean; visibleSequence: number; headSkip: number },
  ) {
    super();
    this.memtable = memtable;
    this.bytes = memtable.bytes;
    this.headSkip = headSkip;
    this.#range = range;
    this.#isReverse = isReverse;
    this.#visibleSequence = visibleSequence;
    const { lower, upper } = range;
    const { order } = memtable;
    const position = this.#position;
    if (isReverse) {
      if (upper === undefined) order.toLast(position);
      else order.toLastBefore(position, upper, 0, upper.length);
    } else if (lower === undefined) {
      order.toFirst(position);
    } else {
      order.toFirstFrom(position, lower, 0, lower.length);
    }
    this.#settle();
  }

  protected step(): void {
    this.#goOn();
    this.#settle();
  }

  skipTo(bound: Uint8Array): void {
    const { order } = this.memtable;
    if (this.#isReverse) order.toLastBefore(this.#position, bound, 0, bound.length);
    else if (bound.length === 0) this.#position.node = 0;
    else order.toFirstFrom(this.#position, bound, 0, bound.length);
    this.#settle();
  }

  get newestSequence(): number {
    return this.memtable.lastSequence;
  }

  resume(): void {
    this.#settleFrom(this.#version);
  }

  /** The key from which on nothing has been given; undefined at the end. */
  get position(): Uint8Array | undefined {
    return this.state === ENDED ? undefined : this.memtable.keyOf(this.#position.node);
  }

  /** An arena stays where it is. */
  detach(): void {
    return;
  }

  close(): void {
    this.state = ENDED;
  }

  /** To the next key, or in reverse to the one before. */
  #goOn(): void {
    const { order } = this.memtable;
    if (this.#isReverse) order.toPrevious(this.#position);
    else order.toNext(this.#position);
  }

  #settle(): void {
    const { node } = this.#position;
    this.#settleFrom(node === 0 ? 0 : this.memtable.newestVersion(node));
  }

  /** HOT. Stands at the first visible version that it comes by, from a version of the key where it is on. */
  #settleFrom(first: number): void {
    const { memtable } = this;
    const position = this.#position;
    const visibleSequence = this.#visibleSequence;
    let version = first;
    let passed = 0;
    while (position.node !== 0) {
      for (; version !== 0; version = memtable.olderVersion(version)) {
        if (memtable.sequenceOf(version) <= visibleSequence) return this.#standAt(version);
        if (passed++ === PASSED_MAX) return this.#pause(version);
      }
      this.#goOn();
      if (position.node !== 0) version = memtable.newestVersion(position.node);
    }
    this.state = ENDED;
  }

  #pause(version: number): void {
    this.#version = version;
    this.state = this.#isWithinBound() ? PAUSED : ENDED;
  }

  /** Whether the key is before the upper bound, or in reverse not before the lower one. */
  #isWithinBound(): boolean {
    const bound = this.#isReverse ? this.#range.lower : this.#range.upper;
    if (bound === undefined) return true;
    const { memtable, bytes } = this;
    const { node } = this.#position;
    const start = memtable.keyStartOf(node);
    const order = compareBytes(bytes, start, memtable.keyLengthOf(node), bound, 0, bound.length);
    return this.#isReverse ? order >= 0 : order < 0;
  }

  #standAt(version: number): void {
    if (!this.#isWithinBound()) {
      this.state = ENDED;
      return;
    }
    const { memtable, bytes } = this;
    const found = this.#found;
    memtable.readNode(version, found);
    this.kind = found.kind;
    this.sequence = found.sequence;
    this.valueStart = found.valueStart;
    this.valueLength = found.valueLength;
    const length = memtable.keyLengthOf(version);
    const start = memtable.keyStartOf(version);
    const key = this.reserveKey(length);
    for (let i = 0; i < length; i++) key[i] = bytes[start + i];
    this.ready();
  }
}
