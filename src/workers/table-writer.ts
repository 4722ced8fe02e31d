/**
 * Writes a frozen memtable as a table file: form B of a safe publish. Ring threads only.
 *
 *     1. walk the arena in order, drop versions that nobody can see, build blocks; range tombstones are cut into fragments,
 *        of which all stay: they delete what is in older tables too
 *     2. write in 256 KiB pieces, several under way while the next are built, each result looked at
 *     3. all written: the file is made durable and gets its name; see table-file.ts
 *
 * The name commits nothing: only the manifest edit that the owner then asks for does.
 */
import { assert } from '../assert.ts';
import { compareBytes } from '../format/compare.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { compareWithEnd, RangeTombstones, type TombstoneFragment } from '../format/range-tombstones.ts';
import { TableBuilder } from '../format/table-builder.ts';
import { encodeVersionEdit } from '../format/version-edit.ts';
import { ArenaCursor, rangeTombstonesIn } from '../protocol/arena.ts';
import { MAILBOX_BYTES, WRITE_BUFFERS_AT } from '../protocol/crew-layout.ts';
import type { WriteTableParameters } from '../protocol/requests.ts';
import { PieceWriter } from './piece-writer.ts';
import type { RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';
import { createTableFile, publishTableFile } from './table-file.ts';
import { Visibility } from './visibility.ts';

export function* writeTable(
  basics: RoleBasics,
  table: number,
  region: number,
  mailboxPage: number,
  spare: number,
): RoleTask {
  const { io, memory } = basics;
  const arena = memory.region(region);
  const parameters = readParameters(memory.pool, mailboxPage * PAGE_BYTES);
  const file = yield* createTableFile(basics, table, spare);
  if (file.handle < 0) return io.respond(file.handle, file.step);

  const builder = new TableBuilder({
    fileNumber: table,
    level: 0,
    blockBytes: parameters.blockBytes,
    filterBitsPerKey: parameters.filterBitsPerKey,
    compression: parameters.compression,
    createdAtSeconds: parameters.createdAtSeconds,
    createdAtSequence: parameters.createdAtSequence,
  });
  const writer = new PieceWriter({ io, pool: memory.pool, handle: file.handle, buffersAt: WRITE_BUFFERS_AT });
  const cursor = new VisibleCursor(arena, new Visibility(parameters.snapshots, parameters.keepAbove));
  while (writer.failure === 0 && cursor.next()) {
    const entry = cursor.entry;
    builder.add(
      arena,
      entry.keyStart,
      entry.keyLength,
      entry.hash,
      entry.sequence,
      entry.kind,
      arena,
      entry.valueStart,
      entry.valueLength,
    );
    if (builder.pendingBytes > 0) yield* writer.takeFrom(builder);
  }
  if (writer.failure === 0) {
    builder.finish(cursor.fragments);
    yield* writer.takeFrom(builder);
    yield* writer.finish();
  } else {
    yield* writer.settle();
  }

  const { failure, step } = yield* publishTableFile(basics, file, writer.bytesWritten, writer.outcome);
  if (failure !== 0) return io.respond(failure, step);

  const description = builder.description();
  assert(description.fileBytes === writer.bytesWritten, 'the builder and the file agree on the length');
  const answer = encodeVersionEdit({
    added: [description],
    deleted: [],
    logEnds: [],
    compactionPointers: [],
  });
  assert(answer.length <= MAILBOX_BYTES, 'a table description fits the mailbox');
  memory.pool.set(answer, mailboxPage * PAGE_BYTES);
  io.respond(answer.length);
}

function readParameters(pool: Uint8Array, at: number): WriteTableParameters {
  const end = pool.indexOf(0, at);
  return JSON.parse(Buffer.from(pool.subarray(at, end)).toString()) as WriteTableParameters;
}

/** Walks an arena and leaves out what no read can see. */
class VisibleCursor {
  readonly entry: ArenaCursor;
  /** Of the arena's range tombstones, in order. */
  readonly fragments: readonly TombstoneFragment[];
  readonly #bytes: Uint8Array;
  readonly #visibility: Visibility;
  /** Index of the first fragment that does not end before the entry. */
  #fragment = 0;
  #previousKeyStart = 0;
  #previousKeyLength = -1;
  #previousSequence = 0;

  constructor(arena: Uint8Array<SharedArrayBuffer>, visibility: Visibility) {
    const words = new Int32Array(arena.buffer);
    const tombstones = new RangeTombstones();
    for (const tombstone of rangeTombstonesIn(arena, words)) {
      tombstones.add(tombstone, (sequence, newerSequence) => visibility.isSeen(sequence, newerSequence));
    }
    this.#bytes = arena;
    this.entry = new ArenaCursor(words);
    this.fragments = tombstones.fragments;
    this.#visibility = visibility;
  }

  next(): boolean {
    const entry = this.entry;
    while (entry.next()) {
      let newer = this.#sameKeyAsPrevious() ? this.#previousSequence : Infinity;
      if (this.#fragment < this.fragments.length) newer = Math.min(newer, this.#deletedAt());
      this.#previousKeyStart = entry.keyStart;
      this.#previousKeyLength = entry.keyLength;
      this.#previousSequence = entry.sequence;
      if (newer === Infinity || this.#visibility.isSeen(entry.sequence, newer)) return true;
    }
    return false;
  }

  /** Number of the oldest range tombstone that deletes the entry; Infinity if there is none. */
  #deletedAt(): number {
    const { keyStart, keyLength, sequence } = this.entry;
    const bytes = this.#bytes;
    const fragments = this.fragments;
    let at = this.#fragment;
    while (at < fragments.length && compareWithEnd(bytes, keyStart, keyLength, fragments[at].end) >= 0) at++;
    this.#fragment = at;
    if (at === fragments.length) return Infinity;
    const { start, sequences } = fragments[at];
    if (compareBytes(bytes, keyStart, keyLength, start, 0, start.length) < 0) return Infinity;
    return sequences.findLast((deletion) => deletion > sequence) ?? Infinity;
  }

  #sameKeyAsPrevious(): boolean {
    const { keyStart, keyLength } = this.entry;
    if (keyLength !== this.#previousKeyLength) return false;
    const bytes = this.#bytes;
    const previous = this.#previousKeyStart;
    for (let i = 0; i < keyLength; i++) if (bytes[keyStart + i] !== bytes[previous + i]) return false;
    return true;
  }
}
