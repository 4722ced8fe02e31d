/**
 * Copies of entries in memory that is used again and again. Owner only.
 *
 *     memory   │ key │ value │ key │ value │ entries of a block, as they lie there │ key │ key │ key │ …
 *                                            └── their values are where they are   └── and their keys behind
 *     places   key start, key length, value start, value length        four words an entry
 *
 * An entry costs its bytes and four words, no object: what is made of it later is made by whoever wants it. Of a block that
 * is to be given to its end all is copied at one go; keys, which lie there in two parts, are put together.
 */
import { markAsUntransferable } from 'node:worker_threads';
import { assert } from '../assert.ts';
import type { BlockCursor } from '../format/block-cursor.ts';
import { KIND_PUT } from '../format/limits.ts';
import { copyBytes } from './bytes.ts';
import { copyWords } from './copy-words.ts';
import type { Cursor } from './cursor.ts';
import type { EntrySink } from './scan.ts';

export const BATCH_ENTRIES_MAX = 512;
/** With so many bytes it is full: as much as a processor's nearest caches hold beside what is copied. */
export const BATCH_BYTES_MAX = 65_536;
const MEMORY_BYTES_FIRST = 16_384;
/** Memory that has grown beyond, for one large value, is not kept. */
const MEMORY_BYTES_KEPT_MAX = 4 * BATCH_BYTES_MAX;
/** Keys are put together in whole words: so many bytes may be written behind the last. */
const OVERRUN_BYTES = 3;
/** Batches that are kept for cursors to come. */
const IDLE_MAX = 4;

export class EntryBatch implements EntrySink {
  memory = newMemory(MEMORY_BYTES_FIRST);
  /** The same memory. */
  #words = wordsOf(this.memory);
  readonly places = new Int32Array(4 * BATCH_ENTRIES_MAX);
  length = 0;
  /** Bytes of the memory that are taken. */
  used = 0;

  get batch(): this {
    return this;
  }

  /** HOT. REQUIRES: fewer than BATCH_ENTRIES_MAX entries. */
  take(cursor: Cursor): void {
    const { keyLength, valueLength } = cursor;
    const keyStart = this.used;
    const valueStart = keyStart + keyLength;
    const end = valueStart + valueLength;
    if (end > this.memory.length) this.#grow(end);
    const { memory } = this;
    copyBytes(cursor.key, 0, keyLength, memory, keyStart);
    copyWords(cursor.bytes, cursor.valueStart, valueLength, memory, valueStart);
    const { places, length } = this;
    assert(length < BATCH_ENTRIES_MAX, 'a batch has room for an entry that it is given');
    const place = 4 * length;
    places[place] = keyStart;
    places[place + 1] = keyLength;
    places[place + 2] = valueStart;
    places[place + 3] = valueLength;
    this.used = end;
    this.length = length + 1;
  }

  /**
   * HOT. Takes what a block has in [begin, end): of each key the newest version that is visible, unless it is a deletion.
   * Returns the ordinal of the last such version, deletions included. REQUIRES: the entry at `begin` is one; room for them.
   */
  takeRun(block: BlockCursor, begin: number, end: number, visibleSequence: number): number {
    const start = block.startOf(begin);
    block.read(end - 1);
    const length = block.valueStart + block.valueLength - start;
    const { bytes, prefixStart, prefixLength } = block;
    const base = this.used;
    // Suffixes are among what is copied: no key is longer than prefix and suffix together.
    const most = base + 2 * length + (end - begin) * prefixLength + OVERRUN_BYTES;
    if (most > this.memory.length) this.#grow(most);
    const { memory, places } = this;
    const words = this.#words;
    copyBytes(bytes, start, length, memory, base);
    const moved = base - start;
    let at = base + length;
    // The first key's, and from there each other's.
    const prefixAt = at;
    copyBytes(bytes, prefixStart, prefixLength, memory, prefixAt);
    let place = 4 * this.length;
    assert(place + 4 * (end - begin) <= places.length, 'a batch has room for a run that it is given');
    let last = begin;
    let takenStart = 0;
    let takenLength = -1;
    for (let ordinal = begin; ordinal < end; ordinal++) {
      block.read(ordinal);
      if (block.sequence > visibleSequence) continue;
      const { suffixStart, suffixLength } = block;
      if (takenLength === suffixLength && block.hasSuffix(takenStart, takenLength)) continue;
      takenStart = suffixStart;
      takenLength = suffixLength;
      last = ordinal;
      if (block.kind !== KIND_PUT) continue;
      const keyStart = at;
      const suffixAt = suffixStart + moved;
      // What is too much of each is written over by what comes next.
      for (let i = 0; i < prefixLength; i += 4)
        words.setInt32(at + i, words.getInt32(prefixAt + i, true), true);
      at += prefixLength;
      for (let i = 0; i < suffixLength; i += 4)
        words.setInt32(at + i, words.getInt32(suffixAt + i, true), true);
      at += suffixLength;
      places[place++] = keyStart;
      places[place++] = at - keyStart;
      places[place++] = block.valueStart + moved;
      places[place++] = block.valueLength;
    }
    this.used = at;
    this.length = place >> 2;
    return last;
  }

  clear(): void {
    this.length = 0;
    this.used = 0;
    if (this.memory.length > MEMORY_BYTES_KEPT_MAX) this.#replaceMemory(MEMORY_BYTES_FIRST);
  }

  #grow(needed: number): void {
    const { memory } = this;
    this.#replaceMemory(Math.max(2 * memory.length, needed));
    copyBytes(memory, 0, this.used, this.memory, 0);
  }

  #replaceMemory(bytes: number): void {
    this.memory = newMemory(bytes);
    this.#words = wordsOf(this.memory);
  }
}

/** Callers see it: nobody may send it away. */
function newMemory(bytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(bytes);
  markAsUntransferable(memory.buffer);
  return memory;
}

function wordsOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}

/** Batches of cursors that are closed, for the next ones. */
export class EntryBatches {
  readonly #idle: EntryBatch[] = [];

  take(): EntryBatch {
    return this.#idle.pop() ?? new EntryBatch();
  }

  /** Nobody looks into it any more. */
  giveBack(batch: EntryBatch): void {
    if (this.#idle.length === IDLE_MAX) return;
    batch.clear();
    this.#idle.push(batch);
  }
}
