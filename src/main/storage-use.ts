/** How the storage below a directory is used, and why. Owner only. */
import type { Storage } from './block-device.ts';
import type { FileSystem } from './file-system.ts';
import type { Settings } from './options.ts';

export interface StorageUse {
  /** Tables, logs and the manifest are opened with O_DIRECT. */
  readonly directIo: boolean;
  /** Completions of reads of blocks and of writes of the log are polled for up to so many bytes; 0: never. */
  readonly polledBytesMax: number;
  /** Why they are not although it was asked for; null where they are, or nobody asked. */
  readonly pollingRefusal: string | null;
  /** What lies below, looked at when it is first asked for. */
  describe(): Storage;
}

/** For what takes longer than this a wake-up is little. */
const POLLED_BYTES_MAX = 256 * 1024;

type IoSettings = Settings['io'];

/** Throws what looking at the directory's files throws. */
export function storageUseOf(directory: string, io: IoSettings, fileSystem: FileSystem): StorageUse {
  let found: Storage | undefined;
  const describe = (): Storage => (found ??= storageOf(directory, fileSystem));
  const directIo = io.direct === 'auto' ? fileSystem.supportsDirectIo(directory) : io.direct;
  if (!io.pollsCompletions) return { directIo, polledBytesMax: 0, pollingRefusal: null, describe };
  const pollingRefusal = directIo ? refusalOf(describe()) : 'files are not opened with O_DIRECT';
  const polledBytesMax = pollingRefusal === null ? requestBytesMax(describe()) : 0;
  return { directIo, polledBytesMax, pollingRefusal, describe };
}

/** A directory that went away below an open database is no reason not to say the rest. */
function storageOf(directory: string, fileSystem: FileSystem): Storage {
  try {
    return fileSystem.describeStorage(directory);
  } catch (error) {
    const gap = error instanceof Error ? error.message : String(error);
    return { directory, fileSystem: undefined, layers: [], disks: [], gap };
  }
}

/** One that had to be split would wait for ever where polling implies that it must not block (Linux 6.1). */
function requestBytesMax({ layers }: Storage): number {
  return Math.min(POLLED_BYTES_MAX, ...layers.map(({ requestBytesMax: bytes }) => bytes ?? 0));
}

function refusalOf({ layers, disks, gap }: Storage): string | null {
  const [disk] = disks;
  if (disk === undefined) return gap ?? 'no disk is known below the directory';
  const without = disks.find(({ polls }) => polls !== true);
  if (without !== undefined) {
    return `${without.name} has no queues that can be polled: /sys/block/${without.name}/queue/io_poll is not 1`;
  }
  const silent = layers.find(({ requestBytesMax: bytes }) => bytes === undefined);
  if (silent !== undefined) return `${silent.name} does not say how much it takes in one request`;
  const split = layers.find(({ splitsAtBytes }) => splitsAtBytes !== 0);
  if (split !== undefined) {
    return `${split.name} may split what is read or written, which cannot be polled for: /sys/block/${split.name}/queue/chunk_sectors is not 0`;
  }
  return gap ?? null;
}
