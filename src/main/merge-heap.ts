/**
 * The next key of several cursors: a binary heap over them. Owner only; pure.
 *
 * Cursors are numbered from the newest source to the oldest. Of cursors that stand at the same key the newest comes
 * first, and hides the others. Most comparisons are of the keys' heads, one number each (format/key-head.ts).
 */
import { compareBytes } from '../format/compare.ts';
import { READY, type Cursor } from './cursor.ts';

export class MergeHeap {
  readonly #sign: number;
  #cursors: readonly Cursor[] = [];
  /** Numbers of the cursors that stand somewhere; the first is the next. */
  readonly #heap: number[] = [];

  constructor(isReverse: boolean) {
    this.#sign = isReverse ? -1 : 1;
  }

  /** Begins anew with those cursors that are READY. */
  build(cursors: readonly Cursor[]): void {
    this.#cursors = cursors;
    const heap = this.#heap;
    heap.length = 0;
    for (let i = 0; i < cursors.length; i++) if (cursors[i].state === READY) heap.push(i);
    for (let at = (heap.length >> 1) - 1; at >= 0; at--) this.#siftDown(at);
  }

  /** The cursor at the next key; undefined when none stands anywhere. */
  get top(): Cursor | undefined {
    const heap = this.#heap;
    return heap.length === 0 ? undefined : this.#cursors[heap[0]];
  }

  /**
   * HOT. Advances every cursor that stands at the next key, the top one last: until then its entry may be used. False
   * when one of them has to wait, or has failed; the heap must then be built again.
   */
  skipHidden(): boolean {
    const heap = this.#heap;
    const cursors = this.#cursors;
    for (;;) {
      const top = cursors[heap[0]];
      // What equals the top is next to it: everything between the two would equal it too.
      let at = 0;
      if (heap.length > 1 && cursors[heap[1]].head === top.head && this.#compare(heap[1], heap[0]) === 0)
        at = 1;
      else if (heap.length > 2 && cursors[heap[2]].head === top.head && this.#compare(heap[2], heap[0]) === 0)
        at = 2;
      if (at === 0) return true;
      if (!this.#advance(at)) return false;
    }
  }

  /** HOT. Advances the top cursor. False when it has to wait, or has failed. */
  advanceTop(): boolean {
    return this.#advance(0);
  }

  #advance(at: number): boolean {
    const heap = this.#heap;
    const cursor = this.#cursors[heap[at]];
    cursor.advance();
    if (cursor.state !== READY) {
      if (cursor.isUnsettled) return false;
      const last = heap.pop() as number;
      if (at === heap.length) return true;
      heap[at] = last;
    }
    this.#siftDown(at);
    return true;
  }

  #siftDown(from: number): void {
    const heap = this.#heap;
    const length = heap.length;
    const moving = heap[from];
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#isBefore(heap[child + 1], heap[child])) child++;
      if (!this.#isBefore(heap[child], moving)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moving;
  }

  /** HOT. */
  #isBefore(a: number, b: number): boolean {
    const cursors = this.#cursors;
    const difference = cursors[a].head - cursors[b].head;
    if (difference !== 0) return difference * this.#sign < 0;
    const order = this.#compare(a, b);
    return order === 0 ? a < b : order * this.#sign < 0;
  }

  #compare(a: number, b: number): number {
    const first = this.#cursors[a];
    const second = this.#cursors[b];
    const skip = first.headSkip;
    return compareBytes(first.key, skip, first.keyLength - skip, second.key, skip, second.keyLength - skip);
  }
}
