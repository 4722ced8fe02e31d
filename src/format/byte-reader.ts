/**
 * A bounds-checked cursor over bytes, for cold decoders. Pure; any thread.
 *
 * Every read either lies within the bounds or throws a `FormatError`: a decoder made of these reads can neither run
 * past its input nor loop for ever on it, whatever the bytes are.
 */
import { FormatError } from './format-error.ts';
import { readU16, readU32 } from './integers.ts';

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  /** REQUIRES: 0 <= start <= end <= bytes.length. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  u8(): number {
    return this.bytes[this.take(1)];
  }

  u16(): number {
    return readU16(this.bytes, this.take(2));
  }

  u32(): number {
    return readU32(this.bytes, this.take(4));
  }

  /** An unsigned LEB128 number that is at most `maximum`. */
  varint(maximum: number = Number.MAX_SAFE_INTEGER): number {
    const start = this.at;
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      // Beyond 53 bits the sum is no longer exact, but it is still beyond the maximum.
      if (value > maximum) throw new FormatError(`a number above ${maximum}`, start);
      if (byte < 128) {
        if (byte === 0 && scale > 1) throw new FormatError('a number with superfluous digits', start);
        return value;
      }
      scale *= 128;
      // Eight digits are 56 bits: a ninth could only be zero or too large.
      if (scale > 2 ** 49) throw new FormatError('a number of too many digits', start);
    }
  }

  /** Moves past `length` bytes and returns where they start. */
  take(length: number): number {
    const start = this.at;
    if (length > this.end - start)
      throw new FormatError(`${length} bytes expected, ${this.end - start} left`, start);
    this.at = start + length;
    return start;
  }

  /** A copy of the next `length` bytes, in memory of its own even when the input is shared. */
  copy(length: number): Uint8Array {
    const start = this.take(length);
    return new Uint8Array(this.bytes.subarray(start, start + length));
  }

  /** A copy of bytes that follow their length (at most `lengthMax`). */
  sized(lengthMax: number): Uint8Array {
    return this.copy(this.varint(lengthMax));
  }

  expectEnd(what: string): void {
    if (this.at !== this.end)
      throw new FormatError(`${this.end - this.at} bytes left over after ${what}`, this.at);
  }
}
