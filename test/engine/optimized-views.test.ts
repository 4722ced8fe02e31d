/**
 * A view whose memory is gone, looked at by code that has been optimized, and that knows the view for a constant: of such a
 * one V8 11 may take the length that it had. So the loop stands where constants of the module are constants.
 */
import test from 'ava';
import { isByteArray } from '../../src/main/bytes.ts';
import { detachedView, outOfBoundsView } from '../support/fuzz/hostile-values.ts';

const gone = detachedView();
const outside = outOfBoundsView();
const views = [new Uint8Array(0), Buffer.alloc(0), new Uint8Array(4)];
const others = [new Uint8Array(4), Buffer.alloc(3), 'text', null, 3];

let taken = 0;
for (let round = 0; round < 500; round++) {
  for (let i = 0; i < 2000; i++) {
    isByteArray(views[i % 3]);
    isByteArray(others[i % 5]);
  }
  if (isByteArray(gone)) taken++;
  if (isByteArray(outside)) taken++;
}

test('a view whose memory is gone was taken for a key once the check had been optimized', (t) => {
  t.is(taken, 0);
  t.true(views.every(isByteArray));
});
