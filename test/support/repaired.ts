/** Repairs damaged copies of databases on a disk in memory, and looks at what comes out. */
import type { ExecutionContext } from 'ava';
import type { LostPart, RepairOptions, RepairReport } from '../../src/index.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import { contentsOn, copyOf, fileOn, repairOn, verifyOn, type Contents } from './offline-databases.ts';

/** Changes one byte. */
export function flip(disk: SimulatedDisk, file: string, at: number): void {
  fileOn(disk, file).flip(at, 0x5a);
}

/** Repairs a copy, expects that it verifies and opens, and gives what it holds. */
export async function repaired(
  t: ExecutionContext,
  disk: SimulatedDisk,
  damage: (disk: SimulatedDisk) => void,
  options: RepairOptions = {},
): Promise<{ report: RepairReport; contents: Contents; disk: SimulatedDisk }> {
  const copy = copyOf(disk);
  damage(copy);
  const report = await repairOn(copy, options);
  const verified = await verifyOn(copy);
  t.deepEqual(verified.findings, [], 'a repaired database verifies');
  if (report.isChanged) t.deepEqual(verified.notes, [], 'and has nothing odd');
  return { report, contents: await contentsOn(copy), disk: copy };
}

/** Keys of which the two say something else. */
export function difference(a: Contents, b: Contents): string[] {
  const keys = new Set([...a.keys(), ...b.keys()]);
  return [...keys].filter((key) => a.get(key) !== b.get(key)).sort();
}

/** Whether a key is in one of the ranges. */
export function isIn(key: string, ranges: LostPart['ranges']): boolean {
  return ranges.some(({ gte, lt, lte }) => {
    const text = (bound: unknown): string => (bound as Buffer).toString('latin1');
    return (
      (gte === undefined || key >= text(gte)) &&
      (lt === undefined || key < text(lt)) &&
      (lte === undefined || key <= text(lte))
    );
  });
}
