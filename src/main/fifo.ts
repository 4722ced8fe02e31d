/**
 * A first-in-first-out queue whose two ends cost the same however long it is (`Array.shift` moves every element of a
 * long array). Pure.
 */
import { must } from '../assert.ts';

/** Elements that were taken are let go together, when they are as many as this and half of the array. */
const COMPACT_MIN = 1024;

export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The oldest item; undefined if there is none. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** REQUIRES: not empty. */
  shift(): T {
    const item = must(this.#items[this.#head], 'a queue that is taken from is not empty');
    this.#items[this.#head++] = undefined;
    if (this.#head >= COMPACT_MIN && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes everything, oldest first. */
  takeAll(): T[] {
    const items = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return items;
  }
}
