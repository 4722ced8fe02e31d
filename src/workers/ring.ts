/**
 * The seam `Ring`: everything the engine does to a disk passes here. Ring threads only.
 *
 * A role's loop fills submissions as records in a typed array; one `turn` consumes them, enters the kernel once, and
 * leaves completions as {user data, result} pairs. Implementations: `UringRing`, `SyscallRing` and, in tests, one over
 * memory. A result is what the system call would return: a count or a descriptor, or a negative errno.
 *
 *     record (8 words of 32 bits)
 *     ┌────────┬──────┬───────────────┬────────┬────────────┬─────────────┬───────────┬────────────────┐
 *     │ opcode │ file │ buffer offset │ length │ offset low │ offset high │ user data │ flags | region │
 *     └────────┴──────┴───────────────┴────────┴────────────┴─────────────┴───────────┴────────────────┘
 *
 *     opcode      file         buffer offset    length        offset low/high     result
 *     NOP         –            –                –             –                   0
 *     READ        handle       byte in region   bytes         byte in file        bytes read
 *     WRITE       handle       byte in region   bytes         byte in file        bytes written
 *     FSYNC       handle       –                –             –                   0
 *     OPEN        directory    –                open flags    low: mode           handle
 *     CLOSE       handle       –                –             –                   0
 *     FALLOCATE   handle       –                bytes         byte in file        0
 *     RENAME      directory    –                –             –                   0
 *     UNLINK      directory    –                –             –                   0
 *
 * OPEN, RENAME and UNLINK take names relative to the directory: record i's first name stands at byte 128·i of `names`,
 * RENAME's second one 64 bytes further, both NUL-terminated.
 */
import type { RingDescription } from '../protocol/ring-thread-task.ts';

export const RECORD_WORDS = 8;
export const WORD_OPCODE = 0;
export const WORD_FILE = 1;
export const WORD_BUFFER_OFFSET = 2;
export const WORD_LENGTH = 3;
export const WORD_OFFSET_LOW = 4;
export const WORD_OFFSET_HIGH = 5;
export const WORD_USER_DATA = 6;
export const WORD_FLAGS = 7;

export const OPCODE_NOP = 0;
export const OPCODE_READ = 1;
export const OPCODE_WRITE = 2;
export const OPCODE_FSYNC = 3;
export const OPCODE_OPEN = 4;
export const OPCODE_CLOSE = 5;
export const OPCODE_FALLOCATE = 6;
export const OPCODE_RENAME = 7;
export const OPCODE_UNLINK = 8;

/** The low byte of the flags word is the region. */
export const REGION_MASK = 0xff;
/** The next record of the batch runs only if this one succeeds (io_uring's IO_LINK; see docs for what does not sever). */
export const FLAG_LINK = 1 << 8;
/** WRITE: durable when it completes (RWF_DSYNC). It makes this write durable and no other. */
export const FLAG_DSYNC = 1 << 9;
/** FSYNC: data and what is needed to read it back, not times (fdatasync). */
export const FLAG_DATASYNC = 1 << 10;
/** FALLOCATE: the file's size stays as it is. */
export const FLAG_KEEP_SIZE = 1 << 11;

/** Bytes of `names` for each record, and where its second name begins. */
export const NAME_STRIDE_BYTES = 128;
export const SECOND_NAME_BYTES = 64;

export interface Ring {
  /** How many records one turn takes at most, and how many may be in flight. */
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  /** Whether a turn can leave operations in flight (false: they have all completed when it returns). */
  readonly asynchronous: boolean;
  /** See `NativeRing.attach`. */
  attach(region: number, memory: Uint8Array, fixedOffset: number, fixedLength: number): void;
  /** See `NativeRing.turn`. */
  turn(count: number, waitMicroseconds: number): number;
  describe(): RingDescription;
  close(): void;
}
