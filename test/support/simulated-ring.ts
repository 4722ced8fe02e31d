/**
 * The third implementation of `Ring`: over a disk in memory, in the caller's thread, with completions in an order that
 * a seed decides. The engine's roles run on it unchanged.
 *
 * Records of one turn join those that are pending; a turn completes some of them, those of a chain in their order, with
 * whatever else there is between them. Some chains are slow, where they are said to be: they come no earlier than a number
 * of turns later, whatever overtakes them.
 * `onStep` is called before each operation, so that a test can crash the disk at any of them; `underWay` says what the
 * disk may have done of the others by then. A read that selects its buffer gets any of those that are lent, and goes
 * wrong where the disk says so. There is no time here: a timeout completes like everything else, whenever the seed says.
 */
import type { RingDescription } from '../../src/protocol/ring-thread-task.ts';
import {
  COMPLETION_BUFFER,
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  FLAG_DSYNC,
  FLAG_LINK,
  FLAG_POLLED,
  FLAG_SELECT,
  NAME_STRIDE_BYTES,
  NO_BUFFER,
  OPCODE_CLOSE,
  OPCODE_FADVISE,
  OPCODE_FALLOCATE,
  OPCODE_FSYNC,
  OPCODE_NOP,
  OPCODE_OPEN,
  OPCODE_READ,
  OPCODE_RENAME,
  OPCODE_TIMEOUT,
  OPCODE_TRUNCATE,
  OPCODE_UNLINK,
  OPCODE_WRITE,
  RECORD_WORDS,
  REGION_MASK,
  SECOND_NAME_BYTES,
  TIMEOUT_MICROSECONDS_MAX,
  WORD_BUFFER_OFFSET,
  WORD_FILE,
  WORD_FLAGS,
  WORD_LENGTH,
  WORD_OFFSET_HIGH,
  WORD_OFFSET_LOW,
  WORD_OPCODE,
  WORD_USER_DATA,
  type Ring,
} from '../../src/workers/ring.ts';
import type { SimulatedDisk, UnderWay } from './simulated-disk.ts';

const ECANCELED = 125;
const EINVAL = 22;
const EIO = 5;
const ENOBUFS = 105;
const EOPNOTSUPP = 95;
const TWO_32 = 0x1_0000_0000;

interface PendingRecord {
  readonly words: Int32Array;
  readonly firstName: string;
  readonly secondName: string;
}

interface PendingChain {
  readonly records: readonly PendingRecord[];
  /** How many of them have completed. */
  readonly done: number;
  /** Whether the rest is cancelled. */
  readonly isSevered: boolean;
  /** The ring's turn before which it does not begin. */
  readonly notBefore: number;
}

/** An operation that is about to be carried out. */
export interface RingStep {
  readonly opcode: number;
  /** Handle of the file, or of the directory. */
  readonly file: number;
  /** First name of an operation that has names, or nothing. */
  readonly name: string;
  readonly length: number;
  readonly offset: number;
}

export interface SimulatedRingOptions {
  readonly entries: number;
  readonly disk: SimulatedDisk & Partial<SelectFaults>;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly onStep?: ((step: RingStep) => void) | undefined;
  /** One chain in as many is slow; 0: none. */
  readonly slowOneIn?: number | undefined;
  /** Called for each operation that is to be polled for, which the disk refuses; without it nothing is. */
  readonly onPolled?: (() => void) | undefined;
}

interface Region {
  readonly memory: Uint8Array;
  readonly selectBytes: number;
  /** Where the buffers lie that are lent and not taken. */
  readonly lent: number[];
}

/** How a read that selects its buffer goes. */
export type SelectFault =
  | 'none'
  /** EIO, and the buffer that it had taken comes back. */
  | 'named'
  /** EIO before a buffer was taken: what was lent stays with the ring. */
  | 'kept'
  /** Fewer bytes than were asked for, perhaps none. */
  | 'short';

/** What a disk may say about reads that select their buffer; by itself they go well. */
export interface SelectFaults {
  nextSelectFault(): SelectFault;
}

interface Completed {
  readonly result: number;
  readonly buffer: number;
}

/** Completions that one turn can bring for each entry. */
const COMPLETIONS_PER_ENTRY = 4;
/** Turns that a slow chain is held back, at most. */
const SLOW_TURNS_MAX = 300;

export class SimulatedRing implements Ring {
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  readonly polls: boolean;
  readonly #onPolled: (() => void) | undefined;
  readonly asynchronous = true;
  readonly #disk: SimulatedDisk & Partial<SelectFaults>;
  readonly #random: () => number;
  readonly #onStep: ((step: RingStep) => void) | undefined;
  readonly #slowOneIn: number;
  readonly #regions = new Map<number, Region>();
  /** Chains of linked records, none of which has ended. */
  #pending: PendingChain[] = [];
  #turns = 0;

  constructor({ entries, disk, random, onStep, slowOneIn = 0, onPolled }: SimulatedRingOptions) {
    this.entries = entries;
    this.records = new Int32Array(entries * RECORD_WORDS);
    this.names = new Uint8Array(entries * NAME_STRIDE_BYTES);
    this.completions = new Int32Array(entries * COMPLETIONS_PER_ENTRY * COMPLETION_WORDS);
    this.#disk = disk;
    this.#random = random;
    this.#onStep = onStep;
    this.#slowOneIn = slowOneIn;
    this.polls = onPolled !== undefined;
    this.#onPolled = onPolled;
  }

  attach(
    region: number,
    memory: Uint8Array,
    _fixedOffset: number,
    _fixedLength: number,
    selectBytes: number,
  ): void {
    this.#regions.set(region, { memory, selectBytes, lent: [] });
  }

  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  turn(count: number): number {
    this.#take(count);
    this.#turns++;
    let completed = 0;
    const rounds = this.#pending.length === 0 ? 0 : 1 + Math.floor(this.#random() * this.#pending.length);
    for (let round = 0; round < rounds; round++) {
      const at = Math.floor(this.#random() * this.#pending.length);
      if (this.#pending[at].notBefore > this.#turns) continue;
      // Taken out first: a machine that stops in the middle of it has it under way no more.
      const [chain] = this.#pending.splice(at, 1);
      const { records, done, isSevered } = chain;
      const record = records[done];
      const { result, buffer } = isSevered
        ? { result: -ECANCELED, buffer: NO_BUFFER }
        : this.#complete(record, records);
      const place = completed * COMPLETION_WORDS;
      this.completions[place + COMPLETION_USER_DATA] = record.words[WORD_USER_DATA];
      this.completions[place + COMPLETION_RESULT] = result;
      this.completions[place + COMPLETION_BUFFER] = buffer;
      completed++;
      if (done + 1 === records.length) continue;
      const severs = isSevered || this.#severs(record, result);
      this.#pending.splice(at, 0, { ...chain, done: done + 1, isSevered: severs });
    }
    return completed;
  }

  describe(): RingDescription {
    const completionEntries = this.entries * COMPLETIONS_PER_ENTRY;
    const registration = { registeredBytes: 0, registrationRefusal: null };
    const selection = { providedBuffers: 0, providedBuffersRefusal: null };
    const files = { fixedFiles: 0, fixedFilesRefusal: null };
    const priority = { idlePriority: false, idlePriorityRefusal: null };
    const polling = {
      descriptor: -1,
      pollingRefusal: null,
      workersMax: 0,
      workersRefusal: null,
      pollerFlags: [],
      pollerRefusal: null,
    };
    return {
      backend: 'simulated',
      reason: null,
      flags: [],
      entries: this.entries,
      completionEntries,
      ...registration,
      ...selection,
      ...files,
      ...priority,
      ...polling,
    };
  }

  close(): void {
    this.#pending = [];
  }

  /** What was handed over and has not been carried out, of each chain what need not wait for another. */
  underWay(): UnderWay[] {
    return this.#pending.flatMap(({ records, done, isSevered }): UnderWay[] => {
      if (isSevered) return [];
      const { words, firstName, secondName } = records[done];
      const handle = words[WORD_FILE];
      switch (words[WORD_OPCODE]) {
        case OPCODE_WRITE:
          return [{ kind: 'write', handle, bytes: this.#buffer(words).slice(), offset: offsetOf(words) }];
        case OPCODE_RENAME:
          return [{ kind: 'rename', from: firstName, to: secondName }];
        case OPCODE_UNLINK:
          return [{ kind: 'unlink', name: firstName }];
        case OPCODE_TRUNCATE:
          return [{ kind: 'truncate', handle, size: offsetOf(words) }];
        default:
          return [];
      }
    });
  }

  #take(count: number): void {
    let chain: PendingRecord[] = [];
    for (let i = 0; i < count; i++) {
      const words = this.records.slice(i * RECORD_WORDS, (i + 1) * RECORD_WORDS);
      const firstName = this.#name(i * NAME_STRIDE_BYTES);
      const secondName = this.#name(i * NAME_STRIDE_BYTES + SECOND_NAME_BYTES);
      chain.push({ words, firstName, secondName });
      if ((words[WORD_FLAGS] & FLAG_LINK) !== 0) continue;
      const isSlow = this.#slowOneIn > 0 && this.#random() * this.#slowOneIn < 1;
      const delay = isSlow ? Math.floor(this.#random() * SLOW_TURNS_MAX) : 0;
      this.#pending.push({ records: chain, done: 0, isSevered: false, notBefore: this.#turns + delay });
      // Lent when the record is handed over, whenever its read begins.
      if (selects(words) && !this.#isRefused({ words }, chain)) {
        this.#region(words).lent.push(words[WORD_BUFFER_OFFSET]);
      }
      chain = [];
    }
  }

  #complete(record: PendingRecord, chain: readonly PendingRecord[]): Completed {
    if (record.words[WORD_OPCODE] === OPCODE_TIMEOUT && !isShortAndAlone(record.words, chain)) {
      return { result: -EINVAL, buffer: NO_BUFFER };
    }
    if (record.words[WORD_OPCODE] === OPCODE_TRUNCATE && chain.length > 1) {
      return { result: -EINVAL, buffer: NO_BUFFER };
    }
    if (this.polls && (record.words[WORD_FLAGS] & FLAG_POLLED) !== 0) {
      this.#onPolled?.();
      return { result: -EOPNOTSUPP, buffer: NO_BUFFER };
    }
    if (!selects(record.words)) return { result: this.#execute(record), buffer: NO_BUFFER };
    if (this.#isRefused(record, chain)) return { result: -EINVAL, buffer: NO_BUFFER };
    return this.#readSelect(record.words);
  }

  /** Into any of the buffers that are lent. */
  #readSelect(words: Int32Array): Completed {
    this.#announce(words, '');
    const fault = this.#disk.nextSelectFault?.() ?? 'none';
    const { memory, lent } = this.#region(words);
    if (fault === 'kept') return { result: -EIO, buffer: NO_BUFFER };
    const [buffer] = lent.splice(Math.floor(this.#random() * lent.length), 1);
    if (buffer === undefined) return { result: -ENOBUFS, buffer: NO_BUFFER };
    if (fault === 'named') return { result: -EIO, buffer };
    const length = fault === 'short' ? Math.floor(this.#random() * words[WORD_LENGTH]) : words[WORD_LENGTH];
    return {
      result: this.#disk.read(words[WORD_FILE], memory.subarray(buffer, buffer + length), offsetOf(words)),
      buffer,
    };
  }

  #name(at: number): string {
    return Buffer.from(this.names.subarray(at, this.names.indexOf(0, at))).toString('latin1');
  }

  /** As Linux does: only what moves data, or opens and closes, stops the rest of its chain. */
  #severs({ words }: PendingRecord, result: number): boolean {
    const opcode = words[WORD_OPCODE];
    if (opcode === OPCODE_READ || opcode === OPCODE_WRITE) return result !== words[WORD_LENGTH];
    return (opcode === OPCODE_OPEN || opcode === OPCODE_CLOSE) && result < 0;
  }

  #execute({ words, firstName, secondName }: PendingRecord): number {
    const opcode = words[WORD_OPCODE];
    const file = words[WORD_FILE];
    const length = words[WORD_LENGTH];
    const offset = offsetOf(words);
    const flags = words[WORD_FLAGS];
    const disk = this.#disk;
    this.#announce(words, firstName);
    switch (opcode) {
      case OPCODE_NOP:
        return 0;
      case OPCODE_READ:
        return disk.read(file, this.#buffer(words), offset);
      case OPCODE_WRITE:
        return disk.write(file, this.#buffer(words), offset, (flags & FLAG_DSYNC) !== 0);
      case OPCODE_FSYNC:
        return disk.sync(file);
      case OPCODE_OPEN:
        return disk.open(firstName, length);
      case OPCODE_CLOSE:
        return disk.close(file);
      case OPCODE_FALLOCATE:
        return disk.reserve(file, offset + length);
      case OPCODE_RENAME:
        return disk.rename(firstName, secondName);
      case OPCODE_UNLINK:
        return disk.unlink(firstName);
      case OPCODE_TRUNCATE:
        return disk.truncate(file, offset);
      case OPCODE_FADVISE:
      case OPCODE_TIMEOUT:
        return 0;
      default:
        return -EINVAL;
    }
  }

  #announce(words: Int32Array, name: string): void {
    if (this.#onStep === undefined) return;
    const hasName = words[WORD_OPCODE] === OPCODE_OPEN || words[WORD_OPCODE] === OPCODE_RENAME;
    this.#onStep({
      opcode: words[WORD_OPCODE],
      file: words[WORD_FILE],
      name: hasName || words[WORD_OPCODE] === OPCODE_UNLINK ? name : '',
      length: words[WORD_LENGTH],
      offset: offsetOf(words),
    });
  }

  #buffer(words: Int32Array): Uint8Array {
    const at = words[WORD_BUFFER_OFFSET] >>> 0;
    return this.#region(words).memory.subarray(at, at + words[WORD_LENGTH]);
  }

  #region(words: Int32Array): Region {
    const region = this.#regions.get(words[WORD_FLAGS] & REGION_MASK);
    if (region === undefined) throw new Error('a record names a region that is not attached');
    return region;
  }

  /** A read that selects must bring a buffer that can be lent. REQUIRES: a record that selects. */
  #isRefused({ words }: Pick<PendingRecord, 'words'>, chain: readonly PendingRecord[]): boolean {
    const { memory, selectBytes } = this.#region(words);
    const at = words[WORD_BUFFER_OFFSET];
    const length = words[WORD_LENGTH];
    const canLend = at >= 0 && at + selectBytes <= memory.length && length > 0 && length <= selectBytes;
    return words[WORD_OPCODE] !== OPCODE_READ || chain.length > 1 || !canLend;
  }
}

function selects(words: Int32Array): boolean {
  return (words[WORD_FLAGS] & FLAG_SELECT) !== 0;
}

function isShortAndAlone(words: Int32Array, chain: readonly PendingRecord[]): boolean {
  return words[WORD_LENGTH] >>> 0 <= TIMEOUT_MICROSECONDS_MAX && chain.length === 1;
}

function offsetOf(words: Int32Array): number {
  return (words[WORD_OFFSET_LOW] >>> 0) + words[WORD_OFFSET_HIGH] * TWO_32;
}
