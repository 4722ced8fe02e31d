/** The compaction role between its requests: others in between, an END that comes too early, and the rate. */
import test, { type ExecutionContext } from 'ava';
import { COMPACTION_RATE_WORD } from '../../src/protocol/crew-layout.ts';
import { ATTACH, DETACH, END_COMPACTION, type CompactionInput } from '../../src/protocol/requests.ts';
import {
  OPCODE_TIMEOUT,
  RECORD_WORDS,
  TIMEOUT_MICROSECONDS_MAX,
  WORD_LENGTH,
  WORD_OPCODE,
} from '../../src/workers/ring.ts';
import { expectEntries, put, type Entry } from '../format/tables.ts';
import { CompactionRig } from '../support/compaction-rig.ts';
import { FailingDisk } from '../support/failing-disk.ts';
import { SimulatedRing } from '../support/simulated-ring.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const ECANCELED = 125;
const KEEP_ALL = { snapshots: [], keepAbove: 0 };
const seed = testSeed();
const entries: readonly Entry[] = Array.from({ length: 4000 }, (_, i) =>
  put(keyOf(i), i + 1, new Uint8Array(valueOf(1000, i))),
);

/** A ring on which time passes only while a record waits for it. */
class TimedRing extends SimulatedRing {
  nowMs = 0;
  readonly waits: number[] = [];
  onWait: (nowMs: number) => void = () => undefined;

  override turn(count: number): number {
    for (let i = 0; i < count; i++) {
      if (this.records[i * RECORD_WORDS + WORD_OPCODE] !== OPCODE_TIMEOUT) continue;
      const microseconds = this.records[i * RECORD_WORDS + WORD_LENGTH];
      this.waits.push(microseconds);
      this.nowMs += microseconds / 1000;
      this.onWait(this.nowMs);
    }
    return super.turn(count);
  }
}

interface World {
  readonly disk: FailingDisk;
  readonly ring: TimedRing;
  readonly rig: CompactionRig;
  readonly runs: readonly (readonly CompactionInput[])[];
}

function newWorld(salt = 0): World {
  const disk = new FailingDisk();
  const random = new Random(seed + salt);
  const ring = new TimedRing({ entries: 64, disk, random: () => random.fraction() });
  const rig = new CompactionRig({ random, disk, ring, now: () => ring.nowMs });
  const even = rig.addTable(entries.filter((_, i) => i % 2 === 0));
  const odd = rig.addTable(entries.filter((_, i) => i % 2 === 1));
  return { disk, ring, rig, runs: [[even], [odd]] };
}

function setRate(rig: CompactionRig, bytesPerSecond: number): void {
  Atomics.store(rig.control, COMPACTION_RATE_WORD, bytesPerSecond / 1024);
}

function expectWholeCompaction(t: ExecutionContext, { rig, runs, disk }: World): void {
  const tables = rig.compact({ runs, ...KEEP_ALL });
  expectEntries(t, rig.entriesOf(tables), entries);
  t.is(disk.openHandles.size, 0);
}

test('END in the middle of anything ends it, and another compaction can begin', (t) => {
  t.log(`seed ${seed}`);
  let cancelled = 0;
  for (let salt = 0; salt < 40; salt++) {
    const world = newWorld(salt);
    const { rig, disk } = world;
    const random = new Random(seed * 41 + salt);
    let asked = rig.askBegin({ runs: world.runs, ...KEEP_ALL, tableBytes: 1 << 24 });
    if (salt >= 10) {
      t.is(rig.wait(asked).result, 0);
      asked = rig.askWrite(rig.newTable());
    }
    for (let turns = random.below(salt < 10 ? 10 : 25); turns > 0; turns--) rig.turn();
    const isUnderWay = !rig.hasAnswer(asked);
    t.is(rig.wait(rig.ask(END_COMPACTION)).result, 0);
    const answer = rig.wait(asked);
    if (isUnderWay) t.true(answer.result === -ECANCELED || answer.result >= 0);
    const hasTable = answer.result > 0;
    if (answer.result === -ECANCELED) cancelled++;
    t.is(rig.host.inFlight, 0);
    t.is(disk.openHandles.size, 0, 'every file is closed');
    t.is(disk.names.size, hasTable ? 3 : 2, 'nothing is left of what was cancelled');
    t.is(rig.end().result, 0, 'a second END finds nothing to do');
    if (salt % 5 === 0) expectWholeCompaction(t, world);
  }
  t.true(cancelled > 10, `${cancelled} were cancelled`);
});

test('END without a compaction does nothing', (t) => {
  const { rig } = newWorld();
  t.deepEqual({ ...rig.end(), detail0: 0 }, { result: 0, detail0: 0, detail1: 0 });
});

test('other requests are answered while a table is written', (t) => {
  const { rig, runs, ring } = newWorld();
  setRate(rig, 1 << 20);
  rig.begin({ runs, ...KEEP_ALL });
  const writing = rig.askWrite(rig.newTable());
  for (let turns = 0; turns < 30; turns++) rig.turn();
  const begun = ring.nowMs;
  rig.attachments.push({
    directory: 3,
    salt: 0,
    directIo: true,
    polledBytesMax: 0,
    slotBytes: 4096,
    isFirst: false,
    memory: [],
  });
  t.is(rig.wait(rig.ask(ATTACH)).result, 0);
  t.false(rig.hasAnswer(writing));
  t.true(ring.nowMs - begun <= 200, 'a wait for the rate holds nobody up');
  setRate(rig, 0);
  t.true(rig.wait(writing).result > 0);
  t.is(rig.end().result, 0);
});

test('a database lets go after END, and the next one compacts', (t) => {
  const world = newWorld();
  const { rig, runs, disk } = world;
  rig.begin({ runs, ...KEEP_ALL, tableBytes: 1 << 20 });
  rig.write(rig.newTable());
  t.is(rig.wait(rig.ask(DETACH)).result, 0);
  t.is(disk.openHandles.size, 0, 'inputs are closed even without END');
  rig.attach(disk.openDirectory());
  expectWholeCompaction(t, world);
});

test('the rate is kept', (t) => {
  const world = newWorld();
  const { rig, ring, runs } = world;
  const rate = 2 << 20;
  setRate(rig, rate);
  const tables = rig.compact({ runs, ...KEEP_ALL });
  const inputs = runs.flat().reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  const bytes = inputs + tables.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  const seconds = ring.nowMs / 1000;
  t.true(seconds > (0.9 * bytes) / rate && seconds < (1.1 * bytes) / rate, `${bytes} bytes in ${seconds} s`);
  t.true(ring.waits.every((wait) => wait > 0 && wait <= TIMEOUT_MICROSECONDS_MAX));
});

test('another rate takes effect within a tenth of a second', (t) => {
  const { rig, ring, runs } = newWorld();
  setRate(rig, 20 * 1024);
  let changedAt = Infinity;
  ring.onWait = (nowMs) => {
    if (nowMs < 3000 || changedAt !== Infinity) return;
    changedAt = nowMs;
    setRate(rig, 0);
  };
  rig.compact({ runs, ...KEEP_ALL });
  t.true(changedAt < 3100);
  t.true(ring.nowMs - changedAt <= 100, 'from then on nothing waits');

  const slowed = newWorld(1);
  let operations = 0;
  slowed.rig.begin({ runs: slowed.runs, ...KEEP_ALL });
  const writing = slowed.rig.askWrite(slowed.rig.newTable());
  for (let turns = 0; turns < 4; turns++) slowed.rig.turn();
  setRate(slowed.rig, 1024);
  slowed.ring.onWait = () => operations++;
  for (let turns = 0; turns < 200; turns++) slowed.rig.turn();
  t.true(operations > 0 && !slowed.rig.hasAnswer(writing), 'it waits now');
  t.is(slowed.rig.wait(slowed.rig.ask(END_COMPACTION)).result, 0);
  t.is(slowed.rig.wait(writing).result, -ECANCELED);
});
