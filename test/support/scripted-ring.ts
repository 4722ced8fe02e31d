/** A ring of the calling thread's that does as a test says. */
import type { CallerRing } from '../../src/main/crew.ts';
import {
  COMPLETION_WORDS,
  NAME_STRIDE_BYTES,
  RECORD_WORDS,
  WORD_USER_DATA,
} from '../../src/protocol/ring-records.ts';
import { STATISTICS_DOUBLES } from '../../src/protocol/ring-statistics.ts';

/** Completes, when it is told to, what it was handed, or cannot go on. */
export class ScriptedRing implements CallerRing {
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  readonly statistics = new Float64Array(STATISTICS_DOUBLES);
  readonly fixedFiles = 0;
  /** User data of what is under way. */
  readonly taken: number[] = [];
  /** Operations that the next turn completes. */
  completes = 0;
  failure: Error | undefined;
  turns = 0;

  constructor(entries: number) {
    this.entries = entries;
    this.records = new Int32Array(entries * RECORD_WORDS);
    this.names = new Uint8Array(entries * NAME_STRIDE_BYTES);
    this.completions = new Int32Array(4 * entries * COMPLETION_WORDS);
  }

  describe(): never {
    throw new Error('nobody asks');
  }

  turn(count: number): number {
    this.turns++;
    if (this.failure !== undefined) throw this.failure;
    for (let i = 0; i < count; i++) this.taken.push(this.records[i * RECORD_WORDS + WORD_USER_DATA]);
    const completed = this.taken.splice(0, this.completes);
    completed.forEach((userData, i) => this.completions.set([userData, 0, -1], i * COMPLETION_WORDS));
    return completed.length;
  }
}
