/** Steps that several tasks of the flush role end a file with. Ring threads only. */
import { STEP_CLOSE, STEP_FSYNC } from '../protocol/requests.ts';
import type { RoleIo } from './role-io.ts';

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
