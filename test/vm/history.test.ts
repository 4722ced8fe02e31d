/** What a power cut may not undo: what was acknowledged before the last marker, and nothing that came after it. */
import test from 'ava';
import { OracleFailure } from '../support/kill-oracle.ts';
import { ACKNOWLEDGED, OPENED, OPENING, SUBMITTING, type KillRecord } from '../support/kill-protocol.ts';
import { Workload } from '../support/kill-workload.ts';
import {
  acknowledgedOf,
  decodeMarker,
  encodeMarker,
  MARKER_BYTES,
  oracleAfter,
  type Chapter,
} from './history.ts';

const SEED = 20;
const KIND = 'mixed';

function made(kind: number, index = 0, lastSequence = 0): KillRecord {
  return { kind, index, lastSequence, tornFrames: 0 };
}

/** The first operations of the workload, written one by one and acknowledged at once, in a database that was empty. */
function chapterOf(operations: number): Chapter & { readonly sequences: readonly number[] } {
  const workload = new Workload(SEED, KIND);
  const records = [made(OPENING), made(OPENED)];
  const sequences: number[] = [];
  let sequence = 0;
  for (let i = 0; i < operations; i++) {
    const operation = workload.next();
    records.push(made(SUBMITTING, i), made(ACKNOWLEDGED, i));
    if (operation.kind === 'write') sequence += operation.writes.length;
    else if (operation.kind === 'reopen') records.push(made(OPENED, 0, sequence));
    sequences.push(sequence);
  }
  return { workload: { seed: SEED, kind: KIND }, records, sequences };
}

/** Behind the acknowledgement of the operation. */
function knownWhen({ records }: Chapter, operation: number): number {
  return records.findIndex(({ kind, index }) => kind === ACKNOWLEDGED && index === operation) + 1;
}

/** From this operation on all are durable when they resolve, in the stream of SEED: looked up, so that it stays true. */
function firstDurable(from: number): number {
  const workload = new Workload(SEED, KIND);
  for (let i = 0; ; i++) {
    const operation = workload.next();
    if (i >= from && operation.kind === 'write' && operation.sync) return i;
  }
}

test('what a marker vouches for has to be there, what was acknowledged since need not', (t) => {
  const operation = firstDurable(5);
  const chapter = chapterOf(operation + 20);
  const needed = chapter.sequences[operation] ?? 0;
  const known = knownWhen(chapter, operation);
  t.true(needed > 0);
  t.is(oracleAfter([], chapter, known).opened(needed).acknowledged, operation + 1);
  const before = chapter.sequences[operation - 1] ?? 0;
  t.throws(() => oracleAfter([], chapter, known).opened(before), { instanceOf: OracleFailure });
  t.notThrows(() => oracleAfter([], chapter, known - 1).opened(before));
  // Everything that was submitted may be there; more may not.
  const last = chapter.sequences.at(-1) ?? 0;
  t.notThrows(() => oracleAfter([], chapter, known).opened(last));
  t.throws(() => oracleAfter([], chapter, known).opened(last + 1), { instanceOf: OracleFailure });
});

test('a database that was closed and opened again behind the last marker may be as it was before that', (t) => {
  const workload = new Workload(SEED, KIND);
  let reopen = 0;
  while (workload.next().kind !== 'reopen') reopen++;
  const operation = firstDurable(0);
  const chapter = chapterOf(reopen + 10);
  t.true(operation < reopen);
  const opened = chapter.records.filter(({ kind }) => kind === OPENED);
  t.true(opened.length > 1, 'the chapter has a second open');
  const known = knownWhen(chapter, operation);
  t.notThrows(() => oracleAfter([], chapter, known).opened(chapter.sequences[operation] ?? 0));
  t.notThrows(() => oracleAfter([], chapter, known).opened(chapter.sequences.at(-1) ?? 0));
  // Once the marker vouches for the open, everything before it has to be there.
  t.throws(() => oracleAfter([], chapter, chapter.records.length).opened(0), { instanceOf: OracleFailure });
});

test('what a cut left is what the next process begins with, before and after it has opened it', (t) => {
  const first = chapterOf(30);
  const lastSequence = first.sequences[10] ?? 0;
  const ended = { ...first, known: 0, lastSequence };
  const reading: Chapter = { workload: undefined, records: [made(OPENING), made(OPENED, 0, lastSequence)] };
  for (const known of [0, 1, 2]) {
    t.notThrows(() => oracleAfter([ended], reading, known).opened(lastSequence));
    t.throws(() => oracleAfter([ended], reading, known).opened(lastSequence - 1), {
      instanceOf: OracleFailure,
    });
    t.throws(() => oracleAfter([ended], reading, known).opened(lastSequence + 1), {
      instanceOf: OracleFailure,
    });
  }
  const other = { ...reading, records: [made(OPENING), made(OPENED, 0, lastSequence + 1)] };
  t.throws(() => oracleAfter([ended], other, 2), { instanceOf: OracleFailure });
});

test('a marker says how many records it vouches for, and which recording it belongs to', (t) => {
  const block = Buffer.alloc(MARKER_BYTES);
  encodeMarker(block, 3, 1234);
  t.is(decodeMarker(block, 3), 1234);
  t.is(decodeMarker(block, 2), undefined);
  t.is(decodeMarker(Buffer.alloc(MARKER_BYTES), 3), undefined);
  t.is(decodeMarker(block.subarray(0, 512), 3), undefined);
  t.is(acknowledgedOf(chapterOf(4), 5), 1);
});
