/**
 * The life of a table file until it has its name: what a flush and a compaction have in common. Ring threads only.
 *
 * A table is written under a temporary name, into a new file or over an old table's, which is cut to length. When all of
 * it is written: fsync, its result looked at; then the rename to the table's name, linked to the directory's fsync, both
 * looked at. The name commits nothing. After a failure neither name is left, unless it was the directory's fsync that failed,
 * which is final, or the removal fails too: then the next open removes the file, because no version names it.
 *
 *     000012.sst ─► 000031.sst.tmp ─► 000031.sst      or      000031.sst.tmp ─► 000031.sst
 */
import { constants } from 'node:fs';
import { tableName, temporaryTableName } from '../format/file-names.ts';
import { STEP_DIRECTORY_FSYNC, STEP_OPEN, STEP_RENAME, STEP_TRUNCATE } from '../protocol/requests.ts';
import { renameDurably, syncAndClose, type Outcome } from './file-steps.ts';
import type { RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

const FILE_MODE = 0o600;
const ENOENT = 2;

/** A table's file while it is written. */
export interface TableFile {
  readonly table: number;
  /** Or a negative errno, which `step` met. */
  readonly handle: number;
  readonly step: number;
  /** It was another table's file, and may be longer than what is written. */
  readonly isReused: boolean;
}

/**
 * Makes the file under the table's temporary name: an empty one, or where `spare` is not 0 that of the old table with this
 * number, whose blocks are written over. Nothing of it can pass for a block of the new table: checksums are seeded with
 * the table's number. REQUIRES: nothing in flight.
 */
export function* createTableFile(
  { io, memory }: RoleBasics,
  table: number,
  spare: number,
): Generator<number, TableFile, void> {
  let isReused = false;
  const name = temporaryTableName(table);
  if (spare !== 0) {
    const renamed = io.rename(memory.directory, tableName(spare), name);
    yield 0;
    const result = io.result(renamed);
    // Somebody removed it: the table gets a file of its own.
    if (result < 0 && result !== -ENOENT) return { table, handle: result, step: STEP_RENAME, isReused };
    isReused = result >= 0;
  }
  const direct = memory.directIo ? constants.O_DIRECT : 0;
  const flags = constants.O_WRONLY | direct | (isReused ? 0 : constants.O_CREAT | constants.O_EXCL);
  const opened = io.open(memory.directory, name, flags, FILE_MODE);
  yield 0;
  const handle = io.result(opened);
  if (handle < 0 && isReused) yield* removeName({ io, memory }, name);
  return { table, handle, step: STEP_OPEN, isReused };
}

/** Makes a file of which `fileBytes` are written durable under the table's name. REQUIRES: nothing in flight. */
export function* publishTableFile(
  basics: RoleBasics,
  { table, handle, isReused }: TableFile,
  fileBytes: number,
  before: Outcome,
): Generator<number, Outcome, void> {
  const { io, memory } = basics;
  let written = before;
  if (isReused && before.failure === 0) {
    const truncated = io.truncate(handle, fileBytes);
    yield 0;
    written = { failure: Math.min(io.result(truncated), 0), step: STEP_TRUNCATE };
  }
  const { failure, step } = yield* syncAndClose(io, handle, written);
  if (failure !== 0) {
    yield* removeName(basics, temporaryTableName(table));
    return { failure, step };
  }
  const named = yield* renameDurably(io, memory.directory, temporaryTableName(table), tableName(table));
  // A directory that is not synced is final, and told at once: the next open removes what is there.
  if (named.failure !== 0 && named.step !== STEP_DIRECTORY_FSYNC) {
    yield* removeName(basics, temporaryTableName(table));
  }
  return named;
}

function* removeName({ io, memory }: Pick<RoleBasics, 'io' | 'memory'>, name: string): RoleTask {
  io.unlink(memory.directory, name);
  yield 0;
}
