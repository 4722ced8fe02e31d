/** `io.sqpoll`: one thread of the kernel for all rings. */
import { join } from 'node:path';
import test from 'ava';
import { Database } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { keyOf, valueOf } from '../support/values.ts';

test('all rings share a thread of the kernel, and stats() says so', async (t) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = { writeBufferBytes: 65_536, io: { backend: 'uring', sqpoll: { idleMs: 1 } } } as const;
  for (let opened = 0; opened < 2; opened++) {
    const database = await Database.open(directory, options);
    for (let i = 0; i < 2000; i++) await database.put(keyOf(i), valueOf(100, i), { sync: i % 100 === 0 });
    await database.flush();
    await database.compactRange();
    for (let i = 0; i < 2000; i += 7) t.deepEqual(await database.get(keyOf(i)), valueOf(100, i));
    for (let i = 0; i < 2000; i += 7) t.deepEqual(database.getSync(keyOf(i)), valueOf(100, i));
    const { rings } = database.stats();
    await database.close();
    const [foreground, ...others] = rings;
    if (foreground.pollingRefusal !== null) {
      t.true(
        rings.every(({ flags, pollingRefusal }) => !flags.includes('SQPOLL') && pollingRefusal !== null),
      );
      continue;
    }
    t.true(foreground.flags.includes('SQPOLL') && !foreground.flags.includes('ATTACH_WQ'));
    t.true(others.every(({ flags }) => flags.includes('SQPOLL') && flags.includes('ATTACH_WQ')));
    t.true(rings.every(({ enters, pollWakeUps }) => enters >= pollWakeUps));
  }
});

test('a core that there is not is no reason not to open', async (t) => {
  const io = { backend: 'uring', sqpoll: { cpu: 1023 } } as const;
  const database = await Database.open(join(temporaryDirectory(t), 'db'), { io });
  await database.put('a', '1');
  const { rings } = database.stats();
  await database.close();
  for (const { flags, pollingRefusal } of rings) {
    t.false(flags.includes('SQPOLL'));
    t.regex(pollingRefusal ?? '', /EINVAL|EPERM/);
  }
});

test('system calls are not polled for', async (t) => {
  const io = { backend: 'syscall', sqpoll: true } as const;
  const database = await Database.open(join(temporaryDirectory(t), 'db'), { io });
  await database.put('a', '1');
  t.deepEqual(await database.get('a'), Buffer.from('1'));
  t.true(database.stats().rings.every(({ flags, enters }) => flags.length === 0 && enters === 0));
  await database.close();
});
