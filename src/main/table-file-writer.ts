/**
 * Writes a table file without a ring: for repairs. Owner only.
 *
 * As a ring thread does it: under a temporary name, made durable, and only then given its own. The name commits nothing.
 */
import { assert } from '../assert.ts';
import { join } from 'node:path';
import { COMPRESSION_NONE, compressionNames, type CompressionName } from '../format/compression.ts';
import { tableName, temporaryTableName } from '../format/file-names.ts';
import { hashBytes } from '../format/hash.ts';
import type { TombstoneFragment } from '../format/range-tombstones.ts';
import { TableBuilder, type TableBuilderOptions } from '../format/table-builder.ts';
import type { TableProperties } from '../format/table-properties.ts';
import type { TableDescription } from '../format/version-edit.ts';
import type { RepairFiles, WritableFile } from './repair-files.ts';

const BUFFER_BYTES = 256 * 1024;

/** How a table is built; its tables say how a database wants them. */
export interface TableShape {
  readonly blockBytes: number;
  readonly filterBitsPerKey: number;
  readonly compression: CompressionName;
}

/** As `DatabaseOptions` has it by default. */
const DEFAULT_SHAPE: TableShape = { blockBytes: 16 * 1024, filterBitsPerKey: 10, compression: 'none' };

export function shapeOf(properties: TableProperties | undefined): TableShape {
  if (properties === undefined) return DEFAULT_SHAPE;
  const { blockBytes, filterBitsPerKey, compression } = properties;
  return { blockBytes, filterBitsPerKey, compression: compressionNames[compression ?? COMPRESSION_NONE] };
}

/** An entry in somebody's memory. */
export interface WalkedEntry {
  readonly key: Uint8Array;
  readonly keyLength: number;
  readonly sequence: number;
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly valueStart: number;
  readonly valueLength: number;
}

export class TableFileWriter {
  readonly #files: RepairFiles;
  readonly #directory: string;
  readonly #number: number;
  readonly #builder: TableBuilder;
  readonly #file: WritableFile;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #isDone = false;

  constructor(files: RepairFiles, directory: string, options: TableBuilderOptions) {
    this.#files = files;
    this.#directory = directory;
    this.#number = options.fileNumber;
    this.#builder = new TableBuilder(options);
    this.#file = files.create(join(directory, temporaryTableName(options.fileNumber)));
  }

  get fileBytes(): number {
    return this.#builder.fileBytes;
  }

  get entries(): number {
    return this.#builder.entries;
  }

  /** REQUIRES: behind the last one. */
  add(
    { key, keyLength, sequence, kind, bytes, valueStart, valueLength }: WalkedEntry,
    hash = hashBytes(key, 0, keyLength),
  ): void {
    this.#builder.add(key, 0, keyLength, hash, sequence, kind, bytes, valueStart, valueLength);
    this.#drain();
  }

  /**
   * Ends the table, makes it durable, gives it its name and makes that durable. REQUIRES: an entry or a range tombstone.
   */
  publish(fragments: readonly TombstoneFragment[]): TableDescription {
    this.#builder.finish(fragments);
    this.#drain();
    this.#file.sync();
    this.#close();
    const from = join(this.#directory, temporaryTableName(this.#number));
    this.#files.rename(from, join(this.#directory, tableName(this.#number)));
    this.#files.syncDirectory(this.#directory);
    return this.#builder.description();
  }

  /** Closes the file, and leaves it behind under its temporary name: whoever repairs next puts it aside. */
  abandon(): void {
    if (!this.#isDone) this.#close();
  }

  #close(): void {
    assert(!this.#isDone, 'a file is closed once');
    this.#isDone = true;
    this.#file.close();
  }

  #drain(): void {
    while (this.#builder.pendingBytes > 0) {
      const length = this.#builder.drain(this.#buffer, 0, this.#buffer.length);
      this.#file.write(this.#buffer.subarray(0, length));
    }
  }
}
