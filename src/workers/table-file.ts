/**
 * The life of a table file until it has its name: what a flush and a compaction have in common. Ring threads only.
 *
 * A table is written under a temporary name. When all of it is written: fsync, its result looked at; then the rename to
 * the table's name, linked to the directory's fsync, both looked at. The name commits nothing. After a failure neither
 * name is left; if even the removal fails, the next open removes the file, because no version names it.
 */
import { constants } from 'node:fs';
import { tableName, temporaryTableName } from '../format/file-names.ts';
import { STEP_DIRECTORY_FSYNC, STEP_RENAME } from '../protocol/requests.ts';
import { syncAndClose, type Outcome } from './file-steps.ts';
import { FLAG_LINK } from './ring.ts';
import type { RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

const FILE_MODE = 0o600;

/** The handle of an empty file under the table's temporary name, or a negative errno. */
export function* createTableFile({ io, memory }: RoleBasics, table: number): Generator<number, number, void> {
  const direct = memory.directIo ? constants.O_DIRECT : 0;
  const flags = constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY | direct;
  const opened = io.open(memory.directory, temporaryTableName(table), flags, FILE_MODE);
  yield 0;
  return io.result(opened);
}

/** Makes a file that is completely written durable under the table's name. REQUIRES: nothing in flight. */
export function* publishTableFile(
  basics: RoleBasics,
  table: number,
  handle: number,
  before: Outcome,
): Generator<number, Outcome, void> {
  const { io, memory } = basics;
  const { failure, step } = yield* syncAndClose(io, handle, before);
  if (failure !== 0) {
    yield* removeName(basics, temporaryTableName(table));
    return { failure, step };
  }
  const renamed = io.rename(memory.directory, temporaryTableName(table), tableName(table), FLAG_LINK);
  const synced = io.fsync(memory.directory);
  yield 0;
  const renaming = io.result(renamed);
  const syncing = io.result(synced);
  if (renaming < 0) {
    yield* removeName(basics, temporaryTableName(table));
    return { failure: renaming, step: STEP_RENAME };
  }
  if (syncing < 0) yield* removeName(basics, tableName(table));
  return { failure: syncing, step: STEP_DIRECTORY_FSYNC };
}

function* removeName({ io, memory }: RoleBasics, name: string): RoleTask {
  io.unlink(memory.directory, name);
  yield 0;
}
