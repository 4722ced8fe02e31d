/**
 * Tables that somebody made who means harm: blocks whose checksums hold, with tables of their own that would have a search
 * go round for ever or give out memory behind the block. Reads and compactions are told that the table is damaged.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { BLOCK_HEADER_BYTES } from '../../src/format/block.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { tableName } from '../../src/format/file-names.ts';
import { readU16, readU32, writeU16, writeU32 } from '../../src/format/integers.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { TableIndex } from '../../src/format/table-index.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { manifestEdits } from '../support/damage.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 1 << 20,
  blockBytes: 4096,
  // So that a key that is absent is looked for in a block.
  filterBitsPerKey: 0,
  compaction: { automatic: false, l0Stop: 48 },
};
const ENTRIES = 300;
const CHECKSUM_BYTES = 4;

async function makeDatabase(t: ExecutionContext, backend: Backend): Promise<string> {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, OPTIONS);
  for (let i = 0; i < ENTRIES; i++) void database.put(keyOf(i), valueOf(100, i));
  void database.put('large', valueOf(100_000, 1));
  await database.flush();
  // Another one over all of it: neither can be taken down as it is.
  void database.put('a', '1');
  void database.put('z', '1');
  await database.flush();
  await database.close();
  return directory;
}

/** Changes the block of the first table that holds a key, and makes its checksum hold. */
function forgeBlock(directory: string, key: string, change: (block: Uint8Array) => void): void {
  const table = manifestEdits(directory).flatMap(({ added }) => added)[0];
  const path = join(directory, tableName(table.number));
  const bytes = readFileSync(path);
  const { offset, length } = placeOf(bytes, table, Buffer.from(key));
  const block = bytes.subarray(offset, offset + length);
  change(block);
  const end = length - CHECKSUM_BYTES;
  writeU32(block, end, checksum(block, 0, end, checksumSeed(0, table.number, offset)));
  writeFileSync(path, bytes);
}

function placeOf(
  bytes: Uint8Array,
  { metaOffset }: TableDescription,
  key: Uint8Array,
): { offset: number; length: number } {
  // The index is the first section of the tail; the footer says how long it is, its checksum included.
  const indexBytes = readU32(bytes, bytes.length - 32 + 4) - CHECKSUM_BYTES;
  const index = new TableIndex(bytes, metaOffset, metaOffset + indexBytes, metaOffset, 0);
  const block = index.locate(key, key.length);
  return { offset: index.pageOf(block) * PAGE_BYTES, length: index.pageCountOf(block) * PAGE_BYTES };
}

interface BlockTables {
  readonly buckets: number;
  readonly offsets: number;
  readonly firstEntry: number;
}

function tablesOf(block: Uint8Array): BlockTables {
  const offsets = BLOCK_HEADER_BYTES + (2 << readU16(block, 2));
  return { buckets: BLOCK_HEADER_BYTES, offsets, firstEntry: readU16(block, offsets) };
}

const LIES: Record<string, (block: Uint8Array) => void> = {
  'no empty bucket: a search for an absent key would never end': (block) => {
    const { buckets, offsets, firstEntry } = tablesOf(block);
    for (let at = buckets; at < offsets; at += 2)
      if (readU16(block, at) === 0) writeU16(block, at, firstEntry);
  },
  'a value that is longer than the block': (block) => {
    const { firstEntry } = tablesOf(block);
    const valueLengthAt = firstEntry + 2 + block[firstEntry];
    block.set([0xff, 0xff, 0xff, 0x1f], valueLengthAt);
  },
  'a negative length of a value': (block) => {
    const { firstEntry } = tablesOf(block);
    block.set([0xff, 0xff, 0xff, 0xff, 0x0f], firstEntry + 2 + block[firstEntry]);
  },
  'an entry outside': (block) => writeU16(block, tablesOf(block).offsets, 0xfffe),
  'more entries than it has': (block) => writeU16(block, 0, 0xffff),
  'more buckets than it has': (block) => writeU16(block, 2, 15),
  'another prefix than the index says': (block) => writeU16(block, 4, readU16(block, 4) - 1),
};

for (const [what, lie] of Object.entries(LIES)) {
  testBackends(`a block with ${what}`, async (t, backend) => {
    const directory = await makeDatabase(t, backend);
    forgeBlock(directory, keyOf(100), lie);
    const database = await openDatabase(t, directory, backend, OPTIONS);
    await expectDamage(t, database, keyOf(100));
    // What only the index contradicts, a merge does not see.
    if (!what.includes('index')) await expectCode(t, 'TABLE_CORRUPT', () => database.compactRange());
    await expectCode(t, 'TABLE_CORRUPT', () => database.get(keyOf(100)));
    t.is(database.stats().failure, null, 'nothing of it is final');
    // Other blocks are what they were.
    await expectValue(t, database, keyOf(ENTRIES - 1), valueOf(100, ENTRIES - 1));
    await database.close();
    t.true(existsSync(join(directory, 'CURRENT')));
  });
}

testBackends('a large value’s block that says it is larger', async (t, backend) => {
  const directory = await makeDatabase(t, backend);
  forgeBlock(directory, 'large', (block) => {
    const { firstEntry } = tablesOf(block);
    block.set([0xff, 0xff, 0xff, 0x1f], firstEntry + 2 + block[firstEntry]);
  });
  const database = await openDatabase(t, directory, backend, OPTIONS);
  await expectDamage(t, database, 'large');
  await expectCode(t, 'TABLE_CORRUPT', () => database.compactRange());
  await expectValue(t, database, keyOf(1), valueOf(100, 1));
});

/** By every way of reading. */
async function expectDamage(t: ExecutionContext, database: Database, key: string): Promise<void> {
  for (const read of [
    () => database.get(key),
    () => database.get(`${key}\0absent`),
    () => database.getSync(key),
    () => database.getMany([key, 'a']),
    () => readAll(database, false),
    () => readAll(database, true),
  ]) {
    const error = await expectCode(t, 'TABLE_CORRUPT', read);
    t.true(error.file?.endsWith('.sst'), error.message);
  }
}

async function readAll(database: Database, reverse: boolean): Promise<number> {
  const iterator = database.iterator({ reverse });
  try {
    let count = 0;
    for (;;) {
      const entries = await iterator.nextv(50);
      if (entries.length === 0) return count;
      count += entries.length;
    }
  } finally {
    await iterator.close();
  }
}
