/** Operations on the owner's own ring: what becomes of all when one handler throws, or the ring itself. */
import test from 'ava';
import { CallerIo } from '../../src/main/caller-io.ts';
import { RESULT_WORKER_FAILED } from '../../src/protocol/requests.ts';
import { OPCODE_NOP } from '../../src/protocol/ring-records.ts';
import { ScriptedRing } from '../support/scripted-ring.ts';

const ENTRIES = 8;

class Rig {
  readonly ring = new ScriptedRing(ENTRIES);
  readonly results: string[] = [];
  readonly failures: Error[] = [];
  outstanding = 0;
  readonly io: CallerIo;

  constructor(onFailure: (rig: Rig) => void = () => undefined) {
    this.io = new CallerIo({
      ring: this.ring,
      directory: 3,
      directIo: false,
      now: () => 0,
      onBegun: () => this.outstanding++,
      onEnded: () => this.outstanding--,
      onFailure: (error) => {
        this.failures.push(error);
        onFailure(this);
      },
    });
  }

  begin(name: string, then: () => void = () => undefined): void {
    this.io.push(OPCODE_NOP, 0, 0, 0, 0, 0, (result) => {
      this.results.push(`${name} ${result}`);
      then();
    });
  }
}

test('a handler that throws keeps no other from its result', (t) => {
  const rig = new Rig();
  rig.begin('a', () => {
    throw new Error('of a handler');
  });
  rig.begin('b');
  rig.begin('c');
  rig.io.submit();
  rig.ring.completes = 3;
  t.throws(() => rig.io.drain(), { message: 'of a handler' });
  t.deepEqual(rig.results, ['a 0', 'b 0', 'c 0']);
  t.is(rig.outstanding, 0);
  t.false(rig.io.isBusy);
  t.is(rig.io.room, ENTRIES);
});

test('a handler may lead to another turn', (t) => {
  const rig = new Rig();
  rig.begin('a', () => {
    rig.begin('d');
    rig.io.drain();
  });
  rig.begin('b');
  rig.begin('c');
  rig.io.submit();
  rig.ring.completes = 2;
  t.is(rig.io.drain(), 2);
  t.deepEqual(rig.results, ['a 0', 'c 0', 'd 0', 'b 0']);
  t.is(rig.outstanding, 0);
});

test('a ring that cannot go on gives up everything once, whatever is done when that is told', (t) => {
  const rig = new Rig(({ io }) => {
    io.drain();
    io.submit();
    io.stop();
  });
  rig.begin('in flight');
  rig.io.submit();
  rig.begin('queued');
  rig.ring.failure = new Error('of the ring');
  rig.io.drain();
  t.deepEqual(rig.failures, [rig.ring.failure]);
  t.deepEqual(rig.results.toSorted(), [
    `in flight ${RESULT_WORKER_FAILED}`,
    `queued ${RESULT_WORKER_FAILED}`,
  ]);
  t.is(rig.outstanding, 0);
  t.false(rig.io.isBusy);
  t.is(rig.io.room, 0);
  const { turns } = rig.ring;
  rig.io.submit();
  t.is(rig.io.drain() + rig.io.wait(1), 0);
  t.is(rig.ring.turns, turns, 'it is not asked again');
});

test('files are closed as soon as there is room', (t) => {
  const rig = new Rig();
  for (let i = 0; i < ENTRIES; i++) rig.begin(`${i}`);
  rig.io.submit();
  rig.io.close(1 << 30);
  t.is(rig.outstanding, ENTRIES);
  rig.ring.completes = 1;
  rig.io.drain();
  t.is(rig.outstanding, ENTRIES, 'one has ended, and the close has begun');
  rig.ring.completes = ENTRIES;
  while (rig.io.isBusy) rig.io.drain();
  t.is(rig.outstanding, 0);
});

test('what results lead to begins before all that came with them are told', (t) => {
  const rig = new Rig();
  for (let i = 0; i < ENTRIES; i++) rig.begin(`${i}`, () => rig.begin(`${i} again`));
  rig.io.submit();
  rig.ring.completes = ENTRIES;
  t.is(rig.io.drain(), ENTRIES);
  const told = rig.results.length;
  t.true(told > 0 && told < ENTRIES);
  t.true(rig.io.hasAnswers);
  t.is(rig.io.room, 0, 'what has not been told keeps its place');
  rig.ring.completes = 0;
  rig.io.submit();
  t.is(rig.ring.taken.length, told, 'handed over');
  t.is(rig.results.length, told);
  while (rig.io.hasAnswers) rig.io.answer();
  t.is(rig.results.length, ENTRIES);
  t.is(rig.outstanding, ENTRIES);
});

test('whoever sits waiting is told all there is', (t) => {
  const rig = new Rig();
  for (let i = 0; i < ENTRIES; i++) rig.begin(`${i}`);
  rig.io.submit();
  rig.ring.completes = ENTRIES;
  rig.io.drain();
  const left = ENTRIES - rig.results.length;
  const { turns } = rig.ring;
  t.is(rig.io.wait(1), left);
  t.is(rig.ring.turns, turns, 'without another turn of the ring');
  t.is(rig.outstanding, 0);
  t.false(rig.io.isBusy);
});

test('what whoever sits waiting has asked for is on its way before results that were left are told', (t) => {
  const rig = new Rig();
  const underWay: number[] = [];
  for (let i = 1; i < ENTRIES; i++) rig.begin(`${i}`, () => underWay.push(rig.ring.taken.length));
  rig.io.submit();
  rig.ring.completes = ENTRIES;
  rig.io.drain();
  underWay.length = 0;
  rig.ring.completes = 0;
  rig.begin('last');
  rig.io.wait(1);
  t.deepEqual([...new Set(underWay)], [1]);
  t.is(rig.outstanding, 1);
});

test('results that were left when the ring is given up are what they were', (t) => {
  const rig = new Rig();
  for (let i = 0; i < ENTRIES; i++) rig.begin(`${i}`);
  rig.io.submit();
  rig.ring.completes = ENTRIES - 1;
  rig.io.drain();
  t.is(rig.io.stop(), 1);
  const expected = Array.from(
    { length: ENTRIES },
    (_, i) => `${i} ${i < ENTRIES - 1 ? 0 : RESULT_WORKER_FAILED}`,
  );
  t.deepEqual(rig.results, expected);
  t.is(rig.outstanding, 0);
  t.false(rig.io.isBusy);
});
