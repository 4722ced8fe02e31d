/** Starts a process for a session and reads what it says. Benchmarks only. */
import { spawn, type ChildProcess } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Arm } from '../peers/arms.ts';
import { sessionText, type Described, type Measured, type Session } from '../workload/session.ts';

const NODE_PROGRAM = fileURLToPath(new URL('session-process.js', import.meta.url));
/** Compiled code is not thrown away when garbage is collected, which would start each row in the interpreter. */
export const NODE_OPTIONS = ['--expose-gc', '--no-flush-bytecode'];
const TIMEOUT_MS = 900_000;
/** Of libuv, which most bindings do their work in. */
const POOL_THREADS_MIN = 4;
const POOL_THREADS_MAX = 64;

/** They do not outlive this process, whatever ends it. */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export interface Answer {
  readonly described: Described;
  readonly measured: readonly Measured[];
  /** Why there is not more. */
  readonly failure: Error | undefined;
}

/**
 * What the process measured, up to where it failed if it did. `rocksDbProgram`: RocksDB's, for arms without a binding. Throws,
 * with what it wrote to stderr, where it failed before it had opened the database.
 */
export async function runSession(arm: Arm, session: Session, rocksDbProgram: string): Promise<Answer> {
  const [program, words] =
    arm.peer === null ? [rocksDbProgram, []] : [process.execPath, [...NODE_OPTIONS, NODE_PROGRAM]];
  const { output, failure } = await runProcess(program, words, sessionText(session), poolThreads(session));
  const lines = output.split('\n').filter((line) => line !== '');
  if (lines.length === 0) throw failure ?? new Error(`${arm.title} said nothing`);
  const [first, ...rest] = lines.map((line) => JSON.parse(line) as unknown);
  return { described: first as Described, measured: rest as Measured[], failure };
}

/** As many as operations are under way at once, within reason. */
function poolThreads({ steps }: Session): number {
  const depths = steps.map((step) => (step.step === 'run' ? step.inFlight : 1));
  return Math.min(Math.max(...depths, POOL_THREADS_MIN), POOL_THREADS_MAX);
}

/** Whole lines of what it wrote to stdout, and why it did not end well if it did not. */
export async function runProcess(
  program: string,
  words: readonly string[],
  input: string,
  poolThreads: number,
): Promise<{ output: string; failure: Error | undefined }> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(poolThreads) };
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS, env });
  children.add(child);
  // It may have ended before it read anything: then its status says why.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  child.stdin.end(input);
  try {
    const [output, errors, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    const failure = status === 0 ? undefined : new Error(`ended with ${status}: ${errors.trim()}`);
    return { output: output.slice(0, output.lastIndexOf('\n') + 1), failure };
  } finally {
    children.delete(child);
  }
}
