/**
 * Crash points: images of a disk as power cuts leave it, taken while a database works, and what must be found in each.
 *
 * An image is taken at an I/O step, right before it is carried out, by cloning what is durable and letting chance decide
 * of the rest (see simulated-disk.ts). The run goes on; no workload is run again for it. Later each image is opened,
 * recovered, held against the history, closed, and some of them verified. The recovery is a run of its own, at whose
 * steps images are taken as well: a power cut during recovery.
 */
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { Random } from '../support/random.ts';
import type { SimulatedDisk, UnderWay } from '../support/simulated-disk.ts';
import {
  SIMULATED_DIRECTORY,
  simulatedWorld,
  type SimulatedWorld,
} from '../support/simulated-environment.ts';
import type { RingStep } from '../support/simulated-ring.ts';
import type { WriteHistory } from '../support/write-history.ts';
import { expectNoLeftovers, expectSound, spareLogsOfOpen } from './closed-files.ts';
import { expectContents } from './contents.ts';

/** Power cuts during the recovery from a power cut, during the recovery from that, and so on. */
const DEPTH_MAX = 3;
/** One recovered image in as many is verified: all of them would take a quarter of the time. */
const VERIFIED_ONE_IN = 3;
/**
 * Where names are gone that nobody may rely on, images are taken more often, and so many beside the others: now and then
 * where more is acknowledged than there was on the last one.
 */
const DOOMED_ONE_IN = 2;
const DOOMED_POINTS_MAX = 12;
/** I/O steps of one run; beyond that it hangs. Everything runs in microtasks, which nothing else could interrupt. */
const STEPS_MAX = 200_000;

/** `QUADRING_SIMULATION_TRACE=1` prints every I/O step. */
const TRACE = (process.env['QUADRING_SIMULATION_TRACE'] ?? '') !== '';
const OPCODE_NAMES = [
  'nop',
  'read',
  'write',
  'fsync',
  'open',
  'close',
  'fallocate',
  'rename',
  'unlink',
  'fadvise',
  'timeout',
  'truncate',
];

function describeStep({ opcode, file, name, offset, length }: RingStep): string {
  return `${OPCODE_NAMES[opcode]} ${name === '' ? `handle ${file}, ${length} bytes at ${offset}` : name}`;
}

export interface CrashPoint {
  readonly disk: SimulatedDisk;
  readonly floor: number;
  readonly submitted: number;
  /** Where it was taken, for people. */
  readonly at: string;
  readonly depth: number;
}

export interface CameraOptions {
  readonly random: Random;
  /** One step in as many is a crash point. */
  readonly oneIn: number;
  readonly pointsMax: number;
  readonly depth: number;
  readonly name: string;
}

/** Takes images of one run's disk. */
export class Camera {
  readonly points: CrashPoint[] = [];
  steps = 0;
  /** A digest of every step so far. */
  trace = 0;
  readonly #options: CameraOptions;
  #doomedPoints = 0;
  /** What was acknowledged when the last of those was taken. */
  #doomedFloor = -1;

  constructor(options: CameraOptions) {
    this.#options = options;
  }

  /** Looks at a step that is about to be carried out. */
  step(
    step: RingStep,
    disk: SimulatedDisk,
    underWay: () => readonly UnderWay[],
    bounds: { readonly floor: number; readonly submitted: number },
  ): void {
    const { random, oneIn, pointsMax, depth, name } = this.#options;
    if (++this.steps > STEPS_MAX) throw new Error(`${name} hangs: ${STEPS_MAX} I/O steps`);
    this.trace = digestOf(this.trace, step);
    if (TRACE)
      console.log(
        `${name}, step ${this.steps}: ${describeStep(step)}; ${bounds.floor} of ${bounds.submitted}`,
      );
    if (this.#isAimed(disk, bounds.floor) && random.oneIn(DOOMED_ONE_IN)) {
      this.#doomedPoints++;
      this.#doomedFloor = bounds.floor;
    } else if (this.points.length >= pointsMax || !random.oneIn(oneIn)) return;
    const image = disk.afterPowerCut(random, underWay());
    // Whoever starts a machine again whose disk was full makes room.
    image.capacityBytes = Infinity;
    this.points.push({
      disk: image,
      floor: bounds.floor,
      submitted: bounds.submitted,
      at: `${name}, step ${this.steps}: ${describeStep(step)}`,
      depth,
    });
  }

  #isAimed(disk: SimulatedDisk, floor: number): boolean {
    if (!disk.hasDoomedNames || floor === this.#doomedFloor) return false;
    return this.#doomedPoints < DOOMED_POINTS_MAX && this.#options.pointsMax > 0;
  }
}

function digestOf(digest: number, { opcode, file, name, length, offset }: RingStep): number {
  let next = Math.imul(digest ^ opcode, 0x0100_0193) ^ file;
  for (let i = 0; i < name.length; i++) next = Math.imul(next ^ name.charCodeAt(i), 0x0100_0193);
  return Math.imul(Math.imul(next ^ length, 0x0100_0193) ^ offset, 0x85eb_ca6b) | 0;
}

export interface RecoveryOptions {
  readonly settings: DatabaseOptions;
  readonly history: WriteHistory;
  readonly seed: number;
  readonly pool: Uint8Array<SharedArrayBuffer>;
  /** One step of a recovery in as many is a crash point as well. */
  readonly oneIn: number;
  readonly pointsMax: number;
}

/**
 * Recovers from a crash point, and from those that are taken meanwhile. Returns how many there were. Throws when anything
 * is missing, wrong, torn, or left over.
 */
export async function checkCrashPoint(point: CrashPoint, options: RecoveryOptions): Promise<number> {
  const { history, seed, pointsMax } = options;
  const random = new Random(seed);
  const camera = new Camera({
    random,
    oneIn: options.oneIn,
    pointsMax: point.depth < DEPTH_MAX ? pointsMax : 0,
    depth: point.depth + 1,
    name: `recovery from ${point.at}`,
  });
  const bounds = { floor: point.floor, submitted: point.submitted };
  const onStep = (step: RingStep): void => camera.step(step, point.disk, world.underWay, bounds);
  const world: SimulatedWorld = simulatedWorld({
    disk: point.disk,
    random: () => random.fraction(),
    onStep,
    pool: options.pool,
  });
  let found = 0;
  await inMicrotasks(point.at, async () => {
    const spareLogsMax = spareLogsOfOpen(point.disk);
    const database = await openQuietly(world, options.settings);
    const moment = database.stats().lastSequence;
    history.expectPossible(moment, point);
    found = moment;
    // What an open has found does not change any more.
    bounds.floor = moment;
    bounds.submitted = moment;
    await expectContents(database, history.model, moment);
    const stats = database.stats();
    await database.close();
    expectNoLeftovers(point.disk, { stats, log: stats.log, spareLogsMax });
  });
  if (random.oneIn(VERIFIED_ONE_IN)) await expectSound(point.at, point.disk, found);
  let checked = 1;
  for (const inner of camera.points) {
    checked += await checkCrashPoint(inner, { ...options, seed: seed + checked });
  }
  return checked;
}

/** Without compactions that nobody asks for, so that the files are those of the version when it closes. */
function openQuietly({ environment }: SimulatedWorld, settings: DatabaseOptions): Promise<Database> {
  const compaction = { ...settings.compaction, automatic: false, spareBytes: 0 };
  return Database.openIn(environment, SIMULATED_DIRECTORY, { ...settings, compaction });
}

/** Runs what needs no event loop to its end. Rejects with what went wrong, or when it neither ends nor fails. */
export async function inMicrotasks(name: string, run: () => Promise<void>): Promise<void> {
  let outcome: 'ended' | Error | undefined;
  run().then(
    () => (outcome = 'ended'),
    (error: unknown) => (outcome = error instanceof Error ? error : new Error(String(error))),
  );
  await new Promise((resolve) => setImmediate(resolve));
  if (outcome === 'ended') return;
  throw new Error(outcome === undefined ? `${name}: it waits for ever` : `${name}: ${outcome.message}`, {
    cause: outcome,
  });
}
