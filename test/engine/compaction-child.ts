/**
 * What a process does in the tests of waiting for compactions: `compaction-child <scenario> <backend> <directory>`.
 * Nothing but the database keeps it alive.
 */
import { Database, type CompactionOptions } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

const [, , scenario, backend, directory] = process.argv as [string, string, string, Backend, string];
const HOUR_MS = 3_600_000;

function open(compaction: CompactionOptions): Promise<Database> {
  const options = { writeBufferBytes: 65_536, blockBytes: 4096, compaction, io: ioOf(backend) };
  return Database.open(directory, options);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function addTables(database: Database, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await database.put(keyOf(i % 2), valueOf(100, i));
    await database.flush();
  }
}

const scenarios: Record<string, () => Promise<void>> = {
  /** A write that waits for nothing but its turn. */
  async slowdown() {
    const database = await open({ automatic: false, l0Trigger: 2, l0Slowdown: 2, l0Stop: 6 });
    await addTables(database, 4);
    // Owes the time that the next one waits: at 32 MiB a second, half a second.
    void database.put('large', valueOf(16 << 20, 1));
    void database.put('last', 'one').then(() => say('written'));
    say(`waits ${database.stats().writes.waiting}`);
  },

  /** A write that waits for a compaction, which somebody asks for who keeps no process alive. */
  async stop() {
    const database = await open({ automatic: false, l0Trigger: 2, l0Slowdown: 2, l0Stop: 3 });
    await addTables(database, 3);
    void database.put('last', 'one').then(() => say('written'));
    say(`waits ${database.stats().writes.waiting}`);
    setTimeout(() => void database.compactRange(), 500).unref();
  },

  /** Levels that would be brought to rest later. */
  async idle() {
    const database = await open({ l0Trigger: 8, idleMs: HOUR_MS });
    await addTables(database, 3);
    say('idle');
  },

  /** Ends in the middle of a compaction that would take a minute. */
  async exit() {
    const database = await open({ automatic: false, rateBytesPerSecond: 1 << 20, l0Slowdown: 47 });
    for (let i = 0; i < 4000; i++) await database.put(keyOf(i % 2000), valueOf(500, i), { sync: false });
    void database.compactRange();
    while (database.stats().compactions.running === null)
      await new Promise((resolve) => setImmediate(resolve));
    say('compacting');
    process.exit(7);
  },
};

await scenarios[scenario]();
