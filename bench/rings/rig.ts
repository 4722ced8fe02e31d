/**
 * A folder of files that rings read and write, and a crew that is attached to it: an open database without its tree. Owner of
 * benchmarks only.
 */
import { closeSync, constants, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { writeBlockTrailer, BLOCK_TRAILER_BYTES } from '../../src/format/block-check.ts';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { LOCK_NAME, logName, tableName } from '../../src/format/file-names.ts';
import { writeU32 } from '../../src/format/integers.ts';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import { CrewAttachment } from '../../src/main/crew-attachment.ts';
import { nodeFileSystem } from '../../src/main/file-system.ts';
import { resolveOptions } from '../../src/main/options.ts';
import { MEBIBYTE } from '../../src/protocol/crew-layout.ts';
import {
  OPEN_LOG,
  OPEN_TABLE,
  ROLE_COMPACTION,
  ROLE_FLUSH,
  ROLE_FOREGROUND,
  ROLE_IDS,
  ROLE_WAL,
  type RoleId,
} from '../../src/protocol/requests.ts';
import { BenchCrew } from './bench-crew.ts';
import { StampedScheduler } from './stamped-scheduler.ts';
import { clockCostNanoseconds, secondsNow, sharedClock } from './stamps.ts';
import {
  BLOCK_BYTES,
  BlockReads,
  FrameWrites,
  PieceReads,
  PieceWrites,
  type TrafficFile,
} from './traffic.ts';

/** Seeds the checksums of the log's frames; any will do. */
const SALT = 0x5eed;
/** Where a checksum stands at the end of a block. */
const CHECKSUM_BYTES = 4;
const FILES = {
  blocks: { number: 1, mebibytes: 256 },
  flushed: { number: 2, mebibytes: 64 },
  input: { number: 3, mebibytes: 128 },
  output: { number: 4, mebibytes: 64 },
  log: { number: 5, mebibytes: 16 },
};

export interface RigOptions {
  readonly folder: string;
  /** Of the files' sizes. */
  readonly scale: number;
  readonly backend: 'auto' | 'uring' | 'syscall';
  readonly spinMicroseconds: number;
}

export class Rig {
  readonly crew: BenchCrew;
  readonly scheduler: StampedScheduler;
  readonly directIo: boolean;
  readonly clockNanoseconds: number;
  readonly #attachment: CrewAttachment;
  readonly #directories: readonly number[];
  readonly #scale: number;

  private constructor(crew: BenchCrew, baseSeconds: number, { folder, scale, spinMicroseconds }: RigOptions) {
    const clock = sharedClock(baseSeconds);
    this.crew = crew;
    this.#scale = scale;
    this.clockNanoseconds = clockCostNanoseconds(clock);
    this.scheduler = new StampedScheduler(crew, folder, spinMicroseconds, clock);
    writeFileSync(join(folder, LOCK_NAME), '');
    this.directIo = nodeFileSystem.supportsDirectIo(folder);
    this.#directories = ROLE_IDS.map(() => openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY));
    const onFailure = (error: Error): void => {
      throw error;
    };
    const place = { salt: SALT, directIo: this.directIo, polledBytesMax: 0, slotBytes: BLOCK_BYTES };
    const directories = this.#directories;
    this.#attachment = new CrewAttachment(crew, this.scheduler, { ...place, directories }, onFailure);
    crew.listener = { onWake: () => this.scheduler.onWake(), onFailure };
  }

  /** Writes the files, which takes a while, and opens them in their threads. */
  static async open(options: RigOptions): Promise<Rig> {
    const { backend, spinMicroseconds } = options;
    const baseSeconds = secondsNow();
    const settings = resolveOptions({ io: { backend, spinMicroseconds } });
    const rig = new Rig(await BenchCrew.start(settings, baseSeconds), baseSeconds, options);
    try {
      rig.#writeFiles(options.folder);
      await rig.#attachment.begin();
      await rig.#open(ROLE_FOREGROUND, OPEN_TABLE, FILES.blocks.number);
      await rig.#open(ROLE_FLUSH, OPEN_TABLE, FILES.flushed.number);
      await rig.#open(ROLE_COMPACTION, OPEN_TABLE, FILES.input.number);
      await rig.#open(ROLE_COMPACTION, OPEN_TABLE, FILES.output.number);
      await rig.#open(ROLE_WAL, OPEN_LOG, FILES.log.number);
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  blockReads(): BlockReads {
    return new BlockReads(this.scheduler, this.#file('blocks'));
  }

  flushWrites(): PieceWrites {
    return new PieceWrites(this.scheduler, ROLE_FLUSH, this.#file('flushed'));
  }

  compactionReads(): PieceReads {
    return new PieceReads(this.scheduler, this.#file('input'));
  }

  compactionWrites(): PieceWrites {
    return new PieceWrites(this.scheduler, ROLE_COMPACTION, this.#file('output'));
  }

  frameWrites(bytes: number): FrameWrites {
    return new FrameWrites(this.scheduler, this.crew.memory.pool, this.#file('log'), bytes);
  }

  async close(): Promise<void> {
    // Roles close their files before they answer.
    await this.#attachment.end();
    await this.crew.dismiss();
    for (const directory of this.#directories) closeSync(directory);
  }

  #file(name: keyof typeof FILES): TrafficFile {
    const { number, mebibytes } = FILES[name];
    return { number, bytes: Math.max(1, Math.round(mebibytes * this.#scale)) * MEBIBYTE };
  }

  async #open(role: RoleId, opcode: number, number: number): Promise<void> {
    const answer = await this.scheduler.ask(role, opcode, number);
    if (answer.result < 0) throw this.scheduler.errorOf('opening', `file ${number}`, answer);
  }

  /** Written through and durable, so that nothing that is measured allocates space. */
  #writeFiles(folder: string): void {
    const piece = alignedSharedMemory(MEBIBYTE);
    for (let i = 0; i < piece.length; i++) piece[i] = i * 31;
    const direct = this.directIo ? constants.O_DIRECT : 0;
    for (const name of Object.keys(FILES) as (keyof typeof FILES)[]) {
      const { number, bytes } = this.#file(name);
      const path = join(folder, name === 'log' ? logName(number) : tableName(number));
      const descriptor = openSync(path, constants.O_CREAT | constants.O_WRONLY | direct, 0o600);
      try {
        for (let offset = 0; offset < bytes; offset += MEBIBYTE) {
          if (name === 'blocks') sealBlocks(piece, number, offset);
          writeSync(descriptor, piece, 0, MEBIBYTE, offset);
        }
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    }
  }
}

/** Makes blocks of a table of the bytes, which will stand at `offset` of its file. */
function sealBlocks(bytes: Uint8Array, table: number, offset: number): void {
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const end = at + BLOCK_BYTES;
    writeBlockTrailer(bytes, end - BLOCK_TRAILER_BYTES, BLOCK_BYTES - BLOCK_TRAILER_BYTES);
    const seed = checksumSeed(0, table, offset + at);
    writeU32(bytes, end - CHECKSUM_BYTES, checksum(bytes, at, end - CHECKSUM_BYTES, seed));
  }
}
