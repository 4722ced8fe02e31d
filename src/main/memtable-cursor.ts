/**
 * A scan's way through one memtable, frozen or active. Owner only.
 *
 * It never waits. What is written while it stands somewhere is newer than what the scan sees, and is passed over:
 * nodes never move, and a new one is linked in where the cursor has been or will come by.
 */
import { compareBytes } from '../format/compare.ts';
import { Cursor, ENDED, PAUSED } from './cursor.ts';
import type { Memtable, MemtableEntry } from './memtable.ts';
import type { KeyRange } from './range.ts';

/** Nodes passed over at a time: about a millisecond's worth. */
const PASSED_MAX = 8192;
/** Going back takes a search: as long as so many steps forward. */
const SEARCH_COST = 16;

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
  /** The node of the entry, in reverse of any version of its key; PAUSED: the one to go on with. */
  #node = 0;

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
    if (isReverse) {
      const last = upper === undefined ? memtable.lastNode : memtable.lastNodeBefore(upper, 0, upper.length);
      this.#settleBackward(last);
    } else {
      this.#settleForward(
        lower === undefined ? memtable.firstNode : memtable.firstNodeFrom(lower, lower.length),
      );
    }
  }

  protected step(): void {
    const { memtable } = this;
    if (this.#isReverse) {
      const node = this.#node;
      this.#settleBackward(
        memtable.lastNodeBefore(this.bytes, memtable.keyStartOf(node), memtable.keyLengthOf(node)),
      );
      return;
    }
    // Older versions of the key stand right behind it.
    let node = this.#node;
    for (let older = memtable.olderVersion(node); older !== 0; older = memtable.olderVersion(node))
      node = older;
    this.#settleForward(memtable.nodeAfter(node));
  }

  skipTo(bound: Uint8Array): void {
    const { memtable } = this;
    if (this.#isReverse) this.#settleBackward(memtable.lastNodeBefore(bound, 0, bound.length));
    else if (bound.length === 0) this.state = ENDED;
    else this.#settleForward(memtable.firstNodeFrom(bound, bound.length));
  }

  get newestSequence(): number {
    return this.memtable.lastSequence;
  }

  resume(): void {
    if (this.#isReverse) this.#settleBackward(this.#node);
    else this.#settleForward(this.#node);
  }

  /** The key from which on nothing has been given; undefined at the end. */
  get position(): Uint8Array | undefined {
    return this.state === ENDED ? undefined : this.memtable.keyOf(this.#node);
  }

  /** An arena stays where it is. */
  detach(): void {
    return;
  }

  close(): void {
    this.state = ENDED;
  }

  /** Stands at the first visible version from `first` on, which begins a key or is a version that is too new. */
  #settleForward(first: number): void {
    const { memtable } = this;
    let node = first;
    for (let passed = 0; node !== 0 && memtable.sequenceOf(node) > this.#visibleSequence; passed++) {
      if (passed === PASSED_MAX) return this.#pause(node);
      node = memtable.nodeAfter(node);
    }
    if (node === 0) this.state = ENDED;
    else if (this.#take(node, this.#range.upper, 1)) this.#read(node);
  }

  /** Stands at the last key at or before `last`, any version of it, that has a visible version. */
  #settleBackward(last: number): void {
    const { memtable } = this;
    let node = last;
    for (let passed = 0; node !== 0; passed += SEARCH_COST) {
      if (!this.#take(node, this.#range.lower, -1)) return;
      if (memtable.readVisible(node, this.#visibleSequence, this.#found)) return this.#present(node);
      if (passed === PASSED_MAX) return this.#pause(node);
      node = memtable.lastNodeBefore(this.bytes, memtable.keyStartOf(node), memtable.keyLengthOf(node));
    }
    this.state = ENDED;
  }

  #pause(node: number): void {
    this.#node = node;
    if (this.#take(node, this.#isReverse ? this.#range.lower : this.#range.upper, this.#isReverse ? -1 : 1)) {
      this.state = PAUSED;
    }
  }

  /** False, and the end, if the node's key lies beyond a bound: not before the upper one, or before the lower one. */
  #take(node: number, bound: Uint8Array | undefined, direction: number): boolean {
    if (bound === undefined) return true;
    const { memtable } = this;
    const order = compareBytes(
      this.bytes,
      memtable.keyStartOf(node),
      memtable.keyLengthOf(node),
      bound,
      0,
      bound.length,
    );
    if (direction > 0 ? order < 0 : order >= 0) return true;
    this.state = ENDED;
    return false;
  }

  #read(node: number): void {
    this.memtable.readNode(node, this.#found);
    this.#present(node);
  }

  #present(node: number): void {
    const { memtable, bytes } = this;
    const found = this.#found;
    this.#node = node;
    this.kind = found.kind;
    this.sequence = found.sequence;
    this.valueStart = found.valueStart;
    this.valueLength = found.valueLength;
    const length = memtable.keyLengthOf(node);
    const start = memtable.keyStartOf(node);
    const key = this.reserveKey(length);
    for (let i = 0; i < length; i++) key[i] = bytes[start + i];
    this.ready();
  }
}
