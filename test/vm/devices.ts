/**
 * Disks of the virtual machine, what device-mapper makes of them, and file systems on them. Only inside of the machine:
 * everything here asks for root and changes what the disks hold.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readSync, realpathSync, writeSync } from 'node:fs';
import { basename } from 'node:path';

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const;
export type FileSystemKind = (typeof FILE_SYSTEMS)[number];

/** No command that is run here takes as long, emulated and on a busy machine. */
const RUN_MS_MAX = 120_000;
const SECTOR_BYTES = 512;
/**
 * How often unmounting is tried: what a process had open in its rings' tables when it was killed is closed by the kernel only
 * afterwards, some 30 ms later, emulated more. Nobody tells when.
 */
const UNMOUNTS_MAX = 200;
const UNMOUNT_AGAIN_MS = 25;

/** Throws with what the command said when it fails. */
export function runInMachine(command: string, ...commandArguments: string[]): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, commandArguments, {
    encoding: 'utf8',
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
  });
  if (status === 0) return stdout;
  const end = error?.message ?? `ended with ${status ?? signal}`;
  throw new Error(`${[command, ...commandArguments].join(' ')}: ${end}\n${stdout}${stderr}`.trimEnd());
}

/** Only says when it fails. */
function anyway(act: () => void): void {
  try {
    act();
  } catch (error) {
    console.error(error);
  }
}

export function sectorsOf(device: string): number {
  return Number(readFileSync(`/sys/class/block/${basename(realpathSync(device))}/size`, 'utf8'));
}

export function bytesOf(device: string): number {
  return sectorsOf(device) * SECTOR_BYTES;
}

export function makeFileSystem(kind: FileSystemKind, device: string): void {
  // Without discards: the disk is empty, or it does not matter what it has.
  if (kind === 'ext4') runInMachine('mke2fs', '-q', '-F', '-t', 'ext4', '-E', 'nodiscard', device);
  else runInMachine('mkfs.xfs', '-q', '-f', '-K', device);
}

/** A device of device-mapper's, of one target over its whole length. */
export class MappedDevice {
  readonly path: string;
  readonly #name: string;
  readonly #sectors: number;

  /** `target`: its kind and what comes behind that in a table, e.g. 'linear /dev/disk/data 0'. */
  constructor(name: string, sectors: number, target: string) {
    this.#name = name;
    this.#sectors = sectors;
    // There is nobody from udev to wait for, or to make names of it below /dev/mapper: the kernel's own has to do.
    dmsetup('create', name, '--noudevrules', '--noudevsync', '--table', `0 ${sectors} ${target}`);
    this.path = `/dev/dm-${dmsetup('info', '-c', '--noheadings', '-o', 'minor', name).trim()}`;
  }

  /** From now on another target. What is under way is carried out by the one before; the file system is not told. */
  become(target: string): void {
    dmsetup('suspend', '--noflush', '--nolockfs', this.#name);
    dmsetup('load', this.#name, '--table', `0 ${this.#sectors} ${target}`);
    dmsetup('resume', '--noudevrules', '--noudevsync', this.#name);
  }

  remove(): void {
    dmsetup('remove', '--noudevrules', '--noudevsync', this.#name);
  }

  /** The same where something has gone wrong already: says so when the device is still in use. */
  abandon(): void {
    anyway(() => {
      this.remove();
    });
  }
}

function dmsetup(...dmsetupArguments: string[]): string {
  return runInMachine('dmsetup', ...dmsetupArguments);
}

/** Waits, within a bound, until nobody has a file open there. */
export function unmount(place: string): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 1; ; attempt++) {
    try {
      runInMachine('umount', place);
      return;
    } catch (error) {
      if (attempt === UNMOUNTS_MAX || !String(error).includes('busy')) throw error;
    }
    Atomics.wait(never, 0, 0, UNMOUNT_AGAIN_MS);
  }
}

/** Mounts while `use` runs; unmounts whatever comes of it. */
export async function whileMounted<T>(
  kind: FileSystemKind,
  device: string,
  place: string,
  use: () => Promise<T>,
  options = 'rw',
): Promise<T> {
  mkdirSync(place, { recursive: true });
  runInMachine('mount', '-t', kind, '-o', options, device, place);
  let result: T;
  try {
    result = await use();
  } catch (error) {
    // What went wrong first is what is to be heard of.
    anyway(() => unmount(place));
    throw error;
  }
  unmount(place);
  return result;
}

/** Fewer bytes only where the device ends. */
export function readAt(descriptor: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const read = readSync(descriptor, bytes, done, length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return bytes.subarray(0, done);
}

export function writeAt(descriptor: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, offset + done);
  }
}
