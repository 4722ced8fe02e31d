/**
 * Entries that are written again and again: a key's bytes follow from its number, a value's from the key's number and a
 * version, so that whatever is read can be held against the last version that was written. bench/rocksdb/entries.h makes the
 * same bytes in C++. Benchmarks and tests only.
 *
 *     key, 16 bytes   four words, the first of which tells all keys apart; in the order of numbers they lie at random
 *     value           key's number, 4 bytes │ version, 4 bytes │ bytes that do not compress
 */
import { endianness } from 'node:os';

export const KEY_BYTES = 16;
const KEY_WORDS = KEY_BYTES / 4;
/** Where a value has the key's number and the version, in bytes. */
const NUMBER_AT = 0;
const VERSION_AT = 4;
const VALUE_BYTES_MIN = 8;
const KEYS_MAX = 2 ** 30;
/** Multipliers of the order in which a round goes through the keys: odd, so that each gives every number once. */
const ORDERS = [0x9e37_79b1, 0x85eb_ca6b, 0xc2b2_ae35, 0x27d4_eb2f, 0x1656_67b1];

/** Of a sum over hashes of entries, which does not depend on their order: see `OverwrittenEntries.hash`. */
export interface Checksum {
  readonly entries: number;
  readonly sum: number;
}

export class OverwrittenEntries {
  readonly count: number;
  readonly valueBytes: number;
  readonly #seed: number;
  readonly #keyWords = new Int32Array(KEY_WORDS);
  readonly #valueWords: Int32Array;
  readonly #key: Buffer;
  readonly #value: Buffer;

  /** Throws RangeError. */
  constructor(count: number, valueBytes: number, seed: number) {
    if (!Number.isInteger(count) || count < 1 || count > KEYS_MAX) {
      throw new RangeError(`from 1 to ${KEYS_MAX} keys, not ${count}`);
    }
    if (!Number.isInteger(valueBytes) || valueBytes < VALUE_BYTES_MIN || valueBytes % 4 !== 0) {
      throw new RangeError(
        `values have a multiple of four bytes, ${VALUE_BYTES_MIN} at least, not ${valueBytes}`,
      );
    }
    if (endianness() !== 'LE') throw new Error('words are made into bytes as they lie in memory');
    this.count = count;
    this.valueBytes = valueBytes;
    this.#seed = seed | 0;
    this.#valueWords = new Int32Array(valueBytes / 4);
    this.#key = Buffer.from(this.#keyWords.buffer);
    this.#value = Buffer.from(this.#valueWords.buffer);
  }

  /** Bytes of key and value of one entry. */
  get entryBytes(): number {
    return KEY_BYTES + this.valueBytes;
  }

  /** HOT. Valid until the next call. */
  key(number: number): Buffer {
    let word = number ^ this.#seed;
    for (let i = 0; i < KEY_WORDS; i++) {
      word = mix(word);
      this.#keyWords[i] = word;
      word = (word + 1) | 0;
    }
    return this.#key;
  }

  /** HOT. Valid until the next call. */
  value(number: number, version: number): Buffer {
    const words = this.#valueWords;
    words[0] = number;
    words[1] = version;
    let state = mix(mix(number ^ this.#seed) + version) || 1;
    for (let i = 2; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    return this.#value;
  }

  /** Whose value it says it is; −1: it is too short to be one. */
  numberIn(value: Buffer): number {
    return value.length === this.valueBytes ? value.readInt32LE(NUMBER_AT) : -1;
  }

  /** Which version it says it is; −1: it is too short to be one. */
  versionIn(value: Buffer): number {
    return value.length === this.valueBytes ? value.readInt32LE(VERSION_AT) : -1;
  }

  /** All numbers, each once, in an order of the round's own. */
  *order(round: number): Generator<number, void> {
    const multiplier = ORDERS[round % ORDERS.length];
    const bits = Math.max(32 - Math.clz32(this.count - 1), 1);
    const mask = 2 ** bits - 1;
    const start = mix(round + 1);
    for (let i = 0; i <= mask; i++) {
      const number = (Math.imul(i, multiplier) + start) & mask;
      if (number < this.count) yield number;
    }
  }

  /** What the entries must come to, each in the version given. */
  checksum(version: number): Checksum {
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum = (sum + hashEntry(this.key(i), this.value(i, version))) | 0;
    return { entries: this.count, sum: sum >>> 0 };
  }
}

/** HOT. REQUIRES: lengths that are multiples of four. */
export function hashEntry(key: Buffer, value: Buffer): number {
  return hashWords(value, hashWords(key, 1));
}

function hashWords(bytes: Buffer, start: number): number {
  let hash = start;
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    hash = Math.imul(hash ^ word, 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

/** A mix of 32 bits in which each result comes from one number only (the finalizer of MurmurHash3). */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2_ae35);
  return x ^ (x >>> 16);
}
