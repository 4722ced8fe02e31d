/** A thread for worker-terminate.test.ts: makes and closes rings without end, until it is terminated. */
import { workerData } from 'node:worker_threads';
import { Fixture } from './ring-fixture.ts';

export interface CloserData {
  /** Set when the first ring was closed. */
  readonly started: Int32Array<SharedArrayBuffer>;
}

const { started } = workerData as CloserData;
for (;;) {
  const { ring } = new Fixture('Ring', {});
  ring.describe();
  ring.close();
  Atomics.store(started, 0, 1);
  Atomics.notify(started, 0);
}
