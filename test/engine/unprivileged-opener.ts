/**
 * A process without privileges that tries to open directories and prints the codes it is refused with, as JSON:
 * `unprivileged-opener <backend> <scratch directory> <directory>…`. It starts its threads before it gives its privileges
 * up, because a user who may do nothing may not be able to read this checkout either.
 */
import { Database, QuadringError } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';

const NOBODY = 65_534;

const [, , backend, scratch, ...directories] = process.argv;
const io = { backend: backend as Backend };
await (await Database.open(scratch, { io })).close();
if (process.getuid?.() === 0) {
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}
const codes: string[] = [];
for (const directory of directories) {
  try {
    await (await Database.open(directory, { io, lockTimeoutMs: 0 })).close();
    codes.push('opened');
  } catch (error) {
    codes.push(error instanceof QuadringError ? error.code : String(error));
  }
}
process.stdout.write(JSON.stringify(codes));
