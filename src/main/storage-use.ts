/** How the storage below a directory is used, and why. Owner only. */
import type { FileSystem } from './file-system.ts';
import type { Settings } from './options.ts';

export interface StorageUse {
  /** Tables, logs and the manifest are opened with O_DIRECT. */
  readonly directIo: boolean;
  /** Completions of reads of blocks and of writes of the log are polled for. */
  readonly polls: boolean;
  /** Why they are not although it was asked for; null where they are, or nobody asked. */
  readonly pollingRefusal: string | null;
}

type IoSettings = Settings['io'];

/** Throws what looking at the directory's files throws. */
export function storageUseOf(directory: string, io: IoSettings, fileSystem: FileSystem): StorageUse {
  const directIo = io.direct === 'auto' ? fileSystem.supportsDirectIo(directory) : io.direct;
  if (!io.pollsCompletions) return { directIo, polls: false, pollingRefusal: null };
  const pollingRefusal = directIo ? refusalOf(directory, fileSystem) : 'files are not opened with O_DIRECT';
  return { directIo, polls: pollingRefusal === null, pollingRefusal };
}

function refusalOf(directory: string, fileSystem: FileSystem): string | null {
  const { disks, gap } = fileSystem.describeStorage(directory);
  const [disk] = disks;
  if (disk === undefined) return gap ?? 'no disk is known below the directory';
  const without = disks.find(({ polls }) => polls !== true);
  if (without !== undefined) {
    return `${without.name} has no queues that can be polled: /sys/block/${without.name}/queue/io_poll is not 1`;
  }
  return gap ?? null;
}
