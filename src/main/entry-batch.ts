/**
 * Copies of entries, one behind the other in memory that is used again and again. Owner only.
 *
 *     memory   │ key 0 │ value 0 │ key 1 │ value 1 │ …
 *     places     ▲       ▲         ▲       ▲         ▲ end        two words an entry, and the end
 *
 * An entry costs its bytes and two words, no object: what is made of it later is made by whoever wants it.
 */
import { markAsUntransferable } from 'node:worker_threads';
import { assert } from '../assert.ts';
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
/** Batches that are kept for cursors to come. */
const IDLE_MAX = 4;

export class EntryBatch implements EntrySink {
  memory = newMemory(MEMORY_BYTES_FIRST);
  /** Where the key and the value of each entry begin; the value ends where the next key begins. */
  readonly places = new Int32Array(2 * BATCH_ENTRIES_MAX + 1);
  length = 0;

  /** HOT. REQUIRES: fewer than BATCH_ENTRIES_MAX entries. */
  take(cursor: Cursor): void {
    const { keyLength, valueLength } = cursor;
    const { places, length } = this;
    assert(length < BATCH_ENTRIES_MAX, 'a batch has room for an entry that it is given');
    const at = 2 * length;
    const keyStart = places[at];
    const valueStart = keyStart + keyLength;
    const end = valueStart + valueLength;
    if (end > this.memory.length) this.#grow(keyStart, end);
    const { memory } = this;
    copyBytes(cursor.key, 0, keyLength, memory, keyStart);
    copyWords(cursor.bytes, cursor.valueStart, valueLength, memory, valueStart);
    places[at + 1] = valueStart;
    places[at + 2] = end;
    this.length = length + 1;
  }

  clear(): void {
    this.length = 0;
    if (this.memory.length > MEMORY_BYTES_KEPT_MAX) this.memory = newMemory(MEMORY_BYTES_FIRST);
  }

  /** Makes room for `needed` bytes, of which the first `used` stay. */
  #grow(used: number, needed: number): void {
    const memory = newMemory(Math.max(2 * this.memory.length, needed));
    copyBytes(this.memory, 0, used, memory, 0);
    this.memory = memory;
  }
}

/** Callers see it: nobody may send it away. */
function newMemory(bytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(bytes);
  markAsUntransferable(memory.buffer);
  return memory;
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
