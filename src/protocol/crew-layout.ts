/**
 * Shared memory of a crew: where the queues, the parked words and the lent buffers are. Pure; owner and ring threads.
 *
 * Control words (one SharedArrayBuffer of Int32; each line is 64 bytes):
 *
 *     line 0            owner sleeps in a synchronous call (doorbell)
 *     line 1            owner's event loop wants a signal (doorbell)
 *     line 2            rate of compactions
 *     line 3            ring whose kernel thread polls for all
 *     then, per role:
 *       line 0          ring thread's doorbell
 *       line 1          state
 *       line 2          stop flag
 *       line 3          heartbeat: grows while the thread is alive
 *       lines           request queue, completion queue
 *
 * Pool (one shared WebAssembly.Memory: aligned, at the same address in every thread, registrable):
 *
 *     0 MiB             log staging A          ┐ registered by the wal ring
 *     1 MiB             log staging B          ┘
 *     2 MiB             manifest staging       ┐
 *     3 MiB             3 write buffers        │ registered by the flush ring
 *     3¾ MiB            mailbox, zeros, scratch┘
 *     5 MiB             8 transfer buffers       not registered: touched only when something large is read
 *     7 MiB             compaction's mailbox     not registered: the disk never sees it
 *    11 MiB             its 3 write buffers    ┐ registered by the compaction ring
 *    12 MiB             its read buffers       ┘
 *    20 MiB             block-cache slots        registered by the foreground ring
 */
import { LINE_WORDS } from '../atomics-sync/words.ts';
import { spscQueueWords, type SpscQueueShape } from '../atomics-sync/spsc-queue.ts';
import type { SharedWords } from '../atomics-sync/words.ts';
import { FRAME_BYTES_MAX } from '../format/limits.ts';
import { COMPLETION_WORDS, REQUEST_WORDS, ROLE_COUNT, type RoleId } from './requests.ts';

/** Requests that one role can hold unread; completions can never overflow because no more may be outstanding. */
export const QUEUE_CAPACITY = 512;

export const OWNER_SYNC_WORD = 0;
export const OWNER_EVENT_WORD = LINE_WORDS;
/** Written by the owner at any time, read by the compaction thread: KiB a second that it may read and write; 0: no limit. */
export const COMPACTION_RATE_WORD = 2 * LINE_WORDS;
/**
 * Where a thread of the kernel polls for submissions it is the foreground ring's, and serves all: the others wait until its
 * descriptor stands here, increased by one. 0: not yet; negative: it has none.
 */
export const POLLED_RING_WORD = 3 * LINE_WORDS;
const ROLES_AT = 4 * LINE_WORDS;
const REQUEST_QUEUE_WORDS = spscQueueWords(QUEUE_CAPACITY, REQUEST_WORDS);
const COMPLETION_QUEUE_WORDS = spscQueueWords(QUEUE_CAPACITY, COMPLETION_WORDS);
const ROLE_STRIDE = 4 * LINE_WORDS + REQUEST_QUEUE_WORDS + COMPLETION_QUEUE_WORDS;
export const CONTROL_WORDS = ROLES_AT + ROLE_COUNT * ROLE_STRIDE;

/** States of a ring thread, in their order. Before the first one it runs nothing of ours: Node starts it and loads modules. */
export const STATE_STARTING = 0;
export const STATE_CREATING_RING = 1;
export const STATE_READY = 2;
export const STATE_STOPPED = 3;
export const STATE_FAILED = 4;

export interface RoleWords {
  readonly doorbell: number;
  readonly state: number;
  readonly stop: number;
  readonly heartbeat: number;
  readonly requests: SpscQueueShape;
  readonly completions: SpscQueueShape;
}

export function roleWords(words: SharedWords, role: RoleId): RoleWords {
  const at = ROLES_AT + role * ROLE_STRIDE;
  const requestsAt = at + 4 * LINE_WORDS;
  return {
    doorbell: at,
    state: at + LINE_WORDS,
    stop: at + 2 * LINE_WORDS,
    heartbeat: at + 3 * LINE_WORDS,
    requests: { words, at: requestsAt, capacity: QUEUE_CAPACITY, recordWords: REQUEST_WORDS },
    completions: {
      words,
      at: requestsAt + REQUEST_QUEUE_WORDS,
      capacity: QUEUE_CAPACITY,
      recordWords: COMPLETION_WORDS,
    },
  };
}

export const MEBIBYTE = 1 << 20;

/** Region 0 is the pool; regions from 1 on are memtable arenas, the last ones those of oversize batches. */
export const REGION_POOL = 0;
export const REGION_FIRST_ARENA = 1;

/** Bytes of one log staging buffer, and with its header the most that one frame can hold. */
export const STAGING_BYTES = FRAME_BYTES_MAX;
export const LOG_STAGING_AT = 0;
export const MANIFEST_STAGING_AT = 2 * MEBIBYTE;
export const WRITE_BUFFERS_AT = 3 * MEBIBYTE;
export const WRITE_BUFFER_BYTES = 256 * 1024;
/**
 * Two are written while the third is filled. More would be no faster, and a read that others wait for has to pass all that is
 * under way on the disk (see docs/benchmarks.md).
 */
export const WRITE_BUFFER_COUNT = 3;
/** Two keys of 65,535 bytes and a table's numbers fit. */
export const MAILBOX_AT = WRITE_BUFFERS_AT + WRITE_BUFFER_COUNT * WRITE_BUFFER_BYTES;
export const MAILBOX_BYTES = 256 * 1024;
/** A write buffer's length of zeros that nobody writes to. */
export const ZEROS_AT = MAILBOX_AT + MAILBOX_BYTES;
/** A page of the flush thread's own, for the text of CURRENT. */
export const SCRATCH_AT = ZEROS_AT + WRITE_BUFFER_BYTES;
/** Where reads that are larger than a cache slot land, piece by piece. */
export const TRANSFER_BUFFERS_AT = 5 * MEBIBYTE;
export const TRANSFER_BUFFER_BYTES = 256 * 1024;
export const TRANSFER_BUFFER_COUNT = 8;
/** The compaction thread's: parameters and answers, what it writes, what it reads. */
export const COMPACTION_MAILBOX_AT = 7 * MEBIBYTE;
export const COMPACTION_MAILBOX_BYTES = 4 * MEBIBYTE;
export const COMPACTION_WRITE_BUFFERS_AT = 11 * MEBIBYTE;
export const COMPACTION_READ_BUFFERS_AT = 12 * MEBIBYTE;
export const COMPACTION_READ_BYTES = 8 * MEBIBYTE;
/** Runs that one compaction merges at most: each has two read buffers of at least 64 KiB. */
export const COMPACTION_RUNS_MAX = 64;
export const SLOTS_AT = COMPACTION_READ_BUFFERS_AT + COMPACTION_READ_BYTES;

/** What a role registers as fixed buffers of the pool: [offset, length), in whole MiB. */
export function registeredRange(role: RoleId, poolBytes: number): { offset: number; length: number } {
  switch (role) {
    case 0:
      return { offset: SLOTS_AT, length: poolBytes - SLOTS_AT };
    case 1:
      return { offset: MANIFEST_STAGING_AT, length: TRANSFER_BUFFERS_AT - MANIFEST_STAGING_AT };
    case 2:
      return { offset: COMPACTION_WRITE_BUFFERS_AT, length: SLOTS_AT - COMPACTION_WRITE_BUFFERS_AT };
    case 3:
      return { offset: LOG_STAGING_AT, length: MANIFEST_STAGING_AT };
  }
}
