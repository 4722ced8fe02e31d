/** Rings for which a thread of the kernel polls (SQPOLL): its own, and one that several share. */
import { closeSync, constants as fs, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { COUNTER_ENTERS, COUNTER_POLL_WAKE_UPS } from '../../src/protocol/ring-counters.ts';
import {
  FLAG_LINK,
  OPCODE_NOP,
  OPCODE_OPEN,
  OPCODE_RENAME,
  OPCODE_TIMEOUT,
  OPCODE_UNLINK,
} from '../../src/workers/ring.ts';
import { openFixture, POLLING, temporaryDirectory, type Fixture, type Operation } from './ring-fixture.ts';

const { EINVAL, ECANCELED, ENOENT } = os.errno;
/** What a chain may have at most; see native/ring_queue.cc. */
const CHAIN_MAX = 8;
/** Longer than a test takes: who has been woken stays awake. */
const LONG_IDLE_MS = 60_000;

/** Undefined, and a note, where the kernel lets nobody poll. */
function polled(
  t: ExecutionContext,
  sharedWith = -1,
  entries = 64,
  idleMilliseconds = POLLING.idleMilliseconds,
): Fixture | undefined {
  const polling = { ...POLLING, sharedWith, idleMilliseconds };
  const fixture = openFixture(t, 'Ring', { entries, polling, pollsCompletions: false });
  const { pollingRefusal, flags } = fixture.ring.describe();
  if (pollingRefusal === null) {
    t.true(flags.includes('SQPOLL'));
    return fixture;
  }
  t.false(flags.includes('SQPOLL'));
  t.pass(pollingRefusal);
  return undefined;
}

/** The kernel’s threads that poll are threads of this process, by a name of their own. */
function pollThreads(): number {
  return readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').startsWith('iou-sqp-');
    } catch {
      // It has ended meanwhile.
      return false;
    }
  }).length;
}

function link(operation: Operation): Operation {
  return { ...operation, flags: FLAG_LINK };
}

test.serial('two rings share a thread of the kernel, and each works when the other is closed', (t) => {
  const before = pollThreads();
  const first = polled(t);
  if (first === undefined) return;
  // It has its name when it has run.
  t.deepEqual(first.run({ opcode: OPCODE_NOP }), [0]);
  t.is(pollThreads(), before + 1);
  const second = polled(t, first.ring.describe().descriptor);
  t.true(second?.ring.describe().flags.includes('ATTACH_WQ'));
  t.is(pollThreads(), before + 1);
  t.deepEqual(second?.run({ opcode: OPCODE_NOP }, { opcode: OPCODE_NOP }), [0, 0]);
  first.ring.close();
  t.deepEqual(second?.run({ opcode: OPCODE_NOP }), [0]);
});

test('submitting enters the kernel only to wake the thread that polls', (t) => {
  const fixture = polled(t, -1, 64, LONG_IDLE_MS);
  if (fixture === undefined) return;
  const { counters } = fixture;
  let completed = 0;
  for (let batch = 0; batch < 2000; batch++) {
    fixture.add({ opcode: OPCODE_NOP });
    completed += fixture.turn().length;
  }
  t.is(counters[COUNTER_ENTERS], counters[COUNTER_POLL_WAKE_UPS]);
  t.true(counters[COUNTER_ENTERS] < 2000);
  while (completed < 2000) completed += fixture.turn(1_000_000).length;
});

/** Of 20 ms each: where all cores are taken, it may be late by seconds. */
const SLEEP_ROUNDS_MAX = 1000;

test('a thread that has gone to sleep is woken', (t) => {
  const fixture = polled(t);
  if (fixture === undefined) return;
  // It sleeps after a millisecond without work, if it gets the core for that long: the operation is what is waited for.
  for (let round = 1; fixture.counters[COUNTER_POLL_WAKE_UPS] === 0; round++) {
    if (round > SLEEP_ROUNDS_MAX) throw new Error('it never slept');
    t.deepEqual(fixture.run({ opcode: OPCODE_TIMEOUT, length: 20_000 }), [0]);
    t.deepEqual(fixture.run({ opcode: OPCODE_NOP }), [0]);
  }
  t.pass();
});

test('where a thread is shared, chains are whole wherever they begin', (t) => {
  const first = polled(t);
  if (first === undefined) return;
  const second = polled(t, first.ring.describe().descriptor);
  if (second === undefined) return;
  const fails = { opcode: OPCODE_UNLINK, file: openSync('/', fs.O_RDONLY), name: 'none' };
  try {
    for (let lone = 0; lone < 16; lone++) {
      for (const length of [2, 5, CHAIN_MAX]) {
        // The first of the chain cannot open what is not there, and so none of the rest may run.
        const chain: Operation[] = [link({ ...fails, opcode: OPCODE_OPEN, length: fs.O_RDONLY })];
        while (chain.length < length - 1) chain.push(link({ opcode: OPCODE_NOP }));
        chain.push({ opcode: OPCODE_NOP });
        const alone = Array.from({ length: lone }, () => ({ opcode: OPCODE_NOP }));
        const batch = [...alone, ...chain, ...alone];
        for (const ring of [first, second]) {
          for (const operation of batch) ring.add(operation);
        }
        for (const ring of [second, first]) {
          const results = new Map<number, number>();
          for (let turns = 0; results.size < batch.length; turns++) {
            if (turns > 30) throw new Error('operations did not complete');
            for (const [userData, result] of ring.turn(1_000_000)) results.set(userData, result);
          }
          t.deepEqual(
            batch.map((_, i) => results.get(i)),
            [...alone.map(() => 0), -ENOENT, ...chain.slice(1).map(() => -ECANCELED), ...alone.map(() => 0)],
          );
        }
      }
    }
  } finally {
    closeSync(fails.file);
  }
});

test('a chain that is longer than what the thread takes at once is refused', (t) => {
  const fixture = polled(t);
  if (fixture === undefined) return;
  const chain = Array.from({ length: CHAIN_MAX }, () => link({ opcode: OPCODE_NOP }));
  const results = fixture.run(...chain, { opcode: OPCODE_NOP }, { opcode: OPCODE_NOP });
  t.deepEqual(results, [...chain.map(() => -ECANCELED), -EINVAL, 0]);
});

test('names are those of their operation, however late it is looked at', (t) => {
  const fixture = polled(t, -1, 8);
  if (fixture === undefined) return;
  const directory = temporaryDirectory(t);
  const root = openSync(directory, fs.O_RDONLY | fs.O_DIRECTORY);
  t.teardown(() => {
    closeSync(root);
  });
  const flags = fs.O_CREAT | fs.O_RDWR | fs.O_EXCL;
  const results = new Map<number, number>();
  const take = (wait: number): void => {
    for (const [userData, result] of fixture.turn(wait)) results.set(userData, result);
  };
  const count = 400;
  const finish = (): void => {
    for (let turns = 0; results.size < count; turns++) {
      if (turns > 30) throw new Error('operations did not complete');
      take(1_000_000);
    }
  };
  // Batches of one, each published while those before it may still wait; room is the fixture’s own affair.
  const each = (operation: (i: number) => Operation): number[] => {
    results.clear();
    for (let i = 0; i < count; i++) {
      while (i - results.size >= 8) take(1_000_000);
      fixture.add(operation(i), i);
      take(0);
    }
    finish();
    return Array.from({ length: count }, (_, i) => results.get(i) ?? NaN);
  };
  const opened = each((i) => ({
    opcode: OPCODE_OPEN,
    file: root,
    length: flags,
    offset: 0o600,
    name: `file${i}`,
  }));
  t.true(opened.every((descriptor) => descriptor >= 0));
  const renamed = each((i) => ({
    opcode: OPCODE_RENAME,
    file: root,
    name: `file${i}`,
    secondName: `new${i}`,
  }));
  t.true(renamed.every((result) => result === 0));
  for (let i = 0; i < count; i++) t.true(existsSync(join(directory, `new${i}`)));
  t.is(readdirSync(directory).length, count);
});
