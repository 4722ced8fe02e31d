/** What the environment asks of the tests' databases (`QUADRING_TEST_IO`) reaches them, unless a test sets it itself. */
import { join } from 'node:path';
import test from 'ava';
import { describeStorage } from '../../src/main/block-device.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { IO_SETTING, ioOf, parseIoSetting } from '../support/io-setting.ts';

test('where nobody asks, a test gets what it sets', (t) => {
  for (const nothing of [undefined, '']) t.deepEqual(parseIoSetting(nothing), {});
  t.deepEqual(ioOf('uring', {}, {}), { backend: 'uring' });
  t.deepEqual(ioOf('auto', { direct: false }, {}), { direct: false, backend: 'auto' });
});

test('what is asked for is added to what a test sets, and does not replace it', (t) => {
  const asked = parseIoSetting('{"iopoll":true,"sqpoll":{"idleMs":5}}');
  t.deepEqual(ioOf('uring', {}, asked), { iopoll: true, sqpoll: { idleMs: 5 }, backend: 'uring' });
  t.deepEqual(ioOf('auto', { iopoll: false, direct: true }, asked), {
    iopoll: false,
    sqpoll: { idleMs: 5 },
    direct: true,
    backend: 'auto',
  });
  t.deepEqual(ioOf('syscall', { direct: true }, asked), { direct: true, backend: 'syscall' });
});

test('what is no JSON object is refused', (t) => {
  for (const text of ['iopoll', '[]', 'null', '1']) t.throws(() => parseIoSetting(text));
});

testBackends(
  'what the environment asks for is what a database has, or it says why not',
  async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const { iopoll, iopollRefusal, rings } = (await openDatabase(t, directory, backend)).stats();
    const isAsked = backend === 'uring' && IO_SETTING.iopoll === true;
    const canPoll = describeStorage(directory).disks.some(({ polls }) => polls === true);
    t.is(iopoll, isAsked && canPoll, iopollRefusal ?? undefined);
    const asksForThread = backend === 'uring' && (IO_SETTING.sqpoll ?? false) !== false;
    for (const { flags, pollingRefusal } of rings) {
      t.is(flags.includes('SQPOLL'), asksForThread && pollingRefusal === null);
    }
  },
);
