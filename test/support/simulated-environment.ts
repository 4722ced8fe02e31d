/**
 * The whole engine in one thread: an environment whose files are a simulated disk and whose crew plays all four roles
 * here, stepped in an order that a seed decides. No worker, no timer, no file.
 */
import { getSystemErrorName } from 'node:util';
import { QuadringError } from '../../src/errors.ts';
import { callerRingRefusal } from '../../src/main/caller-ring.ts';
import type { CallerRing, Crew, CrewListener, CrewMemory } from '../../src/main/crew.ts';
import type { Environment } from '../../src/main/environment.ts';
import type { FileSystem } from '../../src/main/file-system.ts';
import { ARENA_COUNT, type Settings } from '../../src/main/options.ts';
import { CONTROL_WORDS, OWNER_EVENT_WORD, REGION_POOL } from '../../src/protocol/crew-layout.ts';
import { ROLE_IDS, type Attachment, type RoleId } from '../../src/protocol/requests.ts';
import { STATISTICS_DOUBLES } from '../../src/protocol/ring-statistics.ts';
import type { RingDescription } from '../../src/protocol/ring-thread-task.ts';
import { createRoleHost } from '../../src/workers/crew-member.ts';
import type { RoleHost } from '../../src/workers/role-host.ts';
import { OpenFiles } from '../../src/workers/role.ts';
import type { SimulatedDisk, UnderWay } from './simulated-disk.ts';
import { SimulatedRing, type RingStep, type SimulatedRingOptions } from './simulated-ring.ts';

const RING_ENTRIES = 64;
const CALLER_ENTRIES = 16;
/** A timer fires after so many microtasks, whatever its time. */
const TIMER_TURNS = 64;

/** Thrown by a step hook: the machine stops here, nothing runs any more. */
export class Crash extends Error {}

export interface SimulatedWorldOptions {
  readonly disk: SimulatedDisk;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Called before each operation of any ring; may throw `Crash`. */
  readonly onStep?: (step: RingStep) => void;
  /** One operation in as many is slow, and others overtake it; by default none. */
  readonly slowOneIn?: number;
  /** Called for what is to be polled for, which the disk refuses. */
  readonly onPolled?: () => void;
  /** Memory for crews that are not at work at the same time: zeroing some of its own takes a crew longer than most tests. */
  readonly pool?: Uint8Array<SharedArrayBuffer>;
  /** The crew of a database that is closed serves the next one that is opened, as in a process. By default each has its own. */
  readonly adoptsCrews?: boolean;
}

/** The owner's own ring over the disk in memory: a turn that waits goes on until something has completed. */
class SimulatedCallerRing implements CallerRing {
  readonly entries = CALLER_ENTRIES;
  readonly statistics = new Float64Array(STATISTICS_DOUBLES);
  readonly fixedFiles = 0;
  readonly ring: SimulatedRing;
  readonly #machine: { crashed: boolean };

  constructor(
    pool: Uint8Array,
    options: Omit<SimulatedRingOptions, 'entries' | 'onPolled'>,
    machine: { crashed: boolean },
  ) {
    this.ring = new SimulatedRing({ ...options, entries: CALLER_ENTRIES });
    this.ring.attach(REGION_POOL, pool, 0, 0, 0);
    this.#machine = machine;
  }

  get records(): Int32Array {
    return this.ring.records;
  }

  get names(): Uint8Array {
    return this.ring.names;
  }

  get completions(): Int32Array {
    return this.ring.completions;
  }

  describe(): RingDescription {
    return this.ring.describe();
  }

  turn(count: number, waitMicroseconds: number): number {
    const isWaiting = waitMicroseconds > 0;
    let completed = 0;
    try {
      if (!this.#machine.crashed) completed = this.ring.turn(count);
      while (completed === 0 && isWaiting && !this.#machine.crashed && this.ring.hasPending) {
        completed = this.ring.turn(0);
      }
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.#machine.crashed = true;
    }
    // Whoever waits in the call has no event loop that forgets it.
    if (isWaiting && this.#machine.crashed)
      throw new QuadringError('WORKER_FAILED', 'the machine has stopped');
    return completed;
  }
}

class InThreadCrew implements Crew {
  readonly control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly statistics: Float64Array[];
  readonly rings: RingDescription[];
  readonly memory: CrewMemory;
  adopted = false;
  failure: Error | undefined;
  memoryAttached = false;
  readonly callerRing: SimulatedCallerRing | undefined;
  readonly callerRingRefusal: string | null;
  listener: CrewListener | undefined;
  crashed = false;
  readonly #simulated: SimulatedRing[];
  readonly #hosts: RoleHost[];
  readonly #attachments: Attachment[][] = ROLE_IDS.map(() => []);
  readonly #random: () => number;
  #alive = false;
  #scheduled = false;
  #clock = 0;

  constructor(settings: Settings, world: SimulatedWorldOptions) {
    this.#random = world.random;
    const { pool = new Uint8Array(new SharedArrayBuffer(settings.poolBytes)) } = world;
    if (pool.length !== settings.poolBytes)
      throw new Error(`a pool of ${settings.poolBytes} bytes is needed`);
    this.memory = {
      pool,
      arenas: Array.from({ length: ARENA_COUNT }, () => new SharedArrayBuffer(settings.writeBufferBytes)),
    };
    this.statistics = ROLE_IDS.map(() => new Float64Array(new SharedArrayBuffer(STATISTICS_DOUBLES * 8)));
    const { disk, random, onStep, slowOneIn, onPolled } = world;
    const entries = RING_ENTRIES;
    const rings = ROLE_IDS.map(
      () => new SimulatedRing({ entries, disk, random, onStep, slowOneIn, onPolled }),
    );
    this.callerRingRefusal = callerRingRefusal(settings.io);
    if (this.callerRingRefusal === null) {
      this.callerRing = new SimulatedCallerRing(this.memory.pool, { disk, random, onStep, slowOneIn }, this);
    }
    this.#simulated = this.callerRing === undefined ? rings : [...rings, this.callerRing.ring];
    this.rings = rings.map((ring) => ring.describe());
    this.#hosts = ROLE_IDS.map((role) =>
      createRoleHost({
        role,
        ring: rings[role],
        control: this.control,
        statistics: this.statistics[role],
        now: () => this.#clock++,
        files: new OpenFiles(),
        takeAttachment: () => this.#attachments[role].shift(),
        onAttached: () => undefined,
      }),
    );
  }

  ring(): void {
    this.#schedule();
  }

  post(role: RoleId, attachment: Attachment): void {
    this.#attachments[role].push(attachment);
  }

  /** What the disk may have done, or not, when the machine stops now. */
  underWay(): UnderWay[] {
    return this.#simulated.flatMap((ring) => ring.underWay());
  }

  keepAlive(alive: boolean): void {
    this.#alive = alive;
    this.#schedule();
  }

  /** Turns here are microtasks, of which each lets one role go on. */
  inNextTurn(run: () => void): void {
    queueMicrotask(run);
  }

  waitForCompletions(hasCompletions: () => boolean): void {
    while (!hasCompletions()) {
      if (this.crashed) throw new QuadringError('WORKER_FAILED', 'the machine has stopped');
      this.#step();
    }
  }

  #schedule(): void {
    if (this.#scheduled || !this.#alive || this.crashed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#step();
      if (this.crashed) return;
      const isWanted = Atomics.exchange(this.control, OWNER_EVENT_WORD, 0) !== 0;
      if (isWanted || this.callerRing?.ring.hasPending === true) this.listener?.onWake();
      this.#schedule();
    });
  }

  /** One role, picked at random, goes one turn. */
  #step(): void {
    const host = this.#hosts[Math.floor(this.#random() * this.#hosts.length)];
    try {
      host.advance();
      host.publish();
      host.turn(0);
      host.publish();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.crashed = true;
    }
  }
}

/** Lets so many microtasks go first. */
async function inTurns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

/** As the disk has it: a path within the directory. */
export function nameOf(path: string): string {
  const prefix = `${SIMULATED_DIRECTORY}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : path.slice(path.lastIndexOf('/') + 1);
}

/** The files of a disk, as whoever opens, repairs or verifies a database sees them. */
export function fileSystemOver(disk: SimulatedDisk): FileSystem {
  return {
    status(path) {
      if (disk.directories.has(nameOf(path)))
        return { kind: 'directory', bytes: 0, isShared: false, hasHoles: false };
      const file = disk.names.get(nameOf(path));
      if (file === undefined) return undefined;
      return { kind: 'file', bytes: file.size, isShared: false, hasHoles: false };
    },
    isDirectory: (path) => (path === SIMULATED_DIRECTORY && !disk.present ? undefined : true),
    list: () => [...disk.names.keys()].filter((name) => !name.includes('/')).concat(...disk.directories),
    makeDirectory: () => {
      disk.present = true;
    },
    openDirectory: () => disk.openDirectory(),
    closeDirectory: (handle) => void disk.close(handle),
    read(path, offset, length) {
      const file = disk.names.get(nameOf(path));
      if (file === undefined) throw new Error(`${path} does not exist`);
      const bytes = new Uint8Array(Math.max(0, Math.min(file.size - offset, length)));
      file.read(bytes, offset);
      return bytes;
    },
    openFile(path) {
      const file = disk.names.get(nameOf(path));
      if (file === undefined) throw Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT' });
      return {
        bytes: file.size,
        read: (target, offset) => file.read(target, offset),
        close: () => undefined,
      };
    },
    remove(path) {
      const result = disk.unlink(nameOf(path));
      if (result === 0) return;
      const code = getSystemErrorName(result);
      throw Object.assign(new Error(`${code}: unlink ${path}`), { code, errno: result, syscall: 'unlink' });
    },
    lock() {
      if (disk.locked) return 1;
      disk.locked = true;
      return {
        isHeld: true,
        release: () => {
          disk.locked = false;
        },
      };
    },
    supportsDirectIo: () => true,
    describeStorage: (directory) => ({
      directory,
      fileSystem: undefined,
      layers: [],
      disks: [],
      gap: 'simulated',
    }),
  };
}

/** The directory that `Database.openIn` is given with such an environment. */
export const SIMULATED_DIRECTORY = '/memory/database';

export interface SimulatedWorld {
  readonly environment: Environment;
  /** Whether a step hook has stopped the machine. */
  readonly crashed: () => boolean;
  /** What the rings have not carried out yet. */
  readonly underWay: () => readonly UnderWay[];
  /** Lets the time pass that calls to come wait for. Those that somebody waits for come by themselves. */
  readonly fireTimers: () => void;
}

interface SimulatedTimer {
  readonly milliseconds: number;
  /** When it is due. */
  readonly deadline: number;
  readonly callback: () => void;
}

export function simulatedWorld(options: SimulatedWorldOptions): SimulatedWorld {
  let crew: InThreadCrew | undefined;
  let idleCrew: InThreadCrew | undefined;
  let clock = 0;
  const timers = new Set<SimulatedTimer>();
  const fire = (timer: SimulatedTimer): void => {
    if (!timers.delete(timer)) return;
    clock += timer.milliseconds;
    timer.callback();
  };
  /** One that somebody waits for; time passes for those that nobody waits for as well. */
  const fireInTime = (timer: SimulatedTimer): void => {
    if (!timers.has(timer)) return;
    fire(timer);
    for (const other of [...timers]) {
      if (other.deadline > clock || !timers.delete(other)) continue;
      other.callback();
    }
  };
  const environment: Environment = {
    fileSystem: fileSystemOver(options.disk),
    acquireCrew(settings) {
      crew = idleCrew ?? new InThreadCrew(settings, options);
      crew.adopted = crew === idleCrew;
      idleCrew = undefined;
      return Promise.resolve(crew);
    },
    releaseCrew(released) {
      released.listener = undefined;
      const isWhole = released.failure === undefined && crew?.crashed === false;
      if (options.adoptsCrews === true && released === crew && isWhole) idleCrew = crew;
      return Promise.resolve(undefined);
    },
    now: () => clock++,
    wallClockSeconds: () => 1_000_000_000,
    random32: () => Math.floor(options.random() * 0x1_0000_0000),
    after(milliseconds, keepsAlive, callback) {
      const timer = { milliseconds, deadline: clock + milliseconds, callback };
      timers.add(timer);
      if (keepsAlive) void inTurns(TIMER_TURNS).then(() => fireInTime(timer));
      return { cancel: () => timers.delete(timer) };
    },
    delay: () => Promise.resolve(),
  };
  return {
    environment,
    crashed: () => crew?.crashed ?? false,
    underWay: () => crew?.underWay() ?? [],
    fireTimers: () => {
      for (const timer of [...timers]) fire(timer);
    },
  };
}
