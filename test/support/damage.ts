/**
 * Frames of a database's files as they stand on the disk, and ways to damage them: what tests of recovery and of bad
 * input do to a closed database or to an image of an open one.
 */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { decodeCurrent } from '../../src/format/current.ts';
import { manifestName, parseFileName } from '../../src/format/file-names.ts';
import { FRAME_HEADER_BYTES, readFrame } from '../../src/format/frame.ts';
import { readU32, readU48, writeU32 } from '../../src/format/integers.ts';
import { decodeVersionEdit, type VersionEdit } from '../../src/format/version-edit.ts';

/** A valid frame and where it is. */
export interface PlacedFrame {
  readonly file: string;
  readonly offset: number;
  /** Header and payload. */
  readonly bytes: number;
  /** Whole pages. */
  readonly paddedBytes: number;
  readonly kind: number;
  readonly firstSequence: number;
  readonly payload: Uint8Array;
}

/** Overwrites bytes of a file by what `change` makes of them. */
export function patch(file: string, change: (bytes: Uint8Array) => void): void {
  const bytes = readFileSync(file);
  change(bytes);
  writeFileSync(file, bytes);
}

export function flipByte(file: string, offset: number): void {
  patch(file, (bytes) => {
    bytes[offset] ^= 0x5a;
  });
}

export function zero(file: string, start: number, end: number): void {
  patch(file, (bytes) => bytes.fill(0, start, end));
}

export function truncate(file: string, length: number): void {
  truncateSync(file, length);
}

export function manifestPath(directory: string): string {
  return join(directory, manifestName(decodeCurrent(readFileSync(join(directory, 'CURRENT')))));
}

export function manifestFrames(directory: string): PlacedFrame[] {
  return framesOf(manifestPath(directory), 0);
}

export function manifestEdits(directory: string): VersionEdit[] {
  return manifestFrames(directory).map(({ payload }) => decodeVersionEdit(payload, 0, payload.length));
}

/** The salt that the checksums of the database's logs are seeded with. */
export function saltOf(directory: string): number {
  const salt = manifestEdits(directory).find(({ databaseSalt }) => databaseSalt !== undefined)?.databaseSalt;
  if (salt === undefined) throw new Error(`the manifest in ${directory} has no salt`);
  return salt;
}

/** Valid frames of all logs, by log and place. */
export function logFrames(directory: string): PlacedFrame[] {
  const salt = saltOf(directory);
  return readdirSync(directory)
    .filter((name) => parseFileName(name)?.kind === 'log')
    .sort()
    .flatMap((name) => framesOf(join(directory, name), salt));
}

function framesOf(file: string, salt: number): PlacedFrame[] {
  return framesIn(readFileSync(file), file, salt);
}

/** Valid frames of a file, from its beginning on. */
export function framesIn(bytes: Uint8Array, file: string, salt: number): PlacedFrame[] {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const fileNumber = parseFileName(name)?.number;
  if (fileNumber === undefined) throw new Error(`${name} has no frames`);
  const frames: PlacedFrame[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const frame = readFrame(bytes, offset, bytes.length, { salt, fileNumber, offset });
    if (frame.status !== 'valid') break;
    frames.push({
      file,
      offset,
      bytes: FRAME_HEADER_BYTES + frame.payloadLength,
      paddedBytes: frame.paddedLength,
      kind: frame.kind,
      firstSequence: frame.firstSequence,
      payload: bytes.slice(frame.payloadStart, frame.payloadStart + frame.payloadLength),
    });
    offset += frame.paddedLength;
  }
  return frames;
}

/** Gives a frame another format version and a checksum that holds. */
export function setFrameVersion({ file, offset }: PlacedFrame, salt: number, version: number): void {
  patch(file, (bytes) => {
    bytes[offset + 6] = version;
    const end = offset + FRAME_HEADER_BYTES + readU32(bytes, offset + 28);
    const seed = checksumSeed(salt, readU48(bytes, offset + 8), offset);
    writeU32(bytes, offset, checksum(bytes, offset + 4, end, seed));
  });
}
