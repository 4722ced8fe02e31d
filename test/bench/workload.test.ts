/** The comparison's workload: what is to be done is what is described, and is the same for everybody. */
import test from 'ava';
import { join } from 'node:path';
import { ARMS } from '../../bench/peers/arms.ts';
import { runSession } from '../../bench/runner/engine-process.ts';
import type { StepDefinition } from '../../bench/workload/group.ts';
import { Workload } from '../../bench/workload/groups.ts';
import { ROWS } from '../../bench/workload/rows.ts';
import { parseSession, sessionText, type Session } from '../../bench/workload/session.ts';
import {
  inSequence,
  OPERATION_GET,
  OPERATION_PUT,
  OPERATION_RANGE,
  OPERATION_READ_MODIFY_WRITE,
  shuffled,
  Trace,
  TraceWriter,
  zipfian,
  zipfianRanks,
} from '../../bench/workload/trace.ts';
import { YCSB_MIXES, ycsbTrace } from '../../bench/workload/ycsb.ts';
import { temporaryDirectory } from '../support/directories.ts';

const WORKLOAD = new Workload({ entries: 20_000, coldEntries: 80_000, factor: 0.005 });
/** Measured outside of the groups. */
const OTHER_ROWS = ['open-first', 'compaction', 'compaction-cpu'];

function rowsOf(steps: readonly StepDefinition[]): string[] {
  return steps.flatMap((step) => ('row' in step && step.row !== '-' ? [step.row] : []));
}

function readBack(t: Parameters<typeof temporaryDirectory>[0], writer: TraceWriter): Trace {
  const path = join(temporaryDirectory(t), 'trace');
  writer.write(path);
  return Trace.read(path);
}

test('each row is measured by one group, and described', (t) => {
  const groups = WORKLOAD.groups();
  const names = groups.map(({ name }) => name);
  t.is(new Set(names).size, names.length);
  const measured = [...groups.flatMap(({ steps }) => rowsOf(steps)), ...OTHER_ROWS];
  t.deepEqual(measured.toSorted(), ROWS.map(({ row }) => row).toSorted());
});

test('what warms up leaves something to measure, also at the smallest scale', (t) => {
  for (const { name, steps } of [...WORKLOAD.groups(), ...WORKLOAD.growth()]) {
    for (const step of steps) {
      if (step.step !== 'run') continue;
      t.true(step.warmUp < step.trace.length, `${name}: ${step.row}`);
      t.is(step.warmUp % step.group, 0, `${name}: ${step.row}`);
    }
  }
});

test('traces have the length that they say, and stay inside of the data', (t) => {
  const seen = new Set<string>();
  for (const { dataset, steps } of WORKLOAD.groups()) {
    for (const step of steps) {
      if (step.step !== 'run' || seen.has(step.trace.name)) continue;
      seen.add(step.trace.name);
      const trace = readBack(t, step.trace.make());
      t.is(trace.length, step.trace.length, step.trace.name);
      let known = dataset.entries;
      for (let at = 0; at < trace.length; at++) {
        const isPut = trace.operation(at) === OPERATION_PUT;
        const end = trace.number(at) + (trace.operation(at) === OPERATION_RANGE ? trace.argument(at) : 1);
        if (end > (isPut ? dataset.capacity : known)) t.fail(`${step.trace.name}: ${trace.number(at)}`);
        if (isPut) known = Math.max(known, end);
      }
    }
  }
});

test('cold reads do not come back to where they have been', (t) => {
  for (const { name, steps } of WORKLOAD.groups().filter(({ isCold }) => isCold)) {
    for (const step of steps) {
      if (step.step !== 'run') continue;
      const trace = readBack(t, step.trace.make());
      const runOf = (at: number): number => Math.floor((trace.number(at) - 40_000) / 150);
      const measured = Array.from({ length: trace.length - step.warmUp }, (_, i) => runOf(step.warmUp + i));
      t.is(new Set(measured).size, measured.length, name);
      t.true(Math.min(...measured) >= 0, `${name}: what warms up is elsewhere`);
      for (let at = 0; at < step.warmUp; at++) if (runOf(at) >= 0) t.fail(`${name}: ${trace.number(at)}`);
    }
  }
});

test('a session comes back from its text', (t) => {
  const [arm] = ARMS;
  const step = { step: 'scan', row: 'scan-cached', form: 'borrowed', repeats: 2, warmUp: 1 } as const;
  const session: Session = {
    arm: arm.name,
    directory: '/somewhere',
    entries: 10,
    capacity: 20,
    valueBytes: 100,
    cacheBytes: 0,
    io: 'direct',
    durable: true,
    inMemory: false,
    steps: [step, { step: 'settle' }],
  };
  t.deepEqual(parseSession(sessionText(session)), session);
  t.throws(() => sessionText({ ...session, directory: '/some where' }), { message: /one word/ });
});

test('operations come back from a trace', (t) => {
  const writer = new TraceWriter(3);
  writer.push(OPERATION_GET, 2 ** 31);
  writer.push(OPERATION_PUT, 5, 2 ** 24 - 1);
  t.throws(() => writer.push(OPERATION_PUT, 5, 2 ** 24), { instanceOf: RangeError });
  const trace = readBack(t, writer);
  t.is(trace.length, 2);
  t.deepEqual(
    [0, 1].map((at) => [trace.operation(at), trace.number(at), trace.argument(at)]),
    [
      [OPERATION_GET, 2 ** 31, 0],
      [OPERATION_PUT, 5, 2 ** 24 - 1],
    ],
  );
});

test('numbers are drawn as they are called', (t) => {
  const next = inSequence(3);
  t.deepEqual(Array.from({ length: 7 }, next), [0, 1, 2, 0, 1, 2, 0]);
  const all = shuffled(1000, 1);
  const numbers = Array.from({ length: 1000 }, all);
  t.notDeepEqual(numbers.slice(0, 5), [0, 1, 2, 3, 4]);
  t.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: 1000 }, inSequence(1000)),
  );
});

test('the most popular hundredth of a zipfian draw is wanted as often as it has to be', (t) => {
  const draws = 100_000;
  const limit = 10_000;
  const rank = zipfianRanks(limit, 3);
  let popular = 0;
  for (let i = 0; i < draws; i++) {
    const number = rank();
    if (number < 0 || number >= limit) t.fail(`${number}`);
    if (number < limit / 100) popular += 1;
  }
  // The sum of 1 / i ** 0.99 up to 100 over that up to 10,000.
  const zeta = (count: number): number =>
    Array.from({ length: count }, (_, i) => (i + 1) ** -0.99).reduce((sum, one) => sum + one, 0);
  t.true(Math.abs(popular / draws - zeta(100) / zeta(limit)) < 0.02, `${popular / draws}`);
  const scattered = zipfian(limit, 3);
  const first = Array.from({ length: 1000 }, scattered).filter((number) => number < limit / 100);
  t.true(first.length < 200, 'the popular ones are not the first ones');
});

test('the mixes of YCSB have their shares, and never write what is there', (t) => {
  const dataset = { entries: 20_000, capacity: 60_000, valueBytes: 100 };
  const length = 40_000;
  for (const mix of YCSB_MIXES) {
    const trace = readBack(t, ycsbTrace(mix, dataset, length));
    const counts = [0, 0, 0, 0];
    for (let at = 0; at < length; at++) {
      const operation = trace.operation(at);
      counts[operation] += 1;
      const writes = operation === OPERATION_PUT || operation === OPERATION_READ_MODIFY_WRITE;
      if (writes && trace.argument(at) === 0) t.fail(`${mix.name} writes a version that was loaded`);
    }
    const writing = counts[OPERATION_PUT] + counts[OPERATION_READ_MODIFY_WRITE];
    const expected = { a: 0.5, b: 0.05, c: 0, d: 0.05, e: 0.05, f: 0.5 }[mix.name] ?? NaN;
    t.true(Math.abs(writing / length - expected) < 0.01, `${mix.name}: ${writing / length}`);
    t.is(mix.writes, writing > 0);
  }
});

test('a process does a session of quadring and says what it measured', async (t) => {
  const directory = temporaryDirectory(t);
  const puts = new TraceWriter(600);
  const order = shuffled(600, 5);
  for (let i = 0; i < 600; i++) puts.push(OPERATION_PUT, order());
  puts.write(join(directory, 'puts'));
  const gets = new TraceWriter(200);
  for (let i = 0; i < 200; i++) gets.push(OPERATION_GET, (i * 7) % 600);
  gets.write(join(directory, 'gets'));
  const run = {
    step: 'run',
    warmUp: 0,
    inFlight: 1,
    group: 1,
    threads: 0,
    endsDurable: false,
    asyncIo: false,
    millisecondsMax: 0,
  } as const;
  const session: Session = {
    arm: 'quadring',
    directory: join(directory, 'db'),
    entries: 600,
    capacity: 700,
    valueBytes: 100,
    cacheBytes: 1 << 20,
    io: 'buffered',
    durable: false,
    inMemory: false,
    steps: [
      { ...run, row: 'load', trace: join(directory, 'puts'), form: 'promise', group: 50, endsDurable: true },
      { step: 'compact', row: 'compact' },
      { ...run, row: 'get', trace: join(directory, 'gets'), form: 'owned' },
      { ...run, row: '-', trace: join(directory, 'gets'), form: 'borrowed' },
      { ...run, row: 'many', trace: join(directory, 'gets'), form: 'promise', group: 20 },
      { step: 'scan', row: 'scan', form: 'borrowed', repeats: 2, warmUp: 0 },
      { step: 'reopen', row: 'reopen', repeats: 2 },
      { step: 'memory', row: 'memory' },
    ],
  };
  const { described, measured, failure } = await runSession(ARMS[0], session, '');
  t.is(failure, undefined);
  t.is(described.engine, 'quadring');
  t.deepEqual(
    measured.map(({ row, operations, calls }) => [row, operations, calls]),
    [
      ['load', 600, 12],
      ['compact', 600, 1],
      ['get', 200, 200],
      ['many', 200, 10],
      ['scan', 1200, 2],
      ['reopen', 2, 2],
      ['memory', 0, 0],
    ],
  );
  t.true(measured.every(({ seconds, residentBytes }) => seconds >= 0 && residentBytes > 1 << 20));

  const wrong = { ...session, capacity: 900, steps: session.steps.slice(2, 3) };
  const answer = await runSession(ARMS[0], wrong, '');
  t.regex(answer.failure?.message ?? '', /is not its value/, 'values are looked into');
  t.deepEqual(answer.measured, []);
});
