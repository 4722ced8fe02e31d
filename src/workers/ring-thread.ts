/**
 * A ring thread's life: create the ring, say so, serve requests until told to stop. Ring threads only; piscina runs
 * the default export, once for each role, and it returns when the crew is dismissed.
 *
 * The loop never blocks without bound: in Atomics.wait when nothing is in flight, in the kernel when something is.
 * Before either it announces the park and looks at its queue and its stop flag once more (see atomics-sync/doorbell).
 * A failure is returned as data, because an error that crosses threads loses its own fields.
 */
import { constants, getPriority, setPriority } from 'node:os';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { AdaptiveSpin } from '../atomics-sync/adaptive-spin.ts';
import {
  DoorbellRinger,
  DoorbellSleeper,
  PARKED_IN_KERNEL,
  PARKED_IN_WAIT,
} from '../atomics-sync/doorbell.ts';
import type { SharedWords } from '../atomics-sync/words.ts';
import { native } from '../native.ts';
import {
  OWNER_EVENT_WORD,
  OWNER_SYNC_WORD,
  POLLED_RING_WORD,
  roleWords,
  STATE_CREATING_RING,
  STATE_FAILED,
  STATE_READY,
  STATE_STOPPED,
} from '../protocol/crew-layout.ts';
import {
  ROLE_COMPACTION,
  ROLE_FLUSH,
  ROLE_FOREGROUND,
  type Attachment,
  type RoleId,
} from '../protocol/requests.ts';
import { RING_COUNTERS } from '../protocol/ring-counters.ts';
import {
  STATISTIC_ADDON_COUNTERS,
  STATISTIC_PARKS,
  STATISTIC_SPIN_HITS,
} from '../protocol/ring-statistics.ts';
import type { FailureData, RingThreadEnd, RingThreadTask } from '../protocol/ring-thread-task.ts';
import { createRoleHost } from './crew-member.ts';
import { createRing } from './native-ring.ts';
import type { Ring } from './ring.ts';
import type { RoleHost } from './role-host.ts';
import { OpenFiles } from './role.ts';

/** Longest sleep with nothing in flight. It can be interrupted, so it only bounds how old a heartbeat gets. */
const IDLE_WAIT_MS_MAX = 5_000;
/** Longest wait for the ring whose poll thread the others share. One that is later has its own; the crew's start has a limit. */
const POLLED_RING_WAIT_MS_MAX = 10_000;
/** Longest wait inside the addon, where nothing can interrupt the thread: what a process exit may have to wait for. */
const KERNEL_WAIT_MICROSECONDS_MAX = 250_000;
/**
 * What is added to the niceness of the threads that work for long: where cores are few, one that has been asleep, to read
 * or to append to the log, then gets a core at once. Not so much that other processes can keep them from working at all.
 */
const NICENESS: Partial<Record<RoleId, number>> = { [ROLE_FLUSH]: 5, [ROLE_COMPACTION]: 10 };
/**
 * Time slices that are asked for: from Linux 6.12 on, who asks for a shorter one than the thread that is running gets the
 * core when it wakes up. So those that work for long ask for long ones (others have some 3 ms), for the same share.
 */
const SLICE_MICROSECONDS: Partial<Record<RoleId, number>> = {
  [ROLE_FOREGROUND]: 100,
  [ROLE_FLUSH]: 20_000,
  [ROLE_COMPACTION]: 20_000,
};
/** Of setpriority: on Linux, the calling thread. */
const THIS_THREAD = 0;
const REFUSALS = new Set(['EPERM', 'EACCES', 'ENOSYS', 'EINVAL', 'ERR_SYSTEM_ERROR']);

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
    new RingThread(task, ring).serve();
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

/** Where the kernel refuses, a sandbox's for example, everything works without. */
function settleScheduling(role: RoleId): void {
  try {
    const niceness = getPriority(THIS_THREAD) + (NICENESS[role] ?? 0);
    setPriority(THIS_THREAD, Math.min(niceness, constants.priority.PRIORITY_LOW));
    const slice = SLICE_MICROSECONDS[role];
    if (slice !== undefined) native.setTimeSlice(slice);
  } catch (error) {
    if (!REFUSALS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

class RingThread {
  readonly #control: SharedWords;
  readonly #role: RoleId;
  readonly #port: MessagePort;
  readonly #statistics: Float64Array;
  readonly #host: RoleHost;
  readonly #ring: Ring;
  readonly #sleeper: DoorbellSleeper;
  readonly #spin: AdaptiveSpin;
  readonly #owner: OwnerBells;

  constructor(task: RingThreadTask, ring: Ring) {
    const { control, role, port, statistics, signal } = task;
    this.#control = control;
    this.#role = role;
    this.#port = port;
    this.#statistics = statistics;
    this.#ring = ring;
    const now = (): number => performance.now();
    const takeAttachment = (): Attachment | undefined =>
      receiveMessageOnPort(this.#port)?.message as Attachment | undefined;
    const onAttached = (): void => this.#port.postMessage(ring.describe());
    const files = new OpenFiles();
    this.#host = createRoleHost({ role, ring, control, statistics, now, files, takeAttachment, onAttached });
    this.#sleeper = new DoorbellSleeper(control, roleWords(control, role).doorbell);
    this.#spin = new AdaptiveSpin({ budgetMicroseconds: task.spinMicroseconds, now });
    this.#owner = new OwnerBells(control, signal);
  }

  serve(): void {
    const host = this.#host;
    const { stop, heartbeat } = roleWords(this.#control, this.#role);
    const hasRequest = (): boolean => host.hasRequest;
    for (let beat = 1; Atomics.load(this.#control, stop) === 0; beat++) {
      Atomics.store(this.#control, heartbeat, beat);
      host.advance();
      if (host.publish()) this.#owner.ring();
      if (host.hasWork || host.inFlight > 0) {
        this.#turn();
        if (host.publish()) this.#owner.ring();
      } else if (this.#spin.spin(hasRequest)) {
        this.#statistics[STATISTIC_SPIN_HITS] += 1;
      } else {
        this.#park();
      }
    }
  }

  /** One call of the addon. It may wait in the kernel when there is nothing else to do. */
  #turn(): void {
    const host = this.#host;
    // Tasks that can go on do so after this turn; a ring that completes everything at once never waits.
    if (!this.#ring.asynchronous || host.hasReadyTask) return host.turn(0);
    this.#sleeper.announce(PARKED_IN_KERNEL);
    const mustNotWait = host.canTakeRequest || this.#stopping;
    if (mustNotWait) this.#sleeper.cancel();
    host.turn(mustNotWait ? 0 : KERNEL_WAIT_MICROSECONDS_MAX);
    if (!mustNotWait) this.#sleeper.cancel();
  }

  #park(): void {
    this.#sleeper.announce(PARKED_IN_WAIT);
    if (this.#host.hasRequest || this.#stopping) {
      this.#sleeper.cancel();
      return;
    }
    this.#statistics[STATISTIC_PARKS] += 1;
    this.#sleeper.wait(IDLE_WAIT_MS_MAX);
  }

  get #stopping(): boolean {
    return Atomics.load(this.#control, roleWords(this.#control, this.#role).stop) !== 0;
  }
}

/** The owner may sleep in a synchronous call or in its event loop; each has a word of its own. */
class OwnerBells {
  readonly #synchronous: DoorbellRinger;
  readonly #eventLoop: DoorbellRinger;

  constructor(control: SharedWords, signal: number) {
    const wake = (): void => native.signal(signal);
    this.#synchronous = new DoorbellRinger(control, OWNER_SYNC_WORD, wake);
    this.#eventLoop = new DoorbellRinger(control, OWNER_EVENT_WORD, wake);
  }

  ring(): void {
    this.#synchronous.ring();
    this.#eventLoop.ring();
  }
}

function errorAsData(error: unknown): FailureData {
  if (!(error instanceof Error)) return { message: String(error), code: null, stack: null };
  const code = (error as NodeJS.ErrnoException).code ?? null;
  return { message: error.message, code, stack: error.stack ?? null };
}
