/**
 * Every decoder against random bytes, flipped bits and cuts: a typed error or the right data, never a hang, never
 * anything else, never more memory than the input explains. What is tried stands in test/support/fuzz/.
 */
import test from 'ava';
import { checkBlockStructure } from '../../src/format/block-check.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { blockTargets } from '../support/fuzz/block-targets.ts';
import { exampleTable } from '../support/fuzz/example-table.ts';
import { logTargets } from '../support/fuzz/log-targets.ts';
import { tableTargets } from '../support/fuzz/table-targets.ts';
import { accepts } from '../support/fuzz/target.ts';
import { testTargets } from '../support/fuzz/test-targets.ts';
import { blockEntries } from './tables.ts';

testTargets([...logTargets, ...tableTargets, ...blockTargets]);

test('every byte of a block that matters is looked at by the structure check or is content', (t) => {
  const length = exampleTable.meta.index.pageCountOf(0) * PAGE_BYTES;
  const example = exampleTable.bytes.slice(0, length);
  const before = blockEntries(example, 0);
  for (let at = 0; at < length - 4; at++) {
    const bytes = example.slice();
    bytes[at] ^= 0x10;
    if (!accepts(() => checkBlockStructure(bytes, 0, length))) continue;
    const after = blockEntries(bytes, 0);
    const isContent = after.some((entry, i) => {
      const old = before[i];
      const isSameKey = Buffer.compare(entry.key, old.key) === 0;
      return !isSameKey || entry.sequence !== old.sequence || Buffer.compare(entry.value, old.value) !== 0;
    });
    if (!isContent) t.fail(`byte ${at} changed nothing`);
  }
  t.pass();
});
