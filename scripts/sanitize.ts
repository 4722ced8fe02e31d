/**
 * The addon under AddressSanitizer and UndefinedBehaviorSanitizer: `npm run sanitize [-- test files]`. Builds it into
 * dist/sanitized/, beside the ordinary build and never over it, and runs the tests of the addon and the main ones of the
 * engine, or the given ones, against it. Ends with 1 if a test fails or a sanitizer reports anything.
 *
 * Node itself is an ordinary one: the sanitizers' libraries are loaded before it, so that what the addon does with memory
 * of Node's is seen too. Leaks are not looked for: V8 gives little back at exit, and nothing else would be seen.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** This file is compiled to dist/scripts/. */
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const FOLDER = join(ROOT, 'dist/sanitized');
const ADDON = join(FOLDER, 'build/Release/quadring.node');
const REPORTS = join(FOLDER, 'reports');

const SANITIZE = '-fsanitize=address,undefined';
const COMPILER_FLAGS = [
  SANITIZE,
  '-fno-sanitize-recover=undefined',
  // The addon is compiled without the types at run time that this one looks at.
  '-fno-sanitize=vptr',
  '-fno-omit-frame-pointer',
  '-g',
];
/** Times of tests are multiplied by it. */
const PATIENCE = 10;

/** Compiles the addon itself. */
const NOT_UNDER_SANITIZERS = new Set(['native/build-script']);
const OTHER_TESTS = [
  ...['format/compressed-block', 'format/compression', 'format/fuzz'],
  ...[
    'engine/api',
    'engine/bad-input',
    'engine/closing',
    'engine/compaction-close',
    'engine/compressed-blocks',
  ],
  ...['engine/damaged-files', 'engine/fuzz', 'engine/iterators', 'engine/lifecycle', 'engine/recovery'],
  ...['engine/regressions', 'engine/ring-death', 'engine/teardown', 'engine/worker-death', 'engine/writes'],
];

const require = createRequire(import.meta.url);
const { headersDirectory, nodeGyp } = require(join(ROOT, 'scripts/native.cjs')) as {
  readonly headersDirectory: () => string | null;
  readonly nodeGyp: () => string | null;
};

/** Something that this machine lacks, said in a sentence. */
class Missing extends Error {}

function must<Value>(value: Value | null, what: string): Value {
  if (value === null) throw new Missing(`${what} was not found`);
  return value;
}

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): boolean {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  return status === 0;
}

/** Compiles what has changed. node-gyp always builds into its working directory, so this one only refers to the sources. */
function build(): boolean {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of ['binding.gyp', 'native', 'node_modules', 'package.json', 'scripts']) {
    const link = join(FOLDER, name);
    rmSync(link, { force: true });
    symlinkSync(join(ROOT, name), link);
  }
  const gyp = must(nodeGyp(), 'node-gyp');
  const headers = must(headersDirectory(), 'a folder with Node’s headers');
  const settings = ['--loglevel=error', '--jobs=2', `--nodedir=${headers}`];
  const env = { CXXFLAGS: COMPILER_FLAGS.join(' '), LDFLAGS: SANITIZE, npm_config_nodedir: headers };
  return run(process.execPath, [gyp, 'configure', 'build', ...settings], FOLDER, env);
}

/** The compiler's own library of that name. */
function library(name: string): string {
  const { stdout } = spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' });
  const path = stdout?.trim() ?? '';
  return must(path.startsWith('/') ? realpathSync(path) : null, name);
}

function environment(): NodeJS.ProcessEnv {
  return {
    QUADRING_ADDON: ADDON,
    QUADRING_TEST_PATIENCE: String(PATIENCE),
    LD_PRELOAD: [library('libasan.so'), library('libubsan.so')].join(':'),
    ASAN_OPTIONS: `detect_leaks=0:detect_stack_use_after_return=1:log_path=${join(REPORTS, 'address')}`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${join(REPORTS, 'undefined')}`,
  };
}

/** Runs that find nothing say something only if there was something that could find it. */
function isWatched(env: NodeJS.ProcessEnv): boolean {
  const script = `
    require(process.env.QUADRING_ADDON);
    const maps = require('node:fs').readFileSync('/proc/self/maps', 'latin1');
    process.exit(maps.includes('libasan') && maps.includes(process.env.QUADRING_ADDON) ? 0 : 1);`;
  return run(process.execPath, ['-e', script], ROOT, env);
}

function testFiles(): string[] {
  const native = readdirSync(join(ROOT, 'dist/test/native'))
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => `native/${name.replace('.test.js', '')}`)
    .filter((name) => !NOT_UNDER_SANITIZERS.has(name));
  return [...native, ...OTHER_TESTS].map((name) => `dist/test/${name}.test.js`);
}

function main(given: readonly string[]): boolean {
  if (!build()) return false;
  rmSync(REPORTS, { recursive: true, force: true });
  mkdirSync(REPORTS);
  const env = environment();
  if (!isWatched(env)) throw new Missing('AddressSanitizer in the process');
  const ava = join(ROOT, 'node_modules/ava/entrypoints/cli.mjs');
  const files = given.length > 0 ? given : testFiles();
  const passed = run(process.execPath, [ava, `--timeout=${2 * PATIENCE}m`, ...files], ROOT, env);
  const reports = readdirSync(REPORTS);
  for (const name of reports) console.error(readFileSync(join(REPORTS, name), 'utf8'));
  console.log(
    `${files.length} files of tests ${passed ? 'passed' : 'failed'}, ${reports.length} reports of sanitizers`,
  );
  return passed && reports.length === 0;
}

try {
  if (!main(process.argv.slice(2))) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof Missing)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
