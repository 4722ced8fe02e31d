/**
 * Programs of the system that the host side runs: found in the places where administrators' programs are as well, bounded
 * in time, and with what they said in the error when they fail.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** `mkfs.xfs` and the like are not in an ordinary user's PATH. */
const ADMINISTRATORS_PLACES = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
/** Nothing that is run here takes as long, on a slow network or disk either. */
const RUN_MS_MAX = 600_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export const SEARCH_PATH = [...(process.env['PATH'] ?? '').split(':'), ...ADMINISTRATORS_PLACES].join(':');

/** Something outside of the project is not as it has to be; the message says what to do. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
}

/** Where a program is; undefined if there is none. */
export function findProgram(name: string): string | undefined {
  for (const folder of SEARCH_PATH.split(':')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly input?: string;
}

/** What the program printed. Throws MachineError when it fails. */
export function run(
  program: string,
  programArguments: readonly string[],
  { cwd, input }: RunOptions = {},
): string {
  const { status, signal, stdout, stderr, error } = spawnSync(program, programArguments, {
    encoding: 'utf8',
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, PATH: SEARCH_PATH, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    ...(cwd === undefined ? {} : { cwd }),
    ...(input === undefined ? {} : { input }),
  });
  if (status === 0 && error === undefined) return stdout;
  const end = error?.message ?? (signal === null ? `ended with ${status}` : `was ended by ${signal}`);
  throw new MachineError(
    `${[program, ...programArguments].join(' ')}: ${end}\n${stdout ?? ''}${stderr ?? ''}`.trimEnd(),
    { cause: error },
  );
}
