/** What the benchmark of the four rings makes of its stamps, and where it makes them. */
import test from 'ava';
import {
  COLUMN_NAMES,
  columnMicroseconds,
  percentile,
  StageSamples,
  STAMP_ANSWERED,
  STAMP_COMPLETED,
  STAMP_SUBMITTED,
  STAMP_TAKEN,
  STAMPS,
  summaryOf,
  TOTAL,
} from '../../bench/rings/stages.ts';
import { StampedRing, ThreadStamps } from '../../bench/rings/stamped-thread.ts';
import { allocateStamps, STAMP_SLOTS, stampsAt } from '../../bench/rings/stamps.ts';
import {
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  RECORD_WORDS,
  WORD_USER_DATA,
  type Ring,
} from '../../src/workers/ring.ts';

test('a percentile is the smallest value that so large a share does not exceed', (t) => {
  const thousand = Float64Array.from({ length: 1000 }, (_, i) => i + 1);
  t.is(percentile(thousand, 0.5), 500);
  t.is(percentile(thousand, 0.99), 990);
  t.is(percentile(thousand, 0.999), 999);
  t.is(percentile(Float64Array.of(7, 9), 0.5), 7);
});

test('nothing is said of a share beyond which not one value would be', (t) => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  t.is(percentile(hundred, 0.99), 99);
  t.is(percentile(hundred, 0.999), null);
  t.is(percentile(hundred.subarray(0, 99), 0.99), null);
  t.is(percentile(new Float64Array(0), 0.5), null);
  t.throws(() => percentile(hundred, 1));
  t.throws(() => percentile(hundred, 0));
});

test('stages lie between neighbouring stamps and add up to the whole', (t) => {
  const stamps = Float64Array.of(-1, 1000, 3000, 6000, 10_000, 15_000, 21_000);
  const columns = COLUMN_NAMES.map((_, column) => columnMicroseconds(stamps, 1, column));
  t.deepEqual(columns, [2, 3, 4, 5, 6, 20]);
  t.is(columns.length, TOTAL + 1);
});

test('samples are summed up for each stage, and are no more than there is room for', (t) => {
  const samples = new StageSamples(3);
  for (const step of [3000, 1000, 2000]) {
    samples.add(
      Float64Array.from({ length: STAMPS }, (_, i) => i * step),
      0,
    );
  }
  t.is(samples.count, 3);
  t.deepEqual([...samples.sorted(0)], [1, 2, 3]);
  t.deepEqual(summaryOf(samples.sorted(TOTAL)), {
    p50: 10,
    p99: null,
    p999: null,
    mean: 10,
    min: 5,
    max: 15,
  });
  t.throws(() => samples.add(new Float64Array(STAMPS), 0), { message: /room/ });
  t.throws(() => summaryOf(new Float64Array(0)));
});

test('stamps of requests that can be outstanding at once stand apart', (t) => {
  const places = new Set(Array.from({ length: STAMP_SLOTS }, (_, i) => stampsAt(5000 + i)));
  t.is(places.size, STAMP_SLOTS);
  t.true([...places].every((at) => at % STAMPS === 0 && at + STAMPS <= allocateStamps().length));
});

/** A ring that completes so many records at each turn, and keeps what it was told. */
class ScriptedRing implements Ring {
  readonly entries = 8;
  readonly records = new Int32Array(8 * RECORD_WORDS);
  readonly names = new Uint8Array(0);
  readonly completions = new Int32Array(8 * COMPLETION_WORDS);
  readonly asynchronous = true;
  readonly polls = false;
  readonly turns: (readonly [count: number, waitMicroseconds: number])[] = [];
  readonly #completed: number[];

  /** User data of the one record that each turn completes, or −1. */
  constructor(completed: number[]) {
    this.#completed = completed;
  }

  turn(count: number, waitMicroseconds: number): number {
    this.turns.push([count, waitMicroseconds]);
    const userData = this.#completed.shift() ?? -1;
    this.completions[COMPLETION_USER_DATA] = userData;
    return userData < 0 ? 0 : 1;
  }

  attach(): void {}
  describe(): never {
    throw new Error('nobody asks');
  }
  close(): void {}
}

function stampedRing(completed: number[], isRung: boolean) {
  let now = 0;
  const shared = allocateStamps();
  const inner = new ScriptedRing(completed);
  const stamps = new ThreadStamps(shared, () => ++now, inner.entries);
  const ring = new StampedRing(inner, stamps, () => isRung);
  const request = stamps.taken();
  inner.records[WORD_USER_DATA] = 3;
  stamps.pushed(request, inner.records, 0, 1);
  return { inner, ring, stamps, request, of: (stamp: number) => shared[stampsAt(request) + stamp] };
}

test('a turn that submits and waits is one that submits and one that waits', (t) => {
  const { inner, ring, stamps, request, of } = stampedRing([-1, 3], false);
  t.is(ring.turn(1, 500), 1);
  t.deepEqual(inner.turns, [
    [1, 0],
    [0, 500],
  ]);
  stamps.answered(request);
  stamps.published();
  t.deepEqual([STAMP_TAKEN, STAMP_SUBMITTED, STAMP_COMPLETED, STAMP_ANSWERED].map(of), [1, 2, 3, 4]);
});

test('what is complete when it has been submitted is not waited for', (t) => {
  const { inner, ring, of } = stampedRing([3], false);
  t.is(ring.turn(1, 500), 1);
  t.deepEqual(inner.turns, [[1, 0]]);
  t.is(of(STAMP_COMPLETED), of(STAMP_SUBMITTED));
});

test('a wake-up that the submission took is not slept through', (t) => {
  const { inner, ring } = stampedRing([-1, -1], true);
  t.is(ring.turn(1, 500), 0);
  t.deepEqual(inner.turns, [[1, 0]]);
});

test('a turn that only waits, or only submits, is as it was', (t) => {
  const waiting = stampedRing([3], true);
  t.is(waiting.ring.turn(0, 500), 1);
  t.deepEqual(waiting.inner.turns, [[0, 500]]);
  const submitting = stampedRing([-1, -1], false);
  t.is(submitting.ring.turn(1, 0), 0);
  t.deepEqual(submitting.inner.turns, [[1, 0]]);
});
