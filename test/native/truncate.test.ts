/** TRUNCATE: shorter and longer, refused in a chain, on both kinds of ring. */
import { constants as os } from 'node:os';
import { constants as fs, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLAG_LINK, OPCODE_NOP, OPCODE_TRUNCATE } from '../../src/workers/ring.ts';
import { onBoth } from './on-both.ts';

const { EBADF, ECANCELED, EINVAL } = os.errno;

onBoth('a file ends where it is told to', (t, { fixture, directory, open }) => {
  const path = join(directory, 'a');
  writeFileSync(path, Buffer.alloc(10_000, 7));
  const file = open('a', fs.O_RDWR);
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file, offset: 4097 }), [0]);
  t.deepEqual(readFileSync(path), Buffer.alloc(4097, 7));
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file, offset: 4097 }), [0]);
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file, offset: 5 * 2 ** 32 }), [0]);
  t.is(statSync(path).size, 5 * 2 ** 32, 'sizes have more than 32 bits');
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file, offset: 0 }), [0]);
  t.is(statSync(path).size, 0);
});

onBoth('several of a batch are carried out each by itself', (t, { fixture, directory, open }) => {
  const files = [0, 1, 2].map((i) => {
    writeFileSync(join(directory, `${i}`), Buffer.alloc(9000, i));
    return open(`${i}`, fs.O_RDWR);
  });
  const truncate = files.map((file, i) => ({ opcode: OPCODE_TRUNCATE, file, offset: 1000 * i }));
  t.deepEqual(fixture.run(truncate[0], { opcode: OPCODE_NOP }, truncate[1], truncate[2]), [0, 0, 0, 0]);
  t.deepEqual(
    files.map((_, i) => statSync(join(directory, `${i}`)).size),
    [0, 1000, 2000],
  );
});

onBoth('a truncation that fails says why', (t, { fixture, directory, open }) => {
  const path = join(directory, 'a');
  writeFileSync(path, Buffer.alloc(5000, 7));
  const readable = open('a', fs.O_RDONLY);
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file: readable, offset: 100 }), [-EINVAL]);
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file: 1_000_000, offset: 100 }), [-EBADF]);
  t.deepEqual(fixture.run({ opcode: OPCODE_TRUNCATE, file: open('a', fs.O_RDWR), offsetHigh: -1 }), [
    -EINVAL,
  ]);
  t.is(statSync(path).size, 5000);
});

onBoth('a truncation in a chain is refused, and cancels the chain', (t, { fixture, directory, open }) => {
  const path = join(directory, 'a');
  writeFileSync(path, Buffer.alloc(5000, 7));
  const file = open('a', fs.O_RDWR);
  const truncate = { opcode: OPCODE_TRUNCATE, file, offset: 100 };
  const nop = { opcode: OPCODE_NOP };
  t.deepEqual(fixture.run({ ...truncate, flags: FLAG_LINK }, nop), [-EINVAL, -ECANCELED]);
  t.deepEqual(fixture.run({ ...nop, flags: FLAG_LINK }, truncate), [-ECANCELED, -EINVAL]);
  t.is(statSync(path).size, 5000);
});
