/**
 * Reads and writes whose completion is polled for (IOPOLL). Where the disk has no queues for it the kernel refuses each with
 * EOPNOTSUPP, or does it all the same; where it has them, in the virtual machine for example, they are carried out.
 */
import { closeSync, constants as fs, openSync, writeFileSync } from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { COUNTER_POLLED } from '../../src/protocol/ring-counters.ts';
import {
  FLAG_DSYNC,
  FLAG_LINK,
  FLAG_POLLED,
  FLAG_SELECT,
  OPCODE_FSYNC,
  OPCODE_NOP,
  OPCODE_READ,
  OPCODE_TIMEOUT,
  OPCODE_WRITE,
} from '../../src/workers/ring.ts';
import {
  MIB,
  openFixture,
  POLLING,
  temporaryDirectory,
  type Fixture,
  type Operation,
} from './ring-fixture.ts';

const { EINVAL, ECANCELED, EOPNOTSUPP } = os.errno;
const PIECE_BYTES = 4096;
const PIECES = 32;

function directFile(t: ExecutionContext): number {
  const path = join(temporaryDirectory(t), 'file');
  writeFileSync(path, Buffer.alloc(PIECES * PIECE_BYTES, 7), { flush: true });
  const file = openSync(path, fs.O_RDWR | fs.O_DIRECT);
  t.teardown(() => {
    closeSync(file);
  });
  return file;
}

function transfer(opcode: number, file: number, piece: number, flags = FLAG_POLLED): Operation {
  const at = piece * PIECE_BYTES;
  return { opcode, file, bufferOffset: at, length: PIECE_BYTES, offset: at, flags };
}

const ARMS = [
  { name: 'alone', polling: null, fixedLength: 0 },
  { name: 'with registered memory', polling: null, fixedLength: MIB },
  { name: 'with SQPOLL', polling: POLLING, fixedLength: 0 },
];

for (const { name, polling, fixedLength } of ARMS) {
  const open = (t: ExecutionContext): Fixture =>
    openFixture(t, 'Ring', { entries: 64, polling, fixedLength, pollsCompletions: true });

  test(`${name}: what is polled for is carried out, or refused, beside everything else`, (t) => {
    const fixture = open(t);
    const { pollerFlags, pollerRefusal } = fixture.ring.describe();
    t.is(pollerFlags.includes('IOPOLL'), pollerRefusal === null);
    const file = directFile(t);
    for (let round = 0; round < 20; round++) {
      fixture.memory.fill(round, 0, PIECES * PIECE_BYTES);
      const writes = Array.from({ length: PIECES }, (_, i) =>
        transfer(OPCODE_WRITE, file, i, FLAG_POLLED | FLAG_DSYNC),
      );
      const written = fixture.run(...writes, { opcode: OPCODE_NOP }, { opcode: OPCODE_TIMEOUT, length: 100 });
      t.true(written.slice(0, PIECES).every((result) => result === PIECE_BYTES || result === -EOPNOTSUPP));
      t.deepEqual(written.slice(PIECES), [0, 0]);
      const wasWritten = written.map((result) => result === PIECE_BYTES);
      fixture.memory.fill(255, 0, PIECES * PIECE_BYTES);
      const reads = Array.from({ length: PIECES }, (_, i) => transfer(OPCODE_READ, file, i));
      const read = fixture.run(...reads, { opcode: OPCODE_FSYNC, file });
      t.is(read[PIECES], 0);
      for (let i = 0; i < PIECES; i++) {
        t.true(read[i] === PIECE_BYTES || read[i] === -EOPNOTSUPP);
        if (read[i] !== PIECE_BYTES || !wasWritten[i]) continue;
        t.is(fixture.memory[i * PIECE_BYTES], round);
        t.is(fixture.memory[(i + 1) * PIECE_BYTES - 1], round);
      }
    }
    t.is(fixture.counters[COUNTER_POLLED], pollerRefusal === null ? 20 * 2 * PIECES : 0);
  });

  test(`${name}: only reads and writes, and none in a chain or into a buffer that is lent`, (t) => {
    const fixture = open(t);
    const file = directFile(t);
    t.deepEqual(fixture.run({ opcode: OPCODE_FSYNC, file, flags: FLAG_POLLED }), [-EINVAL]);
    t.deepEqual(fixture.run(transfer(OPCODE_READ, file, 0, FLAG_POLLED | FLAG_SELECT)), [-EINVAL]);
    t.deepEqual(
      fixture.run({ opcode: OPCODE_NOP, flags: FLAG_LINK }, transfer(OPCODE_READ, file, 0), {
        opcode: OPCODE_NOP,
      }),
      [-ECANCELED, -EINVAL, 0],
    );
    const linked = transfer(OPCODE_READ, file, 0, FLAG_POLLED | FLAG_LINK);
    t.deepEqual(fixture.run(linked, { opcode: OPCODE_NOP }), [-EINVAL, -ECANCELED]);
  });

  test(`${name}: a ring is closed with such reads under way`, (t) => {
    const fixture = open(t);
    const file = directFile(t);
    for (let i = 0; i < PIECES; i++) fixture.add(transfer(OPCODE_READ, file, i));
    fixture.turn();
    t.notThrows(() => fixture.ring.close());
  });
}

test('a ring that was not asked to does not poll', (t) => {
  const fixture = openFixture(t, 'Ring', { entries: 64, pollsCompletions: false });
  t.deepEqual(fixture.ring.describe().pollerFlags, []);
  const file = directFile(t);
  t.deepEqual(fixture.run(transfer(OPCODE_READ, file, 0)), [PIECE_BYTES]);
  t.is(fixture.counters[COUNTER_POLLED], 0);
});
