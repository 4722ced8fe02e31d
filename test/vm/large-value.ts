/**
 * One value that is larger than a block, as a program of its own in the virtual machine:
 * `large-value <directory> <bytes> <setting as JSON>`. It is written to the log, flushed into a table, and read back, from
 * memory, from the table and after another open. What takes more than the disk does in one command is split by the kernel,
 * and how that goes together with polling differs from one to the next. Killed by whoever started it if it hangs.
 */
import { Database, type DatabaseOptions, type IoOptions } from '../../src/index.ts';
import { valueOf } from '../support/values.ts';

const [, , directory = '', bytes = '', setting = '{}'] = process.argv;
const OPTIONS: DatabaseOptions = {
  blockCacheBytes: 0,
  io: { backend: 'uring', ...(JSON.parse(setting) as IoOptions) },
};
const KEY = 'large';
const VALUE = valueOf(Number(bytes), 1);

async function expectValue(database: Database, when: string): Promise<void> {
  if ((await database.get(KEY))?.equals(VALUE) !== true) throw new Error(`the value is wrong ${when}`);
}

const database = await Database.open(directory, OPTIONS);
await database.put(KEY, VALUE);
await expectValue(database, 'in memory');
await database.flush();
await expectValue(database, 'in a table');
await database.close();
const reopened = await Database.open(directory, OPTIONS);
await expectValue(reopened, 'after another open');
await reopened.close();
