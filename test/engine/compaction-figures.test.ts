/** What compactions cost, and what a range of keys takes: figures of `stats()` and `approximateSize` against the files. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions, Range } from '../../src/index.ts';
import { inspectDirectory } from '../../src/main/directory-contents.ts';
import { nodeFileSystem } from '../../src/main/file-system.ts';
import { readManifest } from '../../src/main/recovery.ts';
import { atRest, entriesOf, expectOnlyTables, shapeOf } from '../support/at-rest.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { namesEnding, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { keyOf, valueOf } from '../support/values.ts';

const BLOCK_BYTES = 4096;
/** Small tables in several levels. */
const DEEP: DatabaseOptions = {
  writeBufferBytes: 65_536,
  blockBytes: BLOCK_BYTES,
  blockCacheBytes: 65_536,
  compaction: { l0Trigger: 3, tableBytes: 65_536, baseBytes: 65_536, multiplier: 2, idleMs: 0 },
};
const KEYS = 3000;

async function opened(
  t: ExecutionContext,
  backend: Backend,
): Promise<{ database: Database; directory: string }> {
  const directory = join(temporaryDirectory(t), 'db');
  return { database: await openDatabase(t, directory, backend, DEEP), directory };
}

async function write(database: Database, keys: Iterable<number>): Promise<void> {
  const written: Promise<void>[] = [];
  for (const key of keys) written.push(database.put(keyOf(key), valueOf(250, key), { sync: false }));
  await Promise.all(written);
}

function* scattered(): Generator<number> {
  for (let i = 0; i < KEYS; i++) yield (i * 1009) % KEYS;
}

testBackends('the size of a range is that of its blocks, over all levels', async (t, backend) => {
  const { database, directory } = await opened(t, backend);
  const size = (range: Range): Promise<number> => database.approximateSize(range);
  t.is(await size({}), 0);
  await write(database, scattered());
  await atRest(database);
  t.true(database.stats().levels.length >= 2, shapeOf(database));
  const contents = inspectDirectory(nodeFileSystem, directory);
  const { tables } = readManifest(nodeFileSystem, directory, contents);
  const data = tables.reduce((sum, { metaOffset }) => sum + metaOffset, 0);
  const files = namesEnding(directory, '.sst').reduce(
    (sum, name) => sum + statSync(join(directory, name)).size,
    0,
  );
  t.is(await size({}), data);
  t.true(data < files && data > 0.8 * files, `${data} of ${files}`);
  // At each end of a range a block of each level, and of each table of level 0, belongs to it in part.
  const slack = 2 * BLOCK_BYTES * database.stats().amplification.read;
  const close = async (range: Range, share: number): Promise<boolean> => {
    const found = await size(range);
    return t.true(Math.abs(found - share * data) <= slack, `${JSON.stringify(range)}: ${found} of ${data}`);
  };
  await close({ lt: keyOf(KEYS / 2) }, 0.5);
  await close({ gte: keyOf(KEYS / 2) }, 0.5);
  await close({ gt: keyOf(KEYS / 4), lte: keyOf(KEYS / 2) }, 0.25);
  await close({ gte: keyOf(300), lt: keyOf(600), reverse: true, limit: 1 }, 0.1);
  // Parts together are the whole, but for blocks that belong to two.
  let sum = 0;
  for (let from = 0; from < KEYS; from += 500) sum += await size({ gte: keyOf(from), lt: keyOf(from + 500) });
  t.true(sum >= data && sum <= data + 3 * slack, `${sum} of ${data}`);
  const single = await size({ gte: keyOf(1234), lte: keyOf(1234) });
  t.true(single >= BLOCK_BYTES && single <= slack, `${single}`);
  for (const nothing of [{ gt: 'z' }, { lt: 'a' }, { gt: keyOf(KEYS) }, { lt: keyOf(0) }] satisfies Range[]) {
    t.is(await size(nothing), 0, JSON.stringify(nothing));
  }
  for (const empty of [
    { gte: keyOf(1234), lt: keyOf(1234) },
    { gt: keyOf(2000), lt: keyOf(1000) },
    { gt: `${keyOf(50)}a`, lt: `${keyOf(50)}b` },
  ] satisfies Range[]) {
    t.true((await size(empty)) <= slack / 2, JSON.stringify(empty));
  }
  // Little, so that the memtable that is in use has room for it.
  await database.put('memory', valueOf(100, 1));
  t.is(await size({}), data, 'what is in memory does not count');
  await database.compactRange();
  const compacted = await size({});
  t.true(Math.abs(compacted / data - 1) < 0.2, `${compacted}, before ${data}`);
});

testBackends('what is written in order is only moved from level to level', async (t, backend) => {
  for (const keys of [[...Array(KEYS).keys()], [...Array(KEYS).keys()].reverse()]) {
    const { database, directory } = await opened(t, backend);
    await write(database, keys);
    await database.flush();
    await atRest(database);
    const { compactions, amplification, flushes } = database.stats();
    t.true(flushes.flushes > 10);
    t.true(
      compactions.movedTables >= flushes.flushes - 3,
      `${compactions.movedTables} of ${flushes.flushes}`,
    );
    t.deepEqual([compactions.bytesWritten, compactions.bytesRead, compactions.writtenTables], [0, 0, 0]);
    t.is(amplification.write, 1);
    t.true(database.stats().levels.length >= 2, shapeOf(database));
    t.is(entriesOf(database), KEYS);
    await expectOnlyTables(t, database, directory);
    const shape = shapeOf(database);
    await database.close();
    const reopened = await openDatabase(t, directory, backend, DEEP);
    t.is(shapeOf(reopened), shape, 'each is at the level that it was moved to');
    let next = 0;
    for await (const [key, value] of reopened.iterator({ keyEncoding: 'utf8' })) {
      if (key !== keyOf(next) || !value.equals(valueOf(250, next))) break;
      next++;
    }
    t.is(next, KEYS);
    await reopened.close();
  }
});

testBackends('what compactions did is counted', async (t, backend) => {
  const { database, directory } = await opened(t, backend);
  await write(database, scattered());
  await write(database, scattered());
  await database.flush();
  await atRest(database);
  const { compactions, flushes, amplification, tableFiles, levels } = database.stats();
  t.true(compactions.compactions > 3 && compactions.milliseconds > 0);
  t.true(compactions.writtenTables >= compactions.compactions);
  t.is(compactions.running, null);
  t.deepEqual([compactions.failures, compactions.lastFailure, compactions.pendingBytes], [0, null, 0]);
  const bytes = levels.reduce((sum, level) => sum + level.bytes, 0);
  const tables = levels.reduce((sum, level) => sum + level.tables, 0);
  t.is(flushes.bytesWritten + compactions.bytesWritten, bytes + tableFiles.removedBytes);
  t.is(flushes.flushes + compactions.writtenTables, tables + tableFiles.removed);
  t.is(amplification.write, (flushes.bytesWritten + compactions.bytesWritten) / flushes.bytesWritten);
  const level0 = levels[0].level === 0 ? levels[0].tables : 0;
  t.is(amplification.read, level0 + levels.filter(({ level }) => level > 0).length);
  t.is(amplification.space, bytes / levels.at(-1)!.bytes);
  t.true(amplification.space < 3 && amplification.write < 12, JSON.stringify(amplification));
  await expectOnlyTables(t, database, directory);
  await database.compactRange();
  t.is(database.stats().amplification.space, 1);
  t.is(database.stats().amplification.read, 1);
});
