/**
 * The shared memory of the stress tests of `src/atomics-sync`, known to both sides: one main thread, several workers.
 *
 *     line 0   parked word of the main thread's synchronous waits
 *     line 1   parked word of the main thread's event loop
 *     then for each worker: parked word, stop word, acknowledged stop word, counter of its stand-in for an eventfd (a
 *     line each), a queue of requests (main → worker) and a queue of completions (worker → main)
 */
import { LINE_WORDS } from '../../src/atomics-sync/words.ts';
import type { SharedWords } from '../../src/atomics-sync/words.ts';
import { spscQueueWords } from '../../src/atomics-sync/spsc-queue.ts';
import type { SpscQueueShape } from '../../src/atomics-sync/spsc-queue.ts';
import { mix } from './random.ts';

export const MAIN_WAIT_AT = 0;
export const MAIN_LOOP_AT = LINE_WORDS;
const WORKERS_AT = 2 * LINE_WORDS;

export const REQUEST_WORDS = 8;
export const COMPLETION_WORDS = 2;

/** Value of the stop word that ends a worker; any other change is to be acknowledged. */
export const STOP_FOR_GOOD = -1;

/** How long a sleep may last before its thread looks whether it has been forgotten. */
export const FORGOTTEN_AFTER_MS = 8000;

export interface StressSetup {
  readonly seed: number;
  readonly workers: number;
  /** Capacity of each request queue; the completion queue holds as many, so that it cannot be full. */
  readonly capacity: number;
  /** What the queues' counters begin with. */
  readonly counter: number;
  /** What a worker does: answer requests, or flood the main thread with completions and wait for room. */
  readonly role: 'answer' | 'flood';
  /** How the workers sleep. */
  readonly workersSleep: 'wait' | 'kernel' | 'mixed';
  /** The most records that a worker takes and answers at once. */
  readonly batchMax: number;
}

export interface WorkerStart {
  readonly setup: StressSetup;
  readonly words: SharedWords;
  readonly index: number;
}

/** What a worker reports when it has been stopped. */
export interface WorkerReport {
  readonly sleeps: number;
  readonly wakesOfMain: number;
}

export interface WorkerPlaces {
  readonly parkedAt: number;
  readonly stopAt: number;
  readonly acknowledgedAt: number;
  readonly eventfdAt: number;
  readonly requests: SpscQueueShape;
  readonly completions: SpscQueueShape;
}

function wordsOfOneWorker(capacity: number): number {
  return (
    4 * LINE_WORDS + spscQueueWords(capacity, REQUEST_WORDS) + spscQueueWords(capacity, COMPLETION_WORDS)
  );
}

export function stressWords(setup: StressSetup): number {
  return WORKERS_AT + setup.workers * wordsOfOneWorker(setup.capacity);
}

export function workerPlaces(words: SharedWords, { capacity }: StressSetup, index: number): WorkerPlaces {
  const at = WORKERS_AT + index * wordsOfOneWorker(capacity);
  const requestsAt = at + 4 * LINE_WORDS;
  const completionsAt = requestsAt + spscQueueWords(capacity, REQUEST_WORDS);
  return {
    parkedAt: at,
    stopAt: at + LINE_WORDS,
    acknowledgedAt: at + 2 * LINE_WORDS,
    eventfdAt: at + 3 * LINE_WORDS,
    requests: { words, at: requestsAt, capacity, recordWords: REQUEST_WORDS },
    completions: { words, at: completionsAt, capacity, recordWords: COMPLETION_WORDS },
  };
}

/** Word `word` of the record number `id`; word 0 is the number itself. */
export function recordWord(id: number, word: number): number {
  return word === 0 ? id : mix(id ^ Math.imul(word, 0x9e3779b9));
}

export function writeRecord(words: SharedWords, index: number, length: number, id: number): void {
  for (let word = 0; word < length; word++) words[index + word] = recordWord(id, word);
}

/** The number of the record at `index`, after checking the rest of it. */
export function readRecord(words: SharedWords, index: number, length: number): number {
  const id = words[index];
  for (let word = 1; word < length; word++) {
    if (words[index + word] !== recordWord(id, word))
      throw new Error(`record ${id} arrived with a wrong word ${word}`);
  }
  return id;
}

/** An eventfd made of one word: a count that outlives the call, and a sleep that ends when it is not zero. */
export class EventfdStandIn {
  readonly #words: SharedWords;
  readonly #at: number;

  constructor(words: SharedWords, at: number) {
    this.#words = words;
    this.#at = at;
  }

  signal(): void {
    Atomics.add(this.#words, this.#at, 1);
    Atomics.notify(this.#words, this.#at);
  }

  /** False if the time passed without a signal. */
  sleep(timeoutMs: number): boolean {
    const until = performance.now() + timeoutMs;
    // Again when it ends with a count of zero: the notify of an earlier signal may come late, after its count was read.
    for (;;) {
      const left = until - performance.now();
      Atomics.wait(this.#words, this.#at, 0, Math.max(0, left));
      if (Atomics.exchange(this.#words, this.#at, 0) !== 0) return true;
      if (left <= 0) return false;
    }
  }
}
