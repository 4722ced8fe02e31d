/** Values that tests write, and the four ways to read them back. */
import { inspect } from 'node:util';
import type { ExecutionContext } from 'ava';
import type { Bytes, Database } from '../../src/index.ts';

/** Bytes that differ from place to place and from seed to seed, so that a piece in the wrong place is noticed. */
export function valueOf(bytes: number, seed: number): Buffer {
  const value = Buffer.allocUnsafe(bytes);
  let word = Math.imul(seed + 1, 0x9e37_79b9);
  for (let i = 0; i < bytes; i++) {
    word = (Math.imul(word, 0x0019_660d) + 0x3c6e_f35f) | 0;
    value[i] = word >>> 24;
  }
  return value;
}

export function keyOf(number: number): string {
  return `key-${String(number).padStart(8, '0')}`;
}

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}

/** Expects that get, getSync, getInto and getString agree on a value, or with undefined on there being none. */
export async function expectValue(
  t: ExecutionContext,
  database: Database,
  key: Bytes,
  value: Uint8Array | string | undefined,
): Promise<void> {
  const expected = typeof value === 'string' ? Buffer.from(value) : value;
  const target = Buffer.alloc((expected?.length ?? 0) + 3, 0xee);
  const length = database.getInto(key, target);
  const text = database.getString(key, 'latin1');
  const reads = {
    get: await database.get(key),
    getSync: database.getSync(key),
    getInto: length < 0 ? undefined : target.subarray(0, length),
    getString: text === undefined ? undefined : Buffer.from(text, 'latin1'),
  };
  const wrong = Object.entries(reads).filter(([, read]) => !same(read, expected));
  const name = inspect(key).slice(0, 40);
  t.deepEqual(
    wrong.map(([method, read]) => `${method}: ${read?.length ?? 'absent'}`),
    [],
    `${name} reads as it was written`,
  );
  const untouched = target.subarray(Math.max(length, 0)).every((byte) => byte === 0xee);
  t.true(untouched, `getInto touches nothing behind the value of ${name}`);
}
