/**
 * The states that a power cut is said to leave, against a model of the disk: each must be one that the disk could have been
 * in at some moment, and behind a marker at one when that had been written.
 */
import test from 'ava';
import { Random, testSeed } from '../support/random.ts';
import {
  ATOMIC_BYTES,
  chooseCut,
  momentsOf,
  remains,
  REMAINDERS,
  replayable,
  SettledOrder,
  type PowerCut,
} from './disk-states.ts';
import { FLAG_FLUSH, FLAG_FUA, readEntries, type LogEntry } from './log-writes.ts';
import { encodeLog, ModelDisk, readerOf, WrittenSectors, type SyntheticEntry } from './synthetic-log.ts';

const RUNS = 150;
const STEPS = 120;
const CUTS_PER_RUN = 20;

function entriesOf(log: readonly SyntheticEntry[]): LogEntry[] {
  return readEntries(readerOf(encodeLog(log)));
}

function stateAfter(
  entries: readonly LogEntry[],
  cut: PowerCut,
  length: number,
  random: Random,
): WrittenSectors {
  const state = new WrittenSectors(length);
  for (const entry of new SettledOrder(entries).advance(cut.position)) state.write(entry, 0, entry.length);
  for (const { entry, from, to } of remains(entries, cut, random)) state.write(entry, from, to);
  return state;
}

test('every state is one that the disk could have been in, not before the cut’s marker', (t) => {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const random = new Random(seed);
  const seen = { whole: 0, parts: 0, lostWhileCached: 0 };
  for (let run = 0; run < RUNS; run++) {
    const disk = new ModelDisk();
    disk.run(random, STEPS);
    const entries = entriesOf(disk.log);
    t.is(replayable(entries), entries.length);
    const length = disk.writes.reduce((sum, write) => sum + write.length, 0);
    const fua = entries.flatMap((entry, i) => ((entry.flags & FLAG_FUA) === 0 ? [] : [i]));
    const markers = new Set(fua.filter(() => random.oneIn(3)));
    for (let i = 0; i < CUTS_PER_RUN; i++) {
      const cut = chooseCut(momentsOf(entries, 0, markers), random);
      const state = stateAfter(entries, cut, length, random);
      const written = disk.writes.map((write) => ({ ...write, there: state.of(write) }));
      const marker = [...markers].filter((index) => index < cut.position).at(-1);
      const { offset: markerAt } = entries[marker ?? -1] ?? { offset: -1 };
      const markedAt = disk.writes.find(({ offset }) => offset === markerAt)?.completedAt ?? 0;
      // The latest moment at which everything that is missing need not have been there.
      const mustEndBefore = Math.min(
        ...written.filter(({ there, length: all }) => there < all).map(({ durableAt }) => durableAt),
      );
      const beganAt = Math.max(
        0,
        ...written.filter(({ there }) => there > 0).map(({ issuedAt }) => issuedAt),
      );
      if (Math.max(beganAt, markedAt) >= mustEndBefore) {
        const what = `keeps what was issued at ${beganAt} and loses what was durable at ${mustEndBefore}`;
        t.fail(`run ${run}: ${JSON.stringify(cut)}, behind a marker of ${markedAt}, ${what}`);
      }
      for (const { there, length: all, completedAt } of written) {
        if (there === all) seen.whole++;
        else if (there > 0) seen.parts++;
        else if (completedAt < beganAt) seen.lostWhileCached++;
        if (there > 0 && there < all && all <= ATOMIC_BYTES) t.fail('a small write is torn');
      }
    }
  }
  // A test of states that are all alike would prove little.
  for (const count of Object.values(seen)) t.true(count > RUNS, JSON.stringify(seen));
});

test('a flush settles what was written before it, and nothing else does', (t) => {
  const data = Buffer.alloc(512);
  const entries = entriesOf([
    { flags: FLAG_FUA, offset: 0, length: 512, data },
    { flags: 0, offset: 512, length: 512, data },
    { flags: 0, offset: 1024, length: 512, data },
    { flags: FLAG_FLUSH },
    { flags: 0, offset: 1536, length: 512, data },
  ]);
  const order = new SettledOrder(entries);
  const offsets = (position: number): number[] => [...order.advance(position)].map(({ offset }) => offset);
  t.deepEqual(offsets(3), [0]);
  t.deepEqual(offsets(4), [512, 1024]);
  t.deepEqual(offsets(entries.length), []);
});

test('of a flush that is under way nothing, everything, whole writes or parts may be there', (t) => {
  const entries = entriesOf([
    ...Array.from({ length: 20 }, (_, i) => ({
      flags: 0,
      offset: i * 8192,
      length: 8192,
      data: Buffer.alloc(8192),
    })),
    { flags: FLAG_FLUSH },
  ]);
  const bytes = REMAINDERS.map((remainder) => {
    const pieces = [...remains(entries, { position: 0, from: 0, to: 20, remainder }, new Random(7))];
    return {
      remainder,
      whole: pieces.every(({ from, to }) => from === 0 && to === 8192),
      bytes: pieces.reduce((sum, { from, to }) => sum + to - from, 0),
    };
  });
  const [nothing, everything, whole, parts] = bytes;
  t.is(nothing?.bytes, 0);
  t.is(everything?.bytes, 20 * 8192);
  t.true(whole?.whole);
  t.true((whole?.bytes ?? 0) > 0 && (whole?.bytes ?? 0) < 20 * 8192);
  t.false(parts?.whole);
});

test('a log is replayed up to where it does not say which of two writes to one place came first', (t) => {
  const data = Buffer.alloc(1024);
  const fua = { flags: FLAG_FUA, offset: 512, length: 1024, data };
  const write = { flags: 0, offset: 1024, length: 1024, data };
  const flush = { flags: FLAG_FLUSH };
  t.is(replayable(entriesOf([flush, fua, flush, fua, write, flush])), 4);
  const clear = [
    [fua, flush, write, flush],
    [fua, { ...write, offset: 1536 }, flush],
    [write, flush, fua],
  ];
  for (const log of clear) t.is(replayable(entriesOf(log)), log.length + 1);
});
