/**
 * What a directory lies on: its file system, and the disks below that, as the kernel describes them in /proc and /sys.
 * Owner only; nothing is opened but files of these two.
 *
 *     directory ─► mount ─► ext4 on dm-0 ─► nvme0n1p2 ─► nvme0n1      followed through device-mapper, md, partitions,
 *                           overlay ─► the directory it writes to     loop devices (to the file behind) and overlays
 *
 * Where it cannot be followed (a network, memory, a file system over several disks that does not say which, a container
 * that hides /sys) the description says so: nothing here is needed for a database to work.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { mountOf, type Mount } from './mounts.ts';

/** Layers that are followed at most: each is a device over another one, or a file system in a file of another one. */
const LAYERS_MAX = 16;
/** Nodes of the graph of devices that are looked at in all: an array of many disks ends there. */
const DEVICES_MAX = 64;
const KIBIBYTE = 1024;
const SECTOR_BYTES = 512;
/** Of memory; each may lie somewhere else. */
const PAGE_BYTES = 4096;

export type DeviceKind = 'nvme' | 'scsi' | 'virtio' | 'device-mapper' | 'md' | 'loop' | 'other';

export interface BlockDevice {
  /** The kernel's name, `nvme0n1` for example. */
  readonly name: string;
  readonly major: number;
  readonly minor: number;
  readonly kind: DeviceKind;
  /** It has queues whose completions are polled for: IOPOLL works. Undefined: the kernel does not say. */
  readonly polls: boolean | undefined;
  /** It keeps what was written in a cache that a loss of power empties, unless it was flushed. */
  readonly hasVolatileCache: boolean | undefined;
  /** A single write can be told to go through the cache (FUA), so that no flush of all of it is needed. */
  readonly writesThrough: boolean | undefined;
  readonly isRotational: boolean | undefined;
  readonly logicalBlockBytes: number | undefined;
  readonly physicalBlockBytes: number | undefined;
  /** A read or a write up to so many bytes, of memory in pages, is one request. */
  readonly requestBytesMax: number | undefined;
  /** Requests are split where they cross a multiple of so many bytes; 0: nowhere. */
  readonly splitsAtBytes: number | undefined;
  /** The I/O scheduler that is in use, `none` for example. */
  readonly scheduler: string | undefined;
}

export interface Storage {
  /** Without links. */
  readonly directory: string;
  /** As in /proc/self/mountinfo: `ext4`, `xfs`, `overlay`; undefined where no mount was found. */
  readonly fileSystem: string | undefined;
  /** The devices from the file system down, each above those that it consists of. */
  readonly layers: readonly BlockDevice[];
  /** Those at the bottom, which do the work. Empty where none can be named. */
  readonly disks: readonly BlockDevice[];
  /** Why there is more, or something else, below than what is listed here; undefined when nothing is known to be missing. */
  readonly gap: string | undefined;
}

/** Where the kernel's descriptions are; tests have their own. */
export interface SystemFiles {
  readonly sys: string;
  readonly mountinfo: string;
  readonly devices: string;
  /** Number of the device that a path lies on, as stat(2) has it. */
  readonly deviceOf: (path: string) => number;
}

export const systemFiles: SystemFiles = {
  sys: '/sys',
  mountinfo: '/proc/self/mountinfo',
  devices: '/proc/devices',
  deviceOf: (path) => statSync(path).dev,
};

/** Throws what `realpath` throws where the directory is not there. */
export function describeStorage(directory: string, files: SystemFiles = systemFiles): Storage {
  const path = realpathSync(directory);
  const search = new Search(files);
  const fileSystem = search.followPath(path, 0);
  return { directory: path, fileSystem, layers: search.layers, disks: search.disks, gap: search.gap };
}

class Search {
  readonly layers: BlockDevice[] = [];
  readonly disks: BlockDevice[] = [];
  gap: string | undefined;
  readonly #files: SystemFiles;
  readonly #mounts: string;
  readonly #majors: ReadonlyMap<number, string>;
  readonly #seen = new Set<string>();

  constructor(files: SystemFiles) {
    this.#files = files;
    this.#mounts = textOf(files.mountinfo) ?? '';
    this.#majors = majorsOf(textOf(files.devices) ?? '');
  }

  /** Follows what a path lies on; returns the type of its file system. */
  followPath(path: string, depth: number): string | undefined {
    const mount = mountOf(this.#mounts, path);
    if (mount === undefined) {
      this.#miss(`no mount of ${path} is known`);
      return undefined;
    }
    if (depth > LAYERS_MAX) this.#miss(`more than ${LAYERS_MAX} layers`);
    else this.#followMount(mount, path, depth);
    return mount.fileSystem;
  }

  #followMount(mount: Mount, path: string, depth: number): void {
    if (mount.fileSystem === 'overlay') {
      const upper = mount.options.get('upperdir');
      if (upper === undefined) return this.#miss('the overlay has no directory that it writes to');
      // It may be named as another mount namespace sees it.
      if (!exists(upper))
        return this.#miss('the directory that the overlay writes to is not visible from here');
      this.followPath(realpathSync(upper), depth + 1);
      return;
    }
    const number = this.#files.deviceOf(path);
    const [major, minor] = numbersOf(number);
    // Major 0: a file system without a device of its own. Some have one all the same, and name it as their source.
    if (major !== 0) return this.#followDevice(`${major}:${minor}`, depth);
    if (!mount.source.startsWith('/dev/')) return this.#miss(`${mount.fileSystem} names no block device`);
    const source = this.#deviceNamed(mount.source);
    if (source === undefined) return this.#miss(`${mount.source} is not visible from here`);
    this.#followDevice(source, depth);
    this.#miss(`${mount.fileSystem} may lie on other devices as well`);
  }

  /** Number of the device that a node below /dev stands for. */
  #deviceNamed(path: string): string | undefined {
    try {
      return textOf(join(this.#files.sys, 'class/block', basename(realpathSync(path)), 'dev'));
    } catch {
      // Containers have no nodes of their host's devices.
      return undefined;
    }
  }

  #followDevice(number: string, depth: number): void {
    if (this.#seen.has(number)) return;
    this.#seen.add(number);
    if (depth > LAYERS_MAX || this.#seen.size > DEVICES_MAX) {
      return this.#miss('more devices than are looked at');
    }
    let folder: string;
    try {
      folder = realpathSync(join(this.#files.sys, 'dev/block', number));
    } catch {
      return this.#miss(`/sys knows nothing of the device ${number}`);
    }
    // A partition has no queue: what there is to know of it is known of the whole.
    if (exists(join(folder, 'partition'))) folder = dirname(folder);
    const device = this.#describe(folder);
    if (device === undefined) return this.#miss(`/sys knows nothing of the device ${number}`);
    if (this.layers.some(({ name }) => name === device.name)) return;
    this.layers.push(device);
    this.#followBelow(folder, device, depth);
  }

  #followBelow(folder: string, device: BlockDevice, depth: number): void {
    const parts = namesIn(join(folder, 'slaves'));
    for (const part of parts) {
      const number = textOf(join(folder, 'slaves', part, 'dev'));
      if (number === undefined) this.#miss(`/sys knows nothing of ${part}`);
      else this.#followDevice(number, depth + 1);
    }
    if (parts.length > 0) return;
    const file = textOf(join(folder, 'loop/backing_file'));
    if (file === undefined) this.disks.push(device);
    else if (exists(file)) this.followPath(realpathSync(file), depth + 1);
    else this.#miss(`the file behind ${device.name} is not visible from here`);
  }

  #describe(folder: string): BlockDevice | undefined {
    const number = textOf(join(folder, 'dev'));
    if (number === undefined) return undefined;
    const [major = 0, minor = 0] = number.split(':').map(Number);
    const name = basename(folder);
    const queue = (entry: string): string | undefined => textOf(join(folder, 'queue', entry));
    const cache = queue('write_cache');
    return {
      name,
      major,
      minor,
      kind: kindOf(name, major, this.#majors),
      polls: flag(queue('io_poll')),
      hasVolatileCache: cache === undefined ? undefined : cache === 'write back',
      writesThrough: flag(queue('fua')),
      isRotational: flag(queue('rotational')),
      logicalBlockBytes: wholeNumber(queue('logical_block_size')),
      physicalBlockBytes: wholeNumber(queue('physical_block_size')),
      requestBytesMax: smaller(
        times(wholeNumber(queue('max_sectors_kb')), KIBIBYTE),
        times(wholeNumber(queue('max_segments')), PAGE_BYTES),
      ),
      splitsAtBytes: times(wholeNumber(queue('chunk_sectors')), SECTOR_BYTES),
      scheduler: schedulerOf(queue('scheduler')),
    };
  }

  /** The first reason stays: what comes later follows from it. */
  #miss(reason: string): void {
    this.gap ??= reason;
  }
}

/** Majors above 233 are given out as drivers ask for them: which driver has one is in /proc/devices. */
function kindOf(name: string, major: number, majors: ReadonlyMap<number, string>): DeviceKind {
  // NVMe disks have 259, blkext, which others use as well.
  if (/^nvme\d/.test(name)) return 'nvme';
  switch (majors.get(major) ?? '') {
    case 'device-mapper':
      return 'device-mapper';
    case 'virtblk':
      return 'virtio';
    case 'loop':
      return 'loop';
    case 'md':
    case 'mdp':
      return 'md';
    case 'sd':
      return 'scsi';
    default:
      return 'other';
  }
}

/** The block devices of /proc/devices: number and driver, one to a line. */
function majorsOf(text: string): Map<number, string> {
  const majors = new Map<number, string>();
  const [, blockDevices = ''] = text.split('Block devices:');
  for (const line of blockDevices.split('\n')) {
    const [, number, driver] = /^\s*(\d+) (\S+)/.exec(line) ?? [];
    if (number !== undefined && driver !== undefined) majors.set(Number(number), driver);
  }
  return majors;
}

/** As Linux packs them into one number: 12 and 20 bits that are known to be used, with eight of the minor lowest. */
function numbersOf(device: number): [major: number, minor: number] {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn & 0xffff_ffffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn & 0xffff_ffffn);
  return [Number(major), Number(minor)];
}

/** Of `none [mq-deadline] kyber` the one in use. */
function schedulerOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (/\[(.+)\]/.exec(text)?.[1] ?? text);
}

function flag(text: string | undefined): boolean | undefined {
  return text === '1' ? true : text === '0' ? false : undefined;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function times(number: number | undefined, factor: number): number | undefined {
  return number === undefined ? undefined : number * factor;
}

/** Undefined where either is. */
function smaller(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.min(a, b);
}

/** Undefined where it cannot be read, for whatever reason: the kernel, or a container, does not say. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** What may not be looked at is not there for us. */
function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
