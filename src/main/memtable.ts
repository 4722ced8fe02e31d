/**
 * A memtable: skiplist (arena-list.ts) and hash table in one arena. Owner only; once frozen, the flush thread reads the arena in place
 * (its layout is in protocol/arena.ts).
 *
 * The skiplist gives the order that a flush and a scan need; the hash table answers point lookups: a miss touches one
 * slot, a hit one slot and the node. Slots are {hash, node} pairs, probed linearly, at most three quarters full:
 *
 *     ┌──────┬──────┬───────────────────────────────┬────────┬──────────────────────────┐
 *     │ null │ head │ nodes, in order of insertion… │  free  │ slots: hash, node; hash… │
 *     └──────┴──────┴───────────────────────────────┴────────┴──────────────────────────┘
 *
 * Range tombstones are nodes of neither: reads find them in `rangeTombstones`, beside the arena.
 */
import { assert } from '../assert.ts';
import { KIND_RANGE_TOMBSTONE } from '../format/limits.ts';
import { RangeTombstones, type IsSeen, type RangeTombstone } from '../format/range-tombstones.ts';
import {
  HEAD_OFFSET,
  HEIGHT_MAX,
  NODE_HASH,
  NODE_HEADER_BYTES,
  NODE_KEY,
  NODE_OLDER,
  NODE_PREFIX_HIGH,
  NODE_PREFIX_LOW,
  NODE_SEQUENCE_HIGH,
  NODE_SEQUENCE_LOW,
  NODE_VALUE_LENGTH,
  RANGE_TOMBSTONES_WORD,
  rangeTombstoneAt,
} from '../protocol/arena.ts';
import { ArenaList, keyWord } from './arena-list.ts';
import { copyBytes } from './bytes.ts';
import { copyWordsTo } from './copy-words.ts';

const TWO_32 = 0x1_0000_0000;
/** One slot for so many bytes of arena. */
const BYTES_PER_SLOT = 64;
const SLOT_BYTES = 8;
const FIRST_NODE_AT = HEAD_OFFSET + NODE_HEADER_BYTES;
/** Beside key and value an entry has its fields, padding, and a tower of 1.33 levels on average: two are allowed for. */
const ENTRY_OVERHEAD = NODE_HEADER_BYTES + 4 + 4 * 2;
/** Where entries are few their towers may all be of the full height. */
const TALL_ENTRIES = 64;

/** With so many range tombstones, counted by fragment, a memtable is full: with more each one added or asked costs more. */
const RANGE_TOMBSTONES_MAX = 8192;

/** Bytes that so many entries take beside keys and values; what exceeds it is asserted against at each insertion. */
function overheadOf(entries: number): number {
  return entries * ENTRY_OVERHEAD + Math.min(entries, TALL_ENTRIES) * 4 * HEIGHT_MAX;
}

/** Where `Memtable.find` found a version. */
export interface MemtableEntry {
  kind: number;
  valueStart: number;
  valueLength: number;
  sequence: number;
}

export class Memtable {
  readonly buffer: SharedArrayBuffer;
  /** What requests call this arena. */
  readonly region: number;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  /** At any place. */
  readonly #view: DataView<SharedArrayBuffer>;
  readonly #slotsAt: number;
  readonly #slotMask: number;
  readonly #nodesEnd: number;
  readonly #list: ArenaList;
  #brk = FIRST_NODE_AT;
  #random = 0x9e37_79b9 | 0;
  /** Those that reads see; null while there are none. */
  rangeTombstones: RangeTombstones | null = null;
  /** Range tombstones included. */
  entries = 0;
  /** Bytes of keys and values. */
  rawBytes = 0;
  firstSequence = 0;
  lastSequence = 0;
  /** Number of the log that holds its first entry. */
  firstLog = 0;

  /** REQUIRES: the buffer is zero, or was used by a memtable that has been reset. */
  constructor(buffer: SharedArrayBuffer, region: number) {
    this.buffer = buffer;
    this.region = region;
    this.bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#view = new DataView(buffer);
    const slots = 1 << (31 - Math.clz32(Math.max(buffer.byteLength / BYTES_PER_SLOT, 16)));
    this.#slotMask = slots - 1;
    this.#nodesEnd = buffer.byteLength - slots * SLOT_BYTES;
    this.#slotsAt = this.#nodesEnd >> 2;
    this.#list = new ArenaList(this.bytes, this.#words);
  }

  /** Bytes of an arena in which a batch of `entries` with `rawBytes` of keys and values has room. */
  static arenaBytesFor(entries: number, rawBytes: number): number {
    const nodes = FIRST_NODE_AT + rawBytes + overheadOf(entries);
    // Slots take an eighth; a table of tiny entries needs room for three quarters of its slots.
    const bytes = Math.max(Math.ceil((nodes * 8) / 7), entries * BYTES_PER_SLOT * 3);
    return Math.ceil(bytes / 65_536) * 65_536;
  }

  /** Forgets everything. REQUIRES: nobody reads the arena. One that was not written to is not touched: it takes no memory. */
  reset(): void {
    if (this.entries === 0) return;
    const words = this.#words;
    words.fill(0, this.#slotsAt);
    words.fill(0, 0, FIRST_NODE_AT >> 2);
    this.#list.reset();
    this.#brk = FIRST_NODE_AT;
    this.rangeTombstones = null;
    this.entries = 0;
    this.rawBytes = 0;
    this.firstSequence = 0;
    this.lastSequence = 0;
    this.firstLog = 0;
  }

  get usedBytes(): number {
    return this.#brk;
  }

  /** How much of its room is used, 0 to 1. */
  get fill(): number {
    return Math.max(this.#brk / this.#nodesEnd, (this.entries * 4) / ((this.#slotMask + 1) * 3));
  }

  /** Whether `entries` more, with `rawBytes` of keys and values, fit for certain. */
  hasRoom(entries: number, rawBytes: number): boolean {
    return (
      this.#brk + rawBytes + overheadOf(entries) <= this.#nodesEnd &&
      (this.entries + entries) * 4 <= (this.#slotMask + 1) * 3 &&
      (this.rangeTombstones === null || this.rangeTombstones.tombstoneCount < RANGE_TOMBSTONES_MAX)
    );
  }

  /** Adds a version. REQUIRES: room, and a sequence number above all others here. */
  insert(
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    hash: number,
    kind: number,
    sequence: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): void {
    const words = this.#words;
    const height = this.#randomHeight();
    const node = this.#append(
      height,
      key,
      keyStart,
      keyLength,
      kind,
      sequence,
      value,
      valueStart,
      valueLength,
    );
    const at = node >> 2;
    words[at + NODE_HASH] = hash;
    words[at + NODE_PREFIX_HIGH] = keyWord(key, keyStart, keyLength, 0);
    words[at + NODE_PREFIX_LOW] = keyWord(key, keyStart, keyLength, 4);
    words[at + NODE_OLDER] = this.#index(node, hash, key, keyStart, keyLength);
    this.#list.add(node, height);
  }

  /** Puts about as many nodes in the order in which the flush thread reads them, and says whether all are. */
  finish(count: number): boolean {
    return this.#list.linkSome(count);
  }

  /**
   * Adds the range tombstone of the keys from `records[start, + startLength)` on and before `records[end, + endLength)`, but
   * for reads, which see it with `showRanges`; gives it back. REQUIRES: what `insert` does.
   */
  insertRange(
    records: Uint8Array,
    start: number,
    startLength: number,
    end: number,
    endLength: number,
    sequence: number,
  ): RangeTombstone {
    const words = this.#words;
    const kind = KIND_RANGE_TOMBSTONE;
    const node = this.#append(0, records, start, startLength, kind, sequence, records, end, endLength);
    words[(node >> 2) + NODE_OLDER] = words[RANGE_TOMBSTONES_WORD];
    words[RANGE_TOMBSTONES_WORD] = node;
    return rangeTombstoneAt(node, this.bytes, words);
  }

  /** Lets reads see range tombstones that were inserted. */
  showRanges(inserted: RangeTombstones, isSeen: IsSeen): void {
    this.rangeTombstones ??= new RangeTombstones();
    for (const { start, end, sequences } of inserted.fragments) {
      for (const sequence of sequences) this.rangeTombstones.add({ start, end, sequence }, isSeen);
    }
  }

  /** Takes memory for a node, fills it but for what the list and the hash table need, and counts it. */
  #append(
    height: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    kind: number,
    sequence: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): number {
    assert(sequence > this.lastSequence, 'sequence numbers grow');
    const words = this.#words;
    const bytes = this.bytes;
    const node = this.#brk + 4 * height;
    const end = (node + NODE_HEADER_BYTES + keyLength + valueLength + 3) & ~3;
    assert(end <= this.#nodesEnd, 'an entry has room below the slots');
    const at = node >> 2;
    words[at + NODE_KEY] = keyLength | (kind << 16) | (height << 24);
    words[at + NODE_VALUE_LENGTH] = valueLength;
    words[at + NODE_SEQUENCE_LOW] = sequence % TWO_32;
    words[at + NODE_SEQUENCE_HIGH] = Math.floor(sequence / TWO_32);
    copyBytes(key, keyStart, keyLength, bytes, node + NODE_HEADER_BYTES);
    copyWordsTo(value, valueStart, valueLength, bytes, this.#view, node + NODE_HEADER_BYTES + keyLength);
    this.#brk = end;
    if (this.entries === 0) this.firstSequence = sequence;
    this.entries++;
    this.rawBytes += keyLength + valueLength;
    this.lastSequence = sequence;
    return node;
  }

  /** HOT. The newest version of a key at or below `visibleSequence`; false if there is none. */
  find(
    key: Uint8Array,
    keyLength: number,
    hash: number,
    visibleSequence: number,
    found: MemtableEntry,
  ): boolean {
    return this.#findVersion(key, 0, keyLength, hash, visibleSequence, found);
  }

  #findVersion(
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    hash: number,
    visibleSequence: number,
    found: MemtableEntry,
  ): boolean {
    // Most lines of an empty table are in no cache either.
    if (this.entries === 0) return false;
    const words = this.#words;
    const mask = this.#slotMask;
    const slotsAt = this.#slotsAt;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const node = words[slotsAt + 2 * slot + 1];
      if (node === 0) return false;
      if (words[slotsAt + 2 * slot] === hash && this.#hasKey(node, key, keyStart, keyLength)) {
        return this.#readVersion(node, visibleSequence, found);
      }
    }
  }

  #readVersion(newest: number, visibleSequence: number, found: MemtableEntry): boolean {
    for (let node = newest; node !== 0; node = this.olderVersion(node)) {
      if (this.sequenceOf(node) > visibleSequence) continue;
      this.readNode(node, found);
      return true;
    }
    return false;
  }

  /** What a node holds beside its key. */
  readNode(node: number, found: MemtableEntry): void {
    const words = this.#words;
    const at = node >> 2;
    const keyWordOf = words[at + NODE_KEY];
    found.kind = (keyWordOf >>> 16) & 0xff;
    found.valueStart = node + NODE_HEADER_BYTES + (keyWordOf & 0xffff);
    found.valueLength = words[at + NODE_VALUE_LENGTH]!;
    found.sequence = this.sequenceOf(node);
  }

  /** The first node, 0 if there is none. Nodes are in the order of keys, versions of one key newest first. */
  get firstNode(): number {
    return this.#list.first;
  }

  /** The last node, 0 if there is none. */
  get lastNode(): number {
    return this.#list.last;
  }

  /** The node behind `node`, 0 at the end; of what was inserted since the way to it was looked for, some may be left out. */
  nodeAfter(node: number): number {
    return this.#words[(node >> 2) - 1];
  }

  /** The previous version of the node's key, which is also the node behind it; 0 if there is none. */
  olderVersion(node: number): number {
    return this.#words[(node >> 2) + NODE_OLDER];
  }

  sequenceOf(node: number): number {
    const at = node >> 2;
    return (this.#words[at + NODE_SEQUENCE_LOW] >>> 0) + this.#words[at + NODE_SEQUENCE_HIGH] * TWO_32;
  }

  /** Where in `bytes` the node's key begins; its length is `keyLengthOf`. */
  keyStartOf(node: number): number {
    return node + NODE_HEADER_BYTES;
  }

  keyLengthOf(node: number): number {
    return this.#words[(node >> 2) + NODE_KEY] & 0xffff;
  }

  /** A view of the node's key. */
  keyOf(node: number): Uint8Array {
    const start = this.keyStartOf(node);
    return this.bytes.subarray(start, start + this.keyLengthOf(node));
  }

  /** The first node whose key is not before `key`; 0 if there is none. */
  firstNodeFrom(key: Uint8Array, keyLength: number): number {
    return this.nodeAfter(this.#list.lastBefore(key, 0, keyLength));
  }

  /** The last node whose key is before `key[keyStart, + keyLength)`; 0 if there is none. */
  lastNodeBefore(key: Uint8Array, keyStart: number, keyLength: number): number {
    const node = this.#list.lastBefore(key, keyStart, keyLength);
    return node === HEAD_OFFSET ? 0 : node;
  }

  /** The newest version at or below `visibleSequence` of the node's key; false if there is none. */
  readVisible(node: number, visibleSequence: number, found: MemtableEntry): boolean {
    const words = this.#words;
    const hash = words[(node >> 2) + NODE_HASH];
    return this.#findVersion(
      this.bytes,
      this.keyStartOf(node),
      this.keyLengthOf(node),
      hash,
      visibleSequence,
      found,
    );
  }

  /** Makes the hash table name `node` for its key; returns the version it named before, or 0. */
  #index(node: number, hash: number, key: Uint8Array, keyStart: number, keyLength: number): number {
    const words = this.#words;
    const mask = this.#slotMask;
    const slotsAt = this.#slotsAt;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = slotsAt + 2 * slot;
      const other = words[at + 1];
      if (other === 0) {
        words[at] = hash;
        words[at + 1] = node;
        return 0;
      }
      if (words[at] === hash && this.#hasKey(other, key, keyStart, keyLength)) {
        words[at + 1] = node;
        return other;
      }
    }
  }

  #hasKey(node: number, key: Uint8Array, keyStart: number, keyLength: number): boolean {
    if ((this.#words[(node >> 2) + NODE_KEY] & 0xffff) !== keyLength) return false;
    const bytes = this.bytes;
    const start = node + NODE_HEADER_BYTES;
    for (let i = 0; i < keyLength; i++) if (bytes[start + i] !== key[keyStart + i]) return false;
    return true;
  }

  /** Each level has a quarter of the one below. */
  #randomHeight(): number {
    let random = this.#random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    this.#random = random;
    let height = 1;
    while (height < HEIGHT_MAX && (random & 3) === 0) {
      height++;
      random >>>= 2;
    }
    return height;
  }
}
