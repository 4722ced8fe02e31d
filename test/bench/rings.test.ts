/** The benchmark of the four rings from end to end, as briefly as it can be: that it measures, not what. */
import test from 'ava';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StageSummary } from '../../bench/rings/stages.ts';
import { COLUMN_NAMES, STAGE_NAMES } from '../../bench/rings/stages.ts';
import { PATIENCE, scriptBeside, startChild } from '../support/children.ts';
import { temporaryDirectory } from '../support/directories.ts';

const BENCHMARK = scriptBeside(import.meta.url, '../../bench/rings');
const LIMIT_MS = 90_000 * PATIENCE;

interface Line {
  readonly name: string;
  readonly depth: number;
  readonly isLoaded: boolean;
  readonly operations: number;
  readonly operationsPerSecond: readonly number[];
  readonly woken: { readonly inWait: number; readonly inKernel: number };
  readonly microseconds: Readonly<Record<string, StageSummary>>;
  readonly load: readonly { readonly ring: string; readonly done: number }[];
}

test('a quick run measures each ring alone and beside the others', async (t) => {
  const directory = temporaryDirectory(t);
  const child = startChild(t, BENCHMARK, ['--quick'], { limitMs: LIMIT_MS, directory });
  const { code, stdout, stderr } = await child.ended;
  t.is(code, 0, stderr);

  const written = readFileSync(join(directory, 'bench/results/ring-latency.jsonl'), 'utf8');
  const lines = written
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  for (const ring of ['foreground', 'flush', 'compaction', 'WAL']) {
    const ofRing = lines.filter(({ name }) => name.startsWith(ring));
    t.true(ofRing.length > 0 && ofRing.length % 2 === 0, ring);
    t.is(ofRing.filter(({ isLoaded }) => isLoaded).length, ofRing.length / 2, ring);
    t.true(stdout.includes(`### ${ring}`), ring);
  }
  for (const line of lines) {
    const place = `${line.name}, ${line.depth}, ${line.isLoaded ? 'loaded' : 'idle'}`;
    t.true(line.operations > 0 && line.operationsPerSecond.length === 1, place);
    t.true(line.woken.inWait + line.woken.inKernel <= line.operations, place);
    t.deepEqual(Object.keys(line.microseconds), [...COLUMN_NAMES], place);
    // A stamp that was not made, or is an earlier request's, would make a stage negative.
    for (const name of COLUMN_NAMES) t.true(line.microseconds[name].min >= 0, `${place}: ${name}`);
    const sum = STAGE_NAMES.reduce((total, name) => total + line.microseconds[name].mean, 0);
    t.true(Math.abs(sum - line.microseconds['total'].mean) < 0.01, place);
    const own = line.name.split(':')[0].toLowerCase();
    t.true(
      line.load.every(({ ring }) => ring !== own),
      place,
    );
    t.is(line.load.length > 0, line.isLoaded, place);
  }
  for (const chart of ['ring-stages.svg', 'ring-latencies.svg']) {
    t.true(readFileSync(join(directory, 'bench/results/charts', chart), 'utf8').startsWith('<svg '));
  }
  t.false(existsSync(join(directory, 'docs')), 'a quick run is no figure for the documentation');
});

test('a ring that does not exist is not measured', async (t) => {
  const directory = temporaryDirectory(t);
  const child = startChild(t, BENCHMARK, ['--only', 'nothing like it'], { directory });
  const { code, stderr } = await child.ended;
  t.is(code, 2);
  t.true(stderr.includes('nothing like it'), stderr);
});
