/** classic-level: LevelDB, the engine behind most databases that are embedded in Node. Benchmarks only. */
import { setTimeout } from 'node:timers/promises';
import type { Opening } from '../workload/session.ts';
import { OpenLevel, type LevelDatabase } from './abstract-level.ts';
import { loadPeer } from './packages.ts';
import { BLOCK_BYTES, type OpenPeer, type Peer } from './peer.ts';
import { WRITE_BUFFER_BYTES } from './shared.ts';

const PACKAGE = 'classic-level';
const LEVELS = 7;
const FIRST_KEY = Buffer.from([0x00]);
const LAST_KEY = Buffer.from([0xff]);
/** Longer than LevelDB takes for one compaction, which has at most 50 MiB or so. */
const QUIET_MILLIS = 2000;

interface ClassicLevel extends LevelDatabase {
  get(key: Buffer): Promise<Buffer | undefined>;
  getSync(key: Buffer): Buffer | undefined;
  put(key: Buffer, value: Buffer, options: { readonly sync: boolean }): Promise<void>;
  compactRange(from: Buffer, to: Buffer): Promise<void>;
}

interface ClassicLevelOptions {
  readonly keyEncoding: 'buffer';
  readonly valueEncoding: 'buffer';
  readonly blockSize: number;
  readonly cacheSize: number;
  readonly writeBufferSize: number;
  readonly compression: boolean;
}

interface ClassicLevelPackage {
  readonly ClassicLevel: new (directory: string, options: ClassicLevelOptions) => ClassicLevel;
}

class OpenClassicLevel extends OpenLevel<ClassicLevel> {
  getSync(key: Buffer): Buffer | undefined {
    return this.database.getSync(key);
  }

  override get(key: Buffer): Promise<Buffer | undefined> {
    return this.database.get(key);
  }

  override put(key: Buffer, value: Buffer): Promise<void> {
    return this.database.put(key, value, this.writeOptions);
  }

  override compact(): Promise<void> {
    return this.database.compactRange(FIRST_KEY, LAST_KEY);
  }

  /** LevelDB does not say whether it compacts; it has when for a while no table came or went. */
  override async settle(): Promise<void> {
    for (let before = '', now = this.#tables(); now !== before; now = this.#tables()) {
      before = now;
      await setTimeout(QUIET_MILLIS);
    }
  }

  override describe(): Record<string, unknown> {
    const count = (level: number): number =>
      Number(this.database.getProperty(`leveldb.num-files-at-level${level}`));
    return {
      reads: 'tables mapped into memory',
      blockCache: 'not for blocks that are mapped and not compressed',
      tablesAtLevel: Array.from({ length: LEVELS }, (_, level) => count(level)),
    };
  }

  #tables(): string {
    return this.database.getProperty('leveldb.sstables');
  }
}

export const classicLevel: Peer = {
  packageName: PACKAGE,
  canBeDurable: true,

  /** It reads through mapped memory, whatever `io` says. Its filters have 10 bits a key, always. */
  async open(directory: string, { cacheBytes, durable }: Opening): Promise<OpenPeer> {
    const { ClassicLevel } = await loadPeer<ClassicLevelPackage>(PACKAGE);
    const database = new ClassicLevel(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      blockSize: BLOCK_BYTES,
      cacheSize: cacheBytes,
      writeBufferSize: WRITE_BUFFER_BYTES,
      compression: false,
    });
    await database.open();
    return new OpenClassicLevel(database, directory, durable);
  },
};
