/**
 * The compaction role in this process, over real files: tables of random entries to be merged, and an owner that asks for
 * one compaction. Benchmarks only.
 */
import { mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SpscConsumer, SpscProducer } from '../../src/atomics-sync/spsc-queue.ts';
import { writeU32 } from '../../src/format/integers.ts';
import { tableName } from '../../src/format/file-names.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { KIND_PUT, PAGE_BYTES } from '../../src/format/limits.ts';
import { TableBuilder } from '../../src/format/table-builder.ts';
import { decodeVersionEdit, type TableDescription } from '../../src/format/version-edit.ts';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import { native } from '../../src/native.ts';
import { COMPACTION_MAILBOX_AT, CONTROL_WORDS, roleWords, SLOTS_AT } from '../../src/protocol/crew-layout.ts';
import {
  ATTACH,
  BEGIN_COMPACTION,
  END_COMPACTION,
  ROLE_COMPACTION,
  WRITE_COMPACTED,
  type Attachment,
  type CompactionParameters,
} from '../../src/protocol/requests.ts';
import { plainRing } from '../../src/protocol/plain-ring.ts';
import { STATISTICS_DOUBLES } from '../../src/protocol/ring-statistics.ts';
import { createRoleHost } from '../../src/workers/crew-member.ts';
import { createRing } from '../../src/workers/native-ring.ts';
import type { Ring } from '../../src/workers/ring.ts';
import type { RoleHost } from '../../src/workers/role-host.ts';
import { OpenFiles } from '../../src/workers/role.ts';
import { pseudoRandom } from './measure.ts';

const RING_ENTRIES = 64;
const KERNEL_WAIT_MICROSECONDS = 250_000;
const MAILBOX_PAGE = COMPACTION_MAILBOX_AT / PAGE_BYTES;
const BLOCK_BYTES = 16_384;
const KEY_BYTES = 16;
const VALUE_BYTES = 100;

export interface MergeRigOptions {
  readonly folder: string;
  readonly backend: 'uring' | 'syscall';
  readonly direct: boolean;
}

export class MergeRig {
  readonly ring: Ring;
  readonly #host: RoleHost;
  readonly #pool = alignedSharedMemory(SLOTS_AT + (1 << 20));
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #requests: SpscProducer;
  readonly #completions: SpscConsumer;
  readonly #attachments: Attachment[] = [];

  constructor({ folder, backend, direct }: MergeRigOptions) {
    const eventfd = native.createEventfd();
    this.ring = createRing({
      backend,
      entries: RING_ENTRIES,
      eventfd,
      ...plainRing(),
    });
    this.#host = createRoleHost({
      role: ROLE_COMPACTION,
      ring: this.ring,
      control: this.#control,
      statistics: new Float64Array(STATISTICS_DOUBLES),
      now: () => performance.now(),
      files: new OpenFiles(),
      takeAttachment: () => this.#attachments.shift(),
      onAttached: () => undefined,
    });
    const words = roleWords(this.#control, ROLE_COMPACTION);
    this.#requests = new SpscProducer(words.requests);
    this.#completions = new SpscConsumer(words.completions);
    const memory = [{ region: 0, buffer: this.#pool.buffer }];
    const directory = openSync(folder, 'r');
    this.#attachments.push({
      directory,
      salt: 0,
      directIo: direct,
      polledBytesMax: 0,
      slotBytes: BLOCK_BYTES,
      isFirst: true,
      memory,
    });
    this.#ask(ATTACH, 0, 0);
  }

  /** Merges everything; the outputs have the numbers from `firstTable` on. */
  compact(parameters: CompactionParameters, firstTable: number): TableDescription[] {
    const text = Buffer.from(JSON.stringify(parameters));
    writeU32(this.#pool, COMPACTION_MAILBOX_AT, text.length);
    this.#pool.set(text, COMPACTION_MAILBOX_AT + 4);
    this.#ask(BEGIN_COMPACTION, MAILBOX_PAGE, 0);
    const written: TableDescription[] = [];
    for (let table = firstTable, hasMore = true; hasMore; table++) {
      const { result, detail0 } = this.#ask(WRITE_COMPACTED, table, MAILBOX_PAGE);
      hasMore = detail0 === 1;
      if (result === 0) continue;
      const answer = this.#pool.slice(COMPACTION_MAILBOX_AT, COMPACTION_MAILBOX_AT + result);
      written.push(...decodeVersionEdit(answer, 0, result).added);
    }
    this.#ask(END_COMPACTION, 0, 0);
    return written;
  }

  close(): void {
    this.ring.close();
  }

  #ask(opcode: number, argument0: number, argument1: number): { result: number; detail0: number } {
    const { requests, completions } = roleWords(this.#control, ROLE_COMPACTION);
    const at = this.#requests.reserve();
    requests.words.set([opcode, 1, argument0, argument1, 0, 0, 0, 0], at);
    this.#requests.publish();
    const host = this.#host;
    for (;;) {
      host.advance();
      host.publish();
      const answer = this.#completions.next();
      if (answer >= 0) {
        this.#completions.release();
        const [result, detail0] = [completions.words[answer + 1], completions.words[answer + 2]];
        if (result < 0) throw new Error(`request ${opcode} failed: ${result} (${detail0})`);
        return { result, detail0 };
      }
      host.turn(host.hasReadyTask ? 0 : KERNEL_WAIT_MICROSECONDS);
      host.publish();
    }
  }
}

/** A table of `count` entries whose keys are random numbers below `keys`, of which it takes each only once. */
export function writeTable(folder: string, number: number, count: number, keys: number): TableDescription {
  const random = pseudoRandom(number * 0x9e37_79b9);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(random(keys));
  const numbers = Float64Array.from(chosen).sort();
  const builder = new TableBuilder({
    fileNumber: number,
    level: 0,
    blockBytes: BLOCK_BYTES,
    filterBitsPerKey: 10,
    compression: 'none',
    createdAtSeconds: 0,
    createdAtSequence: 0,
  });
  const parts: Uint8Array[] = [];
  const drain = (): void => {
    while (builder.pendingBytes > 0) {
      const part = new Uint8Array(builder.pendingBytes);
      builder.drain(part, 0, part.length);
      parts.push(part);
    }
  };
  const value = new Uint8Array(VALUE_BYTES);
  for (const [i, each] of numbers.entries()) {
    const key = Buffer.from(String(each).padStart(KEY_BYTES, '0'));
    for (let at = 0; at < VALUE_BYTES; at += 4) writeU32(value, at, random(2 ** 31));
    const sequence = number * count + i;
    builder.add(key, 0, KEY_BYTES, hashBytes(key, 0, KEY_BYTES), sequence, KIND_PUT, value, 0, VALUE_BYTES);
    drain();
  }
  builder.finish();
  drain();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, tableName(number)), Buffer.concat(parts));
  return builder.description();
}

export function removeTables(folder: string, tables: readonly TableDescription[]): void {
  for (const { number } of tables) rmSync(join(folder, tableName(number)));
}
