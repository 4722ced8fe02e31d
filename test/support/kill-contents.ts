/** What a database says it has, by every way of reading, held against the oracle. Throws OracleFailure. */
import type { Database } from '../../src/index.ts';
import { OracleFailure, type Oracle } from './kill-oracle.ts';
import { ABSENT_KEY_COUNT, KEY_COUNT, keyOf, keysInOrder } from './kill-workload.ts';

/** What `getInto` is given; longer values are cut. */
const TARGET_BYTES = 512;

export async function checkContents(database: Database, oracle: Oracle): Promise<void> {
  const keys = Array.from({ length: KEY_COUNT + ABSENT_KEY_COUNT }, (_, key) => key);
  const found = await Promise.all(keys.map((key) => database.get(keyOf(key))));
  keys.forEach((key) => oracle.check(key, found[key], 'get'));
  for (const key of keys) checkNow(database, oracle, key, found[key]);
  await checkScan(database, oracle);
}

/** The ways that answer at once. */
function checkNow(database: Database, oracle: Oracle, key: number, value: Buffer | undefined): void {
  oracle.check(key, database.getSync(keyOf(key)), 'getSync');
  const target = Buffer.alloc(TARGET_BYTES);
  const length = database.getInto(keyOf(key), target);
  const copied = target.subarray(0, Math.max(0, Math.min(length, TARGET_BYTES)));
  if (length !== (value?.length ?? -1) || value?.subarray(0, TARGET_BYTES).equals(copied) === false) {
    throw new OracleFailure(`key ${key} has ${length} bytes by getInto, ${value?.length ?? 'none'} by get`);
  }
}

/** All keys of the set in their order; where a scan has none of a key, the oracle must not have one either. */
async function checkScan(database: Database, oracle: Oracle): Promise<void> {
  const iterator = database.iterator();
  let entry = await iterator.next();
  for (const key of keysInOrder()) {
    const isNext = entry !== undefined && entry[0].equals(keyOf(key));
    oracle.check(key, isNext ? entry?.[1] : undefined, 'a scan');
    if (isNext) entry = await iterator.next();
  }
  await iterator.close();
  if (entry !== undefined) {
    throw new OracleFailure(`a scan gives ${entry[0].toString('latin1')}, twice or out of place`);
  }
}
