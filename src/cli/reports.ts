/** Reports of verification and repair as text for people, and as JSON for scripts. Pure. */
import { basename } from 'node:path';
import type { Finding, LostPart, RepairReport, VerifyReport } from '../index.ts';

/** Bytes become base64. */
export function toJson(report: object): string {
  return JSON.stringify(
    report,
    function (this: Record<string, unknown>, name, value: unknown) {
      // What `value` is has been made of it by Buffer's own toJSON.
      const original = this[name];
      return original instanceof Uint8Array ? Buffer.from(original).toString('base64') : value;
    },
    2,
  );
}

export function formatVerification(report: VerifyReport): string {
  const { directory, files, entries, isSound, wasLocked, lastSequence } = report;
  const tables = files.filter(({ kind, isNamed }) => kind === 'table' && isNamed).length;
  const checked = files.reduce((sum, { checkedBytes }) => sum + checkedBytes, 0);
  const lines = [
    `${directory}: ${isSound ? 'sound' : 'damaged'}`,
    `${checked} bytes checked: ${tables} tables with ${entries} entries, written up to sequence number ${lastSequence}`,
    ...findings(report),
    ...report.notes.map((note) => `  note     ${place(note)}: ${note.message} (${note.code})`),
  ];
  if (report.notesLeftOut > 0) lines.push(`  and ${report.notesLeftOut} notes more`);
  if (!wasLocked) lines.push('  note     the file system is read-only: the database could not be locked');
  return lines.join('\n');
}

export function formatRepair(report: RepairReport): string {
  if (!report.isChanged) return `${report.directory}: nothing was wrong, and nothing was changed`;
  const { tablesKept, tablesReplaced, tablesWritten, logRecords, entries, hiddenKeys } = report;
  return [
    `${report.directory}: repaired; ${report.lost.length === 0 ? 'nothing was lost' : 'something was lost'}`,
    report.manifest === 'kept'
      ? 'the manifest said which files make up the database'
      : 'the manifest was put together anew from tables and logs: see docs/verify-and-repair.md for what may have come back',
    `${tablesKept} tables kept, ${tablesReplaced} replaced, ${tablesWritten} written; ${entries} entries, ${logRecords} of them from logs`,
    ...findings(report),
    ...report.lost.map((part) => `  lost     ${describeLost(part)}`),
    ...(hiddenKeys === 0 ? [] : [`  hidden   ${hiddenKeys} keys whose newest version was lost`]),
    `what was replaced is in ${report.lostDirectory ?? ''}`,
  ].join('\n');
}

function findings({
  findings: all,
  findingsLeftOut,
}: Pick<VerifyReport, 'findings' | 'findingsLeftOut'>): string[] {
  const lines = all.map((finding) => `  damage   ${place(finding)}: ${finding.message} (${finding.code})`);
  return findingsLeftOut === 0 ? lines : [...lines, `  and ${findingsLeftOut} findings more`];
}

function place({ file, offset }: Pick<Finding, 'file' | 'offset'>): string {
  return offset === undefined ? basename(file) : `${basename(file)} at byte ${offset}`;
}

function describeLost({
  file,
  what,
  count,
  ranges,
  firstSequence,
  lastSequence,
  olderMayShow,
}: LostPart): string {
  const parts = [`${basename(file)}: ${what}`];
  const holdsEntries = what === 'blocks' || what === 'table';
  if (count !== null) parts.push(holdsEntries ? `with ${count} entries` : `${count} of them`);
  if (firstSequence !== null && lastSequence !== null)
    parts.push(`numbers ${firstSequence} to ${lastSequence}`);
  for (const { gte, lt, lte } of ranges) {
    const end = lt === undefined ? keyText(lte, 'to') : keyText(lt, 'before');
    parts.push(`keys ${[keyText(gte, 'from'), end].filter((text) => text !== '').join(' ') || 'anywhere'}`);
  }
  if (olderMayShow) parts.push('older versions may show');
  return parts.join(', ');
}

function keyText(key: Uint8Array | string | undefined, word: string): string {
  return key === undefined ? '' : `${word} ${JSON.stringify(Buffer.from(key).toString('latin1'))}`;
}
