/**
 * A file of the simulated disk: what a process reads of it, what is durable of it, and what has been written since.
 *
 *     durable ── write ── write ── truncate ── … ──► current
 *                └────────── pending ────────┘
 *
 * Pages of 4 KiB are never changed once they are part of a file, so that files share them and copying one is cheap. A
 * sector of 512 bytes is the smallest thing that a crash keeps or loses as a whole.
 */
import type { Random } from './random.ts';

export const PAGE = 4096;
const SECTOR = 512;
/** Log files are written through with zeros, which need no copies. */
const ZEROS = Buffer.alloc(256 * 1024);
const ZERO_PAGE = ZEROS.subarray(0, PAGE);

/** Of a page and what a crash does to writes: none of it, all, or some of its sectors. */
export type WriteFate = 'lost' | 'kept' | 'torn';

/** `bytes` is the memory of a write, and its own. A truncation has none. */
interface Pending {
  readonly offset: number;
  readonly end: number;
  readonly bytes: Uint8Array | undefined;
  /** A sync that failed has dropped it: no later one makes it durable. */
  isDoomed: boolean;
}

/** A sequence of pages and a length. What lies behind the pages that there are is zeros. */
class Pages {
  pages: Uint8Array[];
  size: number;

  constructor(pages: Uint8Array[] = [], size = 0) {
    this.pages = pages;
    this.size = size;
  }

  copy(): Pages {
    return new Pages(this.pages.slice(), this.size);
  }

  read(target: Uint8Array, offset: number): number {
    const length = Math.max(0, Math.min(target.length, this.size - offset));
    for (let done = 0; done < length;) {
      const at = (offset + done) % PAGE;
      const count = Math.min(PAGE - at, length - done);
      const page = this.pages[Math.floor((offset + done) / PAGE)] ?? ZERO_PAGE;
      target.set(at === 0 && count === PAGE ? page : page.subarray(at, at + count), done);
      done += count;
    }
    return length;
  }

  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length;) {
      const number = Math.floor((offset + done) / PAGE);
      const at = (offset + done) % PAGE;
      const count = Math.min(PAGE - at, bytes.length - done);
      const part = bytes.subarray(done, done + count);
      while (this.pages.length < number) this.pages.push(ZERO_PAGE);
      this.pages[number] = count === PAGE ? pageOf(part) : withPart(this.pages[number], part, at);
      done += count;
    }
    this.size = Math.max(this.size, offset + bytes.length);
  }

  truncate(size: number): void {
    const whole = Math.ceil(size / PAGE);
    if (this.pages.length > whole) this.pages.length = whole;
    const rest = size % PAGE;
    const last = rest === 0 ? undefined : this.pages[whole - 1];
    if (last !== undefined) this.pages[whole - 1] = withPart(last, ZERO_PAGE.subarray(rest), rest);
    this.size = size;
  }
}

function pageOf(bytes: Uint8Array): Uint8Array {
  return copyOf(bytes, ZERO_PAGE);
}

function copyOf(bytes: Uint8Array, zeros: Uint8Array): Uint8Array {
  return bytes[0] === 0 && Buffer.compare(bytes, zeros) === 0 ? zeros : bytes.slice();
}

function withPart(page: Uint8Array | undefined, part: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(page ?? ZERO_PAGE);
  copy.set(part, at);
  return copy;
}

export class SimulatedFile {
  #current = new Pages();
  #durable = new Pages();
  #pending: Pending[] = [];

  get size(): number {
    return this.#current.size;
  }

  /** As a process reads it. */
  bytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.size);
    this.#current.read(bytes, 0);
    return bytes;
  }

  read(target: Uint8Array, offset: number): number {
    return this.#current.read(target, offset);
  }

  /** A durable write makes itself durable, with the length that it gives the file, and no other. */
  write(bytes: Uint8Array, offset: number, isDurable: boolean): void {
    this.#current.write(bytes, offset);
    if (isDurable) this.#makeDurable(bytes, offset);
    else this.#addPending(offset, offset + bytes.length, copyOf(bytes, ZEROS.subarray(0, bytes.length)));
  }

  truncate(size: number): void {
    this.#current.truncate(size);
    this.#addPending(size, Infinity, undefined);
  }

  sync(): void {
    if (this.#pending.every(({ isDoomed }) => !isDoomed)) {
      this.#durable = this.#current.copy();
      this.#pending = [];
      return;
    }
    const pending = this.#pending;
    this.#pending = pending.filter(({ isDoomed }) => isDoomed);
    for (const { offset, bytes, isDoomed } of pending) {
      if (isDoomed) continue;
      if (bytes === undefined) this.#makeDurablyEndAt(offset);
      else this.#makeDurable(bytes, offset);
    }
  }

  /** What was to be synced is read until a crash, and may be gone then, whatever is synced later. */
  failSync(): void {
    for (const one of this.#pending) one.isDoomed = true;
  }

  /** Damages what is durable. */
  flip(offset: number, mask: number): void {
    const byte = new Uint8Array(1);
    this.#current.read(byte, offset);
    byte[0] ^= mask;
    this.write(byte, offset, true);
  }

  /** The same file, which then goes its own way. */
  copy(): SimulatedFile {
    const file = new SimulatedFile();
    file.#current = this.#current.copy();
    file.#durable = this.#durable.copy();
    file.#pending = this.#pending.map((one) => ({ ...one }));
    return file;
  }

  /** What a crash leaves of it. Each write that is pending meets a fate of its own. */
  afterCrash(random: Random, fateOf: () => WriteFate): SimulatedFile {
    const pages = this.#durable.copy();
    for (const { offset, bytes } of this.#pending) {
      const fate = fateOf();
      if (fate === 'lost') {
        // The file's length is another matter than its content.
        const end = bytes === undefined ? 0 : offset + bytes.length;
        if (end > pages.size && random.oneIn(4)) pages.size = end;
      } else if (bytes === undefined) {
        pages.truncate(offset);
      } else if (fate === 'kept') {
        pages.write(bytes, offset);
      } else {
        writeSome(pages, bytes, offset, random);
      }
    }
    return SimulatedFile.#of(pages);
  }

  /** What is there if nothing more is kept than had to be, or everything: the process dies, the machine lives. */
  afterKill(keep: 'durable' | 'everything'): SimulatedFile {
    return SimulatedFile.#of((keep === 'durable' ? this.#durable : this.#current).copy());
  }

  static #of(pages: Pages): SimulatedFile {
    const file = new SimulatedFile();
    file.#current = pages;
    file.#durable = pages.copy();
    return file;
  }

  #addPending(offset: number, end: number, bytes: Uint8Array | undefined): void {
    this.#pending.push({ offset, end, bytes, isDoomed: false });
  }

  #makeDurable(bytes: Uint8Array, offset: number): void {
    this.#durable.write(bytes, offset);
    this.#supersede(offset, offset + bytes.length);
  }

  #makeDurablyEndAt(size: number): void {
    this.#durable.truncate(size);
    this.#supersede(size, Infinity);
  }

  /** What was there before, from one byte to another, does not come back. */
  #supersede(offset: number, end: number): void {
    const isOlder = (one: Pending): boolean => one.offset < end && one.end > offset;
    if (!this.#pending.some(isOlder)) return;
    this.#pending = this.#pending.flatMap((one) => (isOlder(one) ? partsOutside(one, offset, end) : [one]));
  }
}

/** Of a truncation nothing is left. */
function partsOutside(one: Pending, offset: number, end: number): Pending[] {
  const { bytes } = one;
  if (bytes === undefined) return [];
  const parts: Pending[] = [];
  if (one.offset < offset) {
    parts.push({ ...one, end: offset, bytes: bytes.subarray(0, offset - one.offset) });
  }
  if (one.end > end) parts.push({ ...one, offset: end, bytes: bytes.subarray(end - one.offset) });
  return parts;
}

/** Some of a write's sectors, each as a whole. */
function writeSome(pages: Pages, bytes: Uint8Array, offset: number, random: Random): void {
  // Mostly a run of them from the beginning or the end, as a disk works through a request; now and then any.
  const sectors = Math.ceil((offset + bytes.length) / SECTOR) - Math.floor(offset / SECTOR);
  const [first, last, isScattered] = [random.below(sectors), random.below(sectors), random.oneIn(3)];
  for (let at = offset, number = 0; at < offset + bytes.length; number++) {
    const end = Math.min((Math.floor(at / SECTOR) + 1) * SECTOR, offset + bytes.length);
    const isKept = isScattered ? random.oneIn(2) : first <= last ? number <= first : number >= first;
    if (isKept) pages.write(bytes.subarray(at - offset, end - offset), at);
    at = end;
  }
}
