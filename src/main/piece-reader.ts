/**
 * Reads a file through a window: whoever looks at all of it from beginning to end reads it in large pieces, each once.
 * Owner only.
 */
import { assert } from '../assert.ts';
import { checksum } from '../format/checksum.ts';
import type { ReadableFile } from './file-system.ts';

const PIECE_BYTES = 1 << 20;

const NOTHING = new Uint8Array(0);

export class PieceReader {
  readonly bytes: number;
  readonly #file: ReadableFile;
  /** Of which the first `#length` bytes are those of the file from `#offset` on. */
  #window: Uint8Array = NOTHING;
  #offset = 0;
  #length = 0;

  constructor(file: ReadableFile) {
    this.#file = file;
    this.bytes = file.bytes;
  }

  /**
   * So many bytes of the file, or as many as there are. A view that the next call makes invalid. `length` is what memory is
   * taken for: whoever has it from a file has checked it against a bound. Throws what the system says.
   */
  view(offset: number, length: number): Uint8Array {
    assert(offset >= 0 && length >= 0, 'what is read is within a file');
    const isInWindow = offset >= this.#offset && offset + length <= this.#offset + this.#length;
    if (!isInWindow) this.#fill(offset, length);
    const start = offset - this.#offset;
    return this.#window.subarray(start, Math.min(start + length, this.#length));
  }

  /** CRC-32C of `[start, end)` continued from `seed`, however long it is. REQUIRES: the file is as long. */
  checksum(start: number, end: number, seed: number): number {
    let sum = seed;
    for (let at = start; at < end;) {
      const view = this.view(at, Math.min(PIECE_BYTES, end - at));
      if (view.length === 0) return sum;
      sum = checksum(view, 0, view.length, sum);
      at += view.length;
    }
    return sum;
  }

  close(): void {
    this.#window = NOTHING;
    this.#length = 0;
    this.#file.close();
  }

  #fill(offset: number, length: number): void {
    try {
      this.#read(offset, Math.max(length, PIECE_BYTES));
    } catch (error) {
      // What cannot be read may be among what nobody has asked for yet.
      if (length >= PIECE_BYTES) throw error;
      this.#read(offset, length);
    }
  }

  #read(offset: number, length: number): void {
    const left = Math.max(this.bytes - offset, 0);
    const wanted = Math.min(length, left);
    // One that was made for something large does not stay.
    const isTooLarge = this.#window.length > PIECE_BYTES && wanted <= PIECE_BYTES;
    if (this.#window.length < wanted || isTooLarge) this.#window = new Uint8Array(wanted);
    this.#length = 0;
    this.#length = this.#file.read(this.#window.subarray(0, wanted), offset);
    this.#offset = offset;
  }
}
