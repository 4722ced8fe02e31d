/** Expects that a directory cannot be opened, and that trying has changed nothing in it. */
import type { ExecutionContext } from 'ava';
import { Database, type DatabaseOptions, type ErrorCode, type QuadringError } from '../../src/index.ts';
import type { Backend } from './backends.ts';
import { contentsOf } from './directories.ts';
import { expectCode } from './errors.ts';
import { ioOf } from './io-setting.ts';

export async function expectRefused(
  t: ExecutionContext,
  directory: string,
  backend: Backend,
  code: ErrorCode,
  options: DatabaseOptions = {},
): Promise<QuadringError> {
  const before = contentsOf(directory);
  const error = await expectCode(t, code, async () => {
    const database = await Database.open(directory, { ...options, io: ioOf(backend, options.io) });
    await database.close();
  });
  t.deepEqual(contentsOf(directory), before, 'a refused open changes nothing');
  return error;
}
