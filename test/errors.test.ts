import { inspect } from 'node:util';
import test from 'ava';
import { QuadringError } from '../src/index.ts';

test('an error has the fields that say something, and no others', (t) => {
  const bare = new QuadringError('CLOSED', 'the database is closed');
  t.deepEqual(Object.keys(bare).sort(), ['code', 'name']);
  t.false(inspect(bare).includes('undefined'));
  t.false('cause' in bare);

  const full = new QuadringError('TABLE_CORRUPT', 'damaged', { file: 'a.sst', offset: 0, cause: bare });
  t.deepEqual(Object.keys(full).sort(), ['code', 'file', 'name', 'offset']);
  t.is(full.offset, 0);
  t.is(full.cause, bare);
});
