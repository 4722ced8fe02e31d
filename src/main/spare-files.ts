/**
 * Files of tables that no version names any more, kept so that new tables are written over them. Owner only.
 *
 * Writing over what a file has costs the file system no allocation, and the disk no discard: on a file system that is
 * mounted with `discard` each 32 MiB that a removal gives back hold up every read for some 5 ms (see docs/benchmarks.md).
 * What is kept is bounded, and goes bit by bit when nothing has been written over for a while.
 */
import type { Environment, Timer } from './environment.ts';

/** With 'auto': no files so small that their removal disturbs nobody. */
const AUTO_FILE_BYTES_MIN = 4 * 1024 * 1024;
/** After so long without any being written over, files of so many bytes go, or one; then the next. */
const TRIM_MS = 1000;
const TRIM_BYTES = 32 * 1024 * 1024;
/** Beyond what is to be kept, up to so many times that, they go after so long: not all at the same time. */
const EXCESS_MAX = 2;
const EXCESS_TRIM_MS = 500;
/** A table of which less than this share would be written is not worth a file: the rest would be given back. */
const FILL_MIN = 1 / 2;

export interface SpareFile {
  /** Of the table that it was. */
  readonly number: number;
  readonly bytes: number;
}

export interface SpareFilesOptions {
  /** Most bytes to keep; 'auto': what one compaction reads. Its inputs took as much beside its outputs until it ended. */
  readonly setting: number | 'auto';
  readonly compactionBytesMax: number;
  readonly after: Environment['after'];
  /** `isPaced`: others are removed later, so that not all are given back at the same time. */
  readonly remove: (file: SpareFile, isPaced: boolean) => void;
}

export class SpareFiles {
  readonly #options: SpareFilesOptions;
  /** Oldest first. */
  #files: SpareFile[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #wasTaken = false;
  #isClosed = false;
  readonly #bytesMax: number;
  readonly #fileBytesMin: number;

  constructor(options: SpareFilesOptions) {
    const { setting, compactionBytesMax } = options;
    this.#options = options;
    this.#bytesMax = setting === 'auto' ? compactionBytesMax : setting;
    this.#fileBytesMin = setting === 'auto' ? AUTO_FILE_BYTES_MIN : 0;
  }

  get count(): number {
    return this.#files.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a file; false if it is to be removed. */
  keep(file: SpareFile): boolean {
    if (this.#isClosed || file.bytes < this.#fileBytesMin) return false;
    if (this.#bytes + file.bytes > EXCESS_MAX * this.#bytesMax) return false;
    this.#files.push(file);
    this.#bytes += file.bytes;
    this.#armTrim();
    return true;
  }

  /** The file whose length is next to `bytes`; undefined if there is none that would be filled by half. */
  take(bytes: number): SpareFile | undefined {
    let best: SpareFile | undefined;
    for (const file of this.#files) {
      if (bytes < FILL_MIN * file.bytes) continue;
      if (best === undefined || Math.abs(file.bytes - bytes) < Math.abs(best.bytes - bytes)) best = file;
    }
    if (best !== undefined) this.#forget(best);
    this.#wasTaken ||= best !== undefined;
    return best;
  }

  /** Removes all that are kept: somebody needs the space. */
  removeAll(): void {
    for (const file of [...this.#files]) {
      this.#forget(file);
      this.#options.remove(file, false);
    }
  }

  /** Removes all, and keeps none from now on. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.removeAll();
  }

  #forget(file: SpareFile): void {
    this.#files = this.#files.filter((other) => other !== file);
    this.#bytes -= file.bytes;
  }

  #armTrim(): void {
    if (this.#timer !== undefined || this.#isClosed || this.#files.length === 0) return;
    this.#wasTaken = false;
    const milliseconds = this.#hasExcess ? EXCESS_TRIM_MS : TRIM_MS;
    this.#timer = this.#options.after(milliseconds, false, () => {
      this.#timer = undefined;
      if (this.#hasExcess || !this.#wasTaken) this.#trim();
      this.#armTrim();
    });
  }

  #trim(): void {
    let left = TRIM_BYTES;
    for (const file of [...this.#files]) {
      if (left < TRIM_BYTES && file.bytes > left) return;
      left -= file.bytes;
      this.#forget(file);
      this.#options.remove(file, true);
    }
  }

  get #hasExcess(): boolean {
    return this.#bytes > this.#bytesMax;
  }
}
