/** @nxtedition/rocksdb: RocksDB behind the interface of abstract-level. Benchmarks only. */
import type { Opening } from '../workload/session.ts';
import { OpenLevel, type LevelDatabase } from './abstract-level.ts';
import { loadPeer } from './packages.ts';
import { BLOCK_BYTES, type OpenPeer, type Peer } from './peer.ts';
import { rocksDbOptions, untilRocksDbIsIdle } from './shared.ts';

const PACKAGE = '@nxtedition/rocksdb';

interface RocksLevelOptions {
  readonly keyEncoding: 'buffer';
  readonly valueEncoding: 'buffer';
  readonly blockSize: number;
  readonly cacheSize: number;
  readonly compression: boolean;
  readonly walCompression: boolean;
}

interface RocksLevelPackage {
  readonly RocksLevel: new (directory: string, options: RocksLevelOptions) => LevelDatabase;
}

class OpenRocksLevel extends OpenLevel<LevelDatabase> {
  /** Its own `get` is this and an error for a key that is not there. */
  override async get(key: Buffer): Promise<Buffer | undefined> {
    const [value] = await this.getMany([key]);
    return value;
  }

  /** Its own `put` takes `sync` and passes it to nobody: only a batch can be durable. */
  override put(key: Buffer, value: Buffer): Promise<void> {
    return this.batch([key], [value]);
  }

  /** It writes in the caller's thread, before `batch` returns; so writes under way at once do not share a sync. */
  putTogether(keys: Buffer[], values: Buffer[]): void {
    // What goes wrong ends the process, as a rejection that nobody handles.
    void this.batch(keys, values);
  }

  /** It cannot be asked for a compaction. */
  override compact(): Promise<void> {
    return this.settle();
  }

  override settle(): Promise<void> {
    return untilRocksDbIsIdle((name) => this.database.getProperty(name));
  }

  override describe(): Record<string, unknown> {
    return rocksDbOptions(this.directory);
  }
}

export const nxteditionRocksDb: Peer = {
  packageName: PACKAGE,
  canBeDurable: true,

  /**
   * There is no direct I/O, whatever `io` says. The size of a memtable comes with one of two presets, of which one is
   * another kind of compaction and the other compresses: it stays RocksDB's 64 MiB. Filters have 10 bits a key unless told.
   */
  async open(directory: string, { cacheBytes, durable }: Opening): Promise<OpenPeer> {
    const { RocksLevel } = await loadPeer<RocksLevelPackage>(PACKAGE);
    const database = new RocksLevel(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      blockSize: BLOCK_BYTES,
      cacheSize: cacheBytes,
      compression: false,
      walCompression: false,
    });
    await database.open();
    return new OpenRocksLevel(database, directory, durable);
  },
};
