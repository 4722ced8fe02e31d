/** A thread for lz4.test.ts: compresses and decompresses in shared memory, again and again, and says how often. */
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '../../src/native.ts';

export interface Lz4WorkerData {
  /** What all threads compress. */
  readonly source: Uint8Array;
  /** This thread's own: first half for blocks, second half for what they give. */
  readonly workspace: Uint8Array;
  readonly rounds: number;
  readonly seed: number;
  /** Counts the threads that run; each waits until all of `threads` do. */
  readonly running: Int32Array;
  readonly threads: number;
}

const { source, workspace, rounds, seed, running, threads } = workerData as Lz4WorkerData;
Atomics.add(running, 0, 1);
while (Atomics.load(running, 0) < threads);

const half = workspace.length / 2;
let right = 0;
for (let round = 0; round < rounds; round++) {
  const start = (seed + round * 997) % (source.length / 2);
  const end = start + ((round * 7919) % (source.length / 2));
  const written = native.lz4Compress(source, start, end, workspace, 0, half);
  const produced = native.lz4Decompress(workspace, 0, written, workspace, half, 2 * half);
  const isSame = Buffer.compare(workspace.subarray(half, half + produced), source.subarray(start, end)) === 0;
  if (produced === end - start && isSame) right++;
}
parentPort!.postMessage(right);
