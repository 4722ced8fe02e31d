/**
 * Queues and doorbells between real threads. Each test runs for `QUADRING_STRESS_SECONDS` (1 by default).
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { StressCrew } from '../support/atomics-stress.ts';
import type { StressSetup } from '../support/atomics-stress-layout.ts';
import { Random, testSeed } from '../support/random.ts';

const DURATION_MS = 1000 * Number(process.env['QUADRING_STRESS_SECONDS'] ?? 1);
/** The counters pass 2^31 within the first moments of each test. */
const NEAR_THE_WRAP = 2 ** 31 - 100;

type Form = 'wait' | 'loop';
type Setup = Omit<StressSetup, 'seed' | 'counter'>;

async function withCrew(
  t: ExecutionContext,
  options: Setup,
  run: (crew: StressCrew, random: Random) => Promise<number>,
): Promise<void> {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const crew = await StressCrew.start({ ...options, seed, counter: NEAR_THE_WRAP });
  try {
    const began = performance.now();
    const count = await run(crew, new Random(seed));
    const seconds = (performance.now() - began) / 1000;
    const report = await crew.stop();
    t.log(
      `${count} records, ${Math.round(count / seconds)}/s; main thread: ${crew.sleeps} sleeps, woken ` +
        `${report.wakesOfMain} times; workers: ${report.sleeps} sleeps, woken ${crew.wakesOfWorkers} times`,
    );
    t.true(count > 0);
  } finally {
    await crew.terminate();
  }
}

/** Requests that are on their way: each must be answered exactly once, by the worker that it went to. */
class Ledger {
  readonly #workerOf = new Map<number, number>();
  readonly #outstandingOf: Int32Array;
  #nextId = 0x7fffff00;

  constructor(workers: number) {
    this.#outstandingOf = new Int32Array(workers);
  }

  get outstanding(): number {
    return this.#workerOf.size;
  }

  get nextId(): number {
    return this.#nextId;
  }

  outstandingOf(index: number): number {
    return this.#outstandingOf[index];
  }

  sent(index: number): void {
    this.#workerOf.set(this.#nextId, index);
    this.#outstandingOf[index]++;
    this.#nextId = (this.#nextId + 1) | 0;
  }

  readonly answered = (id: number, index: number): void => {
    if (this.#workerOf.get(id) !== index)
      throw new Error(`worker ${index} answered ${id}, which it did not have`);
    this.#workerOf.delete(id);
    this.#outstandingOf[index]--;
  };
}

/** Bursts of requests to random workers, answered in any order, with sleeps of the given form in between. */
async function exchange(
  crew: StressCrew,
  random: Random,
  setup: Setup,
  form: Form | 'mixed',
): Promise<number> {
  const ledger = new Ledger(setup.workers);
  const until = performance.now() + DURATION_MS;
  let answered = 0;
  const sleep = (): Promise<void> =>
    form === 'wait' || (form === 'mixed' && random.oneIn(2))
      ? crew.sleepInWait(() => crew.hasCompletions())
      : crew.sleepInLoop(() => crew.hasCompletions());
  while (performance.now() < until || ledger.outstanding > 0) {
    const burst = performance.now() < until ? random.between(0, random.oneIn(4) ? 200 : 4) : 0;
    for (let left = burst; left > 0; left--) {
      const index = random.below(setup.workers);
      // A worker may hold as many as its completion queue has room for; its request queue may be full before that.
      if (ledger.outstandingOf(index) === setup.capacity || !crew.submit(index, ledger.nextId)) break;
      ledger.sent(index);
      if (random.oneIn(16)) crew.publish();
    }
    crew.publish();
    // Sometimes nothing is outstanding when the burst ends, so that every worker parks.
    const target = random.oneIn(4) ? 0 : random.below(ledger.outstanding + 1);
    while (ledger.outstanding > target) {
      const count = crew.drain(random.between(1, 64), ledger.answered);
      answered += count;
      if (count === 0) await sleep();
    }
  }
  return answered;
}

for (const form of ['wait', 'loop', 'mixed'] as const) {
  for (const workersSleep of ['wait', 'kernel', 'mixed'] as const) {
    if ((form === 'mixed') !== (workersSleep === 'mixed')) continue;
    const setup = { workers: 2, capacity: 64, role: 'answer', workersSleep, batchMax: 32 } as const;
    test.serial(`both directions, main sleeps: ${form}, workers sleep: ${workersSleep}`, (t) =>
      withCrew(t, setup, (crew, random) => exchange(crew, random, setup, form)),
    );
  }
}

for (const workersSleep of ['wait', 'kernel'] as const) {
  const setup = { workers: 1, capacity: 1, role: 'answer', workersSleep, batchMax: 1 } as const;
  test.serial(`ping-pong of one record, both park every time, worker sleeps: ${workersSleep}`, (t) =>
    withCrew(t, setup, async (crew) => {
      const ledger = new Ledger(1);
      const until = performance.now() + DURATION_MS;
      let answered = 0;
      while (performance.now() < until) {
        if (!crew.submit(0, ledger.nextId)) throw new Error('a queue that had been emptied was full');
        ledger.sent(0);
        crew.publish();
        while (ledger.outstanding > 0) {
          const count = crew.drain(1, ledger.answered);
          answered += count;
          if (count === 0) await crew.sleepInWait(() => crew.hasCompletions());
        }
      }
      return answered;
    }),
  );
}

test.serial('four workers race to wake one thread', (t) => {
  const setup = { workers: 4, capacity: 16, role: 'answer', workersSleep: 'mixed', batchMax: 4 } as const;
  return withCrew(t, setup, (crew, random) => exchange(crew, random, setup, 'mixed'));
});

test.serial('a flood against a small queue: the producer parks until there is room', (t) => {
  const setup = { workers: 2, capacity: 16, role: 'flood', workersSleep: 'mixed', batchMax: 24 } as const;
  return withCrew(t, setup, async (crew, random) => {
    const until = performance.now() + DURATION_MS;
    const expected = new Int32Array(setup.workers);
    let received = 0;
    while (performance.now() < until) {
      const count = crew.drain(random.between(1, 16), (id, index) => {
        if (id !== expected[index]) throw new Error(`worker ${index} sent ${expected[index]}, ${id} arrived`);
        expected[index]++;
      });
      received += count;
      if (count > 0) crew.ringForRoom();
      else await crew.sleepInWait(() => crew.hasCompletions());
    }
    return received;
  });
});

test.serial('a stop word is never slept through', (t) => {
  const setup = { workers: 2, capacity: 16, role: 'answer', workersSleep: 'mixed', batchMax: 4 } as const;
  return withCrew(t, setup, async (crew, random) => {
    const until = performance.now() + DURATION_MS;
    let value = 0;
    while (performance.now() < until) {
      value++;
      const index = random.below(setup.workers);
      // The worker is on its way to sleep by now, or asleep: the moment is a different one each time.
      for (let idle = random.below(random.oneIn(2) ? 300 : 3000); idle > 0; idle--) Atomics.load(idleWord, 0);
      crew.setStop(index, value);
      const isAcknowledged = (): boolean => crew.acknowledged(index) === value;
      while (!isAcknowledged()) await crew.sleepInWait(isAcknowledged);
    }
    return value;
  });
});

const idleWord = new Int32Array(new SharedArrayBuffer(4));
