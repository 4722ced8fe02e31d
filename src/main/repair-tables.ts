/**
 * Writes what is left of tables into new ones. Owner only.
 *
 *     rewrite   one table, at its own level: its sound blocks, and its range tombstones
 *     merge     tables that overlap, as one run of the last level: every version of every key, and of range tombstones that
 *               cover the same keys the newest, since nobody reads at an older number
 */
import { compareBytes } from '../format/compare.ts';
import { RangeTombstones } from '../format/range-tombstones.ts';
import type { TableDescription } from '../format/version-edit.ts';
import type { RepairFiles } from './repair-files.ts';
import { placesByIndex, type BlockPlace } from './table-blocks.ts';
import type { ExaminationGround, TableExamination } from './table-examination.ts';
import { shapeOf, TableFileWriter, type TableShape } from './table-file-writer.ts';
import { TableMerge, type MergeSource } from './table-merge.ts';
import { readMeta } from './table-tails.ts';
import { LAST_LEVEL } from './levels-view.ts';
import type { UsableTable } from './repair-levels.ts';

/** A table of a merge ends with the first key behind so many bytes. */
const MERGED_TABLE_BYTES = 32 * 1024 * 1024;

export interface TableRepairOptions {
  readonly ground: ExaminationGround;
  readonly files: RepairFiles;
  readonly takeFileNumber: () => number;
  readonly createdAtSeconds: number;
  /** Everything up to it is in tables. */
  readonly flushedSequence: number;
}

interface RunOptions {
  readonly level: number;
  readonly shape: TableShape;
  readonly createdAtSequence: number;
  readonly tableBytes: number;
}

export class TableRepair {
  readonly #options: TableRepairOptions;

  constructor(options: TableRepairOptions) {
    this.#options = options;
  }

  /** A new table that is written elsewhere than in the directory, or of other things than tables. */
  begin(level: number, shape: TableShape, createdAtSequence: number, directory?: string): TableFileWriter {
    const { ground, files, takeFileNumber, createdAtSeconds } = this.#options;
    return new TableFileWriter(files, directory ?? ground.directory, {
      fileNumber: takeFileNumber(),
      level,
      createdAtSeconds,
      createdAtSequence,
      ...shape,
    });
  }

  /** What is left of a table, at that level; undefined where nothing is. */
  async rewrite(table: TableExamination, level: number): Promise<TableDescription | undefined> {
    const properties = table.tail?.properties ?? table.description;
    const [written] = await this.#writeRun(
      [sourceOf(this.#options.ground, table)],
      tombstonesOf([table], false),
      {
        level,
        shape: shapeOf(table.tail?.properties),
        createdAtSequence: properties?.createdAtSequence ?? this.#options.flushedSequence,
        tableBytes: Infinity,
      },
    );
    return written;
  }

  merge(tables: readonly UsableTable[]): Promise<TableDescription[]> {
    const examined = tables.map(({ table }) => table);
    const latest = examined.reduce((last, table) => (table.number > last.number ? table : last));
    const sources = examined.map((table) => sourceOf(this.#options.ground, table));
    return this.#writeRun(sources, tombstonesOf(examined, true), {
      level: LAST_LEVEL,
      shape: shapeOf(latest.tail?.properties),
      createdAtSequence: this.#options.flushedSequence,
      tableBytes: MERGED_TABLE_BYTES,
    });
  }

  async #writeRun(
    sources: readonly MergeSource[],
    tombstones: RangeTombstones,
    { level, shape, createdAtSequence, tableBytes }: RunOptions,
  ): Promise<TableDescription[]> {
    const { fileSystem, directory, breather } = this.#options.ground;
    const written: TableDescription[] = [];
    const merge = new TableMerge(fileSystem, directory, sources);
    const last = new LastVersion();
    let writer: TableFileWriter | undefined;
    let from: Uint8Array | undefined;
    try {
      while (merge.next()) {
        if (breather.isDue) await breather.breathe();
        const { entry } = merge;
        const isSameKey = last.hasKey(entry.key, entry.keyLength);
        // The same version from two tables: one was made of the other.
        if (isSameKey && last.sequence === entry.sequence) continue;
        if (writer !== undefined && !isSameKey && writer.fileBytes >= tableBytes) {
          const cut = entry.key.slice(0, entry.keyLength);
          written.push(writer.publish(tombstones.within(from, cut).fragments));
          from = cut;
          writer = undefined;
        }
        writer ??= this.begin(level, shape, createdAtSequence);
        writer.add(entry);
        last.set(entry.key, entry.keyLength, entry.sequence);
      }
      const { fragments } = tombstones.within(from, undefined);
      if (fragments.length > 0) writer ??= this.begin(level, shape, createdAtSequence);
      if (writer !== undefined) written.push(writer.publish(fragments));
      return written;
    } finally {
      merge.close();
      writer?.abandon();
    }
  }
}

/** Remembers which version of which key came last. */
export class LastVersion {
  sequence = 0;
  #key: Uint8Array = new Uint8Array(256);
  #keyLength = -1;

  hasKey(key: Uint8Array, keyLength: number): boolean {
    return (
      compareBytes(this.#key, 0, Math.max(this.#keyLength, 0), key, 0, keyLength) === 0 &&
      this.#keyLength >= 0
    );
  }

  set(key: Uint8Array, keyLength: number, sequence: number): void {
    if (keyLength > this.#key.length) this.#key = new Uint8Array(2 * keyLength);
    this.#key.set(key.subarray(0, keyLength));
    this.#keyLength = keyLength;
    this.sequence = sequence;
  }
}

/** Of two tables with the same version of a key the later one was made of the other, or of what that was made of. */
function sourceOf({ fileSystem, directory }: ExaminationGround, table: TableExamination): MergeSource {
  const { number, firstKey, fileBytes, tail, isIntact, blocks } = table;
  const metaOffset = tail?.properties?.dataBytes ?? 0;
  const places = (): readonly BlockPlace[] =>
    isIntact
      ? placesByIndex(readMeta(fileSystem, directory, { number, metaOffset, fileBytes }).index)
      : blocks;
  return { number, smallestKey: firstKey ?? new Uint8Array(0), rank: -number, places };
}

function tombstonesOf(tables: readonly TableExamination[], newestOnly: boolean): RangeTombstones {
  const sets = tables.flatMap(({ tail }) => tail?.rangeTombstones ?? []);
  if (!newestOnly) return new RangeTombstones(sets.flatMap(({ fragments }) => fragments));
  const { fragments } = RangeTombstones.merged(sets);
  return new RangeTombstones(
    fragments.map(({ start, end, sequences }) => ({ start, end, sequences: sequences.slice(0, 1) })),
  );
}
