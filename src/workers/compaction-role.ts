/**
 * The compaction role: merges tables and writes tables, paced. Ring threads only.
 *
 * A compaction lives from its BEGIN to its END, over one request for each table that it writes. Its requests come one
 * after another. END may come at any time: then what runs fails soon with ECANCELED, or succeeds if it was about to, and
 * lets everything go before it answers; until then no other compaction begins. Other requests are answered in between:
 * a task of a compaction yields at least for each piece that it writes.
 */
import { assert, must } from '../assert.ts';
import type { SharedWords } from '../atomics-sync/words.ts';
import { readU32, writeU32 } from '../format/integers.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { emptyVersionEdit, encodeVersionEdit } from '../format/version-edit.ts';
import { COMPACTION_MAILBOX_BYTES } from '../protocol/crew-layout.ts';
import {
  BEGIN_COMPACTION,
  DETACH,
  END_COMPACTION,
  ROLE_COMPACTION,
  STEP_CLOSE,
  WRITE_COMPACTED,
  type CompactionFailure,
  type CompactionParameters,
} from '../protocol/requests.ts';
import { CompactionFault } from './compaction-fault.ts';
import { CompactionPace } from './compaction-pace.ts';
import { Compaction } from './compaction.ts';
import type { RequestArguments, Role, RoleBasics } from './role.ts';
import type { RoleTask } from './role-io.ts';

const LENGTH_BYTES = 4;

export interface CompactionClocks {
  readonly control: SharedWords;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/** What a completion says besides whose it is. */
interface Answer {
  readonly result: number;
  readonly detail0: number;
  readonly detail1: number;
}

export class CompactionRole implements Role {
  readonly id = ROLE_COMPACTION;
  readonly #basics: RoleBasics;
  readonly #clocks: CompactionClocks;
  #compaction: Compaction | undefined;
  #pace: CompactionPace | undefined;
  /** A request of the compaction is being worked on. */
  #isBusy = false;
  /** END has come, and has to be done when the request under way has failed. */
  #isEnding = false;

  constructor(basics: RoleBasics, clocks: CompactionClocks) {
    this.#basics = basics;
    this.#clocks = clocks;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    switch (opcode) {
      case BEGIN_COMPACTION:
        return this.#begin(args[0] >>> 0);
      case WRITE_COMPACTED:
        return this.#write(args[0] >>> 0, args[1] >>> 0, args[2] >>> 0);
      case END_COMPACTION:
        return this.#end();
      case DETACH:
        assert(!this.#isBusy, 'a compaction ends before its database lets go');
        this.#compaction = undefined;
        return this.#basics.start(opcode, args);
      default:
        return this.#basics.start(opcode, args);
    }
  }

  *#begin(mailboxPage: number): RoleTask {
    assert(this.#compaction === undefined, 'there is one compaction at a time');
    const { io, memory } = this.#basics;
    const parameters = readMailbox(memory.pool, mailboxPage * PAGE_BYTES);
    const pace = new CompactionPace({ io, ...this.#clocks });
    const compaction = new Compaction(this.#basics, parameters, pace);
    this.#compaction = compaction;
    this.#pace = pace;
    yield* this.#work(compaction, mailboxPage, beginning(compaction));
  }

  *#write(table: number, mailboxPage: number, spare: number): RoleTask {
    const compaction = this.#compaction;
    assert(compaction !== undefined, 'a compaction begins before it writes');
    const { pool } = this.#basics.memory;
    const steps = writing(compaction, table, spare, pool, mailboxPage * PAGE_BYTES);
    yield* this.#work(compaction, mailboxPage, steps);
  }

  /** Does what one request of the compaction asks for, and answers it. */
  *#work(compaction: Compaction, mailboxPage: number, steps: Generator<number, Answer, void>): RoleTask {
    assert(!this.#isBusy, 'a compaction is asked for one thing at a time');
    this.#isBusy = true;
    let answer: Answer;
    try {
      answer = yield* steps;
    } catch (error) {
      if (!(error instanceof CompactionFault)) throw error;
      yield* compaction.abandon(error.result);
      writeFailure(this.#basics.memory.pool, mailboxPage * PAGE_BYTES, error.failure);
      answer = error;
    }
    this.#isBusy = false;
    if (this.#isEnding) {
      this.#isEnding = false;
      // END has been answered: nobody would hear of a file that does not close well.
      yield* this.#letGo();
    }
    this.#basics.io.respond(answer.result, answer.detail0, answer.detail1);
  }

  *#end(): RoleTask {
    let closed = 0;
    if (this.#isBusy) {
      this.#isEnding = true;
      this.#pace?.cancel();
    } else {
      closed = yield* this.#letGo();
    }
    this.#basics.io.respond(closed, STEP_CLOSE);
  }

  /** Closes the inputs; 0, or the first failure. */
  *#letGo(): Generator<number, number, void> {
    const { io, files } = this.#basics;
    const compaction = this.#compaction;
    this.#compaction = undefined;
    this.#pace = undefined;
    let failure = 0;
    // One after another: there may be more of them than records.
    for (const number of compaction?.tables ?? []) {
      const handle = must(files.take(number), 'an input stays open until its compaction ends');
      const closed = io.close(handle);
      yield 0;
      if (failure === 0) failure = io.result(closed);
    }
    return failure;
  }
}

function* beginning(compaction: Compaction): Generator<number, Answer, void> {
  yield* compaction.begin();
  return { result: 0, detail0: 0, detail1: 0 };
}

function* writing(
  compaction: Compaction,
  table: number,
  spare: number,
  pool: Uint8Array,
  mailboxAt: number,
): Generator<number, Answer, void> {
  const written = yield* compaction.write(table, spare);
  if (written === undefined) return { result: 0, detail0: 0, detail1: 0 };
  const edit = { ...emptyVersionEdit(), added: [written.description] };
  const bytes = encodeVersionEdit(edit);
  assert(bytes.length <= COMPACTION_MAILBOX_BYTES, 'a table description fits the mailbox');
  pool.set(bytes, mailboxAt);
  return { result: bytes.length, detail0: Number(written.hasMore), detail1: 0 };
}

function readMailbox(pool: Uint8Array, at: number): CompactionParameters {
  const length = readU32(pool, at);
  assert(length + LENGTH_BYTES <= COMPACTION_MAILBOX_BYTES, 'the parameters of a compaction fit the mailbox');
  const text = Buffer.from(pool.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length)).toString();
  return JSON.parse(text) as CompactionParameters;
}

function writeFailure(pool: Uint8Array, at: number, failure: CompactionFailure): void {
  const text = Buffer.from(JSON.stringify(failure));
  writeU32(pool, at, text.length);
  pool.set(text, at + LENGTH_BYTES);
}
