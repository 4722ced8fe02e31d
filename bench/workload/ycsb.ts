/**
 * The core workloads of YCSB as traces. Pure; benchmarks only. Source: Cooper et al., "Benchmarking cloud serving systems with
 * YCSB", SoCC 2010.
 *
 * As there: zipfian popularity with the popular ones scattered over all keys; D reads what was inserted last; ranges of E have
 * a uniform length of 1 to 100. Inserted keys come behind the loaded ones.
 */
import { pseudoRandom } from '../support/measure.ts';
import type { Dataset } from './session.ts';
import {
  OPERATION_GET,
  OPERATION_PUT,
  OPERATION_RANGE,
  OPERATION_READ_MODIFY_WRITE,
  TraceWriter,
  zipfian,
  zipfianRanks,
} from './trace.ts';

const RANGE_ENTRIES_MAX = 100;
const OPERATION_SEED = 21;
const KEY_SEED = 22;

type Share = readonly [share: number, kind: 'read' | 'update' | 'insert' | 'range' | 'read-modify-write'];

export interface YcsbMix {
  readonly name: string;
  readonly shares: readonly Share[];
  /** Reads prefer what was inserted last. */
  readonly latest: boolean;
  readonly writes: boolean;
  /** At full scale. */
  readonly operations: number;
}

export const YCSB_MIXES: readonly YcsbMix[] = [
  mix('a', 200_000, [0.5, 'read'], [0.5, 'update']),
  mix('b', 300_000, [0.95, 'read'], [0.05, 'update']),
  mix('c', 400_000, [1, 'read']),
  { ...mix('d', 300_000, [0.95, 'read'], [0.05, 'insert']), latest: true },
  mix('e', 30_000, [0.95, 'range'], [0.05, 'insert']),
  mix('f', 200_000, [0.5, 'read'], [0.5, 'read-modify-write']),
];

function mix(name: string, operations: number, ...shares: Share[]): YcsbMix {
  const writes = shares.some(([, kind]) => kind !== 'read' && kind !== 'range');
  return { name, operations, shares, latest: false, writes };
}

export function ycsbTrace({ shares, latest }: YcsbMix, dataset: Dataset, length: number): TraceWriter {
  const random = pseudoRandom(OPERATION_SEED);
  const popular = zipfian(dataset.entries, KEY_SEED);
  const recent = zipfianRanks(dataset.entries, KEY_SEED);
  const writer = new TraceWriter(length);
  let inserted = dataset.entries;
  for (let i = 0; i < length; i++) {
    const kind = kindAt(random(2 ** 32) / 2 ** 32, shares);
    // Versions differ from those that were loaded, and from one another.
    const version = (i % 2 ** 20) + 1;
    const number = latest ? inserted - 1 - recent() : popular();
    if (kind === 'read') writer.push(OPERATION_GET, number);
    else if (kind === 'update') writer.push(OPERATION_PUT, number, version);
    else if (kind === 'read-modify-write') writer.push(OPERATION_READ_MODIFY_WRITE, number, version);
    else if (kind === 'insert') {
      if (inserted === dataset.capacity) throw new RangeError('there are no keys left to insert');
      writer.push(OPERATION_PUT, inserted++, version);
    } else {
      const count = Math.min(1 + random(RANGE_ENTRIES_MAX), dataset.entries);
      writer.push(OPERATION_RANGE, Math.min(number, dataset.entries - count), count);
    }
  }
  return writer;
}

function kindAt(point: number, shares: readonly Share[]): Share[1] {
  let sum = 0;
  for (const [share, kind] of shares) {
    sum += share;
    if (point < sum) return kind;
  }
  return shares[0][1];
}
