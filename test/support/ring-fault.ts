/**
 * Loaded in ring threads before anything else by the tests of their death: makes the thread that is named die in the way
 * that is named, the next time that it goes round its loop. Ring threads only, in tests only.
 *
 * A ring thread runs no event loop, so nothing can be told to it but through shared memory; what it does in every round is
 * to store its heart-beat.
 */
import { getEnvironmentData, isMainThread, threadId } from 'node:worker_threads';

/** Name of the environment data that holds two words: the thread, 0 for none, and how it is to die. */
export const FAULT = 'quadring-test-ring-fault';

export const THROWS = 1;
export const EXITS = 2;
export const RUNS_OUT_OF_MEMORY = 3;
export const CAUSES = {
  'throws an error': THROWS,
  'calls process.exit': EXITS,
  'runs out of memory': RUNS_OUT_OF_MEMORY,
} as const;

function die(cause: number): void {
  if (cause === THROWS) throw new Error('a role that throws');
  if (cause === EXITS) process.exit(5);
  const eaten: number[][] = [];
  // Its heap is bounded: this ends.
  for (;;) eaten.push(new Array<number>(100_000).fill(eaten.length));
}

if (!isMainThread) {
  const store = Atomics.store.bind(Atomics);
  const watching = (array: Int32Array, index: number, value: number): number => {
    const fault = getEnvironmentData(FAULT) as Int32Array | undefined;
    if (fault?.[0] === threadId) {
      // Once: what notices its death goes the same way.
      fault[0] = 0;
      die(fault[1]);
    }
    return store(array, index, value);
  };
  Object.defineProperty(Atomics, 'store', { value: watching });
}
