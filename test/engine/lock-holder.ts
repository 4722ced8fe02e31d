/** A process that holds a database open until its standard input ends: `lock-holder <directory> <backend>`. */
import { Database } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';

const [, , directory, backend] = process.argv;
const database = await Database.open(directory, { io: ioOf(backend as Backend) });
await database.put('holder', 'was here');
process.stdout.write('open\n');
for await (const _ of process.stdin);
await database.close();
