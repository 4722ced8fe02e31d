/** A thread for worker-terminate.test.ts: opens a pipe to write to through its ring, several times, and is terminated. */
import { constants, openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { OPCODE_OPEN } from '../../src/workers/ring.ts';
import { Fixture, type Backend } from './ring-fixture.ts';

export interface OpenerData {
  readonly directory: string;
  readonly backend: Backend;
  readonly count: number;
}

const { directory, backend, count } = workerData as OpenerData;
const fixture = new Fixture(backend);
// Node closes this one.
const file = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
const opening = { opcode: OPCODE_OPEN, file, length: constants.O_WRONLY, name: 'pipe' };
const results = fixture.run(...Array.from({ length: count }, () => opening));
if (results.some((result) => result < 0)) throw new Error(`a file was not opened: ${results.join()}`);
parentPort!.postMessage('open');
parentPort!.on('message', () => undefined);
