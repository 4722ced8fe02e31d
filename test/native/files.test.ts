/** Locks, eventfds, descriptors, huge pages, alignment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { native } from '../../src/native.ts';
import { MIB, sharedMemory, temporaryDirectory } from './ring-fixture.ts';

test('a lock names its holder, excludes a second one in the same process, and ends with its descriptor', (t) => {
  const path = join(temporaryDirectory(t), 'LOCK');
  const lock = native.lockFile(path);
  t.true(lock.descriptor >= 0);
  t.is(lock.holder, 0);
  t.is(readFileSync(path, 'utf8').trim(), String(process.pid));
  t.is(statSync(path).mode & 0o777, 0o600);
  t.deepEqual(native.lockFile(path), { descriptor: -1, holder: process.pid });
  // Closing another descriptor of the file does not let go of the lock.
  closeSync(openSync(path, 'r'));
  t.deepEqual(native.lockFile(path), { descriptor: -1, holder: process.pid });
  native.closeDescriptor(lock.descriptor);
  const again = native.lockFile(path);
  t.true(again.descriptor >= 0);
  native.closeDescriptor(again.descriptor);
});

test('a directory is locked without anything in it, and once', (t) => {
  const directory = temporaryDirectory(t);
  const lock = native.lockDirectory(directory);
  if (lock === null) {
    t.pass('this file system knows no such lock');
    return;
  }
  t.true(lock.descriptor >= 0);
  t.deepEqual(native.lockDirectory(directory), { descriptor: -1, holder: 0 });
  t.deepEqual(readdirSync(directory), []);
  native.closeDescriptor(lock.descriptor);
  const again = native.lockDirectory(directory);
  t.true(again !== null && again.descriptor >= 0);
  if (again !== null) native.closeDescriptor(again.descriptor);
  t.throws(() => native.lockDirectory(join(directory, 'none')), { code: 'ENOENT' });
  writeFileSync(join(directory, 'file'), '');
  t.throws(() => native.lockDirectory(join(directory, 'file')), { code: 'ENOTDIR' });
});

test('a lock replaces what an earlier holder left', (t) => {
  const path = join(temporaryDirectory(t), 'LOCK');
  writeFileSync(path, '123456789012345678901234567890\nsomething longer\n');
  const lock = native.lockFile(path);
  t.is(readFileSync(path, 'utf8'), `${process.pid}\n`);
  native.closeDescriptor(lock.descriptor);
});

test('a lock excludes another process, and ends when that is killed', async (t) => {
  const path = join(temporaryDirectory(t), 'LOCK');
  const nativeUrl = new URL(
    `../../src/native${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
    import.meta.url,
  ).href;
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `
    const { native } = await import(${JSON.stringify(nativeUrl)});
    console.log(native.lockFile(${JSON.stringify(path)}).descriptor >= 0);
    setInterval(() => {}, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.teardown(() => child.kill('SIGKILL'));
  t.deepEqual(await once(createInterface(child.stdout), 'line'), ['true']);
  t.deepEqual(native.lockFile(path), { descriptor: -1, holder: child.pid });
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = native.lockFile(path);
  t.true(lock.descriptor >= 0);
  native.closeDescriptor(lock.descriptor);
});

test('a lock is not passed on to a process that is started', async (t) => {
  const path = join(temporaryDirectory(t), 'LOCK');
  const lock = native.lockFile(path);
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000);'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(createInterface(child.stdout), 'line');
  t.false(
    existsSync(`/proc/${child.pid}/fd/${lock.descriptor}`) &&
      statSync(`/proc/${child.pid}/fd/${lock.descriptor}`).ino === fstatSync(lock.descriptor).ino,
  );
  native.closeDescriptor(lock.descriptor);
  const again = native.lockFile(path);
  t.true(again.descriptor >= 0);
  native.closeDescriptor(again.descriptor);
});

test('a lock file that cannot be one is an error', (t) => {
  const directory = temporaryDirectory(t);
  t.throws(() => native.lockFile(join(directory, 'none', 'LOCK')), { code: 'ENOENT', message: /none/ });
  t.throws(() => native.lockFile(directory), { code: 'EISDIR' });
  symlinkSync('elsewhere', join(directory, 'link'));
  t.throws(() => native.lockFile(join(directory, 'link')), { code: 'ELOOP' });
  t.false(existsSync(join(directory, 'elsewhere')));
  t.throws(() => native.lockFile(`${directory}/a\0b`), { code: 'EINVAL' });
  t.throws(() => native.lockFile(7 as unknown as string), { instanceOf: TypeError });
  const error = t.throws<NodeJS.ErrnoException>(() => native.lockFile(join(directory, 'none', 'LOCK')));
  t.is(error.errno, os.errno.ENOENT);
  t.is(error.syscall, 'open');
});

test('an eventfd counts its wake-ups', (t) => {
  const descriptor = native.createEventfd();
  for (let i = 0; i < 3; i++) native.wakeEventfd(descriptor);
  const counter = new BigUint64Array(1);
  t.is(readSync(descriptor, counter), 8);
  t.is(counter[0], 3n);
  t.regex(
    readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'),
    /flags:\s+0?2\d{6}/,
    'it is closed on exec',
  );
  native.closeDescriptor(descriptor);
  t.throws(
    () => {
      native.wakeEventfd(descriptor);
    },
    { code: 'EBADF' },
  );
  t.throws(
    () => {
      native.closeDescriptor(descriptor);
    },
    { code: 'EBADF' },
  );
  t.throws(
    () => {
      native.closeDescriptor(-1);
    },
    { instanceOf: RangeError },
  );
  t.throws(
    () => {
      native.wakeEventfd(undefined as unknown as number);
    },
    { instanceOf: TypeError },
  );
});

// Each of these was taken for another descriptor: NaN for 0, 2^32 + 1 for 1.
test('numbers that are no descriptor wake nobody', (t) => {
  for (const descriptor of [NaN, Infinity, -Infinity, 2 ** 32, 2 ** 32 + 1, -1]) {
    t.throws(() => native.wakeEventfd(descriptor), { code: 'ERR_OUT_OF_RANGE' }, String(descriptor));
  }
});

test('huge pages are asked for whole pages only', (t) => {
  const memory = sharedMemory(4 * MIB);
  const answer = native.adviseHugePages(memory);
  // A kernel without transparent huge pages says EINVAL.
  t.is(answer, existsSync('/sys/kernel/mm/transparent_hugepage') ? 0 : -os.errno.EINVAL);
  t.is(native.adviseHugePages(memory.subarray(1, 100)), -os.errno.EINVAL);
  memory[3 * MIB] = 1;
  t.is(memory[3 * MIB], 1);
});

test('what came of asking for huge pages is known, both ways', (t) => {
  const memory = sharedMemory(8 * MIB);
  t.is(native.hugePageBytes(memory, true), 0, 'nothing was touched');
  native.adviseHugePages(memory);
  memory.fill(1);
  const thorough = native.hugePageBytes(memory, true);
  t.log(`${thorough / MIB} of 8 MiB`);
  t.true(thorough >= 0 && thorough <= 8 * MIB && thorough % (2 * MIB) === 0);
  const quick = native.hugePageBytes(memory, false);
  t.true(quick === -1 || quick === thorough);
  t.is(native.hugePageBytes(memory.subarray(1, 100), true), 0);
  t.throws(() => native.hugePageBytes([] as unknown as Uint8Array, true), { instanceOf: TypeError });
});

test('memory that was only read has no huge pages of its own, as far as the kernel tells', (t) => {
  const memory = sharedMemory(8 * MIB);
  native.adviseHugePages(memory);
  t.is(
    memory.reduce((sum, byte) => sum + byte, 0),
    0,
  );
  const quick = native.hugePageBytes(memory, false);
  // Some kernels do not tell the huge page of zeros from others.
  t.log(quick);
  t.true(quick <= 0 || quick % (2 * MIB) === 0, `${quick}`);
});

test('the alignment for O_DIRECT is a power of two, or 0 where it is not known', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'x');
  for (const alignment of Object.values(native.directAlignment(path))) {
    t.true(
      alignment === 0 || (alignment >= 1 && alignment <= 65536 && (alignment & (alignment - 1)) === 0),
      `${alignment}`,
    );
  }
  t.deepEqual(native.directAlignment('/proc/self/status'), { memory: 0, offset: 0 });
  t.throws(() => native.directAlignment(join(directory, 'none')), { code: 'ENOENT' });
});
