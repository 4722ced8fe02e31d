/**
 * Frames: what logs and manifests are made of. Pure; any thread.
 *
 * A frame begins on a page and fills whole pages: header, payload, zeros.
 *
 *    0 ┌─────────────────────────────┐
 *      │ u32 checksum                │  CRC-32C, seeded with salt, file number and offset, of bytes 4 to payload end
 *    4 │ u16 magic                   │  0x5146, "FQ"
 *    6 │ u8  format version          │  1
 *    7 │ u8  kind                    │  1 full, 2 first, 3 middle, 4 last
 *    8 │ u48 file number             │
 *   14 │ u16 zero                    │
 *   16 │ u48 first sequence          │
 *   22 │ u16 zero                    │
 *   24 │ u32 count                   │
 *   28 │ u32 payload length          │  at most a mebibyte with the header
 *   32 ├─────────────────────────────┤
 *      │ payload                     │
 *      ├─────────────────────────────┤
 *      │ zeros to the page's end     │  not covered by the checksum
 *      └─────────────────────────────┘
 *
 * A file may be a recycled one, full of frames that an earlier file left there. Those carry another file number
 * ('foreign'); and should a page of an old payload look like a frame of this file, the seed keeps it from verifying.
 * 'blank', 'foreign' and 'bad' all mean "no frame here": whether that is the log's end is for recovery to say, which
 * looks for valid frames behind it.
 */
import { assert } from '../assert.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from './integers.ts';
import { FILE_NUMBER_MAX, FRAME_BYTES_MAX, PAGE_BYTES, SEQUENCE_MAX, roundUpToPage } from './limits.ts';

export const FRAME_HEADER_BYTES = 32;
export const FRAME_PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEADER_BYTES;
export const FRAME_MAGIC = 0x5146;
export const FRAME_FORMAT_VERSION = 1;

/** A whole batch, or the first, a middle, the last part of one. */
export const FRAME_FULL = 1;
export const FRAME_FIRST = 2;
export const FRAME_MIDDLE = 3;
export const FRAME_LAST = 4;

/** The kind of a part of a batch, by whether anything stands before or behind it. */
export function frameKindOf(isFirst: boolean, isLast: boolean): number {
  if (isFirst) return isLast ? FRAME_FULL : FRAME_FIRST;
  return isLast ? FRAME_LAST : FRAME_MIDDLE;
}

export interface FrameHeader {
  readonly kind: number;
  readonly fileNumber: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly payloadLength: number;
}

/** Where a frame must have been written to be valid. */
export interface FramePlace {
  readonly salt: number;
  readonly fileNumber: number;
  /** Byte of the file at which the frame begins. */
  readonly offset: number;
}

export type FrameStatus = 'valid' | 'blank' | 'foreign' | 'bad' | 'unknown-version';

export interface FrameRead {
  readonly status: FrameStatus;
  /** What is wrong, for messages; empty when nothing is. */
  readonly reason: string;
  /** The fields below are meant only when the status is 'valid', except where they say otherwise. */
  readonly kind: number;
  /** As it stands in the header; also for 'foreign' and 'unknown-version'. */
  readonly fileNumber: number;
  /** As it stands in the header; also for 'unknown-version'. */
  readonly version: number;
  readonly firstSequence: number;
  readonly count: number;
  /** Index of the payload in the array that was read. */
  readonly payloadStart: number;
  readonly payloadLength: number;
  /** Bytes to the next frame; a page when there is no frame to be measured. */
  readonly paddedLength: number;
  /** The checksum that the header has and the one that the bytes have; also for 'bad', equal where it does not matter. */
  readonly expected: number;
  readonly actual: number;
}

/** Writes a header whose checksum is 0 until `sealFrame`. */
export function writeFrameHeader(bytes: Uint8Array, at: number, header: FrameHeader): void {
  assert(header.kind >= FRAME_FULL && header.kind <= FRAME_LAST, 'a frame must have one of the four kinds');
  assert(header.fileNumber >= 0 && header.fileNumber <= FILE_NUMBER_MAX, 'a file number must be below 2^32');
  assert(
    header.firstSequence >= 0 && header.firstSequence <= SEQUENCE_MAX,
    'a sequence number must be below 2^48',
  );
  assert(header.payloadLength <= FRAME_PAYLOAD_BYTES_MAX, 'a payload must be within the limit of frames');
  writeU32(bytes, at, 0);
  writeU16(bytes, at + 4, FRAME_MAGIC);
  bytes[at + 6] = FRAME_FORMAT_VERSION;
  bytes[at + 7] = header.kind;
  writeU48(bytes, at + 8, header.fileNumber);
  writeU16(bytes, at + 14, 0);
  writeU48(bytes, at + 16, header.firstSequence);
  writeU16(bytes, at + 22, 0);
  writeU32(bytes, at + 24, header.count);
  writeU32(bytes, at + 28, header.payloadLength);
}

/**
 * Finishes the frame at `at`, whose header and payload are written and which will stand at byte `offset` of its file:
 * zeroes the padding, writes the checksum, and returns the padded length.
 */
export function sealFrame(bytes: Uint8Array, at: number, salt: number, offset: number): number {
  assert(readU16(bytes, at + 4) === FRAME_MAGIC, 'a frame must have its header before it is sealed');
  assert(offset % PAGE_BYTES === 0, 'a frame must begin on a page');
  const end = at + FRAME_HEADER_BYTES + readU32(bytes, at + 28);
  const paddedLength = roundUpToPage(end - at);
  assert(at + paddedLength <= bytes.length, 'a frame must lie within its buffer');
  bytes.fill(0, end, at + paddedLength);
  writeU32(bytes, at, checksum(bytes, at + 4, end, checksumSeed(salt, readU48(bytes, at + 8), offset)));
  return paddedLength;
}

/** Reads the frame that should begin at `at` and end by `end`. Never throws; REQUIRES: at <= end <= bytes.length. */
export function readFrame(bytes: Uint8Array, at: number, end: number, place: FramePlace): FrameRead {
  if (end - at < FRAME_HEADER_BYTES) {
    for (let i = at; i < end; i++)
      if (bytes[i] !== 0) return noFrame('bad', 'the file ends within a frame header');
    return noFrame('blank', 'the file ends here');
  }
  if (readU16(bytes, at + 4) !== FRAME_MAGIC) return noFrame('blank', 'there is no frame magic');

  const fileNumber = readU48(bytes, at + 8);
  const version = bytes[at + 6];
  if (fileNumber !== place.fileNumber) {
    return { ...noFrame('foreign', `the frame belongs to file ${fileNumber}`), fileNumber, version };
  }
  const payloadLength = readU32(bytes, at + 28);
  const payloadStart = at + FRAME_HEADER_BYTES;
  // Before anything is summed up: a file of claims would otherwise cost its length times its pages.
  if (payloadLength > FRAME_PAYLOAD_BYTES_MAX)
    return noFrame('bad', `the frame's length of ${payloadLength} is above ${FRAME_PAYLOAD_BYTES_MAX}`);
  if (payloadLength > end - payloadStart)
    return noFrame('bad', `the frame's length of ${payloadLength} goes beyond the end`);
  if (payloadLength > FRAME_BYTES_MAX - FRAME_HEADER_BYTES)
    return noFrame('bad', `the frame's length of ${payloadLength} is more than a frame has`);

  const expected = readU32(bytes, at);
  const actual = checksum(
    bytes,
    at + 4,
    payloadStart + payloadLength,
    checksumSeed(place.salt, place.fileNumber, place.offset),
  );
  if (expected !== actual)
    return { ...noFrame('bad', 'the checksum does not hold'), fileNumber, version, expected, actual };

  // From here on the bytes are what somebody wrote: what is odd about them is a matter of version, or a bug.
  const read: FrameRead = {
    status: 'valid',
    reason: '',
    kind: bytes[at + 7],
    fileNumber,
    version,
    firstSequence: readU48(bytes, at + 16),
    count: readU32(bytes, at + 24),
    payloadStart,
    payloadLength,
    paddedLength: roundUpToPage(FRAME_HEADER_BYTES + payloadLength),
    expected,
    actual,
  };
  if (version !== FRAME_FORMAT_VERSION) {
    return { ...read, status: 'unknown-version', reason: `the frame has format version ${version}` };
  }
  if (readU16(bytes, at + 14) !== 0 || readU16(bytes, at + 22) !== 0) {
    return { ...read, status: 'bad', reason: 'a reserved field is not zero' };
  }
  if (read.kind < FRAME_FULL || read.kind > FRAME_LAST) {
    return { ...read, status: 'bad', reason: `the frame has unknown kind ${read.kind}` };
  }
  return read;
}

function noFrame(status: FrameStatus, reason: string): FrameRead {
  return {
    status,
    reason,
    kind: 0,
    fileNumber: 0,
    version: 0,
    firstSequence: 0,
    count: 0,
    payloadStart: 0,
    payloadLength: 0,
    paddedLength: PAGE_BYTES,
    expected: 0,
    actual: 0,
  };
}
