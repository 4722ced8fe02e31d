/**
 * A file system on a disk that can be told to fail: device-mapper's flakey under it, or nothing. Only inside of the virtual
 * machine.
 */
import { constants, closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import {
  makeFileSystem,
  MappedDevice,
  runInMachine,
  sectorsOf,
  unmount,
  type FileSystemKind,
} from './devices.ts';

/** What fails from a moment on, with EIO: every write and flush, every read, or all of them. */
export const FAULTS = ['writes', 'reads', 'everything'] as const;
export type Fault = (typeof FAULTS)[number];

const FEATURES = { writes: ' 1 error_writes', reads: ' 1 error_reads', everything: '' };
/** Seconds that it works, and that it fails: never and for longer than any test takes. */
const INTERVALS = '0 3600';
const CANARY = 'canary';
const CANARY_BYTES = 4096;

/** Whether this kernel's flakey can fail reads and nothing else (since Linux 6.5). */
export function canFailReads(disk: string): boolean {
  try {
    new MappedDevice('probe', sectorsOf(disk), `flakey ${disk} 0 ${INTERVALS}${FEATURES.reads}`).remove();
    return true;
  } catch (error) {
    if (!/Invalid argument/.test(String(error))) throw error;
    // What was begun of it may still be there: that depends on the dmsetup.
    const names = runInMachine('dmsetup', 'info', '-c', '--noheadings', '-o', 'name').split('\n');
    if (names.includes('probe')) runInMachine('dmsetup', 'remove', '--noudevrules', '--noudevsync', 'probe');
    return false;
  }
}

export class FailingStage {
  readonly directory: string;
  readonly #disk: string;
  readonly #kind: FileSystemKind;
  readonly #mount: string;
  readonly #device: MappedDevice;
  readonly #block = alignedSharedMemory(65_536).subarray(0, CANARY_BYTES);

  constructor(kind: FileSystemKind, disk: string, mount: string) {
    this.#kind = kind;
    this.#disk = disk;
    this.#mount = mount;
    this.directory = join(mount, 'database');
    makeFileSystem(kind, disk);
    this.#device = new MappedDevice('failing', sectorsOf(disk), `linear ${disk} 0`);
    this.#mountIt();
    writeFileSync(join(mount, CANARY), Buffer.alloc(CANARY_BYTES), { flush: true });
  }

  fail(fault: Fault): void {
    this.#device.become(`flakey ${this.#disk} 0 ${INTERVALS}${FEATURES[fault]}`);
  }

  heal(): void {
    this.#device.become(`linear ${this.#disk} 0`);
  }

  /**
   * What comes after a disk that failed: the file system is given up, the disk is well, the file system is mounted. In
   * this order: ext4 (Linux 6.12) marks itself clean if it is unmounted once its disk is well again, although what it
   * had committed to its journal could not be written to its place before, and the journal is then thrown away.
   * REQUIRES: nothing is open.
   */
  remountHealed(): void {
    this.fail('writes');
    unmount(this.#mount);
    this.heal();
    this.#mountIt();
  }

  /** Whether the file system still lets anybody read: one that cannot write its own log may refuse that as well. */
  canRead(): boolean {
    let descriptor: number | undefined;
    try {
      descriptor = openSync(join(this.#mount, CANARY), constants.O_RDONLY | constants.O_DIRECT);
      return readSync(descriptor, this.#block, 0, CANARY_BYTES, 0) === CANARY_BYTES;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
      return false;
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  remove(): void {
    unmount(this.#mount);
    this.#device.remove();
  }

  #mountIt(): void {
    runInMachine('mkdir', '-p', this.#mount);
    runInMachine('mount', '-t', this.#kind, this.#device.path, this.#mount);
  }
}
