/** A worker thread that uses a database and is done: it neither closes it nor exits. */
import { parentPort, workerData } from 'node:worker_threads';
import { Database } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf } from '../support/values.ts';

const { directory, backend } = workerData as { directory: string; backend: Backend };
const database = await Database.open(directory, { io: ioOf(backend) });
for (let i = 0; i < 100; i++) void database.put(keyOf(i), `value ${i}`);
await database.flush();
parentPort!.postMessage((await database.get(keyOf(99)))?.toString());
