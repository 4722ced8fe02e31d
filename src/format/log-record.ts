/**
 * What a log frame carries: a run of records, one for each write. Pure; any thread.
 *
 *   put         ┌─────────┬─────────────────────┬─────────────────────┬───────┬───────┐
 *               │ u8 1    │ varint key length   │ varint value length │ key   │ value │
 *               └─────────┴─────────────────────┴─────────────────────┴───────┴───────┘
 *   tombstone   ┌─────────┬─────────────────────┬───────┐
 *               │ u8 0    │ varint key length   │ key   │
 *               └─────────┴─────────────────────┴───────┘
 *   range       ┌─────────┬─────────────────────┬─────────────────────┬───────┬───────┐
 *   tombstone   │ u8 2    │ varint start length │ varint end length   │ start │ end   │
 *               └─────────┴─────────────────────┴─────────────────────┴───────┴───────┘
 *
 * A range tombstone is a put with the start as its key and the end as its value, here as in the arguments of these
 * functions. The end is behind the start, or of no bytes: no end.
 *
 * Records have no sequence numbers: the frame's first one counts up by one a record. The payloads of a batch that was
 * split over FIRST, MIDDLE and LAST frames are read as one run, so a record may lie across two frames.
 */
import { compareBytes } from './compare.ts';
import { FormatError } from './format-error.ts';
import { KEY_BYTES_MAX, KIND_PUT, KIND_RANGE_TOMBSTONE, KIND_TOMBSTONE, VALUE_BYTES_MAX } from './limits.ts';
import { native } from '../native.ts';
import { varintLength, writeVarint } from './varint.ts';

/** Below this many bytes a plain loop beats the addon, and that `set`, which needs a view made for it. */
const LOOP_BYTES_MAX = 64;

/** Bytes that `writeLogRecord` takes. */
export function logRecordLength(kind: number, keyLength: number, valueLength: number): number {
  const head = 1 + varintLength(keyLength) + keyLength;
  return kind === KIND_TOMBSTONE ? head : head + varintLength(valueLength) + valueLength;
}

/**
 * HOT. Writes one record at `at` and returns the index after it. A tombstone's value is not looked at.
 * REQUIRES: room for `logRecordLength` bytes; lengths within the limits, of bytes that are there.
 */
export function writeLogRecord(
  bytes: Uint8Array,
  at: number,
  kind: number,
  key: Uint8Array,
  keyStart: number,
  keyLength: number,
  value: Uint8Array,
  valueStart: number,
  valueLength: number,
): number {
  bytes[at++] = kind;
  if (keyLength < 128) bytes[at++] = keyLength;
  else at = writeVarint(bytes, at, keyLength);
  if (kind !== KIND_TOMBSTONE) {
    if (valueLength < 128) bytes[at++] = valueLength;
    else at = writeVarint(bytes, at, valueLength);
  }
  if (keyLength < LOOP_BYTES_MAX) for (let i = 0; i < keyLength; i++) bytes[at + i] = key[keyStart + i];
  else native.copyBytes(key, keyStart, keyStart + keyLength, bytes, at);
  at += keyLength;
  if (kind === KIND_TOMBSTONE) return at;
  if (valueLength < LOOP_BYTES_MAX)
    for (let i = 0; i < valueLength; i++) bytes[at + i] = value[valueStart + i];
  else native.copyBytes(value, valueStart, valueStart + valueLength, bytes, at);
  return at + valueLength;
}

/**
 * Goes through the records of a payload. `next()` fills the fields and returns true, returns false exactly at the end,
 * and throws a `FormatError` on anything else; it allocates nothing.
 */
export class LogRecordReader {
  kind = 0;
  keyStart = 0;
  keyLength = 0;
  valueStart = 0;
  valueLength = 0;
  #bytes: Uint8Array;
  #at: number;
  #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Index of the next record, or of the end. */
  get position(): number {
    return this.#at;
  }

  /** Begins again with another payload. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  next(): boolean {
    if (this.#at === this.#end) return false;
    const start = this.#at;
    const kind = this.#bytes[this.#at++];
    if (kind !== KIND_PUT && kind !== KIND_TOMBSTONE && kind !== KIND_RANGE_TOMBSTONE)
      throw new FormatError(`a record of unknown kind ${kind}`, start);
    const isRange = kind === KIND_RANGE_TOMBSTONE;
    const keyLength = this.#length(KEY_BYTES_MAX);
    const valueLength = kind === KIND_TOMBSTONE ? 0 : this.#length(isRange ? KEY_BYTES_MAX : VALUE_BYTES_MAX);
    if (keyLength + valueLength > this.#end - this.#at)
      throw new FormatError('a record that ends after its payload', start);
    if (isRange && valueLength > 0 && !this.#isAscending(keyLength, valueLength))
      throw new FormatError('a range tombstone that ends before it begins', start);
    this.kind = kind;
    this.keyStart = this.#at;
    this.keyLength = keyLength;
    this.valueStart = this.#at + keyLength;
    this.valueLength = valueLength;
    this.#at = this.valueStart + valueLength;
    return true;
  }

  /** Whether the key, the next bytes, is before the value behind it. */
  #isAscending(keyLength: number, valueLength: number): boolean {
    const bytes = this.#bytes;
    return compareBytes(bytes, this.#at, keyLength, bytes, this.#at + keyLength, valueLength) < 0;
  }

  /** A length of at most four digits, in its only spelling. */
  #length(maximum: number): number {
    const start = this.#at;
    let length = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#at >= this.#end) throw new FormatError('a record that ends within its head', start);
      const byte = this.#bytes[this.#at++];
      length |= (byte & 127) << shift;
      if (byte >= 128) continue;
      if (byte === 0 && shift > 0) throw new FormatError('a length with superfluous digits', start);
      if (length > maximum) throw new FormatError(`a length of ${length}, above ${maximum}`, start);
      return length;
    }
    throw new FormatError('a length of too many digits', start);
  }
}
