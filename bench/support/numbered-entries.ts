/**
 * Entries that check themselves: key and value carry the entry's number, so that whatever is read can be held against
 * what must have come. Benchmarks only.
 *
 *     key, 16 bytes     8 hex digits that rise with the number, unevenly │ ':no:' │ number, 4 bytes
 *     value             number, 4 bytes │ version, 4 bytes │ bytes that do not compress │ the number's lowest byte
 *
 * A value has 100 bytes unless told; a version is there so that what is written again is not the same.
 * `bench/rocksdb/numbered_entries.h` makes the same bytes.
 */
import { pseudoRandom } from './measure.ts';

export const KEY_BYTES = 16;
export const VALUE_BYTES = 100;
export const ENTRY_BYTES = KEY_BYTES + VALUE_BYTES;

const KEY_NUMBER_AT = 12;
const VALUE_VERSION_AT = 4;
const VALUE_BYTES_MIN = 9;
const FILLER_BYTES = 65_536;
const FILLER_STRIDE = 97;
const HEX_SPAN = 2 ** 32;
/** The step between keys must leave room for a distance that is not always the same. */
const ENTRIES_MAX = 2 ** 28;

/** `count` entries, numbered in the order of their keys. */
export class NumberedEntries {
  readonly count: number;
  readonly valueBytes: number;
  readonly #step: number;
  readonly #filler: Buffer;

  constructor(count: number, valueBytes = VALUE_BYTES) {
    if (!Number.isInteger(count) || count < 1 || count > ENTRIES_MAX) {
      throw new RangeError(`a number of entries from 1 to ${ENTRIES_MAX}, not ${count}`);
    }
    if (valueBytes < VALUE_BYTES_MIN) throw new RangeError(`values of ${VALUE_BYTES_MIN} bytes or more`);
    this.count = count;
    this.valueBytes = valueBytes;
    this.#step = Math.floor(HEX_SPAN / count);
    const random = pseudoRandom(7);
    this.#filler = Buffer.from(Array.from({ length: FILLER_BYTES + valueBytes }, () => random(256)));
  }

  key(number: number): Buffer {
    return this.writeKey(Buffer.allocUnsafe(KEY_BYTES), number);
  }

  /** The key, into a buffer of its size. */
  writeKey(key: Buffer, number: number): Buffer {
    const scattered = Math.imul(number, 0x9e37_79b1) >>> 0;
    const place = number * this.#step + (scattered % this.#step);
    key.write(`${place.toString(16).padStart(8, '0')}:no:`, 0, KEY_NUMBER_AT, 'latin1');
    key.writeUInt32LE(number, KEY_NUMBER_AT);
    return key;
  }

  value(number: number, version = 0): Buffer {
    return this.writeValue(Buffer.allocUnsafe(this.valueBytes), number, version);
  }

  /** The value, into a buffer of its size. */
  writeValue(value: Buffer, number: number, version: number): Buffer {
    const from = (number * FILLER_STRIDE) % FILLER_BYTES;
    this.#filler.copy(value, 0, from, from + this.valueBytes);
    value.writeUInt32LE(number, 0);
    value.writeUInt32LE(version, VALUE_VERSION_AT);
    value[this.valueBytes - 1] = number & 0xff;
    return value;
  }

  /** All numbers, each once, in an order that is random and the same every time; `size` at a time. */
  *shuffled(size: number): Generator<Uint32Array> {
    const numbers = Uint32Array.from({ length: this.count }, (_, i) => i);
    const random = pseudoRandom(11);
    for (let i = numbers.length - 1; i > 0; i--) {
      const j = random(i + 1);
      const number = numbers[i];
      numbers[i] = numbers[j];
      numbers[j] = number;
    }
    for (let i = 0; i < numbers.length; i += size) yield numbers.subarray(i, i + size);
  }
}

/** Sees each entry that a scan or a range gives. */
export interface EntryCheck {
  entry(key: Buffer, value: Buffer): void;
  /** The same of one that lies in memory which is somebody else's. */
  entryIn(memory: Buffer, keyStart: number, keyLength: number, valueStart: number, valueLength: number): void;
}

/** One entry in so many is looked into: looking into each would cost more than some of the scans that are measured. */
const CHECKED_ONE_IN = 16;

/**
 * Counts what a scan gives and holds every 16th entry, the first and the last against the number that must come there. One
 * too many, too few or out of place shifts all that follow, so it is met by the next check. HOT: every entry of every scan.
 */
export class ScanCheck implements EntryCheck {
  #next: number;
  #left: number;
  #isFirst = true;
  readonly #step: 1 | -1;
  readonly #valueBytes: number;

  /** REQUIRES: `count` entries from `first` on, upwards or downwards. */
  constructor(first: number, count: number, step: 1 | -1 = 1, valueBytes = VALUE_BYTES) {
    this.#next = first;
    this.#left = count;
    this.#step = step;
    this.#valueBytes = valueBytes;
  }

  entry(key: Buffer, value: Buffer): void {
    if (this.#isChecked && (!isKeyOf(key, this.#next) || !isValueOf(value, this.#next, this.#valueBytes)))
      this.#refuse();
    this.#advance();
  }

  entryIn(
    memory: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
  ): void {
    if (this.#isChecked) {
      const isWhole = keyLength === KEY_BYTES && valueLength === this.#valueBytes;
      const isKey = numberAt(memory, keyStart + KEY_NUMBER_AT) === this.#next;
      if (!isWhole || !isKey || !isValueIn(memory, valueStart, valueLength, this.#next)) this.#refuse();
    }
    this.#advance();
  }

  key(key: Buffer): void {
    if (this.#isChecked && !isKeyOf(key, this.#next)) this.#refuse();
    this.#advance();
  }

  value(value: Buffer): void {
    if (this.#isChecked && !isValueOf(value, this.#next, this.#valueBytes)) this.#refuse();
    this.#advance();
  }

  /** Throws unless exactly what was announced has come. */
  finish(): void {
    if (this.#left !== 0) throw new Error(`${this.#left} entries did not come; ${this.#next} would be next`);
  }

  get #isChecked(): boolean {
    return this.#left % CHECKED_ONE_IN === 1 || this.#isFirst;
  }

  #advance(): void {
    this.#isFirst = false;
    this.#next += this.#step;
    this.#left -= 1;
  }

  #refuse(): never {
    throw new Error(`entry ${this.#next} should have come, and something else did`);
  }
}

/** The same for a range that begins at an entry, among numbers of which some may be missing. HOT: every entry of every range. */
export class RangeCheck implements EntryCheck {
  #last: number;
  #count = 0;
  readonly #valueBytes: number;

  constructor(first: number, valueBytes = VALUE_BYTES) {
    this.#last = first - 1;
    this.#valueBytes = valueBytes;
  }

  entry(key: Buffer, value: Buffer): void {
    const number = numberAt(key, KEY_NUMBER_AT);
    const isNext = this.#count === 0 ? number === this.#last + 1 : number > this.#last;
    if (!isNext || !isKeyOf(key, number) || !isValueOf(value, number, this.#valueBytes)) {
      throw new Error(`entry ${number} came after ${this.#last}, or is not what it has to be`);
    }
    this.#last = number;
    this.#count += 1;
  }

  entryIn(
    memory: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
  ): void {
    const number = numberAt(memory, keyStart + KEY_NUMBER_AT);
    const isNext = this.#count === 0 ? number === this.#last + 1 : number > this.#last;
    const isWhole = keyLength === KEY_BYTES && valueLength === this.#valueBytes;
    if (!isNext || !isWhole || !isValueIn(memory, valueStart, valueLength, number)) {
      throw new Error(`entry ${number} came after ${this.#last}, or is not what it has to be`);
    }
    this.#last = number;
    this.#count += 1;
  }

  /** Throws unless so many have come. */
  finish(count: number): void {
    if (this.#count !== count) throw new Error(`a range had ${this.#count} entries instead of ${count}`);
  }
}

/** In whatever version. */
export function isValueOf(value: Buffer | undefined, number: number, valueBytes = VALUE_BYTES): boolean {
  return value !== undefined && value.length === valueBytes && isValueIn(value, 0, valueBytes, number);
}

function isValueIn(memory: Buffer, start: number, length: number, number: number): boolean {
  return numberAt(memory, start) === number && memory[start + length - 1] === (number & 0xff);
}

function isKeyOf(key: Buffer, number: number): boolean {
  return key.length === KEY_BYTES && numberAt(key, KEY_NUMBER_AT) === number;
}

function numberAt(bytes: Buffer, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
