/**
 * quadring's side of the compaction that is compared, in a process of its own. Benchmarks only.
 *
 *     node --expose-gc --no-flush-bytecode dist/bench/runner/compaction-process.js < task
 *
 * It is done twice and measured the second time: a database that has been open for a while has compacted before.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OneCompaction, type CompactionResult, type CompactionTask } from '../support/one-compaction.ts';
import { NODE_OPTIONS, runProcess } from './engine-process.ts';

const PROGRAM = fileURLToPath(import.meta.url);
const POOL_THREADS = 4;

interface ProcessTask extends CompactionTask {
  readonly backend: 'auto' | 'syscall';
}

/** Throws when the process fails. */
export async function compactInProcess(task: ProcessTask): Promise<CompactionResult> {
  const words = [...NODE_OPTIONS, PROGRAM];
  const { output, failure } = await runProcess(process.execPath, words, JSON.stringify(task), POOL_THREADS);
  if (failure !== undefined) throw failure;
  return JSON.parse(output) as CompactionResult;
}

async function main(): Promise<void> {
  const { backend, ...task } = JSON.parse(readFileSync(0, 'utf8')) as ProcessTask;
  const work = new OneCompaction(task);
  await work.inQuadring(backend);
  console.log(JSON.stringify(await work.inQuadring(backend)));
}

if (process.argv[1] === PROGRAM) await main();
