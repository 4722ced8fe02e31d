/**
 * Randomness for tests. A random test logs its seed; `QUADRING_TEST_SEED=<seed>` repeats the run.
 */
import { randomInt } from 'node:crypto';

/** The seed that the environment asks for, or a new one. */
export function testSeed(): number {
  const asked = process.env['QUADRING_TEST_SEED'];
  if (asked === undefined || asked === '') return randomInt(2 ** 31);
  const seed = Number(asked);
  if (!Number.isSafeInteger(seed)) throw new Error(`QUADRING_TEST_SEED must be an integer, not "${asked}"`);
  return seed | 0;
}

/** A small, quick generator (xorshift32 over a mixed seed): good enough to vary tests, no good for anything else. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = mix(seed) || 1;
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** From 0 to below 1. */
  fraction(): number {
    return this.bits() / 2 ** 32;
  }

  /** An integer from 0 to `limit` − 1. */
  below(limit: number): number {
    return Math.floor((this.bits() / 2 ** 32) * limit);
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }
}

/** A 32-bit mix in which every input bit moves every output bit (the finalizer of MurmurHash3). */
export function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
