/**
 * The seam `FileSystem`: what open and recovery do to a directory before any ring runs, and what verification and repair
 * read, with the implementation over Node's own calls. Owner only. Everything that an open database must have durable goes
 * through a ring instead; what a repair writes goes through repair-files.ts.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { native } from '../native.ts';
import { describeStorage, type Storage } from './block-device.ts';

export interface FileStatus {
  readonly kind: 'file' | 'directory' | 'other';
  readonly bytes: number;
  /** It has another name, here or elsewhere: what is written into it changes that as well. */
  readonly isShared: boolean;
  /** It takes less space than its length: writing it over may find none. */
  readonly hasHoles: boolean;
}

export interface DirectoryLock {
  /** False: the file system knows no lock that could be taken. */
  readonly isHeld: boolean;
  release(): void;
}

/** A regular file that is open to be read in pieces. */
export interface ReadableFile {
  readonly bytes: number;
  /** Fills as much of `target` as the file has from `offset` on, and returns how much that is. */
  read(target: Uint8Array, offset: number): number;
  close(): void;
}

/**
 * What a lock is taken for. 'open': the lock file is made if it is not there, and names this process from then on. 'look': it
 * is there, and says again what it said before when the lock is released. 'bare': it is not there, and not made.
 */
export type LockUse = 'open' | 'look' | 'bare';

export interface FileSystem {
  /** Undefined if there is nothing at the path. Symbolic links are not followed: 'other'. */
  status(path: string): FileStatus | undefined;
  /** Whether the path, or what a symbolic link there leads to, is a directory; undefined if there is nothing. */
  isDirectory(path: string): boolean | undefined;
  list(directory: string): string[];
  /**
   * Makes a directory, mode 0700, unless it is there, and its name durable, where that may be done of one that was there. Its
   * parent must exist.
   */
  makeDirectory(path: string): void;
  /** A handle that ring records can name files by. */
  openDirectory(path: string): number;
  closeDirectory(handle: number): void;
  /** Bytes of a file from `offset` on, `length` of them or as many as there are. */
  read(path: string, offset: number, length: number): Uint8Array;
  /** Throws where there is no regular file; follows no link and waits for nobody, whatever is there. */
  openFile(path: string): ReadableFile;
  remove(path: string): void;
  /** A lock of the directory that the lock file lies in, or the pid of who holds it (0 where it is not known). */
  lock(path: string, use: LockUse): DirectoryLock | number;
  /** Whether O_DIRECT with pages of 4 KiB works in the directory. */
  supportsDirectIo(directory: string): boolean;
  /** The disks below the directory. */
  describeStorage(directory: string): Storage;
}

const PAGE_BYTES = 4096;
/** What `st_blocks` counts in, whatever the file system's blocks are. */
const STATUS_BLOCK_BYTES = 512;
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** A lock file holds a number; what is longer is none, and is not put back. */
const LOCK_TEXT_BYTES_MAX = 64;
/** Of the folder above one that somebody made for us: not ours to read, or, above a mount, of a kind that is never written. */
const UNSYNCABLE = new Set(['EACCES', 'EPERM', 'EINVAL', 'EROFS']);
/** In place of the descriptor of a lock that somebody else has. */
const HELD = -1;
const RESTORING = constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW;

export const nodeFileSystem: FileSystem = {
  status(path) {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    const kind = status.isFile() ? 'file' : status.isDirectory() ? 'directory' : 'other';
    const hasHoles = status.blocks * STATUS_BLOCK_BYTES < status.size;
    return { kind, bytes: status.size, isShared: status.nlink > 1, hasHoles };
  },

  list(directory) {
    return readdirSync(directory);
  },

  isDirectory(path) {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory();
  },

  makeDirectory(path) {
    const isNew = statSync(path, { throwIfNoEntry: false }) === undefined;
    try {
      if (isNew) {
        requireFromMask(DIRECTORY_MODE, path);
        mkdirSync(path, { mode: DIRECTORY_MODE });
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    try {
      syncNames(dirname(path));
    } catch (error) {
      if (isNew || !UNSYNCABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  },

  openDirectory(path) {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  },

  closeDirectory(handle) {
    closeSync(handle);
  },

  read(path, offset, length) {
    // Whatever is there now: neither a link is followed nor a pipe waited for.
    const handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { size } = fstatSync(handle);
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      return bytes.subarray(0, readInto(handle, bytes, offset));
    } finally {
      closeSync(handle);
    }
  },

  openFile(path) {
    // O_NONBLOCK: a pipe would wait for somebody to write.
    const handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = fstatSync(handle);
    if (!status.isFile()) {
      closeSync(handle);
      throw new QuadringError('NOT_A_DATABASE', `${path} is not a regular file`, { file: path });
    }
    return {
      bytes: status.size,
      read: (target, offset) => readInto(handle, target, offset),
      close: () => closeSync(handle),
    };
  },

  remove(path) {
    unlinkSync(path);
  },

  lock(path, use) {
    // The file names the holder. The directory is locked as well: whoever removes the file lets nobody in by that.
    const directory = native.lockDirectory(dirname(path))?.descriptor;
    if (directory === HELD) return use === 'bare' ? 0 : holderOf(path);
    const descriptors = directory === undefined ? [] : [directory];
    const letGo = (): void =>
      descriptors.splice(0).forEach((descriptor) => native.closeDescriptor(descriptor));
    if (use === 'bare') return { isHeld: descriptors.length > 0, release: letGo };
    try {
      requireFromMask(FILE_MODE, path);
      const restore = use === 'look' ? textOf(path) : undefined;
      const { descriptor, holder } = native.lockFile(path);
      if (descriptor === HELD) {
        letGo();
        return holder;
      }
      descriptors.push(descriptor);
      return {
        isHeld: true,
        release: () => {
          try {
            restore?.();
          } catch (error) {
            // It is for people, and whoever looked has found out what they wanted to know.
            if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
          } finally {
            letGo();
          }
        },
      };
    } catch (error) {
      letGo();
      throw error;
    }
  },

  describeStorage,

  supportsDirectIo(directory) {
    const lockFile = join(directory, 'LOCK');
    const alignment = native.directAlignment(lockFile);
    if (alignment.memory > PAGE_BYTES || alignment.offset > PAGE_BYTES) return false;
    try {
      closeSync(openSync(lockFile, constants.O_RDONLY | constants.O_DIRECT | constants.O_NOFOLLOW));
      return true;
    } catch (error) {
      // EINVAL is how a file system says that it has no O_DIRECT; anything else will be met again and reported then.
      return (error as NodeJS.ErrnoException).code !== 'EINVAL';
    }
  },
};

/** Makes the names in a directory durable. */
function syncNames(directory: string): void {
  const handle = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * What is made gets its mode less what the process's umask takes away. One that takes some of it from the owner would make
 * files that the next open cannot read; so it is refused before there are any.
 */
function requireFromMask(mode: number, path: string): void {
  const mask = processMask();
  if ((mask & mode) === 0) return;
  const message = `the umask 0${mask.toString(8)} takes from the owner what a database needs (0${mode.toString(8)})`;
  throw Object.assign(new Error(message), { code: 'EACCES', path });
}

/** 0 where the kernel does not say. Not `process.umask()`, which for a moment sets it to 0 to learn what it is. */
function processMask(): number {
  try {
    const status = readFileSync('/proc/self/status', 'latin1');
    return parseInt(/^Umask:\s*([0-7]+)$/m.exec(status)?.[1] ?? '0', 8);
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0;
    throw error;
  }
}

/** Reads until the target is full or the file ends. */
function readInto(handle: number, target: Uint8Array, offset: number): number {
  let done = 0;
  while (done < target.length) {
    const read = readSync(handle, target, done, target.length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

/**
 * Whether a file may have another name as well: then nothing may be written over it. One that the kernel does not let us
 * look at counts as such. Nothing is lost by that, since it is the name that goes then, and a new file is made.
 */
export function mayBeShared(fileSystem: FileSystem, path: string): boolean {
  try {
    return fileSystem.status(path)?.isShared === true;
  } catch {
    return true;
  }
}

/** The process that a lock file names; 0 where it names none. */
function holderOf(path: string): number {
  try {
    const file = nodeFileSystem.openFile(path);
    try {
      const text = new Uint8Array(LOCK_TEXT_BYTES_MAX);
      const [pid] =
        /^\d{1,10}(?=\n)/.exec(Buffer.from(text.buffer, 0, file.read(text, 0)).toString('latin1')) ?? [];
      return Number(pid ?? 0);
    } finally {
      file.close();
    }
  } catch {
    // It need not be there, nor be ours to read: the lock is held all the same.
    return 0;
  }
}

/** What puts a lock file's text and times back; undefined where it has none that a database wrote. */
function textOf(path: string): (() => void) | undefined {
  const file = nodeFileSystem.openFile(path);
  try {
    if (file.bytes > LOCK_TEXT_BYTES_MAX) return undefined;
    const { atimeMs, mtimeMs } = lstatSync(path);
    const text = new Uint8Array(file.bytes);
    const length = file.read(text, 0);
    return () => {
      const handle = openSync(path, RESTORING);
      try {
        writeSync(handle, text, 0, length);
        futimesSync(handle, atimeMs / 1000, mtimeMs / 1000);
      } finally {
        closeSync(handle);
      }
    };
  } finally {
    file.close();
  }
}
