/** Files of the database that are open on the owner's own ring, by number. Owner only. */
import type { CallerIo } from './caller-io.ts';

export class CallerFiles {
  readonly #io: CallerIo;
  readonly #nameOf: (number: number) => string;
  readonly #flags: number;
  /** Handles; undefined while a file is being opened. */
  readonly #handles = new Map<number, number | undefined>();

  /** `flags`: those that files are opened with, but for O_DIRECT. */
  constructor(io: CallerIo, nameOf: (number: number) => string, flags: number) {
    this.#io = io;
    this.#nameOf = nameOf;
    this.#flags = flags;
  }

  /** Files that are open, or being opened. */
  get size(): number {
    return this.#handles.size;
  }

  has(number: number): boolean {
    return this.#handles.has(number);
  }

  /** Undefined where it is not open, or not yet. */
  handleOf(number: number): number | undefined {
    return this.#handles.get(number);
  }

  /** Begins to open a file; where that fails it is not there, and may be tried again. REQUIRES: room in the ring. */
  open(number: number): void {
    this.#handles.set(number, undefined);
    this.#io.open(this.#nameOf(number), this.#flags, (handle) => {
      if (handle < 0) this.#handles.delete(number);
      else if (this.#handles.has(number)) this.#handles.set(number, handle);
      // It was closed meanwhile.
      else this.#io.close(handle);
    });
  }

  /** REQUIRES: nothing of it is being read or written. */
  close(number: number): void {
    const handle = this.#handles.get(number);
    this.#handles.delete(number);
    if (handle !== undefined) this.#io.close(handle);
  }

  closeAll(): void {
    for (const number of [...this.#handles.keys()]) this.close(number);
  }
}
