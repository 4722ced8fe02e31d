/**
 * The seam `FileSystem`: what open and recovery do to a directory before any ring runs, and the implementation over
 * Node's own calls. Owner only. Everything that must be durable goes through a ring instead.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { native } from '../native.ts';

export interface FileStatus {
  readonly kind: 'file' | 'directory' | 'other';
  readonly bytes: number;
}

export interface DirectoryLock {
  release(): void;
}

export interface FileSystem {
  /** Undefined if there is nothing at the path. Symbolic links are not followed: 'other'. */
  status(path: string): FileStatus | undefined;
  /** Whether the path, or what a symbolic link there leads to, is a directory; undefined if there is nothing. */
  isDirectory(path: string): boolean | undefined;
  list(directory: string): string[];
  /** Makes a directory, mode 0700, unless somebody was quicker, and its name durable. Its parent must exist. */
  makeDirectory(path: string): void;
  /** A handle that ring records can name files by. */
  openDirectory(path: string): number;
  closeDirectory(handle: number): void;
  /** The whole file, or its first `length` bytes (fewer if it is shorter). */
  readFile(path: string, length?: number): Uint8Array;
  remove(path: string): void;
  /** A lock, or the pid of who holds it (0 where it is not known). */
  lock(path: string): DirectoryLock | number;
  /** Whether O_DIRECT with pages of 4 KiB works in the directory. */
  supportsDirectIo(directory: string): boolean;
}

const PAGE_BYTES = 4096;

export const nodeFileSystem: FileSystem = {
  status(path) {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    const kind = status.isFile() ? 'file' : status.isDirectory() ? 'directory' : 'other';
    return { kind, bytes: status.size };
  },

  list(directory) {
    return readdirSync(directory);
  },

  isDirectory(path) {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory();
  },

  makeDirectory(path) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const parent = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(parent);
    } finally {
      closeSync(parent);
    }
  },

  openDirectory(path) {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  },

  closeDirectory(handle) {
    closeSync(handle);
  },

  readFile(path, length) {
    if (length === undefined) return readFileSync(path);
    const bytes = new Uint8Array(length);
    const handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      let done = 0;
      while (done < length) {
        const read = readSync(handle, bytes, done, length - done, done);
        if (read === 0) break;
        done += read;
      }
      return bytes.subarray(0, done);
    } finally {
      closeSync(handle);
    }
  },

  remove(path) {
    unlinkSync(path);
  },

  lock(path) {
    const { descriptor, holder } = native.lockFile(path);
    if (descriptor < 0) return holder;
    return { release: () => native.closeDescriptor(descriptor) };
  },

  supportsDirectIo(directory) {
    const lockFile = join(directory, 'LOCK');
    const alignment = native.directAlignment(lockFile);
    if (alignment.memory > PAGE_BYTES || alignment.offset > PAGE_BYTES) return false;
    try {
      closeSync(openSync(lockFile, constants.O_RDONLY | constants.O_DIRECT));
      return true;
    } catch (error) {
      // EINVAL is how a file system says that it has no O_DIRECT; anything else will be met again and reported then.
      return (error as NodeJS.ErrnoException).code !== 'EINVAL';
    }
  },
};
