/**
 * A ring thread of the benchmark: production's loop, host, ring, doorbells and scheduling, with stamps around them. Runs in a
 * worker thread of its own, as `ring-thread.ts` does under piscina.
 *
 * Foreground and log have production's roles; flush and compaction have TransferRole.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { AWAKE } from '../../src/atomics-sync/doorbell.ts';
import {
  roleWords,
  STATE_CREATING_RING,
  STATE_FAILED,
  STATE_READY,
  STATE_STOPPED,
} from '../../src/protocol/crew-layout.ts';
import {
  ROLE_COMPACTION,
  ROLE_FLUSH,
  ROLE_FOREGROUND,
  ROLE_WAL,
  type Attachment,
  type RoleId,
} from '../../src/protocol/requests.ts';
import { RING_COUNTERS } from '../../src/protocol/ring-counters.ts';
import { STATISTIC_ADDON_COUNTERS } from '../../src/protocol/ring-statistics.ts';
import type { RingThreadTask } from '../../src/protocol/ring-thread-task.ts';
import { ForegroundRole } from '../../src/workers/foreground-role.ts';
import { createRing } from '../../src/workers/native-ring.ts';
import { OwnerBells, RingLoop } from '../../src/workers/ring-loop.ts';
import type { Ring } from '../../src/workers/ring.ts';
import { RoleIo, type RoleLimits } from '../../src/workers/role-io.ts';
import { OpenFiles, RoleBasics, type Role } from '../../src/workers/role.ts';
import { settleScheduling } from '../../src/workers/thread-scheduling.ts';
import { WalRole } from '../../src/workers/wal-role.ts';
import { StampedHost, StampedRing, StampedRole, ThreadStamps } from './stamped-thread.ts';
import { sharedClock, type Stamps } from './stamps.ts';
import { TransferRole } from './transfer-role.ts';

export interface RingWorkerTask extends RingThreadTask {
  readonly stamps: Stamps;
  /** See `sharedClock`. */
  readonly baseSeconds: number;
}

/** As in production where the role is production's; a transfer is one record, and more of them than are measured at once. */
const LIMITS: Record<RoleId, RoleLimits> = {
  [ROLE_FOREGROUND]: { tasksMax: 256, recordsPerTask: 1 },
  [ROLE_FLUSH]: { tasksMax: 32, recordsPerTask: 1 },
  [ROLE_COMPACTION]: { tasksMax: 32, recordsPerTask: 1 },
  [ROLE_WAL]: { tasksMax: 2, recordsPerTask: 1 },
};

function run(task: RingWorkerTask): void {
  const { control, role, port, signal } = task;
  const words = roleWords(control, role);
  let end = STATE_FAILED;
  try {
    Atomics.store(control, words.state, STATE_CREATING_RING);
    settleScheduling(role);
    const { statistics, ring: options } = task;
    const counters = statistics.subarray(STATISTIC_ADDON_COUNTERS, STATISTIC_ADDON_COUNTERS + RING_COUNTERS);
    const ring = createRing({ ...options, polling: null, counters });
    try {
      Atomics.store(control, words.state, STATE_READY);
      port.postMessage(ring.describe());
      loopOf(task, ring).serve();
    } finally {
      ring.close();
    }
    end = STATE_STOPPED;
  } finally {
    Atomics.store(control, words.state, end);
    if (end === STATE_FAILED) new OwnerBells(control, signal).ring();
    port.close();
  }
}

function loopOf(task: RingWorkerTask, native: Ring): RingLoop {
  const { control, role: id, port, statistics, spinMicroseconds } = task;
  const { doorbell } = roleWords(control, id);
  const now = (): number => performance.now();
  const stamps = new ThreadStamps(task.stamps, sharedClock(task.baseSeconds), native.entries);
  const ring = new StampedRing(native, stamps, () => Atomics.load(control, doorbell) === AWAKE);
  const limits = LIMITS[id];
  const io = new RoleIo(ring, limits);
  const basics = new RoleBasics({
    ring,
    io,
    role: id,
    files: new OpenFiles(),
    statistics,
    takeAttachment: () => receiveMessageOnPort(port)?.message as Attachment | undefined,
    onAttached: () => port.postMessage(ring.describe()),
  });
  const role = new StampedRole(roleOf(id, basics), io, ring, stamps);
  const words = roleWords(control, id);
  const host = new StampedHost({ ring, io, role, limits, words, statistics, now }, stamps);
  const owner = new OwnerBells(control, task.signal);
  return new RingLoop({ role: id, control, statistics, ring, host, owner, spinMicroseconds, now });
}

function roleOf(id: RoleId, basics: RoleBasics): Role {
  switch (id) {
    case ROLE_FOREGROUND:
      return new ForegroundRole(basics);
    case ROLE_WAL:
      return new WalRole(basics);
    case ROLE_FLUSH:
    case ROLE_COMPACTION:
      return new TransferRole(id, basics);
  }
}

run(workerData as RingWorkerTask);
