/**
 * What one simulation is made of, as fast-check makes it from a seed: the database's options, what is done with it, and
 * how the disk behaves.
 *
 *     scans     everything that the scan model does, on a disk that is slow and never fails
 *     faults    writes, reads, flushes and compactions on a disk that fails now and then, fills up, and loses power, by a
 *               process that is killed; or little but flushes and compactions, where syncs of the directory fail
 */
import fc from 'fast-check';
import type { DatabaseOptions } from '../../src/index.ts';
import {
  compacted,
  KEYS,
  oneWrite,
  step,
  tinyOptions,
  write,
  type Step,
  type StepBounds,
  type WriteStep,
} from '../support/scan-steps.ts';
import { NO_FAULTS, type FaultRates } from './unreliable-disk.ts';

export type FaultStep =
  | WriteStep
  | { readonly kind: 'scan' }
  | { readonly kind: 'reopen' }
  /** What was set going comes to its end; otherwise it goes on beside the steps that follow. */
  | { readonly kind: 'rest' }
  | { readonly kind: 'flush'; readonly isAwaited: boolean }
  | { readonly kind: 'get'; readonly keys: readonly number[] }
  | { readonly kind: 'compact'; readonly range: StepBounds; readonly isAwaited: boolean }
  /** The power goes, or the process is killed, after so many more I/O steps, in the middle of what follows. */
  | { readonly kind: 'power' | 'kill'; readonly after: number }
  /** How the disk is from now on. */
  | { readonly kind: 'disk'; readonly rates: FaultRates; readonly freeBytes: number };

interface Surroundings {
  readonly settings: DatabaseOptions;
  /** Of everything that chance decides in the run. */
  readonly seed: number;
  /** One operation of the disk in as many is slow; 0: none. */
  readonly slowOneIn: number;
  /** One I/O step in as many is a crash point. */
  readonly crashOneIn: number;
}

export type SimulationCase = Surroundings &
  (
    | { readonly kind: 'scans'; readonly steps: readonly Step[] }
    | { readonly kind: 'faults'; readonly steps: readonly FaultStep[] }
  );

/** Two values that make a batch larger than a frame of the log, or one that is larger than a memtable. */
const largeWrite: fc.Arbitrary<WriteStep> = fc
  .record({ key: fc.nat(KEYS - 2), seed: fc.nat(1 << 30), isHuge: fc.boolean(), sync: fc.boolean() })
  .map(({ key, seed, isHuge, sync }) => ({
    kind: 'write',
    writes: [
      { key, length: isHuge ? 700_000 : 90_000, seed },
      { key: key + 1, length: isHuge ? 500_000 : 10, seed: seed + 1 },
    ],
    asBatch: true,
    sync,
  }));

/** More of them are durable than those of the scan model, which wants memtables to fill while something is under way. */
const syncedWrite: fc.Arbitrary<WriteStep> = fc
  .tuple(write, fc.integer({ min: 0, max: 2 }))
  .map(([one, number]) => ({ ...one, sync: number > 0 }));

const anyRates: fc.Arbitrary<FaultRates> = fc.record({
  readOneIn: fc.constantFrom(0, 0, 8),
  writeOneIn: fc.constantFrom(0, 0, 6, 30),
  syncOneIn: fc.constantFrom(0, 0, 3, 10),
  directoryOneIn: fc.constantFrom(0, 0, 0, 3),
  nameOneIn: fc.constantFrom(0, 0, 6),
});

/** What fails first is mostly final: disks on which only this fails come further. */
const directoryRates: fc.Arbitrary<FaultRates> = fc
  .constantFrom(20, 100)
  .map((directoryOneIn) => ({ ...NO_FAULTS, directoryOneIn }));

const rates = fc.oneof(anyRates, anyRates, directoryRates, fc.constant(NO_FAULTS));

const faultStep: fc.Arbitrary<FaultStep> = fc.oneof(
  { arbitrary: syncedWrite, weight: 60 },
  { arbitrary: fc.constant<FaultStep>({ kind: 'rest' }), weight: 8 },
  { arbitrary: largeWrite, weight: 1 },
  {
    arbitrary: fc.record({
      kind: fc.constant('get' as const),
      keys: fc.array(fc.nat(KEYS), { maxLength: 12 }),
    }),
    weight: 8,
  },
  { arbitrary: fc.constant<FaultStep>({ kind: 'scan' }), weight: 7 },
  {
    arbitrary: fc.record({ kind: fc.constant('flush' as const), isAwaited: fc.boolean() }),
    weight: 10,
  },
  { arbitrary: fc.constant<FaultStep>({ kind: 'reopen' }), weight: 5 },
  {
    arbitrary: fc.record({
      kind: fc.constant('compact' as const),
      range: compacted,
      isAwaited: fc.boolean(),
    }),
    weight: 6,
  },
  {
    arbitrary: fc.record({ kind: fc.constantFrom('power' as const, 'kill' as const), after: fc.nat(60) }),
    weight: 12,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant('disk' as const),
      rates,
      freeBytes: fc.constantFrom(Infinity, Infinity, Infinity, 3_000_000, 1_000_000, 100_000, 0),
    }),
    weight: 12,
  },
);

/** Little is written, and much of it flushed and compacted at once: names of logs and tables change all the time. */
const namesStep: fc.Arbitrary<FaultStep> = fc.oneof(
  {
    arbitrary: fc
      .tuple(fc.array(oneWrite, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([writes, asBatch]) => ({ kind: 'write' as const, writes, asBatch, sync: true })),
    weight: 40,
  },
  { arbitrary: fc.constant<FaultStep>({ kind: 'flush', isAwaited: false }), weight: 30 },
  { arbitrary: fc.constant<FaultStep>({ kind: 'compact', range: {}, isAwaited: false }), weight: 12 },
  { arbitrary: fc.constantFrom<FaultStep>({ kind: 'rest' }, { kind: 'reopen' }), weight: 4 },
  { arbitrary: fc.constant<FaultStep>({ kind: 'scan' }), weight: 2 },
  {
    arbitrary: fc.record({ kind: fc.constantFrom('power' as const, 'kill' as const), after: fc.nat(200) }),
    weight: 6,
  },
  {
    arbitrary: directoryRates.map((rates): FaultStep => ({ kind: 'disk', rates, freeBytes: Infinity })),
    weight: 12,
  },
);

const scanStep: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: step, weight: 120 },
  { arbitrary: syncedWrite, weight: 20 },
  { arbitrary: largeWrite, weight: 1 },
);

const surroundings = {
  settings: tinyOptions,
  seed: fc.nat(0x7fff_ffff),
  slowOneIn: fc.constantFrom(0, 0, 30, 5),
  crashOneIn: fc.constantFrom(2, 4, 10),
};

export const simulationCase: fc.Arbitrary<SimulationCase> = fc.oneof(
  fc.record({
    kind: fc.constant('scans' as const),
    steps: fc.array(scanStep, { minLength: 10, maxLength: 80, size: 'max' }),
    ...surroundings,
  }),
  fc.record({
    kind: fc.constant('faults' as const),
    steps: fc.oneof(
      fc.array(faultStep, { minLength: 10, maxLength: 80, size: 'max' }),
      fc.array(namesStep, { minLength: 20, maxLength: 80, size: 'max' }),
    ),
    ...surroundings,
  }),
);
