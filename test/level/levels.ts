/** Levels of tests: opened in a directory, and closed when the test ends. */
import type { ExecutionContext } from 'ava';
import { QuadringLevel, type LevelOptions } from '../../src/level.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';

/** Small enough that a test of a few hundred kilobytes fills tables. */
export const SMALL = { writeBufferBytes: 65_536, blockCacheBytes: 65_536, blockBytes: 4096 } as const;

/** Of the arguments that a test gives, `io.backend` is the test's. */
export function newLevel<K = string, V = string>(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  options: LevelOptions<K, V> = {},
): QuadringLevel<K, V> {
  const level = new QuadringLevel<K, V>(directory, { ...SMALL, ...options, io: ioOf(backend) });
  t.teardown(() => level.close());
  return level;
}

/** The same, open. */
export async function openLevel<K = string, V = string>(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  options: LevelOptions<K, V> = {},
): Promise<QuadringLevel<K, V>> {
  const level = newLevel(t, directory, backend, options);
  await level.open();
  return level;
}

/** An error as abstract-level and this package give them. */
export interface CodedError extends Error {
  readonly code: string;
  readonly cause?: CodedError;
}

/** The error that it rejects with or throws. */
export async function errorOf(act: () => unknown): Promise<CodedError> {
  let outcome: unknown;
  try {
    outcome = await act();
  } catch (error) {
    return error as CodedError;
  }
  throw new Error(`expected an error, but it succeeded with ${String(outcome)}`);
}
