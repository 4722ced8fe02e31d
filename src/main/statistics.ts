/** What `stats()` gives. Owner only. */
import { must } from '../assert.ts';
import { native } from '../native.ts';
import { ROLE_IDS, ROLE_NAMES, type RoleName } from '../protocol/requests.ts';
import { readCounters, type RingCounters } from '../protocol/ring-statistics.ts';
import type { RingDescription } from '../protocol/ring-thread-task.ts';
import type { CacheStatistics } from './block-cache.ts';
import type { Engine } from './engine.ts';
import type { FilterStatistics } from './point-reader.ts';
import type { ReadAheadStatistics } from './read-ahead.ts';
import type { CompactionStatistics } from './compactor.ts';
import { polledCompletions, storageStatistics, type StorageStatistics } from './settled-settings.ts';
import type { TableFilesStatistics } from './table-files.ts';
import type { StallStatistics } from './write-stalls.ts';
import type { ThrottleReason } from './write-throttle.ts';

export interface RingStatistics extends RingDescription, RingCounters {
  readonly role: RoleName;
}

export interface LevelStatistics {
  readonly level: number;
  readonly tables: number;
  readonly bytes: number;
  readonly entries: number;
}

export interface DatabaseStats {
  /** The backend that all rings have, or 'mixed'. */
  readonly backend: RingDescription['backend'] | 'mixed';
  /** Why a ring has not the backend that was asked for first; null when all have. */
  readonly backendReason: string | null;
  /** Whether tables, logs and the manifest are opened with O_DIRECT. */
  readonly directIo: boolean;
  /**
   * Whether completions of reads and of the log's writes are polled for (`io.iopoll`), unless the disk refuses it after all:
   * then `polledOperations` of a ring stands still.
   */
  readonly iopoll: boolean;
  /** Why they are not although it was asked for, or null. */
  readonly iopollRefusal: string | null;
  /** Disks and file system below the database, and what came of settings that depend on them. */
  readonly storage: StorageStatistics;
  /** Implementation of CRC-32C. */
  readonly checksum: string;
  /** Whether the ring threads were handed on by a database that had been closed. */
  readonly crewAdopted: boolean;
  readonly rings: readonly RingStatistics[];
  /** The calling thread's own (`io.callerRing`); null where there is none, and why. */
  readonly callerRing: (RingDescription & RingCounters) | null;
  readonly callerRingRefusal: string | null;
  readonly lastSequence: number;
  /** Every write up to it survives a crash. */
  readonly durableSequence: number;
  readonly memtables: {
    readonly activeEntries: number;
    readonly activeBytes: number;
    /** Frozen, waiting for their flush. */
    readonly frozen: number;
  };
  readonly levels: readonly LevelStatistics[];
  /** Memory of indexes, filters and cache directories, in bytes. */
  readonly tableMemoryBytes: number;
  readonly tableFiles: TableFilesStatistics;
  readonly cache: CacheStatistics;
  readonly filters: FilterStatistics;
  readonly readAhead: ReadAheadStatistics;
  readonly readers: {
    /** Iterators that are open. */
    readonly iterators: number;
    /** Snapshots that are open. */
    readonly snapshots: number;
    /** The oldest sequence number that is read at: what it sees is kept. Null when there is none. */
    readonly oldestSequence: number | null;
  };
  readonly log: {
    readonly active: string;
    readonly live: number;
    /** Files that come next, with one that is on its way, and those that are to be used again. */
    readonly prepared: number;
    readonly recyclable: number;
    readonly created: number;
    readonly recycled: number;
    readonly frames: number;
    readonly records: number;
    readonly bytes: number;
  };
  readonly flushes: { readonly flushes: number; readonly bytesWritten: number };
  readonly writes: {
    /** Writes that wait for room now. */
    readonly waiting: number;
    /** Writes that had to wait. */
    readonly stalls: number;
    /** What writes waited for, how often and how long. */
    readonly stalled: StallStatistics;
    /** 0: writes go as they come; 1: they wait for compactions or flushes; between: they are slowed down. */
    readonly pressure: number;
    /** What has piled up; null while there is no pressure. */
    readonly pressureReason: ThrottleReason | null;
  };
  readonly compactions: CompactionStatistics;
  readonly amplification: {
    /** Bytes that flushes and compactions wrote for each byte that was flushed; 0: nothing was. */
    readonly write: number;
    /** Tables that a get may have to look at. */
    readonly read: number;
    /** Bytes of all tables for each byte in the lowest level that has any, which is close to what is live. */
    readonly space: number;
  };
  readonly recovery: {
    /** Records that were read from logs when the database was opened. */
    readonly replayedRecords: number;
    /** Frames at a log's end that a crash had cut short, and their bytes: never acknowledged, so not missing. */
    readonly tornFrames: number;
    readonly tornBytes: number;
  };
  /** Why the database takes no more writes; null while it does. */
  readonly failure: string | null;
}

export function collectStats(engine: Engine): DatabaseStats {
  const { holdings, recovered } = engine.ground;
  const { crew } = holdings;
  const rings = ROLE_IDS.map((role) => ({
    role: ROLE_NAMES[role],
    ...crew.rings[role],
    ...readCounters(crew.statistics[role]),
  }));
  const polled = polledCompletions(engine.storage, crew.rings);
  const backends = new Set(rings.map(({ backend }) => backend));
  const { tables } = engine.versions.current;
  const { active, frozen } = engine.memtables;
  return {
    backend: backends.size === 1 ? rings[0].backend : 'mixed',
    backendReason: rings.find(({ reason }) => reason !== null)?.reason ?? null,
    directIo: engine.storage.directIo,
    iopoll: polled.polls,
    iopollRefusal: polled.refusal,
    storage: storageStatistics({
      settings: engine.ground.settings,
      use: engine.storage,
      rings: crew.rings,
      pool: crew.memory.pool,
    }),
    checksum: native.crc32cImplementation,
    crewAdopted: crew.adopted,
    rings,
    callerRing:
      crew.callerRing === undefined
        ? null
        : { ...crew.callerRing.describe(), ...readCounters(crew.callerRing.statistics) },
    callerRingRefusal: crew.callerRingRefusal,
    lastSequence: engine.writes.lastSequence,
    durableSequence: engine.writer.durableSequence,
    memtables: { activeEntries: active.entries, activeBytes: active.usedBytes, frozen: frozen.length },
    levels: levelsOf(engine),
    tableMemoryBytes: tables.reduce((bytes, table) => bytes + table.memoryBytes, 0),
    tableFiles: engine.files.statistics(),
    cache: engine.cache.statistics(),
    filters: engine.reader.statistics(),
    readAhead: engine.readAhead.statistics(),
    readers: {
      iterators: engine.scans.size,
      snapshots: engine.snapshots.size - engine.scans.size,
      oldestSequence: engine.snapshots.sequences[0] ?? null,
    },
    log: { ...engine.logs.statistics(), ...engine.writer.statistics() },
    flushes: engine.flusher.statistics(),
    writes: {
      waiting: engine.writes.waiting,
      ...engine.writes.statistics(),
      pressure: engine.throttle.pressure,
      pressureReason: engine.throttle.pressure > 0 ? engine.throttle.reason : null,
    },
    compactions: engine.compactor.statistics(),
    amplification: amplificationOf(engine),
    recovery: {
      replayedRecords: engine.replayedRecords,
      tornFrames: recovered.tornFrames,
      tornBytes: recovered.tornBytes,
    },
    failure: engine.failure?.message ?? null,
  };
}

function amplificationOf(engine: Engine): DatabaseStats['amplification'] {
  const { current } = engine.versions;
  const { bytesWritten: flushed } = engine.flusher.statistics();
  const { bytesWritten: compacted } = engine.compactor.statistics();
  const levels = levelsOf(engine);
  const bytes = levels.reduce((sum, level) => sum + level.bytes, 0);
  return {
    write: flushed === 0 ? 0 : (flushed + compacted) / flushed,
    read: current.placeCount,
    space: bytes === 0 ? 1 : bytes / must(levels.at(-1), 'bytes are in a level').bytes,
  };
}

function levelsOf({ versions }: Engine): LevelStatistics[] {
  const levels = new Map<number, LevelStatistics>();
  for (const { description } of versions.current.tables) {
    const { level, fileBytes, entries } = description;
    const before = levels.get(level) ?? { level, tables: 0, bytes: 0, entries: 0 };
    levels.set(level, {
      level,
      tables: before.tables + 1,
      bytes: before.bytes + fileBytes,
      entries: before.entries + entries,
    });
  }
  return [...levels.values()].sort((a, b) => a.level - b.level);
}
