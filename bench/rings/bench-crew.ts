/**
 * A crew whose ring threads stamp what they do: four plain workers in place of production's pools. Owner of benchmarks only.
 */
import { once } from 'node:events';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { must } from '../../src/assert.ts';
import { AWAKE, DoorbellRinger, DoorbellSleeper, PARKED_IN_WAIT } from '../../src/atomics-sync/doorbell.ts';
import type { SharedWords } from '../../src/atomics-sync/words.ts';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import type { Crew, CrewListener, CrewMemory } from '../../src/main/crew.ts';
import type { Settings } from '../../src/main/options.ts';
import { addonFile, native } from '../../src/native.ts';
import { CONTROL_WORDS, OWNER_SYNC_WORD, roleWords, STATE_READY } from '../../src/protocol/crew-layout.ts';
import {
  ROLE_FOREGROUND,
  ROLE_IDS,
  ROLE_NAMES,
  type Attachment,
  type RoleId,
} from '../../src/protocol/requests.ts';
import { STATISTICS_DOUBLES } from '../../src/protocol/ring-statistics.ts';
import type { RingDescription } from '../../src/protocol/ring-thread-task.ts';
import type { RingWorkerTask } from './ring-worker.ts';
import { allocateStamps, type Stamps } from './stamps.ts';

/** As production's: what a young generation costs to collect is part of a ring thread's latencies. */
const YOUNG_GENERATION_MEBIBYTES = 2;

export class BenchCrew implements Crew {
  readonly control: SharedWords = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly statistics = ROLE_IDS.map(() => new Float64Array(new SharedArrayBuffer(STATISTICS_DOUBLES * 8)));
  readonly stamps: readonly Stamps[] = ROLE_IDS.map(() => allocateStamps());
  readonly rings: RingDescription[] = [];
  readonly memory: CrewMemory;
  readonly callerRing = undefined;
  readonly callerRingRefusal = null;
  readonly adopted = false;
  memoryAttached = false;
  failure: Error | undefined;
  listener: CrewListener | undefined;
  /** By role, how its thread slept that the last `ring` woke; AWAKE: it did not. */
  readonly wokenFrom = new Int32Array(ROLE_IDS.length).fill(AWAKE);
  readonly #eventfds = ROLE_IDS.map(() => native.createEventfd());
  readonly #ringers: readonly DoorbellRinger[];
  readonly #sleeper = new DoorbellSleeper(this.control, OWNER_SYNC_WORD);
  readonly #signal: number;
  readonly #ports: MessagePort[] = [];
  readonly #workers: Worker[] = [];
  readonly #ends: Promise<unknown>[] = [];

  private constructor(settings: Settings) {
    this.memory = { pool: alignedSharedMemory(settings.poolBytes), arenas: [] };
    this.#ringers = ROLE_IDS.map((role) => {
      const { doorbell } = roleWords(this.control, role);
      const eventfd = must(this.#eventfds[role], 'each role has an eventfd');
      return new DoorbellRinger(this.control, doorbell, () => native.wakeEventfd(eventfd));
    });
    this.#signal = native.createSignal(() => this.listener?.onWake());
  }

  /** Resolves when all threads have their rings. `baseSeconds`: see `sharedClock`. */
  static async start(settings: Settings, baseSeconds: number): Promise<BenchCrew> {
    const crew = new BenchCrew(settings);
    try {
      await Promise.all(ROLE_IDS.map((role) => crew.#startThread(role, settings, baseSeconds)));
      return crew;
    } catch (error) {
      await crew.dismiss();
      throw error;
    }
  }

  async #startThread(role: RoleId, { io }: Settings, baseSeconds: number): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    this.#ports[role] = port1;
    const task: RingWorkerTask = {
      role,
      control: this.control,
      statistics: must(this.statistics[role], 'each role has statistics'),
      stamps: must(this.stamps[role], 'each role has stamps'),
      baseSeconds,
      port: port2,
      signal: this.#signal,
      spinMicroseconds: io.spinMicroseconds,
      ring: {
        backend: io.backend,
        entries: role === ROLE_FOREGROUND ? io.foregroundEntries : io.backgroundEntries,
        eventfd: must(this.#eventfds[role], 'each role has an eventfd'),
        singleIssuer: io.singleIssuer,
        polling: null,
        workers: io.workers,
        pollsCompletions: false,
      },
    };
    const worker = new Worker(ringWorkerUrl(), {
      workerData: task,
      transferList: [port2],
      env: { ...process.env, QUADRING_ADDON: addonFile },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MEBIBYTES },
      name: ROLE_NAMES[role],
    });
    this.#workers.push(worker);
    this.#ends.push(new Promise((resolve) => worker.once('exit', resolve)));
    worker.on('error', (error: unknown) => {
      this.failure = error instanceof Error ? error : new Error(String(error));
      this.listener?.onFailure(this.failure);
    });
    // `once` of a worker rejects with its error; one that ends without a word is an error as well.
    const ended = once(worker, 'exit').then(() => {
      throw new Error(`the ${ROLE_NAMES[role]} thread ended before it had a ring`);
    });
    const [description] = (await Promise.race([once(port1, 'message'), ended])) as [RingDescription];
    this.rings[role] = description;
    ended.catch(() => undefined);
    port1.on('message', (later: RingDescription) => (this.rings[role] = later));
    port1.unref();
    worker.unref();
  }

  ring(role: RoleId): void {
    const slept = Atomics.load(this.control, roleWords(this.control, role).doorbell);
    const hasWoken = must(this.#ringers[role], 'each role has a doorbell').ring();
    this.wokenFrom[role] = hasWoken ? slept : AWAKE;
  }

  post(role: RoleId, attachment: Attachment): void {
    must(this.#ports[role], 'each role has a port').postMessage(attachment);
  }

  inNextTurn(run: () => void): void {
    setImmediate(run);
  }

  keepAlive(alive: boolean): void {
    native.referSignal(this.#signal, alive);
  }

  waitForCompletions(hasCompletions: () => boolean, timeoutMs: number): void {
    this.#sleeper.announce(PARKED_IN_WAIT);
    if (hasCompletions()) return this.#sleeper.cancel();
    if (this.#sleeper.wait(timeoutMs)) return;
    const dead = ROLE_IDS.find(
      (role) => Atomics.load(this.control, roleWords(this.control, role).state) !== STATE_READY,
    );
    if (dead !== undefined) throw new Error(`the ${ROLE_NAMES[dead]} thread ended`);
  }

  /** Ends the threads and gives everything back. */
  async dismiss(): Promise<void> {
    for (const worker of this.#workers) worker.ref();
    for (const role of ROLE_IDS) {
      Atomics.store(this.control, roleWords(this.control, role).stop, 1);
      this.ring(role);
    }
    await Promise.all(this.#ends);
    for (const port of this.#ports) port.close();
    native.closeSignal(this.#signal);
    for (const eventfd of this.#eventfds) native.closeDescriptor(eventfd);
  }
}

/** Workers run what this runs from. */
function ringWorkerUrl(): URL {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./ring-worker${extension}`, import.meta.url);
}
