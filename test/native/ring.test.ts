/** The ring itself: set-up, waits, bounds, and its end in every way there is. */
import { constants as os } from 'node:os';
import {
  closeSync,
  constants as fs,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { native, type NativeRing } from '../../src/native.ts';
import { RING_COUNTERS } from '../../src/protocol/ring-counters.ts';
import { COMPLETION_WORDS, OPCODE_NOP, OPCODE_READ } from '../../src/workers/ring.ts';
import {
  BACKENDS,
  Fixture,
  MIB,
  openFixture,
  openPipe,
  sharedMemory,
  temporaryDirectory,
} from './ring-fixture.ts';
import type { WakerData } from './waker.ts';

const { EINVAL } = os.errno;
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** A thread that wakes this one once it sleeps in the ring; see waker.ts. */
function startWaker(what: Partial<WakerData>): { readonly worker: Worker; readonly done: Int32Array } {
  const done = new Int32Array(new SharedArrayBuffer(4));
  const workerData: WakerData = { eventfd: -1, pipe: -1, ...what, done };
  return { worker: new Worker(new URL(`./waker${EXTENSION}`, import.meta.url), { workerData }), done };
}

function ended(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once('exit', resolve).once('error', reject);
  });
}

function timed<T>(body: () => T): { readonly value: T; readonly milliseconds: number } {
  const start = performance.now();
  const value = body();
  return { value, milliseconds: performance.now() - start };
}

// ---- making one

test('the kernel gives the flags of one of the tiers', (t) => {
  const { flags, entries, completionEntries } = openFixture(t, 'Ring', { polling: null }).ring.describe();
  t.is(entries, 8);
  t.true(completionEntries >= 16);
  if (flags.includes('DEFER_TASKRUN')) t.true(flags.includes('SINGLE_ISSUER'));
  if (flags.includes('NO_SQARRAY')) t.true(flags.includes('DEFER_TASKRUN'));
  t.false(flags.includes('SINGLE_ISSUER') && flags.includes('COOP_TASKRUN'));
});

test('singleIssuer: false leaves out what rests on one thread, and works', (t) => {
  const fixture = openFixture(t, 'Ring', { singleIssuer: false });
  const { flags } = fixture.ring.describe();
  t.false(flags.includes('SINGLE_ISSUER'));
  t.false(flags.includes('DEFER_TASKRUN'));
  t.deepEqual(fixture.run({ opcode: OPCODE_NOP }, { opcode: OPCODE_NOP }), [0, 0]);
});

test('system calls have no flags', (t) => {
  t.deepEqual(openFixture(t, 'SystemCalls').ring.describe(), {
    flags: [],
    entries: 8,
    completionEntries: 8,
    registeredBytes: 0,
    registrationRefusal: null,
    fixedFiles: 0,
    fixedFilesRefusal: null,
    providedBuffers: 0,
    providedBuffersRefusal: null,
    idlePriority: true,
    idlePriorityRefusal: null,
    descriptor: -1,
    pollingRefusal: null,
    workersMax: 0,
    workersRefusal: null,
    pollerFlags: [],
    pollerRefusal: null,
  });
});

for (const backend of BACKENDS) {
  test(`options that do not fit are refused (${backend})`, (t) => {
    const good = {
      entries: 8,
      records: new Int32Array(64),
      names: new Uint8Array(1024),
      completions: new Int32Array(96),
      counters: new Float64Array(RING_COUNTERS),
      polling: null,
      workers: null,
      pollsCompletions: false,
      eventfd: openFixture(t, 'SystemCalls').eventfd,
      singleIssuer: true,
    };
    const make = (change: object) => () => new native[backend]({ ...good, ...change });
    make({})().close();
    for (const entries of [0, 4, 12, 512, -8, NaN]) t.throws(make({ entries }), { instanceOf: RangeError });
    t.throws(make({ records: new Int32Array(63) }), { instanceOf: RangeError });
    t.throws(make({ names: new Uint8Array(1023) }), { instanceOf: RangeError });
    t.throws(make({ completions: new Int32Array(95) }), { instanceOf: RangeError });
    t.throws(make({ eventfd: -1 }), { instanceOf: RangeError });
    t.throws(make({ counters: new Float64Array(RING_COUNTERS - 1) }), { instanceOf: TypeError });
    const polling = { idleMilliseconds: 1, cpu: -1, sharedWith: -1 };
    for (const wrong of [{ idleMilliseconds: 0 }, { cpu: -2 }, { sharedWith: -2 }]) {
      t.throws(make({ polling: { ...polling, ...wrong } }), { instanceOf: RangeError });
    }
    for (const name of ['records', 'names', 'completions', 'counters']) {
      t.throws(make({ [name]: new Float32Array(1024) }), { instanceOf: TypeError });
      t.throws(make({ [name]: undefined }), { instanceOf: TypeError });
    }
    t.throws(() => new (native[backend] as new () => unknown)(), { instanceOf: TypeError });
  });

  test(`arguments that do not fit are refused (${backend})`, (t) => {
    const { ring, memory } = openFixture(t, backend);
    const turn = ring.turn as (...values: unknown[]) => number;
    for (const count of [-1, 9, 2 ** 31, 2 ** 32, NaN, Infinity])
      t.throws(() => turn(count, 0), { instanceOf: RangeError });
    t.throws(() => turn(0, -1), { instanceOf: RangeError });
    t.throws(() => turn('1', 0), { instanceOf: TypeError });
    t.throws(() => turn(), { instanceOf: TypeError });
    for (const region of [-1, 16])
      t.throws(
        () => {
          ring.attach(region, memory, 0, 0, 0);
        },
        { instanceOf: RangeError },
      );
    t.throws(
      () => {
        ring.attach(0, memory, 4096, MIB, 0);
      },
      { instanceOf: RangeError },
    );
    t.throws(
      () => {
        ring.attach(0, memory, 0, 4096, 0);
      },
      { instanceOf: RangeError },
    );
    t.throws(
      () => {
        ring.attach(0, memory, 3 * MIB, 2 * MIB, 0);
      },
      { instanceOf: RangeError },
    );
    for (const selectBytes of [-4096, 100, 6000, MIB + 4096, NaN])
      t.throws(
        () => {
          ring.attach(0, memory, 0, 0, selectBytes);
        },
        { instanceOf: RangeError },
      );
    t.throws(
      () => {
        ring.attach(0, new Float64Array(8) as unknown as Uint8Array, 0, 0, 0);
      },
      { instanceOf: TypeError },
    );
    t.is(ring.turn(0, 0), 0);
  });

  test(`a closed one can only be closed again (${backend})`, (t) => {
    const fixture = new Fixture(backend);
    const { ring, memory } = fixture;
    fixture.close();
    ring.close();
    const closed = { message: /closed/ };
    t.throws(() => ring.turn(0, 0), closed);
    t.throws(() => ring.describe(), closed);
    t.throws(() => {
      ring.attach(0, memory, 0, 0, 0);
    }, closed);
  });

  test(`what another thread gets of it is no ring (${backend})`, (t) => {
    const { ring } = openFixture(t, backend);
    const copy = structuredClone(ring) as Partial<NativeRing>;
    t.is(copy.turn, undefined);
    t.is(copy.close, undefined);
    const { describe, close, attach } = ring;
    const other = openFixture(t, backend === 'Ring' ? 'SystemCalls' : 'Ring').ring;
    for (const method of [describe, close, attach]) {
      for (const receiver of [copy, other, undefined]) {
        t.throws(
          () => {
            Reflect.apply(method, receiver, [0, new Uint8Array(8), 0, 0, 0]);
          },
          { instanceOf: TypeError },
        );
      }
    }
    t.is(ring.turn(0, 0), 0);
  });

  // ---- waits

  test(`a wait ends at its bound (${backend})`, (t) => {
    const fixture = openFixture(t, backend);
    const { value, milliseconds } = timed(() => fixture.turn(50_000));
    t.deepEqual(value, []);
    t.true(milliseconds >= 49 && milliseconds < 900, `${milliseconds} ms`);
  });

  test(`a wait is never longer than a second (${backend})`, (t) => {
    const fixture = openFixture(t, backend);
    const { milliseconds } = timed(() => fixture.turn(30_000_000));
    t.true(milliseconds >= 990 && milliseconds < 10_000, `${milliseconds} ms`);
  });

  test(`a turn that has a completion does not wait (${backend})`, (t) => {
    const fixture = openFixture(t, backend);
    for (let i = 0; i < fixture.entries; i++) fixture.add({ opcode: OPCODE_NOP });
    const { value, milliseconds } = timed(() => fixture.turn(1_000_000));
    t.is(value.length, fixture.entries);
    t.true(milliseconds < 900, `${milliseconds} ms`);
    fixture.add({ opcode: -1 });
    t.true(timed(() => fixture.turn(1_000_000)).milliseconds < 900);
  });

  test(`a wake-up before the wait ends it, and does not end every later one (${backend})`, (t) => {
    const fixture = openFixture(t, backend);
    for (let round = 0; round < 3; round++) {
      native.wakeEventfd(fixture.eventfd);
      native.wakeEventfd(fixture.eventfd);
      const woken = timed(() => fixture.turn(1_000_000));
      t.deepEqual(woken.value, []);
      t.true(woken.milliseconds < 900, `${woken.milliseconds} ms`);
      // Without DEFER_TASKRUN each of the two wake-ups may end a wait of its own; there are no more of them.
      const later = [1, 2].map(() => timed(() => fixture.turn(20_000)).milliseconds);
      t.true(later[1] >= 19, later.join(' ms, '));
    }
  });
}

test('a wake-up from another thread ends a wait that has begun', async (t) => {
  const fixture = openFixture(t, 'Ring');
  for (let round = 0; round < 3; round++) {
    const { worker, done } = startWaker({ eventfd: fixture.eventfd });
    const exit = ended(worker);
    Atomics.wait(done, 0, 0);
    // The thread wakes this one only after it saw it asleep; nothing else can set the word while a turn waits.
    for (let turns = 0; Atomics.load(done, 0) !== 2 && turns < 30; turns++)
      t.deepEqual(fixture.turn(1_000_000), []);
    t.is(Atomics.load(done, 0), 2);
    t.is(await exit, 0);
  }
});

test('a completion ends a wait that has begun, and the wake-up stays armed for the next one', async (t) => {
  const fixture = openFixture(t, 'Ring');
  const { reader, writer } = openPipe(t);
  fixture.add({ opcode: OPCODE_READ, file: reader, length: 1 }, 42);
  t.deepEqual(fixture.turn(), []);
  const { worker, done } = startWaker({ pipe: writer });
  const exit = ended(worker);
  Atomics.wait(done, 0, 0);
  let completions: [number, number][] = [];
  for (let turns = 0; completions.length === 0 && turns < 30; turns++) completions = fixture.turn(1_000_000);
  t.deepEqual(completions, [[42, 1]]);
  t.is(fixture.memory[0], 'x'.charCodeAt(0));
  t.is(await exit, 0);
  native.wakeEventfd(fixture.eventfd);
  t.true(timed(() => fixture.turn(1_000_000)).milliseconds < 900);
});

// ---- bounds

test('completions that do not fit wait for the next turn', (t) => {
  // With DEFER_TASKRUN the kernel would hand over some 20 at a time.
  const fixture = openFixture(t, 'Ring', { singleIssuer: false });
  const { reader, writer } = openPipe(t);
  const fits = fixture.completions.length / COMPLETION_WORDS;
  const total = fits + 16;
  t.true(
    fixture.ring.describe().completionEntries >= total + 8,
    'needs CQSIZE, which every kernel since 5.5 has',
  );
  for (let read = 0; read < total; read++) {
    fixture.add({ opcode: OPCODE_READ, file: reader, bufferOffset: read, length: 1 }, read);
    if ((read + 1) % fixture.entries === 0) t.deepEqual(fixture.turn(), []);
  }
  writeSync(writer, 'y'.repeat(total));
  const seen = new Set<number>();
  const counts: number[] = [];
  for (let turns = 0; seen.size < total && turns < 30; turns++) {
    // A refused record takes its place among them.
    if (turns === 0) fixture.add({ opcode: -1 }, 1000);
    const completions = fixture.turn(1_000_000);
    counts.push(completions.length);
    for (const [userData, result] of completions) {
      t.is(result, userData === 1000 ? -EINVAL : 1);
      if (userData !== 1000) seen.add(userData);
    }
  }
  t.is(seen.size, total);
  // A slow machine hands over fewer than there is room for.
  t.true(Math.max(...counts) <= fits);
  t.is(
    counts.reduce((sum, count) => sum + count),
    total + 1,
  );
});

test('more cannot be put in flight than completions have room for', (t) => {
  const fixture = openFixture(t, 'Ring');
  const { reader, writer } = openPipe(t);
  const { completionEntries } = fixture.ring.describe();
  let inFlight = 0;
  t.throws(
    () => {
      for (; inFlight <= completionEntries; inFlight++) {
        fixture.add({ opcode: OPCODE_READ, file: reader, length: 1 });
        fixture.turn();
      }
    },
    { instanceOf: RangeError },
  );
  t.true(inFlight >= completionEntries - 8 && inFlight < completionEntries);
  writeSync(writer, 'z'.repeat(inFlight));
  for (let turns = 0; inFlight > 0 && turns < completionEntries; turns++) {
    inFlight -= fixture.turn(1_000_000).length;
  }
  t.is(inFlight, 0);
  t.deepEqual(fixture.run({ opcode: OPCODE_NOP }), [0]);
});

test('nothing can be attached while something is in flight', (t) => {
  const fixture = openFixture(t, 'Ring');
  const { reader, writer } = openPipe(t);
  fixture.add({ opcode: OPCODE_READ, file: reader, length: 1 });
  fixture.turn();
  t.throws(
    () => {
      fixture.ring.attach(1, fixture.memory, 0, 0, 0);
    },
    { code: 'EBUSY' },
  );
  writeSync(writer, 'x');
  t.is(fixture.turn(1_000_000).length, 1);
  fixture.ring.attach(1, fixture.memory, 0, 0, 0);
});

// ---- fixed buffers

test('what is attached is registered, and replaced when it is attached again', (t) => {
  const fixture = openFixture(t, 'Ring');
  const { ring } = fixture;
  const registered = () => {
    const { registeredBytes, registrationRefusal } = ring.describe();
    t.is(registrationRefusal, null);
    return registeredBytes / MIB;
  };
  const path = join(temporaryDirectory(t), 'data');
  writeFileSync(path, 'fixed');
  const file = openSync(path, fs.O_RDONLY);
  t.teardown(() => {
    closeSync(file);
  });
  t.is(registered(), 0);
  ring.attach(1, sharedMemory(MIB), 0, MIB, 0);
  for (let round = 0; round < 20; round++) {
    fixture.turn(1000); // arms the read of the eventfd
    const memory = sharedMemory(2 * MIB);
    ring.attach(0, memory, MIB, MIB, 0);
    t.is(registered(), 2);
    t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, bufferOffset: MIB, length: 5 }), [5]);
    t.is(Buffer.from(memory.slice(MIB, MIB + 5)).toString(), 'fixed');
    t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, bufferOffset: MIB - 2, length: 5 }), [5]);
  }
  ring.attach(0, sharedMemory(MIB), 0, 0, 0);
  t.is(registered(), 1);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: 5 }), [5]);
});

// ---- the end

test('a close with reads of a file in flight waits for them', (t) => {
  const path = join(temporaryDirectory(t), 'data');
  writeFileSync(path, Buffer.alloc(4 * MIB, 1));
  for (let round = 0; round < 20; round++) {
    const fixture = new Fixture('Ring', { fixedLength: 2 * MIB });
    const file = openSync(path, fs.O_RDONLY | fs.O_DIRECT);
    for (let i = 0; i < 8; i++)
      fixture.add({ opcode: OPCODE_READ, file, bufferOffset: (i * MIB) / 2, length: MIB / 2 });
    fixture.turn();
    fixture.close();
    // Whatever was read is there now; nothing comes later.
    const after = fixture.memory.slice();
    fixture.memory.fill(7);
    t.true(after.every((byte) => byte === 1));
    closeSync(file);
    t.true(fixture.memory.every((byte) => byte === 7));
  }
});

test('a close with reads in flight that never end cancels them', (t) => {
  const fixture = new Fixture('Ring');
  const { reader, writer } = openPipe(t);
  for (let i = 0; i < 8; i++) fixture.add({ opcode: OPCODE_READ, file: reader, bufferOffset: i, length: 1 });
  fixture.turn(1000);
  const { milliseconds } = timed(() => {
    fixture.close();
  });
  t.true(milliseconds > 500 && milliseconds < 8000, `${milliseconds} ms`);
  writeSync(writer, 'late');
  t.true(fixture.memory.every((byte) => byte === 0));
});

test('a ring leaves no descriptor behind', (t) => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  new Fixture('Ring').close();
  const before = descriptors();
  for (let round = 0; round < 50; round++) {
    const fixture = new Fixture('Ring');
    fixture.turn(1);
    fixture.close();
  }
  t.is(descriptors(), before);
});

test('an eventfd that was closed is an error, not an endless wake-up', (t) => {
  for (const backend of BACKENDS) {
    const fixture = new Fixture(backend);
    native.closeDescriptor(fixture.eventfd);
    t.throws(() => fixture.turn(1000), { code: 'EBADF', message: /eventfd/ });
    t.throws(() => fixture.turn(1000), { code: 'EBADF' }, 'the error stays');
    fixture.ring.close();
  }
});

test('a descriptor that is no blocking eventfd is refused at once', (t) => {
  const options = {
    entries: 8,
    records: new Int32Array(64),
    names: new Uint8Array(1024),
    completions: new Int32Array(96),
    counters: new Float64Array(RING_COUNTERS),
    singleIssuer: true,
    polling: null,
    workers: null,
    pollsCompletions: false,
  };
  t.throws(() => new native.Ring({ ...options, eventfd: 1_000_000 }), { code: 'EBADF' });
  const { reader } = openPipe(t);
  const path = readFileSync(`/proc/self/fdinfo/${reader}`, 'utf8');
  t.regex(path, /flags/);
  const nonBlocking = openSync(`/proc/self/fd/${reader}`, fs.O_RDWR | fs.O_NONBLOCK);
  t.teardown(() => {
    closeSync(nonBlocking);
  });
  t.throws(() => new native.Ring({ ...options, eventfd: nonBlocking }), {
    code: 'EINVAL',
    message: /blocking/,
  });
});
