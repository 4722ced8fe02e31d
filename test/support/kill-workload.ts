/**
 * The workload of the kill test: an endless stream of operations that follows from a seed alone, so that the process
 * that writes and the one that checks need to exchange nothing but positions in it. Pure.
 *
 * Keys come from a small set, so that most writes overwrite and many delete. Values are told apart by everything: who
 * wrote them stands in their first bytes (as far as they have any), and the rest is a piece of one large random text
 * that begins somewhere else for each value.
 */
import { isCompressionAvailable, type CompressionName } from '../../src/format/compression.ts';
import type { CompactionOptions, DatabaseOptions } from '../../src/main/options.ts';
import { ioOf } from './io-setting.ts';
import { mix, Random } from './random.ts';

/**
 * What the stream is made to bring about. 'mixed': everything a log can meet, large batches above all; 'compaction':
 * flushes and compactions all the time, and what makes their work hard: deletions, reopening, readers that hold on.
 */
export const WORKLOAD_KINDS = ['mixed', 'compaction'] as const;
export type WorkloadKind = (typeof WORKLOAD_KINDS)[number];

export const KEY_COUNT = 1000;
/** Keys beyond the set, which no operation ever writes. */
export const ABSENT_KEY_COUNT = 20;
/** The size of a write that deletes a key, and of one that deletes a range. */
export const DELETED = -1;
export const RANGE_DELETED = -2;
/** The end of a range that has none. */
export const NO_END = -1;

const KEY_PADDING_MAX = 180;
const VALUE_BYTES_MAX = 2_500_000;
const TEXT_BYTES = 2 * VALUE_BYTES_MAX;
const MEBIBYTE = 1024 * 1024;

export interface Write {
  /** Of a range: its first key. */
  readonly key: number;
  /** Bytes of the value, DELETED or RANGE_DELETED. */
  readonly size: number;
  /** Of a range: the first key behind it, or NO_END. */
  readonly end?: number;
}

interface Submitted {
  /** Position in the stream, from 0. */
  readonly index: number;
  /** So many operations may be under way when this one is submitted; 0 means that all before it have settled. */
  readonly window: number;
}

/** One put, one deletion, of a key or a range, or a batch: what must survive whole or not at all. */
export interface WriteOperation extends Submitted {
  readonly kind: 'write';
  readonly writes: readonly Write[];
  readonly batch: boolean;
  readonly sync: boolean;
}

/** `flush()`, `compactRange()`, which begins with a flush, or a close and an open again. */
export interface Barrier extends Submitted {
  readonly kind: 'flush' | 'compact' | 'reopen';
}

export type Operation = WriteOperation | Barrier;

/** Which write of which stream a value comes from. */
export interface ValueOrigin {
  readonly stream: number;
  readonly index: number;
  /** Place within the batch. */
  readonly place: number;
  readonly size: number;
}

/** A run of operations of one kind: lone ones, a crowd, batches … */
type Run = Generator<Omit<WriteOperation, 'index'> | Omit<Barrier, 'index'>, undefined>;

export class Workload {
  /** Names the stream in its values. */
  readonly stream: number;
  readonly #kind: WorkloadKind;
  readonly #random: Random;
  /** Mostly batches of several frames, so that the kill meets some of them half written. */
  readonly #heavy: boolean;
  #run: Run;
  #index = 0;

  constructor(seed: number, kind: WorkloadKind) {
    this.stream = seed >>> 0;
    this.#kind = kind;
    this.#random = new Random(seed);
    this.#heavy = kind === 'mixed' && this.#random.oneIn(4);
    this.#run = this.#nextRun();
  }

  next(): Operation {
    for (;;) {
      const { value } = this.#run.next();
      if (value !== undefined) return { ...value, index: this.#index++ };
      this.#run = this.#nextRun();
    }
  }

  #nextRun(): Run {
    if (this.#heavy && !this.#random.oneIn(4)) return this.#large();
    return this.#kind === 'mixed' ? this.#nextMixedRun() : this.#nextCompactionRun();
  }

  #nextMixedRun(): Run {
    const choice = this.#random.below(100);
    if (choice < 24) return this.#singles(this.#random.between(1, 20), 0, 0);
    if (choice < 46) return this.#singles(this.#random.between(50, 400), this.#random.between(16, 256), 20);
    if (choice < 56) return this.#singles(this.#random.between(20, 300), this.#random.between(1, 64), 100);
    if (choice < 78) return this.#batches(this.#random.between(1, 15), this.#random.between(0, 8));
    if (choice < 86) return this.#overwrites(this.#random.between(10, 80));
    if (choice < 93) return this.#large();
    return this.#barrier(choice < 98 ? 'flush' : 'reopen');
  }

  #nextCompactionRun(): Run {
    const random = this.#random;
    const choice = random.below(100);
    if (choice < 30) return this.#batches(random.between(3, 12), random.between(0, 8));
    if (choice < 42) return this.#singles(random.between(20, 100), random.between(16, 64), 80);
    if (choice < 55) return this.#neighbours(random.between(1, 6), false);
    if (choice < 65) return this.#neighbours(random.between(1, 4), true);
    if (choice < 80) return this.#ranges(random.between(1, 8));
    if (choice < 85) return this.#overwrites(random.between(10, 30));
    if (choice < 87) return this.#large();
    const barriers = ['flush', 'flush', 'compact', 'reopen'] as const;
    return this.#barrier(barriers[random.below(barriers.length)]);
  }

  /** Batches of keys that follow each other in the database's order, all of them written, or all deleted. */
  *#neighbours(count: number, areDeleted: boolean): Run {
    const order = keysInOrder();
    for (let i = 0; i < count; i++) {
      const first = this.#random.below(KEY_COUNT);
      const writes = order
        .slice(first, first + this.#random.between(20, 300))
        .map((key) => (areDeleted ? { key, size: DELETED } : { key, size: this.#size() }));
      yield { kind: 'write', writes, batch: true, sync: this.#random.oneIn(4), window: 4 };
    }
  }

  /** Ranges that are deleted, alone or among other writes of a batch, which may put what the batch has just deleted. */
  *#ranges(count: number): Run {
    const random = this.#random;
    for (let i = 0; i < count; i++) {
      const batch = random.oneIn(2);
      const writes = batch
        ? [...this.#writes(random.below(10)), this.#range(), ...this.#writes(random.below(10)), this.#range()]
        : [this.#range()];
      yield { kind: 'write', writes, batch, sync: random.oneIn(3), window: random.between(0, 16) };
    }
  }

  /** Mostly of few keys, now and then of all behind one. */
  #range(): Write {
    const random = this.#random;
    const order = keysInOrder();
    const first = random.below(KEY_COUNT);
    const behind = first + (random.oneIn(10) ? random.between(1, KEY_COUNT / 4) : random.between(1, 30));
    return { key: order[first], size: RANGE_DELETED, end: behind < KEY_COUNT ? order[behind] : NO_END };
  }

  /** Puts and deletions of their own, a given percentage of them not durable when they resolve. */
  *#singles(count: number, window: number, unsyncedPercent: number): Run {
    for (let i = 0; i < count; i++) {
      const sync = this.#random.below(100) >= unsyncedPercent;
      yield { kind: 'write', writes: [this.#write()], batch: false, sync, window };
    }
  }

  *#batches(count: number, window: number): Run {
    for (let i = 0; i < count; i++) {
      const sync = !this.#random.oneIn(4);
      yield { kind: 'write', writes: this.#writes(this.#random.between(1, 200)), batch: true, sync, window };
    }
  }

  /** The same few keys again and again, batches among them. */
  *#overwrites(count: number): Run {
    const keys = [this.#key(), this.#key(), this.#key()];
    for (let i = 0; i < count; i++) {
      const batch = this.#random.oneIn(3);
      const writes = (batch ? keys : [keys[this.#random.below(keys.length)]]).map((key) => this.#write(key));
      yield { kind: 'write', writes, batch, sync: !this.#random.oneIn(3), window: 32 };
    }
  }

  /** More than a frame holds: one value, a batch that has such a value among others, or many that come to as much. */
  *#large(): Run {
    const random = this.#random;
    const large = { key: this.#key(), size: random.between(MEBIBYTE, VALUE_BYTES_MAX) };
    const forms = [
      [large],
      [...this.#writes(random.between(1, 40)), large, ...this.#writes(5)],
      Array.from({ length: random.between(60, 200) }, () => ({
        key: this.#key(),
        size: random.between(20_000, 40_000),
      })),
    ];
    const writes = forms[random.below(forms.length)];
    const window = random.oneIn(2) ? 0 : 64;
    yield { kind: 'write', writes, batch: writes.length > 1, sync: !random.oneIn(4), window };
    // Some that queue behind it.
    yield* this.#singles(random.between(0, 10), 64, 20);
  }

  *#barrier(kind: Barrier['kind']): Run {
    // Reopening settles first: a write that a close refuses would be neither acknowledged nor submitted.
    yield { kind, window: kind === 'reopen' ? 0 : this.#random.below(64) };
  }

  #writes(count: number): Write[] {
    return Array.from({ length: count }, () => this.#write());
  }

  #write(key = this.#key()): Write {
    return { key, size: this.#random.oneIn(6) ? DELETED : this.#size() };
  }

  #key(): number {
    return this.#random.below(KEY_COUNT);
  }

  /** Most are small, as values are; some fill pages; a few fill blocks many times over. */
  #size(): number {
    const random = this.#random;
    const choice = random.below(1000);
    if (choice < 50) return 0;
    if (choice < 150) return random.between(1, 20);
    if (choice < 800) return random.between(20, 400);
    if (choice < 960) return random.between(400, 5000);
    if (choice < 994) return random.between(5000, 40_000);
    return random.between(40_000, 300_000);
  }
}

/** Configurations that flush, change logs and append to the manifest all the time. */
export function optionsOf(
  seed: number,
  kind: WorkloadKind,
  backend: 'auto' | 'uring' | 'syscall',
): DatabaseOptions {
  const random = new Random(mix(seed ^ 0x0b7105));
  const isMixed = kind === 'mixed';
  return {
    writeBufferBytes: [65_536, 262_144, 262_144, 262_144, MEBIBYTE][random.below(isMixed ? 5 : 2)],
    ...(isMixed ? {} : { compaction: compactionOptionsOf(random), compression: compressionOf(random) }),
    blockBytes: [4096, 16_384, 16_384, 65_536][random.below(4)],
    blockCacheBytes: random.oneIn(3) ? 0 : 4 * MEBIBYTE,
    filterBitsPerKey: random.oneIn(6) ? 0 : 10,
    io: ioOf(backend),
  };
}

/** As many tables and levels as the smallest sizes give. */
function compactionOptionsOf(random: Random): CompactionOptions {
  return {
    l0Trigger: 2,
    l0Slowdown: random.between(3, 12),
    tableBytes: 65_536,
    baseBytes: 65_536,
    multiplier: random.between(2, 4),
    idleMs: random.between(1, 50),
    rateBytesPerSecond: random.oneIn(4) ? MEBIBYTE * random.between(4, 64) : random.oneIn(2) ? 0 : 'auto',
    priority: random.oneIn(2) ? 'idle' : 'best-effort',
    spareBytes: random.oneIn(3) ? 'auto' : MEBIBYTE * random.between(0, 4),
  };
}

/** One for all levels, or one for each; each life has another, so tables of all kinds are merged. */
function compressionOf(random: Random): CompressionName | CompressionName[] {
  const names = (['none', 'lz4', 'zstd'] as const).filter(isCompressionAvailable);
  const any = (): CompressionName => names[random.below(names.length)];
  return random.oneIn(2) ? any() : Array.from({ length: random.between(2, 7) }, any);
}

let orderedKeys: readonly number[] | undefined;

/** The key set in the database's order. */
export function keysInOrder(): readonly number[] {
  orderedKeys ??= Array.from({ length: KEY_COUNT }, (_, key) => ({ key, bytes: keyOf(key) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key }) => key);
  return orderedKeys;
}

/** Those that a write changes: one, or all of a range. */
export function keysOf({ key, end }: Write): readonly number[] {
  if (end === undefined) return [key];
  const order = keysInOrder();
  return order.slice(order.indexOf(key), end === NO_END ? KEY_COUNT : order.indexOf(end));
}

/** Keys of many lengths; neighbours share long prefixes. */
export function keyOf(key: number): Buffer {
  const padding = mix(key + 1) >>> 0;
  const name = `${'abc'[key % 3]}/${'~'.repeat(padding % KEY_PADDING_MAX)}/${key}`;
  return Buffer.from(key % 7 === 0 ? `${name}\0\xff` : name, 'latin1');
}

let randomText: Buffer | undefined;

function text(): Buffer {
  if (randomText !== undefined) return randomText;
  const random = new Random(0x7e87);
  const words = new Uint32Array(TEXT_BYTES / 4);
  for (let i = 0; i < words.length; i++) words[i] = random.bits();
  randomText = Buffer.from(words.buffer);
  return randomText;
}

const STAMP_BYTES = 20;

/** Origin, as it stands at the head of a value; the first word is a mix, so that short values differ as well. */
function stamp({ stream, index, place, size }: ValueOrigin): Buffer {
  const bytes = Buffer.alloc(STAMP_BYTES);
  bytes.writeInt32LE(mix(mix(mix(stream) ^ index) + place), 0);
  bytes.writeUInt32LE(stream, 4);
  bytes.writeUInt32LE(index, 8);
  bytes.writeUInt32LE(place, 12);
  bytes.writeUInt32LE(size, 16);
  return bytes;
}

/** REQUIRES: the origin is not a deletion. */
export function valueOf(origin: ValueOrigin): Buffer {
  const head = stamp(origin);
  const start = head.readUInt32LE(0) % VALUE_BYTES_MAX;
  const value = Buffer.from(text().subarray(start, start + origin.size));
  head.copy(value, 0, 0, Math.min(STAMP_BYTES, value.length));
  return value;
}

/** Where a value says it comes from, for messages. */
export function describeValue(value: Uint8Array | undefined): string {
  if (value === undefined) return 'nothing';
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes.length < STAMP_BYTES) return `${bytes.length} bytes (0x${bytes.toString('hex')})`;
  const origin = `stream ${bytes.readUInt32LE(4)}, operation ${bytes.readUInt32LE(8)}, place ${bytes.readUInt32LE(12)}`;
  return `${bytes.length} bytes, which say ${origin}, ${bytes.readUInt32LE(16)} bytes`;
}
