/** The compaction role over real files, on both rings, with O_DIRECT and without. */
import test from 'ava';
import { closeSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tableName } from '../../src/format/file-names.ts';
import { native } from '../../src/native.ts';
import { COMPACTION_RATE_WORD } from '../../src/protocol/crew-layout.ts';
import { END_COMPACTION } from '../../src/protocol/requests.ts';
import { plainRing } from '../../src/protocol/plain-ring.ts';
import { createRing } from '../../src/workers/native-ring.ts';
import { expectEntries, openTable, put, scan, type Entry } from '../format/tables.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { CompactionRig } from '../support/compaction-rig.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const ECANCELED = 125;
const RING_ENTRIES = 64;
const RUNS = 3;
const KEEP_ALL = { snapshots: [], keepAbove: 0 };

/** Of 2.4 MB, with one value larger than a read buffer. */
const entries: readonly Entry[] = Array.from({ length: 3000 }, (_, i) =>
  put(keyOf(i), i + 1, new Uint8Array(valueOf(i === 1500 ? 900_000 : 500, i))),
);

class RealWorld {
  readonly directory: string;
  readonly rig: CompactionRig;
  readonly runs;
  readonly close: () => void;

  constructor(directory: string, backend: Backend, directIo: boolean) {
    const eventfd = native.createEventfd();
    const ring = createRing({
      backend,
      entries: RING_ENTRIES,
      eventfd,
      ...plainRing(),
    });
    this.directory = directory;
    this.rig = new CompactionRig({ random: new Random(1), ring, now: () => performance.now() });
    this.runs = Array.from({ length: RUNS }, (_, run) => [
      this.rig.addTable(entries.filter((_, i) => i % RUNS === run)),
    ]);
    for (const [name, file] of this.rig.disk.names) {
      writeFileSync(join(directory, name), file.bytes());
    }
    const handle = openSync(directory, 'r');
    this.rig.attach(handle, directIo);
    this.close = () => {
      ring.close();
      native.closeDescriptor(eventfd);
      closeSync(handle);
    };
  }
}

for (const directIo of [true, false]) {
  testBackends(`tables are merged: O_DIRECT ${directIo}`, async (t, backend) => {
    const world = new RealWorld(temporaryDirectory(t), backend, directIo);
    const { rig, runs, directory } = world;
    const ioPriority = directIo ? 'idle' : 'best-effort';
    const tables = rig.compact({ runs, ...KEEP_ALL, tableBytes: 500_000, ioPriority });
    world.close();
    t.true(tables.length >= 3);
    const found = tables.flatMap((description) => {
      const bytes = new Uint8Array(readFileSync(join(directory, tableName(description.number))));
      return scan(openTable(bytes, description, description.number));
    });
    expectEntries(t, found, entries);
    t.is(readdirSync(directory).length, RUNS + tables.length);
  });
}

testBackends('the rate is kept, and an END does not wait for it', async (t, backend) => {
  const world = new RealWorld(temporaryDirectory(t), backend, true);
  const { rig, runs, directory } = world;
  const bytes = runs.flat().reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  const rate = 8 << 20;
  Atomics.store(rig.control, COMPACTION_RATE_WORD, rate / 1024);
  const begun = performance.now();
  rig.compact({ runs, ...KEEP_ALL });
  const seconds = (performance.now() - begun) / 1000;
  t.true(seconds > (2 * 0.9 * bytes) / rate, `${2 * bytes} bytes in ${seconds.toFixed(2)} s`);

  Atomics.store(rig.control, COMPACTION_RATE_WORD, 0);
  rig.begin({ runs, ...KEEP_ALL });
  Atomics.store(rig.control, COMPACTION_RATE_WORD, 1);
  const number = rig.newTable();
  const writing = rig.askWrite(number);
  for (let turns = 0; turns < 30; turns++) rig.turn();
  t.false(rig.hasAnswer(writing), 'at this rate it would take an hour');
  const ending = rig.ask(END_COMPACTION);
  t.is(rig.wait(writing).result, -ECANCELED);
  t.is(rig.wait(ending).result, 0);
  world.close();
  t.false(
    readdirSync(directory).some((name) => name.startsWith(tableName(number))),
    'nothing is left of it',
  );
});

test('a file that is missing is named', (t) => {
  const world = new RealWorld(temporaryDirectory(t), 'syscall', false);
  const { rig, runs } = world;
  const missing = { ...runs[0][0], number: 99 };
  t.true(rig.begin({ runs: [[missing]], ...KEEP_ALL }).result < 0);
  t.is(rig.failure().table, 99);
  t.is(rig.end().result, 0);
  world.close();
});
