/**
 * The program in bench/io-uring/kernel/: it uses the kernel's interface without the addon, for what the addon cannot switch
 * off. Compiled when it is missing or older than its sources; a process of it carries out one row. Benchmarks and their
 * test only.
 */
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { buildCxxProgram } from '../support/cxx-program.ts';
import type { Outcome } from './bench-ring.ts';

/** Benchmarks are compiled to dist/bench/io-uring/. */
const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const SOURCES = join(ROOT, 'bench/io-uring/kernel');
/** Of the addon's own: they know no JavaScript. */
const SHARED_SOURCES = ['errors.h', 'errors.cc'].map((name) => join(ROOT, 'native', name));
const PROGRAM = join(ROOT, 'build/bench/kernel-rows');
/** A run that takes longer hangs. */
const ANSWER_MS_MAX = 120_000;

/** A row of the program, as it describes it. */
export interface KernelRow {
  readonly name: string;
  /** Operations of one run, at a scale of 1. */
  readonly count: number;
  readonly arms: readonly string[];
}

/** The files that rows read and write, all of their bytes written. */
export interface KernelFiles {
  readonly readFile: string;
  readonly writeFile: string;
}

/** Compiles it if need be. Throws when it does not compile. */
export function buildKernelProgram(): void {
  buildCxxProgram({
    program: PROGRAM,
    sources: [...readdirSync(SOURCES).map((name) => join(SOURCES, name)), ...SHARED_SOURCES],
    options: ['-O2', '-Wall', '-Wextra', '-pthread', '-iquote', join(ROOT, 'native')],
    libraries: ['-luring'],
  });
}

/** All rows. REQUIRES: the program is built. */
export function listKernelRows(): KernelRow[] {
  const { status, signal, stdout, error } = spawnSync(PROGRAM, ['--list'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`the program of the kernel's rows ended with ${status ?? signal}`);
  return JSON.parse(stdout) as KernelRow[];
}

/** A process that carries out one row's arms, each of which it sets up at its first run. One run at a time. */
export class KernelProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string, undefined>;
  readonly #ended: Promise<string>;

  /** `row`: its place in the list. */
  constructor(row: number, { readFile, writeFile }: KernelFiles) {
    const words = ['--row', String(row), '--read-file', readFile, '--write-file', writeFile];
    this.#child = spawn(PROGRAM, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(`it ended with ${code ?? signal}`));
    });
    // What it could not be told is seen where its answer does not come.
    this.#child.stdin.on('error', () => undefined);
    const lines = createInterface({ input: this.#child.stdout });
    this.#lines = lines[Symbol.asyncIterator]() as AsyncIterator<string, undefined>;
  }

  async run(arm: number, count: number): Promise<Outcome> {
    this.#child.stdin.write(`${arm} ${count}\n`);
    let hangs = false;
    const timer = setTimeout(() => {
      hangs = true;
      this.#child.kill('SIGKILL');
    }, ANSWER_MS_MAX);
    const { done, value } = await this.#lines.next();
    clearTimeout(timer);
    if (done !== true) return JSON.parse(value) as Outcome;
    const why = hangs ? `it was killed after ${ANSWER_MS_MAX} ms` : await this.#ended;
    throw new Error(`no answer from the program of the kernel's rows: ${why}`);
  }

  /** Resolves when the process has ended. */
  async close(): Promise<void> {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), ANSWER_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
  }
}
