/**
 * The proof of the seams: owner and all four roles in one thread, over a disk in memory. The machine is stopped at I/O
 * steps of a run, the disk is what a crash leaves, and what a reopened database holds must be a prefix of what was
 * written that contains everything acknowledged.
 */
import test from 'ava';
import { Database } from '../../src/main/database.ts';
import type { DatabaseOptions } from '../../src/main/options.ts';
import { expectCode } from '../support/errors.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  Crash,
  SIMULATED_DIRECTORY,
  simulatedWorld,
  type SimulatedWorldOptions,
} from '../support/simulated-environment.ts';
import { Random, testSeed } from '../support/random.ts';
import type { RingStep } from '../support/simulated-ring.ts';

const OPTIONS: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 16_384 };
const KEYS = 60;
const ROUNDS = 20;

type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

/** What was asked for, in order; each step is one atomic write. */
interface History {
  readonly steps: Operation[][];
  /** Steps, counted from the first, that were acknowledged as durable. */
  acknowledged: number;
  finished: boolean;
}

function open(world: SimulatedWorldOptions): Promise<Database> {
  return Database.openIn(simulatedWorld(world).environment, SIMULATED_DIRECTORY, OPTIONS);
}

function randomOperation(random: Random, large: boolean): Operation {
  const key = `key-${random.below(KEYS)}`;
  if (random.below(5) === 0) return { type: 'del', key };
  const length = large ? 1_200_000 : random.below(3) === 0 ? random.below(9000) : random.below(80);
  return { type: 'put', key, value: `${random.bits()}:`.padEnd(length, 'v') };
}

/** Writes what the seed says. Ends early, without rejecting, when the machine stops. */
async function runWorkload(world: SimulatedWorldOptions, seed: number, history: History): Promise<void> {
  const random = new Random(seed);
  const database = await open(world);
  const pending: Promise<void>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const large = round === ROUNDS >> 1;
    const operations = Array.from({ length: large ? 2 : 1 + random.below(6) }, () =>
      randomOperation(random, large),
    );
    const sync = random.below(4) !== 0;
    const step = history.steps.push(operations);
    const [first] = operations as [Operation];
    const alone = operations.length === 1;
    const written = !alone
      ? database.batch(operations, { sync })
      : first.type === 'put'
        ? database.put(first.key, first.value, { sync })
        : database.del(first.key, { sync });
    pending.push(
      written.then(() => {
        if (sync) history.acknowledged = Math.max(history.acknowledged, step);
      }),
    );
    if (random.below(3) === 0) await Promise.all(pending.splice(0));
    if (random.below(12) === 0) await database.flush();
  }
  await Promise.all(pending);
  await database.close();
  history.finished = true;
}

/** Everything runs in microtasks, so a turn of the event loop later it has ended, or the machine has stopped. */
async function settle(started: Promise<void>): Promise<void> {
  let failure: Error | undefined;
  started.catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  await new Promise((resolve) => setImmediate(resolve));
  if (failure !== undefined) throw failure;
}

async function contentsOf(disk: SimulatedDisk, random: Random): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  const database = await open({ disk, random: () => random.fraction() });
  for (let i = 0; i < KEYS; i++) {
    const value = i % 2 === 0 ? database.getSync(`key-${i}`) : await database.get(`key-${i}`);
    if (value !== undefined) contents.set(`key-${i}`, value.toString());
  }
  await database.close();
  return contents;
}

/** The step up to which the contents are what the history says; −1 if they are no prefix. */
function prefixOf(history: History, contents: Map<string, string>): number {
  const expected = new Map<string, string>();
  let match = same(expected, contents) ? 0 : -1;
  history.steps.forEach((operations, i) => {
    for (const operation of operations) {
      if (operation.type === 'put') expected.set(operation.key, operation.value);
      else expected.delete(operation.key);
    }
    if (same(expected, contents)) match = i + 1;
  });
  return match;
}

function same(a: Map<string, string>, b: Map<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

test('owner and roles run in one thread, and a reopened database holds what was written', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const disk = new SimulatedDisk();
  const random = new Random(seed);
  const history: History = { steps: [], acknowledged: 0, finished: false };
  await settle(runWorkload({ disk, random: () => random.fraction() }, seed, history));
  t.true(history.finished);
  t.is(prefixOf(history, await contentsOf(disk, random)), history.steps.length);
});

test('the same seed gives the same steps', async (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const trace = async (): Promise<RingStep[]> => {
    const steps: RingStep[] = [];
    const random = new Random(seed);
    const world = {
      disk: new SimulatedDisk(),
      random: () => random.fraction(),
      onStep: (step: RingStep) => steps.push(step),
    };
    await settle(runWorkload(world, seed, { steps: [], acknowledged: 0, finished: false }));
    return steps;
  };
  const first = await trace();
  t.true(first.length > 30, `${first.length} steps`);
  t.deepEqual(await trace(), first);
});

for (const keep of ['durable', 'everything'] as const) {
  test(`a crash at any step that keeps what is ${keep} leaves a prefix with all that was acknowledged`, async (t) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    let total = 0;
    const counting = new Random(seed);
    await settle(
      runWorkload(
        { disk: new SimulatedDisk(), random: () => counting.fraction(), onStep: () => total++ },
        seed,
        {
          steps: [],
          acknowledged: 0,
          finished: false,
        },
      ),
    );
    const points = Math.min(total, 25);
    for (let point = 0; point < points; point++) {
      const crashAt = Math.floor((point * total) / points);
      const disk = new SimulatedDisk();
      const random = new Random(seed);
      const history: History = { steps: [], acknowledged: 0, finished: false };
      let step = 0;
      const onStep = (): void => {
        if (step++ === crashAt) throw new Crash();
      };
      await settle(runWorkload({ disk, random: () => random.fraction(), onStep }, seed, history));
      t.false(history.finished);
      const after = disk.crashed(keep);
      const survived = prefixOf(history, await contentsOf(after, random));
      t.true(
        survived >= history.acknowledged,
        `step ${crashAt}: ${survived} of ${history.acknowledged} survived`,
      );
      // What was recovered is durable itself: a second crash changes nothing.
      t.is(
        prefixOf(history, await contentsOf(after.crashed('durable'), random)),
        survived,
        `step ${crashAt} again`,
      );
    }
  });
}

for (const callerRing of [true, false]) {
  test(`a machine that stops during a synchronous read is not waited for (the caller’s ring: ${callerRing})`, async (t) => {
    const disk = new SimulatedDisk();
    const random = new Random(1);
    let isStopping = false;
    const { environment } = simulatedWorld({
      disk,
      random: () => random.fraction(),
      onStep: () => {
        if (isStopping) throw new Crash();
      },
    });
    const options = { ...OPTIONS, blockCacheBytes: 0, io: { callerRing } };
    const database = await Database.openIn(environment, SIMULATED_DIRECTORY, options);
    await database.put('key', 'value');
    await database.flush();
    t.is(database.getSync('key')?.toString(), 'value');
    isStopping = true;
    await expectCode(t, 'WORKER_FAILED', () => database.getSync('key'));
    using cursor = database.cursor();
    await expectCode(t, 'WORKER_FAILED', () => cursor.next());
  });
}
