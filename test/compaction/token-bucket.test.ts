/** What holds a compaction to its rate, with a clock that a test moves. */
import test from 'ava';
import { TokenBucket } from '../../src/workers/token-bucket.ts';
import { Random, testSeed } from '../support/random.ts';

const MEBIBYTE = 1 << 20;

test('what is owed is waited for, at the rate of the moment', (t) => {
  const bucket = new TokenBucket(1000);
  t.is(bucket.waitMicroseconds(1000, MEBIBYTE), 0);
  bucket.take(MEBIBYTE);
  t.is(bucket.waitMicroseconds(1000, MEBIBYTE), 1_000_000);
  t.is(bucket.waitMicroseconds(1250, MEBIBYTE), 750_000);
  t.is(bucket.waitMicroseconds(1250, 10 * MEBIBYTE), 75_000, 'a faster rate shortens the wait');
  t.is(bucket.waitMicroseconds(1250, MEBIBYTE / 2), 1_500_000, 'a slower one makes it longer');
  t.is(bucket.waitMicroseconds(2750, MEBIBYTE / 2), 0);
});

test('no limit forgives what is owed', (t) => {
  const bucket = new TokenBucket(0);
  bucket.take(100 * MEBIBYTE);
  t.is(bucket.waitMicroseconds(1, 0), 0);
  t.is(bucket.waitMicroseconds(1, 1024), 0);
  bucket.take(1024);
  t.is(bucket.waitMicroseconds(1, 1024), 1_000_000);
});

test('an idle stream saves up a tenth of a second, no more', (t) => {
  const bucket = new TokenBucket(0);
  t.is(bucket.waitMicroseconds(3_600_000, MEBIBYTE), 0);
  bucket.take(MEBIBYTE / 2);
  t.is(bucket.waitMicroseconds(3_600_000, MEBIBYTE), 400_000);
});

test('a clock that stands still or goes back grants nothing', (t) => {
  const bucket = new TokenBucket(5000);
  bucket.take(1000);
  t.is(bucket.waitMicroseconds(4000, 1000), 1_000_000);
  t.is(bucket.waitMicroseconds(4500, 1000), 500_000);
});

test('over any stream the rate is kept', (t) => {
  const random = new Random(testSeed());
  for (let round = 0; round < 50; round++) {
    const rate = random.between(1000, 500 * MEBIBYTE);
    let now = 0;
    let taken = 0;
    const bucket = new TokenBucket(now);
    for (let i = 0; i < 200; i++) {
      const bytes = random.below(MEBIBYTE);
      taken += bytes;
      bucket.take(bytes);
      now += random.below(3);
      for (
        let wait = bucket.waitMicroseconds(now, rate);
        wait > 0;
        wait = bucket.waitMicroseconds(now, rate)
      ) {
        now += Math.min(wait, 100_000) / 1000;
      }
      const savedMs = 100;
      t.true(
        taken <= (rate * (now + savedMs)) / 1000 + 1,
        'never ahead of the rate by more than what is saved up',
      );
    }
  }
});
