/** The sound table whose parts are damaged: two blocks, a filter, range tombstones, keys with several versions, a long one. */
import { RangeTombstones } from '../../../src/format/range-tombstones.ts';
import { buildTable, bytesOf, put, tombstone } from '../../format/tables.ts';

export const exampleEntries = Array.from({ length: 40 }, (_, i) =>
  put(`key ${String(i >> 1).padStart(4, '0')}`, 100 - i, `value ${i} `.repeat(11)),
);
exampleEntries.push(tombstone('keyed', 7), put(`l${'o'.repeat(300)}ng`, 9, 'x'.repeat(200)));

export const exampleFragments = RangeTombstones.of([
  { start: bytesOf('key 0003'), end: bytesOf('key 7'), sequence: 5000 },
  { start: bytesOf(''), end: bytesOf('key 0005'), sequence: 77 },
  { start: bytesOf('key 5'), end: bytesOf(''), sequence: 2 ** 40 },
]).fragments;

export const EXAMPLE_FILE_NUMBER = 1;

export const exampleTable = buildTable(exampleEntries, {
  fileNumber: EXAMPLE_FILE_NUMBER,
  rangeTombstones: exampleFragments,
});
