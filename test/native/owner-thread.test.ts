/** That the addon lets no thread but its own near a ring, and that the kernel would not either. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { buildCxxProgram } from '../../bench/support/cxx-program.ts';
import { native } from '../../src/native.ts';

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const PROGRAM = join(ROOT, 'build/test/owner-thread');
/** Of the addon, what a ring consists of: they know no JavaScript. */
const PARTS = /^(batch|errors|fixed_\w+|io_priority|provided_buffers|ring\w*|system_calls)\.cc$/;

test.before((t) => {
  t.timeout(240_000);
  const folder = join(ROOT, 'native');
  const parts = readdirSync(folder).filter((name) => PARTS.test(name) || name.endsWith('.h'));
  buildCxxProgram({
    program: PROGRAM,
    sources: [join(ROOT, 'test/native/owner-thread.cc'), ...parts.map((name) => join(folder, name))],
    options: ['-O1', '-Wall', '-pthread', '-iquote', folder],
    libraries: ['-luring'],
  });
});

function run(act: string): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  return spawnSync(PROGRAM, [act], { encoding: 'utf8', timeout: 60_000 });
}

const hasRings = native.probeKernel().refusal === null;

test('the ring’s own thread may do what it likes', (t) => {
  if (!hasRings) {
    t.pass('there is no io_uring here');
    return;
  }
  t.deepEqual(
    { ...run('own'), pid: 0, output: [] },
    {
      status: 0,
      signal: null,
      stdout: '1\n',
      stderr: '',
      pid: 0,
      output: [],
    },
  );
});

for (const [act, refused] of [
  ['turn', 'submission'],
  ['turn, polled', 'submission'],
  ['attach', 'registration'],
  ['close', 'registration'],
]) {
  test(`another thread’s ${act} ends the process, before it reaches the kernel`, (t) => {
    if (!hasRings) {
      t.pass('there is no io_uring here');
      return;
    }
    const { signal, stderr } = run(act);
    t.is(signal, 'SIGABRT', stderr);
    t.is(stderr, `quadring: a ring belongs to the thread that made it, which is not this one: ${refused}\n`);
  });
}

test('the kernel lets no other thread enter either', (t) => {
  if (!hasRings) {
    t.pass('there is no io_uring here');
    return;
  }
  const { stdout } = run('enter');
  const isSingle = (native.probeKernel().setUps['SINGLE_ISSUER'] ?? null) === null;
  t.is(stdout, isSingle ? 'EEXIST\n' : 'entered\n');
});
