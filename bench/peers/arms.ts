/**
 * Who takes part in the comparison: engines, and some of them in several configurations. Benchmarks only.
 *
 * The first is what all others are held against; the second is its control arm, the same engine on plain system calls.
 */
import type { Variant } from '../workload/group.ts';
import type { Opening } from '../workload/session.ts';
import { betterSqlite } from './better-sqlite3.ts';
import { classicLevel } from './classic-level.ts';
import { lmdb } from './lmdb.ts';
import { nxteditionRocksDb } from './nxtedition-rocksdb.ts';
import type { Peer } from './peer.ts';
import { QuadringPeer } from './quadring.ts';
import { rocksDbNative } from './rocksdb-native.ts';

const MEBIBYTE = 1 << 20;

export interface Arm {
  /** One word. */
  readonly name: string;
  readonly title: string;
  /** Where its loaded databases are; arms of one engine share them. */
  readonly engine: string;
  /** The engine's binding; null for RocksDB's own process in C++. */
  readonly peer: Peer | null;
  /** Takes part only in groups with this variant. */
  readonly variant?: Variant;
  /** What is different from the group's opening. */
  readonly opening?: Partial<Opening>;
  /** MultiGet with `async_io`. */
  readonly asyncIo?: boolean;
}

function rocksDb(name: string, title: string, more: Partial<Arm>): Arm {
  return { name, title, engine: 'rocksdb', peer: null, ...more };
}

function nodeArm(name: string, title: string, peer: Peer, more: Partial<Arm> = {}): Arm {
  return { name, title, engine: name, peer, ...more };
}

export const ARMS: readonly Arm[] = [
  nodeArm('quadring', 'quadring', new QuadringPeer({ backend: 'auto' })),
  nodeArm('quadring-syscall', 'quadring, system calls', new QuadringPeer({ backend: 'syscall' }), {
    engine: 'quadring',
  }),
  nodeArm(
    'quadring-spinning',
    'quadring, spinning',
    new QuadringPeer({ backend: 'auto', spinMicroseconds: 1000 }),
    { engine: 'quadring', variant: 'spinning' },
  ),
  rocksDb('rocksdb', 'RocksDB', {}),
  rocksDb('rocksdb-async', 'RocksDB, async_io', { variant: 'rocksdb-async', asyncIo: true }),
  rocksDb('rocksdb-production', 'RocksDB, buffered + 8 MiB', {
    variant: 'rocksdb-configurations',
    opening: { io: 'buffered', cacheBytes: 8 * MEBIBYTE },
  }),
  rocksDb('rocksdb-buffered', 'RocksDB, buffered, no cache', {
    variant: 'rocksdb-configurations',
    opening: { io: 'buffered', cacheBytes: 0 },
  }),
  rocksDb('rocksdb-in-memory', 'RocksDB, manual_wal_flush', {
    variant: 'rocksdb-in-memory',
    opening: { inMemory: true },
  }),
  nodeArm('classic-level', 'classic-level', classicLevel),
  nodeArm('lmdb', 'lmdb', lmdb),
  nodeArm('rocksdb-native', 'rocksdb-native', rocksDbNative),
  nodeArm('nxtedition-rocksdb', '@nxtedition/rocksdb', nxteditionRocksDb),
  nodeArm('better-sqlite3', 'better-sqlite3', betterSqlite),
];

/** The engine of an arm that a Node process runs. */
export function nodePeer(name: string): Peer {
  const peer = ARMS.find((arm) => arm.name === name)?.peer;
  if (peer === undefined || peer === null) throw new Error(`no engine for Node is called ${name}`);
  return peer;
}
