/**
 * What a process does in the teardown tests: `teardown-child <task as JSON>`. Brings a database into a situation, goes on
 * for a moment, and ends. With the endings of threads it does so in a worker thread, and then opens the database in the
 * process that lives on: no lock may be left.
 */
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { ioOf } from './io-setting.ts';
import {
  countedKey,
  ENDING_LINE,
  type Ending,
  type Situation,
  type TeardownTask,
} from './teardown-protocol.ts';
import { keyOf, valueOf } from './values.ts';

const COUNTED_BEFORE = 40;
const IN_FLIGHT = 60;
const KEYS = 3000;

const task = (isMainThread ? JSON.parse(process.argv[2]) : workerData) as TeardownTask;
const options: DatabaseOptions = {
  writeBufferBytes: 1 << 18,
  blockCacheBytes: 0,
  blockBytes: 4096,
  io: ioOf(task.backend),
  compaction: { idleMs: 0, tableBytes: 65_536 },
};
/** Lives longer than any function: what is in flight is not to be collected. */
const held: unknown[] = [];

/** Work that would go on for ever goes on no more. */
let isOver = false;

function note(line: string): void {
  appendFileSync(task.journal, `${line}\n`);
}

function ignore(): void {
  // What the end cuts off is rejected or never settled; neither is what is looked at.
}

async function counted(database: Database, number: number): Promise<void> {
  const key = countedKey(task.generation, number);
  await database.put(key, valueOf(300, number));
  note(key);
}

/** Keeps writes in flight, some of them noted when they are acknowledged, until it cannot go on. */
function writeForever(database: Database): void {
  let next = COUNTED_BEFORE;
  const write = (): void => {
    if (isOver) return;
    const number = next++;
    const written =
      number % 3 === 0
        ? counted(database, number)
        : database.put(keyOf(number % KEYS), valueOf(1500, number));
    written.then(write, ignore);
  };
  for (let i = 0; i < IN_FLIGHT; i++) write();
}

async function fill(database: Database): Promise<void> {
  const writes: Promise<void>[] = [];
  for (let i = 0; i < 500; i++) writes.push(database.put(keyOf((i * 7) % KEYS), valueOf(1000, i)));
  await Promise.all(writes);
}

const situations: Record<Exclude<Situation, 'opening'>, (database: Database) => Promise<void> | void> = {
  nothing: ignore,
  writing: writeForever,

  'writing a large batch'(database) {
    const operations = Array.from({ length: 4 }, (_, i) => {
      return { type: 'put' as const, key: `large ${i}`, value: valueOf(1_000_000, i) };
    });
    for (let i = 0; i < 4; i++) database.batch(operations).catch(ignore);
    writeForever(database);
  },

  async flushing(database) {
    await fill(database);
    database.flush().catch(ignore);
    writeForever(database);
  },

  async compacting(database) {
    await fill(database);
    await database.flush();
    database.compactRange().catch(ignore);
    writeForever(database);
  },

  async 'reading from the disk'(database) {
    await fill(database);
    await database.flush();
    const read = (i: number): void => {
      if (isOver) return;
      database.get(keyOf(i % KEYS)).then(() => read(i + 61), ignore);
    };
    for (let i = 0; i < IN_FLIGHT; i++) read(i);
    held.push(database.getMany(Array.from({ length: 200 }, (_, i) => keyOf(i))).catch(ignore));
  },

  async iterating(database) {
    await fill(database);
    await database.flush();
    for (let i = 0; i < 6; i++) {
      const iterator = database.iterator({ reverse: i % 2 === 0, gte: keyOf(i * 100) });
      const step = (): void => {
        iterator.nextv(50).then((items) => (items.length > 0 ? step() : undefined), ignore);
      };
      step();
      held.push(iterator, database.snapshot());
    }
    writeForever(database);
  },

  async closing(database) {
    await fill(database);
    writeForever(database);
    database.close().catch(ignore);
  },
};

async function work(): Promise<Database | undefined> {
  const opening = Database.open(task.directory, options);
  held.push(opening);
  if (task.situation === 'opening') {
    opening.then((database) => held.push(database), ignore);
    return undefined;
  }
  const database = await opening;
  held.push(database);
  for (let i = 0; i < COUNTED_BEFORE; i++) await counted(database, i);
  await situations[task.situation](database);
  return database;
}

/** Each ends what it runs in; the thread that lives on ends the other one. */
const endings: Record<Ending, (database: Database | undefined) => Promise<void> | void> = {
  async close(database) {
    await (database ?? (await Database.open(task.directory, options).catch(ignore)))?.close();
    // What was opened and not given to anybody is closed by itself.
  },
  'nothing more to do'() {
    isOver = true;
  },
  'process.exit': () => process.exit(7),
  'uncaught exception': () => void setImmediate(() => fail('nobody catches this')),
  'unhandled rejection': () => void Promise.reject(new Error('nobody handles this')),
  async SIGTERM() {
    process.kill(process.pid, 'SIGTERM');
    // The signal is on its way; nothing else is to end the process.
    await delay(60_000);
  },
  async 'thread: terminate'() {
    parentPort?.postMessage('terminate me');
    await delay(60_000);
  },
  'thread: process.exit': () => process.exit(3),
  'thread: uncaught exception': () => void setImmediate(() => fail('nobody catches this')),
};

function fail(message: string): never {
  throw new Error(message);
}

async function workAndEnd(): Promise<void> {
  const database = await work();
  await delay(task.delayMs);
  note(`${ENDING_LINE} ${Date.now()}`);
  await endings[task.ending](database);
}

/** Runs the task in a thread, outlives that, and opens the database itself. */
async function outlive(): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: task });
  const ended = new Promise<string>((resolve) => {
    let cause = '';
    worker.once('error', (error) => {
      cause = error.message;
    });
    worker.once('exit', (code) => resolve(`${code} ${cause}`.trim()));
  });
  worker.once('message', () => void worker.terminate());
  const end = await ended;
  const expected = {
    'thread: terminate': '1',
    'thread: process.exit': '3',
    'thread: uncaught exception': '1 nobody catches this',
  }[task.ending as string];
  if (end !== expected) throw new Error(`the thread ended with ${end}, not with ${String(expected)}`);
  const database = await Database.open(task.directory, options);
  await database.put(`outlived ${task.generation}`, 'yes');
  await database.close();
}

if (isMainThread && task.ending.startsWith('thread:')) await outlive();
else await workAndEnd();
