/**
 * Which stretch of the key space a key is in, asked for keys in ascending order. Pure; ring threads only.
 *
 * A compaction asks for every key whether older tables, a range tombstone or the next grandparent have begun or ended
 * with it. All of these are boundaries in ascending order, of which the next one is looked at: mostly one comparison of
 * two numbers.
 *
 *     boundaries      b0        b1   b2           b3
 *     keys       ─────┼─────────┼────┼────────────┼─────
 *     passed       0       1       2       3         4
 */
import { compareBytes } from '../format/compare.ts';
import { headOf } from '../format/key-head.ts';

/** Where a stretch begins: at the key, or right behind it. Undefined: behind all keys. */
export interface KeyBoundary {
  readonly key: Uint8Array | undefined;
  readonly isBehind: boolean;
}

/** The keys that a merge can meet: they all begin with the same bytes, which their heads leave out. */
export class KeySpace {
  readonly #common: Uint8Array;

  constructor(common: Uint8Array) {
    this.#common = common;
  }

  /** Bytes that all keys of the space begin with. */
  get skip(): number {
    return this.#common.length;
  }

  /** The head of any key, in the order of those in the space: −1 is before, Infinity behind all of them. */
  headOf(key: Uint8Array): number {
    const { length } = this.#common;
    if (key.length >= length) {
      const order = compareBytes(key, 0, length, this.#common, 0, length);
      if (order === 0) return headOf(key, length, key.length);
      return order < 0 ? -1 : Infinity;
    }
    return compareBytes(key, 0, key.length, this.#common, 0, length) < 0 ? -1 : Infinity;
  }
}

export class KeyBoundaries {
  readonly #boundaries: readonly KeyBoundary[];
  readonly #heads: Float64Array;
  #passed = 0;

  /** REQUIRES: boundaries in ascending order. */
  constructor(boundaries: readonly KeyBoundary[], space: KeySpace) {
    this.#boundaries = boundaries;
    this.#heads = Float64Array.from(boundaries, ({ key }) =>
      key === undefined ? Infinity : space.headOf(key),
    );
  }

  /** HOT. How many boundaries are at or before the key. REQUIRES: a key of the space, not before the one asked for last. */
  passedBy(key: Uint8Array, keyLength: number, head: number): number {
    const heads = this.#heads;
    while (this.#passed < heads.length && heads[this.#passed] <= head) {
      if (heads[this.#passed] === head && !this.#isPassedBy(key, keyLength)) break;
      this.#passed++;
    }
    return this.#passed;
  }

  /** Whether the next boundary is at or before the key, whose head is the same. */
  #isPassedBy(key: Uint8Array, keyLength: number): boolean {
    const { key: boundary, isBehind } = this.#boundaries[this.#passed];
    if (boundary === undefined) return false;
    const order = compareBytes(key, 0, keyLength, boundary, 0, boundary.length);
    return isBehind ? order > 0 : order >= 0;
  }
}
