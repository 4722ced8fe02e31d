/**
 * So many requests of a kind in flight, each followed by the next one when it is answered, and the stages of each. Owner of
 * benchmarks only.
 */
import { PARKED_IN_KERNEL, PARKED_IN_WAIT } from '../../src/atomics-sync/doorbell.ts';
import type { StageSamples } from './stages.ts';
import type { StampedScheduler } from './stamped-scheduler.ts';
import { stampsAt } from './stamps.ts';
import type { Traffic } from './traffic.ts';

/** Requests whose publishing woke the ring thread, by where it slept. */
export interface Woken {
  inWait: number;
  inKernel: number;
}

export interface LoopOptions {
  readonly scheduler: StampedScheduler;
  readonly traffic: Traffic;
  readonly count: number;
  /** Where stages go; undefined: nothing is kept. */
  readonly samples?: StageSamples | undefined;
  readonly woken?: Woken;
}

/** How many there were a second, when `depth` were in flight and the owner was in its event loop. */
export async function runInEventLoop(options: LoopOptions, depth: number): Promise<number> {
  const { scheduler, traffic, count } = options;
  const { role } = traffic;
  const began = performance.now();
  await new Promise<void>((resolve, reject) => {
    let made = 0;
    let answered = 0;
    const next = (lane: number, handler: (result: number, detail0: number, detail1: number) => void) => {
      made++;
      const ordinal = scheduler.nextOrdinal(role);
      traffic.request(lane, handler);
      return ordinal;
    };
    for (let lane = 0; lane < Math.min(depth, count); lane++) {
      const handler = (result: number, detail0: number, detail1: number): void => {
        scheduler.handled(role, ordinal);
        const failure = traffic.failureOf({ result, detail0, detail1 });
        if (failure !== undefined) return reject(failure);
        keep(options, ordinal);
        if (made < count) ordinal = next(lane, handler);
        if (++answered === count) resolve();
      };
      let ordinal = next(lane, handler);
    }
  });
  return perSecond(count, began);
}

/**
 * The same of one at a time, for whose answer the owner sleeps in a synchronous wait, as `getSync` does. `between` is called
 * before each: timers do not run meanwhile.
 */
export function runBlocked(options: LoopOptions, between: () => void): number {
  const { scheduler, traffic, count } = options;
  const { role } = traffic;
  const began = performance.now();
  let isAnswered = false;
  let ordinal = 0;
  let failure: Error | undefined;
  const handler = (result: number, detail0: number, detail1: number): void => {
    scheduler.handled(role, ordinal);
    failure = traffic.failureOf({ result, detail0, detail1 });
    isAnswered = true;
  };
  for (let i = 0; i < count; i++) {
    between();
    isAnswered = false;
    ordinal = scheduler.nextOrdinal(role);
    traffic.request(0, handler);
    scheduler.waitUntil(() => isAnswered);
    if (failure !== undefined) throw failure;
    keep(options, ordinal);
  }
  return perSecond(count, began);
}

function keep({ scheduler, traffic, samples, woken }: LoopOptions, ordinal: number): void {
  const { role } = traffic;
  samples?.add(scheduler.stampsOf(role), stampsAt(ordinal));
  if (woken === undefined) return;
  const slept = scheduler.sleptAt(role, ordinal);
  if (slept === PARKED_IN_WAIT) woken.inWait++;
  else if (slept === PARKED_IN_KERNEL) woken.inKernel++;
}

function perSecond(count: number, began: number): number {
  return (count * 1000) / (performance.now() - began);
}
