/** Starts a process for a session and reads what it says. Benchmarks only. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Arm } from '../peers/arms.ts';
import { sessionText, type Described, type Measured, type Session } from '../workload/session.ts';

const NODE_PROGRAM = fileURLToPath(new URL('session-process.js', import.meta.url));
/** Compiled code is not thrown away when garbage is collected, which would start each row in the interpreter. */
const NODE_OPTIONS = ['--expose-gc', '--no-flush-bytecode'];
const TIMEOUT_MS = 900_000;

export interface Answer {
  readonly described: Described;
  readonly measured: readonly Measured[];
}

/**
 * What the process measured. `rocksDbProgram`: RocksDB's, for arms without a binding. Throws, with what it wrote to stderr,
 * when it fails or takes too long.
 */
export async function runSession(arm: Arm, session: Session, rocksDbProgram: string): Promise<Answer> {
  const [program, words] =
    arm.peer === null ? [rocksDbProgram, []] : [process.execPath, [...NODE_OPTIONS, NODE_PROGRAM]];
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
  const ended = new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  child.stdin.end(sessionText(session));
  const [output, errors, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (status !== 0) throw new Error(`${arm.title} ended with ${status}: ${errors.trim()}`);
  const lines = output.split('\n').filter((line) => line !== '');
  const [first, ...rest] = lines.map((line) => JSON.parse(line) as unknown);
  return { described: first as Described, measured: rest as Measured[] };
}
