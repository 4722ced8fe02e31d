/**
 * Tells a frame that a crash cut short from one that was whole and was changed afterwards, as far as that can be told. Owner
 * only; pure but for what the reader reads.
 *
 * A disk writes sectors whole. A frame within one sector is there or is not; where it is there and its checksum does not
 * hold, somebody changed it. Of a longer one sectors may be missing. In a new file those are zeros still; in a log that
 * is used again they hold anything, and nothing can be told.
 */
import { checksum, checksumSeed } from '../format/checksum.ts';
import { FRAME_HEADER_BYTES, type FrameRead } from '../format/frame.ts';
import { readU32, writeU32 } from '../format/integers.ts';
import { firstNonZero, type FrameFile } from './frame-scan.ts';
import type { PieceReader } from './piece-reader.ts';
import { readOr } from './table-blocks.ts';

/** What every disk writes whole. */
export const SECTOR_BYTES = 512;
/** A longer frame is not gone through for what its length may have been. */
const CORRECTED_BYTES_MAX = 64 * 1024;

/** Whether the frame at `offset`, which is not valid, was: in a log, whose sectors behind it may hold anything. */
export function wasChangedInLog(
  reader: PieceReader,
  file: FrameFile,
  offset: number,
  frame: FrameRead,
): boolean {
  if (frame.status !== 'bad') return false;
  const sector = readOr(reader, offset, SECTOR_BYTES);
  if (sector === undefined) return false;
  if (FRAME_HEADER_BYTES + readU32(sector, 28) <= SECTOR_BYTES) return true;
  return holdsWithOtherLength(sector.slice(), file, offset, 0);
}

/** The same in a manifest, which has zeros where nothing was written. `odd`: the first byte from `offset` on that is none. */
export function wasChangedInManifest(
  reader: PieceReader,
  file: FrameFile,
  offset: number,
  odd: number,
  frame: FrameRead,
): boolean {
  // The first sector is missing.
  if (odd >= offset + SECTOR_BYTES) return false;
  if (frame.status !== 'bad') return true;
  const header = readOr(reader, offset, FRAME_HEADER_BYTES);
  if (header === undefined) return false;
  const length = FRAME_HEADER_BYTES + readU32(header, 28);
  const bytes = reader.view(offset, Math.min(length, CORRECTED_BYTES_MAX)).slice();
  const isThere = (at: number): boolean =>
    firstNonZero(bytes, at, Math.min(at + SECTOR_BYTES, length)) !== undefined;
  let isWhole = length <= bytes.length;
  for (let at = 0; at < bytes.length; at += SECTOR_BYTES) isWhole &&= isThere(at);
  if (isWhole) return true;
  let end = bytes.length;
  while (end > FRAME_HEADER_BYTES && bytes[end - 1] === 0) end--;
  return holdsWithOtherLength(bytes, file, offset, end - FRAME_HEADER_BYTES);
}

/** Whether the checksum holds if the payload has another length: `least`, or up to a sector more. Changes the bytes. */
function holdsWithOtherLength(bytes: Uint8Array, file: FrameFile, offset: number, least: number): boolean {
  const expected = readU32(bytes, 0);
  const seed = checksumSeed(file.salt, file.fileNumber, offset);
  const most = Math.min(least + SECTOR_BYTES, bytes.length - FRAME_HEADER_BYTES);
  for (let length = least; length <= most; length++) {
    writeU32(bytes, 28, length);
    if (checksum(bytes, 4, FRAME_HEADER_BYTES + length, seed) === expected) return true;
  }
  return false;
}
