/**
 * A disk in memory, as far as the engine's seams see one: files with and without fsync, directory entries likewise.
 *
 * Fault model: a crash keeps exactly what was made durable. A write with DSYNC is durable and makes no other write so;
 * fsync of a file makes its content durable, fsync of the directory its names. ('keep' is the other end: the process
 * dies and the machine lives, so that everything stays.)
 */
import { constants } from 'node:fs';

const ENOENT = 2;
const EEXIST = 17;
const EBADF = 9;
const ENOSPC = 28;

export class MemoryFile {
  content = new Uint8Array(0);
  size = 0;
  durableContent = new Uint8Array(0);
  durableSize = 0;

  write(bytes: Uint8Array, offset: number, durable: boolean): void {
    const end = offset + bytes.length;
    this.content = grown(this.content, end);
    this.content.set(bytes, offset);
    this.size = Math.max(this.size, end);
    if (!durable) return;
    this.durableContent = grown(this.durableContent, end);
    this.durableContent.set(bytes, offset);
    this.durableSize = Math.max(this.durableSize, end);
  }

  truncate(size: number): void {
    this.content = grown(this.content, size);
    this.content.fill(0, Math.min(size, this.size));
    this.size = size;
  }

  sync(): void {
    this.durableContent = this.content.slice(0, this.size);
    this.durableSize = this.size;
  }
}

function grown(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (bytes.length >= length) return bytes;
  const larger = new Uint8Array(Math.max(length, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

export class MemoryDisk {
  /** Names in the one directory there is. */
  names = new Map<string, MemoryFile>();
  durableNames = new Map<string, MemoryFile>();
  /** Whether the directory exists. */
  present = false;
  locked = false;
  /** Bytes of all files together beyond which nothing more fits. */
  capacityBytes = Infinity;
  readonly #handles = new Map<number, MemoryFile | 'directory'>();
  #nextHandle = 3;

  /** The disk as the next process finds it. */
  crashed(keep: 'durable' | 'everything'): MemoryDisk {
    const after = new MemoryDisk();
    after.present = this.present;
    after.capacityBytes = this.capacityBytes;
    for (const [name, file] of keep === 'durable' ? this.durableNames : this.names) {
      const copy = new MemoryFile();
      const content =
        keep === 'durable'
          ? file.durableContent.slice(0, file.durableSize)
          : file.content.slice(0, file.size);
      copy.write(content, 0, true);
      after.names.set(name, copy);
      after.durableNames.set(name, copy);
    }
    return after;
  }

  openDirectory(): number {
    return this.#newHandle('directory');
  }

  open(name: string, flags: number): number {
    let file = this.names.get(name);
    if (file === undefined) {
      if ((flags & constants.O_CREAT) === 0) return -ENOENT;
      file = new MemoryFile();
      this.names.set(name, file);
    } else if ((flags & constants.O_EXCL) !== 0) {
      return -EEXIST;
    }
    if ((flags & constants.O_TRUNC) !== 0) file.truncate(0);
    return this.#newHandle(file);
  }

  close(handle: number): number {
    return this.#handles.delete(handle) ? 0 : -EBADF;
  }

  read(handle: number, target: Uint8Array, offset: number): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    const length = Math.max(0, Math.min(target.length, file.size - offset));
    target.set(file.content.subarray(offset, offset + length));
    return length;
  }

  write(handle: number, bytes: Uint8Array, offset: number, durable: boolean): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    if (!this.#fits(file, offset + bytes.length)) return -ENOSPC;
    file.write(bytes, offset, durable);
    return bytes.length;
  }

  truncate(handle: number, size: number): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    file.truncate(size);
    return 0;
  }

  sync(handle: number): number {
    const target = this.#handles.get(handle);
    if (target === undefined) return -EBADF;
    if (target === 'directory') this.durableNames = new Map(this.names);
    else target.sync();
    return 0;
  }

  /** Says whether the space is there; what is reserved is not counted until it is written. */
  reserve(handle: number, end: number): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    return this.#fits(file, end) ? 0 : -ENOSPC;
  }

  rename(from: string, to: string): number {
    const file = this.names.get(from);
    if (file === undefined) return -ENOENT;
    this.names.delete(from);
    this.names.set(to, file);
    return 0;
  }

  unlink(name: string): number {
    return this.names.delete(name) ? 0 : -ENOENT;
  }

  #fits(file: MemoryFile, end: number): boolean {
    let used = Math.max(0, end - file.size);
    for (const { size } of this.names.values()) used += size;
    return used <= this.capacityBytes;
  }

  #file(handle: number): MemoryFile | undefined {
    const target = this.#handles.get(handle);
    return target === 'directory' ? undefined : target;
  }

  #newHandle(target: MemoryFile | 'directory'): number {
    this.#handles.set(this.#nextHandle, target);
    return this.#nextHandle++;
  }
}
