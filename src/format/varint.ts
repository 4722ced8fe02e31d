/**
 * Unsigned LEB128: seven bits a byte, low ones first, the top bit set on every byte but the last. Pure; any thread.
 *
 *   0 … 127 one byte, up to 16,383 two, … up to 2^53 − 1 eight. There is one spelling for each number: a last byte of
 *   zero (after another byte) is refused, so equal data has equal bytes.
 */
import { assert } from '../assert.ts';

/** Bytes of the longest varint. */
export const VARINT_BYTES_MAX = 8;

/** How many bytes `writeVarint` takes for `value`. */
export function varintLength(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  if (value < 2_097_152) return 3;
  if (value < 268_435_456) return 4;
  let length = 4;
  for (let rest = Math.floor(value / 268_435_456); rest > 0; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes `value` at `at` and returns the index after it. REQUIRES: an integer, 0 <= value < 2^53. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  // Above 31 bits the shifts below would lose bits, so those digits are taken off by division.
  while (rest >= 0x8000_0000) {
    bytes[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  let small = rest | 0;
  while (small >= 128) {
    bytes[at++] = (small & 127) | 128;
    small >>>= 7;
  }
  bytes[at++] = small;
  return at;
}

/** A growing run of bytes, for what is encoded seldom: edits, indexes, properties. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    const at = this.#length;
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >>> 8;
    this.#bytes[at + 2] = value >>> 16;
    this.#bytes[at + 3] = value >>> 24;
    this.#length = at + 4;
  }

  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'a varint must be an integer from 0 to 2^53 - 1');
    this.#reserve(VARINT_BYTES_MAX);
    this.#length = writeVarint(this.#bytes, this.#length, value);
  }

  bytes(source: Uint8Array): void {
    this.#reserve(source.length);
    this.#bytes.set(source, this.#length);
    this.#length += source.length;
  }

  /** The bytes' length as a varint, then the bytes. */
  sized(source: Uint8Array): void {
    this.varint(source.length);
    this.bytes(source);
  }

  /** What was written so far; a view that later writes may leave behind. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
