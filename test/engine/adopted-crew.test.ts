/** What a ring thread knows of one database must not be taken for true of the next, which adopts it. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Database } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { ioOf } from '../support/io-setting.ts';

/** What `st_blocks` counts in. */
const STATUS_BLOCK_BYTES = 512;
/** What a manifest has reserved before its first edit is written. */
const RESERVED_BYTES = 256 * 1024;

testBackends('the manifest of a second database had no space reserved', async (t, backend) => {
  const root = temporaryDirectory(t);
  const reserved: number[] = [];
  for (const name of ['first', 'second']) {
    const directory = join(root, name);
    mkdirSync(directory);
    const database = await Database.open(directory, { writeBufferBytes: 65_536, io: ioOf(backend) });
    reserved.push(statSync(join(directory, 'MANIFEST-000001')).blocks * STATUS_BLOCK_BYTES);
    await database.close();
  }
  t.true(reserved[0] >= RESERVED_BYTES, 'this file system reserves space');
  t.true(reserved[1] >= RESERVED_BYTES, `${reserved[1]} bytes`);
});
