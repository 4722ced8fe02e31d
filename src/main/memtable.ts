/**
 * A memtable: a hash table over nodes, and the order of their keys (key-order.ts). Owner only; once frozen, the flush thread reads
 * the arena in place (its layout is in protocol/arena.ts).
 *
 * The hash table answers point lookups: a miss touches one slot, a hit one slot and the node. Slots are {hash, node} pairs, probed
 * linearly, at most three quarters full, and name the newest version of a key. The order is what a scan and a flush need; when
 * nothing is added any more, the flush thread finds it behind the nodes:
 *
 *     ┌───────┬───────────────────────────────┬──────────────┬────────┬──────────────────────────┐
 *     │ words │ nodes, in order of insertion… │ nodes by key │  free  │ slots: hash, node; hash… │
 *     └───────┴───────────────────────────────┴──────────────┴────────┴──────────────────────────┘
 *
 * Range tombstones are nodes of neither: reads find them in `rangeTombstones`, beside the arena.
 */
import { assert } from '../assert.ts';
import { KIND_RANGE_TOMBSTONE } from '../format/limits.ts';
import { RangeTombstones, type IsSeen, type RangeTombstone } from '../format/range-tombstones.ts';
import {
  FIRST_NODE_AT,
  KEYS_WORD,
  keyLengthOf,
  newestVersion,
  NODE_HASH,
  NODE_HEADER_BYTES,
  NODE_KEY,
  NODE_LINK,
  NODE_OLDER,
  NODE_SEQUENCE_HIGH,
  NODE_SEQUENCE_LOW,
  NODE_VALUE_LENGTH,
  ORDER_WORD,
  RANGE_TOMBSTONES_WORD,
  rangeTombstoneAt,
} from '../protocol/arena.ts';
import { copyBytes } from './bytes.ts';
import { copyWordsTo } from './copy-words.ts';
import { KeyOrder } from './key-order.ts';

const TWO_32 = 0x1_0000_0000;
/** One slot for so many bytes of arena. */
const BYTES_PER_SLOT = 64;
const SLOT_BYTES = 8;
/** Of a key's place among the nodes by key. */
const ORDER_BYTES = 4;
/** Beside key and value an entry has its fields, padding, and its key's place in the order. */
const ENTRY_OVERHEAD = NODE_HEADER_BYTES + 3 + ORDER_BYTES;

/** With so many range tombstones, counted by fragment, a memtable is full: with more each one added or asked costs more. */
const RANGE_TOMBSTONES_MAX = 8192;

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
  /** By key; of each key its first version. */
  readonly order: KeyOrder;
  #brk = FIRST_NODE_AT;
  #keys = 0;
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
    this.order = new KeyOrder(this.bytes, this.#words);
  }

  /** Bytes of an arena in which a batch of `entries` with `rawBytes` of keys and values has room. */
  static arenaBytesFor(entries: number, rawBytes: number): number {
    const nodes = FIRST_NODE_AT + rawBytes + entries * ENTRY_OVERHEAD;
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
    this.order.reset();
    this.#brk = FIRST_NODE_AT;
    this.#keys = 0;
    this.rangeTombstones = null;
    this.entries = 0;
    this.rawBytes = 0;
    this.firstSequence = 0;
    this.lastSequence = 0;
    this.firstLog = 0;
  }

  /** Of the nodes, and of what their order will take. */
  get usedBytes(): number {
    return this.#brk + this.#keys * ORDER_BYTES;
  }

  /** How much of its room is used, 0 to 1. */
  get fill(): number {
    return Math.max(this.usedBytes / this.#nodesEnd, (this.entries * 4) / ((this.#slotMask + 1) * 3));
  }

  /** Whether `entries` more, with `rawBytes` of keys and values, fit for certain. */
  hasRoom(entries: number, rawBytes: number): boolean {
    return (
      this.usedBytes + rawBytes + entries * ENTRY_OVERHEAD <= this.#nodesEnd &&
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
    const node = this.#append(key, keyStart, keyLength, kind, sequence, value, valueStart, valueLength);
    const at = node >> 2;
    words[at + NODE_HASH] = hash;
    const older = this.#index(node, hash, key, keyStart, keyLength);
    words[at + NODE_OLDER] = older;
    if (older === 0) {
      words[at + NODE_LINK] = node;
      this.#keys++;
      this.order.add(node);
      return;
    }
    const olderAt = older >> 2;
    const first = words[olderAt + NODE_OLDER] === 0 ? older : words[olderAt + NODE_LINK];
    words[at + NODE_LINK] = first;
    words[(first >> 2) + NODE_LINK] = node;
  }

  /**
   * Puts a part of the nodes in the order in which the flush thread reads them, some milliseconds' worth at most, and says
   * whether all are. REQUIRES: nothing is added any more.
   */
  finish(): boolean {
    if (!this.order.settleSome()) return false;
    const words = this.#words;
    assert(this.usedBytes <= this.#nodesEnd, 'the order has room below the slots');
    words[ORDER_WORD] = this.#brk;
    words[KEYS_WORD] = this.order.writeTo(this.bytes, this.#brk);
    assert(words[KEYS_WORD] === this.#keys, 'each key is once in the order');
    return true;
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
    const node = this.#append(records, start, startLength, kind, sequence, records, end, endLength);
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

  /** Takes memory for a node, fills it but for what the order and the hash table need, and counts it. */
  #append(
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
    const node = this.#brk;
    const end = (node + NODE_HEADER_BYTES + keyLength + valueLength + 3) & ~3;
    assert(end <= this.#nodesEnd, 'an entry has room below the slots');
    const at = node >> 2;
    words[at + NODE_KEY] = keyLength | (kind << 16);
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
    // Most lines of an empty table are in no cache either.
    if (this.entries === 0) return false;
    const words = this.#words;
    const mask = this.#slotMask;
    const slotsAt = this.#slotsAt;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const node = words[slotsAt + 2 * slot + 1];
      if (node === 0) return false;
      if (words[slotsAt + 2 * slot] === hash && this.#hasKey(node, key, 0, keyLength)) {
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
    found.kind = keyWordOf >>> 16;
    found.valueStart = node + NODE_HEADER_BYTES + (keyWordOf & 0xffff);
    found.valueLength = words[at + NODE_VALUE_LENGTH]!;
    found.sequence = this.sequenceOf(node);
  }

  /** The newest version of the key whose first version is `first`. */
  newestVersion(first: number): number {
    return newestVersion(this.#words, first);
  }

  /** The previous version of the node's key; 0 if there is none. */
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
    return keyLengthOf(this.#words, node);
  }

  /** A view of the node's key. */
  keyOf(node: number): Uint8Array {
    const start = this.keyStartOf(node);
    return this.bytes.subarray(start, start + this.keyLengthOf(node));
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
    if (keyLengthOf(this.#words, node) !== keyLength) return false;
    const bytes = this.bytes;
    const start = node + NODE_HEADER_BYTES;
    for (let i = 0; i < keyLength; i++) if (bytes[start + i] !== key[keyStart + i]) return false;
    return true;
  }
}
