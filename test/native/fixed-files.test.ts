/** Files without descriptors: those that a ring opens go into its own table, where the kernel has all that it takes (6.9). */
import { execFileSync } from 'node:child_process';
import { closeSync, constants as fs, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { COUNTER_FIXED_FILES } from '../../src/protocol/ring-counters.ts';
import {
  FLAG_DSYNC,
  FLAG_LINK,
  FLAG_SELECT,
  OPCODE_CLOSE,
  OPCODE_FADVISE,
  OPCODE_FALLOCATE,
  OPCODE_FSYNC,
  OPCODE_OPEN,
  OPCODE_READ,
  OPCODE_RENAME,
  OPCODE_TRUNCATE,
  OPCODE_WRITE,
} from '../../src/workers/ring.ts';
import {
  childAnswer,
  openFixture,
  POLLING,
  SELECT_BYTES,
  temporaryDirectory,
  type Fixture,
  type FixtureOptions,
  type Operation,
} from './ring-fixture.ts';

const { EBADF, ECANCELED, ENOENT } = os.errno;
/** As in native/fixed_files.h. */
const FIRST_HANDLE = 2 ** 30;
const SLOTS_MAX = 2048;
const PAGE = 4096;
const IORING_REGISTER_FILES2 = '13';

interface Ground {
  readonly fixture: Fixture;
  readonly directory: string;
  /** Descriptor of `directory`. */
  readonly root: number;
  opening(name: string, flags: number): Operation;
}

function openGround(t: ExecutionContext, options: FixtureOptions = {}): Ground {
  const directory = temporaryDirectory(t);
  const fixture = openFixture(t, 'Ring', options);
  const root = openSync(directory, fs.O_RDONLY | fs.O_DIRECTORY);
  t.teardown(() => {
    closeSync(root);
  });
  return {
    fixture,
    directory,
    root,
    opening: (name, flags) => ({ opcode: OPCODE_OPEN, file: root, length: flags, offset: 0o600, name }),
  };
}

/** One test for a ring that enters the kernel and one for a ring that is polled for; none where the kernel is older. */
function withTable(
  title: string,
  body: (t: ExecutionContext, ground: Ground) => void,
  options: FixtureOptions = {},
): void {
  for (const polling of [null, POLLING]) {
    test(`${title}${polling === null ? '' : ' (polled)'}`, (t) => {
      const ground = openGround(t, { ...options, polling });
      const { fixedFiles, fixedFilesRefusal } = ground.fixture.ring.describe();
      if (fixedFiles === 0) {
        t.regex(fixedFilesRefusal ?? '', /6\.9/);
        return t.log(fixedFilesRefusal);
      }
      t.is(fixedFilesRefusal, null);
      body(t, ground);
    });
  }
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

const NEW = fs.O_CREAT | fs.O_RDWR | fs.O_EXCL;

withTable('a file in the table has no descriptor, and takes every operation of a file', (t, ground) => {
  const { fixture, directory, opening } = ground;
  const before = descriptors();
  const [file] = fixture.run(opening('a', NEW | fs.O_DIRECT));
  t.is(file, FIRST_HANDLE);
  t.is(descriptors(), before);
  const operations: [change: Omit<Operation, 'file'>, result: number][] = [
    [{ opcode: OPCODE_FALLOCATE, length: 8 * PAGE }, 0],
    [{ opcode: OPCODE_WRITE, length: 2 * PAGE, offset: PAGE }, 2 * PAGE],
    [{ opcode: OPCODE_WRITE, length: PAGE, flags: FLAG_DSYNC }, PAGE],
    [{ opcode: OPCODE_FSYNC }, 0],
    [{ opcode: OPCODE_FADVISE, bufferOffset: 1 }, 0],
    [{ opcode: OPCODE_TRUNCATE, offset: 3 * PAGE }, 0],
    [{ opcode: OPCODE_READ, bufferOffset: 16 * PAGE, length: 4 * PAGE }, 3 * PAGE],
  ];
  fixture.memory.fill(7, 0, 2 * PAGE);
  for (const [operation, result] of operations) t.deepEqual(fixture.run({ ...operation, file }), [result]);
  t.is(fixture.counters[COUNTER_FIXED_FILES], operations.length);
  t.is(statSync(join(directory, 'a')).size, 3 * PAGE);
  t.true(fixture.memory.subarray(16 * PAGE, 19 * PAGE).every((byte) => byte === 7));
  t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [0]);
  t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [-EBADF]);
  t.deepEqual(fixture.run({ opcode: OPCODE_READ, file, length: PAGE }), [-EBADF]);
});

withTable(
  'reads that select a buffer read from the table’s files',
  (t, { fixture, opening }) => {
    const [file] = fixture.run(opening('a', NEW));
    fixture.memory.fill(9, 0, 100);
    t.deepEqual(fixture.run({ opcode: OPCODE_WRITE, file, length: 100 }), [100]);
    const read = { opcode: OPCODE_READ, file, bufferOffset: SELECT_BYTES, length: 100, flags: FLAG_SELECT };
    const [{ result, buffer }] = fixture.runWithBuffers(read);
    t.deepEqual([result, buffer], [100, SELECT_BYTES]);
    t.is(fixture.memory[SELECT_BYTES + 99], 9);
  },
  { selectBytes: SELECT_BYTES },
);

withTable(
  'slots are used again, whether an open failed, was cancelled, or a file was closed',
  (t, ground) => {
    const { fixture, root, opening } = ground;
    const missing = opening('none', fs.O_RDONLY);
    const [kept] = fixture.run(opening('kept', NEW));
    t.is(kept, FIRST_HANDLE);
    for (let round = 0; round * 2 < SLOTS_MAX + 100; round++) {
      t.deepEqual(fixture.run(missing, missing), [-ENOENT, -ENOENT]);
      const rename = { opcode: OPCODE_RENAME, file: root, name: 'none', secondName: 'other', flags: 0 };
      // A read past a chain's end that fails takes the open along.
      const fails = { opcode: OPCODE_READ, file: -1, length: 1, flags: FLAG_LINK };
      const results = fixture.run(rename, fails, opening('kept', fs.O_RDONLY));
      t.deepEqual(results, [-ENOENT, -EBADF, -ECANCELED]);
      const [file] = fixture.run(opening('kept', fs.O_RDONLY));
      t.true(file <= FIRST_HANDLE + 2, `${file}`);
      t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [0]);
    }
    t.deepEqual(fixture.run({ opcode: OPCODE_FSYNC, file: kept }), [0]);
  },
);

withTable('a close that its chain cancels leaves the file open', (t, { fixture, opening }) => {
  const [file] = fixture.run(opening('a', NEW));
  const fails = { opcode: OPCODE_READ, file: -1, length: 1, flags: FLAG_LINK };
  t.deepEqual(fixture.run(fails, { opcode: OPCODE_CLOSE, file }), [-EBADF, -ECANCELED]);
  t.deepEqual(fixture.run({ opcode: OPCODE_FSYNC, file }), [0]);
  t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [0]);
});

withTable('handles of nothing are refused as descriptors of nothing are', (t, { fixture, root }) => {
  for (const file of [FIRST_HANDLE, FIRST_HANDLE + SLOTS_MAX - 1, FIRST_HANDLE + SLOTS_MAX, 2 ** 31 - 1]) {
    for (const opcode of [OPCODE_READ, OPCODE_WRITE, OPCODE_FSYNC, OPCODE_FALLOCATE, OPCODE_CLOSE]) {
      t.deepEqual(fixture.run({ opcode, file, length: PAGE }), [-EBADF], `${opcode} of ${file}`);
    }
    // Only descriptors name directories.
    const open = { opcode: OPCODE_OPEN, file, length: fs.O_RDONLY, name: 'a' };
    t.deepEqual(fixture.run(open), [-EBADF]);
  }
  // Below all handles; a sanitizer looks at what is computed of them.
  for (const file of [-1, -(2 ** 30) - 1, -(2 ** 31), FIRST_HANDLE - 1]) {
    t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file }), [-EBADF], `${file}`);
  }
  t.deepEqual(fixture.run({ opcode: OPCODE_FSYNC, file: root }), [0]);
});

withTable('directories have descriptors, which name others', (t, { fixture, root, opening }) => {
  const open = { opcode: OPCODE_OPEN, file: root, length: fs.O_RDONLY | fs.O_DIRECTORY, name: '.' };
  const [folder] = fixture.run(open);
  t.true(folder > 2 && folder < FIRST_HANDLE);
  const [file] = fixture.run({ ...opening('a', NEW), file: folder });
  t.true(file >= FIRST_HANDLE);
  t.deepEqual(fixture.run({ opcode: OPCODE_CLOSE, file: folder }, { opcode: OPCODE_CLOSE, file }), [0, 0]);
});

withTable('a file that is closed while it is read from is read', (t, { fixture, directory, opening }) => {
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  const [file] = fixture.run(opening('pipe', fs.O_RDWR));
  fixture.add({ opcode: OPCODE_READ, file, length: 1 }, 5);
  fixture.turn();
  fixture.add({ opcode: OPCODE_CLOSE, file }, 6);
  const writer = openSync(join(directory, 'pipe'), fs.O_RDWR);
  const completions = fixture.turn(1_000_000);
  t.deepEqual(completions, [[6, 0]]);
  t.deepEqual(fixture.run(opening('other', NEW)), [file], 'its slot is free');
  writeSync(writer, 'x');
  t.deepEqual(fixture.turn(1_000_000), [[5, 1]]);
  closeSync(writer);
  t.is(fixture.memory[0], 'x'.charCodeAt(0));
});

withTable('closing the ring closes what is in the table', (t, { fixture, directory, opening }) => {
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, fs.O_RDONLY | fs.O_NONBLOCK);
  const [file] = fixture.run(opening('pipe', fs.O_WRONLY));
  t.true(file >= FIRST_HANDLE);
  const byte = Buffer.alloc(1);
  t.throws(() => readSync(reader, byte, 0, 1, null), { code: 'EAGAIN' }, 'somebody may still write');
  fixture.ring.close();
  t.is(readSync(reader, byte, 0, 1, null), 0, 'nobody can write any more');
  closeSync(reader);
});

const OPEN_MANY = `
  const { openSync, constants } = await import('node:fs');
  const { mkdtempSync, writeFileSync, rmSync } = await import('node:fs');
  const directory = mkdtempSync((process.env.TMPDIR ?? '/tmp') + '/quadring-slots-');
  writeFileSync(directory + '/a', 'abc');
  const root = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const fixture = new Fixture('Ring');
  const { fixedFiles, fixedFilesRefusal } = fixture.ring.describe();
  const open = { opcode: ring.OPCODE_OPEN, file: root, length: constants.O_RDONLY, name: 'a' };
  const openMany = (count) => Array.from({ length: count }, () => fixture.run(open)[0]);
  const read = (file) => fixture.run({ opcode: ring.OPCODE_READ, file, length: 3 })[0];
  const close = (file) => fixture.run({ opcode: ring.OPCODE_CLOSE, file })[0];
  const inTable = (files) => files.filter((file) => file >= ${FIRST_HANDLE}).length;`;

test('who has more files open than the table holds has descriptors for the others', (t) => {
  const nodeArguments = ['--no-warnings'];
  const answer = childAnswer(
    t,
    `${OPEN_MANY}
    // The kernel's table is as large as the process may have descriptors when the ring is made.
    const files = openMany(${SLOTS_MAX} + 20);
    const answer = { fixedFiles, fixedFilesRefusal, inTable: inTable(files), reads: new Set(files.map(read)).size };
    answer.closes = [...new Set(files.map(close))];
    answer.again = inTable(openMany(3));
    console.log(JSON.stringify(answer));
    fixture.close();
    rmSync(directory, { recursive: true });`,
    { nodeArguments },
  ) as { fixedFiles: number; fixedFilesRefusal: string | null };
  const { fixedFiles, fixedFilesRefusal } = answer;
  const isOlder = fixedFilesRefusal !== null;
  if (isOlder) t.regex(fixedFilesRefusal, /6\.9/);
  else t.true(fixedFiles > 0 && fixedFiles <= SLOTS_MAX);
  const again = isOlder ? 0 : 3;
  t.deepEqual(answer, { fixedFiles, fixedFilesRefusal, inTable: fixedFiles, reads: 1, closes: [0], again });
});

test('a kernel that refuses a table of files is served with descriptors', (t) => {
  const answer = childAnswer(
    t,
    `${OPEN_MANY}
    const files = openMany(3);
    const answer = { fixedFiles, fixedFilesRefusal, inTable: inTable(files), reads: files.map(read) };
    console.log(JSON.stringify({ ...answer, closes: files.map(close) }));
    fixture.close();
    rmSync(directory, { recursive: true });`,
    { hostile: ['--register', IORING_REGISTER_FILES2] },
  ) as { fixedFilesRefusal: string };
  const { fixedFilesRefusal } = answer;
  t.regex(fixedFilesRefusal, /EINVAL|6\.9/);
  t.deepEqual(answer, { fixedFiles: 0, fixedFilesRefusal, inTable: 0, reads: [3, 3, 3], closes: [0, 0, 0] });
});
