/** Node processes that tests start: a module, its arguments, what it printed and how it ended. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

/** `QUADRING_TEST_PATIENCE` multiplies bounds of time where everything takes longer, under sanitizers for example. */
export const PATIENCE = Number(process.env['QUADRING_TEST_PATIENCE'] ?? 1);

/** A child that has not ended by now hangs; it is killed and its test fails. */
const CHILD_MS_MAX = 30_000 * PATIENCE;

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Whom a child belongs to: a test, or whatever else can end it at its own end. */
export type ChildOwner = Pick<ExecutionContext, 'teardown'>;

export interface Child {
  readonly process: ChildProcess;
  /** Resolves with the line once the child has printed one that begins so; rejects if it ends before. */
  printed(beginning: string): Promise<string>;
  readonly ended: Promise<ChildEnd>;
}

export interface ChildOptions {
  readonly nodeArguments?: readonly string[];
  /** A command that is given Node's command line as its last arguments. */
  readonly wrapper?: readonly string[];
  /** It is killed after so long. Default 30 s. */
  readonly limitMs?: number;
  /** The directory that it runs in. Default: the test's own. */
  readonly directory?: string;
}

/** A module beside the test that runs, by its name without extension. */
export function scriptBeside(importUrl: string, name: string): string {
  const extension = importUrl.endsWith('.ts') ? '.ts' : '.js';
  return fileURLToPath(new URL(`./${name}${extension}`, importUrl));
}

/** Starts a child, which is killed at the latest when the test ends. */
export function startChild(
  t: ChildOwner,
  script: string,
  scriptArguments: readonly string[],
  { nodeArguments = [], wrapper = [], limitMs = CHILD_MS_MAX, directory }: ChildOptions = {},
): Child {
  const [command, ...rest] = [...wrapper, process.execPath, ...nodeArguments, script, ...scriptArguments];
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe'], cwd: directory });
  let stdout = '';
  let stderr = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // A child that ends without reading what it is told is no error.
  child.stdin.on('error', () => undefined);
  const timer = setTimeout(() => {
    stderr += `\nkilled after ${limitMs} ms`;
    child.kill('SIGKILL');
  }, limitMs);
  const ended = new Promise<ChildEnd>((resolve, reject) => {
    let at = 0;
    child.once('error', reject);
    child.once('exit', () => {
      at = Date.now();
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, at });
    });
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const printed = (beginning: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const line = stdout
          .split('\n')
          .slice(0, -1)
          .find((one) => one.startsWith(beginning));
        if (line === undefined) return;
        waiting.delete(look);
        resolve(line);
      };
      waiting.add(look);
      look();
      void ended.then(() =>
        reject(new Error(`the child ended before it printed "${beginning}":\n${stdout}${stderr}`)),
      );
    });
  return { process: child, printed, ended };
}

/** Runs a child to its end. */
export function runChild(...of: Parameters<typeof startChild>): Promise<ChildEnd> {
  return startChild(...of).ended;
}

/** Fails the test unless the child ended by itself with success. */
export function endedWell(t: ExecutionContext, end: ChildEnd): void {
  t.is(end.code, 0, `the child ended with ${end.code ?? end.signal}:\n${end.stdout}${end.stderr}`);
}

/** A file of the checkout: tests run from a build inside it. */
export function checkoutFile(...path: string[]): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, 'package.json'))) root = dirname(root);
  return join(root, ...path);
}
