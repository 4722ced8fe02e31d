/**
 * An engine in one thread of which single roles can be held back, and of which is known what it has open, what its crew
 * was lent, and what it asks of a crew that it has given back.
 */
import { Database, type DatabaseOptions } from '../../src/index.ts';
import type { Crew } from '../../src/main/crew.ts';
import type { Environment } from '../../src/main/environment.ts';
import { ROLE_COUNT, ROLE_FLUSH, ROLE_IDS, type RoleId } from '../../src/protocol/requests.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from './simulated-environment.ts';
import { Random } from './random.ts';

/** Everything runs in microtasks, which nothing can interrupt: a run of more steps than this hangs. */
const STEPS_MAX = 3_000_000;

export class HeldWorld {
  readonly disk: SimulatedDisk;
  readonly environment: Environment;
  /** Lets the time pass that calls to come wait for. */
  readonly fireTimers: () => void;
  /** Names of the files that are open, by handle. */
  readonly openFiles = new Map<number, string>();
  /** Length of what the flush role was last lent, by region. */
  readonly arenas: number[] = [];
  /** How many crews were given back. */
  released = 0;
  readonly #random: Random;
  readonly #held = new Set<RoleId>();
  readonly #late: string[] = [];
  #steps = 0;

  constructor(disk = new SimulatedDisk(), seed = 1) {
    this.disk = disk;
    this.#random = new Random(seed);
    this.#watchFiles();
    const { environment, fireTimers } = simulatedWorld({ disk, random: () => this.#step() });
    this.fireTimers = fireTimers;
    this.environment = {
      ...environment,
      acquireCrew: async (settings) => this.#watched(await environment.acquireCrew(settings)),
      releaseCrew: (crew) => {
        this.released++;
        crew.ring = (role) => this.#late.push(`role ${role} is rung`);
        crew.post = (role) => this.#late.push(`role ${role} is lent something`);
        return Promise.resolve(undefined);
      },
    };
  }

  open(
    options: DatabaseOptions = { writeBufferBytes: 65_536 },
    environment = this.environment,
  ): Promise<Database> {
    // What is held are roles: nothing is done beside them.
    const io = { ...options.io, callerRing: false };
    return Database.openIn(environment, SIMULATED_DIRECTORY, { ...options, io });
  }

  /** The role takes no step until it is released. */
  hold(role: RoleId): void {
    this.#held.add(role);
  }

  release(role: RoleId): void {
    this.#held.delete(role);
  }

  /** Lets the world go on until something has happened. */
  async until(hasHappened: () => boolean, turnsMax = 1_000_000): Promise<void> {
    for (let turn = 0; !hasHappened(); turn++) {
      if (turn === turnsMax) throw new Error(`it has not happened: ${hasHappened.toString()}`);
      await Promise.resolve();
    }
  }

  /** Lets the world go on for so many turns. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await Promise.resolve();
  }

  /** What was asked of a crew after it was given back, by the time that nothing moves any more. */
  async requestsAfterRelease(): Promise<readonly string[]> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.#late;
  }

  /** The next role to go is the one in whose quarter this falls; see simulated-environment.ts. */
  #step(): number {
    if (++this.#steps > STEPS_MAX) throw new Error('the world does not come to rest');
    const free = ROLE_IDS.filter((role) => !this.#held.has(role));
    const place = this.#random.fraction() * free.length;
    const role = free[Math.floor(place)];
    return (role + (place % 1)) / ROLE_COUNT;
  }

  #watchFiles(): void {
    const { disk, openFiles } = this;
    const open = disk.open.bind(disk);
    const close = disk.close.bind(disk);
    disk.open = (name, flags) => {
      const handle = open(name, flags);
      if (handle >= 0) openFiles.set(handle, name);
      return handle;
    };
    disk.close = (handle) => {
      openFiles.delete(handle);
      return close(handle);
    };
  }

  #watched(crew: Crew): Crew {
    const post = crew.post.bind(crew);
    crew.post = (role, attachment) => {
      for (const { region, buffer } of attachment.memory) {
        if (role === ROLE_FLUSH) this.arenas[region] = buffer.byteLength;
      }
      post(role, attachment);
    };
    return crew;
  }
}
