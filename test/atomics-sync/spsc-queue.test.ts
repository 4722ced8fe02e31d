import test from 'ava';
import fc from 'fast-check';
import { AssertionFailure } from '../../src/assert.ts';
import {
  SpscConsumer,
  SpscProducer,
  resetSpscQueue,
  spscQueueWords,
} from '../../src/atomics-sync/spsc-queue.ts';
import type { SpscQueueShape } from '../../src/atomics-sync/spsc-queue.ts';
import { LINE_WORDS } from '../../src/atomics-sync/words.ts';
import { testSeed } from '../support/random.ts';

const INT32_MAX = 2 ** 31 - 1;

function makeShape(capacity: number, recordWords: number, at = 0): SpscQueueShape {
  const length = at + spscQueueWords(capacity, recordWords);
  return { words: new Int32Array(new SharedArrayBuffer(length * 4)), at, capacity, recordWords };
}

/** Pushes one record whose words are `value`, `value + 1`, ...; false when the queue is full. */
function push(producer: SpscProducer, shape: SpscQueueShape, value: number): boolean {
  const index = producer.reserve();
  if (index === -1) return false;
  for (let word = 0; word < shape.recordWords; word++) shape.words[index + word] = value + word;
  return true;
}

/** The first word of the next record, after checking the others; undefined when the queue is empty. */
function take(consumer: SpscConsumer, shape: SpscQueueShape): number | undefined {
  const index = consumer.next();
  if (index === -1) return undefined;
  const value = shape.words[index];
  for (let word = 1; word < shape.recordWords; word++) {
    if (shape.words[index + word] !== ((value + word) | 0))
      throw new Error(`word ${word} of a record is wrong`);
  }
  return value;
}

test('a queue takes whole cache lines: two for its counters, the rest for its records', (t) => {
  t.is(spscQueueWords(16, 8), 32 + 128);
  t.is(spscQueueWords(1, 1), 32 + 16);
  t.is(spscQueueWords(4, 5), 32 + 32);
});

test('records come out in the order they went in, and only after they are published', (t) => {
  const shape = makeShape(4, 3, LINE_WORDS);
  const producer = new SpscProducer(shape);
  const consumer = new SpscConsumer(shape);
  t.true(push(producer, shape, 10));
  t.true(push(producer, shape, 20));
  t.is(producer.unpublished, 2);
  t.false(consumer.hasMore());
  t.is(take(consumer, shape), undefined);
  t.true(producer.publish());
  t.is(producer.unpublished, 0);
  t.false(producer.publish());
  t.true(consumer.hasMore());
  t.is(take(consumer, shape), 10);
  t.is(take(consumer, shape), 20);
  t.is(take(consumer, shape), undefined);
  t.false(consumer.hasMore());
});

test('a full queue refuses until the consumer has released, not merely read', (t) => {
  const shape = makeShape(2, 1);
  const producer = new SpscProducer(shape);
  const consumer = new SpscConsumer(shape);
  t.true(push(producer, shape, 1));
  t.true(push(producer, shape, 2));
  t.false(push(producer, shape, 3));
  t.is(producer.unpublished, 2);
  producer.publish();
  t.is(take(consumer, shape), 1);
  t.is(take(consumer, shape), 2);
  t.false(push(producer, shape, 3));
  consumer.release();
  t.true(push(producer, shape, 3));
  t.true(push(producer, shape, 4));
  t.false(push(producer, shape, 5));
});

test('a queue of one record alternates', (t) => {
  const shape = makeShape(1, 2);
  const producer = new SpscProducer(shape);
  const consumer = new SpscConsumer(shape);
  for (let value = 0; value < 10; value++) {
    t.true(push(producer, shape, value));
    t.false(push(producer, shape, value));
    producer.publish();
    t.is(take(consumer, shape), value);
    t.is(take(consumer, shape), undefined);
    consumer.release();
  }
});

for (const counter of [INT32_MAX - 2, -3]) {
  test(`counters pass ${counter === -3 ? '2^32' : '2^31'} without a seam`, (t) => {
    const shape = makeShape(4, 1);
    resetSpscQueue(shape, counter);
    const producer = new SpscProducer(shape);
    const consumer = new SpscConsumer(shape);
    for (let round = 0; round < 4; round++) {
      for (let value = 0; value < 4; value++) t.true(push(producer, shape, round * 4 + value));
      t.false(push(producer, shape, 99));
      t.is(producer.unpublished, 4);
      t.true(producer.publish());
      for (let value = 0; value < 4; value++) t.is(take(consumer, shape), round * 4 + value);
      t.false(consumer.hasMore());
      consumer.release();
    }
  });
}

test('both sides go on where the shared counters stand', (t) => {
  const shape = makeShape(4, 1);
  const first = new SpscProducer(shape);
  push(first, shape, 7);
  push(first, shape, 8);
  first.publish();
  const reader = new SpscConsumer(shape);
  t.is(take(reader, shape), 7);
  reader.release();
  const second = new SpscProducer(shape);
  for (const value of [9, 10, 11]) t.true(push(second, shape, value));
  t.false(push(second, shape, 12));
  second.publish();
  const next = new SpscConsumer(shape);
  t.deepEqual(
    [8, 9, 10, 11, undefined],
    Array.from({ length: 5 }, () => take(next, shape)),
  );
});

test('reset empties a queue', (t) => {
  const shape = makeShape(4, 1);
  const producer = new SpscProducer(shape);
  push(producer, shape, 1);
  producer.publish();
  resetSpscQueue(shape);
  t.false(new SpscConsumer(shape).hasMore());
});

test('a shape that cannot work is refused', (t) => {
  const good = makeShape(8, 2);
  for (const change of [
    { capacity: 3 },
    { capacity: 0 },
    { capacity: 1.5 },
    { capacity: 2 ** 31 },
    { capacity: 64 },
    { at: 1 },
    { at: LINE_WORDS },
    { at: -LINE_WORDS },
    { recordWords: 0 },
  ]) {
    t.throws(
      () => new SpscProducer({ ...good, ...change }),
      { instanceOf: AssertionFailure },
      JSON.stringify(change),
    );
    t.throws(
      () => new SpscConsumer({ ...good, ...change }),
      { instanceOf: AssertionFailure },
      JSON.stringify(change),
    );
  }
});

test('a counter that was trampled on is noticed', (t) => {
  const shape = makeShape(4, 1);
  const producer = new SpscProducer(shape);
  const consumer = new SpscConsumer(shape);
  Atomics.store(shape.words, LINE_WORDS, 5);
  t.throws(() => consumer.hasMore(), { instanceOf: AssertionFailure });
  for (let value = 0; value < 4; value++) push(producer, shape, value);
  Atomics.store(shape.words, 0, 5);
  t.throws(() => producer.reserve(), { instanceOf: AssertionFailure });
});

type Step =
  { readonly kind: 'push' | 'take'; readonly count: number } | { readonly kind: 'publish' | 'release' };

test('property: the queue behaves as an array with three fences', (t) => {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const count = fc.integer({ min: 1, max: 20 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), count }),
    fc.record({ kind: fc.constant('take' as const), count }),
    fc.record({ kind: fc.constantFrom('publish' as const, 'release' as const) }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 4, 16),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(0, INT32_MAX - 5, -4),
      fc.array(step, { maxLength: 200 }),
      (capacity, recordWords, counter, steps) => {
        const shape = makeShape(capacity, recordWords, LINE_WORDS);
        resetSpscQueue(shape, counter);
        const producer = new SpscProducer(shape);
        const consumer = new SpscConsumer(shape);
        // The model: all values ever pushed, and how many were published, taken and released.
        const pushed: number[] = [];
        let published = 0;
        let taken = 0;
        let released = 0;
        for (const action of steps) {
          if (action.kind === 'push') {
            for (let i = 0; i < action.count; i++) {
              const fits = pushed.length - released < capacity;
              if (push(producer, shape, pushed.length * 100) !== fits) return false;
              if (fits) pushed.push(pushed.length * 100);
            }
          } else if (action.kind === 'take') {
            for (let i = 0; i < action.count; i++) {
              const expected = taken < published ? pushed[taken] : undefined;
              if (take(consumer, shape) !== expected) return false;
              if (expected !== undefined) taken++;
            }
          } else if (action.kind === 'publish') {
            if (producer.publish() !== published < pushed.length) return false;
            published = pushed.length;
          } else {
            consumer.release();
            released = taken;
          }
          if (producer.unpublished !== pushed.length - published) return false;
          if (consumer.hasMore() !== taken < published) return false;
        }
        return true;
      },
    ),
    { seed, numRuns: 500 },
  );
  t.pass();
});
