/**
 * The compaction role alone: a role host over a disk in memory, whose operations complete in an order that a seed
 * decides, and an owner that asks for one thing after another.
 */
import { SpscConsumer, SpscProducer } from '../../src/atomics-sync/spsc-queue.ts';
import { readU32, writeU32 } from '../../src/format/integers.ts';
import { tableName } from '../../src/format/file-names.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { decodeVersionEdit, type TableDescription } from '../../src/format/version-edit.ts';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import { COMPACTION_MAILBOX_AT, CONTROL_WORDS, roleWords, SLOTS_AT } from '../../src/protocol/crew-layout.ts';
import {
  ATTACH,
  BEGIN_COMPACTION,
  END_COMPACTION,
  REQUEST_ARGUMENTS,
  REQUEST_ID,
  REQUEST_OPCODE,
  ROLE_COMPACTION,
  WRITE_COMPACTED,
  type Attachment,
  type CompactionFailure,
  type CompactionInput,
  type CompactionParameters,
} from '../../src/protocol/requests.ts';
import { STATISTICS_DOUBLES } from '../../src/protocol/ring-statistics.ts';
import { createRoleHost } from '../../src/workers/crew-member.ts';
import type { Ring } from '../../src/workers/ring.ts';
import type { RoleHost } from '../../src/workers/role-host.ts';
import { OpenFiles } from '../../src/workers/role.ts';
import { buildTable, openTable, scan, type Entry, type Table, type TableOptions } from '../format/tables.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { SimulatedFile } from './simulated-file.ts';
import { SimulatedRing, type RingStep } from './simulated-ring.ts';
import type { Random } from './random.ts';

const RING_ENTRIES = 64;
const MAILBOX_PAGE = COMPACTION_MAILBOX_AT / PAGE_BYTES;
/** Far beyond what any test needs: a rig that turns so often does nothing. */
const TURNS_MAX = 2_000_000;

export interface Completion {
  readonly result: number;
  readonly detail0: number;
  readonly detail1: number;
}

export interface CompactionRigOptions {
  readonly random: Random;
  readonly disk?: SimulatedDisk;
  /** Instead of one over the disk. */
  readonly ring?: Ring;
  readonly onStep?: (step: RingStep) => void;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** What a compaction does unless a test says otherwise: nobody reads older versions, and there are no older tables. */
export const DEFAULT_PARAMETERS: CompactionParameters = {
  runs: [],
  outputLevel: 1,
  tableBytes: 1 << 20,
  blockBytes: PAGE_BYTES,
  filterBitsPerKey: 10,
  compression: 'none',
  createdAtSeconds: 1_700_000_000,
  createdAtSequence: 5000,
  snapshots: [],
  keepAbove: 2 ** 48 - 1,
  older: [],
  grandparents: [],
  grandparentBytesMax: 1 << 30,
  ioPriority: 'best-effort',
};

/** One pool for all rigs of a file: zeroed memory of this size takes longer than most compactions here. */
const pool = alignedSharedMemory(SLOTS_AT + (1 << 20));

export class CompactionRig {
  readonly disk: SimulatedDisk;
  readonly control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly files = new OpenFiles();
  readonly host: RoleHost;
  readonly #requests: SpscProducer;
  readonly #completions: SpscConsumer;
  /** What the next ATTACH requests bring. */
  readonly attachments: Attachment[] = [];
  readonly #answers = new Map<number, Completion>();
  #nextRequest = 1;
  #nextTable = 1;

  constructor({ random, disk, ring, onStep, now }: CompactionRigOptions) {
    this.disk = disk ?? new SimulatedDisk();
    let clock = 0;
    this.host = createRoleHost({
      role: ROLE_COMPACTION,
      ring:
        ring ??
        new SimulatedRing({
          entries: RING_ENTRIES,
          disk: this.disk,
          random: () => random.fraction(),
          onStep,
        }),
      control: this.control,
      statistics: new Float64Array(STATISTICS_DOUBLES),
      now: now ?? (() => clock++),
      files: this.files,
      takeAttachment: () => this.attachments.shift(),
      onAttached: () => undefined,
    });
    const words = roleWords(this.control, ROLE_COMPACTION);
    this.#requests = new SpscProducer(words.requests);
    this.#completions = new SpscConsumer(words.completions);
    this.attach(this.disk.openDirectory());
  }

  attach(directory: number, directIo = true): void {
    const memory = [{ region: 0, buffer: pool.buffer }];
    this.attachments.push({
      directory,
      salt: 0,
      directIo,
      polledBytesMax: 0,
      slotBytes: PAGE_BYTES,
      isFirst: true,
      memory,
    });
    this.wait(this.ask(ATTACH));
  }

  /** Number of a table that there is not yet. */
  newTable(): number {
    return this.#nextTable++;
  }

  /** Puts a table on the disk. */
  addTable(
    entries: readonly Entry[],
    options: Pick<TableOptions, 'blockBytes' | 'compression' | 'rangeTombstones'> = {},
  ): CompactionInput {
    const fileNumber = this.newTable();
    const { bytes, description } = buildTable(entries, { ...options, fileNumber });
    const file = new SimulatedFile();
    file.write(bytes, 0, true);
    this.disk.names.set(tableName(fileNumber), file);
    return inputOf(description);
  }

  /** Takes part in the queue; the answer comes with `wait`. */
  ask(opcode: number, argument0 = 0, argument1 = 0, argument2 = 0): number {
    const id = this.#nextRequest++;
    const words = roleWords(this.control, ROLE_COMPACTION).requests.words;
    const at = this.#requests.reserve();
    words[at + REQUEST_OPCODE] = opcode;
    words[at + REQUEST_ID] = id;
    words[at + REQUEST_ARGUMENTS] = argument0;
    words[at + REQUEST_ARGUMENTS + 1] = argument1;
    words[at + REQUEST_ARGUMENTS + 2] = argument2;
    this.#requests.publish();
    return id;
  }

  /** One turn of the ring thread's loop. */
  turn(waitMicroseconds = 0): void {
    this.host.advance();
    this.host.publish();
    this.host.turn(this.host.hasReadyTask ? 0 : waitMicroseconds);
    this.host.publish();
    const { words } = roleWords(this.control, ROLE_COMPACTION).completions;
    for (let at = this.#completions.next(); at >= 0; at = this.#completions.next()) {
      const [result, detail0, detail1] = [words[at + 1], words[at + 2], words[at + 3]];
      this.#answers.set(words[at], { result, detail0, detail1 });
    }
    this.#completions.release();
  }

  hasAnswer(id: number): boolean {
    return this.#answers.has(id);
  }

  wait(id: number): Completion {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      const answer = this.#answers.get(id);
      if (answer !== undefined) return answer;
      this.turn(100_000);
    }
    throw new Error('the role does not answer');
  }

  setParameters(parameters: Partial<CompactionParameters>): void {
    const text = Buffer.from(JSON.stringify({ ...DEFAULT_PARAMETERS, ...parameters }));
    writeU32(pool, COMPACTION_MAILBOX_AT, text.length);
    pool.set(text, COMPACTION_MAILBOX_AT + 4);
  }

  askBegin(parameters: Partial<CompactionParameters>): number {
    this.setParameters(parameters);
    return this.ask(BEGIN_COMPACTION, MAILBOX_PAGE);
  }

  begin(parameters: Partial<CompactionParameters>): Completion {
    return this.wait(this.askBegin(parameters));
  }

  askWrite(table: number, spare = 0): number {
    return this.ask(WRITE_COMPACTED, table, MAILBOX_PAGE, spare);
  }

  /** The next table, over the file of the table `spare` unless that is 0. */
  write(table: number, spare = 0): Completion {
    return this.wait(this.askWrite(table, spare));
  }

  end(): Completion {
    return this.wait(this.ask(END_COMPACTION));
  }

  /** What WRITE_COMPACTED said about the table that it wrote. */
  described({ result }: Completion): TableDescription {
    const edit = decodeVersionEdit(
      pool.slice(COMPACTION_MAILBOX_AT, COMPACTION_MAILBOX_AT + result),
      0,
      result,
    );
    const [description] = edit.added;
    return description;
  }

  /** What went wrong. */
  failure(): CompactionFailure {
    const length = readU32(pool, COMPACTION_MAILBOX_AT);
    const at = COMPACTION_MAILBOX_AT + 4;
    return JSON.parse(Buffer.from(pool.slice(at, at + length)).toString()) as CompactionFailure;
  }

  table(description: TableDescription): Table {
    const file = this.disk.names.get(tableName(description.number));
    if (file === undefined) throw new Error(`table ${description.number} is not there`);
    return openTable(file.bytes(), description, description.number);
  }

  /** A whole compaction that goes well: its outputs, in order. */
  compact(parameters: Partial<CompactionParameters>): TableDescription[] {
    expectResult(this.begin(parameters).result, 0);
    const written: TableDescription[] = [];
    for (;;) {
      const answer = this.write(this.newTable());
      if (answer.result < 0) throw new Error(`result ${answer.result}: ${JSON.stringify(this.failure())}`);
      if (answer.result > 0) written.push(this.described(answer));
      if (answer.detail0 === 0) break;
    }
    expectResult(this.end().result, 0);
    return written;
  }

  entriesOf(tables: readonly TableDescription[]): Entry[] {
    return tables.flatMap((description) => scan(this.table(description)));
  }
}

export function inputOf({ number, metaOffset, fileBytes }: TableDescription): CompactionInput {
  return { number, metaOffset, fileBytes };
}

function expectResult(result: number, expected: number): void {
  if (result !== expected) throw new Error(`result ${result} instead of ${expected}`);
}
