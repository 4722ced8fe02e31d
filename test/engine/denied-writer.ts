/**
 * A process without privileges whose database's directory becomes one that it may not write: `denied-writer <backend>
 * <scratch directory> <directory>`. It starts its threads before it gives its privileges up (see unprivileged-opener.ts),
 * writes until it is refused, gives itself the right again, and prints what it saw as JSON.
 */
import { chmodSync } from 'node:fs';
import { Database, QuadringError, type DatabaseOptions } from '../../src/index.ts';
import { eventually } from '../support/at-rest.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

export interface DeniedReport {
  readonly acknowledged: number;
  /** Code of the write that was refused. */
  readonly refusal: string;
  readonly failure: string | null;
  /** Acknowledged writes that were read afterwards. */
  readonly reads: number;
}

const NOBODY = 65_534;
const VALUE_BYTES = 10_000;
/** Several log files. */
const WRITES_MAX = 2000;

const [, , backend, scratch, directory] = process.argv;
const options: DatabaseOptions = { writeBufferBytes: 1 << 20, io: ioOf(backend as Backend) };
await (await Database.open(scratch, options)).close();
if (process.getuid?.() === 0) {
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}
const database = await Database.open(directory, options);
// Until then it could fail before the first write. From then on the second log has room, and the third cannot be made.
await eventually(() => database.stats().log.created === 2);
chmodSync(directory, 0o500);
let acknowledged = 0;
let refusal = '';
while (refusal === '' && acknowledged < WRITES_MAX) {
  try {
    await database.put(keyOf(acknowledged), valueOf(VALUE_BYTES, acknowledged));
    acknowledged++;
  } catch (error) {
    if (!(error instanceof QuadringError)) throw error;
    refusal = error.code;
  }
}
let reads = 0;
for (let i = 0; i < acknowledged; i++) {
  if (database.getSync(keyOf(i))?.equals(valueOf(VALUE_BYTES, i)) === true) reads++;
}
const report: DeniedReport = { acknowledged, refusal, failure: database.stats().failure, reads };
chmodSync(directory, 0o700);
await database.close();
process.stdout.write(JSON.stringify(report));
