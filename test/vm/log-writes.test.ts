/** The decoder of dm-log-writes' logs, on logs that are made here. */
import test, { type ExecutionContext } from 'ava';
import { Random, testSeed } from '../support/random.ts';
import {
  END_MARK,
  FLAG_DISCARD,
  FLAG_FLUSH,
  FLAG_FUA,
  FLAG_MARK,
  LogWritesError,
  readEntries,
} from './log-writes.ts';
import { dataOf, encodeLog, readerOf, type SyntheticEntry } from './synthetic-log.ts';

const ENTRIES: SyntheticEntry[] = [
  { flags: 0, offset: 4096, length: 1024, data: Buffer.alloc(1024, 7) },
  { flags: FLAG_DISCARD, offset: 8192, length: 65_536 },
  { flags: FLAG_FLUSH },
  { flags: FLAG_FUA, offset: 0, length: 512, data: Buffer.alloc(512, 9) },
  { flags: FLAG_MARK, mark: 'here' },
];

test('entries come with their places, their flags and where their bytes are', (t) => {
  const log = encodeLog(ENTRIES);
  const entries = readEntries(readerOf(log));
  t.deepEqual(
    entries.map(({ flags, offset, length, mark }) => ({ flags, offset, length, mark })),
    [
      { flags: 0, offset: 4096, length: 1024, mark: '' },
      { flags: FLAG_DISCARD, offset: 8192, length: 65_536, mark: '' },
      { flags: FLAG_FLUSH, offset: 0, length: 0, mark: '' },
      { flags: FLAG_FUA, offset: 0, length: 512, mark: '' },
      { flags: FLAG_MARK, offset: 0, length: 0, mark: 'here' },
      { flags: FLAG_MARK, offset: 0, length: 0, mark: END_MARK },
    ],
  );
  for (const [i, { data = Buffer.alloc(0) }] of ENTRIES.entries()) {
    const entry = entries[i];
    if (entry !== undefined) t.deepEqual(Buffer.from(dataOf(log, entry)), data);
  }
});

function refused(t: ExecutionContext, log: Buffer, message: RegExp): void {
  t.throws(() => readEntries(readerOf(log)), { instanceOf: LogWritesError, message });
}

function changed(change: (log: Buffer) => void): Buffer {
  const log = encodeLog(ENTRIES);
  change(log);
  return log;
}

test('a log that was full before the recording ended is refused', (t) => {
  refused(t, encodeLog(ENTRIES, false), /has no end/);
  refused(t, encodeLog([], false), /has no end/);
});

test('what is no log, or one of another version, is refused', (t) => {
  refused(t, Buffer.alloc(4096), /no log/);
  refused(
    t,
    changed((log) => log.writeUInt8(2, 8)),
    /version 2/,
  );
  refused(t, Buffer.alloc(0), /ends at 0/);
});

test('a log whose device ends before its entries do is refused', (t) => {
  const log = encodeLog(ENTRIES);
  for (let bytes = 0; bytes < log.length; bytes += 256) {
    if (bytes > log.length - 512) break;
    refused(t, log.subarray(0, bytes), /ends at/);
  }
});

test('numbers that no log can have are refused', (t) => {
  refused(
    t,
    changed((log) => log.fill(0xff, 16, 24)),
    /the number of entries/,
  );
  refused(
    t,
    changed((log) => log.writeUInt32LE(513, 24)),
    /a sector has 513 bytes/,
  );
  refused(
    t,
    changed((log) => log.writeUInt8(32, 512 + 16)),
    /the flags/,
  );
  refused(
    t,
    changed((log) => log.fill(0xff, 512, 520)),
    /the place/,
  );
  refused(
    t,
    changed((log) => log.fill(0xff, 520, 528)),
    /the length/,
  );
  refused(
    t,
    changed((log) => log.writeUInt16LE(481, 512 + 24)),
    /the text's length/,
  );
});

test('damaged logs are refused or read, and nothing else', (t) => {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  const random = new Random(seed);
  let refusals = 0;
  for (let round = 0; round < 2000; round++) {
    const log = changed((bytes) => {
      for (let i = random.between(1, 8); i > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
    });
    try {
      readEntries(readerOf(log));
    } catch (error) {
      if (!(error instanceof LogWritesError)) throw error;
      refusals++;
    }
  }
  t.true(refusals > 0);
});
