import test from 'ava';
import { AssertionFailure } from '../../src/assert.ts';
import {
  AWAKE,
  DoorbellRinger,
  DoorbellSleeper,
  PARKED_IN_KERNEL,
  PARKED_IN_WAIT,
} from '../../src/atomics-sync/doorbell.ts';

const AT = 3;

function makeDoorbell() {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const kernelWakes = { count: 0 };
  const ringer = new DoorbellRinger(words, AT, () => {
    kernelWakes.count++;
  });
  return { words, sleeper: new DoorbellSleeper(words, AT), ringer, kernelWakes };
}

test('ringing a thread that is awake does nothing', (t) => {
  const { words, ringer, kernelWakes } = makeDoorbell();
  t.false(ringer.ring());
  t.is(Atomics.load(words, AT), AWAKE);
  t.is(kernelWakes.count, 0);
});

test('a ring between the announcement and the sleep ends the sleep at once', (t) => {
  const { words, sleeper, ringer, kernelWakes } = makeDoorbell();
  sleeper.announce(PARKED_IN_WAIT);
  t.true(ringer.ring());
  t.false(ringer.ring());
  const began = performance.now();
  t.true(sleeper.wait(5000));
  t.true(performance.now() - began < 2500);
  t.is(Atomics.load(words, AT), AWAKE);
  t.is(kernelWakes.count, 0);
});

test('a wait that nobody ends times out and leaves the thread awake', (t) => {
  const { words, sleeper, ringer } = makeDoorbell();
  sleeper.announce(PARKED_IN_WAIT);
  t.false(sleeper.wait(5));
  t.is(Atomics.load(words, AT), AWAKE);
  t.false(ringer.ring());
});

test('a cancelled park is not rung', (t) => {
  const { sleeper, ringer, kernelWakes } = makeDoorbell();
  for (const how of [PARKED_IN_WAIT, PARKED_IN_KERNEL] as const) {
    sleeper.announce(how);
    sleeper.cancel();
    t.false(ringer.ring());
  }
  t.is(kernelWakes.count, 0);
});

test('a thread parked in the kernel is woken there, once for each park', (t) => {
  const { words, sleeper, ringer, kernelWakes } = makeDoorbell();
  for (let park = 1; park <= 3; park++) {
    sleeper.announce(PARKED_IN_KERNEL);
    t.true(ringer.ring());
    t.false(ringer.ring());
    t.is(kernelWakes.count, park);
    t.is(Atomics.load(words, AT), AWAKE);
    sleeper.cancel();
  }
});

test('of several ringers one wakes', (t) => {
  const { words, sleeper } = makeDoorbell();
  let wakes = 0;
  const ringers = Array.from({ length: 4 }, () => new DoorbellRinger(words, AT, () => void wakes++));
  sleeper.announce(PARKED_IN_KERNEL);
  t.deepEqual(
    ringers.map((ringer) => ringer.ring()),
    [true, false, false, false],
  );
  t.is(wakes, 1);
});

test('announcing the kernel and sleeping in Atomics.wait is a bug that shows', (t) => {
  const { sleeper } = makeDoorbell();
  sleeper.announce(PARKED_IN_KERNEL);
  t.throws(() => sleeper.wait(5), { instanceOf: AssertionFailure });
});

test('a word outside the memory is refused', (t) => {
  const { words } = makeDoorbell();
  t.throws(() => new DoorbellSleeper(words, 16), { instanceOf: AssertionFailure });
  t.throws(() => new DoorbellRinger(words, -1, () => undefined), { instanceOf: AssertionFailure });
});
