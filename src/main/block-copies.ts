/**
 * Memory that a table cursor copies blocks to. Owner only.
 *
 * Where values are handed out as views, each block has memory of its own. Otherwise it is used again for the next: one piece of
 * it, or two where the block before is still needed.
 */
import { markAsUntransferable } from 'node:worker_threads';

const NO_WORDS = new Uint16Array(0);

export class BlockCopies {
  readonly #keepsBlocks: boolean;
  #copy: Buffer | undefined;
  #other: Buffer | undefined;
  /** What was taken last, in words; nothing where blocks are kept. */
  words: Uint16Array = NO_WORDS;

  constructor(keepsBlocks: boolean) {
    this.#keepsBlocks = keepsBlocks;
  }

  /** Memory for a block of so many bytes that is not `inUse`. */
  take(length: number, inUse: Uint8Array | undefined): Buffer {
    if (this.#keepsBlocks) {
      const memory = Buffer.allocUnsafeSlow(length);
      // Values are views of it: nobody may send it away with one of them.
      markAsUntransferable(memory.buffer);
      return memory;
    }
    if (this.#copy !== undefined && this.#copy === inUse) {
      [this.#copy, this.#other] = [this.#other, this.#copy];
    }
    if (this.#copy === undefined || this.#copy.length < length) this.#copy = Buffer.allocUnsafeSlow(length);
    if (this.words.buffer !== this.#copy.buffer) this.words = new Uint16Array(this.#copy.buffer);
    return this.#copy;
  }

  forget(): void {
    this.#copy = undefined;
    this.#other = undefined;
    this.words = NO_WORDS;
  }
}
