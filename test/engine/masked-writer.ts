/**
 * A process with another umask that creates a database, has it make every kind of file there is, and opens it again:
 * `masked-writer <backend> <umask, octal> <directory>`. Prints the code of an open that is refused, or 'done'.
 */
import { Database, QuadringError } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

const [, , backend, mask, directory] = process.argv;
process.umask(parseInt(mask, 8));
const open = (): Promise<Database> =>
  Database.open(directory, {
    writeBufferBytes: 65_536,
    compaction: { tableBytes: 65_536, baseBytes: 65_536, spareBytes: 1 << 24 },
    io: ioOf(backend as Backend),
  });

try {
  for (let round = 0; round < 2; round++) {
    const database = await open();
    for (let i = 0; i < 200; i++) void database.put(keyOf(i), valueOf(1000, i + round));
    await database.compactRange();
    await database.put('last', String(round));
    await database.close();
  }
  process.stdout.write('done');
} catch (error) {
  if (!(error instanceof QuadringError)) throw error;
  process.stdout.write(`${error.code}: ${error.message}`);
}
