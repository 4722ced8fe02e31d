/** Full file systems: what takes all space, and what a database that met one must hold. */
import { closeSync, openSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { QuadringError, type Database } from '../../src/index.ts';
import { keyOf, valueOf } from './values.ts';

const VALUE_BYTES = 4000;

/** Takes all the space that is left but `spareBytes`, as another program would; gives the file. */
export function fill(place: string, spareBytes = 0): string {
  const filler = join(place, 'filler');
  const descriptor = openSync(filler, 'w');
  const piece = Buffer.alloc(65_536);
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(place);
      const free = bavail * bsize - spareBytes;
      if (free < bsize) break;
      writeSync(descriptor, piece, 0, Math.min(free, piece.length));
    }
  } finally {
    closeSync(descriptor);
  }
  return filler;
}

/** What was acknowledged, and nothing else. */
export class History {
  readonly acknowledged = new Map<string, Buffer>();
  readonly #refused = new Set<string>();
  #next = 0;

  /** One put; the code it was refused with, or undefined. */
  async put(t: ExecutionContext, database: Database, bytes = VALUE_BYTES): Promise<string | undefined> {
    const key = keyOf(this.#next);
    const value = valueOf(bytes, this.#next++);
    try {
      await database.put(key, value);
      this.acknowledged.set(key, value);
      return undefined;
    } catch (error) {
      if (!(error instanceof QuadringError)) throw error;
      t.true(error.message.length > 0);
      this.#refused.add(key);
      return error.code;
    }
  }

  /** Puts until one is refused, which must be for want of space. */
  async putUntilFull(t: ExecutionContext, database: Database, bytes = VALUE_BYTES): Promise<void> {
    for (let i = 0; i < 50_000; i++) {
      const code = await this.put(t, database, bytes);
      if (code === undefined) continue;
      t.is(code, 'NO_SPACE');
      return;
    }
    t.fail('the file system never became full');
  }

  check(t: ExecutionContext, database: Database): void {
    const missing = [...this.acknowledged].filter(([key, value]) => !database.getSync(key)?.equals(value));
    t.deepEqual(
      missing.map(([key]) => key),
      [],
      'everything acknowledged is there',
    );
    const surplus = [...this.#refused].filter((key) => database.getSync(key) !== undefined);
    t.deepEqual(surplus, [], 'nothing refused is there');
  }
}
