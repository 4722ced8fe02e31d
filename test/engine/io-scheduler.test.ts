/** Steps of the owner's scheduler: what they hand over before they tell more, and that the event loop has its turns. */
import test from 'ava';
import { CallerIo } from '../../src/main/caller-io.ts';
import type { Crew } from '../../src/main/crew.ts';
import { IoScheduler } from '../../src/main/io-scheduler.ts';
import { CONTROL_WORDS } from '../../src/protocol/crew-layout.ts';
import { OPCODE_NOP } from '../../src/protocol/ring-records.ts';
import { ScriptedRing } from '../support/scripted-ring.ts';

const ENTRIES = 32;

class Rig {
  readonly ring = new ScriptedRing(ENTRIES);
  /** What waits for the event loop's next turn. */
  readonly turns: (() => void)[] = [];
  readonly scheduler: IoScheduler;
  readonly #io: CallerIo;
  told = 0;

  constructor() {
    const crew = {
      control: new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT)),
      keepAlive: () => undefined,
      inNextTurn: (run: () => void) => this.turns.push(run),
    } satisfies Partial<Crew>;
    // No role is asked for anything.
    this.scheduler = new IoScheduler(crew as unknown as Crew, 'directory', {
      spinMicroseconds: 0,
      now: () => 0,
    });
    this.#io = new CallerIo({
      ring: this.ring,
      directory: 3,
      directIo: false,
      now: () => 0,
      onBegun: () => this.scheduler.noteCallerBegun(),
      onEnded: () => this.scheduler.noteCallerEnded(),
      onFailure: (error) => {
        throw error;
      },
    });
    this.scheduler.callerIo = this.#io;
  }

  operation(): Promise<void> {
    return new Promise((resolve) => {
      this.#io.push(OPCODE_NOP, 0, 0, 0, 0, 0, () => {
        this.told++;
        resolve();
      });
    });
  }
}

/** All microtasks that there are, and those they lead to, have run. */
function microtasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('what results lead to is under way before the next are told', async (t) => {
  const rig = new Rig();
  /** Of each that goes on: how many had been told, and how many were under way. */
  const seen: string[] = [];
  for (let i = 0; i < 16; i++) {
    void rig.operation().then(() => {
      seen.push(`${rig.told} ${rig.ring.taken.length}`);
      void rig.operation();
    });
  }
  await microtasks();
  t.is(rig.ring.taken.length, 16);
  rig.ring.completes = 16;
  rig.scheduler.onWake();
  rig.ring.completes = 0;
  await microtasks();
  t.deepEqual([...new Set(seen)], ['4 0', '8 4', '12 8', '16 12']);
  t.is(rig.ring.taken.length, 16);
});

test('what goes on and on without the event loop waits for its turn', async (t) => {
  const rig = new Rig();
  rig.ring.completes = ENTRIES;
  let isOver = false;
  const lanes = Array.from({ length: 8 }, async () => {
    while (!isOver) await rig.operation();
  });
  for (let turn = 0; turn < 3; turn++) {
    const before = rig.told;
    await microtasks();
    t.is(rig.turns.length, 1, `turn ${turn}`);
    t.true(rig.told > before && rig.told - before < 1000, `${rig.told - before} in a turn`);
    isOver = turn === 2;
    rig.turns.shift()?.();
  }
  await Promise.all(lanes);
});
