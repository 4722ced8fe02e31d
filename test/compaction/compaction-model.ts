/**
 * A database without bytes, to apply picked compactions to: tables that know each version of each key, what was ever
 * written, and which numbers are read at. Keys are single bytes, 0 to KEYS − 1.
 */
import { assert, must } from '../../src/assert.ts';
import { LEVEL_COUNT } from '../../src/format/limits.ts';
import { NOT_COVERED, type RangeTombstone, RangeTombstones } from '../../src/format/range-tombstones.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import type { Compaction } from '../../src/main/compaction.ts';
import { type KeySpan, overlaps } from '../../src/main/key-span.ts';
import type { LevelsView } from '../../src/main/levels-view.ts';
import { Visibility } from '../../src/workers/visibility.ts';
import { checkCompaction } from './compaction-rules.ts';

export const KEYS = 24;

interface Version {
  readonly key: number;
  readonly sequence: number;
  readonly isDeletion: boolean;
}

interface Content {
  /** By key, then newest first. */
  readonly versions: readonly Version[];
  readonly tombstones: RangeTombstones;
}

interface ModelTable extends Content {
  readonly description: TableDescription;
}

export interface ModelSizes {
  readonly tableBytes: number;
  readonly grandparentBytesMax: number;
}

const VERSION_BYTES = 10;
const TOMBSTONE_BYTES = 6;

export class CompactionModel {
  readonly #sizes: ModelSizes;
  #levels: ModelTable[][] = Array.from({ length: LEVEL_COUNT }, () => []);
  #memtable: Version[] = [];
  #memtableTombstones: RangeTombstone[] = [];
  #sequence = 0;
  #nextNumber = 1;
  /** Everything that was ever written. */
  readonly #history: Version[] = [];
  readonly #historyTombstones: RangeTombstone[] = [];
  /** Numbers that are read at, ascending. */
  readonly snapshots: number[] = [];
  readonly pointers: (Uint8Array | undefined)[] = new Array<undefined>(LEVEL_COUNT).fill(undefined);

  constructor(sizes: ModelSizes) {
    this.#sizes = sizes;
  }

  get view(): LevelsView {
    return { levels: this.#levels.map((tables) => tables.map(({ description }) => description)) };
  }

  get sequence(): number {
    return this.#sequence;
  }

  get nextNumber(): number {
    return this.#nextNumber;
  }

  get oldestSnapshot(): number {
    return this.snapshots[0] ?? Infinity;
  }

  write(key: number, isDeletion: boolean): void {
    const version = { key, sequence: ++this.#sequence, isDeletion };
    this.#memtable.push(version);
    this.#history.push(version);
  }

  /** KEYS as an end is no end. */
  deleteRange(start: number, end: number): void {
    const tombstone = { start: keyOf(start), end: endOf(end), sequence: ++this.#sequence };
    this.#memtableTombstones.push(tombstone);
    this.#historyTombstones.push(tombstone);
  }

  takeSnapshot(): void {
    if (this.snapshots.at(-1) !== this.#sequence) this.snapshots.push(this.#sequence);
  }

  flush(): void {
    const written = { versions: this.#memtable, tombstones: RangeTombstones.of(this.#memtableTombstones) };
    this.#memtable = [];
    this.#memtableTombstones = [];
    const content = this.#merged([written], () => true);
    if (content.versions.length > 0 || !content.tombstones.isEmpty) {
      this.#levels[0].unshift(this.#table(content, 0));
    }
  }

  /** Throws if the compaction breaks a rule. */
  apply(compaction: Compaction): void {
    checkCompaction(this.view, compaction);
    const { inputLevel, outputLevel, inputs, outputInputs, isTrivialMove, older, grandparents } = compaction;
    const taken = this.#take(inputLevel, inputs);
    const mergedInto = this.#take(outputLevel, outputInputs);
    if (isTrivialMove) {
      const moved = taken.map((table) => ({
        ...table,
        description: { ...table.description, level: outputLevel },
      }));
      this.#add(outputLevel, moved);
    } else {
      const content = this.#merged([...taken, ...mergedInto], (span) =>
        older.some((table) => overlaps(table, span)),
      );
      this.#add(outputLevel, this.#cut(content, grandparents, outputLevel));
    }
    if (inputLevel !== outputLevel) this.pointers[inputLevel] = compaction.pointer;
  }

  /** Throws unless every key reads as it was written, at every number that is read at, and newer lies above older. */
  check(): void {
    for (const tables of this.#levels.slice(1)) {
      for (let i = 1; i < tables.length; i++) {
        assert(
          !overlaps(tables[i - 1].description, tables[i].description),
          'tables of a sorted level do not overlap',
        );
      }
    }
    const memtable = {
      versions: this.#memtable,
      tombstones: RangeTombstones.of(this.#memtableTombstones),
    };
    const sources = [memtable, ...this.#levels.flat()];
    const history = {
      versions: this.#history,
      tombstones: RangeTombstones.of(this.#historyTombstones),
    };
    for (let key = 0; key < KEYS; key++) {
      let above = Infinity;
      for (const source of sources) {
        const numbers = numbersOf(source, key);
        if (numbers.length === 0) continue;
        assert(Math.max(...numbers) < above, 'newer lies above older');
        above = Math.min(...numbers);
      }
      for (const sequence of [...this.snapshots, this.#sequence]) {
        assert(
          read(sources, key, sequence) === read([history], key, sequence),
          'reads are as if nothing was merged',
        );
      }
    }
  }

  #take(level: number, descriptions: readonly TableDescription[]): ModelTable[] {
    const wanted = new Set(descriptions);
    const taken = this.#levels[level].filter(({ description }) => wanted.has(description));
    assert(taken.length === wanted.size, 'what is compacted is there');
    this.#levels[level] = this.#levels[level].filter(({ description }) => !wanted.has(description));
    return taken;
  }

  #add(level: number, tables: readonly ModelTable[]): void {
    this.#levels[level] = [...this.#levels[level], ...tables].sort(
      (a, b) => a.description.smallestKey[0] - b.description.smallestKey[0],
    );
  }

  /** What a compaction leaves. `mayHaveOlder`: whether older versions of a span's keys may be elsewhere. */
  #merged(contents: readonly Content[], mayHaveOlder: (span: KeySpan) => boolean): Content {
    const visibility = new Visibility(this.snapshots, Infinity);
    const tombstones = RangeTombstones.of(contents.flatMap((content) => tombstonesOf(content.tombstones)));
    const all = { versions: contents.flatMap(({ versions }) => versions), tombstones };
    const versions = all.versions
      .toSorted((a, b) => a.key - b.key || b.sequence - a.sequence)
      .filter(({ key, sequence, isDeletion }) => {
        const newer = numbersOf(all, key).filter((number) => number > sequence);
        if (newer.length > 0 && !visibility.isSeen(sequence, Math.min(...newer))) return false;
        return !isDeletion || !visibility.isSeenByAll(sequence) || mayHaveOlder(spanOfKey(key));
      });
    const kept = new RangeTombstones(
      tombstones.fragments
        .map((fragment) => {
          const span = { smallestKey: fragment.start, largestKey: fragment.end, largestKeyIsExclusive: true };
          const sequences = visibility
            .keptSequences(fragment.sequences)
            .filter((sequence) => !visibility.isSeenByAll(sequence) || mayHaveOlder(span));
          return { ...fragment, sequences };
        })
        .filter(({ sequences }) => sequences.length > 0),
    );
    return { versions, tombstones: kept };
  }

  /** Tables that end where they are large enough, or overlap too much of what is below. */
  #cut(
    { versions, tombstones }: Content,
    grandparents: readonly TableDescription[],
    level: number,
  ): ModelTable[] {
    const starts = tombstones.fragments.map(({ start }) => start[0]);
    const points = [...new Set([...versions.map(({ key }) => key), ...starts])].sort((a, b) => a - b);
    const tables: ModelTable[] = [];
    const add = (from: number, to: number): void => {
      const part = tombstones.within(
        from === points[0] ? undefined : keyOf(from),
        to === Infinity ? undefined : keyOf(to),
      );
      const content = { versions: versions.filter(({ key }) => key >= from && key < to), tombstones: part };
      tables.push(this.#table(content, level));
    };
    let from = points[0];
    for (const point of points.slice(1)) {
      const bytes = VERSION_BYTES * versions.filter(({ key }) => key >= from && key < point).length;
      const span = { smallestKey: keyOf(from), largestKey: keyOf(point), largestKeyIsExclusive: true };
      const below = grandparents.filter((table) => overlaps(table, span));
      const belowBytes = below.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
      if (bytes < this.#sizes.tableBytes && belowBytes <= this.#sizes.grandparentBytesMax) continue;
      add(from, point);
      from = point;
    }
    if (points.length > 0) add(from, Infinity);
    return tables;
  }

  #table(content: Content, level: number): ModelTable {
    const { versions, tombstones } = content;
    const { fragments } = tombstones;
    const numbers = [
      ...versions.map(({ sequence }) => sequence),
      ...fragments.flatMap(({ sequences }) => sequences),
    ];
    const keys = new Set(versions.map(({ key }) => key));
    const bytes = VERSION_BYTES * versions.length + TOMBSTONE_BYTES * fragments.length;
    const description = {
      ...spanOf(content),
      number: this.#nextNumber++,
      level,
      fileBytes: bytes,
      metaOffset: 0,
      entries: versions.length,
      deletions: versions.filter(({ isDeletion }) => isDeletion).length,
      overwritten: versions.length - keys.size,
      rangeTombstones: fragments.length,
      smallestSequence: Math.min(...numbers),
      largestSequence: Math.max(...numbers),
      rawBytes: bytes,
      createdAtSeconds: 0,
      createdAtSequence: this.#sequence,
    };
    return { ...content, description };
  }
}

function keyOf(key: number): Uint8Array {
  return Uint8Array.of(key);
}

function endOf(end: number): Uint8Array {
  return end >= KEYS ? new Uint8Array(0) : keyOf(end);
}

function spanOfKey(key: number): KeySpan {
  return { smallestKey: keyOf(key), largestKey: keyOf(key), largestKeyIsExclusive: false };
}

function spanOf({ versions, tombstones: { fragments } }: Content): KeySpan {
  const starts = [...versions.map(({ key }) => key), ...fragments.map(({ start }) => start[0])];
  const lastKey = versions.at(-1)?.key ?? -1;
  const end = fragments.at(-1)?.end;
  const endsBehind = end !== undefined && (end.length === 0 || end[0] > lastKey);
  return {
    smallestKey: keyOf(Math.min(...starts)),
    largestKey: endsBehind ? end : keyOf(lastKey),
    largestKeyIsExclusive: endsBehind,
  };
}

function tombstonesOf({ fragments }: RangeTombstones): RangeTombstone[] {
  return fragments.flatMap(({ start, end, sequences }) =>
    sequences.map((sequence) => ({ start, end, sequence })),
  );
}

/** Of all that a source says about a key. */
function numbersOf({ versions, tombstones }: Content, key: number): number[] {
  const own = versions.filter((version) => version.key === key).map(({ sequence }) => sequence);
  return [...own, ...(tombstones.fragmentAt(keyOf(key), 0, 1)?.sequences ?? [])];
}

/** The number of the version that is seen; 0: none. */
function read(sources: readonly Content[], key: number, at: number): number {
  for (const { versions, tombstones } of sources) {
    const own = versions.filter((version) => version.key === key && version.sequence <= at);
    const newest = own.reduce((most, { sequence }) => Math.max(most, sequence), 0);
    const covering = tombstones.covering(keyOf(key), 0, 1, at);
    if (newest === 0 && covering === NOT_COVERED) continue;
    if (covering > newest) return 0;
    return must(
      own.find(({ sequence }) => sequence === newest),
      'the newest is there',
    ).isDeletion
      ? 0
      : newest;
  }
  return 0;
}
