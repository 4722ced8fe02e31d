/** The program of bench/io-uring/kernel/: it compiles, and each arm of each of its rows is measured or refused by name. */
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { KernelProcess, buildKernelProgram, listKernelRows } from '../../bench/io-uring/kernel-program.ts';
import { temporaryDirectory } from './ring-fixture.ts';

const MEBIBYTE = 1 << 20;
/** Of each arm: enough for every lane of those that have 32. */
const OPERATIONS = 40;

test.before(() => buildKernelProgram());

test('every arm of every row gives figures, or the name of what the kernel refuses', async (t) => {
  const folder = temporaryDirectory(t);
  const files = { readFile: join(folder, 'read'), writeFile: join(folder, 'write') };
  for (const path of Object.values(files)) writeFileSync(path, randomBytes(4 * MEBIBYTE));
  for (const [number, row] of listKernelRows().entries()) {
    t.true(row.arms.length >= 2, `${row.name}: nothing is compared`);
    t.is(new Set(row.arms).size, row.arms.length, `${row.name}: arms are told apart by their names`);
    const child = new KernelProcess(number, files);
    for (const [arm, name] of row.arms.entries()) {
      const outcome = await child.run(arm, OPERATIONS);
      if ('refused' in outcome) {
        t.regex(outcome.refused, /^E[A-Z]+ from /, `${row.name}, ${name}`);
        t.log(`${row.name}, ${name}: ${outcome.refused}`);
        continue;
      }
      const { operationsPerSecond, p50Microseconds, p99Microseconds, cpuMicrosecondsPerOperation } = outcome;
      t.true(operationsPerSecond > 0, `${row.name}, ${name}`);
      t.true(p50Microseconds > 0 && p99Microseconds >= p50Microseconds, `${row.name}, ${name}`);
      t.true(cpuMicrosecondsPerOperation >= 0, `${row.name}, ${name}`);
    }
    await child.close();
  }
});

test('names of rows are told apart', (t) => {
  const names = listKernelRows().map(({ name }) => name);
  t.is(new Set(names).size, names.length);
});

test('without what it needs the program ends, and says so where an answer is waited for', async (t) => {
  const files = { readFile: '/nonexistent/read', writeFile: '/nonexistent/write' };
  const child = new KernelProcess(0, files);
  await t.throwsAsync(child.run(0, 1), { message: /ended with 1/ });
  await child.close();
});
