/**
 * The crew of production: four ring threads, each hosted by a piscina pool of its own. Owner only.
 *
 * A role is one long-lived task of its pool; a pool for each, so that one whose thread cannot be started has none to leave
 * behind. The process stays alive while something is in flight (through the signal's reference), never because a thread
 * exists: the workers are unreferenced. A thread's failure comes back as data from its task, or as a rejection when it died;
 * either is fatal for the open database, because the kernel may still write into buffers that were lent.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { assert, must } from '../assert.ts';
import { DoorbellRinger, DoorbellSleeper, PARKED_IN_WAIT } from '../atomics-sync/doorbell.ts';
import type { SharedWords } from '../atomics-sync/words.ts';
import { QuadringError } from '../errors.ts';
import { addonFile, native } from '../native.ts';
import {
  CONTROL_WORDS,
  OWNER_SYNC_WORD,
  roleWords,
  STATE_CREATING_RING,
  STATE_READY,
  STATE_STARTING,
} from '../protocol/crew-layout.ts';
import {
  ROLE_COMPACTION,
  ROLE_COUNT,
  ROLE_FOREGROUND,
  ROLE_IDS,
  ROLE_NAMES,
  ROLE_WAL,
  type Attachment,
  type RoleId,
} from '../protocol/requests.ts';
import { STATISTICS_DOUBLES } from '../protocol/ring-statistics.ts';
import type {
  FailureData,
  PollingTask,
  RingDescription,
  RingThreadEnd,
  RingThreadTask,
} from '../protocol/ring-thread-task.ts';
import { alignedSharedMemory } from './aligned-memory.ts';
import { NativeCallerRing } from './caller-ring.ts';
import type { Crew, CrewListener, CrewMemory, UnendedCrew } from './crew.ts';
import { closeDescriptors, createEventfds } from './eventfds.ts';
import { ARENA_COUNT, type PollingSettings, type Settings } from './options.ts';

/** Node's own, whatever a test puts in its place for a while. */
const nextTurnOfLoop = setImmediate;
/**
 * A ring thread whose heart has not beaten while the owner waited so long is taken for dead; an idle one's beats every 5 s.
 * Only time that the owner spent waiting counts, and of one wait no more than it was meant to take: a process that was
 * stopped goes on as if nothing had been, and its threads must not be found dead before they have run again.
 */
const STALL_MS_MAX = 20_000;
/** How long four threads may take to start. Where nothing else runs it is a tenth of a second; with 25 processes to a core it was 50 s. */
const START_MS_MAX = 60_000;
/** How long threads that were told to stop may take: a ring waits up to 10 s for what is in flight. */
const DISMISSAL_MS_MAX = 12_000;
/** How long a thread that was terminated may take: one that the kernel does not let go never ends. */
const TERMINATION_MS_MAX = 5_000;
/**
 * Heaps of the ring threads: they hold a role's state and one table's builder, the rest is shared memory. A compaction's has
 * all range tombstones of its inputs as well, some 600 bytes each.
 */
const OLD_GENERATION_MEBIBYTES = 256;
const COMPACTION_OLD_GENERATION_MEBIBYTES = 2048;

export class ThreadCrew implements Crew {
  readonly control: SharedWords;
  readonly statistics: readonly Float64Array[];
  readonly memory: CrewMemory;
  callerRing: NativeCallerRing | undefined;
  callerRingRefusal: string | null = null;
  adopted = false;
  memoryAttached = false;
  listener: CrewListener | undefined;
  /** Why a ring thread ended that nobody told to; undefined while all is well. */
  failure: Error | undefined;
  readonly #rings: RingDescription[] = [];
  readonly #pools: Piscina[] = [];
  readonly #workers: PoolWorker[] = [];
  readonly #ports: MessagePort[] = [];
  readonly #eventfds: readonly number[];
  readonly #ringers: readonly DoorbellRinger[];
  readonly #sleeper: DoorbellSleeper;
  readonly #signal: number;
  readonly #undrainedRingsBefore = native.undrainedRings();
  readonly #lives: Promise<void>[] = [];
  /** How many threads have come so far. */
  readonly #progress = { online: 0, loaded: 0 };
  #dismissed = false;
  /** The last heartbeat of each role that a health check saw, and how long the owner has waited since. */
  readonly #heartbeats: { readonly beat: number; readonly waitedMs: number }[] = [];

  private constructor(settings: Settings) {
    this.control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
    this.statistics = ROLE_IDS.map(() => new Float64Array(new SharedArrayBuffer(STATISTICS_DOUBLES * 8)));
    this.memory = allocateMemory(settings);
    this.#eventfds = createEventfds(ROLE_COUNT);
    this.#ringers = ROLE_IDS.map((role) => {
      const eventfd = must(this.#eventfds[role], 'each role has an eventfd');
      return new DoorbellRinger(this.control, roleWords(this.control, role).doorbell, () =>
        native.wakeEventfd(eventfd),
      );
    });
    this.#sleeper = new DoorbellSleeper(this.control, OWNER_SYNC_WORD);
    this.#signal = native.createSignal(() => this.listener?.onWake());
    memoryInUse.add(this.memory);
  }

  /**
   * Starts four threads and waits until each has its ring, for `msMax` milliseconds at most. Rejects with URING_UNAVAILABLE,
   * or with WORKER_FAILED where a thread died or was not ready in time: the message says how far each had come.
   */
  static async start(settings: Settings, msMax = START_MS_MAX): Promise<ThreadCrew> {
    const crew = new ThreadCrew(settings);
    try {
      const ready = Promise.all(ROLE_IDS.map((role) => crew.#startThread(role, settings)));
      await within(msMax, ready, () => {
        const error = crew.#lateStart(msMax);
        if (error !== undefined) throw error;
        // It is this thread that is late: what they said waits for it.
        return ready;
      });
      crew.#unreferenceWorkers();
      const callerRing = NativeCallerRing.of(settings.io, crew.memory.pool, () => crew.listener?.onWake());
      if (typeof callerRing === 'string') crew.callerRingRefusal = callerRing;
      else crew.callerRing = callerRing;
      liveCrews.add(crew);
      return crew;
    } catch (error) {
      await crew.dismiss();
      throw deathOf(error);
    }
  }

  /** Throws where the system has no thread left. */
  #createPool(role: RoleId): Piscina {
    const pool = new Piscina({
      filename: ringThreadUrl(),
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      atomics: 'disabled',
      recordTiming: false,
      env: { ...process.env, QUADRING_ADDON: addonFile },
      resourceLimits: {
        maxYoungGenerationSizeMb: 2,
        maxOldGenerationSizeMb:
          role === ROLE_COMPACTION ? COMPACTION_OLD_GENERATION_MEBIBYTES : OLD_GENERATION_MEBIBYTES,
      },
    });
    this.#pools.push(pool);
    // A thread that died is not replaced: what it knew is gone, and another that cannot be started would end the process.
    pool.options.minThreads = 0;
    for (const worker of pool.threads) {
      worker.once('online', () => this.#progress.online++);
      // piscina's own: it says that a task may come.
      worker.once('message', () => this.#progress.loaded++);
    }
    pool.on('workerCreate', (announced: object) => this.#workers.push(poolWorkerOf(announced)));
    // A worker that dies between tasks says so here; its task, which never ends by itself, says so too.
    pool.on('error', (error: Error) => this.#fail(error));
    return pool;
  }

  async #startThread(role: RoleId, settings: Settings): Promise<void> {
    const pool = this.#createPool(role);
    const { port1, port2 } = new MessageChannel();
    this.#ports.push(port1);
    const { io } = settings;
    const task: RingThreadTask = {
      role,
      control: this.control,
      statistics: must(this.statistics[role], 'each role has statistics'),
      port: port2,
      signal: this.#signal,
      spinMicroseconds: io.spinMicroseconds,
      ring: {
        backend: io.backend,
        entries: role === ROLE_FOREGROUND ? io.foregroundEntries : io.backgroundEntries,
        eventfd: must(this.#eventfds[role], 'each role has an eventfd'),
        singleIssuer: io.singleIssuer,
        polling: pollingTaskOf(io.polling),
        workers: io.workers,
        // What the others do is mostly refused there.
        pollsCompletions: io.pollsCompletions && (role === ROLE_FOREGROUND || role === ROLE_WAL),
      },
    };
    const life = pool.run(task, { transferList: [port2] }) as Promise<RingThreadEnd>;
    this.#lives.push(
      life.then(
        (end) => this.#onEnd(role, end),
        (error: unknown) => this.#fail(deathOf(error)),
      ),
    );
    // What a thread says first is its ring; one that cannot have any ends.
    const endedEarly = life.then(
      (end) => {
        throw startError(role, io.backend, end);
      },
      (error: unknown) => {
        throw deathOf(error);
      },
    );
    const [description] = (await Promise.race([once(port1, 'message'), endedEarly])) as [RingDescription];
    this.#rings[role] = description;
    port1.unref();
  }

  /** Which threads have no ring yet, and how far they have come; undefined when all have theirs. */
  #lateStart(msMax: number): QuadringError | undefined {
    const steps = ROLE_IDS.map((role) => {
      const state = Atomics.load(this.control, roleWords(this.control, role).state);
      if (state === STATE_STARTING) return `${ROLE_NAMES[role]} had not begun to run`;
      return state === STATE_CREATING_RING ? `${ROLE_NAMES[role]} was creating its ring` : undefined;
    }).filter((step) => step !== undefined);
    if (steps.length === 0) return undefined;
    const { online, loaded } = this.#progress;
    const threads = `of ${ROLE_COUNT} threads ${online} ran JavaScript and ${loaded} had loaded their modules`;
    const message = `ring threads were not ready after ${msMax} ms: ${steps.join(', ')}; ${threads}`;
    return new QuadringError('WORKER_FAILED', message);
  }

  #onEnd(role: RoleId, end: RingThreadEnd): void {
    if (end.kind === 'failed') {
      const message = `the ${ROLE_NAMES[role]} thread failed: ${end.failure.message}`;
      this.#fail(new QuadringError('WORKER_FAILED', message, { cause: errorOf(end.failure) }));
    } else if (!this.#dismissed) {
      this.#fail(new QuadringError('WORKER_FAILED', `the ${ROLE_NAMES[role]} thread ended by itself`));
    }
  }

  #fail(error: Error): void {
    if (this.#dismissed || this.failure !== undefined) return;
    this.failure = deathOf(error);
    this.listener?.onFailure(this.failure);
  }

  /** As the threads described them last: they do so again when memory was registered, before they say that it is. */
  get rings(): readonly RingDescription[] {
    for (const role of ROLE_IDS) {
      const port = must(this.#ports[role], 'each role has a port');
      for (let later = receiveMessageOnPort(port); later !== undefined; later = receiveMessageOnPort(port)) {
        this.#rings[role] = later.message as RingDescription;
      }
    }
    return this.#rings;
  }

  ring(role: RoleId): void {
    this.#ringers[role].ring();
  }

  post(role: RoleId, attachment: Attachment): void {
    must(this.#ports[role], 'each role has a port').postMessage(attachment);
  }

  keepAlive(alive: boolean): void {
    native.referSignal(this.#signal, alive);
  }

  inNextTurn(run: () => void): void {
    nextTurnOfLoop(run);
  }

  waitForCompletions(hasCompletions: () => boolean, timeoutMs: number): void {
    this.#sleeper.announce(PARKED_IN_WAIT);
    if (hasCompletions()) this.#sleeper.cancel();
    else if (!this.#sleeper.wait(timeoutMs)) this.#checkHealth(timeoutMs);
  }

  /**
   * Nothing came for a whole slice, and the event loop, which would hear of a thread's end, is not running. A thread
   * that ended by itself says so in its state; one that was terminated has no heartbeat, which even an idle one has
   * every few seconds.
   */
  #checkHealth(waitedMs: number): void {
    for (const role of ROLE_IDS) {
      const { state, heartbeat } = roleWords(this.control, role);
      const ended = Atomics.load(this.control, state) !== STATE_READY;
      const beat = Atomics.load(this.control, heartbeat);
      const seen = this.#heartbeats[role];
      if (seen?.beat === beat) this.#heartbeats[role] = { beat, waitedMs: seen.waitedMs + waitedMs };
      else this.#heartbeats[role] = { beat, waitedMs: 0 };
      const name = ROLE_NAMES[role];
      if (ended)
        throw new QuadringError('WORKER_FAILED', `the ${name} thread died during a synchronous read`);
      if (this.#heartbeats[role].waitedMs > STALL_MS_MAX) {
        const message =
          `the ${name} thread has not moved for ${STALL_MS_MAX / 1000} s of a synchronous read: ` +
          'it was terminated, or a disk holds it up';
        throw new QuadringError('WORKER_FAILED', message);
      }
    }
  }

  /** Asks the threads to end, through the same parked words as any request. Safe to call at process exit. */
  stop(): void {
    for (const role of ROLE_IDS) {
      Atomics.store(this.control, roleWords(this.control, role).stop, 1);
      this.ring(role);
    }
  }

  /**
   * Ends the threads and gives everything back. Undefined: nothing of them is at work any more. Otherwise some have not ended
   * in time, which a disk that hangs does not let them, and `ended` says when they have.
   */
  async dismiss(): Promise<UnendedCrew | undefined> {
    if (this.#dismissed) return undefined;
    this.#dismissed = true;
    liveCrews.delete(this);
    // Threads that end are work that is pending.
    for (const worker of this.#workers) worker.ref();
    this.stop();
    // Threads end by themselves; only one that hangs is terminated.
    await within(DISMISSAL_MS_MAX, Promise.all(this.#lives), () => undefined);
    const ended = Promise.all(this.#pools.map((pool) => pool.destroy())).then(() => this.#giveBack());
    const isOver = await within(
      TERMINATION_MS_MAX,
      ended.then(() => true),
      () => false,
    );
    for (const port of this.#ports) port.close();
    return isOver ? undefined : { ended };
  }

  /** Not before the threads have ended: one that has not may still ring, with numbers that must not become anybody else's. */
  #giveBack(): void {
    try {
      this.callerRing?.close();
    } finally {
      native.closeSignal(this.#signal);
      closeDescriptors(this.#eventfds);
    }
    // A ring that was closed with something in flight has left the kernel at work on this memory.
    if (native.undrainedRings() === this.#undrainedRingsBefore) memoryInUse.delete(this.memory);
  }

  /** A running task keeps the process alive; only pending work may. */
  #unreferenceWorkers(): void {
    for (const worker of this.#workers) worker.unref();
  }
}

function pollingTaskOf(polling: PollingSettings): PollingTask | null {
  if (polling === 'off') return null;
  const { idleMilliseconds, cpu } = polling;
  return { idleMilliseconds, cpu: cpu === 'any' ? -1 : cpu };
}

/** What the promise gives; where it gives nothing for so long, what `late` does. */
async function within<Value, Late>(
  milliseconds: number,
  promise: Promise<Value>,
  late: () => Late | Promise<Late>,
): Promise<Value | Late> {
  const over = new AbortController();
  const timer = delay(milliseconds, undefined, { signal: over.signal });
  try {
    return await Promise.race([promise, timer.then(late)]);
  } finally {
    over.abort();
  }
}

interface PoolWorker {
  ref(): void;
  unref(): void;
}

/**
 * piscina references a worker's port while a task runs and has no public way to undo that. What its 'workerCreate'
 * event hands out carries the worker under its first symbol. Undocumented, so this is the only place that knows; the
 * test of an idle process that ends by itself holds us to it.
 */
function poolWorkerOf(announced: object): PoolWorker {
  const [symbol] = Object.getOwnPropertySymbols(announced);
  const worker = symbol === undefined ? undefined : (announced as Record<symbol, unknown>)[symbol];
  assert(
    typeof (worker as Partial<PoolWorker> | undefined)?.unref === 'function',
    'piscina hands out its workers',
  );
  return worker as PoolWorker;
}

/** Memory that threads, or the kernel for them, may write to: it is not collected, whatever becomes of a database. */
const memoryInUse = new Set<CrewMemory>();

/** Crews whose threads must be told to stop before the process can end. */
const liveCrews = new Set<ThreadCrew>();
process.on('exit', () => {
  for (const crew of liveCrews) crew.stop();
});

/** Workers run what this runs from: TypeScript from a checkout, or of a build the one file made of their modules. */
function ringThreadUrl(): string {
  const file = import.meta.url.endsWith('.ts') ? '../workers/ring-thread.ts' : '../ring-thread.js';
  return new URL(file, import.meta.url).href;
}

function allocateMemory(settings: Settings): CrewMemory {
  const pool = alignedSharedMemory(settings.poolBytes);
  // Refused advice costs nothing but speed.
  if (settings.hugePages === 'auto') native.adviseHugePages(pool);
  const arenas = Array.from({ length: ARENA_COUNT }, () => new SharedArrayBuffer(settings.writeBufferBytes));
  return { pool, arenas };
}

function startError(role: RoleId, backend: Settings['io']['backend'], end: RingThreadEnd): QuadringError {
  const what = `the ${ROLE_NAMES[role]} ring could not be created`;
  if (end.kind !== 'failed') return new QuadringError('WORKER_FAILED', `${what}: its thread ended`);
  const isShort = end.failure.code === 'EMFILE' || end.failure.code === 'ENFILE';
  const code = isShort ? 'TOO_MANY_FILES' : backend === 'syscall' ? 'WORKER_FAILED' : 'URING_UNAVAILABLE';
  return new QuadringError(code, `${what}: ${end.failure.message}`, { cause: errorOf(end.failure) });
}

/** What a thread's end by an error means: out of memory, a module or a descriptor that is not there, anything that is not ours. */
function deathOf(error: unknown): QuadringError {
  if (error instanceof QuadringError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = /\bE[MN]FILE\b|Too many open files/.test(message) ? 'TOO_MANY_FILES' : 'WORKER_FAILED';
  return new QuadringError(code, `a ring thread died: ${message}`, { cause: error });
}

/** An error again, from what crossed threads as data. */
function errorOf({ message, code, stack }: FailureData): Error {
  return Object.assign(new Error(message), { code, ...(stack === null ? {} : { stack }) });
}
