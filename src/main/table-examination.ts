/**
 * One table file looked at as a whole: every byte of it, by itself and against what the manifest says. Owner only.
 *
 *     length ─ footer ─ sections of the tail, each by itself ─ blocks, each by itself ─ all of it together
 *
 * Nothing ends at the first finding. What is left tells verification what is damaged, and repair what can be had: the
 * blocks that are sound, in order, and between which keys others are missing.
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { tableName } from '../format/file-names.ts';
import { FOOTER_BYTES, readFooter } from '../format/footer.ts';
import { FormatError, UnknownVersionError } from '../format/format-error.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { inspectTableTail, type TableTail } from '../format/table-tail.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { BlockExaminer, refuseUnavailable } from './block-examiner.ts';
import type { Breather } from './breather.ts';
import type { FileSystem } from './file-system.ts';
import type { Findings } from './findings.ts';
import { PieceReader } from './piece-reader.ts';
import {
  isReadFailure,
  LARGE_BLOCK_BYTES_MAX,
  locateIndex,
  placesByIndex,
  placesByTrailers,
  readOr,
  type BlockPlace,
} from './table-blocks.ts';
import { TAIL_BYTES_MAX } from './table-tails.ts';
import { contradictionBetween, TableTally } from './table-tally.ts';

/** What verification and repair do all their work with. */
export interface ExaminationGround {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly breather: Breather;
  readonly findings: Findings;
}

/** Blocks that are missing between two that are not, or before the first, or behind the last. */
export interface TableGap {
  /** Bytes of the file. */
  readonly offset: number;
  readonly length: number;
  /** The keys that are missing are not before this one; undefined: any may. */
  readonly lower: Uint8Array | undefined;
  /** And not behind this one; undefined: any may. */
  readonly upper: Uint8Array | undefined;
  /** Whether no key that is missing is the upper one. */
  readonly upperIsExclusive: boolean;
}

export interface TableExamination {
  readonly number: number;
  readonly file: string;
  readonly fileBytes: number;
  /** What the manifest says of it. */
  readonly description: TableDescription | undefined;
  /** Nothing of it is damaged. */
  readonly isIntact: boolean;
  /** Undefined where there is no telling where it is. */
  readonly tail: TableTail | undefined;
  /** Blocks that are sound, in order. */
  readonly blocks: readonly BlockPlace[];
  readonly gaps: readonly TableGap[];
  /** Of the blocks that are sound. */
  readonly tally: TableTally;
  /** Their first key and their last one; undefined where there are none. */
  readonly firstKey: Uint8Array | undefined;
  readonly lastKey: Uint8Array | undefined;
}

/** Examines one table after another; what it needs for that it takes once. */
export class TableExaminer {
  readonly #ground: ExaminationGround;
  readonly #blocks = new BlockExaminer();

  constructor(ground: ExaminationGround) {
    this.#ground = ground;
  }

  /** `description`: what the manifest says, where one names it. Rejects with ABORTED; everything else is a finding. */
  async examine(number: number, description?: TableDescription): Promise<TableExamination> {
    const { fileSystem, directory, findings } = this.#ground;
    const file = join(directory, tableName(number));
    const before = findings.count;
    let reader: PieceReader;
    try {
      reader = new PieceReader(fileSystem.openFile(file));
    } catch (error) {
      if (fileSystem.status(file) !== undefined) findings.addSystemError(file, error);
      else
        findings.add({ code: 'TABLE_CORRUPT', message: `${tableName(number)} is missing`, file, offset: 0 });
      return unreadable(number, file, description);
    }
    try {
      const examined = await new Examination(
        this.#ground,
        this.#blocks,
        reader,
        file,
        number,
        description,
      ).run();
      return { ...examined, isIntact: findings.count === before };
    } finally {
      reader.close();
    }
  }
}

/** Pages that should be a block; of a hole nothing says that it is one, or several. */
interface Slot {
  readonly offset: number;
  readonly length: number;
  readonly isHole: boolean;
}

class Examination {
  readonly #ground: ExaminationGround;
  readonly #examiner: BlockExaminer;
  readonly #reader: PieceReader;
  readonly #file: string;
  readonly #number: number;
  readonly #description: TableDescription | undefined;
  readonly #tally = new TableTally();
  readonly #blocks: BlockPlace[] = [];
  readonly #gaps: TableGap[] = [];
  /** Where the gap that is being gone through begins, and which keys it cannot have. */
  #gap: { offset: number; lower: Uint8Array | undefined } | undefined;
  #firstKey: Uint8Array | undefined;
  #tail: TableTail | undefined;

  constructor(
    ground: ExaminationGround,
    examiner: BlockExaminer,
    reader: PieceReader,
    file: string,
    number: number,
    description: TableDescription | undefined,
  ) {
    this.#ground = ground;
    this.#examiner = examiner;
    this.#reader = reader;
    this.#file = file;
    this.#number = number;
    this.#description = description;
  }

  async run(): Promise<Omit<TableExamination, 'isIntact'>> {
    this.#examiner.reset();
    this.#checkLength();
    const slots = await this.#slots();
    for (const [ordinal, slot] of slots.entries()) {
      await this.#ground.breather.afterLongStep();
      if (this.#examineSlot(slot, ordinal)) this.#blocks.push({ offset: slot.offset, length: slot.length });
      else this.#gap ??= { offset: slot.offset, lower: this.#lowerBoundAt(ordinal) };
    }
    const last = slots.at(-1);
    const known = this.#tail?.properties ?? this.#description;
    const largest = known?.largestKey;
    const isExclusive = known?.largestKeyIsExclusive === true;
    const isUnbounded = isExclusive && largest?.length === 0;
    this.#closeGap(
      last === undefined ? 0 : last.offset + last.length,
      isUnbounded ? undefined : largest,
      isExclusive,
    );
    this.#compare();
    return {
      number: this.#number,
      file: this.#file,
      fileBytes: this.#reader.bytes,
      description: this.#description,
      tail: this.#tail,
      blocks: this.#blocks,
      gaps: this.#gaps,
      tally: this.#tally,
      firstKey: this.#firstKey,
      lastKey: this.#examiner.hasLast ? this.#examiner.lastKey() : undefined,
    };
  }

  #checkLength(): void {
    const { bytes } = this.#reader;
    const expected = this.#description?.fileBytes ?? bytes - (bytes % PAGE_BYTES);
    if (bytes === expected) return;
    const message = `${tableName(this.#number)} has ${bytes} bytes, ${expected} were expected`;
    this.#add(message, Math.min(bytes, expected), { expected, actual: bytes });
  }

  /** All pages before the tail: as the index has them, or as they are found to be. Looks at the tail on the way. */
  async #slots(): Promise<Slot[]> {
    const reader = this.#reader;
    let metaOffset = this.#metaOffset();
    if (metaOffset !== undefined) this.#tail = this.#inspectTail(metaOffset);
    if (this.#tail?.index !== undefined) return slotsOf(placesByIndex(this.#tail.index));
    const limit = metaOffset ?? reader.bytes - (reader.bytes % PAGE_BYTES);
    const places = await placesByTrailers(reader, this.#number, limit, this.#ground.breather);
    if (metaOffset === undefined) {
      metaOffset = locateIndex(reader, this.#number, endOf(places));
      if (metaOffset === undefined) this.#add('there is no telling where the tail begins', endOf(places));
      else this.#tail = this.#inspectTail(metaOffset);
      if (this.#tail?.index !== undefined) return slotsOf(placesByIndex(this.#tail.index));
    }
    // Of a file that was cut the manifest says how far its blocks should go.
    return withHoles(places, metaOffset ?? this.#description?.metaOffset ?? limit);
  }

  /** Where the blocks end, as the manifest says, or else the footer. */
  #metaOffset(): number | undefined {
    const { bytes } = this.#reader;
    const description = this.#description;
    if (description !== undefined) {
      const { metaOffset } = description;
      return metaOffset % PAGE_BYTES === 0 && metaOffset < bytes ? metaOffset : undefined;
    }
    const footerAt = bytes - FOOTER_BYTES;
    const footer = footerAt < 0 ? undefined : readOr(this.#reader, footerAt, FOOTER_BYTES);
    if (footer === undefined) return undefined;
    try {
      const metaOffset = readFooter(footer, 0, this.#number, footerAt).metaPage * PAGE_BYTES;
      return metaOffset < bytes ? metaOffset : undefined;
    } catch (error) {
      // What is wrong with it is said where the whole tail is looked at.
      if (!(error instanceof FormatError)) throw error;
      if (error instanceof UnknownVersionError) this.#addFormatError(error, footerAt);
      return undefined;
    }
  }

  #inspectTail(metaOffset: number): TableTail | undefined {
    const end = Math.min(this.#description?.fileBytes ?? this.#reader.bytes, this.#reader.bytes);
    const length = end - metaOffset;
    if (length < FOOTER_BYTES || length > TAIL_BYTES_MAX) {
      this.#add(`a tail of ${length} bytes`, metaOffset);
      return undefined;
    }
    const bytes = readOr(this.#reader, metaOffset, length);
    if (bytes === undefined) {
      this.#add('the tail cannot be read', metaOffset);
      return undefined;
    }
    try {
      const tail = inspectTableTail(bytes, this.#number, metaOffset);
      for (const problem of tail.problems) this.#addFormatError(problem, metaOffset);
      if (tail.properties !== undefined) refuseUnavailable(tail.properties.compression);
      return tail;
    } catch (error) {
      this.#addFormatError(error, metaOffset);
      return undefined;
    }
  }

  /** Whether there is a sound block. */
  #examineSlot(slot: Slot, ordinal: number): boolean {
    const { offset } = slot;
    if (slot.isHole) {
      this.#add('pages that are no block', offset);
      return false;
    }
    const bytes = this.#readBlock(slot);
    if (bytes === undefined) return false;
    try {
      const tail = this.#tail ?? {};
      const block = this.#examiner.examine(bytes, this.#number, offset, tail, ordinal, this.#tally);
      const index = this.#tail?.index;
      this.#closeGap(offset, block.firstKey, index !== undefined && !index.continues(ordinal));
      this.#firstKey ??= block.firstKey;
      for (const contradiction of block.contradictions) this.#add(contradiction, offset);
      return true;
    } catch (error) {
      this.#addFormatError(error, offset);
      return false;
    }
  }

  #readBlock({ offset, length }: Slot): Uint8Array | undefined {
    if (length > LARGE_BLOCK_BYTES_MAX) {
      this.#add(`the index has a block of ${length} bytes`, offset);
      return undefined;
    }
    try {
      const bytes = this.#reader.view(offset, length);
      if (bytes.length === length) return bytes;
      this.#add(`the file ends ${bytes.length} bytes into a block`, offset);
    } catch (error) {
      if (!isReadFailure(error)) throw error;
      this.#ground.findings.addSystemError(this.#file, error, offset);
    }
    return undefined;
  }

  #lowerBoundAt(ordinal: number): Uint8Array | undefined {
    const index = this.#tail?.index;
    if (index !== undefined) return new Uint8Array(index.firstKeyOf(ordinal));
    if (this.#examiner.hasLast) return this.#examiner.lastKey();
    return (this.#tail?.properties ?? this.#description)?.smallestKey;
  }

  /** What ends the gap, if there is one: a block with that first key, or the end of them. */
  #closeGap(end: number, upper: Uint8Array | undefined, upperIsExclusive: boolean): void {
    if (this.#gap === undefined) return;
    const { offset, lower } = this.#gap;
    this.#gap = undefined;
    this.#gaps.push({ offset, length: end - offset, lower, upper, upperIsExclusive });
  }

  #compare(): void {
    const properties = this.#tail?.properties;
    if (properties === undefined) return;
    if (this.#description !== undefined) {
      const message = contradictionBetween(this.#description, properties, this.#reader.bytes);
      if (message !== undefined) this.#add(message, 0);
    }
    const tombstones = this.#tail?.rangeTombstones;
    if (this.#gaps.length > 0 || tombstones === undefined) return;
    this.#tally.noteKeys(this.#firstKey, this.#examiner.hasLast ? this.#examiner.lastKey() : undefined);
    this.#tally.noteFragments(tombstones?.fragments ?? []);
    const message = this.#tally.contradictionOf(properties);
    if (message !== undefined) this.#add(message, properties.dataBytes);
  }

  #add(message: string, offset: number, sums: { expected?: number; actual?: number } = {}): void {
    this.#ground.findings.add({ code: 'TABLE_CORRUPT', message, file: this.#file, offset, ...sums });
  }

  /** A finding of what a decoder threw, about bytes that begin at `base`. */
  #addFormatError(error: unknown, base: number): void {
    const { findings } = this.#ground;
    if (error instanceof QuadringError && error.code === 'UNKNOWN_FORMAT')
      findings.add({ code: 'UNKNOWN_FORMAT', message: error.message, file: this.#file, offset: base });
    else if (error instanceof FormatError) findings.addFormatError('TABLE_CORRUPT', this.#file, error, base);
    else throw error;
  }
}

function slotsOf(places: readonly BlockPlace[]): Slot[] {
  return places.map((place) => ({ ...place, isHole: false }));
}

/** The places, and what lies between them and before `end`. */
function withHoles(places: readonly BlockPlace[], end: number): Slot[] {
  const slots: Slot[] = [];
  let at = 0;
  for (const { offset, length } of places) {
    if (offset > at) slots.push({ offset: at, length: offset - at, isHole: true });
    slots.push({ offset, length, isHole: false });
    at = offset + length;
  }
  if (end > at) slots.push({ offset: at, length: end - at, isHole: true });
  return slots;
}

function endOf(places: readonly BlockPlace[]): number {
  const last = places.at(-1);
  return last === undefined ? 0 : last.offset + last.length;
}

/** Of a table whose file cannot be opened. */
function unreadable(
  number: number,
  file: string,
  description: TableDescription | undefined,
): TableExamination {
  const { smallestKey, largestKey, largestKeyIsExclusive = false, metaOffset = 0 } = description ?? {};
  const isUnbounded = largestKeyIsExclusive && largestKey?.length === 0;
  const upper = isUnbounded ? undefined : largestKey;
  const gap = {
    offset: 0,
    length: metaOffset,
    lower: smallestKey,
    upper,
    upperIsExclusive: largestKeyIsExclusive,
  };
  return {
    number,
    file,
    fileBytes: 0,
    description,
    isIntact: false,
    tail: undefined,
    blocks: [],
    gaps: [gap],
    tally: new TableTally(),
    firstKey: undefined,
    lastKey: undefined,
  };
}
