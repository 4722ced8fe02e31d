/** What logs, manifests and names are decoded with: frames, groups of them, records, version edits, CURRENT, file names. */
import fc from 'fast-check';
import { decodeCurrent, encodeCurrent } from '../../../src/format/current.ts';
import {
  logName,
  manifestName,
  parseFileName,
  tableName,
  temporaryTableName,
} from '../../../src/format/file-names.ts';
import { FRAME_HEADER_BYTES, readFrame, sealFrame, writeFrameHeader } from '../../../src/format/frame.ts';
import { checksum, checksumSeed } from '../../../src/format/checksum.ts';
import { readU32, readU48, writeU32 } from '../../../src/format/integers.ts';
import { KIND_RANGE_TOMBSTONE, PAGE_BYTES } from '../../../src/format/limits.ts';
import { LogRecordReader } from '../../../src/format/log-record.ts';
import { decodeVersionEdit, encodeVersionEdit } from '../../../src/format/version-edit.ts';
import { nodeFileSystem } from '../../../src/main/file-system.ts';
import { readFrames, type FrameGroup } from '../../../src/main/frame-groups.ts';
import { FrameWindow } from '../../../src/main/frame-window.ts';
import { damaged, inBoundedMemory } from './damaged-bytes.ts';
import { exampleTable } from './example-table.ts';
import { accepted, accepts, expect, expectSameBytes, fuzzTarget, type FuzzTarget } from './target.ts';

const SALT = 11;
const FILE_NUMBER = 3;

const exampleRecords = Uint8Array.from(
  [
    [1, 3, 5, 1, 2, 3, 9, 9, 9, 9, 9],
    [0, 2, 8, 8],
    [2, 2, 3, 4, 5, 4, 5, 0],
    [1, 0, 0],
    [2, 1, 0, 4],
    [1, 1, 1, 4, 4],
  ].flat(),
);

const logRecords = fuzzTarget({
  name: 'log records',
  runs: 1500,
  arbitrary: damaged(exampleRecords, 60),
  check(bytes, count) {
    const reader = new LogRecordReader(bytes, 0, bytes.length);
    let end = 0;
    const isWhole = accepts(() => {
      while (reader.next()) {
        expect(reader.keyStart >= end && reader.valueStart === reader.keyStart + reader.keyLength, 'overlap');
        end = reader.valueStart + reader.valueLength;
        const key = bytes.subarray(reader.keyStart, reader.valueStart);
        const value = bytes.subarray(reader.valueStart, end);
        const isEmptyRange = value.length > 0 && Buffer.compare(key, value) >= 0;
        expect(reader.kind !== KIND_RANGE_TOMBSTONE || !isEmptyRange, 'a range without keys');
        expect(end <= bytes.length, 'a record beyond the end');
      }
    });
    if (!isWhole) return;
    count('accepted');
    expect(end === bytes.length, 'bytes left over');
  },
});

/** The frames of a file: each payload in a FULL frame, or cut over several of them. */
function fileOf(groups: readonly { readonly parts: readonly Uint8Array[] }[]): Uint8Array {
  const pages: Uint8Array[] = [];
  let offset = 0;
  for (const [group, { parts }] of groups.entries()) {
    for (const [i, payload] of parts.entries()) {
      const page = new Uint8Array(Math.ceil((FRAME_HEADER_BYTES + payload.length) / PAGE_BYTES) * PAGE_BYTES);
      const kind = parts.length === 1 ? 1 : i === 0 ? 2 : i === parts.length - 1 ? 4 : 3;
      const header = { kind, fileNumber: FILE_NUMBER, firstSequence: 10 * group, count: 1 };
      writeFrameHeader(page, 0, { ...header, payloadLength: payload.length });
      page.set(payload, FRAME_HEADER_BYTES);
      offset += sealFrame(page, 0, SALT, offset);
      pages.push(page);
    }
  }
  return new Uint8Array(Buffer.concat(pages));
}

function filled(length: number, fill: number): Uint8Array {
  return new Uint8Array(length).fill(fill);
}

const exampleFrame = fileOf([{ parts: [filled(50, 7)] }]);

const frames = fuzzTarget({
  name: 'frames',
  runs: 1500,
  arbitrary: damaged(exampleFrame.slice(0, 90), 200),
  check(bytes, count) {
    const place = { salt: SALT, fileNumber: FILE_NUMBER, offset: 0 };
    const read = inBoundedMemory(bytes.length, () => readFrame(bytes, 0, bytes.length, place));
    if (read.status !== 'valid') return;
    count('valid');
    expectSameBytes(bytes.slice(0, 82), exampleFrame.slice(0, 82), 'a frame that is valid');
    expect(read.payloadStart + read.payloadLength <= bytes.length, 'a payload beyond the end');
  },
});

const exampleGroups = [
  { parts: [filled(10, 1)] },
  { parts: [filled(5000, 2), filled(4064, 3), filled(0, 0), filled(1, 4)] },
  { parts: [filled(4064, 5)] },
  { parts: [filled(20, 6), filled(20, 7)] },
];
const exampleFile = fileOf(exampleGroups);

/** Gives every frame whose header says enough a checksum that holds. */
function resealed(file: Uint8Array): Uint8Array {
  const bytes = file.slice();
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; at += PAGE_BYTES) {
    const end = at + FRAME_HEADER_BYTES + readU32(bytes, at + 28);
    if (end > bytes.length) continue;
    writeU32(bytes, at, checksum(bytes, at + 4, end, checksumSeed(SALT, readU48(bytes, at + 8), at)));
  }
  return bytes;
}

function isSameGroup(group: FrameGroup, ordinal: number): boolean {
  const expected = Buffer.concat(exampleGroups[ordinal]?.parts ?? []);
  return Buffer.compare(group.payload, expected) === 0 && group.firstSequence === 10 * ordinal;
}

const frameGroups = fuzzTarget({
  name: 'groups of frames',
  runs: 800,
  arbitrary: fc.record({
    damagedFile: damaged(exampleFile, 9000),
    headers: fc.array(
      fc.record({
        page: fc.nat(exampleFile.length / PAGE_BYTES - 1),
        byte: fc.nat(31),
        value: fc.oneof(fc.nat(255), fc.nat(5)),
      }),
      { maxLength: 2 },
    ),
    isResealed: fc.boolean(),
    isEndRecorded: fc.boolean(),
  }),
  check({ damagedFile, headers, isResealed, isEndRecorded }, count) {
    for (const { page, byte, value } of headers) {
      const at = page * PAGE_BYTES + byte;
      if (at < damagedFile.length) damagedFile[at] = value;
    }
    const bytes = isResealed ? resealed(damagedFile) : damagedFile;
    const recordedEnd = isEndRecorded ? { recordedEnd: exampleFile.length } : {};
    const place = { salt: SALT, fileNumber: FILE_NUMBER, file: 'file', isRecycled: true, ...recordedEnd };
    const read = accepted(() =>
      inBoundedMemory(bytes.length, () => readFrames(windowOver(bytes), { ...place, code: 'LOG_CORRUPT' })),
    );
    if (read === undefined) return;
    count('accepted');
    const { groups, end, tornBytes } = read.value;
    // The padding of the last frame may be missing.
    expect(end % PAGE_BYTES === 0 && end < bytes.length + PAGE_BYTES, 'an end beyond the end');
    expect(tornBytes >= 0, 'torn bytes');
    const payloadBytes = groups.reduce((sum, { payload }) => sum + payload.length, 0);
    expect(payloadBytes <= end, 'more payload than file');
    // A checksum that was put right again is a file that somebody wrote.
    if (isResealed) return;
    expect(groups.every(isSameGroup), 'a group that was not written');
    if (isEndRecorded) expect(groups.length === exampleGroups.length, 'a loss that was not noticed');
  },
});

/** The bytes as recovery sees a file's. */
function windowOver(bytes: Uint8Array): FrameWindow {
  const read = (_path: string, offset: number, length: number): Uint8Array =>
    bytes.subarray(offset, offset + length);
  return new FrameWindow({ ...nodeFileSystem, read }, 'file', bytes.length);
}

const exampleEdit = encodeVersionEdit({
  databaseSalt: 77,
  lastSequence: 2 ** 40,
  added: [exampleTable.description],
  deleted: [{ level: 1, number: 300 }],
  logEnds: [{ number: 2, end: 4096 }],
  compactionPointers: [{ level: 1, key: Uint8Array.of(1, 2, 3) }],
  cleanClose: false,
});

const versionEdits = fuzzTarget({
  name: 'version edits',
  runs: 1500,
  arbitrary: damaged(exampleEdit, 80),
  check(bytes, count) {
    const decode = () => decodeVersionEdit(bytes, 0, bytes.length);
    const decoded = accepted(() => inBoundedMemory(bytes.length, decode));
    if (decoded === undefined) return;
    count('accepted');
    // What is accepted says the same when it is written again, whatever order its fields came in.
    const again = encodeVersionEdit(decoded.value);
    expect(again.length === bytes.length, 'an edit of another length');
    const decodedAgain = decodeVersionEdit(again, 0, again.length);
    expectSameBytes(encodeVersionEdit(decodedAgain), again, 'an edit that is written again');
  },
});

const exampleCurrent = encodeCurrent(41);

const current = fuzzTarget({
  name: 'CURRENT',
  runs: 1500,
  arbitrary: damaged(exampleCurrent, 300),
  check(bytes, count) {
    if (!accepts(() => inBoundedMemory(bytes.length, () => decodeCurrent(bytes)))) return;
    count('accepted');
    expectSameBytes(bytes, exampleCurrent, 'CURRENT');
  },
});

const NAMES = {
  manifest: manifestName,
  log: logName,
  table: tableName,
  temporary: temporaryTableName,
  lock: () => 'LOCK',
  current: () => 'CURRENT',
} as const;

const fileNames = fuzzTarget({
  name: 'file names',
  runs: 2000,
  arbitrary: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc
      .tuple(
        fc.constantFrom('', 'MANIFEST-', 'MANIFEST', 'manifest-'),
        fc.oneof(
          fc.nat().map((number) => String(number).padStart(6, '0')),
          fc.string({ unit: fc.constantFrom('0', '1', '9', '4', ' ', '+', '-', '٣'), maxLength: 12 }),
        ),
        fc.constantFrom('', '.wal', '.sst', '.sst.tmp', '.SST', '.wal\n', '/'),
      )
      .map((parts) => parts.join('')),
  ),
  check(name, count) {
    const parsed = parseFileName(name);
    if (parsed === undefined) return;
    count('are ours');
    const spelled = parsed.number === 0 && name === 'CURRENT.tmp' ? name : NAMES[parsed.kind](parsed.number);
    expect(spelled === name, `${JSON.stringify(name)} is a second spelling of ${spelled}`);
  },
});

export const logTargets: readonly FuzzTarget[] = [
  logRecords,
  frames,
  frameGroups,
  versionEdits,
  current,
  fileNames,
];
