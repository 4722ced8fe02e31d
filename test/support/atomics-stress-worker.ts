/**
 * A worker of the stress tests of `src/atomics-sync`: the loop of a ring thread with the disk left out.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { must } from '../../src/assert.ts';
import {
  DoorbellRinger,
  DoorbellSleeper,
  PARKED_IN_KERNEL,
  PARKED_IN_WAIT,
} from '../../src/atomics-sync/doorbell.ts';
import { SpscConsumer, SpscProducer } from '../../src/atomics-sync/spsc-queue.ts';
import {
  COMPLETION_WORDS,
  EventfdStandIn,
  FORGOTTEN_AFTER_MS,
  MAIN_LOOP_AT,
  MAIN_WAIT_AT,
  REQUEST_WORDS,
  STOP_FOR_GOOD,
  readRecord,
  workerPlaces,
  writeRecord,
} from './atomics-stress-layout.ts';
import type { WorkerReport, WorkerStart } from './atomics-stress-layout.ts';
import { Random, mix } from './random.ts';

const port = must(parentPort, 'this module runs in a worker');
const { setup, words, index } = workerData as WorkerStart;
const places = workerPlaces(words, setup, index);
const random = new Random(mix(setup.seed + index + 1));
const requests = new SpscConsumer(places.requests);
const completions = new SpscProducer(places.completions);
const sleeper = new DoorbellSleeper(words, places.parkedAt);
const eventfd = new EventfdStandIn(words, places.eventfdAt);
const mainWait = new DoorbellRinger(words, MAIN_WAIT_AT, () => {
  throw new Error('the word of synchronous waits said PARKED_IN_KERNEL');
});
const mainLoop = new DoorbellRinger(words, MAIN_LOOP_AT, () => port.postMessage('wake'));

let sleeps = 0;
let wakesOfMain = 0;
let stopSeen = 0;

function ringMain(): void {
  if (mainWait.ring()) wakesOfMain++;
  if (mainLoop.ring()) wakesOfMain++;
}

/** Sleeps unless `isReady` says, after the announcement, that there is something to do. */
function park(isReady: () => boolean, what: string): void {
  const inKernel = setup.workersSleep === 'kernel' || (setup.workersSleep === 'mixed' && random.oneIn(2));
  sleeper.announce(inKernel ? PARKED_IN_KERNEL : PARKED_IN_WAIT);
  if (isReady()) {
    sleeper.cancel();
    return;
  }
  sleeps++;
  const began = performance.now();
  const rung = inKernel ? eventfd.sleep(FORGOTTEN_AFTER_MS) : sleeper.wait(FORGOTTEN_AFTER_MS);
  if (inKernel) sleeper.cancel();
  if (!rung && isReady()) {
    const slept = Math.round(performance.now() - began);
    throw new Error(`worker ${index}: a wake-up was lost; ${what} while it slept, for ${slept} ms`);
  }
}

function stopChanged(): boolean {
  return Atomics.load(words, places.stopAt) !== stopSeen;
}

/** Acknowledges a new value of the stop word; true if it ends this worker. */
function handleStop(): boolean {
  if (!stopChanged()) return false;
  stopSeen = Atomics.load(words, places.stopAt);
  Atomics.store(words, places.acknowledgedAt, stopSeen);
  ringMain();
  return stopSeen === STOP_FOR_GOOD;
}

/** Takes requests in batches of random size and answers each of them, in any order, in this turn or a later one. */
function answer(): void {
  const inFlight: number[] = [];
  while (!handleStop()) {
    const batch = random.between(1, setup.batchMax);
    let taken = 0;
    for (let at: number; taken < batch && (at = requests.next()) !== -1; taken++) {
      inFlight.push(readRecord(words, at, REQUEST_WORDS));
    }
    requests.release();
    if (taken === 0 && inFlight.length === 0) {
      park(() => requests.hasMore() || stopChanged(), 'a request or a stop arrived');
      continue;
    }
    for (let left = random.between(taken === 0 ? 1 : 0, inFlight.length); left > 0; left--) {
      const slot = random.below(inFlight.length);
      const id = inFlight[slot];
      inFlight[slot] = inFlight[inFlight.length - 1]!;
      inFlight.pop();
      const at = completions.reserve();
      if (at === -1) throw new Error('a completion queue as large as the request queue was full');
      writeRecord(words, at, COMPLETION_WORDS, id);
      if (random.oneIn(32) && completions.publish()) ringMain();
    }
    if (completions.publish()) ringMain();
  }
}

/** Sends numbered records as quickly as there is room for them. */
function flood(): void {
  let id = 0;
  let at = -1;
  while (!handleStop()) {
    for (let left = random.between(1, setup.batchMax); left > 0; left--) {
      if (at === -1) at = completions.reserve();
      if (at === -1) break;
      writeRecord(words, at, COMPLETION_WORDS, id);
      id = (id + 1) | 0;
      at = -1;
    }
    if (completions.publish()) ringMain();
    else {
      park(() => {
        if (at === -1) at = completions.reserve();
        return at !== -1 || stopChanged();
      }, 'room was made or a stop arrived');
    }
  }
}

port.postMessage('ready');
if (setup.role === 'answer') answer();
else flood();
port.postMessage({ sleeps, wakesOfMain } satisfies WorkerReport);
