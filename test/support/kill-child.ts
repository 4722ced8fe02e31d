/**
 * The process that is killed. It opens a database and works on it, without end; everything that the oracle has to know
 * goes through the pipe before it happens (submissions) or after it has (acknowledgements).
 *
 *     write      the operations of a workload, in its order, with as many under way as each operation says; in one that is
 *                about compactions, with iterators open, which hold on to tables that compactions have replaced
 *     recover    open, close, open again …: writes nothing, so that the kill meets recovery and close. Its crew has
 *                been started by another database, because starting one takes longer than everything that matters here
 *
 * A promise that rejects ends the process with an error, which fails the test.
 */
import { rmSync } from 'node:fs';
import { Database, type BatchOperation, type DatabaseOptions, type EntryIterator } from '../../src/index.ts';
import { Reporter } from './kill-protocol.ts';
import {
  DELETED,
  KEY_COUNT,
  keyOf,
  NO_END,
  RANGE_DELETED,
  valueOf,
  Workload,
  type WorkloadKind,
  type Write,
  type WriteOperation,
} from './kill-workload.ts';
import { Random } from './random.ts';

/** Given as JSON in the first argument. */
export interface KillChildTask {
  readonly kind: 'write' | 'recover';
  readonly workload: WorkloadKind;
  readonly directory: string;
  /** A directory for the database that starts the crew. */
  readonly scratch: string;
  readonly seed: number;
  readonly options: DatabaseOptions;
}

/** One iterator is opened about so often, and so many are held. */
const OPERATIONS_PER_ITERATOR = 40;
const HELD_ITERATORS = 3;
const OPERATIONS_PER_REPORT = 4;

const reporter = new Reporter();

async function open(task: KillChildTask): Promise<Database> {
  reporter.opening();
  const database = await Database.open(task.directory, task.options);
  const { lastSequence, recovery } = database.stats();
  reporter.opened(lastSequence, recovery.replayedRecords, recovery.tornFrames);
  return database;
}

/** Operations under way, and a way to wait until they are few. */
class Flight {
  #count = 0;
  #wake: () => void = () => undefined;

  add(index: number, promise: Promise<void>): void {
    this.#count++;
    promise.then(
      () => {
        reporter.acknowledged(index);
        this.#count--;
        this.#wake();
      },
      (error: unknown) => giveUp(error),
    );
  }

  async atMost(limit: number): Promise<void> {
    while (this.#count > limit) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Iterators that have begun and are not moved on; the oldest gives way to the newest. */
class HeldIterators {
  readonly #random: Random;
  #held: EntryIterator<Buffer, Buffer>[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  /** Now and then another one is opened. */
  async note(database: Database): Promise<void> {
    if (!this.#random.oneIn(OPERATIONS_PER_ITERATOR)) return;
    const iterator = database.iterator({ gte: keyOf(this.#random.below(KEY_COUNT)) });
    this.#held.push(iterator);
    await iterator.next();
    if (this.#held.length > HELD_ITERATORS) await this.#held.shift()?.close();
  }

  async closeAll(): Promise<void> {
    for (const iterator of this.#held.splice(0)) await iterator.close();
  }
}

async function writeWithoutEnd(task: KillChildTask): Promise<never> {
  const workload = new Workload(task.seed, task.workload);
  const flight = new Flight();
  const held = new HeldIterators(task.seed);
  let database = await open(task);
  for (;;) {
    const operation = workload.next();
    await flight.atMost(operation.window);
    reporter.submitting(operation.index);
    if (operation.kind === 'write') {
      flight.add(operation.index, submit(database, workload.stream, operation));
    } else if (operation.kind === 'flush') {
      flight.add(operation.index, database.flush());
    } else if (operation.kind === 'compact') {
      flight.add(operation.index, database.compactRange());
    } else {
      await held.closeAll();
      flight.add(operation.index, database.close());
      await flight.atMost(0);
      database = await open(task);
    }
    if (task.workload === 'compaction') await held.note(database);
    if (operation.index % OPERATIONS_PER_REPORT === 0) report(database);
  }
}

function report(database: Database): void {
  const { flushes, compactions } = database.stats();
  reporter.worked({
    flushes: flushes.flushes,
    compactions: compactions.compactions,
    isCompacting: compactions.running !== null,
  });
}

function submit(
  database: Database,
  stream: number,
  { index, writes, batch, sync }: WriteOperation,
): Promise<void> {
  const options = sync ? undefined : { sync };
  const value = ({ size }: Write, place: number): Buffer => valueOf({ stream, index, place, size });
  if (batch) {
    const operations = writes.map<BatchOperation>((write, place) => {
      if (write.size === RANGE_DELETED) return { type: 'deleteRange', ...rangeOf(write) };
      if (write.size === DELETED) return { type: 'del', key: keyOf(write.key) };
      return { type: 'put', key: keyOf(write.key), value: value(write, place) };
    });
    return database.batch(operations, options);
  }
  const [write] = writes;
  if (write === undefined) throw new Error('an operation writes something');
  if (write.size === RANGE_DELETED) return database.deleteRange(rangeOf(write), options);
  if (write.size === DELETED) return database.del(keyOf(write.key), options);
  return database.put(keyOf(write.key), value(write, 0), options);
}

function rangeOf({ key, end = NO_END }: Write): { gte: Buffer; lt?: Buffer } {
  return end === NO_END ? { gte: keyOf(key) } : { gte: keyOf(key), lt: keyOf(end) };
}

async function recoverWithoutEnd(task: KillChildTask): Promise<never> {
  const random = new Random(task.seed);
  const other = await Database.open(task.scratch, task.options);
  await other.close();
  rmSync(task.scratch, { recursive: true });
  for (;;) {
    const database = await open(task);
    if (random.oneIn(4)) await database.flush();
    await database.close();
  }
}

function giveUp(error: unknown): never {
  // A reader that is gone cannot be told anything.
  const readerGone = (error as NodeJS.ErrnoException).code === 'EPIPE';
  if (!readerGone) console.error(error);
  process.exit(1);
}

const task = JSON.parse(process.argv[2] ?? '') as KillChildTask;
const work = task.kind === 'write' ? writeWithoutEnd : recoverWithoutEnd;
process.on('uncaughtException', giveUp);
work(task).catch(giveUp);
