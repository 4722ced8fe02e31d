/**
 * Entries that check themselves: key and value carry the entry's number, so that whatever is read can be held against
 * what must have come. Benchmarks only.
 *
 *     key, 16 bytes     8 hex digits that rise with the number, unevenly │ ':no:' │ number, 4 bytes
 *     value, 100 bytes  number, 4 bytes │ 95 bytes that do not compress  │ the number's lowest byte
 */
import { pseudoRandom } from './measure.ts';

export const KEY_BYTES = 16;
export const VALUE_BYTES = 100;
export const ENTRY_BYTES = KEY_BYTES + VALUE_BYTES;

const KEY_NUMBER_AT = 12;
const FILLER_BYTES = 65_536;
const FILLER_STRIDE = 97;
const HEX_SPAN = 2 ** 32;
/** The step between keys must leave room for a distance that is not always the same. */
const ENTRIES_MAX = 2 ** 28;

/** `count` entries, numbered in the order of their keys. */
export class NumberedEntries {
  readonly count: number;
  readonly #step: number;
  readonly #filler: Buffer;

  constructor(count: number) {
    if (!Number.isInteger(count) || count < 1 || count > ENTRIES_MAX) {
      throw new RangeError(`a number of entries from 1 to ${ENTRIES_MAX}, not ${count}`);
    }
    this.count = count;
    this.#step = Math.floor(HEX_SPAN / count);
    const random = pseudoRandom(7);
    this.#filler = Buffer.from(Array.from({ length: FILLER_BYTES + VALUE_BYTES }, () => random(256)));
  }

  key(number: number): Buffer {
    const scattered = Math.imul(number, 0x9e37_79b1) >>> 0;
    const place = number * this.#step + (scattered % this.#step);
    const key = Buffer.allocUnsafe(KEY_BYTES);
    key.write(`${place.toString(16).padStart(8, '0')}:no:`, 'latin1');
    key.writeUInt32LE(number, KEY_NUMBER_AT);
    return key;
  }

  value(number: number): Buffer {
    const value = Buffer.allocUnsafe(VALUE_BYTES);
    const from = (number * FILLER_STRIDE) % FILLER_BYTES;
    this.#filler.copy(value, 0, from, from + VALUE_BYTES);
    value.writeUInt32LE(number, 0);
    value[VALUE_BYTES - 1] = number & 0xff;
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

/** One entry in so many is looked into: looking into each would cost more than some of the scans that are measured. */
const CHECKED_ONE_IN = 16;

/**
 * Counts what a scan gives and holds every 16th entry, the first and the last against the number that must come there. One
 * too many, too few or out of place shifts all that follow, so it is met by the next check. HOT: every entry of every scan.
 */
export class ScanCheck {
  #next: number;
  #left: number;
  #isFirst = true;
  readonly #step: 1 | -1;

  /** REQUIRES: `count` entries from `first` on, upwards or downwards. */
  constructor(first: number, count: number, step: 1 | -1 = 1) {
    this.#next = first;
    this.#left = count;
    this.#step = step;
  }

  entry(key: Buffer, value: Buffer): void {
    if (this.#isChecked && (!isKeyOf(key, this.#next) || !isValueOf(value, this.#next))) this.#refuse();
    this.#advance();
  }

  key(key: Buffer): void {
    if (this.#isChecked && !isKeyOf(key, this.#next)) this.#refuse();
    this.#advance();
  }

  value(value: Buffer): void {
    if (this.#isChecked && !isValueOf(value, this.#next)) this.#refuse();
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

export function isValueOf(value: Buffer | undefined, number: number): boolean {
  return (
    value !== undefined &&
    value.length === VALUE_BYTES &&
    numberAt(value, 0) === number &&
    value[VALUE_BYTES - 1] === (number & 0xff)
  );
}

function isKeyOf(key: Buffer, number: number): boolean {
  return key.length === KEY_BYTES && numberAt(key, KEY_NUMBER_AT) === number;
}

function numberAt(bytes: Buffer, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
