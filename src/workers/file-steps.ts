/** Steps that tasks of several roles end a file, or the change of a name, with. Ring threads only. */
import { STEP_CLOSE, STEP_DIRECTORY_FSYNC, STEP_FSYNC, STEP_RENAME } from '../protocol/requests.ts';
import { FLAG_LINK } from './ring.ts';
import type { RoleIo } from './role-io.ts';

const EINTR = 4;
const ECANCELED = 125;
/** How often space is asked for again where a signal came between; each time has reserved a part of it. */
const RESERVATIONS_MAX = 100;

/** 0, or the first result that was a failure; and the step that it, or the last one, belongs to. */
export interface Outcome {
  readonly failure: number;
  readonly step: number;
}

/** Syncs a file, unless something failed before, and closes it whatever happened. */
export function* syncAndClose(io: RoleIo, handle: number, before: Outcome): Generator<number, Outcome, void> {
  let { failure, step } = before;
  if (failure === 0) {
    step = STEP_FSYNC;
    const synced = io.fsync(handle);
    yield 0;
    failure = io.result(synced);
  }
  const closed = io.close(handle);
  yield 0;
  return failure === 0 ? { failure: io.result(closed), step: STEP_CLOSE } : { failure, step };
}

/**
 * Renames a file of the directory and syncs the directory, in one chain. That the rename failed does not keep the kernel
 * from syncing, and what the sync met is what counts then: it may have meant names that others made, and is told once.
 */
export function* renameDurably(
  io: RoleIo,
  directory: number,
  from: string,
  to: string,
): Generator<number, Outcome, void> {
  const renamed = io.rename(directory, from, to, FLAG_LINK);
  const synced = io.fsync(directory);
  yield 0;
  const renaming = io.result(renamed);
  const syncing = io.result(synced);
  if (syncing < 0 && syncing !== -ECANCELED) return { failure: syncing, step: STEP_DIRECTORY_FSYNC };
  // Kernels that cut the chain have not synced.
  if (renaming < 0) return { failure: renaming, step: STEP_RENAME };
  return { failure: syncing, step: STEP_DIRECTORY_FSYNC };
}

/** Reserves space of a file; 0, or a negative errno. A kernel's worker that is given something else to do says EINTR. */
export function* reserveSpace(
  io: RoleIo,
  handle: number,
  offset: number,
  length: number,
): Generator<number, number, void> {
  for (let attempt = 1; ; attempt++) {
    const reserved = io.reserve(handle, offset, length);
    yield 0;
    const result = io.result(reserved);
    if (result !== -EINTR || attempt === RESERVATIONS_MAX) return result;
  }
}
