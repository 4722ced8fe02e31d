/**
 * What a process does in the tests of processes and threads: `lifecycle-child <scenario> <backend> <directory>`.
 * Scenarios that a test watches print a line when they are where it waits for them to be.
 */
import { Worker } from 'node:worker_threads';
import { Database } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

const [, , scenario, backend, directory] = process.argv as [string, string, string, Backend, string];
const open = (place = directory): Promise<Database> =>
  Database.open(place, { writeBufferBytes: 1 << 20, io: ioOf(backend) });

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const scenarios: Record<string, () => Promise<void>> = {
  /** Opens, writes, reads and does nothing more. */
  async idle() {
    const database = await open();
    await database.put('a', '1');
    await database.flush();
    await database.put('b', '2');
    await database.get('a');
    say('idle');
  },

  /** Calls put and forgets about it. */
  async unawaited() {
    const database = await open();
    for (let i = 0; i < 2000; i++) void database.put(keyOf(i), valueOf(1000, i));
    void database.put('large', valueOf(3 << 20, 1));
    void database.put('last', 'one');
  },

  /** Opens and forgets even the promise of that. */
  async unawaitedOpen() {
    void open().then(async (database) => {
      await database.put('a', '1');
      say('written');
    });
  },

  /** Reports what is acknowledged; exits in the middle of writing. */
  async exit() {
    const database = await open();
    writeForever(database);
    for (let i = 0; i < 300; i++)
      await database.put(`counted ${i}`, 'x').then(() => say(`acknowledged ${i}`));
    process.exit(7);
  },

  /** Exits with reads in flight, blocking and not. */
  async exitWhileReading() {
    const database = await open();
    for (let i = 0; i < 2000; i++) void database.put(keyOf(i), valueOf(1000, i));
    await database.flush();
    for (let i = 0; i < 2000; i++) void database.get(keyOf(i));
    database.getSync(keyOf(1));
    process.exit(7);
  },

  /** An error that nobody catches, with work in flight. */
  async uncaught() {
    const database = await open();
    writeForever(database);
    for (let i = 0; i < 100; i++)
      await database.put(`counted ${i}`, 'x').then(() => say(`acknowledged ${i}`));
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
  },

  /** Ends in the middle of opening. */
  async exitWhileOpening() {
    void open();
    await new Promise((resolve) => setImmediate(resolve));
    process.exit(7);
  },

  /** Threads of the caller that open databases and are terminated with work in flight, again and again. */
  async terminate() {
    for (let round = 0; round < 4; round++) {
      const place = `${directory}-${round}`;
      const worker = new Worker(new URL(import.meta.url), {
        argv: ['writer', backend, place],
        stdout: false,
      });
      await new Promise<void>((resolve, reject) => {
        worker.once('message', () => resolve()).once('error', reject);
        worker.once('exit', () => reject(new Error('the thread ended by itself')));
      });
      await worker.terminate();
      const database = await open(place);
      if (database.getString('a') !== '1') throw new Error('what was acknowledged is missing');
      await database.put('again', '1');
      await database.close();
    }
    say('terminated');
  },

  /** The thread that `terminate` terminates. */
  async writer() {
    const { parentPort } = await import('node:worker_threads');
    const database = await open();
    await database.put('a', '1');
    writeForever(database);
    parentPort?.postMessage('writing');
    parentPort?.on('message', () => undefined);
  },
};

/** Keeps a hundred writes and a few reads in flight. */
function writeForever(database: Database): void {
  let next = 0;
  const write = (): void => {
    database.put(keyOf(next % 5000), valueOf(2000, next++)).then(write, () => undefined);
    void database.get(keyOf(next % 1000)).catch(() => undefined);
  };
  for (let i = 0; i < 100; i++) write();
}

await scenarios[scenario]();
