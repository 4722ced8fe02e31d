/** C++ programs of benchmarks and tests, compiled where they are missing or older than their sources. Benchmarks and tests only. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export interface CxxProgram {
  /** Where it goes: not below dist/, where files without a TypeScript source are removed. */
  readonly program: string;
  /** What it is made of; those that end in `.cc` are compiled. */
  readonly sources: readonly string[];
  /** Before the sources. */
  readonly options: readonly string[];
  readonly libraries: readonly string[];
}

/** Compiles it if need be, with `CXX` or g++. Throws when it does not compile. */
export function buildCxxProgram({ program, sources, options, libraries }: CxxProgram): void {
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built > Math.max(...sources.map((path) => statSync(path).mtimeMs))) return;
  mkdirSync(dirname(program), { recursive: true });
  // CXX may hold more than a name, e.g. `ccache g++`.
  const [compiler, ...compilerOptions] = (process.env['CXX'] ?? 'g++').trim().split(/\s+/);
  const unfinished = `${program}-${process.pid}`;
  const files = sources.filter((path) => path.endsWith('.cc'));
  const words = [...compilerOptions, '-std=c++17', ...options, '-o', unfinished, ...files, ...libraries];
  const { status, error } = spawnSync(compiler, words, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) throw error;
  if (status !== 0) {
    rmSync(unfinished, { force: true });
    throw new Error(`${compiler} ${words.join(' ')} ended with ${status}`);
  }
  renameSync(unfinished, program);
}
