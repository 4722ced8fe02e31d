/**
 * How writes are held back and how fast compactions go, as rules over a clock: nothing here opens a database. The clock is
 * in milliseconds and goes where a test puts it.
 */
import test from 'ava';
import { CompactionRate } from '../../src/main/compaction-rate.ts';
import { WriteStalls } from '../../src/main/write-stalls.ts';
import { WriteThrottle, type Backlog, type ThrottleLimits } from '../../src/main/write-throttle.ts';
import { COMPACTION_RATE_WORD, CONTROL_WORDS } from '../../src/protocol/crew-layout.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1 << 20;
const LIMITS: ThrottleLimits = {
  l0Slowdown: 10,
  l0Stop: 20,
  pendingSlowdownBytes: 100 * MEBIBYTE,
  pendingStopBytes: 300 * MEBIBYTE,
};
const NOTHING: Backlog = { l0Tables: 0, pendingBytes: 0, memtableFill: 0 };

class Clock {
  milliseconds = 1000;
  readonly now = (): number => this.milliseconds;
}

function throttle(clock = new Clock()): { throttle: WriteThrottle; clock: Clock } {
  return { throttle: new WriteThrottle(LIMITS, clock.now), clock };
}

/** Bytes that go at this moment, in writes of so many. */
function admitted(to: WriteThrottle, writeBytes: number): number {
  let bytes = 0;
  while (to.delay() === 0 && bytes < 1000 * MEBIBYTE) {
    to.take(writeBytes);
    bytes += writeBytes;
  }
  return bytes;
}

test('each of three things makes pressure between its marks, and the worst counts', (t) => {
  const { throttle: held } = throttle();
  const pressureOf = (backlog: Partial<Backlog>): [number, string] => {
    held.update({ ...NOTHING, ...backlog });
    return [held.pressure, held.reason];
  };
  t.is(pressureOf({})[0], 0);
  t.is(pressureOf({ l0Tables: 10, pendingBytes: 100 * MEBIBYTE, memtableFill: 0.5 })[0], 0);
  t.deepEqual(pressureOf({ l0Tables: 15 }), [0.5, 'level-0']);
  t.deepEqual(pressureOf({ l0Tables: 20 }), [1, 'level-0']);
  t.deepEqual(pressureOf({ l0Tables: 30 }), [1, 'level-0']);
  t.deepEqual(pressureOf({ pendingBytes: 200 * MEBIBYTE }), [0.5, 'pending-bytes']);
  t.deepEqual(pressureOf({ pendingBytes: 900 * MEBIBYTE }), [1, 'pending-bytes']);
  t.deepEqual(pressureOf({ memtableFill: 0.75 }), [0.5, 'memtables']);
  t.deepEqual(pressureOf({ memtableFill: 1 }), [0.9, 'memtables'], 'a full one stops writes by itself');
  t.deepEqual(pressureOf({ l0Tables: 12, pendingBytes: 200 * MEBIBYTE, memtableFill: 0.6 }), [
    0.5,
    'pending-bytes',
  ]);
  t.deepEqual(pressureOf({ l0Tables: 18, pendingBytes: 200 * MEBIBYTE, memtableFill: 0.6 }), [
    0.8,
    'level-0',
  ]);
});

test('the rate falls with the pressure, from one and a half of what is worked off to half of it, and then to nothing', (t) => {
  const { throttle: held } = throttle();
  for (let i = 0; i < 50; i++) held.noteCompaction(20 * MEBIBYTE, 2000);
  for (let i = 0; i < 50; i++) held.noteFlush(40 * MEBIBYTE, 1000);
  const rateAt = (pressure: number): number => {
    held.update({ ...NOTHING, pendingBytes: (100 + 200 * pressure) * MEBIBYTE });
    return held.bytesPerSecond / MEBIBYTE;
  };
  t.is(rateAt(0), Infinity);
  t.is(rateAt(1), 0);
  const close = (actual: number, expected: number): boolean =>
    t.true(Math.abs(actual / expected - 1) < 0.01, `${actual} is about ${expected}`);
  close(rateAt(0.001), 15);
  close(rateAt(0.5), 10);
  close(rateAt(0.999), 5);
  let before = Infinity;
  for (let pressure = 1 / 64; pressure <= 1; pressure += 1 / 64) {
    const rate = rateAt(pressure);
    t.true(rate < before, `${rate} at ${pressure}`);
    before = rate;
  }
  held.update({ ...NOTHING, memtableFill: 0.75 });
  close(held.bytesPerSecond / MEBIBYTE, 40);
});

test('however slowly things are worked off, a few writes go', (t) => {
  const { throttle: held } = throttle();
  for (let i = 0; i < 100; i++) held.noteCompaction(0, 60_000);
  held.update({ ...NOTHING, l0Tables: 19 });
  t.is(held.bytesPerSecond, 256 * KIBIBYTE);
});

test('without pressure nothing waits, and at full pressure nothing goes, whatever the time', (t) => {
  const { throttle: held, clock } = throttle();
  t.is(held.delay(), 0);
  held.take(1000 * MEBIBYTE);
  t.is(held.delay(), 0, 'and nothing is owed for it');
  held.update({ ...NOTHING, l0Tables: 20 });
  t.is(held.delay(), Infinity);
  clock.milliseconds += 3_600_000;
  t.is(held.delay(), Infinity);
});

test('a long pause saves up no more than a hundredth of a second', (t) => {
  const { throttle: held, clock } = throttle();
  held.update({ ...NOTHING, l0Tables: 15 });
  const rate = held.bytesPerSecond;
  for (const pause of [20, 1000, 86_400_000]) {
    clock.milliseconds += pause;
    const burst = admitted(held, 100);
    t.true(burst <= rate / 100 + 100, `${burst} bytes at once after ${pause} ms`);
    t.true(burst >= rate / 200, `${burst} bytes after ${pause} ms`);
  }
  // Nor does a pause while writes were stopped.
  held.update({ ...NOTHING, l0Tables: 20 });
  clock.milliseconds += 3_600_000;
  t.is(held.delay(), Infinity);
  clock.milliseconds += 3_600_000;
  held.update({ ...NOTHING, l0Tables: 19 });
  t.true(admitted(held, 100) <= held.bytesPerSecond / 100 + 100);
  // Nor does one before there was pressure at all.
  held.update(NOTHING);
  clock.milliseconds += 3_600_000;
  held.update({ ...NOTHING, l0Tables: 11 });
  t.is(admitted(held, 100), 0);
});

test('a large write goes at once and is waited for afterwards', (t) => {
  const { throttle: held, clock } = throttle();
  held.update({ ...NOTHING, l0Tables: 15 });
  const rate = held.bytesPerSecond;
  clock.milliseconds += 1000;
  t.is(held.delay(), 0);
  held.take(2 * rate);
  const wait = held.delay();
  t.true(wait > 1900 && wait <= 2000, `${wait} ms`);
  clock.milliseconds += wait / 2;
  const half = held.delay();
  t.true(half > 900 && half <= 1000, `${half} ms are left`);
  // Half of what is owed is worked off twice as fast, where twice as much is worked off.
  for (let i = 0; i < 100; i++) held.noteCompaction(2 * rate, 1000);
  t.true(Math.abs(held.delay() / half - 0.5) < 0.01);
  clock.milliseconds += half;
  t.is(held.delay(), 0);
});

const TABLE_BYTES = 4 * MEBIBYTE;
const WRITE_BYTES = 4 * KIBIBYTE;

/** What is seen in the second half of a long time. */
interface Settled {
  /** Bytes that were written for each that could be worked off. */
  readonly share: number;
  /** The least and the greatest pressure. */
  readonly least: number;
  readonly greatest: number;
  /** The longest time that nothing went, in milliseconds. */
  readonly longestPause: number;
}

/**
 * A writer that always has more to write, against one compaction at a time that takes as many tables of level 0 as there
 * are, `tablesMax` at most, and works off `drain` bytes a second. It begins with a wrong guess of what that is.
 */
function settle(drain: number, tablesMax: number): Settled {
  const clock = new Clock();
  const held = new WriteThrottle({ ...LIMITS, l0Slowdown: 12, l0Stop: 24 }, clock.now);
  const begin = clock.milliseconds;
  const half = begin + (1000 * TABLE_BYTES * 1000) / drain;
  const end = 2 * half - begin;
  let l0Tables = 0;
  let taken = 0;
  let begunAt = 0;
  let doneAt = Infinity;
  let filled = 0;
  let written = 0;
  let lastAt = half;
  let [least, greatest, longestPause] = [1, 0, 0];
  for (; clock.milliseconds < end; clock.milliseconds++) {
    const now = clock.milliseconds;
    const isMeasured = now >= half;
    if (now >= doneAt) {
      l0Tables -= taken;
      held.noteCompaction(taken * TABLE_BYTES, now - begunAt);
      held.update({ ...NOTHING, l0Tables });
      doneAt = Infinity;
    }
    if (doneAt === Infinity && l0Tables >= 4) {
      taken = Math.min(l0Tables, tablesMax);
      begunAt = now;
      doneAt = now + (taken * TABLE_BYTES * 1000) / drain;
    }
    if (isMeasured) {
      least = Math.min(least, held.pressure);
      greatest = Math.max(greatest, held.pressure);
    }
    // No disk takes more than a megabyte in a millisecond.
    for (let bytes = 0; bytes < MEBIBYTE && held.delay() === 0; bytes += WRITE_BYTES) {
      held.take(WRITE_BYTES);
      filled += WRITE_BYTES;
      if (isMeasured) {
        written += WRITE_BYTES;
        longestPause = Math.max(longestPause, now - lastAt);
        lastAt = now;
      }
      if (filled < TABLE_BYTES) continue;
      filled -= TABLE_BYTES;
      held.update({ ...NOTHING, l0Tables: ++l0Tables });
    }
  }
  return { share: (written * 1000) / (end - half) / drain, least, greatest, longestPause };
}

const DRAINS = [2 * MEBIBYTE, 10 * MEBIBYTE, 50 * MEBIBYTE];

test('where compactions are small, writes go evenly, as much as is worked off', (t) => {
  for (const drain of DRAINS) {
    const { share, least, greatest, longestPause } = settle(drain, 1);
    const found = `${share.toFixed(3)}, pressure ${least.toFixed(2)} to ${greatest.toFixed(2)}, ${longestPause} ms`;
    t.true(Math.abs(share - 1) < 0.02, found);
    t.true(least >= 0.4 && greatest <= 0.6, found);
    t.true(longestPause <= (WRITE_BYTES * 1000) / drain + 2, found);
  }
});

test('where compactions take all there is, writes go as much as is worked off, and hardly ever stop', (t) => {
  for (const drain of DRAINS) {
    const { share, longestPause } = settle(drain, Infinity);
    const found = `${share.toFixed(3)}, ${longestPause} ms`;
    t.true(Math.abs(share - 1) < 0.02, found);
    // A fiftieth of what one of them takes.
    t.true(longestPause <= (12 * TABLE_BYTES * 1000) / drain / 50, found);
  }
});

interface Rate {
  readonly rate: CompactionRate;
  readonly clock: Clock;
  /** KiB a second, as the compaction thread reads it. */
  readonly word: () => number;
}

function rateOf(setting: number | 'auto'): Rate {
  const clock = new Clock();
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  const rate = new CompactionRate(control, setting, clock.now);
  return { rate, clock, word: () => control[COMPACTION_RATE_WORD] };
}

test('a rate that is set is what the thread reads, whatever piles up', (t) => {
  const { rate, word } = rateOf(5 * MEBIBYTE);
  t.deepEqual([rate.bytesPerSecond, word()], [5 * MEBIBYTE, 5 * KIBIBYTE]);
  rate.noteFlush(1000 * MEBIBYTE);
  rate.noteLoad({ pendingBytes: 1e12, isPressing: true });
  t.deepEqual([rate.bytesPerSecond, word()], [5 * MEBIBYTE, 5 * KIBIBYTE]);
  rate.setting = 0;
  t.deepEqual([rate.bytesPerSecond, word()], [0, 0]);
  rate.setting = 2 ** 40;
  t.deepEqual([rate.bytesPerSecond, word()], [2 ** 40, 2 ** 30]);
});

test('a compaction that is waited for has no automatic limit', (t) => {
  const { rate, word } = rateOf('auto');
  rate.isAwaited = true;
  t.deepEqual([rate.bytesPerSecond, word()], [0, 0]);
  rate.setting = 5 * MEBIBYTE;
  t.is(word(), 5 * KIBIBYTE, 'one that is set holds');
  rate.setting = 'auto';
  rate.isAwaited = false;
  t.is(word(), 64 * KIBIBYTE);
});

test('the automatic rate follows what is flushed and what is pending, and has no limit under pressure', (t) => {
  const { rate, clock, word } = rateOf('auto');
  t.is(rate.bytesPerSecond, 64 * MEBIBYTE);
  t.is(word(), 64 * KIBIBYTE);
  // Ten megabytes a second for a minute.
  const rates: number[] = [];
  for (let i = 0; i < 60; i++) {
    clock.milliseconds += 1000;
    rate.noteFlush(10 * MEBIBYTE);
    rates.push(rate.bytesPerSecond);
  }
  t.true(
    rates.every((each, i) => i === 0 || each >= rates[i - 1]),
    'it rises',
  );
  t.true(Math.abs(rate.bytesPerSecond / (240 * MEBIBYTE) - 1) < 0.01);
  t.true(Math.abs(word() / (240 * KIBIBYTE) - 1) < 0.01);
  const steady = rate.bytesPerSecond;
  rate.noteLoad({ pendingBytes: 500 * MEBIBYTE, isPressing: false });
  t.true(Math.abs((rate.bytesPerSecond - steady) / (200 * MEBIBYTE) - 1) < 0.01);
  rate.noteLoad({ pendingBytes: 500 * MEBIBYTE, isPressing: true });
  t.deepEqual([rate.bytesPerSecond, word()], [0, 0]);
  rate.noteLoad({ pendingBytes: 0, isPressing: false });
  t.is(rate.bytesPerSecond, steady);
  // It falls when nothing is flushed any more.
  clock.milliseconds += 60_000;
  t.is(rate.bytesPerSecond, 64 * MEBIBYTE);
});

test('flushes that come at once, or after a long pause, make no rate that is out of measure', (t) => {
  const { rate, clock, word } = rateOf('auto');
  // Ten memtables in one moment: as much as in some seconds, no more.
  for (let i = 0; i < 10; i++) rate.noteFlush(32 * MEBIBYTE);
  t.true(rate.bytesPerSecond < 24 * 320 * MEBIBYTE, `${rate.bytesPerSecond}`);
  t.true(word() > 0);
  clock.milliseconds += 3_600_000;
  rate.noteFlush(32 * MEBIBYTE);
  t.is(rate.bytesPerSecond, 64 * MEBIBYTE);
  clock.milliseconds -= 5000;
  rate.noteFlush(0);
  t.true(Number.isFinite(rate.bytesPerSecond), 'a clock that went back');
});

test('stalls are counted and timed by what is waited for', (t) => {
  const clock = new Clock();
  const stalls = new WriteStalls(clock.now);
  const none = { count: 0, milliseconds: 0 };
  const zero = { staging: none, 'log file': none, memtable: none, slowdown: none, stop: none };
  t.deepEqual(stalls.statistics(), zero);
  stalls.note(undefined);
  stalls.note('slowdown');
  clock.milliseconds += 10;
  stalls.note('slowdown');
  t.deepEqual(stalls.statistics(), { ...zero, slowdown: { count: 1, milliseconds: 10 } });
  clock.milliseconds += 5;
  stalls.note('stop');
  clock.milliseconds += 100;
  stalls.note(undefined);
  clock.milliseconds += 1000;
  stalls.note('slowdown');
  clock.milliseconds += 1;
  t.deepEqual(stalls.statistics(), {
    ...zero,
    slowdown: { count: 2, milliseconds: 16 },
    stop: { count: 1, milliseconds: 100 },
  });
});
