/**
 * A thread for the tests of waits: once it has seen a thread of this process asleep in a ring, it does what it was
 * asked to, and says so in `done[0]`.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { native } from '../../src/native.ts';
import { threadsWaitingInRings } from './ring-fixture.ts';

export interface WakerData {
  /** 0 at first; 1 once the thread runs, 2 when it is about to do what it was asked to. */
  readonly done: Int32Array;
  /** Woken through `wakeEventfd`; or −1. */
  readonly eventfd: number;
  /** Gets one byte; or −1. */
  readonly pipe: number;
}

const { done, eventfd, pipe } = workerData as WakerData;
Atomics.store(done, 0, 1);
Atomics.notify(done, 0);
while (threadsWaitingInRings() === 0);
Atomics.store(done, 0, 2);
if (eventfd >= 0) native.wakeEventfd(eventfd);
if (pipe >= 0) writeSync(pipe, 'x');
