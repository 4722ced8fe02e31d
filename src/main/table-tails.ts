/** Tails of table files, read without a ring. Owner only. */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { tableName } from '../format/file-names.ts';
import { FOOTER_BYTES, readFooter } from '../format/footer.ts';
import { FormatError } from '../format/format-error.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { decodeTableMeta, type TableMeta } from '../format/table-meta.ts';
import type { TableDescription } from '../format/version-edit.ts';
import type { FileSystem, ReadableFile } from './file-system.ts';

/** A longer tail is not read: index and filter of a table of a hundred GiB take less, and open would read it into memory. */
export const TAIL_BYTES_MAX = 1 << 30;

/** The tail of a table that a manifest names. Throws TABLE_CORRUPT, UNKNOWN_FORMAT, or what the system says. */
export function readMeta(
  fileSystem: FileSystem,
  directory: string,
  { number, metaOffset, fileBytes }: Pick<TableDescription, 'number' | 'metaOffset' | 'fileBytes'>,
): TableMeta {
  const path = join(directory, tableName(number));
  const file = fileSystem.openFile(path);
  try {
    return decodeTail(file, path, number, metaOffset, fileBytes);
  } finally {
    file.close();
  }
}

/** The tail of a table that nothing names; undefined if it is no whole table. Throws UNKNOWN_FORMAT. */
export function readUnnamedMeta(
  fileSystem: FileSystem,
  directory: string,
  number: number,
): { readonly meta: TableMeta; readonly fileBytes: number } | undefined {
  const path = join(directory, tableName(number));
  const file = fileSystem.openFile(path);
  try {
    const footerAt = file.bytes - FOOTER_BYTES;
    const footer = new Uint8Array(FOOTER_BYTES);
    if (footerAt < 0 || file.read(footer, footerAt) < FOOTER_BYTES) return undefined;
    const metaOffset = readFooter(footer, 0, number, footerAt).metaPage * PAGE_BYTES;
    return { meta: decodeTail(file, path, number, metaOffset, file.bytes), fileBytes: file.bytes };
  } catch (error) {
    const isDamaged = error instanceof QuadringError && error.code === 'TABLE_CORRUPT';
    if (isDamaged || error instanceof FormatError) return undefined;
    throw error;
  } finally {
    file.close();
  }
}

function decodeTail(
  file: ReadableFile,
  path: string,
  number: number,
  metaOffset: number,
  fileBytes: number,
): TableMeta {
  const length = fileBytes - metaOffset;
  if (length < FOOTER_BYTES || length > TAIL_BYTES_MAX || fileBytes > file.bytes)
    throw new QuadringError('TABLE_CORRUPT', `${tableName(number)} has a tail of ${length} bytes`, {
      file: path,
    });
  const bytes = new Uint8Array(length);
  const read = file.read(bytes, metaOffset);
  return decodeTableMeta(bytes.subarray(0, read), number, metaOffset, fileBytes, path);
}
