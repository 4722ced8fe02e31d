/** Records with FLAG_SELECT that are not valid: they are refused, lend nothing, and lead to no address elsewhere. */
import { constants as os } from 'node:os';
import { closeSync, constants as fs, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  FLAG_LINK,
  FLAG_SELECT,
  NO_BUFFER,
  OPCODE_CLOSE,
  OPCODE_FADVISE,
  OPCODE_FALLOCATE,
  OPCODE_FSYNC,
  OPCODE_NOP,
  OPCODE_OPEN,
  OPCODE_RENAME,
  OPCODE_UNLINK,
  OPCODE_WRITE,
} from '../../src/workers/ring.ts';
import { Random, testSeed } from '../support/random.ts';
import { onBoth } from './on-both.ts';
import { MEMORY_BYTES, SELECT_BYTES, selectRead, type Operation } from './ring-fixture.ts';

const { EINVAL, ECANCELED } = os.errno;
const NO_FILE = 1_000_000;
const OPTIONS = { selectBytes: SELECT_BYTES };

const badRecords: [string, Operation][] = [
  ['a length above selectBytes', selectRead(0, 0, { length: SELECT_BYTES + 1 })],
  ['a length of 0', selectRead(0, 0, { length: 0 })],
  ['a negative length', selectRead(0, 0, { length: -1 })],
  ['a buffer that reaches out of the region', selectRead(0, MEMORY_BYTES - SELECT_BYTES + 1, { length: 1 })],
  ['a buffer behind the region', selectRead(0, MEMORY_BYTES)],
  ['a buffer that wraps round', selectRead(0, -8)],
  ['a region without provided buffers', selectRead(0, 0, { flags: FLAG_SELECT | 1 })],
  ['a region that does not exist', selectRead(0, 0, { flags: FLAG_SELECT | 200 })],
  ['a negative file offset', selectRead(0, 0, { offsetHigh: -1 })],
  ['a chain', selectRead(0, 0, { flags: FLAG_SELECT | FLAG_LINK })],
];
const otherOpcodes = [
  OPCODE_NOP,
  OPCODE_WRITE,
  OPCODE_FSYNC,
  OPCODE_OPEN,
  OPCODE_CLOSE,
  OPCODE_FALLOCATE,
  OPCODE_RENAME,
  OPCODE_UNLINK,
  OPCODE_FADVISE,
];
for (const opcode of otherOpcodes) {
  badRecords.push([`opcode ${opcode}`, selectRead(NO_FILE, 0, { opcode, name: 'a', secondName: 'b' })]);
}

for (const [what, operation] of badRecords) {
  onBoth(
    `selecting with ${what} is refused, and lends nothing`,
    (t, { fixture, directory, open }) => {
      writeFileSync(join(directory, 'data'), 'quadring');
      const file = open('data', fs.O_RDONLY);
      fixture.ring.attach(1, fixture.memory, 0, 0, 0);
      t.deepEqual(fixture.runWithBuffers({ opcode: OPCODE_NOP }, operation), [
        { userData: 0, result: 0, buffer: NO_BUFFER },
        { userData: 1, result: -EINVAL, buffer: NO_BUFFER },
      ]);
      const last = MEMORY_BYTES - SELECT_BYTES;
      t.deepEqual(fixture.runWithBuffers(selectRead(file, last, { length: 8 })), [
        { userData: 0, result: 8, buffer: last },
      ]);
    },
    OPTIONS,
  );
}

onBoth(
  'a read that selects at the end of a chain cancels the chain',
  (t, { fixture }) => {
    t.deepEqual(
      fixture.runWithBuffers({ opcode: OPCODE_NOP, flags: FLAG_LINK }, selectRead(NO_FILE, 0), {
        opcode: OPCODE_NOP,
      }),
      [
        { userData: 0, result: -ECANCELED, buffer: NO_BUFFER },
        { userData: 1, result: -EINVAL, buffer: NO_BUFFER },
        { userData: 2, result: 0, buffer: NO_BUFFER },
      ],
    );
  },
  OPTIONS,
);

onBoth('no record that selects, however random, reads to outside of its region', (t, { fixture }) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const length = 65_536;
  const stride = 8192;
  const bounds = [0, 1, stride, length - stride, length, -1, 2 ** 31 - 1, -(2 ** 31)];
  const word = (): number =>
    random.oneIn(4) ? random.bits() : bounds[random.below(8)] - 1 + random.below(3);
  const zeros = openSync('/dev/zero', fs.O_RDONLY);
  t.teardown(() => closeSync(zeros));
  const around = new Uint8Array(new SharedArrayBuffer(3 * length)).fill(0xee);
  fixture.ring.attach(0, around.subarray(length, 2 * length), 0, 0, stride);
  let valid = 0;
  for (let batch = 0; batch < 500; batch++) {
    const operations = Array.from({ length: fixture.entries }, () => {
      const flags = FLAG_SELECT | (random.oneIn(8) ? random.bits() & (FLAG_LINK | 3) : 0);
      return selectRead(random.oneIn(8) ? NO_FILE : zeros, word(), { length: word(), flags });
    });
    fixture.runWithBuffers(...operations).forEach(({ result, buffer }, index) => {
      const { bufferOffset = 0, length: bytes = 0 } = operations[index];
      if (result === -EINVAL || result === -ECANCELED) {
        t.is(buffer, NO_BUFFER);
        return;
      }
      valid++;
      t.true((bufferOffset >>> 0) + stride <= length && bytes > 0 && bytes <= stride);
      if (buffer !== NO_BUFFER) t.true(buffer >= 0 && buffer + stride <= length);
    });
  }
  t.true(valid > 50, `${valid}`);
  t.true(around.subarray(0, length).every((byte) => byte === 0xee));
  t.true(around.subarray(2 * length).every((byte) => byte === 0xee));
});
