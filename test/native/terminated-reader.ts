/** A thread for worker-terminate.test.ts: reads into shared memory without end, until it is terminated. */
import { constants, openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { OPCODE_READ } from '../../src/workers/ring.ts';
import { Fixture, MIB } from './ring-fixture.ts';

export interface ReaderData {
  readonly path: string;
  readonly memory: Uint8Array;
  /** Makes the reads end in turns that wait, in turns that do not, or not at all once they are submitted. */
  readonly mode: 'wait' | 'spin' | 'leave';
}

const { path, memory, mode } = workerData as ReaderData;
const fixture = new Fixture('Ring', { fixedLength: MIB });
const half = memory.length / 8;
fixture.ring.attach(0, memory, 0, memory.length, 0);
const file = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
const submit = (slot: number): void => {
  fixture.add(
    { opcode: OPCODE_READ, file, bufferOffset: slot * half, length: half, offset: slot * half },
    slot,
  );
};
for (let slot = 0; slot < 8; slot++) submit(slot);
fixture.turn();
parentPort!.postMessage('reading');
if (mode !== 'leave') {
  for (;;) {
    for (const [slot] of fixture.turn(mode === 'wait' ? 1000 : 0)) submit(slot);
  }
}
// The loop never comes back to JavaScript for 'leave', but stays alive until it is terminated.
parentPort!.on('message', () => undefined);
