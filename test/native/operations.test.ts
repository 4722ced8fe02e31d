/** Every operation, on io_uring and on plain system calls: both must answer alike. */
import { constants as os } from 'node:os';
import {
  closeSync,
  constants as fs,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  FLAG_DATASYNC,
  FLAG_DSYNC,
  FLAG_KEEP_SIZE,
  FLAG_LINK,
  OPCODE_CLOSE,
  OPCODE_FADVISE,
  OPCODE_FALLOCATE,
  OPCODE_FSYNC,
  OPCODE_NOP,
  OPCODE_OPEN,
  OPCODE_READ,
  OPCODE_RENAME,
  OPCODE_UNLINK,
  OPCODE_WRITE,
} from '../../src/workers/ring.ts';
import { Random, testSeed } from '../support/random.ts';
import { onBoth, type Context } from './on-both.ts';
import { MEMORY_BYTES, MIB, type Operation } from './ring-fixture.ts';

const { EINVAL, ECANCELED, ENOENT, EBADF, EISDIR } = os.errno;
const NO_FILE = 1_000_000;
/** From here on a handle is of the ring's table: no other process ever has it. */
const FIRST_HANDLE = 2 ** 30;

function fill(memory: Uint8Array, start: number, length: number, seed: number): void {
  for (let i = 0; i < length; i++) memory[start + i] = (i * 31 + seed + (i >> 8)) & 0xff;
}

onBoth('a NOP completes with 0', (t, { fixture }) => {
  t.deepEqual(fixture.run({ opcode: OPCODE_NOP }), [0]);
});

onBoth('a full batch completes, each with its own user data', (t, { fixture }) => {
  for (let i = 0; i < fixture.entries; i++) fixture.add({ opcode: OPCODE_NOP }, 7 - 5 * i);
  const completions = fixture.turn();
  // One that is polled for may not have been looked at yet.
  for (let turns = 0; completions.length < fixture.entries && turns < 30; turns++) {
    completions.push(...fixture.turn(1_000_000));
  }
  t.deepEqual(
    completions.sort(([a], [b]) => b - a),
    Array.from({ length: fixture.entries }, (_, i) => [7 - 5 * i, 0]),
  );
});

onBoth('a file is made, written, made durable, read, closed', (t, { fixture, root, directory }) => {
  const flags = fs.O_CREAT | fs.O_RDWR | fs.O_EXCL;
  const [file] = fixture.run({ opcode: OPCODE_OPEN, file: root, length: flags, offset: 0o640, name: 'a' });
  t.true(file >= 0);
  t.is(statSync(join(directory, 'a')).mode & 0o777, 0o640 & ~process.umask());
  if (file < FIRST_HANDLE) {
    const flags = readFileSync(`/proc/self/fdinfo/${file}`, 'utf8');
    t.regex(flags, /flags:\s+0?2\d{6}/, 'it is closed on exec');
  }

  fill(fixture.memory, 100, 5000, 1);
  t.deepEqual(
    fixture.run({ opcode: OPCODE_WRITE, file, bufferOffset: 100, length: 5000, offset: 7 }),
    [5000],
  );
  t.deepEqual(
    fixture.run({ opcode: OPCODE_FSYNC, file }, { opcode: OPCODE_FSYNC, file, flags: FLAG_DATASYNC }),
    [0, 0],
  );
  t.deepEqual(
    fixture.run({ opcode: OPCODE_READ, file, bufferOffset: 10_000, length: 5000, offset: 7 }),
    [5000],
  );
  t.deepEqual(fixture.memory.slice(10_000, 15_000), fixture.memory.slice(100, 5100));
  t.deepEqual(readFileSync(join(directory, 'a')).subarray(7), Buffer.from(fixture.memory.slice(100, 5100)));
  t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [0]);
  t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [-EBADF]);
});

onBoth('an open that fails says why', (t, { fixture, root }) => {
  t.deepEqual(fixture.run({ opcode: OPCODE_OPEN, file: root, length: fs.O_RDONLY, name: 'none' }), [-ENOENT]);
  t.deepEqual(fixture.run({ opcode: OPCODE_OPEN, file: root, length: fs.O_WRONLY, name: '.' }), [-EISDIR]);
});

onBoth('offsets beyond 4 GiB are kept', (t, { fixture, directory, open }) => {
  const file = open('sparse', fs.O_CREAT | fs.O_RDWR);
  const offset = 5 * 2 ** 32 + 0xfedc_ba98;
  fixture.memory.set([1, 2, 3]);
  t.deepEqual(fixture.run({ opcode: OPCODE_WRITE, file, length: 3, offset }), [3]);
  t.is(statSync(join(directory, 'sparse')).size, offset + 3);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, bufferOffset: 64, length: 3, offset }), [3]);
  t.deepEqual([...fixture.memory.slice(64, 67)], [1, 2, 3]);
});

onBoth('a read at the end of a file is short', (t, { fixture, directory, open }) => {
  writeFileSync(join(directory, 'short'), Buffer.alloc(1000, 9));
  const file = open('short', fs.O_RDONLY);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: 4096, offset: 600 }), [400]);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: 4096, offset: 1000 }), [0]);
});

onBoth('fallocate reserves, and keeps the size where asked to', (t, { fixture, directory, open }) => {
  const file = open('reserved', fs.O_CREAT | fs.O_RDWR);
  t.deepEqual(fixture.run({ opcode: OPCODE_FALLOCATE, file, length: MIB, flags: FLAG_KEEP_SIZE }), [0]);
  t.is(statSync(join(directory, 'reserved')).size, 0);
  t.true(statSync(join(directory, 'reserved')).blocks * 512 >= MIB);
  t.deepEqual(fixture.run({ opcode: OPCODE_FALLOCATE, file, offset: MIB, length: MIB }), [0]);
  t.is(statSync(join(directory, 'reserved')).size, 2 * MIB);
});

onBoth('rename and unlink take names relative to the directory', (t, { fixture, root, directory }) => {
  writeFileSync(join(directory, 'old'), 'x');
  const rename = { opcode: OPCODE_RENAME, file: root, name: 'old', secondName: 'new' };
  t.deepEqual(fixture.run(rename), [0]);
  t.false(existsSync(join(directory, 'old')));
  t.true(existsSync(join(directory, 'new')));
  t.deepEqual(fixture.run(rename), [-ENOENT]);
  t.deepEqual(fixture.run({ opcode: OPCODE_UNLINK, file: root, name: 'new' }), [0]);
  t.false(existsSync(join(directory, 'new')));
  t.deepEqual(fixture.run({ opcode: OPCODE_UNLINK, file: root, name: 'new' }), [-ENOENT]);
});

onBoth('a name may have 63 bytes', (t, { fixture, root, directory }) => {
  const name = 'n'.repeat(63);
  const secondName = 'm'.repeat(63);
  writeFileSync(join(directory, name), '');
  t.deepEqual(fixture.run({ opcode: OPCODE_RENAME, file: root, name, secondName }), [0]);
  t.true(existsSync(join(directory, secondName)));
});

onBoth('a durable write writes', (t, { fixture, directory, open }) => {
  const file = open('durable', fs.O_CREAT | fs.O_RDWR);
  fill(fixture.memory, 0, 4096, 3);
  t.deepEqual(fixture.run({ opcode: OPCODE_WRITE, file, length: 4096, flags: FLAG_DSYNC }), [4096]);
  t.deepEqual(readFileSync(join(directory, 'durable')), Buffer.from(fixture.memory.slice(0, 4096)));
});

onBoth('advice is taken, and refused where it makes no sense', (t, { fixture, open }) => {
  const file = open('advised', fs.O_CREAT | fs.O_RDWR);
  const advise = (advice: number, change: Partial<Operation> = {}): number =>
    fixture.run({ opcode: OPCODE_FADVISE, file, bufferOffset: advice, ...change })[0];
  // NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED, NOREUSE.
  for (const advice of [0, 1, 2, 3, 4, 5]) {
    t.is(advise(advice), 0);
    t.is(advise(advice, { offset: 2 ** 33, length: -1 }), 0);
  }
  t.is(advise(6), -EINVAL);
  t.is(advise(-1), -EINVAL);
  t.is(advise(0, { offsetHigh: -1 }), -EINVAL);
  t.is(advise(0, { file: NO_FILE }), -EBADF);
});

onBoth(
  'O_DIRECT over fixed buffers',
  (t, { fixture, open }) => {
    const file = open('direct', fs.O_CREAT | fs.O_RDWR | fs.O_DIRECT);
    const block = 65536;
    fill(fixture.memory, 0, 2 * MIB, 5);
    const from = 2 * MIB;
    for (const [buffer, offset] of [
      [0, 0],
      [MIB - block, block],
      [MIB - block / 2, 2 * block],
      [MIB, 3 * block],
    ] as const) {
      // The third of these lies across two slices.
      t.deepEqual(
        fixture.run({
          opcode: OPCODE_WRITE,
          file,
          bufferOffset: buffer,
          length: block,
          offset,
          flags: FLAG_DSYNC,
        }),
        [block],
      );
      // Into memory that is not registered, and into memory that is.
      for (const target of [from, MIB + 3 * block]) {
        t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, bufferOffset: target, length: block, offset }), [
          block,
        ]);
        t.is(
          Buffer.compare(
            fixture.memory.subarray(target, target + block),
            fixture.memory.subarray(buffer, buffer + block),
          ),
          0,
        );
      }
    }
    t.deepEqual(
      fixture.run({ opcode: OPCODE_READ, file, bufferOffset: 1, length: block }),
      [-EINVAL],
      'it is O_DIRECT indeed',
    );
  },
  { fixedLength: 2 * MIB },
);

// ---- chains

interface Severing {
  readonly what: string;
  readonly severs: boolean;
  readonly result: number;
  operation(context: Context): Operation;
}

const severings: Severing[] = [
  { what: 'a NOP', severs: false, result: 0, operation: () => ({ opcode: OPCODE_NOP }) },
  {
    what: 'a read of a descriptor that is not open',
    severs: true,
    result: -EBADF,
    operation: () => ({ opcode: OPCODE_READ, file: NO_FILE, length: 16 }),
  },
  {
    what: 'a read of a directory',
    severs: true,
    result: -EISDIR,
    operation: ({ root }) => ({ opcode: OPCODE_READ, file: root, length: 16 }),
  },
  {
    what: 'a short read',
    severs: true,
    result: 3,
    operation: ({ directory, open }) => {
      writeFileSync(join(directory, 'three'), 'abc');
      return { opcode: OPCODE_READ, file: open('three', fs.O_RDONLY), length: 16 };
    },
  },
  {
    what: 'a whole read',
    severs: false,
    result: 3,
    operation: ({ directory, open }) => {
      writeFileSync(join(directory, 'three'), 'abc');
      return { opcode: OPCODE_READ, file: open('three', fs.O_RDONLY), length: 3 };
    },
  },
  {
    what: 'a write to a file that is open for reading',
    severs: true,
    result: -EBADF,
    operation: ({ open }) => ({
      opcode: OPCODE_WRITE,
      file: open('r', fs.O_CREAT | fs.O_RDONLY),
      length: 16,
    }),
  },
  {
    what: 'a failed open',
    severs: true,
    result: -ENOENT,
    operation: ({ root }) => ({ opcode: OPCODE_OPEN, file: root, length: fs.O_RDONLY, name: 'none' }),
  },
  {
    what: 'a failed close',
    severs: true,
    result: -EBADF,
    operation: () => ({ opcode: OPCODE_CLOSE, file: NO_FILE }),
  },
  {
    what: 'an fsync of a descriptor that is not open',
    severs: true,
    result: -EBADF,
    operation: () => ({ opcode: OPCODE_FSYNC, file: NO_FILE }),
  },
  {
    what: 'a failed fsync',
    severs: false,
    result: -EINVAL,
    operation: ({ fixture }) => ({ opcode: OPCODE_FSYNC, file: fixture.eventfd }),
  },
  {
    what: 'a failed fallocate',
    severs: false,
    result: -EBADF,
    operation: ({ open }) => ({
      opcode: OPCODE_FALLOCATE,
      file: open('r', fs.O_CREAT | fs.O_RDONLY),
      length: 16,
    }),
  },
  {
    what: 'a fallocate of a descriptor that is not open',
    severs: true,
    result: -EBADF,
    operation: () => ({ opcode: OPCODE_FALLOCATE, file: NO_FILE, length: 16 }),
  },
  {
    what: 'a failed rename',
    severs: false,
    result: -ENOENT,
    operation: ({ root }) => ({ opcode: OPCODE_RENAME, file: root, name: 'none', secondName: 'other' }),
  },
  {
    what: 'a rename in a directory that is not open',
    severs: false,
    result: -EBADF,
    operation: () => ({ opcode: OPCODE_RENAME, file: NO_FILE, name: 'none', secondName: 'other' }),
  },
  {
    what: 'a failed unlink',
    severs: false,
    result: -ENOENT,
    operation: ({ root }) => ({ opcode: OPCODE_UNLINK, file: root, name: 'none' }),
  },
  {
    what: 'advice that does not exist',
    severs: true,
    result: -EINVAL,
    operation: ({ root }) => ({ opcode: OPCODE_FADVISE, file: root, bufferOffset: 77 }),
  },
  {
    what: 'advice on a descriptor that is not open',
    severs: true,
    result: -EBADF,
    operation: () => ({ opcode: OPCODE_FADVISE, file: NO_FILE }),
  },
  {
    what: 'advice that is taken',
    severs: false,
    result: 0,
    operation: ({ open }) => ({ opcode: OPCODE_FADVISE, file: open('a', fs.O_CREAT | fs.O_RDONLY) }),
  },
];

for (const { what, severs, result, operation } of severings) {
  onBoth(`${what} ${severs ? 'severs' : 'does not sever'} its chain`, (t, context) => {
    const first = { ...operation(context), flags: FLAG_LINK };
    const later = severs ? -ECANCELED : 0;
    t.deepEqual(
      context.fixture.run(
        first,
        { opcode: OPCODE_NOP, flags: FLAG_LINK },
        { opcode: OPCODE_NOP }, // ends the chain
        { opcode: OPCODE_NOP },
      ),
      [result, later, later, 0],
    );
  });
}

onBoth('a severed write does not happen', (t, { fixture, directory, open }) => {
  const file = open('untouched', fs.O_CREAT | fs.O_RDWR);
  t.deepEqual(
    fixture.run(
      { opcode: OPCODE_READ, file: NO_FILE, length: 16, flags: FLAG_LINK },
      { opcode: OPCODE_WRITE, file, length: 16 },
    ),
    [-EBADF, -ECANCELED],
  );
  t.is(statSync(join(directory, 'untouched')).size, 0);
});

onBoth('a link on the last record ties it to nothing', (t, { fixture }) => {
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file: NO_FILE, length: 16, flags: FLAG_LINK }), [-EBADF]);
  t.deepEqual(fixture.run({ opcode: OPCODE_NOP }), [0]);
});

// ---- records that are not valid

const badRecords: [string, Operation][] = [
  ['an unknown opcode', { opcode: 12 }],
  ['a negative opcode', { opcode: -1 }],
  ['a region that is not attached', { opcode: OPCODE_READ, file: 0, length: 16, flags: 1 }],
  ['a region that does not exist', { opcode: OPCODE_READ, file: 0, length: 16, flags: 200 }],
  ['an unknown flag', { opcode: OPCODE_NOP, flags: 1 << 20 }],
  ['a buffer behind the region', { opcode: OPCODE_READ, file: 0, bufferOffset: MEMORY_BYTES + 1, length: 0 }],
  [
    'a buffer that reaches out of the region',
    { opcode: OPCODE_WRITE, file: 0, bufferOffset: MEMORY_BYTES - 8, length: 9 },
  ],
  ['a buffer that wraps round', { opcode: OPCODE_READ, file: 0, bufferOffset: -8, length: 16 }],
  ['a negative length', { opcode: OPCODE_READ, file: 0, length: -1 }],
  ['a negative offset', { opcode: OPCODE_READ, file: 0, length: 16, offset: 0xffff_ffff, offsetHigh: -1 }],
  ['a first name without an end', { opcode: OPCODE_UNLINK, file: 0, name: 'x'.repeat(64) }],
  ['a second name without an end', { opcode: OPCODE_RENAME, file: 0, name: 'a', secondName: 'x'.repeat(64) }],
];

for (const [what, operation] of badRecords) {
  onBoth(`${what} is refused, and the ring goes on`, (t, { fixture }) => {
    const before = fixture.memory.slice();
    t.deepEqual(fixture.run({ opcode: OPCODE_NOP }, operation, { opcode: OPCODE_NOP }), [0, -EINVAL, 0]);
    t.deepEqual(fixture.run({ opcode: OPCODE_NOP }), [0]);
    t.is(Buffer.compare(before, fixture.memory), 0);
  });
}

onBoth('a refused record cancels its whole chain and no other', (t, { fixture, directory, open }) => {
  const file = open('chain', fs.O_CREAT | fs.O_RDWR);
  const write = { opcode: OPCODE_WRITE, file, length: 16, flags: FLAG_LINK };
  t.deepEqual(
    fixture.run(
      { opcode: OPCODE_NOP, flags: FLAG_LINK },
      { opcode: OPCODE_NOP },
      write,
      { opcode: 77, flags: FLAG_LINK },
      { opcode: OPCODE_NOP },
      { opcode: OPCODE_NOP, flags: FLAG_LINK },
      { opcode: OPCODE_NOP },
    ),
    [0, 0, -ECANCELED, -EINVAL, -ECANCELED, 0, 0],
  );
  t.is(statSync(join(directory, 'chain')).size, 0);
});

onBoth('a whole region can be read into, and not a byte more', (t, { fixture, directory, open }) => {
  writeFileSync(join(directory, 'large'), Buffer.alloc(MEMORY_BYTES + 1, 0x5a));
  const file = open('large', fs.O_RDONLY);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: MEMORY_BYTES }), [MEMORY_BYTES]);
  t.true(fixture.memory.every((byte) => byte === 0x5a));
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: MEMORY_BYTES + 1 }), [-EINVAL]);
});

onBoth('a region that is attached again is the new memory', (t, { fixture, directory, open }) => {
  writeFileSync(join(directory, 'data'), 'quadring');
  const file = open('data', fs.O_RDONLY);
  const other = new Uint8Array(new SharedArrayBuffer(8));
  fixture.ring.attach(0, other, 0, 0, 0);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: 8 }), [8]);
  t.is(Buffer.from(other).toString(), 'quadring');
  t.is(fixture.memory[0], 0);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: 9 }), [-EINVAL]);
  fixture.ring.attach(15, fixture.memory, 0, 0, 0);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: 8, flags: 15 }), [8]);
  t.is(Buffer.from(fixture.memory.slice(0, 8)).toString(), 'quadring');
});

onBoth('no record, however random, reads to outside of its region', (t, { fixture }) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  // Numbers about the bounds, and any.
  const length = 65_536;
  const bounds = [0, 1, length / 2, length - 2, length, -1, 2 ** 31 - 1, -(2 ** 31)];
  const word = (): number => (random.oneIn(4) ? random.bits() : bounds[random.below(8)] + random.below(3));
  const zeros = openSync('/dev/zero', fs.O_RDONLY);
  t.teardown(() => closeSync(zeros));
  const around = new Uint8Array(new SharedArrayBuffer(3 * length)).fill(0xee);
  fixture.ring.attach(0, around.subarray(length, 2 * length), 0, 0, 0);
  fixture.ring.attach(1, around.subarray(length + 1, length + 1), 0, 0, 0);
  let valid = 0;
  for (let batch = 0; batch < 500; batch++) {
    const operations = Array.from({ length: fixture.entries }, () => {
      const [bufferOffset, bytes] = [word(), word()];
      const flags = random.oneIn(8) ? random.bits() & (FLAG_LINK | 3) : 0;
      return { opcode: OPCODE_READ, file: zeros, bufferOffset, length: bytes, flags };
    });
    fixture.run(...operations).forEach((result, index) => {
      if (result === -EINVAL || result === -ECANCELED) return;
      valid++;
      const { bufferOffset, length: bytes, flags } = operations[index];
      // A read of a device may be short at any time: a pending signal is enough.
      t.true(result >= 0 && result <= bytes, `${result} of ${bytes}`);
      t.true((bufferOffset >>> 0) + bytes <= ((flags & 3) === 0 ? length : 0));
    });
  }
  t.true(valid > 100, `${valid}`);
  t.true(around.subarray(0, length).every((byte) => byte === 0xee));
  t.true(around.subarray(2 * length).every((byte) => byte === 0xee));
});
