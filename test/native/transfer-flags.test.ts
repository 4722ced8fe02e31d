/** FLAG_ASYNC and FLAG_IDLE: the same data as without, with every other flag, and where the priority is refused. */
import { constants as os } from 'node:os';
import { constants as fs, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  FLAG_ASYNC,
  FLAG_DSYNC,
  FLAG_IDLE,
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
import { onBoth } from './on-both.ts';
import { BACKENDS, childAnswer, MIB, SELECT_BYTES, selectRead } from './ring-fixture.ts';

const { EINVAL, EBADF, ECANCELED, EPERM } = os.errno;
const NO_FILE = 1_000_000;
const FLAGS = [FLAG_ASYNC, FLAG_IDLE, FLAG_ASYNC | FLAG_IDLE];

for (const direct of [0, fs.O_DIRECT]) {
  onBoth(
    `what is written and read with them is right${direct === 0 ? '' : ', with O_DIRECT'}`,
    (t, { fixture, directory, open }) => {
      const seed = testSeed();
      t.log(`seed ${seed}`);
      const random = new Random(seed);
      const file = open('data', fs.O_CREAT | fs.O_RDWR | direct);
      const unit = direct === 0 ? 1 : 4096;
      const { memory } = fixture;
      // Writes come from the first MiB, which is registered; reads go to the rest, of which half is.
      for (let i = 0; i < MIB; i++) memory[i] = random.bits();
      const expected = new Uint8Array(MIB);
      writeFileSync(join(directory, 'data'), expected);
      const flags = (): number =>
        (random.oneIn(2) ? FLAG_ASYNC : 0) |
        (random.oneIn(2) ? FLAG_IDLE : 0) |
        (random.oneIn(3) ? FLAG_DSYNC : 0);
      const place = (length: number): number => random.below((MIB - length) / unit) * unit;
      for (let round = 0; round < 60; round++) {
        const length = random.between(1, 16) * (direct === 0 ? random.between(1, 4096) : 4096);
        const [bufferOffset, offset] = [place(length), place(length)];
        const write = { opcode: OPCODE_WRITE, file, bufferOffset, length, offset, flags: flags() };
        t.deepEqual(fixture.run(write), [length]);
        expected.set(memory.subarray(bufferOffset, bufferOffset + length), offset);
        const reads = Array.from({ length: 8 }, (_, i) => {
          return {
            opcode: OPCODE_READ,
            file,
            bufferOffset: MIB + i * 65_536,
            length,
            offset: place(length),
            flags: flags(),
          };
        });
        t.deepEqual(fixture.run(...reads), new Array<number>(8).fill(length));
        for (const read of reads) {
          const found = memory.subarray(read.bufferOffset, read.bufferOffset + length);
          if (Buffer.compare(found, expected.subarray(read.offset, read.offset + length)) !== 0) {
            t.fail(`${length} bytes at ${read.offset} with flags ${read.flags}`);
            return;
          }
        }
      }
      t.deepEqual(readFileSync(join(directory, 'data')), Buffer.from(expected));
    },
    { fixedLength: MIB },
  );
}

onBoth(
  'reads that select take buffers with them as without',
  (t, { fixture, directory, open }) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const random = new Random(seed);
    const content = Buffer.from(Array.from({ length: 8 * SELECT_BYTES }, () => random.bits() & 0xff));
    writeFileSync(join(directory, 'data'), content);
    const file = open('data', fs.O_RDONLY);
    for (let round = 0; round < 30; round++) {
      const reads = Array.from({ length: 8 }, (_, i) => {
        const offset = random.below(7 * SELECT_BYTES);
        const { flags = 0, ...read } = selectRead(file, i * SELECT_BYTES, { offset });
        return { ...read, flags: flags | FLAGS[random.below(3)] };
      });
      const completions = fixture.runWithBuffers(...reads);
      t.deepEqual(
        completions.map(({ buffer }) => buffer).sort((a, b) => a - b),
        reads.map(({ bufferOffset }) => bufferOffset),
        'each buffer is taken once',
      );
      completions.forEach(({ result, buffer }, i) => {
        t.is(result, SELECT_BYTES);
        const found = fixture.memory.subarray(buffer, buffer + SELECT_BYTES);
        const { offset = 0 } = reads[i];
        t.is(Buffer.compare(found, content.subarray(offset, offset + SELECT_BYTES)), 0);
      });
    }
    const failing = {
      ...selectRead(NO_FILE, 0),
      flags: (selectRead(NO_FILE, 0).flags ?? 0) | FLAG_ASYNC | FLAG_IDLE,
    };
    t.deepEqual(fixture.runWithBuffers(failing)[0].result, -EBADF);
  },
  { selectBytes: SELECT_BYTES },
);

for (const flags of FLAGS) {
  onBoth(
    `a chain with flags ${flags} goes in order, and is severed as ever`,
    (t, { fixture, directory, open }) => {
      const file = open('chain', fs.O_CREAT | fs.O_RDWR);
      const linked = flags | FLAG_LINK;
      for (let i = 0; i < 4; i++) fixture.memory.fill(i + 1, i * 4096, (i + 1) * 4096);
      // Each writes over the one before; the last is what stays, and what is read.
      const writes = [0, 1, 2, 3].map((i) => {
        return {
          opcode: OPCODE_WRITE,
          file,
          bufferOffset: i * 4096,
          length: 4096,
          flags: linked | FLAG_DSYNC,
        };
      });
      for (let round = 0; round < 20; round++) {
        const read = { opcode: OPCODE_READ, file, bufferOffset: 65_536, length: 4096, flags };
        fixture.memory.fill(0, 65_536, 65_536 + 4096);
        t.deepEqual(fixture.run(...writes, read), [4096, 4096, 4096, 4096, 4096]);
        t.true(fixture.memory.subarray(65_536, 65_536 + 4096).every((byte) => byte === 4));
      }
      const tooLong = { opcode: OPCODE_READ, file, bufferOffset: 65_536, length: 8192, flags: linked };
      t.deepEqual(fixture.run(tooLong, { ...writes[0], flags: linked }, { opcode: OPCODE_NOP }), [
        4096,
        -ECANCELED,
        -ECANCELED,
      ]);
      t.true(readFileSync(join(directory, 'chain')).every((byte) => byte === 4));
    },
  );

  onBoth(`what fails, fails with flags ${flags} as without`, (t, { fixture, directory, open }) => {
    writeFileSync(join(directory, 'r'), Buffer.alloc(8192));
    const file = open('r', fs.O_RDONLY | fs.O_DIRECT);
    t.deepEqual(
      fixture.run(
        { opcode: OPCODE_READ, file: NO_FILE, length: 16, flags },
        { opcode: OPCODE_WRITE, file, length: 4096, flags },
        { opcode: OPCODE_READ, file, bufferOffset: 1, length: 4096, flags },
      ),
      [-EBADF, -EBADF, -EINVAL],
    );
  });

  onBoth(`flags ${flags} do not matter to other operations`, (t, { fixture, root }) => {
    const [file] = fixture.run({
      opcode: OPCODE_OPEN,
      file: root,
      length: fs.O_CREAT | fs.O_RDWR,
      name: 'a',
      flags,
    });
    t.true(file >= 0);
    t.deepEqual(
      fixture.run(
        { opcode: OPCODE_NOP, flags },
        { opcode: OPCODE_FSYNC, file, flags },
        { opcode: OPCODE_FALLOCATE, file, length: 4096, flags },
        { opcode: OPCODE_FADVISE, file, flags },
      ),
      [0, 0, 0, 0],
    );
    t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file, flags }), [0]);
    t.deepEqual(fixture.run({ opcode: OPCODE_RENAME, file: root, name: 'a', secondName: 'b', flags }), [0]);
    t.deepEqual(fixture.run({ opcode: OPCODE_UNLINK, file: root, name: 'b', flags }), [0]);
  });
}

/** A file that a child can write to and read from; what it has done comes out as results and data. */
const USE_FILE = `
  import { openSync, unlinkSync, writeSync, constants } from 'node:fs';
  import { tmpdir } from 'node:os';
  import { execFileSync } from 'node:child_process';
  const path = tmpdir() + '/quadring-flags-' + process.pid;
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  unlinkSync(path);
  const write = (flags) => ({ opcode: ring.OPCODE_WRITE, file, length: 4096, flags });
  const read = (flags) => ({ opcode: ring.OPCODE_READ, file, bufferOffset: 4096, length: 4096, flags });
  const same = (memory) => Buffer.compare(memory.subarray(0, 4096), memory.subarray(4096, 8192)) === 0;`;

test('what is asynchronous goes to a worker of the kernel', (t) => {
  const answer = childAnswer(
    t,
    `${USE_FILE}
    import { readdirSync, readFileSync } from 'node:fs';
    const workers = () => readdirSync('/proc/self/task').filter((task) =>
      readFileSync('/proc/self/task/' + task + '/comm', 'latin1').startsWith('iou-wrk')).length;
    const fixture = new Fixture('Ring');
    writeSync(file, Buffer.alloc(4096)); // is in the page cache: a read needs no worker
    fixture.run(read(0), read(ring.FLAG_IDLE));
    const before = workers();
    fixture.run(read(ring.FLAG_ASYNC));
    console.log(JSON.stringify([before, workers() > 0]));
    fixture.close();`,
  );
  t.deepEqual(answer, [0, true]);
});

/** Adds `priority()` and `setPriority(value)` of this process's main thread: class in the bits above 13, level below. */
const PRIORITIES = `
  const python = (call, ...values) => Number(execFileSync('python3', ['-c',
    'import ctypes, platform, sys; arm = platform.machine() == "aarch64"; numbers = {"get": 31 if arm else 252, "set": 30 if arm else 251}; ' +
    'print(ctypes.CDLL(None).syscall(numbers[sys.argv[1]], 1, *map(int, sys.argv[2:])))',
    call, String(process.pid), ...values.map(String)], { encoding: 'utf8' }));
  const priority = () => python('get');
  const setPriority = (value) => { if (python('set', value) !== 0) throw new Error('ioprio_set'); };`;
const IDLE_CLASS = 3;
const BEST_EFFORT_6 = (2 << 13) | 6;

test('with system calls the thread has the idle priority while it is wanted, and its own one otherwise', (t) => {
  const answer = childAnswer(
    t,
    `${USE_FILE}${PRIORITIES}
    const after = (fixture, operation) => {
      const [result] = fixture.run(operation);
      if (result < 0) throw new Error(String(result));
      return priority() >> 13;
    };
    const answers = [];
    const initially = priority();
    const isInitial = () => answers.push(priority() === initially);
    let fixture = new Fixture('SystemCalls');
    fixture.ring.describe();
    isInitial();
    answers.push(after(fixture, write(ring.FLAG_IDLE)));
    answers.push(after(fixture, read(ring.FLAG_IDLE)));
    fixture.run({ opcode: ring.OPCODE_FSYNC, file, flags: ring.FLAG_IDLE });
    isInitial();
    answers.push(after(fixture, read(ring.FLAG_IDLE)));
    fixture.run(read(0));
    isInitial();
    answers.push(after(fixture, read(ring.FLAG_IDLE)));
    // Another ring of the same thread knows what this one did.
    const other = new Fixture('SystemCalls');
    other.run(write(0));
    isInitial();
    answers.push(after(fixture, read(ring.FLAG_IDLE)));
    fixture.close();
    isInitial();
    other.close();
    console.log(JSON.stringify(answers));`,
  );
  t.deepEqual(answer, [
    true,
    IDLE_CLASS,
    IDLE_CLASS,
    true,
    IDLE_CLASS,
    true,
    IDLE_CLASS,
    true,
    IDLE_CLASS,
    true,
  ]);
});

test('a priority of its own is what a thread gets back', (t) => {
  const answer = childAnswer(
    t,
    `${USE_FILE}${PRIORITIES}
    setPriority(${BEST_EFFORT_6});
    const fixture = new Fixture('SystemCalls');
    const answers = [];
    for (const flags of [ring.FLAG_IDLE, 0, ring.FLAG_IDLE]) {
      fixture.run(write(flags));
      answers.push(priority());
    }
    fixture.close();
    answers.push(priority());
    console.log(JSON.stringify(answers));`,
  );
  t.deepEqual(answer, [IDLE_CLASS << 13, BEST_EFFORT_6, IDLE_CLASS << 13, BEST_EFFORT_6]);
});

for (const backend of BACKENDS) {
  for (const [code, errno] of [
    ['EPERM', EPERM],
    ['EINVAL', EINVAL],
  ] as const) {
    test(`where the priority is refused with ${code}, reads and writes go on without, and it is said (${backend})`, (t) => {
      const answer = childAnswer(
        t,
        `${USE_FILE}
        const fixture = new Fixture('${backend}');
        fixture.memory.fill(5, 0, 4096);
        const chain = [write(ring.FLAG_IDLE | ring.FLAG_LINK | ring.FLAG_DSYNC), read(ring.FLAG_IDLE | ring.FLAG_ASYNC)];
        const results = [fixture.run(...chain), fixture.run(...chain)];
        const { idlePriority, idlePriorityRefusal } = fixture.ring.describe();
        console.log(JSON.stringify({ results, same: same(fixture.memory), idlePriority, idlePriorityRefusal }));
        fixture.close();`,
        { hostile: ['--io-priority', '--errno', String(errno)] },
      );
      t.deepEqual(answer, {
        results: [
          [4096, 4096],
          [4096, 4096],
        ],
        same: true,
        idlePriority: false,
        idlePriorityRefusal: `no idle I/O priority: ${code}`,
      });
    });
  }

  test(`where it is granted, that is said (${backend})`, (t) => {
    const answer = childAnswer(
      t,
      `const fixture = new Fixture('${backend}');
      const { idlePriority, idlePriorityRefusal } = fixture.ring.describe();
      console.log(JSON.stringify([idlePriority, idlePriorityRefusal]));
      fixture.close();`,
    );
    t.deepEqual(answer, [true, null]);
  });
}
