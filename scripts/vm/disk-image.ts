/**
 * Disk images: ext4 made from a folder, without mounting anything, and empty ones, which take no room until written to.
 *
 * The one that the machine boots from has a partition table, because a kernel without an initial file system of its own
 * finds a root by name only where one says it: in the signature of the classic table (the MBR).
 *
 *       0  nothing
 *     440  u32 signature
 *     446  the first partition: u8 flags, 3 bytes unused, u8 type, 3 bytes unused, u32 first sector, u32 sectors
 *     510  55 AA
 */
import { closeSync, ftruncateSync, lstatSync, openSync, readdirSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './commands.ts';

const MEBIBYTE = 1024 * 1024;
const BLOCK_BYTES = 4096;
const SECTOR_BYTES = 512;
const SIGNATURE = 0x71756164;
const TYPE_LINUX = 0x83;
/** What the kernel calls the partition that a bootable image has. */
export const ROOT_PARTITION = `${SIGNATURE.toString(16)}-01`;
/** What the file system itself takes, beside what it holds. */
const OVERHEAD_BYTES = 16 * MEBIBYTE;
const OVERHEAD_FRACTION = 0.1;

/**
 * A file system without a journal, since nothing is written to it, that appears under its name when it is complete.
 * `isBootable`: in a partition.
 */
export function makeImageOf(folder: string, image: string, { isBootable = false } = {}): void {
  const { bytes, files } = measure(folder);
  const size = Math.ceil((bytes * (1 + OVERHEAD_FRACTION) + OVERHEAD_BYTES) / MEBIBYTE) * MEBIBYTE;
  const start = isBootable ? MEBIBYTE : 0;
  const partial = `${image}.partial`;
  makeEmptyDisk(partial, start + size);
  if (isBootable) writePartitionTable(partial, start, size);
  const inodes = Math.ceil(files * (1 + OVERHEAD_FRACTION)) + 64;
  const extended = ['-E', `root_owner=0:0,offset=${start}`];
  const features = [
    '-O',
    '^has_journal',
    '-m',
    '0',
    '-b',
    String(BLOCK_BYTES),
    '-N',
    String(inodes),
    ...extended,
  ];
  run('mke2fs', ['-q', '-F', '-t', 'ext4', ...features, '-d', folder, partial, String(size / BLOCK_BYTES)]);
  renameSync(partial, image);
}

function writePartitionTable(path: string, start: number, size: number): void {
  const table = Buffer.alloc(SECTOR_BYTES);
  table.writeUInt32LE(SIGNATURE, 440);
  table.writeUInt8(TYPE_LINUX, 446 + 4);
  table.writeUInt32LE(start / SECTOR_BYTES, 446 + 8);
  table.writeUInt32LE(size / SECTOR_BYTES, 446 + 12);
  table.writeUInt16BE(0x55aa, 510);
  const descriptor = openSync(path, 'r+');
  try {
    writeSync(descriptor, table, 0, table.length, 0);
  } finally {
    closeSync(descriptor);
  }
}

export function makeEmptyDisk(path: string, bytes: number): void {
  const descriptor = openSync(path, 'w');
  try {
    ftruncateSync(descriptor, bytes);
  } finally {
    closeSync(descriptor);
  }
}

function measure(folder: string): { bytes: number; files: number } {
  let bytes = 0;
  let files = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    files++;
    bytes += Math.ceil(lstatSync(join(folder, name)).size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return { bytes, files };
}
