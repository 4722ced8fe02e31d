/**
 * A ring thread's life: create the ring, say so, serve requests until told to stop (ring-loop.ts). Ring threads only;
 * piscina runs the default export, once for each role, and it returns when the crew is dismissed.
 *
 * A failure is returned as data, because an error that crosses threads loses its own fields.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import {
  POLLED_RING_WORD,
  roleWords,
  STATE_CREATING_RING,
  STATE_FAILED,
  STATE_READY,
  STATE_STOPPED,
} from '../protocol/crew-layout.ts';
import { ROLE_FOREGROUND, type Attachment } from '../protocol/requests.ts';
import { RING_COUNTERS } from '../protocol/ring-counters.ts';
import { STATISTIC_ADDON_COUNTERS } from '../protocol/ring-statistics.ts';
import type { FailureData, RingThreadEnd, RingThreadTask } from '../protocol/ring-thread-task.ts';
import { createRoleHost } from './crew-member.ts';
import { createRing } from './native-ring.ts';
import { OwnerBells, RingLoop } from './ring-loop.ts';
import type { Ring } from './ring.ts';
import { OpenFiles } from './role.ts';
import { settleScheduling } from './thread-scheduling.ts';

/** Longest wait for the ring whose poll thread the others share. One that is later has its own; the crew's start has a limit. */
const POLLED_RING_WAIT_MS_MAX = 10_000;

export default function runRingThread(task: RingThreadTask): RingThreadEnd {
  const { control, role, port } = task;
  const words = roleWords(control, role);
  let failure: FailureData | undefined;
  try {
    serve(task);
  } catch (error) {
    failure = errorAsData(error);
  }
  Atomics.store(control, words.state, failure === undefined ? STATE_STOPPED : STATE_FAILED);
  if (failure !== undefined) new OwnerBells(control, task.signal).ring();
  port.close();
  return failure === undefined ? { kind: 'stopped' } : { kind: 'failed', failure };
}

/** Returns when the crew is dismissed. The ring is given back whatever happens: nothing may stay in flight. */
function serve(task: RingThreadTask): void {
  const { control, role, port } = task;
  Atomics.store(control, roleWords(control, role).state, STATE_CREATING_RING);
  settleScheduling(role);
  const ring = createRingOf(task);
  try {
    // In this order: who has been told of the ring takes a thread that is not ready for one that died.
    Atomics.store(control, roleWords(control, role).state, STATE_READY);
    port.postMessage(ring.describe());
    loopOf(task, ring).serve();
  } finally {
    // With the files that a database had open whose crew failed.
    ring.close();
  }
}

/** Where one thread of the kernel polls for all rings the foreground ring comes first: the others share its thread. */
function createRingOf({ role, control, statistics, ring: options }: RingThreadTask): Ring {
  const { polling } = options;
  const counters = statistics.subarray(STATISTIC_ADDON_COUNTERS, STATISTIC_ADDON_COUNTERS + RING_COUNTERS);
  if (polling === null) return createRing({ ...options, polling, counters });
  if (role !== ROLE_FOREGROUND) {
    Atomics.wait(control, POLLED_RING_WORD, 0, POLLED_RING_WAIT_MS_MAX);
    const sharedWith = Math.max(Atomics.load(control, POLLED_RING_WORD) - 1, -1);
    return createRing({ ...options, polling: { ...polling, sharedWith }, counters });
  }
  let descriptor = -1;
  try {
    const ring = createRing({ ...options, polling: { ...polling, sharedWith: -1 }, counters });
    const description = ring.describe();
    if (description.flags.includes('SQPOLL')) ({ descriptor } = description);
    return ring;
  } finally {
    Atomics.store(control, POLLED_RING_WORD, descriptor < 0 ? -1 : descriptor + 1);
    Atomics.notify(control, POLLED_RING_WORD);
  }
}

function loopOf(
  { control, role, port, statistics, signal, spinMicroseconds }: RingThreadTask,
  ring: Ring,
): RingLoop {
  const now = (): number => performance.now();
  const takeAttachment = (): Attachment | undefined =>
    receiveMessageOnPort(port)?.message as Attachment | undefined;
  const onAttached = (): void => port.postMessage(ring.describe());
  const files = new OpenFiles();
  const host = createRoleHost({ role, ring, control, statistics, now, files, takeAttachment, onAttached });
  const owner = new OwnerBells(control, signal);
  return new RingLoop({ role, control, statistics, ring, host, owner, spinMicroseconds, now });
}

function errorAsData(error: unknown): FailureData {
  if (!(error instanceof Error)) return { message: String(error), code: null, stack: null };
  const code = (error as NodeJS.ErrnoException).code ?? null;
  return { message: error.message, code, stack: error.stack ?? null };
}
