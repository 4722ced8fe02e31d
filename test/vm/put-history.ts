/**
 * Puts in a row, and what a database must hold after some of them were refused: those that were acknowledged, of those
 * behind them a prefix, and nothing else. Each put takes one sequence number, so `lastSequence` says how many there are.
 */
import { inspect } from 'node:util';
import { QuadringError, type Database } from '../../src/index.ts';
import { keyOf, valueOf } from '../support/values.ts';

const KEY_COUNT = 64;
const VALUE_BYTES = 2000;

/** The database does something else than it promises. */
export class PromiseBroken extends Error {
  override readonly name = 'PromiseBroken';
}

export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new PromiseBroken(message);
}

/** The error that it is refused with. */
export async function refusalOf(what: string, act: () => unknown): Promise<QuadringError> {
  let outcome: unknown;
  try {
    outcome = await act();
  } catch (error) {
    if (error instanceof QuadringError) return error;
    throw new PromiseBroken(`${what} failed with ${inspect(error)}`, { cause: error });
  }
  throw new PromiseBroken(`${what} was not refused, it gave ${inspect(outcome)}`);
}

/** Whether the kernel's EIO stands anywhere below the error. */
export function comesFromEio(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ((at as NodeJS.ErrnoException).code === 'EIO') return true;
  }
  return false;
}

export class PutHistory {
  /** Submitted so far, and of them the first that were acknowledged. */
  submitted = 0;
  acknowledged = 0;

  static key(index: number): string {
    return keyOf(index % KEY_COUNT);
  }

  /** REQUIRES: not awaited before earlier ones are submitted; the promises settle in order. */
  put(database: Database): Promise<void> {
    const index = this.submitted++;
    return database.put(PutHistory.key(index), valueOf(VALUE_BYTES, index)).then(() => {
      expect(index === this.acknowledged, `put ${index} was acknowledged behind ${this.acknowledged} others`);
      this.acknowledged++;
    });
  }

  async putMany(database: Database, count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.put(database);
  }

  /** What an open database shows: everything that was acknowledged, and nothing that was not. */
  async expectAcknowledged(database: Database): Promise<void> {
    await this.#expectPrefix(database, this.acknowledged);
  }

  /** What the next open finds. */
  async expectSurvivors(database: Database): Promise<void> {
    const { lastSequence } = database.stats();
    expect(
      lastSequence >= this.acknowledged && lastSequence <= this.submitted,
      `${lastSequence} puts are there; ${this.acknowledged} were acknowledged, ${this.submitted} submitted`,
    );
    await this.#expectPrefix(database, lastSequence);
    this.submitted = lastSequence;
    this.acknowledged = lastSequence;
  }

  async #expectPrefix(database: Database, count: number): Promise<void> {
    for (let key = 0; key < KEY_COUNT; key++) {
      // The last put of this key among them; below 0: none.
      const index = count - 1 - ((count - 1 - key + KEY_COUNT) % KEY_COUNT);
      const expected = index < 0 ? undefined : valueOf(VALUE_BYTES, index);
      const found = await database.get(keyOf(key));
      const same =
        expected === undefined || found === undefined ? expected === found : found.equals(expected);
      expect(same, `of ${count} puts, ${keyOf(key)} does not have what put ${index} wrote`);
    }
  }
}
