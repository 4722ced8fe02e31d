/** Steps of the scan model's runs, as fast-check makes them: what is done, with which keys, in which order. */
import fc from 'fast-check';
import type { DatabaseOptions } from '../../src/index.ts';
import { tinyCompaction, tinyCompression } from './tiny-shapes.ts';

/** Keys, and numbers beyond them that stand for keys nobody writes. */
export const KEYS = 90;

/** A value's length; undefined is a deletion. Or a range that is deleted. */
export type StepWrite =
  | { readonly key: number; readonly length: number | undefined; readonly seed: number }
  | { readonly deleted: StepBounds };

/** A key, or one right before or right behind it. */
export interface Bound {
  readonly key: number;
  readonly nudge: 'none' | 'longer' | 'shorter';
}

export interface StepBounds {
  readonly gt?: Bound;
  readonly gte?: Bound;
  readonly lt?: Bound;
  readonly lte?: Bound;
}

export interface StepRange extends StepBounds {
  readonly reverse: boolean;
  readonly limit: number;
}

export type ReadHow = 'get' | 'getSync' | 'getMany' | 'has' | 'hasMany';
export type MoveHow = 'next' | 'nextv' | 'step' | 'loop' | 'batches';

/** `which` is a number among those that are open, modulo their count. */
export interface ReadStep {
  readonly kind: 'read';
  readonly how: ReadHow;
  readonly keys: readonly number[];
  readonly snapshot: number | undefined;
  readonly fillCache: boolean;
}

export interface MoveStep {
  readonly kind: 'move';
  readonly which: number;
  readonly how: MoveHow;
  readonly count: number;
}

export interface WriteStep {
  readonly kind: 'write';
  readonly writes: readonly StepWrite[];
  readonly asBatch: boolean;
  readonly sync: boolean;
}

export type Step =
  | ReadStep
  | MoveStep
  | WriteStep
  | { readonly kind: 'flush' | 'reopen' | 'snapshot' }
  /** Brings a range down to the lowest level; awaited, or beside what follows. */
  | { readonly kind: 'compact'; readonly range: StepBounds; readonly isAwaited: boolean }
  | { readonly kind: 'release' | 'close'; readonly which: number }
  | {
      readonly kind: 'open';
      readonly what: 'iterator' | 'keys' | 'values' | 'cursor';
      readonly encoding: 'buffer' | 'latin1';
      readonly range: StepRange;
      readonly snapshot: number | undefined;
      readonly fillCache: boolean;
    }
  | { readonly kind: 'seek'; readonly which: number; readonly target: Bound }
  /** All at once: first the reads and the moves begin, then the writes and the flush. */
  | {
      readonly kind: 'together';
      readonly reads: readonly ReadStep[];
      readonly moves: readonly MoveStep[];
      readonly writes: readonly WriteStep[];
      readonly flush: boolean;
    };

const which = fc.nat(100);
const anyKey = fc.nat(KEYS + 2);
const snapshot = fc.option(which, { nil: undefined, freq: 2 });
const fillCache = fc.integer({ min: 0, max: 4 }).map((number) => number > 0);

const bound: fc.Arbitrary<Bound> = fc.record({
  key: anyKey,
  nudge: fc.constantFrom('none', 'none', 'none', 'longer', 'shorter'),
});

/** Most of them of a few keys, so that something is left. Keys with the same remainder of four are neighbours. */
const deletion: fc.Arbitrary<StepWrite> = fc
  .record({
    first: bound,
    others: fc.nat(5),
    isOpen: fc.boolean(),
    isClosed: fc.boolean(),
    beyond: fc.oneof(
      { arbitrary: fc.constant('none' as const), weight: 20 },
      { arbitrary: fc.constantFrom('below' as const, 'above' as const, 'both' as const), weight: 1 },
    ),
  })
  .map(({ first, others, isOpen, isClosed, beyond }) => {
    const last: Bound = { key: first.key + 4 * others, nudge: others === 0 ? 'longer' : first.nudge };
    const lower = isOpen ? { gt: first } : { gte: first };
    const upper = isClosed ? { lte: last } : { lt: last };
    return {
      deleted: {
        ...(beyond === 'below' || beyond === 'both' ? {} : lower),
        ...(beyond === 'above' || beyond === 'both' ? {} : upper),
      },
    };
  });

const keyWrite: fc.Arbitrary<StepWrite> = fc.record({
  // Half of the writes go to a few keys, so that their versions pile up.
  key: fc.oneof(fc.nat(KEYS - 1), fc.nat(7)),
  length: fc.oneof(
    { arbitrary: fc.constant(undefined), weight: 40 },
    { arbitrary: fc.nat(40), weight: 60 },
    { arbitrary: fc.nat(1300), weight: 80 },
    { arbitrary: fc.integer({ min: 3900, max: 9000 }), weight: 12 },
    { arbitrary: fc.constantFrom(4096, 70_000, 250_000), weight: 1 },
  ),
  seed: fc.nat(1 << 30),
});

export const oneWrite = fc.oneof({ arbitrary: keyWrite, weight: 25 }, { arbitrary: deletion, weight: 1 });

export const write: fc.Arbitrary<WriteStep> = fc.record({
  kind: fc.constant('write'),
  writes: fc.oneof(
    fc.array(oneWrite, { minLength: 1, maxLength: 4, size: 'max' }),
    fc.array(oneWrite, { minLength: 1, maxLength: 40, size: 'max' }),
  ),
  asBatch: fc.boolean(),
  sync: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
});

const read: fc.Arbitrary<ReadStep> = fc.record({
  kind: fc.constant('read'),
  how: fc.constantFrom('get', 'getSync', 'getMany', 'getMany', 'has', 'hasMany'),
  keys: fc.array(anyKey, { maxLength: 25, size: 'max' }),
  snapshot,
  fillCache,
});

const range: fc.Arbitrary<StepRange> = fc
  .record({
    gt: fc.option(bound, { nil: undefined, freq: 2 }),
    gte: fc.option(bound, { nil: undefined, freq: 2 }),
    lt: fc.option(bound, { nil: undefined, freq: 2 }),
    lte: fc.option(bound, { nil: undefined, freq: 2 }),
    isWhole: fc.boolean(),
    reverse: fc.boolean(),
    limit: fc.oneof(fc.constantFrom(-1, Infinity, 0), fc.constant(-1), fc.nat(60)),
  })
  .map(({ gt, gte, lt, lte, isWhole, reverse, limit }) => ({
    ...(gt === undefined || isWhole ? {} : { gt }),
    ...(gte === undefined || isWhole ? {} : { gte }),
    ...(lt === undefined || isWhole ? {} : { lt }),
    ...(lte === undefined || isWhole ? {} : { lte }),
    reverse,
    limit,
  }));

const move: fc.Arbitrary<MoveStep> = fc.record({
  kind: fc.constant('move'),
  which,
  how: fc.oneof(
    { arbitrary: fc.constantFrom<MoveHow>('next', 'nextv', 'step'), weight: 12 },
    { arbitrary: fc.constantFrom<MoveHow>('loop', 'batches'), weight: 1 },
  ),
  count: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 60 })),
});

const open: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('open' as const),
  what: fc.constantFrom<Extract<Step, { kind: 'open' }>['what']>(
    'iterator',
    'iterator',
    'keys',
    'values',
    'cursor',
    'cursor',
  ),
  encoding: fc.constantFrom('buffer' as const, 'buffer' as const, 'latin1' as const),
  range,
  snapshot,
  fillCache,
});

const together: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('together' as const),
  reads: fc.array(read, { maxLength: 4 }),
  moves: fc.array(move, { maxLength: 5 }),
  writes: fc.array(write, { maxLength: 3 }),
  flush: fc.boolean(),
});

export const compacted: fc.Arbitrary<StepBounds> = fc
  .record({ gte: fc.option(bound, { nil: undefined }), lt: fc.option(bound, { nil: undefined }) })
  .map(({ gte, lt }) => ({
    ...(gte === undefined ? {} : { gte }),
    ...(lt === undefined ? {} : { lt }),
  }));

export const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: write, weight: 50 },
  { arbitrary: read, weight: 40 },
  { arbitrary: open, weight: 30 },
  { arbitrary: move, weight: 90 },
  { arbitrary: together, weight: 40 },
  {
    arbitrary: fc.record({ kind: fc.constant('seek' as const), which, target: bound }),
    weight: 25,
  },
  { arbitrary: fc.constant<Step>({ kind: 'snapshot' }), weight: 12 },
  { arbitrary: which.map((number): Step => ({ kind: 'release', which: number })), weight: 8 },
  { arbitrary: which.map((number): Step => ({ kind: 'close', which: number })), weight: 8 },
  { arbitrary: fc.constant<Step>({ kind: 'flush' }), weight: 12 },
  { arbitrary: fc.constant<Step>({ kind: 'reopen' }), weight: 3 },
  {
    arbitrary: fc.record({
      kind: fc.constant('compact' as const),
      range: compacted,
      isAwaited: fc.boolean(),
    }),
    weight: 6,
  },
);

/** Everything as small as it may be, or absent. */
export const tinyOptions: fc.Arbitrary<DatabaseOptions> = fc.record({
  writeBufferBytes: fc.constant(65_536),
  // There is no cache of less than a mebibyte: large blocks are what makes its slots few.
  blockBytes: fc.constantFrom(4096, 4096, 4096, 65_536),
  blockCacheBytes: fc.constantFrom(0, 65_536, 1 << 20),
  filterBitsPerKey: fc.constantFrom<DatabaseOptions['filterBitsPerKey'] & {}>(0, 10, [10, 6, 0]),
  compression: tinyCompression,
  compaction: tinyCompaction,
  readAhead: fc.record({
    windowBytes: fc.constantFrom(0, 4096, 16_384, 524_288),
    totalBytes: fc.constantFrom(0, 4096, 32_768, 8 << 20),
  }),
});

/** Keys from none to some hundreds of bytes that share prefixes; some are another's successor. */
export function keyAt(index: number): Buffer {
  if (index === 0) return Buffer.alloc(0);
  if (index === 1) return Buffer.alloc(700, 'long');
  if (index === 2) return Buffer.from([0]);
  if (index === 3) return Buffer.from([255, 255]);
  const prefix = 'shared/'.repeat([0, 1, 3, 40][index % 4]);
  const key = Buffer.from(`${prefix}${(index >> 2).toString(2)}`);
  return index % 5 === 0 ? Buffer.concat([key, Buffer.from([0])]) : key;
}

export function boundAt({ key, nudge }: Bound): Buffer {
  const bytes = keyAt(key);
  if (nudge === 'longer') return Buffer.concat([bytes, Buffer.from([0])]);
  return nudge === 'shorter' ? bytes.subarray(0, Math.max(bytes.length - 1, 0)) : bytes;
}
