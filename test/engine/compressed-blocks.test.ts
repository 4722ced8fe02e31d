/** Tables with compressed blocks, also ones larger than the database's blocks now, read in every way that reads blocks. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database } from '../../src/index.ts';
import { BLOCK_TRAILER_BYTES } from '../../src/format/block-check.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { tableName } from '../../src/format/file-names.ts';
import { readU32, writeU32 } from '../../src/format/integers.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { COMPRESSIONS, buildTable, put } from '../format/tables.ts';
import type { Entry, Table } from '../format/tables.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { writeDatabase } from '../support/written-database.ts';

const ENTRY_COUNT = 3000;
const compressions = COMPRESSIONS.filter((name) => name !== 'none');

function keyOf(i: number): string {
  return `key ${String(i).padStart(6, '0')}`;
}

/** Every `step`-th key; each table has another text, of which most is repeated, and one value that has its own block. */
function entriesOf(step: number, sequence: number): Entry[] {
  return Array.from({ length: ENTRY_COUNT / step }, (_, i) => {
    const value =
      i === 100 ? `large ${step} `.repeat(10_000) : `value ${i * step} of ${step} `.repeat(1 + (i % 9));
    return put(keyOf(i * step), sequence + i, value);
  });
}

/** What reads of both tables must find: the newer one has every third key. */
function expectedOf(tables: readonly (readonly Entry[])[]): Map<string, string> {
  const newest = new Map<string, string>();
  for (const entries of tables)
    for (const { key, value } of entries)
      newest.set(Buffer.from(key).toString(), Buffer.from(value).toString());
  return newest;
}

async function expectAll(
  t: ExecutionContext,
  database: Database,
  expected: ReadonlyMap<string, string>,
): Promise<void> {
  const keys = [...expected.keys()].sort();
  const text = (value: Uint8Array | undefined): string | undefined =>
    value === undefined ? undefined : Buffer.from(value).toString();
  for (let i = 0; i < keys.length; i += 7) {
    if (text(await database.get(keys[i])) !== expected.get(keys[i])) t.fail(`get ${keys[i]}`);
    t.is(await database.get(`${keys[i]}-`), undefined);
  }
  const some = keys.filter((_, i) => i % 5 === 0);
  const many = await database.getMany(some);
  many.forEach((value, i) => {
    if (text(value) !== expected.get(some[i])) t.fail(`getMany ${some[i]}`);
  });
  for (const reverse of [false, true]) {
    const order = reverse ? [...keys].reverse() : keys;
    let at = 0;
    for await (const [key, value] of database.iterator({ reverse })) {
      if (text(key) !== order[at] || text(value) !== expected.get(order[at])) t.fail(`${at}: ${text(key)}`);
      at++;
    }
    t.is(at, keys.length);
  }
}

for (const compression of compressions) {
  for (const tableBlockBytes of [16_384, 65_536]) {
    testBackends(
      `${compression} in blocks of ${tableBlockBytes} bytes, read by a database with blocks of 16 KiB`,
      async (t, backend) => {
        const tables = [entriesOf(1, 1), entriesOf(3, 10_000)];
        const options = { compression, blockBytes: tableBlockBytes };
        const directory = temporaryDirectory(t);
        writeDatabase(
          directory,
          tables.map((entries, i) => buildTable(entries, { ...options, fileNumber: 3 + i })),
        );
        const expected = expectedOf(tables);
        for (const blockCacheBytes of [0, 262_144, 8 * 1024 * 1024]) {
          const database = await openDatabase(t, directory, backend, { blockBytes: 16_384, blockCacheBytes });
          await expectAll(t, database, expected);
          await database.close();
        }
      },
    );
  }

  testBackends(
    `${compression}: a block whose checksum holds and that cannot be decompressed is told to whoever reads it`,
    async (t, backend) => {
      for (const tableBlockBytes of [16_384, 65_536]) {
        const entries = entriesOf(1, 1);
        const table = buildTable(entries, { compression, blockBytes: tableBlockBytes, fileNumber: 3 });
        const { index } = table.meta;
        let block = 1;
        while (index.memoryPagesOf(block) === index.pageCountOf(block)) block++;
        const offset = spoil(table, block);
        const directory = temporaryDirectory(t);
        writeDatabase(directory, [table]);
        const first = Buffer.from(index.firstKeyOf(block)).toString();
        const next = Buffer.from(index.firstKeyOf(block + 1)).toString();
        const database = await openDatabase(t, directory, backend, { blockBytes: 16_384 });
        const error = await expectCode(t, 'TABLE_CORRUPT', () => database.get(first));
        t.is(error.file, join(directory, tableName(3)));
        t.is(error.offset, offset);
        t.regex(error.message, /decompress/);
        await expectCode(t, 'TABLE_CORRUPT', () => Promise.resolve(database.getSync(first)));
        await expectCode(t, 'TABLE_CORRUPT', () => database.getMany([keyOf(0), first, next]));
        await expectCode(t, 'TABLE_CORRUPT', async () => {
          for await (const entry of database.iterator()) t.truthy(entry);
        });
        t.truthy(await database.get(keyOf(0)));
        t.truthy(await database.get(next));
        await database.close();
      }
    },
  );
}

/** Cuts a byte off what a compressed block says it is stored in, and gives it a checksum that holds; its offset. */
function spoil({ bytes, meta, fileNumber }: Table, block: number): number {
  const offset = meta.index.pageOf(block) * PAGE_BYTES;
  const end = offset + meta.index.pageCountOf(block) * PAGE_BYTES;
  const at = end - BLOCK_TRAILER_BYTES + 8;
  writeU32(bytes, at, readU32(bytes, at) - 1);
  writeU32(bytes, end - 4, checksum(bytes, offset, end - 4, checksumSeed(0, fileNumber, offset)));
  return offset;
}
