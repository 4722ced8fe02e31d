/**
 * What goes into a ring and comes out of it: operations as records of words. Pure; whoever has a ring.
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
 *     FADVISE     handle       advice           0: to the end byte in file        0
 *     TIMEOUT     –            –                microseconds  –                   0, when so much time has passed
 *     TRUNCATE    handle       –                –             new size            0
 *
 * OPEN, RENAME and UNLINK take names relative to the directory: record i's first name stands at byte 128·i of `names`,
 * RENAME's second one 64 bytes further, both NUL-terminated. FADVISE takes posix_fadvise's number for the advice.
 *
 * A handle is the number of the ring that gave it, and of no other: it may be a descriptor or not. What is to be named as a
 * directory is opened with O_DIRECTORY, which gives a descriptor.
 *
 * TIMEOUT's time begins when its turn submits it; one that is longer than allowed, or in a chain, is refused with
 * EINVAL. A ring of system calls sleeps in its turn, all timeouts of a batch at once.
 *
 * TRUNCATE, too, is refused in a chain: where the kernel's rings do not know it (before 6.9) the turn calls ftruncate.
 *
 * A READ with FLAG_SELECT lends the `selectBytes` (see `attach`) at its buffer offset to the ring, and reads into
 * whichever of the buffers that were lent the kernel picks: as of now the one lent first, when the read of a file begins
 * (of a pipe: when there is something to read). The completion's buffer word is the byte offset in the region of the one
 * picked, which is the caller's again; −1 for everything else.
 *
 *     - Its length is 1 to `selectBytes`, its buffer ends within the region's first 2 GiB, and it is in no chain (what
 *       a chain cancels would leave behind what it lent). A record that is refused with EINVAL for one of these lends
 *       nothing.
 *     - A read that fails may have picked a buffer, which is then named. If the kernel had not come that far, buffer is
 *       −1, and what was lent stays with the ring: a later read may pick it, or the next `attach` drops it.
 *     - Where there are no provided buffers (see `describe`) the read goes into its own buffer and names that one, also
 *       when it fails. A caller needs no second path.
 */

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
export const OPCODE_FADVISE = 9;
export const OPCODE_TIMEOUT = 10;
export const OPCODE_TRUNCATE = 11;
/** Longest wait of one TIMEOUT: a ring of system calls sleeps in it, and its thread cannot be stopped meanwhile. */
export const TIMEOUT_MICROSECONDS_MAX = 100_000;

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
/** READ: into any of the buffers lent; see above. */
export const FLAG_SELECT = 1 << 12;
/**
 * READ, WRITE: handed to a worker of the kernel at once, where that exists (io_uring's ASYNC), so that the turn does not
 * spend the time that its submission takes.
 */
export const FLAG_ASYNC = 1 << 13;
/**
 * READ, WRITE: with the idle I/O priority, behind everybody else's, where the disk's scheduler knows such a thing.
 * Without it where the kernel refuses (see `describe`).
 */
export const FLAG_IDLE = 1 << 14;

/**
 * READ, WRITE of a file that was opened with O_DIRECT: its completion is polled for, where the ring does that (see
 * `Ring.polls`); otherwise as without it. EOPNOTSUPP where the disk has no queues for it. In no chain, and not with
 * FLAG_SELECT.
 */
export const FLAG_POLLED = 1 << 15;

export const COMPLETION_WORDS = 3;
export const COMPLETION_USER_DATA = 0;
export const COMPLETION_RESULT = 1;
export const COMPLETION_BUFFER = 2;
/** The buffer word of a completion that names none. */
export const NO_BUFFER = -1;

/** Bytes of `names` for each record, and where its second name begins. */
export const NAME_STRIDE_BYTES = 128;
export const SECOND_NAME_BYTES = 64;
