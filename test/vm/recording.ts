/**
 * A recording: a process of the kill test writes to a database on a device under dm-log-writes, is killed after a while,
 * and what the log and the pipe have of it is put together. Only inside of the virtual machine.
 */
import { closeSync, constants, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../../src/assert.ts';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import type { KillChildTask } from '../support/kill-child.ts';
import { clockAim } from '../support/kill-aim.ts';
import { liveAndDie } from '../support/kill-child-process.ts';
import type { KillRecord } from '../support/kill-protocol.ts';
import { MappedDevice, readAt, sectorsOf, whileMounted, type FileSystemKind } from './devices.ts';
import { replayable } from './disk-states.ts';
import { decodeMarker, encodeMarker, MARKER_BYTES, type Chapter } from './history.ts';
import { FLAG_FUA, hasData, readEntries, type LogEntry } from './log-writes.ts';
import { copyWritten } from './replay.ts';

/** The recorded device, one that has the same, the one that has the log, and where the file system is mounted. */
export interface RecordingPlaces {
  readonly data: string;
  readonly copy: string;
  readonly log: string;
  readonly mount: string;
}

export interface RecordingTask {
  readonly fileSystem: FileSystemKind;
  readonly mountOptions: string;
  /** Tells its markers from those that an earlier recording has left on the disk. */
  readonly number: number;
  /** Within the file system. */
  readonly databaseName: string;
  /** A database that is there already is removed first. */
  readonly isFresh: boolean;
  readonly child: Omit<KillChildTask, 'directory' | 'scratch'>;
  readonly killAfterMs: number;
}

export interface Recording {
  readonly chapter: Chapter;
  /** The log, and as much of it as can be replayed. */
  readonly all: readonly LogEntry[];
  readonly entries: readonly LogEntry[];
  /** Indexes of entries that are markers, and the records that each vouches for; ascending. */
  readonly markers: ReadonlyMap<number, number>;
}

const MARKER_FILE = 'marker';
const SCRATCH = '/tmp/scratch';
/** Until a child has done what it is killed for: emulated, and on a busy machine, it starts slowly. */
const START_MS_MAX = 180_000;

export async function record(places: RecordingPlaces, task: RecordingTask): Promise<Recording> {
  // The file system's own recovery, and what makes ready for the process, are not recorded: the power goes later. What
  // they wrote is looked up all the same, so that the copy has it.
  const preparation = await underLog(places, (device) => prepare(device, places, task));
  copyWritten(preparation, places.data, places.copy);
  const records: KillRecord[] = [];
  const all = await underLog(places, (device) =>
    whileMounted(
      task.fileSystem,
      device,
      places.mount,
      () => liveUnderMarkers(places.mount, task, records),
      task.mountOptions,
    ),
  );
  const entries = all.slice(0, replayable(all));
  const log = openSync(places.log, 'r');
  try {
    const { kind, workload, seed } = task.child;
    const chapter = { workload: kind === 'write' ? { seed, kind: workload } : undefined, records };
    return { chapter, all, entries, markers: findMarkers(log, entries, task.number) };
  } finally {
    closeSync(log);
  }
}

/** What was written while `use` ran. */
async function underLog(
  { data, log }: RecordingPlaces,
  use: (device: string) => Promise<void>,
): Promise<LogEntry[]> {
  const device = new MappedDevice('recorded', sectorsOf(data), `log-writes ${data} ${log}`);
  try {
    await use(device.path);
  } finally {
    // The log has its end when the target is gone.
    device.remove();
  }
  const descriptor = openSync(log, 'r');
  try {
    return readEntries((offset, length) => readAt(descriptor, offset, length));
  } finally {
    closeSync(descriptor);
  }
}

async function prepare(device: string, places: RecordingPlaces, task: RecordingTask): Promise<void> {
  await whileMounted(task.fileSystem, device, places.mount, () => {
    const directory = join(places.mount, task.databaseName);
    if (task.isFresh) rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    // Written through, so that writing over it changes nothing but its block.
    writeFileSync(join(places.mount, MARKER_FILE), Buffer.alloc(MARKER_BYTES), { flush: true });
    return Promise.resolve();
  });
}

async function liveUnderMarkers(mount: string, task: RecordingTask, records: KillRecord[]): Promise<void> {
  const directory = join(mount, task.databaseName);
  const marker = new MarkerFile(join(mount, MARKER_FILE), task.number);
  try {
    // From here on the power may go.
    marker.write(0);
    let isDue = false;
    const note = (one: KillRecord): void => {
      records.push(one);
      if (isDue) return;
      isDue = true;
      // One marker for all records that came in one piece.
      setImmediate(() => {
        isDue = false;
        marker.write(records.length);
      });
    };
    const child = { ...task.child, directory, scratch: SCRATCH };
    await liveAndDie(child, clockAim(task.killAfterMs), note, task.killAfterMs + START_MS_MAX);
    marker.write(records.length);
  } finally {
    marker.close();
  }
}

/** A file of one block that is overwritten in place, so that each write is one FUA write and nothing else. */
class MarkerFile {
  readonly #descriptor: number;
  readonly #recording: number;
  /** Aligned, as O_DIRECT asks for. */
  readonly #block = alignedSharedMemory(65_536).subarray(0, MARKER_BYTES);

  constructor(path: string, recording: number) {
    const { O_DIRECT, O_DSYNC, O_WRONLY } = constants;
    this.#recording = recording;
    this.#descriptor = openSync(path, O_DIRECT | O_DSYNC | O_WRONLY);
  }

  write(records: number): void {
    encodeMarker(this.#block, this.#recording, records);
    const written = writeSync(this.#descriptor, this.#block, 0, MARKER_BYTES, 0);
    if (written !== MARKER_BYTES) throw new Error(`only ${written} bytes of a marker were written`);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function findMarkers(log: number, entries: readonly LogEntry[], recording: number): Map<number, number> {
  const markers = new Map<number, number>();
  for (const [i, entry] of entries.entries()) {
    if ((entry.flags & FLAG_FUA) === 0 || entry.length !== MARKER_BYTES || !hasData(entry)) continue;
    const records = decodeMarker(readAt(log, entry.dataAt, MARKER_BYTES), recording);
    if (records !== undefined) markers.set(i, records);
  }
  if (markers.size === 0) throw new Error('the log has no marker: they were not written as FUA writes');
  return markers;
}

/** The last marker before a position, and the records that it vouches for. */
export function vouchedFor({ markers }: Recording, position: number): number {
  const [, records] = must(
    [...markers].findLast(([index]) => index < position),
    'cuts come behind the first marker',
  );
  return records;
}
