/**
 * A disk in memory, as far as the engine's seams see one: files with and without fsync, directory entries likewise.
 *
 * The fault model. A write with DSYNC makes itself durable and no other write; fsync of a file makes its content durable
 * and not its name, fsync of the directory makes names durable and no content. What is not durable when the machine stops
 *
 *     a write                 is lost, kept, or torn: of its sectors of 512 bytes any may be kept, and the length that it
 *                             gave the file, without the bytes
 *     a new length            is lost or kept
 *     names that changed      a beginning of the changes is kept, as a journal keeps them, or any of them; a rename as a whole
 *     what is under way       likewise, had it come so far: also writes with DSYNC that have not completed
 *
 * each independently of the others. A sync that failed drops what it was to make durable: it is read until the machine
 * stops, and no later sync makes it durable. Where a process is killed and the machine lives, everything stays.
 */
import { constants } from 'node:fs';
import type { Random } from './random.ts';
import { SimulatedFile, type WriteFate } from './simulated-file.ts';

const ENOENT = 2;
const EEXIST = 17;
const EBADF = 9;
const ENOSPC = 28;

type NameChange =
  | { readonly kind: 'create'; readonly name: string; readonly file: SimulatedFile }
  | { readonly kind: 'rename'; readonly from: string; readonly name: string; readonly file: SimulatedFile }
  | { readonly kind: 'unlink'; readonly name: string };

/** An operation that a ring has not carried out yet. */
export type UnderWay =
  | { readonly kind: 'write'; readonly handle: number; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'truncate'; readonly handle: number; readonly size: number };

export class SimulatedDisk {
  /** Names in the one directory that an engine has; those in a directory of it behind the name of that and a slash. */
  names = new Map<string, SimulatedFile>();
  /** Directories in it, which only a repair makes. */
  directories = new Set<string>();
  /** Whether the directory exists. */
  present = false;
  locked = false;
  /** Bytes of all files together beyond which nothing more fits. */
  capacityBytes = Infinity;
  #durableNames = new Map<string, SimulatedFile>();
  #durableDirectories = new Set<string>();
  #nameChanges: NameChange[] = [];
  /** The first so many of them a failed sync has dropped. */
  #doomedChanges = 0;
  readonly #handles = new Map<number, SimulatedFile | 'directory'>();
  /** Directory handles that have not been told yet of a sync that failed, with its errno. */
  readonly #failedSyncs = new Map<number, number>();
  #nextHandle = 3;

  /** The disk as the next process finds it, where what had to be kept was, or everything. */
  crashed(keep: 'durable' | 'everything'): SimulatedDisk {
    const names = keep === 'durable' ? this.#durableNames : this.names;
    const after = this.#after(names, (file) => file.afterKill(keep));
    after.directories = new Set(keep === 'durable' ? this.#durableDirectories : this.directories);
    after.#durableDirectories = new Set(after.directories);
    for (const name of names.keys()) {
      const directory = name.slice(0, name.indexOf('/'));
      if (!name.includes('/') || after.directories.has(directory)) continue;
      after.names.delete(name);
      after.#durableNames.delete(name);
    }
    return after;
  }

  /** Names that begin so are durable as they are now; '': those in the directory itself, and which directories there are. */
  syncDirectory(prefix: string): void {
    const isIn = (name: string): boolean => (prefix === '' ? !name.includes('/') : name.startsWith(prefix));
    for (const name of [...this.#durableNames.keys()]) if (isIn(name)) this.#durableNames.delete(name);
    for (const [name, file] of this.names) if (isIn(name)) this.#durableNames.set(name, file);
    if (prefix === '') this.#durableDirectories = new Set(this.directories);
  }

  /** The disk as the next process finds it after a power cut, of which `random` decides what it may. */
  afterPowerCut(random: Random, underWay: readonly UnderWay[]): SimulatedDisk {
    const arrived = underWay.filter(() => random.oneIn(2));
    const names = this.#namesAfterPowerCut(random, arrived);
    // Some crashes lose or keep all that they may.
    const manner = random.below(8);
    const fateOf = (): WriteFate => {
      if (manner < 2) return manner === 0 ? 'lost' : 'kept';
      return (['lost', 'kept', 'torn'] as const)[random.below(3)];
    };
    const images = new Map<SimulatedFile, SimulatedFile>();
    const imageOf = (file: SimulatedFile): SimulatedFile => {
      let image = images.get(file);
      if (image === undefined) {
        const reached = this.#withArrived(file, arrived);
        image = reached.afterCrash(random, fateOf);
        images.set(file, image);
      }
      return image;
    };
    return this.#after(names, imageOf);
  }

  /** Bytes of all files together. */
  get usedBytes(): number {
    let used = 0;
    for (const { size } of this.names.values()) used += size;
    return used;
  }

  /**
   * The process is killed and the machine lives: of what is under way `random` decides what still arrives; all that was
   * written can be read, and is no more durable than it was.
   */
  killProcess(random: Random, underWay: readonly UnderWay[]): void {
    for (const one of underWay) {
      if (random.oneIn(2)) continue;
      if (one.kind === 'rename') this.rename(one.from, one.to);
      else if (one.kind === 'unlink') this.unlink(one.name);
      else if (one.kind === 'truncate') this.#file(one.handle)?.truncate(one.size);
      else this.#file(one.handle)?.write(one.bytes, one.offset, false);
    }
    this.#handles.clear();
    this.locked = false;
  }

  /** The machine goes on with what a crash has left: nothing is open, nothing is locked. */
  restart(image: SimulatedDisk): void {
    this.names = new Map(image.names);
    this.#durableNames = new Map(image.names);
    this.#nameChanges = [];
    this.#doomedChanges = 0;
    this.#handles.clear();
    this.locked = false;
    this.present = image.present;
  }

  openDirectory(): number {
    return this.#newHandle('directory');
  }

  open(name: string, flags: number): number {
    let file = this.names.get(name);
    if (file === undefined) {
      if ((flags & constants.O_CREAT) === 0) return -ENOENT;
      file = new SimulatedFile();
      this.#change({ kind: 'create', name, file });
    } else if ((flags & constants.O_EXCL) !== 0) {
      return -EEXIST;
    }
    if ((flags & constants.O_TRUNC) !== 0) file.truncate(0);
    return this.#newHandle(file);
  }

  close(handle: number): number {
    return this.#handles.delete(handle) ? 0 : -EBADF;
  }

  read(handle: number, target: Uint8Array, offset: number): number {
    return this.#file(handle)?.read(target, offset) ?? -EBADF;
  }

  write(handle: number, bytes: Uint8Array, offset: number, durable: boolean): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    if (!this.fits(file, offset + bytes.length)) return -ENOSPC;
    file.write(bytes, offset, durable);
    return bytes.length;
  }

  truncate(handle: number, size: number): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    file.truncate(size);
    return 0;
  }

  sync(handle: number): number {
    const target = this.#handles.get(handle);
    if (target === undefined) return -EBADF;
    if (target !== 'directory') {
      target.sync();
      return 0;
    }
    this.#syncNames();
    const failed = this.#failedSyncs.get(handle) ?? 0;
    this.#failedSyncs.delete(handle);
    return -failed;
  }

  /** Whether a sync of the directory has failed, and names that it was to make durable have not been settled since. */
  get hasDoomedNames(): boolean {
    return this.#doomedChanges > 0;
  }

  /** Names that changed and have not been synced, without those for which a sync has failed. */
  protected unsettledNames(): ReadonlySet<string> {
    return new Set(this.#nameChanges.slice(this.#doomedChanges).flatMap(namesOf));
  }

  protected isDirectory(handle: number): boolean {
    return this.#handles.get(handle) === 'directory';
  }

  /** A sync that fails with the errno; of the directory every handle that is open is told, once. */
  failSync(handle: number, errno: number): number {
    const target = this.#handles.get(handle);
    if (target !== 'directory') {
      target?.failSync();
      return -errno;
    }
    this.#doomedChanges = this.#nameChanges.length;
    for (const [other, what] of this.#handles) {
      if (what === 'directory' && other !== handle) this.#failedSyncs.set(other, errno);
    }
    this.#failedSyncs.delete(handle);
    return -errno;
  }

  /** Says whether the space is there; what is reserved is not counted until it is written. */
  reserve(handle: number, end: number): number {
    const file = this.#file(handle);
    if (file === undefined) return -EBADF;
    return this.fits(file, end) ? 0 : -ENOSPC;
  }

  rename(from: string, to: string): number {
    const file = this.names.get(from);
    if (file === undefined) return -ENOENT;
    this.#change({ kind: 'rename', from, name: to, file });
    return 0;
  }

  unlink(name: string): number {
    if (!this.names.has(name)) return -ENOENT;
    this.#change({ kind: 'unlink', name });
    return 0;
  }

  #change(change: NameChange): void {
    applyChange(this.names, change);
    this.#nameChanges.push(change);
  }

  #syncNames(): void {
    const changes = this.#nameChanges.splice(this.#doomedChanges);
    for (const change of changes) applyChange(this.#durableNames, change);
    // What a name was before does not come back.
    const settled = new Set(changes.flatMap(namesOf));
    this.#nameChanges = this.#nameChanges.filter(
      (change) => !namesOf(change).some((name) => settled.has(name)),
    );
    this.#doomedChanges = this.#nameChanges.length;
  }

  #namesAfterPowerCut(random: Random, arrived: readonly UnderWay[]): Map<string, SimulatedFile> {
    const names = new Map(this.#durableNames);
    const changes = [...this.#nameChanges];
    for (const one of arrived) {
      if (one.kind === 'unlink') changes.push(one);
      if (one.kind !== 'rename') continue;
      const file = this.names.get(one.from);
      if (file !== undefined) changes.push({ kind: 'rename', from: one.from, name: one.to, file });
    }
    if (random.oneIn(2)) {
      for (const change of changes.slice(0, random.between(0, changes.length))) applyChange(names, change);
    } else {
      for (const change of changes) if (random.oneIn(2)) applyChange(names, change);
    }
    return names;
  }

  /** The file as it is once those operations on it have arrived that a ring has under way. */
  #withArrived(file: SimulatedFile, arrived: readonly UnderWay[]): SimulatedFile {
    const own = arrived.filter((one) => 'handle' in one && this.#handles.get(one.handle) === file);
    if (own.length === 0) return file;
    const reached = file.copy();
    for (const one of own) {
      if (one.kind === 'write') reached.write(one.bytes, one.offset, false);
      else if (one.kind === 'truncate') reached.truncate(one.size);
    }
    return reached;
  }

  #after(
    names: ReadonlyMap<string, SimulatedFile>,
    imageOf: (file: SimulatedFile) => SimulatedFile,
  ): SimulatedDisk {
    const after = new SimulatedDisk();
    after.present = this.present;
    after.capacityBytes = this.capacityBytes;
    for (const [name, file] of names) {
      const image = imageOf(file);
      after.names.set(name, image);
      after.#durableNames.set(name, image);
    }
    return after;
  }

  protected fits(file: SimulatedFile, end: number): boolean {
    if (this.capacityBytes === Infinity) return true;
    return this.usedBytes + Math.max(0, end - file.size) <= this.capacityBytes;
  }

  #file(handle: number): SimulatedFile | undefined {
    const target = this.#handles.get(handle);
    return target === 'directory' ? undefined : target;
  }

  #newHandle(target: SimulatedFile | 'directory'): number {
    this.#handles.set(this.#nextHandle, target);
    return this.#nextHandle++;
  }
}

function namesOf(change: NameChange): string[] {
  return change.kind === 'rename' ? [change.from, change.name] : [change.name];
}

function applyChange(names: Map<string, SimulatedFile>, change: NameChange): void {
  if (change.kind === 'unlink') {
    names.delete(change.name);
    return;
  }
  if (change.kind === 'rename' && names.get(change.from) === change.file) names.delete(change.from);
  names.set(change.name, change.file);
}
