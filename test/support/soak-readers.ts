/**
 * Iterators and snapshots that a soak holds open for a while: what they see must stay what was there when they were made,
 * whatever is written, flushed, compacted and removed meanwhile.
 */
import type { Database, EntryIterator, Snapshot } from '../../src/index.ts';
import type { Random } from './random.ts';
import type { SoakModel } from './soak-model.ts';

/** Open at the same time; of each kind. */
const HELD_MAX = 3;
/** Held for so many steps, of which there is one a second or so. */
const STEPS_MAX = 60;
const GETS_PER_STEP = 20;
/** Asked for at once. */
const ENTRIES_PER_STEP_MAX = 4000;

interface HeldSnapshot {
  readonly snapshot: Snapshot;
  readonly words: Uint32Array;
  stepsLeft: number;
}

interface HeldIterator {
  readonly iterator: EntryIterator;
  readonly words: Uint32Array;
  readonly entriesPerStep: number;
  /** The number that comes next, unless it has no value. */
  next: number;
}

export class SoakReaders {
  readonly #model: SoakModel;
  readonly #random: Random;
  #snapshots: HeldSnapshot[] = [];
  #iterators: HeldIterator[] = [];
  /** Iterators that were read to their end, and snapshots that were held to theirs. */
  ended = 0;

  constructor(model: SoakModel, random: Random) {
    this.#model = model;
    this.#random = random;
  }

  get openIterators(): number {
    return this.#iterators.length;
  }

  get openSnapshots(): number {
    return this.#snapshots.length;
  }

  /** Opens one of each kind, as far as there may be more. REQUIRES: nothing is in flight. */
  open(database: Database): void {
    const words = this.#model.copy();
    if (this.#snapshots.length < HELD_MAX) {
      const stepsLeft = this.#random.between(1, STEPS_MAX);
      this.#snapshots.push({ snapshot: database.snapshot(), words, stepsLeft });
    }
    if (this.#iterators.length < HELD_MAX) {
      const steps = this.#random.between(1, STEPS_MAX);
      const entriesPerStep = Math.min(Math.ceil(this.#model.keyCount / steps), ENTRIES_PER_STEP_MAX);
      this.#iterators.push({ iterator: database.iterator(), words, entriesPerStep, next: 0 });
    }
  }

  /** Moves every iterator on and reads a little of every snapshot. Throws SoakFailure. */
  async step(database: Database): Promise<void> {
    for (const held of this.#iterators) await this.#move(held);
    for (const held of this.#snapshots) await this.#look(database, held);
    await this.#closeEnded();
  }

  async closeAll(): Promise<void> {
    for (const { iterator } of this.#iterators) await iterator.close();
    for (const { snapshot } of this.#snapshots) snapshot.close();
    this.#iterators = [];
    this.#snapshots = [];
  }

  /** Everything, by one scan, must be what the words say. Throws SoakFailure; gives the number of entries. */
  async readAll(database: Database): Promise<number> {
    const held = { iterator: database.iterator(), words: this.#model.copy(), entriesPerStep: 1000, next: 0 };
    let entries = 0;
    while (held.next < this.#model.keyCount) entries += await this.#move(held);
    await held.iterator.close();
    return entries;
  }

  async #move(held: HeldIterator): Promise<number> {
    const entries = await held.iterator.nextv(held.entriesPerStep);
    for (const [key, value] of entries) {
      const number = this.#model.numberOf(key);
      this.#expectAbsent(held, number);
      this.#model.checkExactly(number, held.words[number], value, 'an iterator held open');
      held.next = number + 1;
    }
    // A batch may be shorter than asked for; only an empty one is the end.
    if (entries.length === 0) this.#expectAbsent(held, this.#model.keyCount);
    return entries.length;
  }

  #expectAbsent(held: HeldIterator, limit: number): void {
    for (; held.next < limit; held.next++) {
      this.#model.checkExactly(held.next, held.words[held.next], undefined, 'an iterator held open');
    }
  }

  async #look(database: Database, held: HeldSnapshot): Promise<void> {
    held.stepsLeft--;
    const { snapshot, words } = held;
    const numbers = Array.from({ length: GETS_PER_STEP }, () => this.#random.below(this.#model.keyCount));
    const keys = numbers.map((number) => this.#model.keyOf(number));
    const values = await database.getMany(keys, { snapshot });
    numbers.forEach((number, i) => this.#model.checkExactly(number, words[number], values[i], 'a snapshot'));
  }

  async #closeEnded(): Promise<void> {
    for (const { iterator, next } of this.#iterators) {
      if (next < this.#model.keyCount) continue;
      await iterator.close();
      this.ended++;
    }
    for (const { snapshot, stepsLeft } of this.#snapshots) {
      if (stepsLeft > 0) continue;
      snapshot.close();
      this.ended++;
    }
    this.#iterators = this.#iterators.filter(({ next }) => next < this.#model.keyCount);
    this.#snapshots = this.#snapshots.filter(({ stepsLeft }) => stepsLeft > 0);
  }
}
