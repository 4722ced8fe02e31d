/**
 * The seam `RepairFiles`: what a repair writes, and the implementation over Node's own calls. Owner only.
 *
 * A repair has the directory to itself and no ring: plain calls, each of which has happened when it returns, and fsync where
 * something must be durable before the next. Nothing here writes into a file that was there before.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';

export interface WritableFile {
  /** Appends all of it. */
  write(bytes: Uint8Array): void;
  /** What was written is durable when it returns; the file's name is not. */
  sync(): void;
  close(): void;
}

export interface RepairFiles {
  /** Mode 0700. Throws where there is something of that name. */
  makeDirectory(path: string): void;
  /** A new file, mode 0600. Throws where there is something of that name. */
  create(path: string): WritableFile;
  /** Another name for the same file. */
  link(existing: string, path: string): void;
  /** Replaces what has the name `to`. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** The names in it are durable when it returns. */
  syncDirectory(path: string): void;
}

const CREATING = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

export const nodeRepairFiles: RepairFiles = {
  makeDirectory(path) {
    mkdirSync(path, { mode: 0o700 });
  },

  create(path) {
    const handle = openSync(path, CREATING, 0o600);
    return {
      write(bytes) {
        for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done);
      },
      sync: () => fsyncSync(handle),
      close: () => closeSync(handle),
    };
  },

  link: linkSync,
  rename: renameSync,
  remove: unlinkSync,

  syncDirectory(path) {
    const handle = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  },
};
