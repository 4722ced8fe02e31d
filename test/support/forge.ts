/**
 * Files as somebody would make them who knows the formats: every checksum holds, and what they say is a lie. And what a
 * directory was before and after, by names and statuses, which also says it of files too large to be read.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checksum } from '../../src/format/checksum.ts';
import { decodeCurrent } from '../../src/format/current.ts';
import { FRAME_FULL, FRAME_HEADER_BYTES, sealFrame, writeFrameHeader } from '../../src/format/frame.ts';
import { roundUpToPage } from '../../src/format/limits.ts';
import { encodeVersionEdit, type VersionEdit } from '../../src/format/version-edit.ts';
import { manifestEdits, manifestPath } from './damage.ts';

/** Replaces the edits of the manifest in force. */
export function forgeManifest(directory: string, change: (edits: VersionEdit[]) => VersionEdit[]): void {
  const fileNumber = decodeCurrent(readFileSync(join(directory, 'CURRENT')));
  const frames: Uint8Array[] = [];
  let offset = 0;
  for (const edit of change(manifestEdits(directory))) {
    const frame = frameOf(encodeVersionEdit(edit), fileNumber, offset);
    frames.push(frame);
    offset += frame.length;
  }
  writeFileSync(manifestPath(directory), Buffer.concat(frames));
}

function frameOf(payload: Uint8Array, fileNumber: number, offset: number): Uint8Array {
  const frame = new Uint8Array(roundUpToPage(FRAME_HEADER_BYTES + payload.length));
  const header = { kind: FRAME_FULL, fileNumber, firstSequence: 0, count: 1, payloadLength: payload.length };
  writeFrameHeader(frame, 0, header);
  frame.set(payload, FRAME_HEADER_BYTES);
  sealFrame(frame, 0, 0, offset);
  return frame;
}

/** Makes CURRENT name whatever is given. */
export function forgeCurrent(directory: string, name: string): void {
  const text = `quadring 2 ${name}`;
  const bytes = Buffer.from(text, 'latin1');
  const sum = checksum(bytes, 0, bytes.length, 0).toString(16).padStart(8, '0');
  writeFileSync(join(directory, 'CURRENT'), Buffer.from(`${text} ${sum}\n`, 'latin1'));
}

/** Makes a file so long without writing to it. */
export function lengthen(file: string, bytes: number): void {
  truncateSync(file, bytes);
}

/** Kind, mode, length, names and time of the last change of everything below a directory; no link is followed. */
export function statesBelow(directory: string): Record<string, string> {
  const states: Record<string, string> = {};
  const look = (path: string, name: string): void => {
    const status = lstatSync(path, { bigint: true });
    // Who had a database open last stands in LOCK, also of one that then was not opened.
    if (name.endsWith('LOCK') && status.isFile()) return;
    const target = status.isSymbolicLink() ? ` to ${readlinkSync(path)}` : '';
    const contents = status.isDirectory() ? '' : `, ${status.size} bytes, changed ${status.mtimeNs}`;
    states[name] = `mode ${status.mode.toString(8)}, inode ${status.ino}${contents}${target}`;
    if (!status.isDirectory()) return;
    for (const inner of readdirSync(path).sort()) look(join(path, inner), `${name}/${inner}`);
  };
  look(directory, '.');
  return states;
}
