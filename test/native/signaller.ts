/** A thread for signal.test.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '../../src/native.ts';

export type SignallerData =
  /** Creates a signal that counts in `words[0]`, sends its id, and stays until it is terminated. */
  | { readonly role: 'owner'; readonly words: Int32Array }
  /** Signals `id` until `words[1]` is set; writes how often into `words[0]` before each. */
  | { readonly role: 'sender'; readonly words: Int32Array; readonly id: number };

const data = workerData as SignallerData;
if (data.role === 'owner') {
  const id = native.createSignal(() => {
    Atomics.add(data.words, 0, 1);
  });
  native.referSignal(id, true);
  parentPort!.postMessage(id);
} else {
  while (Atomics.load(data.words, 1) === 0) {
    Atomics.add(data.words, 0, 1);
    native.signal(data.id);
  }
}
