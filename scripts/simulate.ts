/**
 * The simulation at length: `npm run simulate -- --seeds N [--from S] [--points C] [--processes P] [--state FILE]`, or one seed again:
 * `npm run simulate -- --seed S [--points C] [--path P]`. What a simulation is stands in test/simulation/.
 *
 * Processes work through the seeds in chunks, each in a process of its own. With `--state` the totals and the chunks that
 * are done are kept in a file, and a run that is started again with the same file goes on where the last one stopped.
 * Exits with 1 when a seed fails, after saying which command repeats it; the others are run all the same.
 */
import { fork } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { POINTS_MAX, replay, runSeed, SeedFailure } from '../test/simulation/run-seed.ts';
import { commandLine, runCommand, wholeNumber } from './command-line.ts';

/** Seeds of one process: what a crashed run leaves in memory goes with it. */
const CHUNK_SEEDS = 50;
/** A chunk that takes longer hangs. */
const CHUNK_MS_MAX = 20 * 60_000;
const PROGRESS_MS = 10_000;

interface Totals {
  seeds: number;
  crashPoints: number;
  steps: number;
  faults: number;
  milliseconds: number;
}

interface State {
  readonly from: number;
  /** First seeds of chunks that are done. */
  readonly done: number[];
  readonly totals: Totals;
  readonly failures: string[];
}

/** What a process says of a seed. */
type Message =
  | { readonly kind: 'begin'; readonly seed: number }
  | { readonly kind: 'passed'; readonly crashPoints: number; readonly steps: number; readonly faults: number }
  | { readonly kind: 'failed'; readonly failure: string };

/** The child's side: runs the seeds of a chunk and tells of each. */
async function runChunk(from: number, count: number, pointsMax: number): Promise<void> {
  const say = (message: Message): void => void process.send?.(message);
  for (let seed = from; seed < from + count; seed++) {
    say({ kind: 'begin', seed });
    try {
      const { crashPoints, steps, faults } = await runSeed(seed, { pointsMax });
      say({ kind: 'passed', crashPoints, steps, faults });
    } catch (error) {
      if (!(error instanceof SeedFailure)) throw error;
      say({ kind: 'failed', failure: error.message });
    }
  }
  // What a power cut stopped never ends; nothing waits for it.
  process.disconnect();
  process.exit(0);
}

class Campaign {
  readonly #state: State;
  readonly #seeds: number;
  readonly #pointsMax: number;
  readonly #stateFile: string | undefined;
  readonly #begun = performance.now();
  readonly #millisecondsBefore: number;
  /** What chunks that are under way have done. */
  readonly #running = { seeds: 0, crashPoints: 0 };

  constructor(from: number, seeds: number, pointsMax: number, stateFile: string | undefined) {
    const totals: Totals = { seeds: 0, crashPoints: 0, steps: 0, faults: 0, milliseconds: 0 };
    this.#seeds = seeds;
    this.#pointsMax = pointsMax;
    this.#stateFile = stateFile;
    this.#state =
      stateFile !== undefined && existsSync(stateFile)
        ? (JSON.parse(readFileSync(stateFile, 'utf8')) as State)
        : { from, done: [], totals, failures: [] };
    if (this.#state.from !== from) {
      throw new Error(`${stateFile} is of a run that began with seed ${this.#state.from}, not ${from}`);
    }
    this.#millisecondsBefore = this.#state.totals.milliseconds;
  }

  /** Whether every seed passed. */
  async run(processes: number): Promise<boolean> {
    const { from, done, failures } = this.#state;
    const chunks: number[] = [];
    for (let first = from; first < from + this.#seeds; first += CHUNK_SEEDS) {
      if (!done.includes(first)) chunks.push(first);
    }
    const progress = setInterval(() => console.log(this.#describe()), PROGRESS_MS);
    await Promise.all(
      Array.from({ length: processes }, async () => {
        for (let first = chunks.shift(); first !== undefined; first = chunks.shift()) {
          await this.#runChunk(first, Math.min(CHUNK_SEEDS, from + this.#seeds - first));
        }
      }),
    );
    clearInterval(progress);
    console.log(this.#describe());
    return failures.length === 0;
  }

  async #runChunk(first: number, count: number): Promise<void> {
    const chunk: Totals = { seeds: 0, crashPoints: 0, steps: 0, faults: 0, milliseconds: 0 };
    const failures: string[] = [];
    let running = first;
    const words = ['--chunk', `${first}`, '--seeds', `${count}`, '--points', `${this.#pointsMax}`];
    const child = fork(fileURLToPath(import.meta.url), words, {
      timeout: CHUNK_MS_MAX,
      killSignal: 'SIGKILL',
    });
    child.on('message', (message: Message) => {
      if (message.kind === 'begin') {
        running = message.seed;
        return;
      }
      chunk.seeds++;
      this.#running.seeds++;
      if (message.kind === 'failed') {
        failures.push(message.failure);
        console.error(message.failure);
        return;
      }
      this.#running.crashPoints += message.crashPoints;
      chunk.crashPoints += message.crashPoints;
      chunk.steps += message.steps;
      chunk.faults += message.faults;
    });
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
      child.on('exit', (...ending) => resolve(ending));
    });
    if (code !== 0) {
      failures.push(
        `seed ${running}: its process ended with ${code ?? signal}; npm run simulate -- --seed ${running}`,
      );
      console.error(failures.at(-1));
    }
    this.#note(first, chunk, failures);
  }

  #note(first: number, chunk: Totals, failures: readonly string[]): void {
    const { totals } = this.#state;
    this.#running.seeds -= chunk.seeds;
    this.#running.crashPoints -= chunk.crashPoints;
    totals.seeds += chunk.seeds;
    totals.crashPoints += chunk.crashPoints;
    totals.steps += chunk.steps;
    totals.faults += chunk.faults;
    totals.milliseconds = this.#millisecondsBefore + performance.now() - this.#begun;
    this.#state.failures.push(...failures);
    // A chunk with a failure is run again once that is mended.
    if (failures.length === 0) this.#state.done.push(first);
    if (this.#stateFile === undefined) return;
    writeFileSync(`${this.#stateFile}.tmp`, JSON.stringify(this.#state));
    renameSync(`${this.#stateFile}.tmp`, this.#stateFile);
  }

  #describe(): string {
    const { totals, failures } = this.#state;
    const { seeds, crashPoints, steps, faults, milliseconds } = totals;
    const running = this.#running;
    return (
      `${seeds + running.seeds} seeds, ${crashPoints + running.crashPoints} crash points recovered from, ${steps} I/O steps, ${faults} faults, ` +
      `${failures.length} failures, ${Math.round(milliseconds / 1000)} s`
    );
  }
}

async function main(): Promise<void> {
  // Iterators of databases that a power cut stopped are collected like any others.
  process.removeAllListeners('warning');
  const values = commandLine('simulate', {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    points: { type: 'string', default: String(POINTS_MAX) },
    processes: { type: 'string', default: String(availableParallelism()) },
    state: { type: 'string' },
    seed: { type: 'string' },
    path: { type: 'string' },
    chunk: { type: 'string' },
  });
  const seeds = wholeNumber('seeds', values.seeds);
  const points = wholeNumber('points', values.points);
  if (values.chunk !== undefined) return runChunk(wholeNumber('chunk', values.chunk), seeds, points);
  if (values.seed !== undefined) {
    const seed = wholeNumber('seed', values.seed);
    if (values.path !== undefined) await replay(seed, values.path, points);
    else console.log(await runSeed(seed, { pointsMax: points }));
    return;
  }
  const campaign = new Campaign(wholeNumber('from', values.from), seeds, points, values.state);
  if (!(await campaign.run(wholeNumber('processes', values.processes)))) process.exitCode = 1;
}

await runCommand(main, SeedFailure);
