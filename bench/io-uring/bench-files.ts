/** Files that the benchmarks of the rings read and write, in a folder that goes away. Benchmarks only. */
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';

const MEBIBYTE = 1 << 20;

export class BenchFiles {
  readonly folder: string;
  readonly #open: number[] = [];
  readonly #piece = alignedSharedMemory(MEBIBYTE);
  #count = 0;

  constructor(folder: string) {
    this.folder = folder;
    for (let i = 0; i < this.#piece.length; i++) this.#piece[i] = i * 31;
  }

  /** A file of so many MiB, all of it written and durable; 0: an empty one. `flags` beside read and write. */
  make(mebibytes: number, flags = constants.O_DIRECT): number {
    return this.#make(mebibytes, flags).descriptor;
  }

  /** The same, by its path, for another process. */
  makeNamed(mebibytes: number): string {
    return this.#make(mebibytes, constants.O_DIRECT).path;
  }

  #make(mebibytes: number, flags: number): { path: string; descriptor: number } {
    const path = join(this.folder, `file-${this.#count++}`);
    const descriptor = openSync(path, constants.O_CREAT | constants.O_RDWR | flags, 0o600);
    this.#open.push(descriptor);
    for (let i = 0; i < mebibytes; i++) writeSync(descriptor, this.#piece, 0, MEBIBYTE, i * MEBIBYTE);
    fsyncSync(descriptor);
    return { path, descriptor };
  }

  /** The folder itself. */
  openFolder(): number {
    const descriptor = openSync(this.folder, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#open.push(descriptor);
    return descriptor;
  }

  close(): void {
    for (const descriptor of this.#open.splice(0)) closeSync(descriptor);
  }
}
