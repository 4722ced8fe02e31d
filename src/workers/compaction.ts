/**
 * One compaction: its inputs, the merge, and the state that stays between two of its tables. Ring threads only.
 *
 *     begin     open every table, read its tail, begin to read ahead
 *     write     one output: merge, build, write, publish          (again and again, one request each)
 *
 *     tables ──► runs (read ahead, verified) ──► merge ──► output (blocks, pieces) ──► file
 *
 * Between two requests nothing is in flight, and what was read ahead stays in its buffers. Every step that fails throws
 * a CompactionFault, when everything it had in flight has ended.
 */
import { constants } from 'node:fs';
import { assert } from '../assert.ts';
import { BlockBounds } from '../format/block-bounds.ts';
import { blockBuilderBytes } from '../format/block-builder.ts';
import { tableName } from '../format/file-names.ts';
import { BLOCK_BYTES_MAX, roundUpToPage } from '../format/limits.ts';
import { RangeTombstones } from '../format/range-tombstones.ts';
import { decodeTableMeta, type TableMeta } from '../format/table-meta.ts';
import type { TableDescription } from '../format/version-edit.ts';
import {
  COMPACTION_READ_BUFFERS_AT,
  COMPACTION_READ_BYTES,
  COMPACTION_RUNS_MAX,
  WRITE_BUFFER_COUNT,
} from '../protocol/crew-layout.ts';
import { STEP_OPEN, type CompactionInput, type CompactionParameters } from '../protocol/requests.ts';
import { faultOfStep, faultOfTail } from './compaction-fault.ts';
import { CommonBeginning, inputTableOf, type InputTable } from './compaction-input.ts';
import { CompactionMerge, MERGE_AT_LARGE, MERGE_ENDED, MERGE_WAITS } from './compaction-merge.ts';
import {
  CompactionOutput,
  OUTPUT_CUT,
  OUTPUT_PENDING,
  type CompactionOutputOptions,
} from './compaction-output.ts';
import type { CompactionPace } from './compaction-pace.ts';
import { CompactionPlan, fragmentBoundaries } from './compaction-plan.ts';
import { CompactionReads } from './compaction-reads.ts';
import { CompactionRun } from './compaction-run.ts';
import { KeySpace } from './key-boundaries.ts';
import { FLAG_ASYNC, FLAG_IDLE } from './ring.ts';
import type { RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

/** A read buffer, within a registered slice. */
const CHUNK_BYTES_MAX = 256 * 1024;
/**
 * Over all runs. It brings more than is merged meanwhile, and reads of others have to pass what is under way on the disk (see
 * docs/benchmarks.md).
 */
const READ_BYTES_UNDER_WAY_MAX = 512 * 1024;
/** Where many runs leave 64 KiB for a buffer. */
const READS_MAX = 8;
/** Range tombstones of a table that has no entries: whoever opens a table has all of them in memory. */
const OUTPUT_FRAGMENTS_MAX = 8192;
/** Beside the reads: a write for each buffer, a sync, and one to open, close or wait. */
export const COMPACTION_RECORDS = READS_MAX + WRITE_BUFFER_COUNT + 2;

export interface WrittenTable {
  readonly description: TableDescription;
  readonly hasMore: boolean;
}

export class Compaction {
  readonly #basics: RoleBasics;
  readonly #pace: CompactionPace;
  readonly #plan: CompactionPlan;
  readonly #reads: CompactionReads;
  readonly #runs: readonly CompactionRun[];
  readonly #chunkBytes: number;
  /** Where blocks are walked and made; see compaction-run.ts. */
  readonly #memory: Uint8Array;
  readonly #tables: number[] = [];
  readonly #ioFlags: number;
  #merge: CompactionMerge | undefined;
  #outputOptions: CompactionOutputOptions | undefined;
  #output: CompactionOutput | undefined;
  /** The range tombstones that go on. */
  #fragments = new RangeTombstones();
  /** Where the next output begins; undefined: before all keys. */
  #from: Uint8Array | undefined;
  #hasEnded = false;
  #hasFailed = false;

  constructor(basics: RoleBasics, parameters: CompactionParameters, pace: CompactionPace) {
    const { io } = basics;
    const { pool, directIo } = basics.memory;
    const { runs, ioPriority } = parameters;
    assert(runs.length > 0 && runs.length <= COMPACTION_RUNS_MAX, 'a compaction has runs, and not too many');
    const chunkBytes = chunkBytesFor(runs.length);
    this.#chunkBytes = chunkBytes;
    this.#basics = basics;
    this.#pace = pace;
    this.#plan = new CompactionPlan(parameters);
    this.#ioFlags = ioPriority === 'idle' ? FLAG_IDLE : 0;
    this.#reads = new CompactionReads({
      io,
      pool,
      pace,
      chunkBytes,
      // Through the page cache a read would be done in the turn that begins it, up to the disk: 1.5 times the time.
      flags: directIo ? this.#ioFlags : this.#ioFlags | FLAG_ASYNC,
      readsMax: Math.min(READ_BYTES_UNDER_WAY_MAX / chunkBytes, READS_MAX),
    });
    this.#reads.collectOthers = () => this.#output?.collect();
    // Bytes of shared memory are copied one by one to where their words are not aligned.
    const builderBytes = roundUpToPage(blockBuilderBytes(parameters.blockBytes));
    const memory = new Uint8Array(builderBytes + runs.length * BLOCK_BYTES_MAX);
    this.#memory = memory;
    const scratch = new Uint8Array(BLOCK_BYTES_MAX);
    const bounds = new BlockBounds();
    this.#runs = runs.map((_, i) => {
      const poolAt = COMPACTION_READ_BUFFERS_AT + 2 * i * chunkBytes;
      const memoryAt = builderBytes + i * BLOCK_BYTES_MAX;
      return new CompactionRun({ pool, poolAt, chunkBytes, memory, memoryAt, scratch, bounds });
    });
  }

  /** Numbers of the tables that are open. */
  get tables(): readonly number[] {
    return this.#tables;
  }

  *begin(): RoleTask {
    const beginning = new CommonBeginning();
    const tombstones: RangeTombstones[] = [];
    const runs: InputTable[][] = [];
    for (const inputs of this.#plan.parameters.runs) {
      const tables: InputTable[] = [];
      for (const input of inputs) {
        const handle = yield* this.#open(input.number);
        const meta = yield* this.#readTail(input, handle);
        beginning.note(meta);
        if (meta.rangeTombstones !== null) tombstones.push(meta.rangeTombstones);
        tables.push(inputTableOf(input.number, handle, meta, this.#chunkBytes));
      }
      runs.push(tables);
    }
    const space = new KeySpace(beginning.bytes());
    this.#runs.forEach((run, i) => run.begin(runs[i], space.skip));
    this.#reads.begin(this.#runs);
    for (const run of this.#runs) yield* this.#reads.settle(run);
    yield* this.#rest();
    this.#prepareMerge(space, RangeTombstones.merged(tombstones));
  }

  /** Writes the next table, over the file of the table `spare` unless that is 0; undefined where nothing is left to write. */
  *write(table: number, spare: number): Generator<number, WrittenTable | undefined, void> {
    const merge = this.#merge;
    const options = this.#outputOptions;
    assert(merge !== undefined && options !== undefined, 'a compaction has begun when it is asked to write');
    assert(!this.#hasFailed, 'a compaction that has failed only ends');
    if (this.#hasEnded) return undefined;
    const output = new CompactionOutput(options, table, spare);
    this.#output = output;
    const isCut = (yield* this.#fill(output, merge)) === OUTPUT_CUT;
    const { key, keyLength } = merge.run;
    let cut: Uint8Array | undefined = isCut ? key.slice(0, keyLength) : undefined;
    let { fragments } = this.#fragments.within(this.#from, cut);
    // Where no entries end a table the tombstones do.
    if (!output.hasEntries && fragments.length > OUTPUT_FRAGMENTS_MAX) {
      cut = fragments[OUTPUT_FRAGMENTS_MAX].start;
      fragments = fragments.slice(0, OUTPUT_FRAGMENTS_MAX);
    }
    const hasMore = cut !== undefined;
    let description: TableDescription | undefined;
    if (output.hasEntries || fragments.length > 0) description = yield* output.finish(fragments);
    else yield* this.#rest();
    this.#output = undefined;
    this.#from = cut;
    this.#hasEnded = !hasMore;
    return description && { description, hasMore };
  }

  /** After a failure: waits for what is in flight and removes what there is of an output. */
  *abandon(failure: number): RoleTask {
    this.#hasFailed = true;
    yield* this.#rest();
    if (this.#output === undefined) return;
    yield* this.#output.abandon(failure);
    this.#output = undefined;
  }

  /** Until the table ends or the merge does. */
  *#fill(output: CompactionOutput, merge: CompactionMerge): Generator<number, number, void> {
    for (;;) {
      const status = output.fill(merge);
      switch (status) {
        case OUTPUT_PENDING:
          yield* output.write();
          break;
        case MERGE_WAITS:
          yield* this.#reads.settle(merge.run);
          yield* this.#breathe();
          break;
        case MERGE_AT_LARGE:
          yield* this.#reads.fetchLarge(merge.run);
          break;
        default:
          assert(status === OUTPUT_CUT || status === MERGE_ENDED, 'a status that is known');
          return status;
      }
    }
  }

  /** Begins what reads are possible, lets the ring turn, and keeps to the rate. */
  *#breathe(): RoleTask {
    this.#reads.pump();
    yield this.#basics.io.outstanding;
    yield* this.#pace.keep(() => this.#collect());
  }

  /** Waits for all that is in flight. */
  *#rest(): RoleTask {
    yield 0;
    this.#collect();
  }

  #collect(): void {
    this.#reads.collect();
    this.#output?.collect();
  }

  *#open(table: number): Generator<number, number, void> {
    const { io, memory, files } = this.#basics;
    const direct = memory.directIo ? constants.O_DIRECT : 0;
    const opened = io.open(memory.directory, tableName(table), constants.O_RDONLY | direct);
    yield 0;
    const handle = io.result(opened);
    if (handle < 0) throw faultOfStep(handle, STEP_OPEN, table);
    files.set(table, handle);
    this.#tables.push(table);
    return handle;
  }

  *#readTail(input: CompactionInput, handle: number): Generator<number, TableMeta, void> {
    const { number, metaOffset, fileBytes } = input;
    const bytes = new Uint8Array(fileBytes - metaOffset);
    yield* this.#reads.readExtent(handle, number, metaOffset, bytes, COMPACTION_READ_BUFFERS_AT);
    try {
      return decodeTableMeta(bytes, number, metaOffset, fileBytes);
    } catch (error) {
      throw faultOfTail(number, error);
    }
  }

  #prepareMerge(space: KeySpace, tombstones: RangeTombstones): void {
    const plan = this.#plan;
    this.#fragments = plan.keptFragments(tombstones);
    this.#merge = new CompactionMerge({
      runs: this.#runs,
      headSkip: space.skip,
      visibility: plan.visibility,
      fragments: tombstones.fragments,
      covered: fragmentBoundaries(tombstones, space),
      coveredInOutput: fragmentBoundaries(this.#fragments, space),
      older: plan.olderBoundaries(space),
    });
    this.#outputOptions = {
      basics: this.#basics,
      plan,
      grandparents: plan.grandparentBoundaries(space),
      memory: this.#memory,
      flags: this.#ioFlags,
      beforePush: () => this.#reads.collect(),
      afterPiece: () => this.#breathe(),
    };
  }
}

/** A power of two, so that no buffer crosses a registered slice. */
function chunkBytesFor(runs: number): number {
  let bytes = CHUNK_BYTES_MAX;
  while (2 * runs * bytes > COMPACTION_READ_BYTES) bytes /= 2;
  return bytes;
}
