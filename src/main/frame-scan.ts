/**
 * Goes through the frames of a log or a manifest in pieces, and past what is damaged. Owner only.
 *
 * Recovery (frame-groups.ts) stops at the first frame that is not valid. Verification and repair want to know what lies
 * behind it: where no valid frame begins, the next page at which one does is looked for.
 */
import {
  FRAME_FIRST,
  FRAME_FULL,
  FRAME_HEADER_BYTES,
  FRAME_LAST,
  FRAME_MAGIC,
  readFrame,
  type FrameRead,
} from '../format/frame.ts';
import { readU16, readU32, readU48 } from '../format/integers.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_OPERATIONS_MAX,
  FRAME_BYTES_MAX,
  LOG_BYTES_MAX,
  PAGE_BYTES,
  roundUpToPage,
} from '../format/limits.ts';
import type { Breather } from './breather.ts';
import type { FrameGroup } from './frame-groups.ts';
import type { PieceReader } from './piece-reader.ts';
import { isReadFailure } from './table-blocks.ts';

/** The frames of the largest batch together: its bytes, and a kind and two lengths for each operation. */
const RECORD_HEAD_BYTES_MAX = 9;
const GROUP_BYTES_MAX = BATCH_BYTES_MAX + RECORD_HEAD_BYTES_MAX * BATCH_OPERATIONS_MAX;

export interface FrameFile {
  readonly salt: number;
  readonly fileNumber: number;
}

export type FrameEvent =
  /** A batch, or a manifest's edit, is whole; it ends before `end`, and so many of its bytes are padding. */
  | (FrameGroup & { readonly type: 'group'; readonly end: number; readonly paddingBytes: number })
  /** The first byte of a frame's padding that is not zero. */
  | { readonly type: 'padding'; readonly offset: number }
  /** Valid, and of a version that is not known here. */
  | { readonly type: 'unknown-version'; readonly offset: number; readonly version: number }
  /** The frames of a batch are not all there, or not in order, though each is valid; from `offset` on nothing is taken. */
  | { readonly type: 'disorder'; readonly offset: number }
  /** The system cannot read what is there; nobody knows whether a frame begins at it. Comes before a break or the end. */
  | { readonly type: 'unreadable'; readonly offset: number; readonly error: unknown }
  /** No valid frame begins at `offset`; one does at `resumesAt`. What was begun of a batch at `from` is lost with it. */
  | {
      readonly type: 'break';
      readonly from: number;
      readonly offset: number;
      readonly resumesAt: number;
      readonly frame: FrameRead;
    }
  /** No valid frame begins at `offset` or behind it. What was begun of a batch at `from` is not whole. */
  | {
      readonly type: 'end';
      readonly from: number;
      readonly offset: number;
      readonly frame: FrameRead | undefined;
    };

/** The last event is the end. `limit`: bytes of the file that may hold frames. */
export async function* scanFrames(
  reader: PieceReader,
  file: FrameFile,
  limit: number,
  breather: Breather,
): AsyncGenerator<FrameEvent, void, void> {
  const group = new GatheredGroup();
  let offset = 0;
  let isLost = false;
  while (offset < limit) {
    await breather.afterLongStep();
    const { frame, view, failure } = frameAt(reader, file, offset, limit);
    if (frame.status === 'unknown-version') {
      yield { type: 'unknown-version', offset, version: frame.version };
      offset += frame.paddedLength;
      continue;
    }
    if (frame.status !== 'valid') {
      const next = await nextValid(reader, file, offset + PAGE_BYTES, limit, breather);
      const { resumesAt } = next;
      const unreadable = failure === undefined ? next.unreadable : { offset, error: failure };
      if (unreadable !== undefined) yield { type: 'unreadable', ...unreadable };
      const from = group.isBegun ? group.offset : offset;
      if (resumesAt === undefined) {
        yield { type: 'end', from, offset, frame };
        return;
      }
      yield { type: 'break', from, offset, resumesAt, frame };
      group.clear();
      // The rest of a batch that the break has cut says nothing new.
      isLost = true;
      offset = resumesAt;
      continue;
    }
    const starts = frame.kind === FRAME_FULL || frame.kind === FRAME_FIRST;
    if (starts === group.isBegun || group.bytes + frame.payloadLength > GROUP_BYTES_MAX) {
      if (!isLost) yield { type: 'disorder', offset };
      group.clear();
      isLost = !starts;
    }
    if (starts) isLost = false;
    const padding = firstNonZero(view, frame.payloadStart + frame.payloadLength, frame.paddedLength);
    if (padding !== undefined) yield { type: 'padding', offset: offset + padding };
    if (!isLost) group.add(frame, view, offset);
    offset += frame.paddedLength;
    if (isLost || (frame.kind !== FRAME_FULL && frame.kind !== FRAME_LAST)) continue;
    const { paddingBytes } = group;
    yield { type: 'group', ...group.take(), end: offset, paddingBytes };
  }
  yield { type: 'end', from: group.isBegun ? group.offset : offset, offset, frame: undefined };
}

/** Index of the first byte from `start` on and before `end` that is not zero. */
export function firstNonZero(bytes: Uint8Array, start: number, end: number): number | undefined {
  const last = Math.min(end, bytes.length);
  for (let at = start; at < last; at++) if (bytes[at] !== 0) return at;
  return undefined;
}

/** The frame that should begin at `offset`, and its bytes: a view until the next read. */
function frameAt(
  reader: PieceReader,
  file: FrameFile,
  offset: number,
  limit: number,
): { readonly frame: FrameRead; readonly view: Uint8Array; readonly failure?: unknown } {
  const place = { ...file, offset };
  const left = limit - offset;
  try {
    let view = reader.view(offset, Math.min(PAGE_BYTES, left));
    if (view.length >= FRAME_HEADER_BYTES && isOurs(view, file)) {
      const length = roundUpToPage(FRAME_HEADER_BYTES + readU32(view, 28));
      if (length > PAGE_BYTES && length <= FRAME_BYTES_MAX)
        view = reader.view(offset, Math.min(length, left));
    }
    return { frame: readFrame(view, 0, view.length, place), view };
  } catch (error) {
    if (!isReadFailure(error)) throw error;
    // As a page without a magic is none, but for what is said of it.
    const frame = readFrame(new Uint8Array(PAGE_BYTES), 0, PAGE_BYTES, place);
    const reason = (error as Error).message;
    return { frame: { ...frame, status: 'bad', reason }, view: new Uint8Array(0), failure: error };
  }
}

/** Whether some page begins as a frame of this file does, valid or not. */
export function mayHoldFrames(reader: PieceReader, fileNumber: number): boolean {
  for (let offset = 0; offset < Math.min(reader.bytes, LOG_BYTES_MAX); offset += PAGE_BYTES) {
    const { head } = headAt(reader, offset);
    if (head !== undefined && isOurs(head, { salt: 0, fileNumber })) return true;
  }
  return false;
}

interface NextFrame {
  /** Undefined where none begins. */
  readonly resumesAt: number | undefined;
  /** The first page before that which the system cannot read. */
  readonly unreadable: { readonly offset: number; readonly error: unknown } | undefined;
}

/** The next page from `from` on at which a valid frame begins, of whatever version. */
async function nextValid(
  reader: PieceReader,
  file: FrameFile,
  from: number,
  limit: number,
  breather: Breather,
): Promise<NextFrame> {
  let unreadable: NextFrame['unreadable'];
  for (let offset = from; offset + FRAME_HEADER_BYTES <= limit; offset += PAGE_BYTES) {
    if (breather.isDue) await breather.breathe();
    const { head, failure } = headAt(reader, offset);
    if (failure !== undefined) unreadable ??= { offset, error: failure };
    if (head === undefined || !isOurs(head, file)) continue;
    const { frame, failure: rest } = frameAt(reader, file, offset, limit);
    if (frame.status === 'valid' || frame.status === 'unknown-version')
      return { resumesAt: offset, unreadable };
    if (rest !== undefined) unreadable ??= { offset, error: rest };
  }
  return { resumesAt: undefined, unreadable };
}

function headAt(
  reader: PieceReader,
  offset: number,
): { readonly head?: Uint8Array; readonly failure?: unknown } {
  try {
    const head = reader.view(offset, FRAME_HEADER_BYTES);
    return head.length === FRAME_HEADER_BYTES ? { head } : {};
  } catch (error) {
    if (isReadFailure(error)) return { failure: error };
    throw error;
  }
}

function isOurs(head: Uint8Array, { fileNumber }: FrameFile): boolean {
  return readU16(head, 4) === FRAME_MAGIC && readU48(head, 8) === fileNumber;
}

/** The parts of one batch, as they come. */
class GatheredGroup {
  offset = 0;
  bytes = 0;
  paddingBytes = 0;
  #firstSequence = 0;
  #count = 0;
  #parts: Uint8Array[] = [];

  get isBegun(): boolean {
    return this.#parts.length > 0;
  }

  /** Copies the frame's payload. */
  add(frame: FrameRead, view: Uint8Array, offset: number): void {
    if (!this.isBegun) {
      this.offset = offset;
      this.#firstSequence = frame.firstSequence;
      this.#count = frame.count;
    }
    this.#parts.push(view.slice(frame.payloadStart, frame.payloadStart + frame.payloadLength));
    this.bytes += frame.payloadLength;
    this.paddingBytes += frame.paddedLength - FRAME_HEADER_BYTES - frame.payloadLength;
  }

  take(): FrameGroup {
    const payload = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    const group = { offset: this.offset, firstSequence: this.#firstSequence, count: this.#count, payload };
    this.clear();
    return group;
  }

  clear(): void {
    this.#parts = [];
    this.bytes = 0;
    this.paddingBytes = 0;
  }
}
