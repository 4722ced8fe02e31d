/** TIMEOUT: never early, bounded, beside other operations, on all rings. */
import { constants as os } from 'node:os';
import { constants as fs, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import test from 'ava';
import { native } from '../../src/native.ts';
import { plainRing } from '../../src/protocol/plain-ring.ts';
import {
  COMPLETION_BUFFER,
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  FLAG_ASYNC,
  FLAG_IDLE,
  FLAG_LINK,
  FLAG_SELECT,
  OPCODE_NOP,
  OPCODE_READ,
  OPCODE_TIMEOUT,
  OPCODE_WRITE,
  RECORD_WORDS,
  TIMEOUT_MICROSECONDS_MAX,
  WORD_FLAGS,
  WORD_LENGTH,
  WORD_OPCODE,
  WORD_USER_DATA,
} from '../../src/workers/ring.ts';
import { createRing } from '../../src/workers/native-ring.ts';
import { RoleIo } from '../../src/workers/role-io.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { SimulatedRing } from '../support/simulated-ring.ts';
import { Random, testSeed } from '../support/random.ts';
import { onBoth } from './on-both.ts';
import { Fixture, openFixture, openPipe, SELECT_BYTES, selectRead, type Operation } from './ring-fixture.ts';

const { EINVAL, ECANCELED } = os.errno;
/** No wait of these tests takes so long unless something waits for the wrong thing. */
const LATE_MS = 900;

function timeout(microseconds: number, change: Partial<Operation> = {}): Operation {
  return { opcode: OPCODE_TIMEOUT, file: -1, length: microseconds, ...change };
}

function millisecondsOf(body: () => void): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

onBoth('a timeout completes with 0 when its time has passed, and not before', (t, { fixture }) => {
  for (const microseconds of [0, 1, 999, 1000, 30_000, TIMEOUT_MICROSECONDS_MAX]) {
    const milliseconds = millisecondsOf(() => t.deepEqual(fixture.run(timeout(microseconds)), [0]));
    t.true(
      milliseconds >= microseconds / 1000 && milliseconds < LATE_MS,
      `${microseconds}: ${milliseconds} ms`,
    );
  }
});

onBoth('a batch of timeouts takes as long as the longest of them', (t, { fixture }) => {
  const batch = Array.from({ length: 8 }, (_, i) => timeout(TIMEOUT_MICROSECONDS_MAX - 1000 * i));
  const milliseconds = millisecondsOf(() => t.deepEqual(fixture.run(...batch), new Array<number>(8).fill(0)));
  t.true(milliseconds >= 100 && milliseconds < 700, `${milliseconds} ms`);
});

for (const [what, microseconds] of [
  ['one microsecond too long', TIMEOUT_MICROSECONDS_MAX + 1],
  ['far too long', 2 ** 31 - 1],
  ['negative', -1],
] as const) {
  onBoth(`a timeout that is ${what} is refused at once`, (t, { fixture }) => {
    const milliseconds = millisecondsOf(() =>
      t.deepEqual(fixture.run({ opcode: OPCODE_NOP }, timeout(microseconds)), [0, -EINVAL]),
    );
    t.true(milliseconds < LATE_MS, `${milliseconds} ms`);
    t.deepEqual(fixture.run(timeout(10)), [0]);
  });
}

onBoth('a timeout in a chain is refused, and cancels the chain', (t, { fixture }) => {
  const nop = { opcode: OPCODE_NOP, flags: FLAG_LINK };
  const end = { opcode: OPCODE_NOP };
  const linked = timeout(1000, { flags: FLAG_LINK });
  t.deepEqual(fixture.run(linked, end, end), [-EINVAL, -ECANCELED, 0]);
  t.deepEqual(fixture.run(nop, linked, end, end), [-ECANCELED, -EINVAL, -ECANCELED, 0]);
  t.deepEqual(fixture.run(nop, timeout(1000), end), [-ECANCELED, -EINVAL, 0]);
  t.deepEqual(fixture.run(end, linked), [0, -EINVAL]);
});

onBoth('flags that are for reads and writes do not matter to a timeout; selecting does', (t, { fixture }) => {
  t.deepEqual(fixture.run(timeout(1000, { flags: FLAG_ASYNC | FLAG_IDLE | 200 })), [0]);
  t.deepEqual(fixture.run(timeout(1000, { flags: FLAG_SELECT })), [-EINVAL]);
});

onBoth(
  'operations beside a timeout are themselves',
  (t, { fixture, open }) => {
    const file = open('data', fs.O_CREAT | fs.O_RDWR);
    fixture.memory.fill(7, 0, SELECT_BYTES);
    const write = { opcode: OPCODE_WRITE, file, length: SELECT_BYTES };
    t.deepEqual(
      fixture.run(timeout(5000), write, timeout(0), { opcode: OPCODE_READ, file: -1, length: 8 }).slice(0, 3),
      [0, SELECT_BYTES, 0],
    );
    const [first, second, third] = fixture.runWithBuffers(
      timeout(2000),
      selectRead(file, 2 * SELECT_BYTES),
      timeout(3000),
    );
    t.deepEqual([first.result, first.buffer, third.result, third.buffer], [0, -1, 0, -1]);
    t.deepEqual([second.result, second.buffer], [SELECT_BYTES, 2 * SELECT_BYTES]);
    t.true(fixture.memory.subarray(2 * SELECT_BYTES, 3 * SELECT_BYTES).every((byte) => byte === 7));
  },
  { selectBytes: SELECT_BYTES },
);

onBoth('no timeout of many is early, whatever shares its place in the queue', (t, { fixture }) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const total = 200;
  const due: number[] = [];
  let completed = 0;
  for (let turns = 0; completed < total; turns++) {
    if (turns > 1000) throw new Error(`${total - completed} timeouts did not complete`);
    // Up to 48 at once, which is more than the submission queue holds, in batches of all lengths.
    const room = Math.min(fixture.entries, 48 - (due.length - completed), total - due.length);
    const now = performance.now();
    for (let batch = random.below(room + 1); batch > 0; batch--) {
      const microseconds = random.oneIn(4) ? 0 : random.below(12_000);
      fixture.add(timeout(microseconds), due.length);
      due.push(now + microseconds / 1000);
    }
    for (const [userData, result] of fixture.turn(due.length > completed ? 1_000_000 : 0)) {
      const lateness = performance.now() - due[userData];
      if (result !== 0 || lateness < 0 || lateness > LATE_MS) t.fail(`${result} after ${lateness} ms`);
      completed++;
    }
  }
  t.pass();
});

for (const singleIssuer of [true, false]) {
  const how = singleIssuer ? 'single issuer' : 'several issuers';

  test(`a turn with nothing but a timeout in flight waits for it (${how})`, (t) => {
    const fixture = openFixture(t, 'Ring', { singleIssuer });
    const start = performance.now();
    fixture.add(timeout(40_000), 11);
    t.deepEqual(fixture.turn(), []);
    let completions: [number, number][] = [];
    let turns = 0;
    while (completions.length === 0 && turns++ < 30) completions = fixture.turn(1_000_000);
    const milliseconds = performance.now() - start;
    t.deepEqual(completions, [[11, 0]]);
    t.true(turns <= 2, 'it sleeps meanwhile');
    t.true(milliseconds >= 40 && milliseconds < LATE_MS, `${milliseconds} ms`);
    t.deepEqual(fixture.turn(1000), []);
  });

  test(`a wake-up ends a wait for a timeout, and the timeout is still to come (${how})`, (t) => {
    const fixture = openFixture(t, 'Ring', { singleIssuer });
    const start = performance.now();
    fixture.add(timeout(TIMEOUT_MICROSECONDS_MAX), 12);
    t.deepEqual(fixture.turn(), []);
    native.wakeEventfd(fixture.eventfd);
    const woken = fixture.turn(1_000_000);
    t.true(woken.length === 0 || performance.now() - start >= 100, 'woken before the timeout ended');
    const completions = [...woken];
    for (let turns = 0; completions.length === 0 && turns < 30; turns++) {
      completions.push(...fixture.turn(1_000_000));
    }
    t.deepEqual(completions, [[12, 0]]);
    t.true(performance.now() - start >= 100);
  });

  test(`timeouts end in the order of their times beside a read that does not (${how})`, (t) => {
    const fixture = openFixture(t, 'Ring', { singleIssuer });
    const { reader, writer } = openPipe(t);
    fixture.add(timeout(90_000), 1);
    fixture.add({ opcode: OPCODE_READ, file: reader, length: 1 }, 2);
    fixture.add(timeout(20_000), 3);
    const order: [number, number][] = [];
    for (let turns = 0; order.length < 2 && turns < 30; turns++) order.push(...fixture.turn(1_000_000));
    t.deepEqual(order, [
      [3, 0],
      [1, 0],
    ]);
    writeSync(writer, 'x');
    for (let turns = 0; order.length < 3 && turns < 30; turns++) order.push(...fixture.turn(1_000_000));
    t.deepEqual(order[2], [2, 1]);
  });
}

test('a close with timeouts in flight waits for them and no longer', (t) => {
  const fixture = new Fixture('Ring');
  for (let i = 0; i < 8; i++) fixture.add(timeout(TIMEOUT_MICROSECONDS_MAX));
  fixture.turn();
  t.throws(
    () => {
      fixture.ring.attach(1, fixture.memory, 0, 0, 0);
    },
    { code: 'EBUSY' },
  );
  const milliseconds = millisecondsOf(() => {
    fixture.close();
  });
  t.true(milliseconds < LATE_MS, `${milliseconds} ms`);
});

test('a close took many completions, one after the other, for a long time', (t) => {
  const fixture = new Fixture('Ring', { entries: 256 });
  // Each ends alone. The first second cancels nothing, however many ends there are in it.
  const microseconds = Array.from({ length: 200 }, (_, i) => TIMEOUT_MICROSECONDS_MAX - i * 400);
  for (const length of microseconds) fixture.add(timeout(length));
  fixture.turn();
  const milliseconds = millisecondsOf(() => {
    fixture.close();
  });
  t.true(milliseconds >= TIMEOUT_MICROSECONDS_MAX / 1000 - 10, `${milliseconds} ms`);
});

for (const backend of ['uring', 'syscall'] as const) {
  test(`a role waits with it (${backend})`, (t) => {
    const eventfd = native.createEventfd();
    const ring = createRing({
      backend,
      entries: 8,
      eventfd,
      ...plainRing(),
    });
    t.teardown(() => {
      ring.close();
      native.closeDescriptor(eventfd);
    });
    const io = new RoleIo(ring, { tasksMax: 2, recordsPerTask: 4 });
    io.enter(1);
    const start = performance.now();
    const index = io.timeout(10_000);
    let completed = ring.turn(io.batchLength, 0);
    for (let turns = 0; completed === 0 && turns < 30; turns++) completed = ring.turn(0, 1_000_000);
    t.is(completed, 1);
    const { completions } = ring;
    const [userData, result, buffer] = [COMPLETION_USER_DATA, COMPLETION_RESULT, COMPLETION_BUFFER];
    t.is(io.settle(completions[userData], completions[result], completions[buffer]), 1);
    t.is(io.result(index), 0);
    t.true(performance.now() - start >= 10);
    t.throws(() => io.timeout(TIMEOUT_MICROSECONDS_MAX + 1), { message: /a timeout is short/ });
  });
}

test('in memory a timeout completes like everything else, or is refused like elsewhere', (t) => {
  const steps: number[] = [];
  const ring = new SimulatedRing({
    entries: 8,
    disk: new SimulatedDisk(),
    random: () => 0.999,
    onStep: ({ opcode }) => steps.push(opcode),
  });
  const run = (...batch: Operation[]): [number, number][] => {
    batch.forEach(({ opcode, length = 0, flags = 0 }, i) => {
      const at = i * RECORD_WORDS;
      ring.records[at + WORD_OPCODE] = opcode;
      ring.records[at + WORD_LENGTH] = length;
      ring.records[at + WORD_FLAGS] = flags;
      ring.records[at + WORD_USER_DATA] = i;
    });
    const completed: [number, number][] = [];
    // A chain goes one step a turn here.
    for (let turns = 0; turns < batch.length; turns++) {
      const count = ring.turn(turns === 0 ? batch.length : 0);
      for (let i = 0; i < count; i++) completed.push([ring.completions[3 * i], ring.completions[3 * i + 1]]);
    }
    return completed.sort(([a], [b]) => a - b);
  };
  t.deepEqual(run(timeout(TIMEOUT_MICROSECONDS_MAX), timeout(0)), [
    [0, 0],
    [1, 0],
  ]);
  t.is(steps.length, 2, 'a test can stop the disk there');
  t.deepEqual(run(timeout(TIMEOUT_MICROSECONDS_MAX + 1), timeout(-1)), [
    [0, -EINVAL],
    [1, -EINVAL],
  ]);
  const chain = run({ opcode: OPCODE_NOP, flags: FLAG_LINK }, timeout(1));
  t.deepEqual(chain[1], [1, -EINVAL]);
});
