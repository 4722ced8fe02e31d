/**
 * What dm-log-writes has recorded of a device: every write, whole, in an order that says what was durable when. Pure.
 *
 * The log is a device of its own. All integers are little-endian; a sector is the logical block of the recorded device.
 *
 *     sector 0      u64 magic, u64 version, u64 entries, u32 bytes of a sector
 *     sector 1 …    entries, one behind the other: a sector that describes it, and the sectors that were written
 *
 *         u64 first sector, u64 sectors, u64 flags, u64 bytes of a mark's text, which follows in the same sector
 *
 * A discard names sectors and has none; an empty flush and a mark have neither. Flags: 1 FLUSH, 2 FUA, 4 DISCARD, 8 MARK,
 * 16 metadata.
 *
 * The order (drivers/md/dm-log-writes.c, Documentation/admin-guide/device-mapper/log-writes.rst). A FUA write is put
 * down when it completes. Any other write, or discard, is kept back when it completes, until a flush is issued after
 * that and completes; those are put down then, in the order of their completion, and behind them the flush. So in
 *
 *     fua₁ fua₂ write₁ write₂ FLUSH
 *
 * the FUA writes completed before the flush did, the other two before it was issued, and nothing says in which order
 * the four were carried out. What was never flushed comes at the end, when the target is taken away, before a mark
 * of its own: END_MARK.
 */
import { assert } from '../../src/assert.ts';

export const LOG_MAGIC = 0x6a736677736872n;
export const LOG_VERSION = 1n;
export const END_MARK = 'dm-log-writes-end';

export const FLAG_FLUSH = 1;
export const FLAG_FUA = 2;
export const FLAG_DISCARD = 4;
export const FLAG_MARK = 8;
export const FLAG_METADATA = 16;
const FLAGS_KNOWN = FLAG_FLUSH | FLAG_FUA | FLAG_DISCARD | FLAG_MARK | FLAG_METADATA;

const HEAD_BYTES = 32;
/** No recording that is made here is longer. */
export const ENTRIES_MAX = 2_000_000;

/** The log is not one, or it ends too early. */
export class LogWritesError extends Error {
  override readonly name = 'LogWritesError';
}

export interface LogEntry {
  readonly flags: number;
  /** Where it was written, and how much. */
  readonly offset: number;
  readonly length: number;
  /** Where the bytes are in the log; meaningless where `hasData` is false. */
  readonly dataAt: number;
  /** What a mark says; empty for all others. */
  readonly mark: string;
}

/** Gives `length` bytes of the log at `offset`; fewer only where the log's device ends. */
export type ReadLog = (offset: number, length: number) => Buffer;

export function hasData({ flags, length }: LogEntry): boolean {
  return length > 0 && (flags & (FLAG_DISCARD | FLAG_MARK)) === 0;
}

/** All entries in their order. Throws LogWritesError when the log is damaged, or when it was full before its end. */
export function readEntries(read: ReadLog): LogEntry[] {
  const head = whole(read, 0, HEAD_BYTES);
  if (head.readBigUInt64LE(0) !== LOG_MAGIC) throw new LogWritesError('this is no log of dm-log-writes');
  const version = head.readBigUInt64LE(8);
  if (version !== LOG_VERSION) throw new LogWritesError(`the log has version ${version}`);
  const count = smallInteger(head.readBigUInt64LE(16), ENTRIES_MAX, 'the number of entries');
  const sectorBytes = head.readUInt32LE(24);
  if (sectorBytes < 512 || (sectorBytes & (sectorBytes - 1)) !== 0) {
    throw new LogWritesError(`the log says that a sector has ${sectorBytes} bytes`);
  }
  const entries: LogEntry[] = [];
  let at = sectorBytes;
  for (let i = 0; i < count; i++) {
    const entry = readEntry(whole(read, at, sectorBytes), at, sectorBytes);
    entries.push(entry);
    at += sectorBytes + (hasData(entry) ? entry.length : 0);
  }
  if (entries.at(-1)?.mark !== END_MARK) {
    throw new LogWritesError(
      `the log of ${count} entries has no end: its device was full, or it is still being written`,
    );
  }
  return entries;
}

function readEntry(sector: Buffer, at: number, sectorBytes: number): LogEntry {
  const flags = smallInteger(sector.readBigUInt64LE(16), FLAGS_KNOWN, `the flags of the entry at ${at}`);
  const textBytes = smallInteger(
    sector.readBigUInt64LE(24),
    sectorBytes - HEAD_BYTES,
    `the text's length of the entry at ${at}`,
  );
  const sectorsMax = Math.floor(Number.MAX_SAFE_INTEGER / sectorBytes / 2);
  return {
    flags,
    offset:
      smallInteger(sector.readBigUInt64LE(0), sectorsMax, `the place of the entry at ${at}`) * sectorBytes,
    length:
      smallInteger(sector.readBigUInt64LE(8), sectorsMax, `the length of the entry at ${at}`) * sectorBytes,
    dataAt: at + sectorBytes,
    mark: (flags & FLAG_MARK) === 0 ? '' : sector.toString('latin1', HEAD_BYTES, HEAD_BYTES + textBytes),
  };
}

function whole(read: ReadLog, offset: number, length: number): Buffer {
  const bytes = read(offset, length);
  assert(bytes.length <= length, 'a read gives no more than was asked for');
  if (bytes.length < length) throw new LogWritesError(`the log's device ends at ${offset + bytes.length}`);
  return bytes;
}

function smallInteger(value: bigint, most: number, what: string): number {
  if (value > BigInt(most)) throw new LogWritesError(`${what} is ${value}, which is more than ${most}`);
  return Number(value);
}
