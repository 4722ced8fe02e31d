/**
 * A log's or a manifest's bytes as recovery goes through them: a window of a few frames at a time, so that what a file
 * claims to be costs no memory. Owner only; reads through the `FileSystem` seam.
 */
import { FRAME_BYTES_MAX } from '../format/limits.ts';
import type { FileSystem } from './file-system.ts';

/** Read at once: several frames, so that most of them need no read of their own. */
const WINDOW_BYTES = 4 * FRAME_BYTES_MAX;

export class FrameWindow {
  /** Length of what is looked at: the file, or its beginning. */
  readonly length: number;
  /** The part that is in memory. Frames that were found keep it: it is never written to again. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Where in the file that part begins. */
  start = 0;
  readonly #fileSystem: FileSystem;
  readonly #path: string;

  constructor(fileSystem: FileSystem, path: string, length: number) {
    this.#fileSystem = fileSystem;
    this.#path = path;
    this.length = length;
  }

  /** Brings in what a frame at `offset` may take, and returns where in `bytes` it begins. REQUIRES: below `length`. */
  show(offset: number): number {
    const end = this.start + this.bytes.length;
    const needed = Math.min(offset + FRAME_BYTES_MAX, this.length);
    if (offset < this.start || needed > end) {
      this.bytes = this.#fileSystem.read(this.#path, offset, Math.min(WINDOW_BYTES, this.length - offset));
      this.start = offset;
    }
    return offset - this.start;
  }
}
