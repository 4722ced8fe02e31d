/** What filters spare, and what they do not: counted where they are asked. */
import { join } from 'node:path';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';

const COUNT = 4000;
const keyOf = (i: number): string => `key ${String(i).padStart(6, '0')}`;

testBackends('absent keys are spared a read, and count where they are not', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  let database = await openDatabase(t, directory, backend);
  const batch = database.batch();
  for (let i = 0; i < COUNT; i++) batch.put(keyOf(2 * i), 'value '.repeat(20));
  await batch.write();
  await database.compactRange();
  await database.close();

  database = await openDatabase(t, directory, backend, { blockCacheBytes: 0 });
  for (let i = 0; i < COUNT; i++) t.is(await database.get(keyOf(2 * i + 1)), undefined);
  const cold = database.stats().filters;
  t.true(cold.negatives > 0.95 * COUNT, `${cold.negatives} were spared a read`);
  t.is(cold.negatives + cold.falsePositives, COUNT);
  await database.close();

  database = await openDatabase(t, directory, backend);
  for await (const [key] of database.iterator()) if (key.length === 0) t.fail();
  for (let i = 0; i < COUNT; i++) t.is(database.getSync(keyOf(2 * i + 1)), undefined);
  const warm = database.stats();
  t.is(warm.filters.falsePositives, 0, 'who has the block asks the block');
  t.is(warm.filters.negatives, 0);
});
