/**
 * The bytes of a small database's files, in units: what one checksum covers, or what none does. From the formats themselves,
 * without what is tested.
 */
import { FOOTER_BYTES, readFooter } from '../../src/format/footer.ts';
import { parseFileName } from '../../src/format/file-names.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import { decodeTableMeta } from '../../src/format/table-meta.ts';
import { decodeVersionEdit } from '../../src/format/version-edit.ts';
import { framesIn } from './damage.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import { bytesOn, namesOn } from './offline-databases.ts';

export interface Unit {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly kind:
    | 'CURRENT'
    | 'edit'
    | 'frame'
    | 'block'
    | 'index'
    | 'filter'
    | 'properties'
    | 'range tombstones'
    | 'padding of a table'
    | 'footer'
    /** Of a frame, to the end of its page. */
    | 'padding of a frame'
    /** Behind the last frame of a log, or a log that nothing needs. */
    | 'stale';
}

/** All bytes of all files, but for LOCK. REQUIRES: a database that was closed cleanly. */
export function unitsOf(disk: SimulatedDisk): Unit[] {
  const [manifest] = namesOn(disk, 'manifest');
  const edits = framesIn(bytesOn(disk, manifest), manifest, 0).map(({ payload }) =>
    decodeVersionEdit(payload, 0, payload.length),
  );
  const salt = edits.find(({ databaseSalt }) => databaseSalt !== undefined)?.databaseSalt;
  if (salt === undefined) throw new Error('the manifest has no salt');
  const oldest = edits.reduce((number, edit) => edit.logNumber ?? number, 0);
  const isNeeded = (name: string): boolean => (parseFileName(name)?.number ?? 0) >= oldest;
  const end = bytesOn(disk, 'CURRENT').length;
  return [
    { file: 'CURRENT', start: 0, end, kind: 'CURRENT' },
    ...frameUnits(manifest, bytesOn(disk, manifest), 0, 'edit'),
    ...namesOn(disk, 'log').flatMap((name) =>
      isNeeded(name)
        ? frameUnits(name, bytesOn(disk, name), salt, 'frame')
        : [{ file: name, start: 0, end: bytesOn(disk, name).length, kind: 'stale' as const }],
    ),
    ...namesOn(disk, 'table').flatMap((name) => tableUnits(name, bytesOn(disk, name))),
  ];
}

function frameUnits(file: string, bytes: Uint8Array, salt: number, kind: 'edit' | 'frame'): Unit[] {
  const units: Unit[] = [];
  let end = 0;
  for (const frame of framesIn(bytes, file, salt)) {
    const start = frame.offset;
    end = start + frame.paddedBytes;
    units.push({ file, start, end: start + frame.bytes, kind });
    if (start + frame.bytes < end)
      units.push({ file, start: start + frame.bytes, end, kind: 'padding of a frame' });
  }
  if (end < bytes.length) units.push({ file, start: end, end: bytes.length, kind: 'stale' });
  return units;
}

function tableUnits(file: string, bytes: Uint8Array): Unit[] {
  const number = parseFileName(file)?.number ?? 0;
  const footerAt = bytes.length - FOOTER_BYTES;
  const footer = readFooter(bytes, footerAt, number, footerAt);
  const metaOffset = footer.metaPage * PAGE_BYTES;
  const { index, properties } = decodeTableMeta(bytes.subarray(metaOffset), number, metaOffset, bytes.length);
  const units: Unit[] = [];
  for (let block = 0; block < index.blockCount; block++) {
    const start = index.pageOf(block) * PAGE_BYTES;
    units.push({ file, start, end: start + index.pageCountOf(block) * PAGE_BYTES, kind: 'block' });
  }
  let at = metaOffset;
  const section = (length: number, kind: Unit['kind']): void => {
    if (length > 0) units.push({ file, start: at, end: at + length, kind });
    at += length;
  };
  section(footer.indexLength, 'index');
  section(footer.filterLength, 'filter');
  section(footer.propertiesLength, 'properties');
  section(properties.rangeTombstoneBytes, 'range tombstones');
  section(footerAt - at, 'padding of a table');
  section(FOOTER_BYTES, 'footer');
  return units;
}
