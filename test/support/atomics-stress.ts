/**
 * The main thread's side of the stress tests of `src/atomics-sync`: starts workers, sends, receives, sleeps.
 *
 * No sleep is unbounded. One that ends without being rung although there was something to find is a lost wake-up and
 * fails the test with a message that says which side slept.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { must } from '../../src/assert.ts';
import {
  DoorbellRinger,
  DoorbellSleeper,
  PARKED_IN_KERNEL,
  PARKED_IN_WAIT,
} from '../../src/atomics-sync/doorbell.ts';
import { SpscConsumer, SpscProducer, resetSpscQueue } from '../../src/atomics-sync/spsc-queue.ts';
import type { SharedWords } from '../../src/atomics-sync/words.ts';
import {
  COMPLETION_WORDS,
  EventfdStandIn,
  FORGOTTEN_AFTER_MS,
  MAIN_LOOP_AT,
  MAIN_WAIT_AT,
  REQUEST_WORDS,
  STOP_FOR_GOOD,
  readRecord,
  stressWords,
  workerPlaces,
  writeRecord,
} from './atomics-stress-layout.ts';
import type { StressSetup, WorkerPlaces, WorkerReport, WorkerStart } from './atomics-stress-layout.ts';

/** Time for a worker that found the fault itself to say so. */
const REPORT_AFTER_MS = 2 * FORGOTTEN_AFTER_MS;

const workerUrl = new URL(
  `./atomics-stress-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
  import.meta.url,
);

interface Member {
  readonly worker: Worker;
  readonly places: WorkerPlaces;
  readonly requests: SpscProducer;
  readonly completions: SpscConsumer;
  readonly ringer: DoorbellRinger;
  /** Resolves when the worker has ended by itself. */
  readonly report: Promise<WorkerReport>;
}

export class StressCrew {
  readonly #words: SharedWords;
  readonly #members: readonly Member[];
  readonly #waitSleeper: DoorbellSleeper;
  readonly #loopSleeper: DoorbellSleeper;
  #onWake: (() => void) | undefined;
  /** How often this thread slept, and how often it woke a worker. */
  sleeps = 0;
  wakesOfWorkers = 0;

  private constructor(words: SharedWords, setup: StressSetup, onReady: () => void) {
    this.#words = words;
    this.#waitSleeper = new DoorbellSleeper(words, MAIN_WAIT_AT);
    this.#loopSleeper = new DoorbellSleeper(words, MAIN_LOOP_AT);
    this.#members = Array.from({ length: setup.workers }, (_, index) => {
      const places = workerPlaces(words, setup, index);
      resetSpscQueue(places.requests, setup.counter);
      resetSpscQueue(places.completions, setup.counter);
      const worker = new Worker(workerUrl, { workerData: { setup, words, index } satisfies WorkerStart });
      const report = new Promise<WorkerReport>((resolve, reject) => {
        worker.on('error', reject);
        worker.on('message', (message: 'ready' | 'wake' | WorkerReport) => {
          if (message === 'ready') onReady();
          else if (message === 'wake') this.#onWake?.();
          else resolve(message);
        });
      });
      report.catch(() => this.#onWake?.());
      const eventfd = new EventfdStandIn(words, places.eventfdAt);
      return {
        worker,
        places,
        requests: new SpscProducer(places.requests),
        completions: new SpscConsumer(places.completions),
        ringer: new DoorbellRinger(words, places.parkedAt, () => eventfd.signal()),
        report,
      };
    });
  }

  /** Resolves when every worker runs: a thread that sleeps in `Atomics.wait` keeps workers from starting. */
  static async start(setup: StressSetup): Promise<StressCrew> {
    const words = new Int32Array(new SharedArrayBuffer(stressWords(setup) * 4));
    let notReady = setup.workers;
    let onAllReady: () => void = () => undefined;
    const allReady = new Promise<void>((resolve) => (onAllReady = resolve));
    const crew = new StressCrew(words, setup, () => {
      if (--notReady === 0) onAllReady();
    });
    await Promise.race([allReady, ...crew.#members.map(({ report }) => report)]);
    return crew;
  }

  /** Writes request `id` for worker `index`; false when its queue is full. Not yet published. */
  submit(index: number, id: number): boolean {
    const { requests } = must(this.#members[index], 'there is such a worker');
    const at = requests.reserve();
    if (at === -1) return false;
    writeRecord(this.#words, at, REQUEST_WORDS, id);
    return true;
  }

  publish(): void {
    for (const { requests, ringer } of this.#members) {
      if (requests.publish() && ringer.ring()) this.wakesOfWorkers++;
    }
  }

  /** Takes up to `most` completions of each worker and gives them to `take`; how many there were. */
  drain(most: number, take: (id: number, index: number) => void): number {
    let count = 0;
    for (const [index, { completions }] of this.#members.entries()) {
      for (let left = most, at: number; left > 0 && (at = completions.next()) !== -1; left--, count++) {
        take(readRecord(this.#words, at, COMPLETION_WORDS), index);
      }
      completions.release();
    }
    return count;
  }

  /** Wakes workers that wait for room, after a `drain`. */
  ringForRoom(): void {
    for (const { ringer } of this.#members) if (ringer.ring()) this.wakesOfWorkers++;
  }

  /** Sets the stop word of worker `index` and rings. */
  setStop(index: number, value: number): void {
    const { places, ringer } = must(this.#members[index], 'there is such a worker');
    Atomics.store(this.#words, places.stopAt, value);
    if (ringer.ring()) this.wakesOfWorkers++;
  }

  /** The last stop word that worker `index` has acknowledged. */
  acknowledged(index: number): number {
    return Atomics.load(
      this.#words,
      must(this.#members[index], 'there is such a worker').places.acknowledgedAt,
    );
  }

  hasCompletions(): boolean {
    return this.#members.some(({ completions }) => completions.hasMore());
  }

  /** Sleeps in `Atomics.wait` unless `isReady`. */
  async sleepInWait(isReady: () => boolean): Promise<void> {
    this.#waitSleeper.announce(PARKED_IN_WAIT);
    if (isReady()) {
      this.#waitSleeper.cancel();
      return;
    }
    this.sleeps++;
    // Twice the workers' time, so that a worker that was forgotten says so before this thread only says "no answer".
    if (!this.#waitSleeper.wait(REPORT_AFTER_MS)) await this.#forgotten(isReady(), 'in Atomics.wait');
  }

  /** Returns to the event loop until woken, unless `isReady`. */
  async sleepInLoop(isReady: () => boolean): Promise<void> {
    this.#loopSleeper.announce(PARKED_IN_KERNEL);
    if (isReady()) {
      this.#loopSleeper.cancel();
      return;
    }
    this.sleeps++;
    const woken = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(resolve, REPORT_AFTER_MS, false);
      this.#onWake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
    this.#onWake = undefined;
    this.#loopSleeper.cancel();
    if (!woken) await this.#forgotten(isReady(), 'in its event loop');
  }

  /** Fails with the worker's own error if one has died, otherwise with what this thread knows. */
  async #forgotten(missedSomething: boolean, where: string): Promise<never> {
    await Promise.race([delay(500), ...this.#members.map(({ report }) => report)]);
    const parked = this.#members.map(({ places }) => Atomics.load(this.#words, places.parkedAt)).join(', ');
    throw new Error(
      missedSomething
        ? `a wake-up was lost: the main thread slept ${where} while something was ready for it`
        : `the main thread slept ${where} and nobody answered; parked words of the workers: ${parked}`,
    );
  }

  /** Stops every worker through its parked word; what they report. */
  async stop(): Promise<WorkerReport> {
    const total = { sleeps: 0, wakesOfMain: 0 };
    this.#members.forEach((_, index) => this.setStop(index, STOP_FOR_GOOD));
    for (const { report } of this.#members) {
      const abort = new AbortController();
      const late = delay(REPORT_AFTER_MS, undefined, { signal: abort.signal }).then(() => {
        throw new Error('a worker slept through its stop');
      });
      late.catch(() => undefined);
      const { sleeps, wakesOfMain } = await Promise.race([report, late]);
      abort.abort();
      total.sleeps += sleeps;
      total.wakesOfMain += wakesOfMain;
    }
    return total;
  }

  /** For a test that failed in the middle: ends the workers whatever they do. */
  async terminate(): Promise<void> {
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
  }
}
