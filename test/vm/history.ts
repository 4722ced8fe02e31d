/**
 * What the process that writes has reported, and how much of it a power cut may not undo. Pure.
 *
 * Acknowledgements are tied to the log by *markers*. Whenever records have come through the pipe, the process that listens
 * writes to a file on the recorded device how many there have been, as a FUA write. A marker is put into the log when it has
 * completed, so everything that was durable when the last of these records was sent stands before it:
 *
 *     child     frame durable ──► promise resolves ──► record in the pipe
 *     listener                                           └──► read ──► marker written
 *     log       frame ───────────────────────────────────────────────────► marker
 *
 * A cut behind a marker therefore has to keep what these records acknowledge. What was acknowledged since is not asked
 * for, though it may be there; what was submitted since may be there as well. So the test errs on the database's side by
 * as much as is acknowledged in the time that a record and a marker take, and where the cut comes right behind a marker
 * by nothing. The listener does not hold the child up, and a marker makes nothing durable but itself.
 */
import { assert } from '../../src/assert.ts';
import { Oracle } from '../support/kill-oracle.ts';
import { ACKNOWLEDGED, OPENED, SUBMITTING, type KillRecord } from '../support/kill-protocol.ts';
import { Workload, type WorkloadKind } from '../support/kill-workload.ts';

/** Its block in the marker's file, one of the file system's. */
export const MARKER_BYTES = 4096;
const MARKER_MAGIC = 0x6b72616d;

/** u32 magic, u32 which recording it belongs to, u32 records so far. */
export function encodeMarker(target: Uint8Array, recording: number, records: number): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  view.setUint32(0, MARKER_MAGIC, true);
  view.setUint32(4, recording, true);
  view.setUint32(8, records, true);
}

/** The records that a marker vouches for; undefined if the bytes are none of this recording's. */
export function decodeMarker(bytes: Uint8Array, recording: number): number | undefined {
  if (bytes.length !== MARKER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MARKER_MAGIC || view.getUint32(4, true) !== recording) return undefined;
  return view.getUint32(8, true);
}

/** One process's life in a database: what it was to write, and what it reported. */
export interface Chapter {
  /** Undefined: it opened and closed, and wrote nothing. */
  readonly workload: { readonly seed: number; readonly kind: WorkloadKind } | undefined;
  readonly records: readonly KillRecord[];
}

/** A chapter that ended with a power cut, and where the database ended when it was opened after it. */
export interface EndedChapter extends Chapter {
  readonly known: number;
  readonly lastSequence: number;
}

/**
 * What the database must be when the power went in a chapter, of whose records `known` are vouched for; it is to be told
 * what the next open finds. Throws OracleFailure when the records themselves cannot be.
 */
export function oracleAfter(before: readonly EndedChapter[], chapter: Chapter, known: number): Oracle {
  const oracle = new Oracle();
  let lastSequence = 0;
  for (const ended of before) {
    tell(oracle, ended, ended.known, lastSequence);
    oracle.begin(undefined);
    ({ lastSequence } = ended);
    oracle.opened(lastSequence);
  }
  tell(oracle, chapter, known, lastSequence);
  oracle.begin(undefined);
  return oracle;
}

/** `lastSequence` is what the chapter began with. */
function tell(oracle: Oracle, { workload, records }: Chapter, known: number, lastSequence: number): void {
  assert(known <= records.length, 'markers vouch for what was reported');
  oracle.begin(workload === undefined ? undefined : new Workload(workload.seed, workload.kind));
  let isFirstOpen = true;
  records.forEach((record, i) => {
    if (record.kind === SUBMITTING) {
      oracle.submitting(record.index);
    } else if (record.kind === ACKNOWLEDGED) {
      if (i < known) oracle.acknowledged(record.index);
    } else if (record.kind === OPENED) {
      // The first open finds what the chapter began with, whether or not the power went before it was done. Later ones
      // settle what was written since: not if what was written behind them may be gone.
      if (i < known) oracle.opened(record.lastSequence);
      else if (isFirstOpen) oracle.opened(lastSequence);
      isFirstOpen = false;
    }
  });
}

/** What the records that a marker vouches for acknowledge. */
export function acknowledgedOf({ records }: Chapter, known: number): number {
  return records.slice(0, known).filter(({ kind }) => kind === ACKNOWLEDGED).length;
}
