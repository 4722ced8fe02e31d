/**
 * Whether a database's log is written through its ring with IOPOLL when dm-log-writes lies below it. Only inside of the
 * virtual machine. Power cuts of a database that had quietly stopped polling would say nothing of one that polls.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../../src/assert.ts';
import { Database, type DatabaseOptions } from '../../src/index.ts';
import { keyOf, valueOf } from '../support/values.ts';
import { MappedDevice, sectorsOf, whileMounted, type FileSystemKind } from './devices.ts';
import type { RecordingPlaces } from './recording.ts';

const PUTS = 20;
const VALUE_BYTES = 1000;

/** Throws unless all are. REQUIRES: there is a file system. */
export async function expectPolledLog(
  { data, log, mount }: RecordingPlaces,
  fileSystem: FileSystemKind,
  io: NonNullable<DatabaseOptions['io']>,
): Promise<void> {
  const device = new MappedDevice('probed', sectorsOf(data), `log-writes ${data} ${log}`);
  try {
    await whileMounted(fileSystem, device.path, mount, () => writePolled(join(mount, 'probe'), io));
  } finally {
    device.remove();
  }
}

async function writePolled(directory: string, io: NonNullable<DatabaseOptions['io']>): Promise<void> {
  mkdirSync(directory);
  const database = await Database.open(directory, { writeBufferBytes: 65_536, io });
  try {
    for (let i = 0; i < PUTS; i++) await database.put(keyOf(i), valueOf(VALUE_BYTES, i));
    const { iopollRefusal, rings } = database.stats();
    const { polledOperations } = must(
      rings.find(({ role }) => role === 'wal'),
      'each role has a ring',
    );
    // A ring that is refused once polls for nothing more.
    if (polledOperations >= PUTS) return;
    const why = iopollRefusal ?? 'the kernel refuses it (EOPNOTSUPP)';
    throw new Error(
      `over dm-log-writes ${polledOperations} of at least ${PUTS} writes of the log were polled for: ${why}`,
    );
  } finally {
    await database.close();
  }
}
