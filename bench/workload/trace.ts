/**
 * Sequences of operations, made once and read by every process, so that all engines do the same in the same order. Pure but
 * for the file; benchmarks only.
 *
 *     file: operations of 8 bytes, little-endian
 *     number of the entry, u32 │ what: 0 get, 1 put, 2 range, 3 read-modify-write, u8 │ argument, u24
 *
 * The argument of a put and of a read-modify-write is the version of the value that is written, that of a range the number of
 * entries that are read.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pseudoRandom } from '../support/measure.ts';

export const OPERATION_GET = 0;
export const OPERATION_PUT = 1;
export const OPERATION_RANGE = 2;
export const OPERATION_READ_MODIFY_WRITE = 3;

const WORDS = 2;
const ARGUMENT_SHIFT = 8;
const ARGUMENT_MAX = 2 ** 24 - 1;
/** YCSB's: how much more often the first is wanted than the last. */
const ZIPFIAN_SKEW = 0.99;
/** Spreads neighbours in the order of popularity over all numbers. */
const SCATTER = 0x9e37_79b1;

export class Trace {
  readonly #words: Uint32Array;

  constructor(words: Uint32Array) {
    this.#words = words;
  }

  static read(path: string): Trace {
    const bytes = readFileSync(path);
    return new Trace(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
  }

  get length(): number {
    return this.#words.length / WORDS;
  }

  number(at: number): number {
    return this.#words[at * WORDS];
  }

  operation(at: number): number {
    return this.#words[at * WORDS + 1] & 0xff;
  }

  argument(at: number): number {
    return this.#words[at * WORDS + 1] >>> ARGUMENT_SHIFT;
  }
}

export class TraceWriter {
  readonly #words: Uint32Array;
  #length = 0;

  constructor(lengthMax: number) {
    this.#words = new Uint32Array(lengthMax * WORDS);
  }

  push(operation: number, number: number, argument = 0): void {
    if (argument > ARGUMENT_MAX) throw new RangeError(`${argument} is too large for an argument`);
    this.#words[this.#length * WORDS] = number;
    this.#words[this.#length * WORDS + 1] = ((argument << ARGUMENT_SHIFT) | operation) >>> 0;
    this.#length += 1;
  }

  write(path: string): void {
    const { buffer } = this.#words;
    writeFileSync(path, new Uint8Array(buffer, 0, this.#length * WORDS * 4));
  }
}

/** Numbers below a limit, one after another. */
export type Draw = () => number;

/** 0, 1, 2 … and from 0 again. */
export function inSequence(limit: number): Draw {
  let next = 0;
  return () => {
    const number = next;
    next = number + 1 === limit ? 0 : number + 1;
    return number;
  };
}

export function uniformly(limit: number, seed: number): Draw {
  const random = pseudoRandom(seed);
  return () => random(limit);
}

/** Each number below the limit once, in random order; then the same order again. */
export function shuffled(limit: number, seed: number): Draw {
  const numbers = Uint32Array.from({ length: limit }, (_, i) => i);
  const random = pseudoRandom(seed);
  for (let i = limit - 1; i > 0; i--) {
    const j = random(i + 1);
    const number = numbers[i];
    numbers[i] = numbers[j];
    numbers[j] = number;
  }
  const next = inSequence(limit);
  return () => numbers[next()];
}

/**
 * Ranks below a limit, 0 the most frequent, as YCSB draws them. Source: Gray et al., "Quickly generating billion-record
 * synthetic databases", SIGMOD 1994.
 */
export function zipfianRanks(limit: number, seed: number): Draw {
  const random = pseudoRandom(seed);
  const zeta = (count: number): number => {
    let sum = 0;
    for (let i = 1; i <= count; i++) sum += 1 / i ** ZIPFIAN_SKEW;
    return sum;
  };
  const zetaLimit = zeta(limit);
  const alpha = 1 / (1 - ZIPFIAN_SKEW);
  const eta = (1 - (2 / limit) ** (1 - ZIPFIAN_SKEW)) / (1 - zeta(2) / zetaLimit);
  return () => {
    const u = random(2 ** 32) / 2 ** 32;
    if (u * zetaLimit < 1) return 0;
    if (u * zetaLimit < 1 + 0.5 ** ZIPFIAN_SKEW) return Math.min(1, limit - 1);
    return Math.min(Math.floor(limit * (eta * u - eta + 1) ** alpha), limit - 1);
  };
}

/** The same, with the popular ones anywhere among the numbers. */
export function zipfian(limit: number, seed: number): Draw {
  const rank = zipfianRanks(limit, seed);
  return () => (Math.imul(rank(), SCATTER) >>> 0) % limit;
}
