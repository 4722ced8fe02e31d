/**
 * A database of simulated tables: memtable, levels, the real compaction picker, and what all of it costs in bytes.
 * Benchmarks only.
 */
import { must } from '../../src/assert.ts';
import { LEVEL_COUNT } from '../../src/format/limits.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import type { Compaction } from '../../src/main/compaction.ts';
import { pickCompaction } from '../../src/main/compaction-picker.ts';
import type { CompactionPolicy } from '../../src/main/compaction-policy.ts';
import { compareKeys } from '../../src/main/range.ts';
import type { LevelsView } from '../../src/main/levels-view.ts';
import {
  concatenated,
  cutWords,
  type EntrySizes,
  findWord,
  keyBytesOf,
  makeTable,
  mergeWords,
  type SimulatedTable,
  sortedLatest,
  withoutDeadDeletions,
} from './simulated-tables.ts';

export interface SimulationOptions {
  readonly policy: CompactionPolicy;
  readonly sizes: EntrySizes;
  readonly writeBufferBytes: number;
  readonly alignedShare: number;
  /** Bytes that compactions may write for each byte that is flushed; Infinity: they are always done at once. */
  readonly compactionRate: number;
}

export interface LevelCosts {
  compactions: number;
  moves: number;
  /** Into this level. */
  bytesWritten: number;
}

export interface ReadCosts {
  /** Tables whose keys reach around the one that is looked for, on average. */
  readonly tables: number;
  /** Blocks that are read, with a filter that passes one foreign key of a hundred. */
  readonly blocks: number;
}

/** A compaction that takes longer holds writes up from so many tables of level 0 on. */
const L0_STOP = 20;
const FILTER_PASS_RATE = 0.01;

export class SimulatedDatabase {
  readonly #options: SimulationOptions;
  readonly #levels: SimulatedTable[][] = Array.from({ length: LEVEL_COUNT }, () => []);
  readonly #pointers: (Uint8Array | undefined)[] = new Array<undefined>(LEVEL_COUNT).fill(undefined);
  readonly #written: Uint32Array;
  #writtenCount = 0;
  #writtenBytes = 0;
  #nextNumber = 1;
  #sequence = 0;
  #budget = 0;
  #costs: LevelCosts[] = [];
  flushedBytes = 0;
  /** Bytes of the largest compaction. */
  largestBytes = 0;
  /** Longest pick, in milliseconds. */
  longestPickMs = 0;
  picks = 0;
  pickMs = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#written = new Uint32Array(
      Math.ceil(options.writeBufferBytes / Math.min(options.sizes.putBytes, options.sizes.deletionBytes)) + 1,
    );
    this.forgetCosts();
  }

  get view(): LevelsView {
    return { levels: this.#levels.map((tables) => tables.map(({ description }) => description)) };
  }

  get costs(): readonly LevelCosts[] {
    return this.#costs;
  }

  forgetCosts(): void {
    this.#costs = this.#levels.map(() => ({ compactions: 0, moves: 0, bytesWritten: 0 }));
    this.flushedBytes = 0;
    this.largestBytes = 0;
    this.longestPickMs = 0;
    this.picks = 0;
    this.pickMs = 0;
  }

  /** Puts keys 0 to `count` − 1 into the last level, at no cost. */
  preload(count: number): void {
    const words = Uint32Array.from({ length: count }, (_, key) => 2 * key);
    this.#levels[LEVEL_COUNT - 1] = this.#cut(words, [], LEVEL_COUNT - 1);
  }

  /** Compactions follow, as far as they may. */
  write(key: number, isDeletion: boolean): void {
    const { sizes, writeBufferBytes } = this.#options;
    this.#written[this.#writtenCount++] = 2 * key + Number(isDeletion);
    this.#writtenBytes += isDeletion ? sizes.deletionBytes : sizes.putBytes;
    if (this.#writtenBytes >= writeBufferBytes) this.#flush();
  }

  /** Compactions as when nothing is written for a while. */
  settle(): void {
    if (this.#writtenCount > 0) this.#flush();
    while (this.#compact(true) > 0);
  }

  #flush(): void {
    this.#sequence++;
    const words = sortedLatest(this.#written, this.#writtenCount);
    const table = this.#make(words, 0);
    this.#levels[0].unshift(table);
    this.flushedBytes += table.description.fileBytes;
    this.#budget = Math.min(this.#budget, 0) + this.#options.compactionRate * table.description.fileBytes;
    this.#writtenCount = 0;
    this.#writtenBytes = 0;
    while (this.#budget > 0 || this.#levels[0].length >= L0_STOP) {
      const bytes = this.#compact(false);
      if (bytes < 0) break;
      this.#budget -= bytes;
    }
  }

  /** Bytes that were written; −1: there was nothing to do. A move counts as one byte. */
  #compact(isIdle: boolean): number {
    const state = { pointers: this.#pointers, oldestSnapshot: Infinity, isIdle };
    const { view } = this;
    const begun = performance.now();
    const compaction = pickCompaction(view, this.#options.policy, state);
    const took = performance.now() - begun;
    this.picks++;
    this.pickMs += took;
    this.longestPickMs = Math.max(this.longestPickMs, took);
    return compaction === undefined ? -1 : this.#apply(compaction);
  }

  #apply(compaction: Compaction): number {
    const { inputLevel, outputLevel, inputs, outputInputs, isTrivialMove, older, grandparents } = compaction;
    const taken = this.#take(inputLevel, inputs);
    const merged = outputLevel === inputLevel ? [] : this.#take(outputLevel, outputInputs);
    this.#pointers[inputLevel] = compaction.pointer;
    const costs = this.#costs[outputLevel];
    let outputs: SimulatedTable[];
    if (isTrivialMove) {
      costs.moves++;
      outputs = taken.map(({ description, words }) => ({
        description: { ...description, level: outputLevel },
        words,
      }));
    } else {
      const newer =
        inputLevel === 0 ? taken.map(({ words }) => words).reduce(mergeWords) : concatenated(taken);
      const words = withoutDeadDeletions(mergeWords(newer, concatenated(merged)), older);
      outputs = this.#cut(words, grandparents, outputLevel);
      costs.compactions++;
    }
    this.#levels[outputLevel] = [...this.#levels[outputLevel], ...outputs].sort((a, b) =>
      compareKeys(a.description.smallestKey, b.description.smallestKey),
    );
    if (isTrivialMove) return 1;
    const bytes = outputs.reduce((sum, { description }) => sum + description.fileBytes, 0);
    costs.bytesWritten += bytes;
    this.largestBytes = Math.max(this.largestBytes, bytes);
    return Math.max(bytes, 1);
  }

  #take(level: number, descriptions: readonly TableDescription[]): SimulatedTable[] {
    const numbers = new Set(descriptions.map(({ number }) => number));
    const taken = this.#levels[level].filter(({ description }) => numbers.has(description.number));
    this.#levels[level] = this.#levels[level].filter(({ description }) => !numbers.has(description.number));
    return taken;
  }

  #cut(words: Uint32Array, grandparents: readonly TableDescription[], level: number): SimulatedTable[] {
    const { policy, sizes, alignedShare } = this.#options;
    const { tableBytes, grandparentBytesMax } = policy;
    return cutWords(words, grandparents, { ...sizes, tableBytes, grandparentBytesMax, alignedShare }).map(
      (part) => this.#make(part, level),
    );
  }

  #make(words: Uint32Array, level: number): SimulatedTable {
    const { sizes } = this.#options;
    return makeTable(words, { number: this.#nextNumber++, level, sequence: this.#sequence }, sizes);
  }

  get bytes(): number {
    return this.#levels.flat().reduce((sum, { description }) => sum + description.fileBytes, 0);
  }

  /** Bytes of the newest entries of keys that are not deleted: what a database without amplification would have. */
  get liveBytes(): number {
    let words: Uint32Array = new Uint32Array(0);
    for (const { words: older } of this.#levels[0]) words = mergeWords(words, older);
    for (const tables of this.#levels.slice(1)) words = mergeWords(words, concatenated(tables));
    let live = 0;
    for (const word of words) live += 1 - (word & 1);
    return live * this.#options.sizes.putBytes;
  }

  readCosts(keys: readonly number[]): ReadCosts {
    let tables = 0;
    let blocks = 0;
    for (const key of keys) {
      const bytes = keyBytesOf(key);
      search: for (const level of this.#levels) {
        for (const { description, words } of level) {
          if (
            compareKeys(description.smallestKey, bytes) > 0 ||
            compareKeys(description.largestKey, bytes) < 0
          ) {
            continue;
          }
          tables++;
          const word = findWord(words, key);
          blocks += word < 0 ? FILTER_PASS_RATE : 1;
          if (word >= 0) break search;
        }
      }
    }
    return { tables: tables / must(keys.length, 'keys'), blocks: blocks / keys.length };
  }
}
