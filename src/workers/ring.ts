/**
 * The seam `Ring`: everything that ring threads do to a disk passes here. Ring threads only.
 *
 * A role's loop fills submissions as records in a typed array (protocol/ring-records.ts); one `turn` consumes them, enters
 * the kernel once, and leaves completions as {user data, result, buffer} triples. Implementations: `UringRing`, `SyscallRing`
 * and, in tests, one over memory. A result is what the system call would return: a count or a handle, or a negative errno.
 */
import type { RingDescription } from '../protocol/ring-thread-task.ts';

export * from '../protocol/ring-records.ts';

export interface Ring {
  /** How many records one turn takes at most, and how many may be in flight. */
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  /** Whether a turn can leave operations in flight (false: they have all completed when it returns). */
  readonly asynchronous: boolean;
  /** Whether completions are polled for, of what asks for it. */
  readonly polls: boolean;
  /** See `NativeRing.attach`. */
  attach(
    region: number,
    memory: Uint8Array,
    fixedOffset: number,
    fixedLength: number,
    selectBytes: number,
  ): void;
  /** See `NativeRing.turn`. */
  turn(count: number, waitMicroseconds: number): number;
  describe(): RingDescription;
  close(): void;
}
