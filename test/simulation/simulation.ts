/**
 * One simulation: the whole engine, owner and all four roles, in one thread over a simulated disk, from one seed. It runs
 * its case to the end, and then recovers from every crash point that was taken on the way.
 */
import { Database } from '../../src/index.ts';
import { resolveOptions } from '../../src/main/options.ts';
import { mix, Random } from '../support/random.ts';
import { ScanDriver } from '../support/scan-driver.ts';
import type { UnderWay } from '../support/simulated-disk.ts';
import {
  SIMULATED_DIRECTORY,
  simulatedWorld,
  type SimulatedWorld,
} from '../support/simulated-environment.ts';
import { WriteHistory } from '../support/write-history.ts';
import { expectNoLeftovers, expectSound } from './closed-files.ts';
import { Camera, checkCrashPoint, inMicrotasks } from './crash-points.ts';
import { FaultDriver } from './fault-driver.ts';
import type { FaultStep, SimulationCase } from './simulation-case.ts';
import { UnreliableDisk } from './unreliable-disk.ts';
import type { Step } from '../support/scan-steps.ts';

/** Crash points of one recovery. */
const RECOVERY_POINTS_MAX = 1;
/** One step of a recovery in as many is a crash point. */
const RECOVERY_CRASH_ONE_IN = 20;
const TIME_PASSES_ONE_IN = 2000;

export interface SimulationResult {
  readonly crashPoints: number;
  /** I/O steps of the run, without those of recoveries. */
  readonly steps: number;
  /** The same for the same case. */
  readonly trace: number;
  readonly faults: number;
}

/** Memory of crews that are not at work at the same time, by size: zeroing some takes longer than most runs. */
const pools = new Map<number, Uint8Array<SharedArrayBuffer>>();

function poolOf(bytes: number): Uint8Array<SharedArrayBuffer> {
  let pool = pools.get(bytes);
  if (pool === undefined) {
    pool = new Uint8Array(new SharedArrayBuffer(bytes));
    pools.set(bytes, pool);
  }
  return pool;
}

/** Rejects with the first thing that is wrong. Of the run itself at most `pointsMax` crash points are taken. */
export async function simulate(one: SimulationCase, pointsMax: number): Promise<SimulationResult> {
  const simulation = new Simulation(one, pointsMax);
  await simulation.run();
  return simulation.result();
}

/** Called before each I/O step; may stop the machine. */
type OnStep = (underWay: () => readonly UnderWay[]) => void;

class Simulation {
  readonly #case: SimulationCase;
  readonly #random: Random;
  readonly #disk: UnreliableDisk;
  readonly #history = new WriteHistory();
  readonly #camera: Camera;
  readonly #pool: Uint8Array<SharedArrayBuffer>;
  /** Of the process that runs now. */
  #world: SimulatedWorld | undefined;
  #onStep: OnStep | undefined;
  #crashPoints = 0;

  constructor(one: SimulationCase, pointsMax: number) {
    this.#case = one;
    this.#random = new Random(one.seed);
    this.#disk = new UnreliableDisk(new Random(one.seed + 1));
    this.#camera = new Camera({
      random: new Random(one.seed + 2),
      oneIn: one.crashOneIn,
      pointsMax,
      depth: 0,
      name: 'the run',
    });
    this.#pool = poolOf(resolveOptions(one.settings).poolBytes);
  }

  async run(): Promise<void> {
    const one = this.#case;
    if (one.kind === 'scans') await this.#runScans(one.steps);
    else await this.#runFaults(one.steps);
    await expectSound('the run', this.#disk, this.#history.submitted);
    await this.#checkPoints();
  }

  result(): SimulationResult {
    const { steps, trace } = this.#camera;
    return { crashPoints: this.#crashPoints, steps, trace, faults: this.#disk.faults };
  }

  async #runScans(steps: readonly Step[]): Promise<void> {
    const driver = new ScanDriver(() => this.#open(), this.#history);
    await inMicrotasks('the run', async () => {
      await driver.open();
      for (const step of steps) await driver.run(step);
      await driver.readAll();
      await driver.close();
    });
    expectNoLeftovers(this.#disk);
  }

  async #runFaults(steps: readonly FaultStep[]): Promise<void> {
    const driver = new FaultDriver({
      disk: this.#disk,
      history: this.#history,
      random: new Random(this.#case.seed + 3),
      open: (onStep) => this.#open(onStep),
      beforeOpen: () => this.#checkPoints(),
    });
    await driver.run(steps);
  }

  #open(onStep?: OnStep): Promise<Database> {
    this.#onStep = onStep;
    if (this.#world?.crashed() !== false) this.#world = this.#newProcess();
    return Database.openIn(this.#world.environment, SIMULATED_DIRECTORY, this.#case.settings);
  }

  /** What databases of one process share: time, and the crew, which goes from one to the next. */
  #newProcess(): SimulatedWorld {
    const { slowOneIn } = this.#case;
    const random = this.#random;
    const world: SimulatedWorld = simulatedWorld({
      disk: this.#disk,
      random: () => {
        if (random.oneIn(TIME_PASSES_ONE_IN)) queueMicrotask(() => world.fireTimers());
        return random.fraction();
      },
      onStep: (step) => {
        this.#camera.step(step, this.#disk, world.underWay, this.#history);
        this.#onStep?.(world.underWay);
      },
      slowOneIn,
      pool: this.#pool,
      adoptsCrews: true,
    });
    return world;
  }

  /** REQUIRES: no database is open, and the history has not gone on from another moment than was reached. */
  async #checkPoints(): Promise<void> {
    for (const point of this.#camera.points.splice(0)) {
      this.#crashPoints += await checkCrashPoint(point, {
        settings: this.#case.settings,
        history: this.#history,
        seed: mix(this.#case.seed + this.#crashPoints),
        pool: this.#pool,
        oneIn: RECOVERY_CRASH_ONE_IN,
        pointsMax: RECOVERY_POINTS_MAX,
      });
    }
  }
}
