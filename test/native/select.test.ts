/** Reads with FLAG_SELECT: buffers are lent, one is taken, and none is lost, on both classes and without the kernel's. */
import { constants as os } from 'node:os';
import { closeSync, constants as fs, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FLAG_SELECT, NO_BUFFER, OPCODE_NOP, OPCODE_READ } from '../../src/workers/ring.ts';
import { Random, testSeed } from '../support/random.ts';
import { onBoth } from './on-both.ts';
import {
  childAnswer,
  Fixture,
  MEMORY_BYTES,
  MIB,
  openFixture,
  openPipe,
  SELECT_BYTES,
  selectRead,
  sharedMemory,
  temporaryDirectory,
  type Completion,
  type Operation,
} from './ring-fixture.ts';

const { EINVAL, EBADF } = os.errno;
const NO_FILE = 1_000_000;
const OPTIONS = { selectBytes: SELECT_BYTES };
const FILE_BYTES = MIB + 1000;
/** Reads that a round of random ones lets fail; each may leave a buffer behind. */
const FAILURES_MAX = 20;

/** Any two places of it differ within a few bytes. */
function content(): Buffer {
  const random = new Random(FILE_BYTES);
  return Buffer.from(Array.from({ length: FILE_BYTES }, () => random.bits() & 0xff));
}

function ascending(offsets: readonly number[]): number[] {
  return [...offsets].sort((a, b) => a - b);
}

function buffersOf(completions: readonly Completion[]): number[] {
  return completions.map(({ buffer }) => buffer);
}

interface Reads {
  readonly t: ExecutionContext;
  readonly fixture: Fixture;
  readonly file: number;
  readonly expected: Buffer;
  /** What offsets and lengths in the file are multiples of. */
  readonly unit: number;
  readonly count: number;
}

/** Reads at random places, as many in flight as there are buffers; some of a file that is not there. */
function readAtRandom({ t, fixture, file, expected, unit, count }: Reads): void {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const { entries, memory } = fixture;
  const free = Array.from({ length: entries + FAILURES_MAX }, (_, i) => i * SELECT_BYTES);
  const lent = new Set<number>();
  const reads: Operation[] = [];
  let [finished, left, failures, swapped] = [0, 0, 0, 0];
  for (let turns = 0; finished < count; turns++) {
    if (turns > 10 * count) throw new Error(`${count - finished} reads did not complete`);
    const room = Math.min(free.length, entries - lent.size + left, count - reads.length);
    for (let batch = random.below(room + 1); batch > 0; batch--) {
      const [bufferOffset] = free.splice(random.below(free.length), 1);
      const offset = random.below(Math.ceil(FILE_BYTES / unit)) * unit;
      const length = (1 + random.below(SELECT_BYTES / unit)) * unit;
      const isFailing = failures < FAILURES_MAX && random.oneIn(20);
      if (isFailing) failures++;
      lent.add(bufferOffset);
      fixture.add(selectRead(isFailing ? NO_FILE : file, bufferOffset, { offset, length }), reads.length);
      reads.push(selectRead(isFailing ? NO_FILE : file, bufferOffset, { offset, length }));
    }
    for (const { userData, result, buffer } of fixture.complete(lent.size > left ? 1_000_000 : 0)) {
      const { file: from, offset = 0, length = 0, bufferOffset } = reads[userData];
      finished++;
      if (buffer === NO_BUFFER) {
        t.deepEqual([from, result], [NO_FILE, -EBADF]);
        left++;
        continue;
      }
      t.true(lent.delete(buffer), `buffer ${buffer} was lent, and has not come back yet`);
      free.push(buffer);
      t.is(result, from === NO_FILE ? -EBADF : Math.min(length, FILE_BYTES - offset));
      if (result < 0) continue;
      if (buffer !== bufferOffset) swapped++;
      const wanted = expected.subarray(offset, offset + result);
      t.is(Buffer.compare(memory.subarray(buffer, buffer + result), wanted), 0);
      memory.fill(0, buffer, buffer + SELECT_BYTES);
    }
  }
  t.is(lent.size, left, 'all came back but those that failed reads left behind');
  t.true(
    memory.every((byte) => byte === 0),
    'nothing was read to elsewhere',
  );
  t.log(`${failures} failed, ${left} left their buffer behind, ${swapped} took another than they lent`);
  if (left > 0) t.true(swapped > 0);
}

for (const [how, flags, unit] of [
  ['O_DIRECT', fs.O_DIRECT, 4096],
  ['the page cache', 0, 1],
] as const) {
  onBoth(
    `reads through ${how} come with their bytes, and each buffer that was lent comes back once`,
    (t, { fixture, directory, open }) => {
      const expected = content();
      writeFileSync(join(directory, 'data'), expected);
      const file = open('data', fs.O_RDONLY | flags);
      // Far more than there are ids, which are as many as can be in flight: 8 for each entry.
      readAtRandom({ t, fixture, file, expected, unit, count: fixture.entries * 8 * 8 });
    },
    { ...OPTIONS, entries: 32 },
  );
}

onBoth(
  'a read at the end of the file is short, and names its buffer',
  (t, { fixture, directory, open }) => {
    writeFileSync(join(directory, 'short'), Buffer.alloc(1000, 9));
    const file = open('short', fs.O_RDONLY);
    const lent = [0, SELECT_BYTES];
    const answers = fixture.runWithBuffers(
      selectRead(file, lent[0], { offset: 600 }),
      selectRead(file, lent[1], { offset: 1000 }),
    );
    t.deepEqual(
      answers.map(({ result }) => result),
      [400, 0],
    );
    t.deepEqual(ascending(buffersOf(answers)), lent);
    const [{ buffer }] = answers;
    t.true(fixture.memory.subarray(buffer, buffer + 400).every((byte) => byte === 9));
    t.is(fixture.memory[buffer + 400], 0);
  },
  OPTIONS,
);

onBoth(
  'other operations name no buffer, and other reads go where they were told',
  (t, { fixture, directory, open }) => {
    writeFileSync(join(directory, 'data'), 'quadring');
    const file = open('data', fs.O_RDONLY);
    const place = 10 * SELECT_BYTES;
    const answers = fixture.runWithBuffers(
      selectRead(file, 0, { length: 8 }),
      { opcode: OPCODE_READ, file, bufferOffset: place, length: 8 },
      { opcode: OPCODE_NOP },
      selectRead(file, SELECT_BYTES, { length: 8 }),
    );
    t.deepEqual(
      answers.map(({ result }) => result),
      [8, 8, 0, 8],
    );
    t.deepEqual(buffersOf(answers).slice(1, 3), [NO_BUFFER, NO_BUFFER]);
    t.deepEqual(ascending([answers[0].buffer, answers[3].buffer]), [0, SELECT_BYTES]);
    t.is(Buffer.from(fixture.memory.slice(place, place + 8)).toString(), 'quadring');
  },
  OPTIONS,
);

// ---- failures

onBoth(
  'reads that fail, more of them than there are ids, are no reason for later ones to',
  (t, { fixture, directory, root, open }) => {
    writeFileSync(join(directory, 'data'), 'quadring');
    const good = open('data', fs.O_RDONLY);
    const unaligned = open('data', fs.O_RDONLY | fs.O_DIRECT);
    let named = 0;
    for (let round = 0; round < 100; round++) {
      // Buffers may be lent twice here: only what single reads find in them counts, and nothing else writes meanwhile.
      const at = (i: number): number => (((round * 8 + i) * SELECT_BYTES) % MEMORY_BYTES) >>> 0;
      const answers = fixture.runWithBuffers(
        selectRead(NO_FILE, at(0)),
        selectRead(good, at(1), { length: 8 }),
        selectRead(root, at(2)),
        selectRead(unaligned, at(3), { length: 8, offset: 1 }),
        selectRead(good, at(4), { length: 8 }),
        selectRead(-1, at(5)),
      );
      for (const [index, { result, buffer }] of answers.entries()) {
        if (index === 1 || index === 4) {
          t.is(result, 8);
          t.is(Buffer.from(fixture.memory.slice(buffer, buffer + 8)).toString(), 'quadring');
          fixture.memory.fill(0, buffer, buffer + 8);
        } else {
          t.true(result < 0, `${result}`);
        }
        if (buffer === NO_BUFFER) continue;
        t.is(buffer % SELECT_BYTES, 0);
        named++;
      }
      t.is(answers[0].result, -EBADF);
    }
    t.log(`${named} of 600 reads named a buffer`);
    // Attached again, nothing is left of them.
    fixture.ring.attach(0, fixture.memory, 0, 0, SELECT_BYTES);
    for (let i = 0; i < 20; i++) {
      const [{ result, buffer }] = fixture.runWithBuffers(selectRead(good, i * SELECT_BYTES, { length: 8 }));
      t.deepEqual([result, buffer], [8, i * SELECT_BYTES]);
    }
  },
  OPTIONS,
);

onBoth(
  'what a failed read lent is named, or stays for another read',
  (t, { fixture, directory, open }) => {
    writeFileSync(join(directory, 'data'), 'quadring');
    const file = open('data', fs.O_RDONLY);
    const lent = [0, 1, 2, 3, 4, 5].map((i) => i * SELECT_BYTES);
    const failed = fixture.runWithBuffers(...lent.slice(0, 3).map((at) => selectRead(NO_FILE, at)));
    const read = fixture.runWithBuffers(...lent.slice(3).map((at) => selectRead(file, at, { length: 8 })));
    const named = buffersOf([...failed, ...read]).filter((buffer) => buffer !== NO_BUFFER);
    t.is(new Set(named).size, named.length, 'none comes back twice');
    t.true(named.every((buffer) => lent.includes(buffer)));
    t.true(read.every(({ result, buffer }) => result === 8 && buffer !== NO_BUFFER));
    if (fixture.ring.describe().providedBuffers === 0) t.deepEqual(named, lent);
  },
  OPTIONS,
);

// ---- attaching

test('a ring has as many provided buffers as can be in flight, or says why not', (t) => {
  const fixture = openFixture(t, 'Ring', { ...OPTIONS, entries: 16 });
  const provided = (): [number, string | null] => {
    const { providedBuffers, providedBuffersRefusal } = fixture.ring.describe();
    return [providedBuffers, providedBuffersRefusal];
  };
  const [count, refusal] = provided();
  if (refusal !== null) {
    t.is(count, 0);
    t.regex(refusal, /E[A-Z]+/);
  } else {
    t.is(count, fixture.ring.describe().completionEntries);
  }
  fixture.ring.attach(0, fixture.memory, 0, 0, 0);
  t.deepEqual(provided(), [0, null]);
  fixture.ring.attach(1, fixture.memory, 0, 0, MIB);
  t.deepEqual(provided(), [count, refusal]);
});

onBoth(
  'one region at a time has provided buffers; another that is attached leaves them alone',
  (t, { fixture, directory, open }) => {
    writeFileSync(join(directory, 'data'), 'quadring');
    const file = open('data', fs.O_RDONLY);
    const { ring } = fixture;
    const second = sharedMemory(MIB);
    t.throws(
      () => {
        ring.attach(1, second, 0, 0, 4096);
      },
      { instanceOf: RangeError, message: /region 0 has provided buffers/ },
    );
    const [failed] = fixture.runWithBuffers(selectRead(NO_FILE, 0));
    ring.attach(1, second, 0, 0, 0);
    const [read] = fixture.runWithBuffers(selectRead(file, SELECT_BYTES, { length: 8 }));
    t.is(read.buffer, failed.buffer === NO_BUFFER ? 0 : SELECT_BYTES, 'what was left there is still lent');
    t.deepEqual(fixture.runWithBuffers(selectRead(file, 0, { length: 8, flags: FLAG_SELECT | 1 })), [
      { userData: 0, result: -EINVAL, buffer: NO_BUFFER },
    ]);

    ring.attach(0, fixture.memory, 0, 0, 0);
    t.deepEqual(fixture.runWithBuffers(selectRead(file, 0)), [
      { userData: 0, result: -EINVAL, buffer: NO_BUFFER },
    ]);
    ring.attach(1, second, 0, MIB, 4096);
    fixture.memory.fill(0);
    t.deepEqual(fixture.runWithBuffers(selectRead(file, MIB - 4096, { length: 8, flags: FLAG_SELECT | 1 })), [
      { userData: 0, result: 8, buffer: MIB - 4096 },
    ]);
    t.is(Buffer.from(second.slice(MIB - 4096, MIB - 4088)).toString(), 'quadring');
    t.true(fixture.memory.every((byte) => byte === 0));
  },
  OPTIONS,
);

onBoth(
  'attaching again drops what was lent of the old memory',
  (t, { fixture, directory, open }) => {
    writeFileSync(join(directory, 'data'), Buffer.alloc(SELECT_BYTES, 5));
    const file = open('data', fs.O_RDONLY);
    for (let round = 0; round < 20; round++) {
      fixture.runWithBuffers(...[0, 1, 2].map((i) => selectRead(NO_FILE, i * SELECT_BYTES)));
      fixture.turn(100); // arms the read of the eventfd
      const other = sharedMemory(MIB);
      fixture.ring.attach(0, other, 0, 0, SELECT_BYTES);
      const offset = (5 + round) * SELECT_BYTES;
      const [{ result, buffer }] = fixture.runWithBuffers(selectRead(file, offset));
      t.deepEqual([result, buffer], [SELECT_BYTES, offset]);
      t.true(other.subarray(offset, offset + SELECT_BYTES).every((byte) => byte === 5));
      t.true(fixture.memory.every((byte) => byte === 0));
    }
  },
  OPTIONS,
);

// ---- what only io_uring can have in flight

test('a read that waits has taken no buffer: one that does not wait has the first', (t) => {
  const fixture = openFixture(t, 'Ring', OPTIONS);
  const { reader, writer } = openPipe(t);
  const zeros = openSync('/dev/zero', fs.O_RDONLY);
  t.teardown(() => closeSync(zeros));
  fixture.add(selectRead(reader, 0, { length: 4 }), 1);
  t.deepEqual(fixture.complete(), []);
  fixture.add(selectRead(zeros, SELECT_BYTES, { length: 4 }), 2);
  const early = fixture.complete(1_000_000);
  writeSync(writer, 'late');
  const late = fixture.complete(1_000_000);
  t.deepEqual(
    [...early, ...late].map(({ userData, result }) => [userData, result]),
    [
      [2, 4],
      [1, 4],
    ],
  );
  const isProvided = fixture.ring.describe().providedBuffers > 0;
  t.deepEqual(buffersOf([...early, ...late]), isProvided ? [0, SELECT_BYTES] : [SELECT_BYTES, 0]);
  const at = late[0].buffer;
  t.is(Buffer.from(fixture.memory.slice(at, at + 4)).toString(), 'late');
});

test('as many reads as can be in flight at all get a buffer each', (t) => {
  const fixture = openFixture(t, 'Ring', { selectBytes: 4096 });
  const { reader, writer } = openPipe(t);
  const lent: number[] = [];
  t.throws(
    () => {
      for (;;) {
        fixture.add(selectRead(reader, lent.length * 4096, { length: 1 }));
        fixture.turn();
        lent.push(lent.length * 4096);
      }
    },
    { instanceOf: RangeError },
  );
  t.true(lent.length > 48);
  t.throws(
    () => {
      fixture.ring.attach(0, fixture.memory, 0, 0, 4096);
    },
    { code: 'EBUSY' },
  );
  writeSync(writer, 'z'.repeat(lent.length));
  const returned: number[] = [];
  for (let turns = 0; returned.length < lent.length && turns < 30; turns++) {
    returned.push(...buffersOf(fixture.complete(1_000_000)));
  }
  t.deepEqual(ascending(returned), lent);
});

test('a close with reads that select in flight waits for them', (t) => {
  const path = join(temporaryDirectory(t), 'data');
  writeFileSync(path, Buffer.alloc(4 * MIB, 1));
  for (let round = 0; round < 20; round++) {
    const fixture = new Fixture('Ring', { selectBytes: MIB / 2 });
    const file = openSync(path, fs.O_RDONLY | fs.O_DIRECT);
    for (let i = 0; i < 8; i++)
      fixture.add(selectRead(file, (i * MIB) / 2, { length: MIB / 2, offset: (i * MIB) / 2 }));
    // Not all of them may be reported here.
    fixture.complete();
    fixture.close();
    const after = fixture.memory.slice();
    fixture.memory.fill(7);
    t.true(after.every((byte) => byte === 1));
    closeSync(file);
    t.true(fixture.memory.every((byte) => byte === 7));
  }
});

test('a close with reads that select and never end cancels them', (t) => {
  const fixture = new Fixture('Ring', OPTIONS);
  const { reader, writer } = openPipe(t);
  for (let i = 0; i < 8; i++) fixture.add(selectRead(reader, i * SELECT_BYTES, { length: 1 }));
  fixture.turn(1000);
  fixture.close();
  writeSync(writer, 'late');
  t.true(fixture.memory.every((byte) => byte === 0));
});

test('more buffers can be lent, one after the other, than a position has bits for', (t) => {
  const fixture = openFixture(t, 'Ring', { entries: 256, selectBytes: 4096 });
  const zeros = openSync('/dev/zero', fs.O_RDONLY);
  t.teardown(() => closeSync(zeros));
  const reads = Array.from({ length: 256 }, (_, i) => selectRead(zeros, i * 4096, { length: 1 }));
  const expected = reads.map(({ bufferOffset }) => bufferOffset);
  for (let lent = 0; lent < 2 * 65_536 + 1000; lent += reads.length) {
    t.deepEqual(ascending(buffersOf(fixture.runWithBuffers(...reads))), expected);
  }
});

// ---- without the kernel's help

const IORING_REGISTER_PBUF_RING = '22';

test('where the kernel provides no buffers each read takes its own, registered or not', (t) => {
  const answer = childAnswer(
    t,
    `
    const fixture = new Fixture('Ring', { fixedLength: MIB, selectBytes: 4096 });
    import { openSync } from 'node:fs';
    const zeros = openSync('/dev/zero');
    fixture.memory.fill(7);
    const read = (file, bufferOffset) => ({ opcode: ring.OPCODE_READ, file, bufferOffset, length: 100, flags: ring.FLAG_SELECT });
    const answers = fixture.runWithBuffers(read(zeros, 0), read(zeros, 2 * MIB), read(1000, 8192), { opcode: ring.OPCODE_NOP });
    const isRead = [0, 2 * MIB].every((at) => fixture.memory.subarray(at, at + 100).every((byte) => byte === 0));
    const { providedBuffers, providedBuffersRefusal, registeredBytes } = fixture.ring.describe();
    fixture.ring.attach(0, fixture.memory, 0, MIB, 0);
    const later = fixture.ring.describe().providedBuffersRefusal;
    console.log(JSON.stringify({ answers, isRead, providedBuffers, providedBuffersRefusal, registeredBytes, later }));
    fixture.close();`,
    { hostile: ['--register', IORING_REGISTER_PBUF_RING] },
  ) as {
    answers: Completion[];
    isRead: boolean;
    providedBuffers: number;
    providedBuffersRefusal: string;
    registeredBytes: number;
    later: string | null;
  };
  const { answers, isRead, providedBuffersRefusal, ...rest } = answer;
  t.deepEqual(
    answers.map(({ result, buffer }) => [result, buffer]),
    [
      [100, 0],
      [100, 2 * MIB],
      [-EBADF, 8192],
      [0, NO_BUFFER],
    ],
  );
  t.true(isRead);
  t.regex(providedBuffersRefusal, /EINVAL.*5\.19/);
  t.deepEqual(rest, { providedBuffers: 0, registeredBytes: MIB, later: null });
});
