/** Parts of the virtual machine that need none: what goes into its images, and what is made of a recording's log. */
import test from 'ava';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MachineError } from '../../scripts/vm/commands.ts';
import { MUTATIONS } from '../../scripts/vm/mutations.ts';
import { mutate } from '../../scripts/vm/project-image.ts';
import { sharedLibraries } from '../../scripts/vm/root-image.ts';
import { checkoutFile } from '../support/children.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { mergedRanges } from './replay.ts';

for (const { name, edits } of MUTATIONS) {
  test(`the mutation ${name} changes what is compiled, and no more than it says`, (t) => {
    for (const { file, from, to } of edits) {
      const text = readFileSync(checkoutFile('dist', file), 'utf8');
      t.is(text.split(from).length, 2, `${file} has "${from}" once`);
      t.not(from, to);
    }
  });
}

test('a mutation whose text is not there, or there twice, is refused', (t) => {
  const stage = temporaryDirectory(t);
  const file = 'code.js';
  const mutation = { name: 'some', description: 'some', edits: [{ file, from: 'one', to: 'two' }] };
  for (const text of ['two', 'one one']) {
    writeFileSync(join(stage, file), text);
    t.throws(() => mutate(stage, mutation), { instanceOf: MachineError });
    t.is(readFileSync(join(stage, file), 'utf8'), text);
  }
  writeFileSync(join(stage, file), 'just one');
  mutate(stage, mutation);
  t.is(readFileSync(join(stage, file), 'utf8'), 'just two');
  rmSync(join(stage, file));
  t.deepEqual(readdirSync(stage), []);
});

test('the libraries that a program needs are found, its loader among them', (t) => {
  const libraries = sharedLibraries(process.execPath);
  for (const path of libraries) t.true(path.startsWith('/'), path);
  if (libraries.length === 0) t.pass('this node is linked statically');
  else t.true(libraries.some((path) => /\/ld-[^/]*$/.test(path)));
  t.throws(() => sharedLibraries(checkoutFile('package.json')), { instanceOf: MachineError });
});

test('what a log wrote is merged into ranges without overlaps', (t) => {
  const entry = (offset: number, length: number) => ({ flags: 0, offset, length, dataAt: 0, mark: '' });
  t.deepEqual(mergedRanges([]), []);
  t.deepEqual(
    mergedRanges([
      entry(4096, 4096),
      entry(0, 512),
      entry(512, 512),
      entry(0, 0),
      entry(6144, 512),
      entry(6144, 4096),
    ]),
    [
      { offset: 0, length: 1024 },
      { offset: 4096, length: 6144 },
    ],
  );
});
