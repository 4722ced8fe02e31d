import test from 'ava';
import { AssertionFailure } from '../../src/assert.ts';
import { AdaptiveSpin } from '../../src/atomics-sync/adaptive-spin.ts';

/** A clock that a check moves on by `checkMicroseconds`; ready once `readyAfter` microseconds of one spin have passed. */
function makeWorld(budgetMicroseconds: number, checkMicroseconds = 0.1) {
  let microseconds = 1e9;
  let checks = 0;
  const spin = new AdaptiveSpin({ budgetMicroseconds, now: () => microseconds / 1000 });
  return {
    spin,
    /** One call; returns what it said, how often it looked and how long it took. */
    run(readyAfter: number) {
      const began = microseconds;
      checks = 0;
      const ready = spin.spin(() => {
        checks++;
        if (microseconds - began >= readyAfter) return true;
        microseconds += checkMicroseconds;
        return false;
      });
      return { ready, checks, taken: microseconds - began };
    },
  };
}

test('a budget of zero never spins', (t) => {
  const world = makeWorld(0);
  for (let call = 0; call < 10_000; call++) t.is(world.run(0).checks, 0);
  t.is(world.spin.currentMicroseconds, 0);
});

test('a budget that is not finite, or negative, is refused', (t) => {
  for (const budgetMicroseconds of [Infinity, NaN, -1]) {
    t.throws(() => new AdaptiveSpin({ budgetMicroseconds, now: () => 0 }), { instanceOf: AssertionFailure });
  }
});

test('a spin ends as soon as it is ready, and keeps its budget', (t) => {
  const world = makeWorld(50);
  for (let call = 0; call < 100; call++) {
    const { ready, taken } = world.run(20);
    t.true(ready);
    t.true(taken < 21);
  }
  t.is(world.spin.currentMicroseconds, 50);
});

test('failures halve the budget until spinning is off', (t) => {
  const world = makeWorld(40);
  const budgets: number[] = [];
  for (let call = 0; call < 6; call++) {
    const { ready, taken } = world.run(Infinity);
    t.false(ready);
    t.true(taken < 45);
    budgets.push(world.spin.currentMicroseconds);
  }
  t.deepEqual(budgets, [20, 10, 5, 2.5, 0, 0]);
});

test('where it never pays, what is spent falls to one budget in thousands of calls', (t) => {
  const world = makeWorld(50);
  for (let call = 0; call < 50_000; call++) world.run(Infinity);
  let taken = 0;
  let probes = 0;
  for (let call = 0; call < 4096 * 8; call++) {
    const outcome = world.run(Infinity);
    taken += outcome.taken;
    if (outcome.checks > 0) probes++;
  }
  t.is(probes, 8);
  t.true(taken < 8 * 55);
});

test('a probe that succeeds turns spinning on again, for long enough', (t) => {
  const world = makeWorld(50);
  while (world.spin.currentMicroseconds > 0) world.run(Infinity);
  let calls = 0;
  while (world.spin.currentMicroseconds === 0) {
    world.run(20);
    calls++;
  }
  t.true(calls <= 64);
  t.true(world.spin.currentMicroseconds >= 40);
  t.true(world.run(20).ready);
  t.is(world.spin.currentMicroseconds, 50);
});

test('successes that come quickly grow a shrunken budget again', (t) => {
  const world = makeWorld(40);
  world.run(Infinity);
  world.run(Infinity);
  t.is(world.spin.currentMicroseconds, 10);
  t.true(world.run(1).ready);
  t.is(world.spin.currentMicroseconds, 20);
});

test('a clock that stands still does not hang a spin', (t) => {
  const world = makeWorld(50, 0);
  const { ready, checks } = world.run(Infinity);
  t.false(ready);
  t.is(checks, 50 * 200);
});

test('a spin that the caller does itself counts like any other', (t) => {
  const { spin } = makeWorld(40);
  t.is(spin.begin(), 40);
  spin.end(-1);
  t.is(spin.begin(), 20);
  spin.end(15);
  t.is(spin.currentMicroseconds, 40);
  for (let failures = 0; failures < 5; failures++) {
    t.true(spin.begin() > 0);
    spin.end(-1);
  }
  t.is(spin.currentMicroseconds, 0);
  let refused = 0;
  while (spin.begin() === 0) refused += 1;
  t.true(refused > 0, 'it is off, until it is tried once more');
  spin.end(5);
  t.true(spin.currentMicroseconds >= 10);
  t.is(makeWorld(0).spin.begin(), 0);
});
