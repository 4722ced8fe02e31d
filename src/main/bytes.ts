/**
 * Keys and values as the caller gives them, into bytes the engine searches with. Owner only.
 *
 * A key is copied into one scratch array: 16 bytes cost about 15 ns, and every search behind it then sees one kind of
 * array, which is worth more than the copy. The scratch is valid until the next key is loaded.
 */
import { QuadringError } from '../errors.ts';
import { native } from '../native.ts';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../format/limits.ts';
import { copyAndHash, hashBytes } from '../format/hash.ts';
import { byteLengthOf, isUint8Array } from './typed-arrays.ts';

/** A string stands for its UTF-8 bytes. */
export type Bytes = Uint8Array | string;

/** Below this a byte loop is faster than `set`. */
const LOOP_BYTES_MAX = 40;
const encoder = new TextEncoder();

/** One key at a time: its bytes from 0 on, its length and its hash. */
export class KeyScratch {
  /**
   * Room for the longest key, and for one more character of a string that is too long. A Buffer, as copies of keys are:
   * what searches for either then sees one kind of array.
   */
  readonly bytes = Buffer.allocUnsafeSlow(KEY_BYTES_MAX + 4);
  length = 0;
  hash = 0;

  /** The key, in memory of its own. */
  copy(): Buffer {
    const copy = Buffer.allocUnsafe(this.length);
    copyBytes(this.bytes, 0, this.length, copy, 0);
    return copy;
  }

  /** Throws INVALID_ARGUMENT or KEY_TOO_LARGE. */
  load(key: Bytes): void {
    if (typeof key === 'string') {
      this.length = this.#loadString(key);
      this.hash = hashBytes(this.bytes, 0, this.length);
    } else {
      this.#loadBytes(key);
    }
  }

  #loadBytes(key: Uint8Array): void {
    if (!isByteArray(key)) {
      throw new QuadringError(
        'INVALID_ARGUMENT',
        `a key must be a Uint8Array or a string, not ${nameOf(key)}`,
      );
    }
    const length = byteLengthOf(key);
    if (length > KEY_BYTES_MAX) refuseKey(length);
    const bytes = this.bytes;
    this.length = length;
    if (length <= LOOP_BYTES_MAX) {
      this.hash = copyAndHash(key, length, bytes);
      return;
    }
    bytes.set(key);
    this.hash = hashBytes(bytes, 0, length);
  }

  #loadString(key: string): number {
    const bytes = this.bytes;
    const length = key.length;
    if (length <= LOOP_BYTES_MAX) {
      let i = 0;
      for (; i < length; i++) {
        const code = key.charCodeAt(i);
        if (code > 0x7f) break;
        bytes[i] = code;
      }
      if (i === length) return length;
    }
    const { read, written } = encoder.encodeInto(key, bytes);
    if (read < length || written > KEY_BYTES_MAX) refuseKey(Buffer.byteLength(key));
    return written;
  }
}

/**
 * HOT. Whether it is a Uint8Array whose memory is there: a view of memory that went to another thread, or shrank, has no
 * bytes, but is not empty.
 */
export function isByteArray(value: unknown): value is Uint8Array {
  if (!isUint8Array(value)) return false;
  // Not the length: where optimized code knows the view for a constant, V8 11 takes the one that it had.
  return value[0] !== undefined || hasMemory(value);
}

function hasMemory(view: Uint8Array): boolean {
  try {
    // Throws for a view that is detached or out of bounds.
    Uint8Array.prototype.at.call(view, 0);
    return true;
  } catch {
    return false;
  }
}

/** A value as bytes. A string is encoded; bytes are returned as they are, not copied. Throws INVALID_ARGUMENT. */
export function valueBytes(value: Bytes): Uint8Array {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (!isByteArray(bytes)) {
    throw new QuadringError(
      'INVALID_ARGUMENT',
      `a value must be a Uint8Array or a string, not ${nameOf(value)}`,
    );
  }
  return bytes;
}

/**
 * How many bytes of a value are to be stored. To be asked once: memory that is shared may be growing. Throws VALUE_TOO_LARGE.
 */
export function valueLengthOf(bytes: Uint8Array): number {
  const length = byteLengthOf(bytes);
  if (length <= VALUE_BYTES_MAX) return length;
  throw new QuadringError(
    'VALUE_TOO_LARGE',
    `the value has ${length} bytes, at most ${VALUE_BYTES_MAX} are allowed`,
  );
}

/** Copies between two kinds of memory; `source[start, start + length)` to `target` at `at`. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  length: number,
  target: Uint8Array,
  at: number,
): void {
  if (length <= LOOP_BYTES_MAX) for (let i = 0; i < length; i++) target[at + i] = source[start + i]!;
  else native.copyBytes(source, start, start + length, target, at);
}

function refuseKey(length: number): never {
  throw new QuadringError(
    'KEY_TOO_LARGE',
    `the key has ${length} bytes, at most ${KEY_BYTES_MAX} are allowed`,
  );
}

function nameOf(value: unknown): string {
  if (isUint8Array(value)) return 'one whose memory is gone';
  return value === null ? 'null' : typeof value;
}
