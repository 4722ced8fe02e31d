/**
 * The process that the demo kills: `demo-writer.js <directory> <seed>`. It writes without end, some operations at once,
 * and reports each before it submits it and after it has been acknowledged as durable.
 */
import { Database } from '../src/index.ts';
import { IN_FLIGHT, operationAt, report } from './demo-operations.ts';

const [directory = '', seed = '0'] = process.argv.slice(2);
const database = await Database.open(directory, { writeBufferBytes: 1024 * 1024 });
let next = 0;

async function writeOneAfterAnother(): Promise<never> {
  for (;;) {
    const index = next++;
    const { isBatch, entries } = operationAt(Number(seed), index);
    report(index, false);
    const [first] = entries;
    if (isBatch) await database.batch(entries.map(({ key, value }) => ({ type: 'put', key, value })));
    else await database.put(first.key, first.value);
    report(index, true);
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, writeOneAfterAnother));
