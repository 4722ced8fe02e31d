/**
 * Reads the frames of a log or a manifest, puts those of one batch together, and tells a torn tail from corruption.
 * Owner only; recovery uses it.
 *
 * A frame is only issued when the one before it is durable. So a bad frame is a torn tail if nothing valid follows it
 * in its file, and corruption if a valid frame does, or if the file was known to hold frames beyond it.
 */
import { assert } from '../assert.ts';
import { QuadringError, type ErrorCode } from '../errors.ts';
import { FormatError, UnknownVersionError } from '../format/format-error.ts';
import {
  FRAME_FIRST,
  FRAME_FULL,
  FRAME_LAST,
  FRAME_MIDDLE,
  readFrame,
  type FrameRead,
} from '../format/frame.ts';
import { FRAME_BYTES_MAX, PAGE_BYTES } from '../format/limits.ts';
import type { FrameWindow } from './frame-window.ts';

/** One frame, or the frames of one batch, put together. */
export interface FrameGroup {
  /** Where its first frame begins. */
  readonly offset: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly payload: Uint8Array;
}

export interface FramesPlace {
  readonly salt: number;
  readonly fileNumber: number;
  readonly file: string;
  readonly code: ErrorCode;
  /** The file was known to hold frames up to here. */
  readonly recordedEnd?: number;
  /** Whether the file may have been another before, whose bytes are still there. */
  readonly isRecycled: boolean;
}

/** Pages that begin like a frame of the file: a write that was torn leaves no more of them, where nothing was before. */
const TORN_FRAMES_MAX = FRAME_BYTES_MAX / PAGE_BYTES;

export interface Frames {
  readonly groups: FrameGroup[];
  readonly end: number;
  /** Bytes of a frame, or of a batch without its last frame, that were cut. */
  readonly tornBytes: number;
}

/** Reads frames up to the first that is not valid, and tells a torn tail from corruption. */
export function readFrames(window: FrameWindow, place: FramesPlace): Frames {
  const limit = place.recordedEnd ?? window.length;
  const groups: FrameGroup[] = [];
  let parts: Uint8Array[] = [];
  let first: { offset: number; firstSequence: number; count: number } | undefined;
  let at = 0;
  let frame: FrameRead | undefined;
  while (at < limit) {
    frame = frameAt(window, at, place);
    if (frame.status !== 'valid') break;
    const starts = frame.kind === FRAME_FULL || frame.kind === FRAME_FIRST;
    if (starts !== (first === undefined)) {
      throw new QuadringError(place.code, 'the frames of a batch are out of order', {
        file: place.file,
        offset: at,
      });
    }
    first ??= { offset: at, firstSequence: frame.firstSequence, count: frame.count };
    parts.push(window.bytes.subarray(frame.payloadStart, frame.payloadStart + frame.payloadLength));
    at += frame.paddedLength;
    if (frame.kind === FRAME_MIDDLE || frame.kind === FRAME_FIRST) continue;
    assert(frame.kind === FRAME_FULL || frame.kind === FRAME_LAST, 'a valid frame has one of four kinds');
    groups.push({ ...first, payload: parts.length === 1 ? parts[0] : Buffer.concat(parts) });
    parts = [];
    first = undefined;
  }
  const stopped = at;
  const end = first?.offset ?? at;
  if (frame?.status === 'unknown-version') {
    const message = `a frame has format version ${frame.version}, which this release does not know`;
    throw new QuadringError('UNKNOWN_FORMAT', message, { file: place.file, offset: stopped });
  }
  if (place.recordedEnd !== undefined) {
    if (end !== place.recordedEnd)
      throw damaged(place, stopped, frame, `before its recorded end at ${limit}`);
    return { groups, end, tornBytes: 0 };
  }
  let tornFrames = 0;
  for (let later = stopped + PAGE_BYTES; later < window.length; later += PAGE_BYTES) {
    const { status } = frameAt(window, later, place);
    if (status === 'valid') throw damaged(place, stopped, frame, `before a valid frame at ${later}`);
    // A checksum was computed for each of them.
    if (status === 'bad' && ++tornFrames >= TORN_FRAMES_MAX && !place.isRecycled)
      throw damaged(place, stopped, frame, `before ${tornFrames} more that are torn`);
  }
  const cut = first === undefined ? 0 : stopped - first.offset;
  const torn =
    stopped < window.length && frame?.status === 'bad' ? Math.max(frame.paddedLength, PAGE_BYTES) : 0;
  return { groups, end, tornBytes: cut + torn };
}

/** What stands at a place of the file; `payloadStart` counts in the window's bytes. */
function frameAt(window: FrameWindow, offset: number, { salt, fileNumber }: FramesPlace): FrameRead {
  if (offset >= window.length) return readFrame(window.bytes, 0, 0, { salt, fileNumber, offset });
  const at = window.show(offset);
  return readFrame(window.bytes, at, window.bytes.length, { salt, fileNumber, offset });
}

function damaged(
  place: FramesPlace,
  offset: number,
  frame: FrameRead | undefined,
  where: string,
): QuadringError {
  const fields = frame === undefined ? {} : { expected: frame.expected, actual: frame.actual };
  const reason = frame === undefined || frame.reason === '' ? 'the file ends' : frame.reason;
  return new QuadringError(place.code, `no valid frame at byte ${offset}, ${where}: ${reason}`, {
    file: place.file,
    offset,
    ...fields,
  });
}

/** Turns what a decoder throws into the error of the file it read. */
export function decodeOr<T>(code: ErrorCode, file: string, decode: () => T, base = 0): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const fields = { file, offset: base + error.at, cause: error };
    throw new QuadringError(
      error instanceof UnknownVersionError ? 'UNKNOWN_FORMAT' : code,
      error.message,
      fields,
    );
  }
}
