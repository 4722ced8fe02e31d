/** scripts/native.cjs: what it says where it cannot compile, and that it does nothing where nothing is to be done. */
import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { temporaryDirectory } from './ring-fixture.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, here.includes('/dist/') ? '../../..' : '../..');
const script = join(root, 'scripts/native.cjs');

function run(argument: string[], environment: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [script, ...argument], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
}

test('with a build that is up to date it says nothing and builds nothing', (t) => {
  const built = join(root, 'build/Release/quadring.node');
  const before = statSync(built).mtimeMs;
  const result = run([]);
  t.deepEqual([result.status, result.stdout, result.stderr], [0, '', '']);
  t.is(statSync(built).mtimeMs, before);
});

test('without a compiler it names the packages and a command, and fails', (t) => {
  const CXX = '/nonexistent/g++';
  const answer = JSON.parse(run(['--missing'], { CXX }).stdout) as { install: string; packages: string[] };
  t.true(answer.install.length > 0);
  t.true(
    answer.packages.length >= 3,
    'the compiler, and the libraries, which cannot be looked for without it',
  );
  const result = run(['--rebuild'], { CXX });
  t.is(result.status, 1);
  t.is(result.stdout, '');
  t.true(result.stderr.includes(`${answer.install} ${answer.packages.join(' ')}`), result.stderr);
});

for (const [library, header] of [
  ['uring', 'liburing.h'],
  ['lz4', 'lz4.h'],
] as const) {
  test(`where nothing but lib${library} is missing, nothing but that is named`, (t) => {
    // Takes whatever is compiled, unless it includes the header.
    const script = join(temporaryDirectory(t), 'compiler');
    writeFileSync(script, `! grep -q '<${header}>'\n`);
    const answer = JSON.parse(run(['--missing'], { CXX: `sh ${script}` }).stdout) as { packages: string[] };
    t.true(answer.packages.length >= 1);
    t.true(
      answer.packages.every((name) => name.includes(library) || name === 'linux-headers'),
      answer.packages.join(' '),
    );
  });
}

test('libraries are linked as archives where there are some', (t) => {
  t.regex(run(['--libraries']).stdout, /^(\/.*liburing\.a|-luring)\n(\/.*liblz4\.a|-llz4)\n$/);
});

test('other scripts can ask what is missing', (t) => {
  const { missing } = createRequire(import.meta.url)(script) as {
    missing: () => { install: string; packages: string[] };
  };
  t.deepEqual(missing(), JSON.parse(run(['--missing']).stdout));
});
