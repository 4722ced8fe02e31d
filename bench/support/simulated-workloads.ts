/** In which order the compaction simulator writes its keys. Benchmarks only. */
import { assert } from '../../src/assert.ts';
import { pseudoRandom } from './measure.ts';

export const WORKLOAD_NAMES = ['uniform', 'zipf', 'hot-spot', 'sequential', 'mixed'] as const;
export type WorkloadName = (typeof WORKLOAD_NAMES)[number];

export interface KeyOrder {
  /** All keys are there when the writes begin. */
  readonly isPreloaded: boolean;
  readonly nextKey: () => number;
}

const ZIPF_EXPONENT = 0.99;
const RANDOM_MAX = 2 ** 31;
/** Neighbours in popularity are so far apart, as a part of all keys, that no two of many ranks come near each other. */
const GOLDEN_RATIO = 0.618_033_988_75;
const ZIPF_KEYS_MAX = 2 ** 26;
/** A hot spot is so much of the keys, and stays for so many writes. */
const HOT_SHARE = 0.01;
const HOT_WRITES = 100_000;

export function isWorkloadName(name: string): name is WorkloadName {
  return (WORKLOAD_NAMES as readonly string[]).includes(name);
}

export function keysOf(name: WorkloadName, keys: number): KeyOrder {
  const random = pseudoRandom(1);
  switch (name) {
    case 'uniform':
      return { isPreloaded: true, nextKey: () => random(keys) };
    case 'zipf':
      return { isPreloaded: true, nextKey: zipf(keys) };
    case 'hot-spot':
      return { isPreloaded: true, nextKey: hotSpot(keys) };
    case 'sequential': {
      let next = 0;
      return { isPreloaded: false, nextKey: () => next++ };
    }
    case 'mixed': {
      let next = 0;
      let turn = 0;
      return { isPreloaded: false, nextKey: () => (turn++ % 2 === 0 ? next++ : random(keys)) };
    }
  }
}

/** Ranks by the closed form of Gray et al., "Quickly generating billion-record synthetic databases", 1994. */
function zipf(keys: number): () => number {
  assert(keys <= ZIPF_KEYS_MAX, 'a rank times the distance of two ranks is a whole number below 2^53');
  const random = pseudoRandom(1);
  let distance = Math.max(Math.floor(keys * GOLDEN_RATIO), 1);
  while (greatestCommonDivisor(distance, keys) > 1) distance++;
  let sum = 0;
  for (let rank = 1; rank <= keys; rank++) sum += rank ** -ZIPF_EXPONENT;
  const alpha = 1 / (1 - ZIPF_EXPONENT);
  const two = 1 + 0.5 ** ZIPF_EXPONENT;
  const eta = (1 - (2 / keys) ** (1 - ZIPF_EXPONENT)) / (1 - two / sum);
  return () => {
    const fraction = random(RANDOM_MAX) / RANDOM_MAX;
    const weight = fraction * sum;
    let rank = Math.floor(keys * (eta * fraction - eta + 1) ** alpha);
    if (weight < 1) rank = 0;
    else if (weight < two) rank = 1;
    return (Math.min(rank, keys - 1) * distance) % keys;
  };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function hotSpot(keys: number): () => number {
  const random = pseudoRandom(1);
  const width = Math.max(Math.floor(keys * HOT_SHARE), 1);
  let start = 0;
  let writes = 0;
  return () => {
    if (writes++ % HOT_WRITES === 0) start = random(keys);
    return random(10) === 0 ? random(keys) : (start + random(width)) % keys;
  };
}
