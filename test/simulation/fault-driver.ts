/**
 * Runs the steps of a simulation on a disk that fails, fills up and loses power, in processes that are killed. Whatever is
 * refused must be refused with one of the documented codes and must not have happened; whatever is given must be right; and
 * after each end and each opening the history says what must be there.
 */
import { unreachable } from '../../src/assert.ts';
import { QuadringError, type Database, type ErrorCode } from '../../src/index.ts';
import type { Random } from '../support/random.ts';
import { boundsOf, operationOf } from '../support/scan-driver.ts';
import { keyAt, type WriteStep } from '../support/scan-steps.ts';
import type { UnderWay } from '../support/simulated-disk.ts';
import { Crash } from '../support/simulated-environment.ts';
import type { WriteHistory } from '../support/write-history.ts';
import { expectNoLeftovers } from './closed-files.ts';
import { getAll, getKeys, getSynchronously, scanAll, type Observation } from './contents.ts';
import { inMicrotasks } from './crash-points.ts';
import type { FaultStep } from './simulation-case.ts';
import { NO_FAULTS, type UnreliableDisk } from './unreliable-disk.ts';

/** What a call may be refused with while the disk fails. */
const REFUSALS: readonly ErrorCode[] = ['IO_ERROR', 'NO_SPACE', 'FAILED'];

export interface FaultDriverOptions {
  readonly disk: UnreliableDisk;
  readonly history: WriteHistory;
  /** Of what chance decides when the power goes. */
  readonly random: Random;
  /** Opens the database; the hook is called before each I/O step, and may stop the machine. */
  readonly open: (onStep: (underWay: () => readonly UnderWay[]) => void) => Promise<Database>;
  /** Nothing is at work now, and the history has not gone on yet from what the next opening finds. */
  readonly beforeOpen: () => Promise<void>;
}

export class FaultDriver {
  readonly #options: FaultDriverOptions;
  #database: Database | undefined;
  /** I/O steps until the power goes, or the process is killed. */
  #stepsLeft = Infinity;
  #ending: 'power' | 'kill' = 'power';
  #hasEnded = false;
  #onEnd: () => void = () => undefined;
  /** What runs beside the steps: each with what was wrong about it. */
  #beside: Promise<Error | undefined>[] = [];
  #faultsBefore = 0;
  /** Once it has failed, and been read: the moments that all reads since may have been of. */
  #frozenAt: readonly number[] | undefined;

  constructor(options: FaultDriverOptions) {
    this.#options = options;
  }

  async run(steps: readonly FaultStep[]): Promise<void> {
    await this.#open();
    let next = 0;
    /** Until everything is to come to its end: what one step has set going goes on beside those that follow it. */
    const runSome = async (): Promise<void> => {
      const database = this.#database;
      this.#beside = [];
      while (next < steps.length && database === this.#database) {
        const step = steps[next++];
        if (step.kind === 'rest') break;
        if (step.kind === 'reopen') await this.#close();
        else await this.#step(step);
      }
      for (const error of await Promise.all(this.#beside)) if (error !== undefined) throw error;
    };
    while (next < steps.length) {
      const from = next;
      await this.#endsDuring(`the steps from ${from}`, runSome);
      if (this.#database === undefined) await this.#open();
    }
    this.#stepsLeft = Infinity;
    this.#heal();
    await this.#reopen();
    await inMicrotasks('the last look', async () => {
      await this.#readAll();
      await this.#close();
    });
  }

  /** Whether no operation of the disk has failed since the database was opened: then no call may either. */
  get #isUnharmed(): boolean {
    return this.#options.disk.faults === this.#faultsBefore;
  }

  /** Whether it takes no more writes. */
  get #hasFailed(): boolean {
    return this.#opened.stats().failure !== null;
  }

  get #opened(): Database {
    if (this.#database === undefined) throw new Error('the database is open between the steps');
    return this.#database;
  }

  #step(step: Exclude<FaultStep, { kind: 'reopen' | 'rest' }>): Promise<void> {
    const { disk } = this.#options;
    switch (step.kind) {
      case 'write':
        return this.#write(step);
      case 'get':
        return this.#tolerant(() => this.#get(step.keys.map(keyAt)));
      case 'scan':
        return this.#tolerant(() => this.#readAll());
      case 'flush':
        return this.#makeDurable(step, (database) => database.flush());
      case 'compact':
        return this.#makeDurable(step, (database) => database.compactRange(boundsOf(step.range)));
      case 'power':
      case 'kill':
        this.#stepsLeft = step.after;
        this.#ending = step.kind;
        return Promise.resolve();
      case 'disk':
        disk.rates = step.rates;
        disk.capacityBytes = disk.usedBytes + step.freeBytes;
        return Promise.resolve();
      default:
        return unreachable(step);
    }
  }

  /** An even number of keys synchronously, each an observation of its own: a failure may be heard of between two of them. */
  async #get(keys: readonly Buffer[]): Promise<void> {
    if (keys.length % 2 === 1) return this.#expectMoment((database) => getKeys(database, keys));
    for (const key of keys)
      await this.#expectMoment((database) => Promise.resolve(getSynchronously(database, key)));
  }

  /** One after another: what is refused is then the last one. */
  async #write({ writes, asBatch, sync }: WriteStep): Promise<void> {
    const { history } = this.#options;
    const operations = writes.map(operationOf);
    for (const group of asBatch ? [operations] : operations.map((one) => [one])) {
      const before = history.submitted;
      const moment = history.submit(group);
      const hadFailed = this.#hasFailed;
      try {
        await this.#opened.batch(group, { sync });
      } catch (error) {
        const code = refusalOf(error);
        // Whether a write happened that met the failure shows when the database is opened again. Any other has not.
        if (code !== 'NO_SPACE' && !hadFailed && this.#hasFailed) return;
        history.refused(before);
        continue;
      }
      if (hadFailed && moment > 0) throw new Error('a write was taken after a failure');
      if (sync) history.durable(moment);
    }
  }

  /** Everything that is there, by each way of reading; a failure may come between the two. */
  async #readAll(): Promise<void> {
    await this.#expectMoment(scanAll);
    await this.#expectMoment(getAll);
  }

  /**
   * Reads are of now; after a failure of what was durable then, which is where an atomic write ends, and of the same
   * moment ever after.
   */
  async #expectMoment(read: (database: Database) => Promise<Observation>): Promise<void> {
    const { history } = this.#options;
    const hadFailed = this.#hasFailed;
    const observation = await read(this.#opened);
    const moments = !this.#hasFailed
      ? [history.submitted]
      : ((hadFailed ? this.#frozenAt : undefined) ?? history.moments(history));
    const seen = moments.filter((moment) => observation(history.model, moment) === undefined);
    if (seen.length === 0) {
      const others =
        moments.length === 1 ? '' : `, and of ${moments.length - 1} moments before nothing as well`;
      throw new Error(`${observation(history.model, moments[0])}${others}`);
    }
    if (!hadFailed) return;
    this.#frozenAt = seen;
    history.durable(Math.min(...seen));
  }

  /** Everything written so far is durable after it; that may be heard of beside the steps that follow. */
  #makeDurable(
    { isAwaited }: { readonly isAwaited: boolean },
    act: (database: Database) => Promise<void>,
  ): Promise<void> {
    const { history } = this.#options;
    const database = this.#opened;
    const moment = history.submitted;
    const made = this.#tolerant(async () => {
      try {
        await act(database);
      } catch (error) {
        // Closed before it was done. Of a machine that has stopped nothing is heard that counts.
        if (this.#database !== database || (!isAwaited && isClosed(error))) return;
        throw error;
      }
      // Where another one is open, the history may have gone on from an earlier moment.
      if (this.#database === database) history.durable(moment);
    });
    if (isAwaited) return made;
    this.#beside.push(
      made.then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      ),
    );
    return Promise.resolve();
  }

  async #tolerant(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      refusalOf(error);
      if (this.#isUnharmed) throw error;
    }
  }

  async #reopen(): Promise<void> {
    await this.#endsDuring('closing', () => this.#close());
    await this.#open();
  }

  async #close(): Promise<void> {
    const { history, disk } = this.#options;
    const moment = history.submitted;
    const hadFailed = this.#hasFailed;
    const errorsBefore = disk.faults - disk.shortages;
    const { log } = this.#opened.stats();
    await this.#opened.close();
    this.#database = undefined;
    if (this.#isUnharmed) expectNoLeftovers(disk, { log });
    // A disk that is full keeps the end of the log from being recorded at most; an error may have been final.
    if (!hadFailed && disk.faults - disk.shortages === errorsBefore) history.durable(moment);
  }

  async #open(): Promise<void> {
    do await this.#options.beforeOpen();
    while (await this.#endsDuring('opening', () => this.#openTolerantly()));
  }

  /** A disk that fails may keep a database from being opened, and has changed nothing then; a healed one does not. */
  async #openTolerantly(): Promise<void> {
    const { disk, history, open } = this.#options;
    let database: Database;
    // What goes wrong while it opens, with the log that is to come next, may show when it is open.
    this.#faultsBefore = disk.faults;
    try {
      database = await open((underWay) => this.#onStep(underWay));
    } catch (error) {
      refusalOf(error);
      if (this.#isWell) throw error;
      this.#heal();
      this.#faultsBefore = disk.faults;
      database = await open((underWay) => this.#onStep(underWay));
    }
    this.#database = database;
    this.#frozenAt = undefined;
    history.opened(database.stats().lastSequence);
  }

  /** Stops the process here once its time has come. */
  #onStep(underWay: () => readonly UnderWay[]): void {
    if (this.#stepsLeft-- > 0) return;
    const { disk, random } = this.#options;
    if (this.#ending === 'kill') {
      disk.killProcess(random, underWay());
    } else {
      disk.restart(disk.afterPowerCut(random, underWay()));
      this.#heal();
    }
    this.#stepsLeft = Infinity;
    this.#database = undefined;
    this.#hasEnded = true;
    this.#onEnd();
    throw new Crash();
  }

  /** Whether the process ended before it was done, or right after. */
  async #endsDuring(name: string, act: () => Promise<void>): Promise<boolean> {
    this.#hasEnded = false;
    const ended = new Promise<void>((resolve) => (this.#onEnd = resolve));
    await inMicrotasks(name, () => Promise.race([act(), ended]));
    return this.#hasEnded;
  }

  get #isWell(): boolean {
    const { disk } = this.#options;
    return disk.rates === NO_FAULTS && disk.capacityBytes === Infinity;
  }

  #heal(): void {
    const { disk } = this.#options;
    disk.rates = NO_FAULTS;
    disk.capacityBytes = Infinity;
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof QuadringError && error.code === 'CLOSED';
}

/** The code of an error that a disk which fails may bring about. Throws anything else. */
function refusalOf(error: unknown): ErrorCode {
  if (error instanceof QuadringError && REFUSALS.includes(error.code)) return error.code;
  throw error;
}
