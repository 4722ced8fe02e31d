/**
 * One table of a compaction's output while it is made. Ring threads only.
 *
 * The file is created when there is something to write. The table ends where the next entry is of another key and the
 * table is large enough; or is half of that, and a table of the level below the output ends here as well, so that both
 * are not merged with a neighbour of the other for a few keys; or would overlap more of that level than it should.
 */
import { assert } from '../assert.ts';
import { hashBytes } from '../format/hash.ts';
import type { TombstoneFragment } from '../format/range-tombstones.ts';
import { TableBuilder } from '../format/table-builder.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { COMPACTION_WRITE_BUFFERS_AT } from '../protocol/crew-layout.ts';
import { STEP_WRITE } from '../protocol/requests.ts';
import { faultOfStep } from './compaction-fault.ts';
import { MERGE_AT_ENTRY, type CompactionMerge } from './compaction-merge.ts';
import type { CompactionPlan } from './compaction-plan.ts';
import type { KeyBoundaries } from './key-boundaries.ts';
import { PieceWriter } from './piece-writer.ts';
import type { RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';
import { createTableFile, publishTableFile, type TableFile } from './table-file.ts';

/** Besides the statuses of a merge: the builder has bytes to be written. */
export const OUTPUT_PENDING = 16;
/** The merge's entry belongs to the next table. */
export const OUTPUT_CUT = 17;

/** From such a share of its size on a table ends where one of the level below does: 13 % less is written (bench/compaction-simulator.ts). */
const ALIGNED_SHARE = 1 / 2;

export interface CompactionOutputOptions {
  readonly basics: RoleBasics;
  readonly plan: CompactionPlan;
  readonly grandparents: KeyBoundaries;
  /** Where blocks are made. */
  readonly memory: Uint8Array;
  /** Of the ring's writes. */
  readonly flags: number;
  /** Takes what else has completed, before a write is pushed. */
  readonly beforePush: () => void;
  /** What is done after each piece that is written. */
  readonly afterPiece: () => RoleTask;
}

export class CompactionOutput {
  readonly #options: CompactionOutputOptions;
  readonly #table: number;
  readonly #spare: number;
  readonly #builder: TableBuilder;
  readonly #tableBytes: number;
  readonly #alignedBytes: number;
  #file: TableFile | undefined;
  #writer: PieceWriter | undefined;
  /** Those that the first entry and the last one are in. */
  #firstGrandparent = 0;
  #lastGrandparent = 0;

  /** `spare`: number of a table that is none any more, whose file is written over; or 0. */
  constructor(options: CompactionOutputOptions, table: number, spare: number) {
    const { parameters } = options.plan;
    this.#options = options;
    this.#table = table;
    this.#spare = spare;
    this.#tableBytes = parameters.tableBytes;
    this.#alignedBytes = ALIGNED_SHARE * parameters.tableBytes;
    this.#builder = new TableBuilder({
      fileNumber: table,
      level: parameters.outputLevel,
      blockBytes: parameters.blockBytes,
      filterBitsPerKey: parameters.filterBitsPerKey,
      compression: parameters.compression,
      createdAtSeconds: parameters.createdAtSeconds,
      createdAtSequence: parameters.createdAtSequence,
      memory: options.memory,
    });
  }

  get hasEntries(): boolean {
    return this.#builder.entries > 0;
  }

  /** HOT. Adds the merge's entries until it needs something, or this table ends, or there are bytes to be written. */
  fill(merge: CompactionMerge): number {
    const builder = this.#builder;
    for (;;) {
      const status = merge.next();
      if (status !== MERGE_AT_ENTRY) return status;
      const { run } = merge;
      const { entry, key, keyLength } = run;
      if (merge.isFirstOfKey && this.#endsBefore(key, keyLength, run.head)) return OUTPUT_CUT;
      const { bytes, valueStart, valueLength } = entry;
      const hash = hashBytes(key, 0, keyLength);
      builder.add(key, 0, keyLength, hash, merge.sequence, entry.kind, bytes, valueStart, valueLength);
      merge.pass();
      if (builder.pendingBytes > 0) return OUTPUT_PENDING;
    }
  }

  /** Writes what is pending; creates the file before the first byte. */
  *write(): RoleTask {
    const writer = this.#writer ?? (yield* this.#begin());
    yield* writer.takeFrom(this.#builder);
    const { failure, step } = writer.outcome;
    if (failure !== 0) throw faultOfStep(failure, step, this.#table);
  }

  /** Ends the table with its range tombstones and publishes it; leaves nothing in flight. */
  *finish(fragments: readonly TombstoneFragment[]): Generator<number, TableDescription, void> {
    const { basics } = this.#options;
    const builder = this.#builder;
    builder.finish(fragments);
    yield* this.write();
    const writer = this.#writer;
    assert(writer !== undefined && this.#file !== undefined, 'a table that is finished has been written');
    yield* writer.finish();
    // Reads may be under way still.
    yield 0;
    this.#options.beforePush();
    const file = this.#file;
    this.#file = undefined;
    const { failure, step } = yield* publishTableFile(basics, file, writer.bytesWritten, writer.outcome);
    if (failure !== 0) throw faultOfStep(failure, step, this.#table);
    const description = builder.description();
    assert(description.fileBytes === writer.bytesWritten, 'the builder and the file agree on the length');
    return description;
  }

  /** Removes what there is of the file, because of `failure`. REQUIRES: nothing in flight. */
  *abandon(failure: number): RoleTask {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    yield* publishTableFile(this.#options.basics, file, 0, { failure, step: STEP_WRITE });
  }

  /** Takes the results of writes that have completed. */
  collect(): void {
    this.#writer?.collect();
  }

  *#begin(): Generator<number, PieceWriter, void> {
    const { basics, flags, beforePush, afterPiece } = this.#options;
    // Creating takes several steps that wait for everything: what has completed by then would lose its place unseen.
    yield 0;
    beforePush();
    const file = yield* createTableFile(basics, this.#table, this.#spare);
    if (file.handle < 0) throw faultOfStep(file.handle, file.step, this.#table);
    this.#file = file;
    const { io, memory } = basics;
    const writer = new PieceWriter({
      io,
      pool: memory.pool,
      handle: file.handle,
      buffersAt: COMPACTION_WRITE_BUFFERS_AT,
      flags,
      beforePush,
      afterPiece,
    });
    this.#writer = writer;
    return writer;
  }

  /** HOT. Whether an entry of a new key begins the next table. */
  #endsBefore(key: Uint8Array, keyLength: number, head: number): boolean {
    const grandparent = this.#options.grandparents.passedBy(key, keyLength, head);
    const previous = this.#lastGrandparent;
    this.#lastGrandparent = grandparent;
    if (this.#builder.entries === 0) {
      this.#firstGrandparent = grandparent;
      return false;
    }
    const { fileBytes } = this.#builder;
    if (fileBytes >= this.#tableBytes) return true;
    if (grandparent === previous) return false;
    return (
      fileBytes >= this.#alignedBytes ||
      this.#options.plan.overlapsTooMuch(this.#firstGrandparent, grandparent)
    );
  }
}
