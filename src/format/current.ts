/**
 * The file CURRENT: one line of text that names the manifest in force. Pure; any thread.
 *
 *   quadring 2 MANIFEST-000007 f0f66ffd\n
 *            │ │               └ CRC-32C of everything before the last blank, eight hexadecimal digits
 *            │ └ the manifest
 *            └ format version
 *
 * It is text so that a person can read it. The checksum is looked at before the version: a damaged line is never
 * mistaken for one of a later release.
 */
import { checksum } from './checksum.ts';
import { manifestName, parseFileName } from './file-names.ts';
import { FormatError, UnknownVersionError } from './format-error.ts';

export const CURRENT_FORMAT_VERSION = 2;

/** A line of any version is shorter; a longer file is damaged. */
export const CURRENT_BYTES_MAX = 256;

export function encodeCurrent(manifestNumber: number): Uint8Array {
  const text = `quadring ${CURRENT_FORMAT_VERSION} ${manifestName(manifestNumber)}`;
  return Uint8Array.from(Buffer.from(`${text} ${hexChecksum(text)}\n`, 'latin1'));
}

/**
 * The number of the manifest that CURRENT names. Throws `UnknownVersionError` when the line is whole and of another
 * format version, any other `FormatError` when it is damaged.
 */
export function decodeCurrent(bytes: Uint8Array): number {
  if (bytes.length > CURRENT_BYTES_MAX) throw new FormatError('CURRENT is too long', CURRENT_BYTES_MAX);
  const line = Buffer.from(bytes).toString('latin1');
  const match = /^(quadring (\d{1,9}) (.*)) ([0-9a-f]{8})\n$/.exec(line);
  if (match === null)
    throw new FormatError('CURRENT is not a line of the form "quadring version manifest checksum"', 0);
  const [, text, version, name, stored] = match as unknown as [string, string, string, string, string];
  if (hexChecksum(text) !== stored)
    throw new FormatError('the checksum of CURRENT does not hold', text.length + 1);
  if (version !== String(CURRENT_FORMAT_VERSION))
    throw new UnknownVersionError('CURRENT', Number(version), 9);
  const parsed = parseFileName(name);
  if (parsed?.kind !== 'manifest')
    throw new FormatError('CURRENT does not name a manifest', 9 + version.length + 1);
  return parsed.number;
}

function hexChecksum(text: string): string {
  const bytes = Buffer.from(text, 'latin1');
  return checksum(bytes, 0, bytes.length, 0).toString(16).padStart(8, '0');
}
