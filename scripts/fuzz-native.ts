/**
 * Coverage-guided fuzzing of the addon's parts that know no JavaScript: `npm run fuzz:native -- --seconds 60`. Needs clang
 * with libFuzzer (on Debian: clang-14 and libclang-rt-14-dev). Compiles test/native/coverage-guided/ into dist/, with
 * AddressSanitizer and UndefinedBehaviorSanitizer, and keeps there the inputs that reached something new. Ends with 1 at
 * the first failure, whose input libFuzzer leaves beside them.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLine, runCommand, UsageError, wholeNumber } from './command-line.ts';

/** This file is compiled to dist/scripts/. */
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const FOLDER = join(ROOT, 'dist/coverage-guided');
const COMPILERS = ['clang++', ...[19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)];
const SOURCES = ['test/native/coverage-guided/pure-parts.cc', 'native/batch.cc', 'native/checksum.cc'];
const FLAGS = ['-std=c++17', '-O1', '-g', '-iquote', 'native', '-fsanitize=fuzzer,address,undefined'];
/** Eight records, their names, and some more. */
const INPUT_BYTES_MAX = 4096;

function run(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { cwd: ROOT, stdio: 'inherit' }).status === 0;
}

function main(): boolean {
  const values = commandLine('fuzz:native', { seconds: { type: 'string', default: '60' } });
  const seconds = wholeNumber('seconds', values.seconds, 1);
  const compiler = COMPILERS.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
  if (compiler === undefined) throw new UsageError(`none of ${COMPILERS.join(', ')} is installed`);
  const corpus = join(FOLDER, 'corpus');
  mkdirSync(corpus, { recursive: true });
  const program = join(FOLDER, 'pure-parts');
  if (!run(compiler, [...FLAGS, '-fno-sanitize-recover=undefined', ...SOURCES, '-o', program])) return false;
  const limits = [
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    '-timeout=10',
    '-rss_limit_mb=2048',
  ];
  return run(program, [...limits, `-artifact_prefix=${FOLDER}/`, '-print_final_stats=1', corpus]);
}

await runCommand(() => {
  if (!main()) process.exitCode = 1;
});
