/**
 * The RocksDB side of comparisons: two C++ programs in bench/rocksdb/, compiled when they are missing or older than their
 * sources. Benchmarks only.
 *
 * They need a C++17 compiler and RocksDB's headers and library (Debian: librocksdb-dev), which nothing else here does; so
 * they are made by the benchmarks that run them, and neither by an installation nor by the tests. Another RocksDB than the
 * system's is had through `CXX="g++ -I… -L… -Wl,-rpath,…"`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildCxxProgram } from './cxx-program.ts';
import type { Checksum } from './overwritten-entries.ts';

export const INSTALL_COMMAND = 'apt-get install -y g++ librocksdb-dev';
/** Benchmarks are compiled to dist/bench/. */
const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const SOURCES = join(ROOT, 'bench/rocksdb');
const PROGRAMS = join(ROOT, 'build/bench');
const COMPACTION_PROGRAM = join(PROGRAMS, 'rocksdb-compaction');
const SESSION_PROGRAM = join(PROGRAMS, 'rocksdb-session');
/** What is compiled for the one program; all else in the directory is compiled for the other. */
const COMPACTION_SOURCE = 'compaction.cc';
const HEADER = '/usr/include/rocksdb/version.h';

export interface CompactionTask {
  readonly directory: string;
  readonly entries: number;
  readonly rounds: number;
  readonly runsPerRound: number;
  readonly valueBytes: number;
  readonly seed: number;
  readonly tableBytes: number;
}

/** What the program prints: of the compaction, and of what a scan found behind it. */
export interface RocksDbCompaction extends Checksum {
  readonly version: string;
  readonly compactions: number;
  readonly inputFiles: number;
  readonly inputBytes: number;
  readonly inputRecords: number;
  readonly outputFiles: number;
  readonly outputBytes: number;
  readonly seconds: number;
  /** Of the whole process while it compacted, and of the thread that did. */
  readonly cpuSeconds: number;
  readonly threadCpuSeconds: number;
}

/** False where RocksDB's headers are missing. Throws when it does not compile. Headers of the directory are of both programs. */
function build(program: string, isCompiled: (name: string) => boolean): boolean {
  if (!existsSync(HEADER)) return false;
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.h') || isCompiled(name));
  buildCxxProgram({
    program,
    sources: sources.map((name) => join(SOURCES, name)),
    options: ['-O2', '-Wall', '-Wextra', '-pthread'],
    libraries: ['-lrocksdb'],
  });
  return true;
}

/** Compiles the program if need be; false where RocksDB's headers are missing. Throws when it does not compile. */
export function buildRocksDbProgram(): boolean {
  return build(COMPACTION_PROGRAM, (name) => name === COMPACTION_SOURCE);
}

/** The program that does sessions (`session.ts`), compiled if need be; undefined where RocksDB's headers are missing. */
export function buildRocksDbSessionProgram(): string | undefined {
  return build(SESSION_PROGRAM, (name) => name !== COMPACTION_SOURCE) ? SESSION_PROGRAM : undefined;
}

/** Loads, compacts, scans. Throws when the program fails. */
export function compactInRocksDb(task: CompactionTask): RocksDbCompaction {
  const options = {
    directory: task.directory,
    entries: task.entries,
    rounds: task.rounds,
    'runs-per-round': task.runsPerRound,
    'value-bytes': task.valueBytes,
    seed: task.seed,
    'table-bytes': task.tableBytes,
  };
  const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { status, signal, stdout } = spawnSync(COMPACTION_PROGRAM, words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`the RocksDB program ended with ${status ?? signal}`);
  return JSON.parse(stdout) as RocksDbCompaction;
}
