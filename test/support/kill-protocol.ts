/**
 * What a process that is to be killed tells the one that kills it: fixed records in a pipe, each written by one
 * blocking call. What was written before the kill is in the pipe and will be read; a record that was cut is not one.
 *
 *     0  u32 kind
 *     4  u32 index of an operation, or records that an open replayed, or flushes so far
 *     8  u48 last sequence number (OPENED), or compactions so far (WORKED)
 *    14  u16 torn frames that an open cut (OPENED), or whether a compaction is under way (WORKED)
 */
import { writeSync } from 'node:fs';

/** `Database.open` is about to be called. */
export const OPENING = 1;
/** It has resolved. */
export const OPENED = 2;
/** The operation is about to be submitted. */
export const SUBMITTING = 3;
/** Its promise has resolved. */
export const ACKNOWLEDGED = 4;
/** What the open database has done beside writing, now and then. */
export const WORKED = 5;

export interface KillRecord {
  readonly kind: number;
  readonly index: number;
  readonly lastSequence: number;
  readonly tornFrames: number;
}

/** What a record of the kind WORKED says. */
export interface Work {
  readonly flushes: number;
  readonly compactions: number;
  readonly isCompacting: boolean;
}

export function workOf({ index, lastSequence, tornFrames }: KillRecord): Work {
  return { flushes: index, compactions: lastSequence, isCompacting: tornFrames !== 0 };
}

const RECORD_BYTES = 16;
/** The child's end of the pipe. */
export const REPORT_DESCRIPTOR = 3;

/** The writing end. */
export class Reporter {
  readonly #acknowledged: number[] = [];
  readonly #record = Buffer.alloc(RECORD_BYTES);

  opening(): void {
    this.#write(OPENING, 0);
  }

  opened(lastSequence: number, replayedRecords: number, tornFrames: number): void {
    this.#write(OPENED, replayedRecords, lastSequence, Math.min(tornFrames, 0xffff));
  }

  worked({ flushes, compactions, isCompacting }: Work): void {
    this.#write(WORKED, flushes, compactions, isCompacting ? 1 : 0);
  }

  submitting(index: number): void {
    this.#write(SUBMITTING, index);
  }

  /** Called as a promise resolves. What resolves in the same turn is told in one call, at the end of the turn. */
  acknowledged(index: number): void {
    if (this.#acknowledged.length === 0) queueMicrotask(() => this.#tellAcknowledged());
    this.#acknowledged.push(index);
  }

  #tellAcknowledged(): void {
    const records = Buffer.alloc(this.#acknowledged.length * RECORD_BYTES);
    this.#acknowledged.forEach((index, i) => {
      records.writeUInt32LE(ACKNOWLEDGED, i * RECORD_BYTES);
      records.writeUInt32LE(index, i * RECORD_BYTES + 4);
    });
    this.#acknowledged.length = 0;
    writeAll(records);
  }

  #write(kind: number, index: number, lastSequence = 0, tornFrames = 0): void {
    this.#record.writeUInt32LE(kind, 0);
    this.#record.writeUInt32LE(index, 4);
    this.#record.writeUIntLE(lastSequence, 8, 6);
    this.#record.writeUInt16LE(tornFrames, 14);
    writeAll(this.#record);
  }
}

/** Throws EPIPE when the reader is gone, which ends a process that would otherwise write for ever. */
function writeAll(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(REPORT_DESCRIPTOR, bytes, at);
}

/** The reading end: takes pieces as they come and gives whole records. */
export class RecordReader {
  #rest: Buffer = Buffer.alloc(0);

  *push(piece: Buffer): Generator<KillRecord> {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let at = 0;
    for (; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
      yield {
        kind: bytes.readUInt32LE(at),
        index: bytes.readUInt32LE(at + 4),
        lastSequence: bytes.readUIntLE(at + 8, 6),
        tornFrames: bytes.readUInt16LE(at + 14),
      };
    }
    this.#rest = bytes.subarray(at);
  }
}
