/** The kernel's threads for what would block a ring: how many there are, and where they run. */
import { closeSync, constants as fs, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { NativeWorkers } from '../../src/native.ts';
import { FLAG_ASYNC, OPCODE_READ } from '../../src/workers/ring.ts';
import { openFixture, temporaryDirectory, type Fixture } from './ring-fixture.ts';

const READS = 64;
const PIECE_BYTES = 4096;

/** Workers are threads of the process, named after the thread that they work for; the cores that each may run on. */
function workersOf(owner: number): string[] {
  return readdirSync('/proc/self/task').flatMap((thread) => {
    try {
      const name = readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
      if (name !== `iou-wrk-${owner}`) return [];
      const status = readFileSync(`/proc/self/task/${thread}/status`, 'utf8');
      return [/Cpus_allowed_list:\s*(\S+)/.exec(status)?.[1] ?? ''];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

/** A ring, and the workers that there are after many reads at once were handed to them. */
function busy(
  t: ExecutionContext,
  workers: NativeWorkers | null,
): { readonly fixture: Fixture; readonly seen: string[] } {
  const fixture = openFixture(t, 'Ring', { entries: READS, workers, polling: null });
  const path = join(temporaryDirectory(t), 'file');
  writeFileSync(path, Buffer.alloc(READS * PIECE_BYTES));
  const file = openSync(path, fs.O_RDONLY);
  t.teardown(() => {
    closeSync(file);
  });
  const reads = Array.from({ length: READS }, (_, i) => ({
    opcode: OPCODE_READ,
    file,
    bufferOffset: i * PIECE_BYTES,
    length: PIECE_BYTES,
    offset: i * PIECE_BYTES,
    flags: FLAG_ASYNC,
  }));
  t.true(fixture.run(...reads).every((result) => result === PIECE_BYTES));
  return { fixture, seen: workersOf(process.pid) };
}

// The first: a thread keeps what was said of its workers, and the workers for some seconds, whichever ring it was said for.
test.serial('there are no more workers than there may be, and they run where they may', (t) => {
  const allowed = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const { fixture, seen } = busy(t, { threadsMax: 2, cpus: [Number(allowed)] });
  const { workersMax, workersRefusal } = fixture.ring.describe();
  if (workersRefusal === null) {
    t.is(workersMax, 2);
    t.true(seen.length > 0 && seen.length <= 2, `${seen.length} workers`);
    t.true(
      seen.every((cpus) => cpus === allowed),
      seen.join(' '),
    );
  } else {
    t.regex(workersRefusal, /^(the number of workers is the kernel's|workers run on any core): E/);
  }
});

test.serial('a core that there is not is refused, and nothing else', (t) => {
  const { fixture } = busy(t, { threadsMax: 0, cpus: [1023] });
  t.regex(fixture.ring.describe().workersRefusal ?? '', /^workers run on any core: E/);
});

test.serial('what is not asked for is as the kernel likes', (t) => {
  const { workersMax, workersRefusal } = busy(t, null).fixture.ring.describe();
  t.is(workersRefusal, null);
  t.true(workersMax > 0);
});
