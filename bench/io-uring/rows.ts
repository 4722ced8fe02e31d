/**
 * What each use of io_uring is worth: pairs of arms that differ in nothing else. Benchmarks only.
 *
 * An arm is set up once, with files and a ring of its own where it needs other ones, and then run once in every round.
 */
import { ftruncateSync } from 'node:fs';
import {
  FLAG_ASYNC,
  FLAG_DSYNC,
  FLAG_IDLE,
  FLAG_LINK,
  FLAG_SELECT,
  OPCODE_FADVISE,
  OPCODE_FALLOCATE,
  OPCODE_FSYNC,
  OPCODE_READ,
  OPCODE_RENAME,
  OPCODE_WRITE,
} from '../../src/workers/ring.ts';
import { pseudoRandom } from '../support/measure.ts';
import {
  BenchRing,
  runOf,
  type BenchRingOptions,
  type Operation,
  type Outcome,
  type Run,
} from './bench-ring.ts';
import type { BenchFiles } from './bench-files.ts';

export interface Arm {
  readonly name: string;
  run(): Outcome | Promise<Outcome>;
  close(): void | Promise<void>;
}

export interface Row {
  /** What is compared. */
  readonly name: string;
  /** The first one is the one that the engine has. */
  arms(files: BenchFiles, scale: number): Arm[];
}

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const BLOCK_BYTES = 16 * KIBIBYTE;
const PAGE_BYTES = 4 * KIBIBYTE;
const PIECE_BYTES = 256 * KIBIBYTE;
const READ_MEBIBYTES = 256;
const WRITE_MEBIBYTES = 64;
const READS = 4000;
const DURABLE_WRITES = 400;
const PIECES = 200;
/** In place of O_DIRECT. */
const THROUGH_PAGE_CACHE = 0;

/** An arm with a ring of its own. */
function arm(name: string, options: BenchRingOptions, run: (ring: BenchRing) => Run): Arm {
  const ring = new BenchRing(options);
  return { name, run: () => run(ring), close: () => ring.close() };
}

/** Reads of a block at random places of a file, each lane into a buffer of its own. */
function randomReads(
  ring: BenchRing,
  file: number,
  { count, depth, flags = 0, bytes = BLOCK_BYTES }: ReadOptions,
): Run {
  const random = pseudoRandom(count + depth);
  const places = (READ_MEBIBYTES * MEBIBYTE) / bytes;
  return ring.run(count, depth, (_, lane) => ({
    opcode: OPCODE_READ,
    file,
    bufferOffset: lane * bytes,
    length: bytes,
    offset: random(places) * bytes,
    flags,
  }));
}

interface ReadOptions {
  readonly count: number;
  readonly depth: number;
  readonly flags?: number;
  readonly bytes?: number;
}

/** Durable writes of a page, one behind the other, from the file's beginning. */
function appends(ring: BenchRing, file: number, count: number): Run {
  return ring.run(count, 1, (i) => ({
    opcode: OPCODE_WRITE,
    file,
    length: PAGE_BYTES,
    offset: i * PAGE_BYTES,
    flags: FLAG_DSYNC,
  }));
}

/** What several operations that belong together took, of which `once` carries out one lot. */
function timed(count: number, once: (i: number) => void): Run {
  const latencies = new Float64Array(count);
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const at = performance.now();
    once(i);
    latencies[i] = performance.now() - at;
  }
  return runOf(latencies, began, cpuBefore);
}

function readRow(
  name: string,
  depth: number,
  arms: readonly [name: string, options: BenchRingOptions, flags?: number][],
): Row {
  return {
    name: `${name}, ${depth} in flight`,
    arms(files, scale) {
      const file = files.make(READ_MEBIBYTES);
      const count = Math.ceil(READS * scale);
      return arms.map(([armName, options, flags = 0]) =>
        arm(armName, options, (ring) => randomReads(ring, file, { count, depth, flags })),
      );
    },
  };
}

const writeOrder: Row = {
  name: 'RWF_DSYNC: a durable page',
  arms(files, scale) {
    const file = files.make(WRITE_MEBIBYTES);
    const count = Math.ceil(DURABLE_WRITES * scale);
    const write = (i: number, flags: number): Operation => ({
      opcode: OPCODE_WRITE,
      file,
      length: PAGE_BYTES,
      offset: i * PAGE_BYTES,
      flags,
    });
    return [
      arm('RWF_DSYNC', {}, (ring) => appends(ring, file, count)),
      arm('write linked to fsync', {}, (ring) =>
        timed(count, (i) => ring.together([write(i, FLAG_LINK), { opcode: OPCODE_FSYNC, file }])),
      ),
      arm('write, then fsync', {}, (ring) =>
        timed(count, (i) => {
          ring.together([write(i, 0)]);
          ring.together([{ opcode: OPCODE_FSYNC, file }]);
        }),
      ),
    ];
  },
};

const logFiles: Row = {
  name: 'recycled logs: a durable page',
  arms(files, scale) {
    const count = Math.ceil(DURABLE_WRITES * scale);
    const recycled = files.make(WRITE_MEBIBYTES);
    const reserved = files.make(0);
    const growing = files.make(0);
    return [
      arm('written before', {}, (ring) => appends(ring, recycled, count)),
      arm('FALLOCATE only', {}, (ring) => {
        ftruncateSync(reserved, 0);
        const length = WRITE_MEBIBYTES * MEBIBYTE;
        ring.together([{ opcode: OPCODE_FALLOCATE, file: reserved, length }]);
        return appends(ring, reserved, count);
      }),
      arm('a file that grows', {}, (ring) => {
        ftruncateSync(growing, 0);
        return appends(ring, growing, count);
      }),
    ];
  },
};

const tablePieces: Row = {
  name: 'FALLOCATE: a table in pieces of 256 KiB',
  arms(files, scale) {
    const count = Math.ceil(PIECES * scale);
    const write = (ring: BenchRing, file: number): Run =>
      ring.run(count, 8, (i, lane) => ({
        opcode: OPCODE_WRITE,
        file,
        bufferOffset: lane * PIECE_BYTES,
        length: PIECE_BYTES,
        offset: i * PIECE_BYTES,
      }));
    const reserved = files.make(0);
    const growing = files.make(0);
    return [
      arm('space reserved', {}, (ring) => {
        ftruncateSync(reserved, 0);
        ring.together([{ opcode: OPCODE_FALLOCATE, file: reserved, length: count * PIECE_BYTES }]);
        return write(ring, reserved);
      }),
      arm('none', {}, (ring) => {
        ftruncateSync(growing, 0);
        return write(ring, growing);
      }),
    ];
  },
};

const publishing: Row = {
  name: 'IO_LINK: rename, then fsync of the directory',
  arms(files, scale) {
    const count = Math.ceil(DURABLE_WRITES * scale);
    const directory = files.openFolder();
    files.make(1);
    const names = ['file-published', 'file-again'];
    let turn = 0;
    let from = 'file-0';
    const rename = (flags: number): Operation => {
      const secondName = names[turn++ % 2];
      const operation = { opcode: OPCODE_RENAME, file: directory, name: from, secondName, flags };
      from = secondName;
      return operation;
    };
    const sync = { opcode: OPCODE_FSYNC, file: directory };
    return [
      arm('linked', {}, (ring) => timed(count, () => ring.together([rename(FLAG_LINK), sync]))),
      arm('two turns', {}, (ring) =>
        timed(count, () => {
          ring.together([rename(0)]);
          ring.together([sync]);
        }),
      ),
    ];
  },
};

const batching: Row = {
  name: 'one turn for a batch of 32 reads',
  arms(files, scale) {
    const file = files.make(READ_MEBIBYTES);
    const count = Math.ceil((READS * scale) / 32);
    const random = pseudoRandom(count);
    const places = (READ_MEBIBYTES * MEBIBYTE) / PAGE_BYTES;
    const reads = (): Operation[] =>
      Array.from({ length: 32 }, (_, lane) => ({
        opcode: OPCODE_READ,
        file,
        bufferOffset: lane * PAGE_BYTES,
        length: PAGE_BYTES,
        offset: random(places) * PAGE_BYTES,
      }));
    return [
      arm('a batch', {}, (ring) => timed(count, () => ring.together(reads()))),
      arm('one by one', {}, (ring) => timed(count, () => reads().forEach((read) => ring.together([read])))),
    ];
  },
};

const buffered: Row = {
  name: 'O_DIRECT, 16 in flight',
  arms(files, scale) {
    const direct = files.make(READ_MEBIBYTES);
    const cached = files.make(READ_MEBIBYTES, THROUGH_PAGE_CACHE);
    const options = { count: Math.ceil(READS * scale), depth: 16 };
    return [
      arm('O_DIRECT', {}, (ring) => randomReads(ring, direct, options)),
      arm('page cache, warm', {}, (ring) => randomReads(ring, cached, options)),
    ];
  },
};

/** posix_fadvise's numbers. */
const [ADVICE_NORMAL, ADVICE_RANDOM, ADVICE_SEQUENTIAL, ADVICE_DONT_NEED] = [0, 1, 2, 4];

const advice: Row = {
  name: 'FADVISE: a file read in order through the page cache, from the disk, 32 in flight',
  arms(files, scale) {
    const file = files.make(READ_MEBIBYTES, THROUGH_PAGE_CACHE);
    const count = Math.ceil(READS * scale);
    const advise = (bufferOffset: number): Operation => ({ opcode: OPCODE_FADVISE, file, bufferOffset });
    const readAll = (ring: BenchRing, kind: number): Run => {
      ring.together([advise(ADVICE_DONT_NEED)]);
      ring.together([advise(kind)]);
      return ring.run(count, 32, (i, lane) => ({
        opcode: OPCODE_READ,
        file,
        bufferOffset: lane * BLOCK_BYTES,
        length: BLOCK_BYTES,
        offset: i * BLOCK_BYTES,
      }));
    };
    return [
      arm('RANDOM', {}, (ring) => readAll(ring, ADVICE_RANDOM)),
      arm('none', {}, (ring) => readAll(ring, ADVICE_NORMAL)),
      arm('SEQUENTIAL', {}, (ring) => readAll(ring, ADVICE_SEQUENTIAL)),
    ];
  },
};

const POLLED = { polling: { idleMilliseconds: 1, cpu: -1, sharedWith: -1 } };
const UNREGISTERED = { fixed: false };
const SELECTING = { fixed: false, selectBytes: BLOCK_BYTES };

export const ROWS: readonly Row[] = [
  ...[1, 16, 64].map((depth) =>
    readRow('io_uring', depth, [
      ['io_uring', {}],
      ['system calls', { backend: 'SystemCalls' }],
    ]),
  ),
  ...[1, 16].map((depth) =>
    readRow('SINGLE_ISSUER and DEFER_TASKRUN', depth, [
      ['with', {}],
      ['without', { singleIssuer: false }],
    ]),
  ),
  ...[1, 16, 64].map((depth) =>
    readRow('SQPOLL', depth, [
      ['the ring enters the kernel', {}],
      ['polled for', POLLED],
    ]),
  ),
  ...[1, 16, 64].map((depth) =>
    readRow('registered buffers', depth, [
      ['READ_FIXED', {}],
      ['READ', UNREGISTERED],
    ]),
  ),
  ...[4, 16].map((depth) =>
    readRow('provided buffers', depth, [
      ['provided', SELECTING, FLAG_SELECT],
      ['its own, READ_FIXED', {}],
      ['its own, READ', UNREGISTERED],
    ]),
  ),
  ...[4, 32].map((depth) =>
    readRow('IOSQE_ASYNC', depth, [
      ['handed to a worker', {}, FLAG_ASYNC],
      ['submitted here', {}],
    ]),
  ),
  readRow('I/O priority, alone on the disk', 16, [
    ['idle', {}, FLAG_IDLE],
    ['usual', {}],
  ]),
  batching,
  writeOrder,
  logFiles,
  tablePieces,
  publishing,
  buffered,
  advice,
];
